package Speedy::Fault;

# One row of the fault matrix: a sale under load, something breaks, everything
# comes to rest, and then nothing may be lost, oversold or undersold.

use strict;
use warnings;
use Carp qw(croak);
use JSON::PP ();
use Speedy::Stack;
use Speedy::Util qw(read_file repository temp_dir try_for wait_for write_file);
use Test::More ();
use Time::HiRes ();

=head1 SYNOPSIS

    use Speedy::Fault;
    use Speedy::Fault::Redis;
    my $s = Speedy::Stack->up;
    Speedy::Fault->run($s, Speedy::Fault::Redis->rows(qw(F7 F8)));

=head1 A ROW

A hash. C<id> and C<name> as in the matrix; C<fault> breaks things and is
handed the run (see METHODS). Optional: C<setup> before the load, C<after> once
the load has ended and all has settled, C<cleanup> always; C<seconds> of load
(20), C<rate> of new purchases a second (300), C<bound> in seconds from
C<from_now> to the next 202 (30), C<settle> (60), C<clean> => 1: no client may
have seen anything but 202 and sold_out ('closing': or a reset of what was never
begun), C<share> of the purchases that find
stock (0.8), C<earlier>: orders that the sale has before, C<timeout> of a client ('4s').

=head1 METHODS

=over

=item run(STACK, ROWS...)

Every row is a subtest. Its figures are printed, and appended to the results
of this prove for the table at the end. C<seconds> => N (a hash in front of the
rows) shortens the load of each row that does not name its own C<smoke> time.

=item up_with_failpoints(OPTIONS...)

Speedy::Stack->up on build/failpoints; C<< $s->{failpoints} >> is the file of
words (daemons/common/failpoint.h).

=item stack, sale, load

=item from_now

Recovery is counted from here: the fault's end, or its start where it has no
length. Once a row.

=item lasts(SECONDS)

The length of the fault itself.

=item count(STATUS, CODE)

Answers so far; without CODE whatever the code.

=item more(N, SECONDS)

Waits until N further 202s were seen.

=item note(TEXT)

Goes into the row's line.

=back

=cut

sub run {
    my ($class, $stack, @rows) = @_;
    my %o = @rows && !$rows[0]{id} ? %{ shift @rows } : ();
    warm_up($stack);
    for my $row (@rows) {
        my $run = bless { %o, %$row, row => $row, stack => $stack, notes => [] },
            $class;
        $run->{seconds} = $row->{smoke} // $o{seconds} if $o{seconds};
        $run->{seconds} //= 20;
        Test::More::subtest("$row->{id} $row->{name}", sub { $run->judge });
    }
    return;
}

# A stack whose daemons have failpoints; their words go into its {failpoints}.
sub up_with_failpoints {
    my ($class, %o) = @_;
    my $build = repository() . '/build/failpoints';
    croak "$build is missing: make B=build/failpoints FAILPOINTS=1"
        if !-e "$build/bin/orderd";
    local $ENV{SPEEDY_BUILD} = $build;
    my $words = write_file(temp_dir('failpoints') . '/words', '');
    my $s = Speedy::Stack->up(%o, env => { %{ $o{env} // {} },
        SPEEDY_BUILD => $build, SPEEDY_FAILPOINTS_FILE => $words });
    $s->{failpoints} = $words;
    return $s;
}

# The rows with these ids (F12 takes F12a, F12b ... as well); all without any.
sub pick {
    my ($class, $rows, @ids) = @_;
    return @$rows if !@ids;
    my %want = map { $_ => 1 } @ids;
    return grep { $want{ $_->{id} } || $want{ $_->{id} =~ s/[a-z]$//r } } @$rows;
}

# A broker that was started a moment ago takes seconds for its first records,
# which is no fault of the row that comes first.
sub warm_up {
    my ($s) = @_;
    for my $round (1 .. 8) {
        my $load = $s->load(
            sale => $s->new_sale(stock => 1000), shoppers => 600,
            arrival => 'steady:300', requests => 600, 'no-retry' => undef,
            timeout => '4s');
        my $sum = $load->finish(60);
        last if ($sum->{answers}{202} // 0) == 600;
    }
    return;
}

sub stack { return $_[0]{stack} }
sub sale  { return $_[0]{sale} }
sub load  { return $_[0]{load} }

sub now_ms { return int(Time::HiRes::time() * 1000) }

sub from_now {
    my ($self) = @_;
    $self->{from} = now_ms();
    return;
}

sub lasts {
    my ($self, $seconds) = @_;
    my $end = Time::HiRes::time() + $seconds;
    wait_for { return Time::HiRes::time() >= $end } $seconds + 5, 'the clock';
    return;
}

sub note { my ($self, $text) = @_; push @{ $self->{notes} }, $text; return }

# --- what clients saw -------------------------------------------------------

# The client log, read further each time: it has tens of thousands of lines.
sub follow {
    my ($self) = @_;
    my $w = $self->{watch} //= { at => 0, count => {}, good => [], orders => {} };
    my $text = read_file($self->{load}->log, $w->{at}) // '';
    my $end = rindex $text, "\n";
    return $w if $end < 0;
    $w->{at} += $end + 1;
    for my $line (split /\n/, substr $text, 0, $end) {
        my ($time, $sent) = $line =~ /^\{"time":(\d+),"sent":(\d+)/ or next;
        my ($status, $code, $order) = $line
            =~ /"status":(\d+),"code":"([^"]*)","order_id":"([^"]*)"/ or next;
        $w->{count}{$status}++;
        $w->{count}{"$status $code"}++ if length $code;
        next if $status != 202;
        push @{ $w->{good} }, [$sent, $time];
        $w->{orders}{$order} = 1;
    }
    return $w;
}

sub count {
    my ($self, $status, $code) = @_;
    my $w = $self->follow;
    return $w->{count}{ defined $code ? "$status $code" : $status } // 0;
}

sub more {
    my ($self, $n, $seconds) = @_;
    my $want = $self->count(202) + $n;
    wait_for { return $self->count(202) >= $want } $seconds // 30,
        "$n more orders";
    return;
}

# Seconds from the mark to the first 202 of a request sent after it.
sub recovered {
    my ($self) = @_;
    my @after = map { $_->[1] } grep { $_->[0] >= $self->{from} }
        @{ $self->follow->{good} };
    return if !@after;
    my ($first) = sort { $a <=> $b } @after;
    return ($first - $self->{from}) / 1000;
}

# The longest time without a 202, from the first to the last one.
sub gap {
    my ($self) = @_;
    my @times = sort { $a <=> $b } map { $_->[1] } @{ $self->follow->{good} };
    my $gap = 0;
    for my $i (1 .. $#times) {
        my $d = $times[$i] - $times[$i - 1];
        $gap = $d if $d > $gap;
    }
    return $gap / 1000;
}

# --- a row ------------------------------------------------------------------

sub judge {
    my ($self) = @_;
    my $good = eval { $self->play; 1 };
    Test::More::diag("$self->{id}: $@") if !$good;
    Test::More::ok($good, 'the row came to its end');
    eval { $self->{load}->stop } if $self->{load} && $self->{load}->running;
    if ($self->{cleanup}) {
        eval { $self->{cleanup}->($self); 1 }
            or Test::More::fail("cleaned up: $@");
    }
    $self->report;
    return;
}

sub play {
    my ($self) = @_;
    my $s = $self->{stack};
    $self->{setup}->($self) if $self->{setup};
    my $rate = $self->{rate} // 300;
    my $shoppers = $rate * $self->{seconds};
    my $earlier = $self->{earlier} // 0;
    $self->{units} = int($shoppers * ($self->{share} // 0.8)) + $earlier;
    $self->{sale} = $s->new_sale(
        stock => $self->{units}, limit => $earlier ? 100 : 1);
    my @logs = $earlier ? $self->fill($earlier) : ();
    $self->{load} = $s->load(
        sale => $self->{sale}, limit => 1, shoppers => $shoppers,
        tokens => $s->tokens(1, 20000), arrival => "steady:$rate",
        requests => $shoppers, 'max-rps' => 500,
        timeout => $self->{timeout} // '4s',
        'give-up' => '150s');
    wait_for { return $self->count(202) >= $rate } 30, 'the load to run';

    $self->{fault}->($self);
    croak 'the row never called from_now' if !$self->{from};
    my $bound = $self->{bound} // 30;
    $self->{recover} = try_for { return $self->recovered } $bound;
    $self->{recover} = $self->recovered;
    Test::More::ok(defined $self->{recover},
        "a purchase sent after the fault is accepted within $bound s");

    my $sum = $self->{load}->finish($self->{seconds} + 240);
    $self->{sum} = $sum;
    Test::More::is($sum->{exit}, 0, 'no answer contradicts an earlier one');
    Test::More::is($sum->{unfinished}, 0, 'every shopper got a final answer');
    my %odd = map { $_ => $sum->{final}{$_} }
        grep { !/^(?:202|409 sold_out)$/ } keys %{ $sum->{final} };
    Test::More::is_deeply(\%odd, {}, 'final answers are 202 or sold_out');
    $self->judge_answers if $self->{clean};

    my $begun = Time::HiRes::time();
    my $bound_settle = $self->{settle} // 60;
    Test::More::ok($s->settled($self->{sale}, $bound_settle),
        "all is at rest within $bound_settle s");
    $self->{settled} = Time::HiRes::time() - $begun;
    push @logs, $self->{load}->log, $self->drain;
    $self->account;
    $self->{after}->($self) if $self->{after};
    $self->{audited} = $s->audit_ok(@logs);
    return;
}

# A sale with a history: so many orders of other users, all of them in MySQL.
sub fill {
    my ($self, $orders) = @_;
    my $load = $self->{stack}->load(
        sale => $self->{sale}, first => 600_001, shoppers => 2000,
        arrival => 'closed', connections => 50, requests => $orders,
        $ENV{SPEEDY_MAX_RPS} ? ('max-rps' => $ENV{SPEEDY_MAX_RPS}) : ());
    my $sum = $load->finish(900);
    Test::More::is($sum->{final}{202}, $orders, "$orders orders before the fault");
    Test::More::ok($self->{stack}->settled($self->{sale}, 300), '... at rest');
    return $load->log;
}

# nginx closes idle connections when it leaves, and a request may cross that:
# it is reset, and that is nobody's fault as long as it was never begun.
sub judge_answers {
    my ($self) = @_;
    my $seen = $self->{sum}{answers};
    my $closing = $self->{clean} eq 'closing';
    my %odd = map { $_ => $seen->{$_} }
        grep { !/^(?:202|409 sold_out)$/ && !($closing && $_ eq '0 reset') }
        keys %$seen;
    Test::More::is_deeply(\%odd, {}, 'no answer was anything else');
    return if !$seen->{'0 reset'} || !$closing;
    my @users = map { $_->{user} } $self->{load}->lines(status => 0);
    my $uri = "/api/v1/sales/$self->{sale}/orders";
    my $log = $self->{stack}->env('NGINX_ACCESS_LOG');
    my %codes;
    wait_for {    # it is written with a delay
        %codes = ();
        for my $line (split /\n/, read_file($log) // '') {
            my ($user, $code) = $line
                =~ /"uri":"\Q$uri\E".*"user":"([^"]*)".*"code":"([^"]*)"/ or next;
            push @{ $codes{$user} }, $code;
        }
        return !grep { !$codes{$_} } @users;
    } 10, 'the access log';
    my @begun = grep { "@{ $codes{$_} }" !~ /^(?:accepted|sold_out)$/ } @users;
    Test::More::is("@begun", '', 'a request that was reset was never begun');
    $self->note(@users . ' requests met a connection that was closing');
    return;
}

# Whoever still wants one comes now: at the end the sale must be sold out, to
# the last unit and not beyond it.
sub drain {
    my ($self) = @_;
    my $s = $self->{stack};
    my @logs;
    for my $round (1 .. 3) {
        my $left = $s->redis('HGET', "speedy:{$self->{sale}}:stock", 'default');
        last if defined $left && $left == 0;
        my $n = ($left // 0) + 20;
        my $first = 100000 * $round + 1;
        my $load = $s->load(
            sale => $self->{sale}, limit => 1, shoppers => $n,
            tokens => $s->tokens($first, $first + 999 + 1000 * int($n / 1000)),
            arrival => 'steady:300', requests => $n, 'give-up' => '60s');
        my $sum = $load->finish(240);
        push @logs, $load->log;
        $self->{drained} += $sum->{final}{202} // 0;
        $self->follow_orders($load->log);
        last if !$s->settled($self->{sale}, 60);
    }
    return @logs;
}

sub follow_orders {
    my ($self, $log) = @_;
    for my $line (split /\n/, read_file($log) // '') {
        $self->{watch}{orders}{$1} = 1
            if $line =~ /"status":202,"code":"[^"]*","order_id":"([^"]+)"/;
    }
    return;
}

# Our own count, apart from the auditor's.
sub account {
    my ($self) = @_;
    my $s = $self->{stack};
    my $accepted = $self->follow->{orders};
    my %live = map { $_->[0] => 1 } $s->sql(
        "SELECT LOWER(INSERT(INSERT(INSERT(INSERT(HEX(id), 9, 0, '-'), 14, 0,
            '-'), 19, 0, '-'), 24, 0, '-'))
         FROM orders WHERE sale_id = ? AND state <> 'REJECTED'", $self->{sale});
    my @lost = grep { !$live{$_} } sort keys %$accepted;
    my $units = $s->sql("SELECT COALESCE(SUM(quantity), 0) FROM orders
        WHERE sale_id = ? AND state <> 'REJECTED'", $self->{sale});
    my $refused = $s->sql("SELECT COUNT(*) FROM orders WHERE sale_id = ?
        AND reject_reason = 'OUT_OF_STOCK'", $self->{sale});
    my $over = $units - $self->{units};
    $self->{lost} = @lost;
    $self->{oversold} = $over > 0 ? $over : 0;
    $self->{undersold} = $over < 0 ? -$over : 0;
    Test::More::is(scalar @lost, 0, 'every order with a 202 exists')
        or Test::More::diag("lost: @lost[0 .. ($#lost > 4 ? 4 : $#lost)]");
    Test::More::is($self->{oversold}, 0, 'not oversold');
    Test::More::is($self->{undersold}, 0, 'not undersold');
    Test::More::is($refused, 0, 'MySQL refused nothing that Redis admitted');
    return;
}

# --- figures ----------------------------------------------------------------

my @columns = (
    [id => '%-5s'], [name => '%-44.44s'], [accepted => '%6s'], [lost => '%5s'],
    [oversold => '%5s'], [undersold => '%6s'], [recover => '%8s'],
    [gap => '%7s'], [settled => '%7s'], [doubt => '%6s'], [verdict => '%-6s'],
    [notes => '%s'],
);
my %title = (
    id => 'row', name => 'fault', accepted => '202s', lost => 'lost',
    oversold => 'over', undersold => 'under', recover => 'recover',
    gap => 'gap', settled => 'settle', doubt => '503s', verdict => '',
    notes => '',
);

sub line {
    my (%value) = @_;
    my $text = sprintf join(' ', map { $_->[1] } @columns),
        map { $value{ $_->[0] } // '-' } @columns;
    $text =~ s/\s+\z//;
    return $text;
}

sub results_file { return repository() . '/build/faults.results' }

# Rows of one prove belong together: their parent is the same process.
sub report {
    my ($self) = @_;
    my $seconds = sub { return defined $_[0] ? sprintf '%.1f s', $_[0] : '-' };
    my $count = $self->{load} ? $self->follow->{count} : {};
    my %value = (
        %{$self}{qw(id name lost oversold undersold)},
        accepted => ($self->{earlier} // 0) + ($self->{watch}
            ? scalar keys %{ $self->{watch}{orders} } : 0),
        recover => $seconds->($self->{recover}),
        gap => $self->{load} ? $seconds->($self->gap) : '-',
        settled => $seconds->($self->{settled}),
        doubt => $count->{503} // 0,
        verdict => Test::More->builder->is_passing ? 'ok' : 'FAILED',
        notes => join('; ', @{ $self->{notes} }),
    );
    Test::More::diag(line(%title)) if !our $titled++;
    Test::More::diag(line(%value));
    open my $fh, '>>', results_file() or return;
    print {$fh} JSON::PP->new->canonical->encode(
        { run => getppid(), %value }), "\n";
    close $fh;
    return;
}

# The rows of this prove so far, each as a hash, and as lines of a table.
sub results {
    my %last;
    my @order;
    for my $line (split /\n/, read_file(results_file()) // '') {
        my $row = eval { JSON::PP::decode_json($line) } or next;
        next if $row->{run} != getppid();
        push @order, $row->{id} if !$last{ $row->{id} };
        $last{ $row->{id} } = $row;
    }
    my $number = sub { my ($n) = $_[0] =~ /(\d+)/; return $n // 0 };
    return map { $last{$_} }
        sort { $number->($a) <=> $number->($b) || $a cmp $b } @order;
}

sub table {
    my @rows = @_;
    return map { "$_\n" } line(%title), map { line(%$_) } @rows;
}

# Keeps the file from growing: called by whoever printed the table.
sub forget { unlink results_file(); return }

1;
