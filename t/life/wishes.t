# Wish lists through the whole stack: a wish and its product, the mail before
# an opening that comes once although a userd is killed, and lists under load
# while productd hangs and when it is back.

use strict;
use warnings;
use utf8;
use lib 't/lib';
use JSON::PP ();
use Speedy::Shopper;
use Speedy::Stack;
use Speedy::Util qw(alive read_file run_command wait_for);
use Test::More;
use Time::HiRes qw(time);

binmode $_, ':encoding(UTF-8)'
    for Test::More->builder->output, Test::More->builder->failure_output;

my $wishes = '/api/v1/users/me/wishes';
my $budget = 800;    # ms of a list that waits for productd in vain
my $ahead = 25;      # s
my @userd = qw(userd_1 userd_2);
my @productd = qw(productd_1 productd_2);

my $s = Speedy::Stack->up;
$s->edit('speedy.conf', sub {
    s/^\[userd\]\n/[userd]\nnotify_ahead = ${ahead}s\nnotify_every = 1s\n/m;
});
for my $name (@userd) {
    my $old = $s->signal($name, 'TERM');
    wait_for { return !alive($old) } 20, "$name to stop";
    $s->restarted($name, $old, 20);
}
wait_for { return !grep { !defined metrics($_) } @userd } 20, 'both userd';
$s->ctl('product', 'add', '--id', 'runner', '--name', "Speed \x{c6b4}\x{b3d9}\x{d654}",
    '--price', 129000);

# What a daemon answers at its own socket, as this user.
sub at_socket {
    my ($name, $path, $user) = @_;
    my ($status, $out) = run_command(10, 'curl', '-sf', '-m', 5,
        defined $user ? ('-H', "X-Speedy-User: $user", '-H', 'X-Speedy-Role: USER') : (),
        '--unix-socket', $s->dir . "/run/$name.sock", "http://localhost$path");
    return $status == 0 ? $out : undef;
}

sub metrics { return at_socket($_[0], '/metrics') }

# Of both userd: calls of productd by their result, and those that were sent.
sub calls {
    my %n = (sent => 0);
    for my $text (map { metrics($_) // '' } @userd) {
        while ($text =~ /^speedy_client_calls_total\{callee="productd",result="(\w+)"\} (\d+)/mg) {
            $n{$1} += $2;
            $n{sent} += $2 if $1 ne 'refused';
        }
    }
    return \%n;
}

sub breakers {
    return map { (metrics($_) // '') =~ /^speedy_client_breaker_state\{callee="productd"\} (\d)/m } @userd;
}

sub rfc3339 {
    my ($at) = @_;
    my @t = gmtime int $at;
    return sprintf '%04d-%02d-%02dT%02d:%02d:%02d.%03dZ', $t[5] + 1900,
        $t[4] + 1, @t[3, 2, 1, 0], 1000 * ($at - int $at);
}

my ($p, $q, $other) = map { Speedy::Shopper->new($s, language => $_)->sign_up } qw(ko en ko);
$_->log_in for $p, $q, $other;
is($q->http('PATCH', '/api/v1/users/me', json => { language => 'en', version => 1 })->{status},
    200, 'one reads English');

subtest 'a wish' => sub {
    my $res = $p->http('PUT', "$wishes/runner", json => { notify => JSON::PP::true() });
    is($res->{status}, 201, 'made') or diag $res->{content};
    is($p->http('PUT', "$wishes/runner")->{status}, 200, 'it is there');
    is($p->http('PUT', "$wishes/no-such")->{json}{code}, 'product_not_found',
        'not for what does not exist');
    is($q->http('PUT', "$wishes/runner", json => { notify => JSON::PP::true() })->{status},
        201, 'another one\'s');
    is($other->http('PUT', "$wishes/runner")->{status}, 201, 'one who asks for no mail');
    $res = $p->http('GET', $wishes);
    ok(!$res->{json}{products_unavailable}, 'the list has products');
    my ($w) = @{ $res->{json}{data} };
    is($w->{product}{name}, "Speed \x{c6b4}\x{b3d9}\x{d654}", '... by name');
    is($w->{product}{price}, 129000, '... with price');
    ok($w->{notify}, '... and whether to tell');
    $s->ctl('product', 'change', 'runner', '--hide');
    ($w) = @{ $p->http('GET', $wishes)->{json}{data} };
    ok($w->{gone} && !$w->{product}, 'a hidden product is gone');
    $s->ctl('product', 'change', 'runner', '--show');
    ($w) = @{ $p->http('GET', $wishes)->{json}{data} };
    ok($w->{product} && !$w->{gone}, '... and may come back');
};

sub told {
    my ($sale) = @_;
    return scalar $s->sql("SELECT COUNT(*) FROM mails WHERE kind = 'sale_opens'
        AND once_key LIKE ?", "sale_opens:$sale:%");
}

subtest 'told of the opening, once' => sub {
    my $opens = time + $ahead + 8;
    $s->new_sale(id => 'drop', product => 'runner', 'opens-at' => rfc3339($opens), wait => 0);
    my $due = $opens - $ahead;
    wait_for { return time > $due - 1.5 } 30, 'the time before';
    is(told('drop'), 0, 'nobody before its time');
    wait_for { return time > $due - 0.3 || told('drop') } 30, 'nearly the time';
    my $old = $s->kill_9('userd_1');
    my $mail = $p->mail(qr/Speed/, 30);
    my $came = time;
    diag(sprintf 'due %.1f s before the opening, there %.1f s before: %s', $ahead,
        $opens - $came, $mail->{subject});
    cmp_ok($came, '<', $opens, 'in time');
    my @t = gmtime($opens + 9 * 3600);
    my $when = sprintf '%d년 %d월 %d일 %02d:%02d', $t[5] + 1900, $t[4] + 1, @t[3, 2, 1];
    like($mail->{text}, qr/\Q$when\E/, 'with the time in Seoul');
    like($mail->{text}, qr{/sales/drop\b}, '... and the way there');
    $mail = $q->mail(qr/Speed/, 20);
    like($mail->{text}, qr/Korean time/, 'in English for who reads it');
    $s->restarted('userd_1', $old, 20);
    wait_for { return time > $opens + 2 } 60, 'the opening';
    is(told('drop'), 2, 'two were to be told');
    is($s->sql("SELECT COUNT(*) FROM mails WHERE kind = 'sale_opens' AND state = 'SENT'"), 2,
        '... and both were');
    my @count = map { scalar(my @m = grep { /^Subject:/mi } sale_files($_)) } $p, $q, $other;
    is_deeply(\@count, [1, 1, 0], 'once each, and nobody who did not ask');
};

sub sale_files {
    my ($who) = @_;
    my @found;
    for my $file (glob $s->dir . '/mail/*.eml') {
        my $text = read_file($file) // next;
        my ($to) = $text =~ /^To:\s*(.*)/mi;
        next if ($to // '') !~ /\Q$who->{email}\E/i;
        push @found, $text if Speedy::Shopper::part($text, 'text/plain') =~ m{/sales/};
    }
    return @found;
}

subtest 'a sale made late is told of at once' => sub {
    my $since = time;
    $s->new_sale(id => 'late', product => 'runner', 'opens-at' => rfc3339($since + 15), wait => 0);
    wait_for { return told('late') == 2 } 10, 'both mails';
    my $took = time - $since;
    diag(sprintf 'told %.1f s after it was made', $took);
    cmp_ok($took, '<', 6, 'without waiting');
};

# Two hundred people with twenty wishes each; their rows are all that is needed.
subtest 'lists while productd hangs' => sub {
    $s->sql_root(q{INSERT INTO products (id, name, price)
        SELECT CONCAT('p', seq), CONCAT('Product ', seq), 1000 + seq FROM seq_1_to_20});
    $s->sql_root(q{INSERT INTO users (id, email_index, sealed_email, data_key, master_key,
        password_hash) SELECT seq, UNHEX(MD5(seq)), 'x', 'x', 'm1', 'x' FROM seq_1_to_200});
    $s->sql_root(q{INSERT INTO wishes (user_id, product_id) SELECT u.id, p.id
        FROM users u JOIN products p ON p.id REGEXP '^p[0-9]+$' WHERE u.id REGEXP '^[0-9]+$'});
    my $load = sub {
        return $s->load(get => $wishes, shoppers => 200, arrival => 'steady:150',
            duration => "$_[0]s");
    };
    my $before = calls();
    my $sum = $load->(4)->finish(60);
    my $after = calls();
    is_deeply([keys %{ $sum->{final} }], ['200'], 'all answered') or diag explain $sum->{final};
    my $n = $sum->{final}{200};
    my $sent = $after->{sent} - $before->{sent};
    diag(sprintf '%d lists of 20 products, %d calls of productd, p50 %.1f p99 %.1f max %.1f ms',
        $n, $sent, @{ $sum->{latency_ms} }{qw(p50 p99 max)});
    cmp_ok($sent, '<=', $n + 12, 'one call a list');

    $s->stop($_) for @productd;
    my $stopped = time;
    $before = calls();
    my $run = $load->(10);
    wait_for { return 2 == grep { $_ == 2 } breakers() } 10, 'both breakers to open';
    my $open = time - $stopped;
    # Those under way then are not sent while open: each waits for its end.
    wait_for { return time > $stopped + $open + $budget / 1000 } 5, 'their time';
    my $at_open = calls();
    my $counted = time;
    my ($whole, $without) = (0, 0);
    while ($run->running) {
        my $json = JSON::PP::decode_json(at_socket($userd[($whole + $without) % 2], $wishes, 7));
        $json->{products_unavailable} ? $without++ : $whole++;
        is(scalar @{ $json->{data} }, 20, 'all ids') if $without == 1;
        select undef, undef, undef, 0.1;
    }
    $sum = $run->finish(60);
    $after = calls();
    is_deeply([keys %{ $sum->{final} }], ['200'], 'all answered') or diag explain $sum->{final};
    diag(sprintf '%d lists without products: p50 %.1f p99 %.1f p99.9 %.1f max %.1f ms',
        $sum->{final}{200}, @{ $sum->{latency_ms} }{qw(p50 p99 p999 max)});
    diag(sprintf 'breakers open after %.1f s and %d calls; %d sent and %d held back in the %.1f s while open',
        $open, $at_open->{sent} - $before->{sent}, $after->{sent} - $at_open->{sent},
        $after->{refused} - $at_open->{refused}, time - $counted);
    cmp_ok($sum->{latency_ms}{p99}, '<=', $budget, 'p99 within the budget');
    cmp_ok($sum->{latency_ms}{max}, '<=', 2 * $budget, 'and the slowest not far from it');
    is($whole, 0, 'each says that its products are not there');
    cmp_ok($without, '>', 20, '... of many that were looked at');
    cmp_ok($after->{sent} - $at_open->{sent}, '<=', 12, 'while open, trials only');

    $s->cont($_) for @productd;
    my $since = time;
    for my $name (@userd) {
        wait_for {
            my $json = JSON::PP::decode_json(at_socket($name, $wishes, 7));
            return !$json->{products_unavailable};
        } 20, "$name with products";
        diag(sprintf '%s has products %.1f s after SIGCONT', $name, time - $since);
    }
    cmp_ok(time - $since, '<=', 12, 'healed: the longest pause is ten seconds');
    $sum = $load->(3)->finish(60);
    is_deeply([keys %{ $sum->{final} }], ['200'], 'and as before');
    is_deeply([breakers()], [0, 0], 'closed');
};

done_testing();
