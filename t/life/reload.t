# nginx is reloaded twenty times under load, and leaves when it is asked to:
# nobody's purchase fails by it, no worker stays, nothing leaks.

use strict;
use warnings;
use lib 't/lib';
use Speedy::Fault;
use Speedy::Fault::Nginx;
use Speedy::Proc qw(usage worst);
use Speedy::Stack;
use Speedy::Util qw(alive wait_for);
use Test::More;

my $s = Speedy::Stack->up;
Speedy::Fault::warm_up($s);
$s->reload;
Speedy::Fault::warm_up($s);
my $before = worst($s->workers);
my $master = usage($s->pid('nginx'));
my $count = () = $s->workers;

Speedy::Fault->run($s, { seconds => 8 }, Speedy::Fault::Nginx->rows('F3'));

my $after = worst($s->workers);
my $then = usage($s->pid('nginx'));
diag(sprintf 'worker: fds %d -> %d, threads %d -> %d, RSS %d -> %d KiB; '
        . 'master: fds %d -> %d, RSS %d -> %d KiB',
    map({ ($before->{$_}, $after->{$_}) } qw(fds threads rss)),
    map({ ($master->{$_}, $then->{$_}) } qw(fds rss)));
is(scalar(() = $s->workers), $count, 'as many workers as before');
cmp_ok($after->{threads}, '<=', $before->{threads}, 'no thread was left');
# The load of the row may still have idle connections.
cmp_ok($then->{fds}, '<=', $master->{fds} + 2, 'no descriptor of the master');
cmp_ok($then->{rss}, '<', $master->{rss} + 8192, 'nor memory');
cmp_ok($after->{rss}, '<', $before->{rss} * 1.5 + 8192,
    'a worker is as small as before');

# QUIT while a hundred wait for their delivery report.
my $proxy = $s->proxy('kafka');
Speedy::Fault::warm_up($s);
my $sale = $s->new_sale(stock => 1000);
$proxy->set('latency 600 kafka');
my $load = $s->load(sale => $sale, shoppers => 100);
wait_for { return $s->redis('HLEN', "speedy:{$sale}:pend") == 100 } 10,
    'a hundred purchases under way';
my $old = $s->signal('nginx', 'QUIT');
my $sum = $load->finish(60);
$proxy->set('pass');
is_deeply($sum->{answers}, { 202 => 100 }, 'QUIT: who waits gets the answer');
wait_for { return !alive($old) } 20, 'nginx to leave';
$s->restarted('nginx', $old, 10);
wait_for { return $s->buy($sale)->{status} == 202 } 20, 'the next purchase';
ok($s->settled($sale, 30), 'all is at rest');
$s->audit_ok($load->log);
done_testing();
