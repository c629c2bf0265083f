# A worker's life with purchases under way: clients that go, reloads, ends.

use strict;
use warnings;
use lib 't/lib';
use Speedy::Module qw(gateway sale redis kafka bearer nginx_start nginx_stop
    nginx_log purchase metric freeze);
use Speedy::Util qw(wait_for try_for connect_to read_file nap);
use Test::More;

gateway();
sale('s', stock => { default => 100_000 }, limit => 100_000);
my $n = nginx_start(workers => 2);
my $serial = 0;

sub workers { return map { split } read_file("/proc/$n->{pid}/task/$n->{pid}/children") }
sub fds { my @fd = glob "/proc/$_[0]/fd/*"; return scalar @fd }

# One purchase, sent and not yet read.
sub begin {
    my (%o) = @_;
    my $s = connect_to($n->{port});
    my $body = '{"variant":"default","quantity":1}';
    print {$s} join "\r\n", 'POST /api/v1/sales/s/orders HTTP/1.1', 'Host: a',
        bearer(sub => $o{user} // 'u1'), 'Idempotency-Key: ' . ($o{key} // ++$serial),
        'Content-Type: application/json', 'Content-Length: ' . length $body,
        'Connection: close', '', $body;
    $s->flush;
    return $s;
}
sub status {
    my ($s) = @_;
    local $/;
    my $answer = <$s> // "";
    close $s;    # else nginx lingers on it for 5 s
    return $answer =~ m{^HTTP/1.1 (\d+)} ? $1 : "($answer)";
}

is(status(begin()), 202, 'all is well');

# --- the client goes in mid-wait: its order proceeds

freeze(kafka());
my $had = redis()->cmd('HLEN', 'speedy:{s}:resv');
my @gone = map { begin(user => 'gone', key => "gone-$_") } 1 .. 20;
ok((try_for {; redis()->cmd('HLEN', 'speedy:{s}:pend') == 20 } 5), '20 are reserved');
close $_ for @gone;
kafka()->signal('CONT');
ok((try_for {; redis()->cmd('HLEN', 'speedy:{s}:pend') == 0 } 10), 'and acknowledged');
my $r = purchase($n, 's', user => 'gone', key => 'gone-7');
is($r->{status}, 202, 'a retry finds its order');
is($r->{headers}{'idempotent-replayed'}, 'true');

# --- gone before anything was reserved, and with half a body

for (1 .. 50) { close begin(key => 'flash') }
my $half = connect_to($n->{port});
print {$half} "POST /api/v1/sales/s/orders HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n" . bearer()
    . "\r\nIdempotency-Key: h\r\nContent-Type: application/json\r\n\r\n{";
$half->flush;
close $half;
is(status(begin()), 202, 'others are served');

# --- reload with purchases under way

freeze(kafka());
my @waiting = map { begin() } 1 .. 10;
ok((try_for {; redis()->cmd('HLEN', 'speedy:{s}:pend') >= 10 } 5), '10 are waiting');
my @old = workers();
kill 'HUP', $n->{pid};
ok((try_for {; my %now = map { $_ => 1 } workers(); !grep { !$now{$_} } @old or 1 } 5));
wait_for {; scalar(grep { my $w = $_; !grep { $_ == $w } @old } workers()) == 2 } 10, 'new workers';
kafka()->signal('CONT');
is(join(' ', map { status($_) } @waiting), join(' ', ('202') x 10),
    'those that wait are accepted by the old workers');
ok((try_for {; !grep { -d "/proc/$_" && read_file("/proc/$_/stat") !~ /\) Z/ } @old } 12),
    'which then leave');

# --- many reloads under load

my (@fds, @answers);
for my $round (1 .. 10) {
    my @s = map { begin() } 1 .. 5;
    kill 'HUP', $n->{pid};
    push @s, map { begin() } 1 .. 5;
    push @answers, map { status($_) } @s;
    wait_for {; workers() == 2 } 12, 'the old workers to go';
    push @fds, fds($n->{pid});
}
is(join(' ', sort grep { $_ ne '202' } @answers), '', '100 purchases over 10 reloads: all accepted');
is($fds[-1], $fds[1], 'the master holds no more descriptors');

# --- a worker is killed

my ($one) = workers();
kill 'KILL', $one;
ok((try_for {; workers() == 2 && !grep { $_ == $one } workers() } 5), 'another takes its place');
ok((try_for {; purchase($n, 's', key => 'after')->{status} == 202 } 5), 'and sells');

# --- idle keep-alive clients do not keep a worker

my $idle = connect_to($n->{port});
print {$idle} "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";
$idle->flush;
sysread $idle, my $answer, 100;

# --- quit with purchases under way

freeze(kafka());
@waiting = map { begin() } 1 .. 5;
my $pending = redis()->cmd('HLEN', 'speedy:{s}:pend');
ok((try_for {; redis()->cmd('HLEN', 'speedy:{s}:pend') >= 5 } 5), '5 are waiting');
kill 'QUIT', $n->{pid};
nap(0.3);
kafka()->signal('CONT');
is(join(' ', map { status($_) } @waiting), join(' ', ('202') x 5), 'and are accepted');
is(join("\n", grep { !/exited on signal 9/ } nginx_stop($n)), '', 'an orderly end');

# --- the end with Kafka away is bounded

$n = nginx_start(http => { kafka_timeout => '300ms' });
is(status(begin()), 202);
kafka()->kill_9;
is(status(begin(key => 'left')), 503, 'in doubt');
my $t = time;
is(join("\n", nginx_stop($n)), '', 'an orderly end without Kafka');
cmp_ok(time - $t, '<', 6, 'in a bounded time');
like(nginx_log($n), qr/1 events were not delivered at exit/, 'that says what is left');
done_testing();
