# Two hundred watch a sale through the whole shop: purchases, stock that is
# added, a pause, a notice, the end; a reload, Redis killed, and both of
# nginx's workers killed in between.

use strict;
use warnings;
use lib 't/lib';
use Speedy::Fault;
use Speedy::Stack;
use Speedy::Streams;
use Speedy::Util qw(alive try_for wait_for);
use Test::More;
use Time::HiRes qw(time);

my $s = Speedy::Stack->up;
Speedy::Fault::warm_up($s);
my ($port) = $s->url =~ /:(\d+)$/;
my $sale = $s->new_sale(stock => 50, limit => 50, hold => '10m');
my $path = "/api/v1/sales/$sale/stock";

sub left { return $s->http('GET', $path)->{json}{variants}[0]{left} }
sub metric {
    my ($name) = @_;
    my $text = $s->http('GET', '/metrics', url => $s->ops_url)->{content};
    my $sum = 0;
    $sum += $1 while $text =~ /^speedy_$name\b\S* (\d+)$/mg;
    return $sum;
}

is(left(), 50, 'what GET says');
my $r = Speedy::Streams->open($port, "$path/stream", readers => 200, reconnect => 1);
ok($r->until(5, 'shown', sub { ($_->{left}{default} // 0) == 50 && $_->{state} eq 'open' && exists $_->{notice} }),
    'two hundred are shown the sale');
ok((try_for { return metric('stock_streams') == 200 } 5), 'nginx counts them');

# --- purchases

my $worst = 0;
for my $n (1 .. 10) {
    is($s->buy($sale, user => 'buyer', key => "k$n")->{status}, 202, 'a purchase');
    my $sold = time;
    ok($r->until(2, 'told', sub { $_->{left}{default} == 50 - $n }), 'all see it');
    my ($last) = sort { $b <=> $a } map { $_->{events}[-1]{at} } $r->readers;
    $worst = $last - $sold if $last - $sold > $worst;
}
diag(sprintf 'from the answer of a purchase to the last of 200 readers: %.0f ms at worst', 1000 * $worst);
cmp_ok($worst, '<', 0.5, 'within 500 ms');

# --- operators' acts

sub seen {
    my ($name, $code, @act) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $s->ctl('sale', @act);
    my $since = time;
    ok($r->until(5, $name, $code), $name);
    my $took = time - $since;
    diag(sprintf '%s: all see it after %.2f s', $name, $took);
    return cmp_ok($took, '<', 1.5, '... soon');
}
seen('a pause', sub { $_->{state} eq 'paused' }, 'pause', $sale);
seen('a notice', sub { ($_->{notice} // '') eq "\x{b9e4}\x{c9c4} <b>\"10\"" }, 'notice', $sale, '매진 <b>"10"');
seen('the sale resumed', sub { $_->{state} eq 'open' }, 'resume', $sale);
seen('stock added', sub { $_->{left}{default} == 45 }, 'stock', $sale, 'default', '+5');
seen('the notice taken away', sub { !defined $_->{notice} }, 'notice', $sale, '');

# --- a reload

$s->reload;
my $begun = time;
ok($r->until(5, 'back', sub { $_->{opened} == 2 && $_->{open} && $_->{status} }), 'a reload: all are back');
diag(sprintf 'all are back after %.1f s', time - $begun);
is(scalar(grep { !$_->{last_chunk} } $r->readers), 0, 'each stream had ended in order');
$s->buy($sale, user => 'buyer', key => 'after-reload');
ok($r->until(5, 'told', sub { $_->{left}{default} == 44 }), 'and see the next purchase');
my @odd = grep {
    join(' ', map { $_->{event} } @{ $_->{events} }) !~ /^state stock notice( stock){10,11} state notice state( stock){1,2} notice stock$/
} $r->readers;
is(scalar @odd, 0, 'nobody was told anything twice')
    or diag(join ' ', map { $_->{event} } @{ $odd[0]{events} });

# --- Redis is lost, and restored by stockd

my $redis = $s->pid('redis');
$s->kill_9('redis');
ok($r->until(10, 'told', sub { $_->{state} eq 'unavailable' || ($_->{events}[-1]{data}{state} // '') eq 'open' }),
    'Redis killed: all are told');
$s->restarted('redis', $redis, 20);
ok($r->until(30, 'told', sub { $_->{state} eq 'open' && $_->{left}{default} == 44 }), 'restored: all see it as it was');
is(scalar(grep { $_->{opened} != 2 || !$_->{open} } $r->readers), 0, 'the streams stood all the time');

# --- both workers die

my @old = $s->workers;
$s->allow(qr/exited on signal 9/);
kill 'KILL', @old;
ok($r->until(10, 'back', sub { $_->{opened} == 3 && $_->{open} && $_->{status} }), 'workers killed: all come back');
wait_for { return $s->buy($sale, user => 'buyer', key => 'after-kill')->{status} == 202 } 10, 'a purchase';
ok($r->until(5, 'told', sub { $_->{left}{default} == 43 }), 'and see the next purchase');

# --- the end

seen('the end of the sale', sub { $_->{state} eq 'ended' }, 'close', $sale);
$r->close;
ok((try_for { return metric('stock_streams') == 0 } 5), 'nobody is counted any more');
ok((try_for { return metric('stock_sales') == 0 } 5), 'and nothing looked at');
is($s->http('GET', "/api/v1/sales/nothing/stock")->{status}, 404, 'what never was');
ok($s->settled($sale, 30), 'all is at rest');
$s->audit_ok;
done_testing();
