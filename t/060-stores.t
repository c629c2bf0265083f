# Redis and Kafka at their worst: what a client is told, and that one key
# stays one order.

use strict;
use warnings;
use lib 't/lib';
use Speedy::Module qw(gateway sale redis kafka nginx_start nginx_stop
    nginx_log purchase metric freeze);
use Speedy::Util qw(wait_for try_for);
use Test::More;
use Time::HiRes qw(time);

gateway();
sale('s', stock => { default => 1000 }, limit => 1000);
my $n = nginx_start(http => {
    redis_timeout => '300ms', kafka_timeout => '500ms',
    redis_connect_timeout => '300ms', kafka_message_timeout => '4s',
});
my $serial = 0;
sub key  { return 'key-' . ++$serial }
sub left { return redis()->cmd('HGET', 'speedy:{s}:stock', 'default') }
sub pend { return redis()->cmd('HLEN', 'speedy:{s}:pend') }

is(purchase($n, 's', key => key())->{status}, 202, 'all is well');

# --- Redis forgets the scripts

redis()->cmd('SCRIPT', 'FLUSH');
is(purchase($n, 's', key => key())->{status}, 202, 'NOSCRIPT is not told');
cmp_ok(metric($n, 'redis_noscript_total'), '<=', 3, 'each text was sent once');

# --- error replies

redis()->cmd('CONFIG', 'SET', 'maxmemory', 1);
my $r = purchase($n, 's', key => key());
is($r->{code}, 'unavailable', 'OOM');
is($r->{headers}{'retry-after'}, 1);
redis()->cmd('CONFIG', 'SET', 'maxmemory', 0);

sale('bad', stock => { default => 5 });
redis()->cmd('SET', 'speedy:{bad}:user', 'text');
is(purchase($n, 'bad', key => key())->{code}, 'unavailable', 'WRONGTYPE');
sale('odd', stock => { other => 5 });
redis()->cmd('HSET', 'speedy:{odd}:gate', 'price:default', 1);
is(purchase($n, 'odd', key => key())->{code}, 'unavailable', 'an error of the script');
redis()->cmd('ACL', 'SETUSER', 'speedy', '-hset');
is(purchase($n, 's', key => key())->{code}, 'unavailable', 'NOPERM');
redis()->cmd('ACL', 'SETUSER', 'speedy', '+hset');
is(purchase($n, 's', key => key())->{status}, 202, 'and back');

# --- Redis is stopped: sent, and no reply

my $key = key();
my $before = left();
freeze(redis());
my $t = time;
$r = purchase($n, 's', key => $key);
is($r->{code}, 'in_doubt', 'no reply: in doubt');
is($r->{order_id}, undef, 'of an order that nobody knows');
cmp_ok(time - $t, '<', 2, 'within its time');
$t = time;
is(purchase($n, 's', key => key())->{code}, 'unavailable', 'then not even sent');
cmp_ok(time - $t, '<', 0.8, 'at once');
redis()->signal('CONT');
ok((try_for {; $r = purchase($n, 's', key => $key); $r->{status} == 202 } 10),
    'the retry has its order');
is(left(), $before - 1, 'and one unit was taken');

# --- Redis dies and comes back empty

redis()->kill_9;
$r = purchase($n, 's', key => key());
like($r->{code}, qr/^(unavailable|in_doubt)$/, 'Redis is gone');
is(purchase($n, 's', key => key())->{code}, 'unavailable', 'and stays away');
redis()->launch;
ok((try_for {; metric($n, 'redis_up') == 1 } 5), 'connected again');
is(purchase($n, 's', key => key())->{code}, 'unavailable',
    'an empty Redis proves nothing');
sale('s', stock => { default => 1000 }, limit => 1000, epoch => 2);
redis()->cmd('HSET', 'speedy:sales', ':complete', 'x' x 40);
is(purchase($n, 'other', key => key())->{code}, 'unavailable',
    'nor one that was filled for another');
sale('s', stock => { default => 1000 }, limit => 1000, epoch => 2);
is(purchase($n, 'other', key => key())->{code}, 'sale_not_found', 'filled');
is(purchase($n, 's', key => key())->{status}, 202, 'and sold from');

# --- the connection is cut again and again

for (1 .. 5) {
    redis()->cmd('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    ok((try_for {; purchase($n, 's', key => key())->{status} == 202 } 5), 'cut, and back');
}

# --- Kafka is stopped: reserved, and no report in time

freeze(kafka());
$key = key();
$before = left();
$t = time;
$r = purchase($n, 's', key => $key);
is($r->{code}, 'in_doubt', 'no report: in doubt');
like($r->{order_id}, qr/^[0-9a-f-]{36}$/, 'of an order that has an id');
is($r->{headers}{'retry-after'}, 1);
cmp_ok(time - $t, '<', 2, 'within its time');
my $id = $r->{order_id};
is(left(), $before - 1, 'the unit stays taken');
is(pend(), 1, 'and the order is pending');
is(purchase($n, 's', key => $key)->{order_id}, $id, 'a retry asks for the same');
kafka()->signal('CONT');
ok((try_for {; pend() == 0 } 10), 'the late report is acknowledged');
$r = purchase($n, 's', key => $key);
is($r->{status}, 202, 'the next retry is accepted');
is($r->{order_id}, $id, 'as that order');
is($r->{headers}{'idempotent-replayed'}, 'true');

# --- an acknowledgement after the gate changed its epoch

freeze(kafka());
$key = key();
$r = purchase($n, 's', key => $key);
is($r->{code}, 'in_doubt');
redis()->cmd('HSET', 'speedy:{s}:gate', 'epoch', 3);
kafka()->signal('CONT');
my $delivered = metric($n, 'kafka_delivered_total');
ok((try_for {; metric($n, 'kafka_waiting') == 0 } 10), 'reported');
$r = purchase($n, 's', key => $key);
is($r->{code}, 'in_doubt', 'an event of another epoch is never accepted');
is(pend(), 1, 'its order stays pending');
redis()->cmd('HSET', 'speedy:{s}:gate', 'epoch', 2);
is(purchase($n, 's', key => $key)->{status}, 202, 'until its epoch stands');

# --- Kafka dies for longer than a message lives

kafka()->kill_9;
$key = key();
$before = left();
is(purchase($n, 's', key => $key)->{code}, 'in_doubt', 'no Kafka');
ok((try_for {; metric($n, 'kafka_failed_total') >= 1 } 15), 'the report failed');
is(left(), $before - 1, 'nothing is given back');
is(pend(), 1, 'the order is pending');
kafka()->launch;
ok((try_for {; purchase($n, 's', key => $key)->{status} == 202 } 30), 'accepted in the end');
is(left(), $before - 1, 'once');

unlike(nginx_log($n), qr/eyJ/, 'no token in the log');
is(join("\n", nginx_stop($n)), '', 'an orderly end');

done_testing();
