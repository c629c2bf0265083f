# Two thousand shoppers knock every half second, each at a moment of its own,
# from five seconds before a sale opens: not one gets in before its time, which
# is Redis' time, and the first gets in at once after it.

use strict;
use warnings;
use lib 't/lib';
use Speedy::Fault;
use Speedy::Stack;
use Speedy::Util qw(wait_for);
use Test::More;
use Time::HiRes qw(time);

my $shoppers = 2000;
my $beat = 500;
my $units = 1000;

my $s = Speedy::Stack->up;
Speedy::Fault::warm_up($s);
my $tokens = $s->tokens(1, $shoppers);

sub rfc3339 {
    my ($ms) = @_;
    my @t = gmtime int($ms / 1000);
    return sprintf '%04d-%02d-%02dT%02d:%02d:%02d.%03dZ', $t[5] + 1900,
        $t[4] + 1, @t[3, 2, 1, 0], $ms % 1000;
}

sub redis_ms {
    my ($seconds, $micro) = @{ $s->redis('TIME') };
    return 1000 * $seconds + $micro / 1000;
}

# An odd millisecond, so that nothing that looks once a second meets it.
my $opens = 1000 * int(time + 9) + 337;
my $sale = $s->new_sale(stock => $units, 'opens-at' => rfc3339($opens));
is($s->sql('SELECT ROUND(1000 * UNIX_TIMESTAMP(opens_at)) FROM sales WHERE id = ?',
    $sale), $opens, 'it opens to the millisecond');
cmp_ok(abs(redis_ms() - 1000 * time), '<', 5, "Redis' clock is this machine's");

my $load = $s->load(sale => $sale, shoppers => $shoppers, tokens => $tokens,
    limit => 1, 'start-at' => $opens - 5000 - $beat,
    arrival => 'steady:' . 1000 * $shoppers / $beat, requests => $shoppers,
    'retry-code' => 'sale_not_open', 'retry-every' => "${beat}ms",
    timeout => '4s', 'give-up' => '40s');
my $sum = $load->finish(90);

is($sum->{exit}, 0, 'no answer contradicts an earlier one');
is($sum->{final}{202}, $units, 'sold to the last unit');
is($sum->{final}{'409 sold_out'}, $shoppers - $units, 'the others are told so');
my @lines = $load->lines;
my @early = grep { $_->{time} < $opens } @lines;
cmp_ok(scalar @early, '>=', 8 * $shoppers, 'they knocked before');
is_deeply([grep { $_->{code} ne 'sale_not_open' } @early], [],
    '... and each was told that it is not open');
my %moments = map { ($_->{sent} % $beat) => 1 } @early;
cmp_ok(scalar keys %moments, '>', 0.8 * $beat, 'at every moment of the half second');

ok($s->settled($sale, 30), 'at rest');
is($s->sql('SELECT COUNT(*) FROM orders WHERE sale_id = ? AND reserved_at <
    FROM_UNIXTIME(?)', $sale, $opens / 1000), 0, 'no order from before the opening');
my $reserved = $s->sql('SELECT ROUND(1000 * UNIX_TIMESTAMP(MIN(reserved_at)))
    FROM orders WHERE sale_id = ?', $sale);
cmp_ok($reserved, '>=', $opens, 'the first is from after it');

my ($first) = sort { $a <=> $b } map { $_->{time} } grep { $_->{status} == 202 } @lines;
my @late = grep { $_->{code} eq 'sale_not_open' && $_->{sent} > $opens + 1000 } @lines;
is(scalar @late, 0, 'a second later nobody waits any more');
my ($last_no) = sort { $b <=> $a } map { $_->{sent} }
    grep { $_->{code} eq 'sale_not_open' } @lines;
diag(sprintf 'first reservation %d ms after the opening, first 202 %d ms, '
    . 'last knock in vain sent %d ms after it; %d knocks before',
    $reserved - $opens, $first - $opens, $last_no - $opens, scalar @early);

$s->audit_ok($load->log);
done_testing();
