# faultproxy: each mode between a real Redis client and server, and on TCP.

use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Time::HiRes qw(time);
use Speedy::FaultProxy;
use Speedy::Redis;
use Speedy::Util qw(free_port temp_dir wait_for read_file);

my $dir   = temp_dir('sock');
my $redis = Speedy::Redis->start;
my $port  = free_port();
my $proxy = Speedy::FaultProxy->start(
    redis => ["unix:$dir/r", 'unix:' . $redis->socket],
    tcp   => [$port, '127.0.0.1:' . $redis->port],
);

# A fresh connection through the proxy, that gives up after a second.
sub through {
    my ($address, $seconds) = @_;
    return Speedy::Redis->client($address, timeout => $seconds // 1);
}
my @ways = ("unix:$dir/r", "127.0.0.1:$port");

for my $way (@ways) {
    my $c = through($way);
    is($c->cmd('SET', 'a', 1), 'OK', "pass: $way");

    my $big = 'x' x 3_000_000;
    my $slow = through($way, 10);
    $slow->cmd('SET', 'big', $big);
    ok($slow->cmd('GET', 'big') eq $big, 'pass: 3 MB each way');

    $redis->cmd('SET', 'n', 0);
    $proxy->set('drop_reply 1 match INCR');
    is($c->cmd('GET', 'a'), 1, 'drop_reply: what does not match passes');
    my ($value, $error) = $c->try('INCR', 'n');
    like($error, qr/closed|reset/, 'drop_reply: the answer is lost');
    is($redis->cmd('GET', 'n'), 1, 'drop_reply: but the server has done it');
    is($c->cmd('INCR', 'n'), 2, 'drop_reply 1: only once');

    my $before = $proxy->stats;
    $proxy->set('drop_reply all match hex:494e4352');
    for (1 .. 3) {
        ($value, $error) = $c->try('INCR', 'n');
        ok($error, 'drop_reply all: every time');
    }
    is($redis->cmd('GET', 'n'), 5, 'drop_reply all: all were done');
    $proxy->set('drop_reply 1');
    ($value, $error) = $c->try('GET', 'a');
    ok($error, 'drop_reply without match: whatever is asked');
    $proxy->set('pass');
    is($c->cmd('GET', 'a'), 1, 'pass again');

    $proxy->set('drop_reply 1 match NCR');
    my ($r) = eval { $c->pipeline(['INCR', 'n'], ['INCR', 'n']) };
    is($r, undef, 'drop_reply: answers of a pipeline are lost together');
    wait_for { $redis->cmd('GET', 'n') == 7 } 5, 'both INCRs of the pipeline';

    $proxy->set('latency 100');
    my $t = time;
    $c->cmd('PING');
    cmp_ok(time - $t, '>=', 0.2, 'latency: both ways');
    $proxy->set('bandwidth 2000');
    $t = time;
    through($way, 5)->cmd('ECHO', 'y' x 1000);
    cmp_ok(time - $t, '>=', 0.4, 'bandwidth');
    $proxy->set('slicer 1');
    is($c->cmd('ECHO', 'slices'), 'slices', 'slicer: whole again');

    $proxy->set('pass');
    $c->cmd('PING');
    $proxy->set('limit_data 20');
    ($value, $error) = $c->try('ECHO', 'z' x 100);
    like($error, qr/closed|reset/, 'limit_data');

    $proxy->set('pass');
    $c->cmd('PING');
    for my $mode (qw(reset close halfclose)) {
        $proxy->set($mode);
        ($value, $error) = $c->try('PING');
        like($error, qr/closed|reset|send|PING|Broken/i, "$mode: one that stood");
        ($value, $error) = through($way)->try('PING');
        ok($error, "$mode: a new one");
        $proxy->set('pass');
        is(through($way)->cmd('PING'), 'PONG', "$mode: over");
    }

    $proxy->set('blackhole');
    ($value, $error) = $c->try('PING');
    like($error, qr/no answer/, 'blackhole: silence');
    $proxy->set('pass');
    is(through($way)->cmd('PING'), 'PONG', 'blackhole: over');
}

$proxy->set('reset tcp');
is(through($ways[0])->cmd('PING'), 'PONG', 'a mode of one pair only');
is($proxy->stats->{tcp}{mode}, 'reset', 'stats: mode');
cmp_ok($proxy->stats->{redis}{dropped}, '>=', 6, 'stats: dropped');
$proxy->set('pass');

$redis->stop;
my ($value, $error) = through($ways[1])->try('PING');
ok($error, 'a server that is away: refused');

for my $wrong ('', 'nonsense', 'latency', 'latency x', 'slicer 0', 'pass no-pair',
    'drop_reply 1 match', 'drop_reply x y') {
    like($proxy->ask($wrong), qr/^error \S/, "refused: '$wrong'");
}
ok($proxy->stop, 'ends by SIGTERM');

done_testing();
