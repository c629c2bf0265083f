# Answers from shared memory: given only when they are true, and never to
# somebody who holds a unit.

use strict;
use warnings;
use lib 't/lib';
use Speedy::Module qw(gateway sale redis redis_now nginx_start nginx_stop
    purchase metric);
use Speedy::Util qw(wait_for try_for nap);
use Test::More;

gateway();
my $n = nginx_start(workers => 2);

my $sold_out = 'zone_answers_total{answer="sold_out"}';
my $not_open = 'zone_answers_total{answer="sale_not_open"}';

# Asks until the zone has answered; the answers must all be this code.
sub zone_answers {
    my ($sale, $metric, $code) = @_;
    my $before = metric($n, $metric);
    my $i = 0;
    my %codes;
    my $done = try_for {
        my $r = purchase($n, $sale, user => 'asker' . ++$i, key => "k$i");
        $codes{ $r->{code} // $r->{state} // $r->{status} }++;
        return metric($n, $metric) > $before;
    } 10;
    is(join(' ', sort keys %codes), $code, "$sale: only $code");
    return $done;
}

# --- sold out

sale('out', stock => { default => 0, other => 5 }, held => 2,
    log => [map {"holder$_"} 1 .. 2500]);
ok(zone_answers('out', $sold_out, 'sold_out'), 'sold out, by the zone');
my $r = purchase($n, 'out', user => 'asker1', key => 'x');
is($r->{status}, 409);
is($r->{left}, 0, 'with what is left');
is($r->{unpaid_holds}, 2, 'and the unpaid holds');
$r = purchase($n, 'out', user => 'asker1', key => 'y', variant => 'other');
is($r->{status}, 202, 'another variant of it is sold');

my $asked = metric($n, 'zone_asked_total');
my $given = metric($n, $sold_out);
for my $i (1, 1000, 1001, 2000, 2500) {
    purchase($n, 'out', user => "holder$i", key => "h$i");
}
is(metric($n, $sold_out), $given, 'holders on every page go to Redis');
is(metric($n, 'zone_asked_total'), $asked + 5);

# --- the owner of the last unit

sale('last', stock => { default => 1 });
my $mine = purchase($n, 'last', user => 'owner', key => 'mine');
is($mine->{status}, 202, 'the last unit');
ok(zone_answers('last', $sold_out, 'sold_out'), 'then sold out');
$r = purchase($n, 'last', user => 'owner', key => 'mine');
is($r->{order_id}, $mine->{order_id}, 'its owner is told of the order');

# --- units that come back

redis()->cmd('HSET', 'speedy:{last}:stock', 'default', 1,
    'cool:default', redis_now());
$r = purchase($n, 'last', user => 'owner2', key => 'a');
is($r->{code}, 'sold_out', 'cooling, or not yet seen');
ok((try_for {; purchase($n, 'last', user => 'owner2', key => 'a')->{status} == 202 } 3),
    'sold again after the cool-down');

sale('cool', stock => { default => 5, 'cool:default' => redis_now() });
$r = purchase($n, 'cool', user => 'c1');
SKIP: {
    skip 'this machine was too slow for 300 ms', 2 if $r->{status} == 202;
    is($r->{code}, 'sold_out', 'cooling');
    is($r->{headers}{'retry-after'}, 1, 'but not for long');
}
sale('future', stock => { default => 5, 'cool:default' => redis_now() + 3_600_000 });
is(purchase($n, 'future', user => 'c1')->{status}, 202,
    'a cool-down of the future is none');

# --- another epoch

sale('again', stock => { default => 0 }, log => ['a', 'b', 'c']);
ok(zone_answers('again', $sold_out, 'sold_out'), 'epoch 1');
sale('again', stock => { default => 0 }, epoch => 2, log => ['late']);
ok(zone_answers('again', $sold_out, 'sold_out'), 'epoch 2');
ok((try_for {
    my $had = metric($n, $sold_out);
    purchase($n, 'again', user => 'late', key => 'l');
    return metric($n, $sold_out) == $had;
} 3), 'its set was read anew');

# --- the gate falls

redis()->cmd('DEL', 'speedy:{again}:gate');
ok((try_for {; purchase($n, 'again', user => 'z')->{code} eq 'sale_fenced' } 3),
    'no answer of the zone outlives the gate');

# --- nobody probes while nobody asks

nap(0.3);
my $probes = metric($n, 'zone_probes_total');
my $r2 = purchase($n, 'out', user => 'newcomer', key => 'late');
is($r2->{code}, 'sold_out');
cmp_ok(metric($n, 'zone_probes_total') - $probes, '<=', 3, 'no probes without traffic');

# --- not open

my $opens = redis_now() + 2500;
sale('soon', opens_at => $opens, stock => { default => 3 });
ok(zone_answers('soon', $not_open, 'sale_not_open'), 'not open, by the zone');
my ($early, $first) = (0);
wait_for {;
    my $before = redis_now();
    my $r = purchase($n, 'soon', user => 'eager', key => 'e');
    if ($r->{status} == 202) { $first = redis_now(); $early = $first < $opens; return 1 }
    die "told $r->{code}\n" if $r->{code} ne 'sale_not_open' || $before > $opens + 60;
    return 0;
} 10, 'the opening';
ok(!$early, 'never before it opens');
cmp_ok($first - $opens, '<', 300, 'and at once when it opens');

# --- a set that does not fit

sale('huge', stock => { default => 0 });
redis()->pipeline(map { [ 'RPUSH', 'speedy:{huge}:log', map {"h$_"} $_ * 1000 .. $_ * 1000 + 999 ] } 0 .. 299);
ok((try_for {; purchase($n, 'huge', user => 'x', key => 'x'); metric($n, 'zone_full_total') } 15),
    'a set that does not fit is noticed');
my $had = metric($n, $sold_out);
is(purchase($n, 'huge', user => 'x', key => "x$_")->{code}, 'sold_out') for 1 .. 3;
is(metric($n, $sold_out), $had, 'then Redis is asked each time');

is(join("\n", nginx_stop($n)), '', 'an orderly end');
done_testing();
