package Speedy::Fault::Kafka;

# Rows of Kafka and of the line to it: F16 F17 F18, and F20, in which records
# that nobody has read are gone for good.

use strict;
use warnings;
use Speedy::Fault;
use IO::Socket::INET;
use Speedy::Util qw(alive read_file run_command wait_for);
use Test::More ();

sub gone {
    my ($run) = @_;
    my $s = $run->stack;
    $s->hold('kafka');
    my $old = $s->kill_9('kafka');
    $run->lasts(15);
    $run->note($s->redis('HLEN', 'speedy:{' . $run->sale . '}:pend')
        . ' in pend when it came back');
    $s->unhold('kafka');
    $run->from_now;
    $s->restarted('kafka', $old, 15);
    return;
}

# F17: longer than message.timeout, so that producers give records up of which
# the broker may have some all the same.
sub stopped {
    my ($run) = @_;
    my $s = $run->stack;
    $s->stop('kafka');
    $run->lasts(40);
    $s->cont('kafka');
    $run->from_now;
    return;
}

# F18: the broker has the records, the producer never hears of it.
sub lost_reports {
    my ($run) = @_;
    my $proxy = $run->{proxy};
    my $before = $proxy->stats->{kafka}{dropped};
    for my $n (1 .. 5) {
        $proxy->set('drop_reply 2 match kafka:0 kafka');
        wait_for { return $proxy->stats->{kafka}{dropped} >= $before + 2 * $n }
            20, 'a lost report';
        $run->from_now if $n == 5;
        $run->more(30);
    }
    $proxy->set('pass kafka');
    return;
}

# One request of Kafka's protocol, header version 1; the answer's body.
sub ask {
    my ($s, $key, $version, $body) = @_;
    my ($port) = $s->env('KAFKA') =~ /(\d+)$/;
    my $sock = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port", Timeout => 5)
        or die "kafka: $@\n";
    print {$sock} pack('N/a*',
        pack('nnN', $key, $version, 1) . pack('n/a*', 'test') . $body);
    my ($want, $data) = (4, '');
    local $SIG{ALRM} = sub { die "kafka: no answer\n" };
    alarm 20;
    while (length $data < $want) {
        sysread($sock, $data, 65536, length $data) or die "kafka: closed\n";
        $want = 4 + unpack 'N', $data if length $data >= 4;
    }
    alarm 0;
    return substr $data, 8;
}

# DeleteRecords of every partition up to its end; (partition => new start).
sub truncate_topic {
    my ($s, $topic, $partitions) = @_;
    my $answer = ask($s, 21, 1, pack('N', 1) . pack('n/a*', $topic)
        . pack('N', $partitions)
        . join('', map { pack 'Nq>', $_, -1 } 0 .. $partitions - 1)
        . pack('N', 10_000));
    my (undef, undef, $name, $count, $rest) = unpack 'NNn/a*Na*', $answer;
    my %low;
    for (1 .. $count) {
        my ($part, $low, $error) = unpack 'Nq>s>', substr $rest, 0, 14, '';
        die "kafka: partition $part: error $error\n" if $error;
        $low{$part} = $low;
    }
    return %low;
}

sub stored {
    my ($s) = @_;
    return join ' ', map { $_->[0] } $s->sql(
        'SELECT next_offset FROM kafka_offsets ORDER BY part');
}

# What orderd said since `from`, both instances.
sub alarms {
    my ($s, $from) = @_;
    return grep { / alarm / } map { split /\n/ }
        map { read_file($s->dir . "/log/orderd_$_.log", $from->{$_}) // '' } 1, 2;
}

# With orderd down, what was not read is truncated. It must stop there and say
# so; the operator sets the offsets, and stockd's scan of the ledger, which
# knows each order that MySQL lacks, has all of them produced again.
sub truncated {
    my ($run, $break, $mend) = @_;
    my $s = $run->stack;
    my %from = map { $_ => -s $s->dir . "/log/orderd_$_.log" } 1, 2;
    my %pid;
    for my $name (qw(orderd_1 orderd_2)) {
        $s->hold($name);
        $pid{$name} = $s->kill_9($name);
    }
    $run->more(500, 60);
    my $stored = stored($s);
    my %low = $break->($s);
    for my $name (qw(orderd_1 orderd_2)) {
        $s->unhold($name);
        $s->restarted($name, $pid{$name}, 10);
    }
    my @said = wait_for {
        my @lines = alarms($s, \%from);
        return @lines >= 12 ? \@lines : 0;
    } 40, 'an alarm for each partition';
    $run->note(scalar(@{ $said[0] }) . ' alarms');
    Test::More::is(stored($s), $stored, 'no record was skipped');
    $mend->($s, \%low);
    $run->from_now;
    return;
}

sub truncate_records { my ($s) = @_; return truncate_topic($s, 'speedy.orders', 12) }

sub skip_to {
    my ($s, $low) = @_;
    $s->sql_root("UPDATE kafka_offsets SET next_offset = $low->{$_}
        WHERE part = $_ AND next_offset < $low->{$_}") for sort keys %$low;
    return;
}

# The whole topic goes and is made anew, empty.
sub delete_topic {
    my ($s) = @_;
    ask($s, 20, 1, pack('N', 1) . pack('n/a*', 'speedy.orders')
        . pack('N', 10_000));
    my ($port) = $s->env('KAFKA') =~ /(\d+)$/;
    my $admin = Speedy::Util::repository() . '/dev.d/kafka-admin';
    wait_for {
        run_command(20, $admin, $port, 'create', 'speedy.orders', 12,
            'min.insync.replicas=1');
        my ($status) = run_command(20, $admin, $port, 'topic', 'speedy.orders');
        return $status == 0;
    } 40, 'the topic again';
    return map { $_ => 0 } 0 .. 11;
}

sub from_start {
    my ($s) = @_;
    $s->sql_root('UPDATE kafka_offsets SET next_offset = 0');
    return;
}

sub tally {
    my ($s) = @_;
    return ($s->sql('SELECT SUM(next_offset) FROM kafka_offsets'))[0][0]
        - ($s->sql('SELECT COUNT(*) FROM orders'))[0][0];
}

# More records than orders: the lost reports made second records.
sub duplicates {
    my ($run) = @_;
    my $twice = tally($run->stack) - $run->{tally};
    $run->note("$twice records came twice");
    Test::More::cmp_ok($twice, '>', 12, 'records came twice');
    return;
}

sub with_proxy {
    my ($run) = @_;
    $run->{proxy} = $run->stack->proxy('kafka');
    $run->{tally} = tally($run->stack);
    return;
}
sub pass { my ($run) = @_; $run->{proxy}->set('pass') if $run->{proxy} }

sub unhold {
    my ($run) = @_;
    $run->stack->unhold($_) for qw(kafka orderd_1 orderd_2);
}
sub awake { my ($run) = @_; eval { $run->stack->cont('kafka') } }

my @rows = (
    { id => 'F16', name => 'kafka: kill -9, back after 15 s', fault => \&gone,
        cleanup => \&unhold, bound => 60, settle => 90 },
    { id => 'F17', name => 'kafka: SIGSTOP 40 s', fault => \&stopped,
        cleanup => \&awake, seconds => 50, bound => 60, settle => 90 },
    { id => 'F18', name => 'kafka link: reports are lost x10',
        setup => \&with_proxy, cleanup => \&pass, fault => \&lost_reports,
        after => \&duplicates },
    { id => 'F20a', name => 'kafka: records that nobody read are truncated',
        cleanup => \&unhold, settle => 240, bound => 60, fault => sub {
            truncated($_[0], \&truncate_records, \&skip_to) } },
    { id => 'F20b', name => 'kafka: the topic is deleted and made anew',
        cleanup => \&unhold, settle => 240, bound => 60, fault => sub {
            truncated($_[0], \&delete_topic, \&from_start) } },
);

sub rows {
    my ($class, @ids) = @_;
    @ids = qw(F16 F17 F18) if !@ids;
    return Speedy::Fault->pick(\@rows, @ids);
}

1;
