package Speedy::Rush;

# Everybody at one instant: a sale that opens when all are there, and what must
# be true of it afterwards.

use strict;
use warnings;
use POSIX qw(strftime);
use Speedy::Util qw(read_file);
use Test::More ();

=head1 SYNOPSIS

    Speedy::Rush->run($s, shoppers => 2000, stock => 200);
    Speedy::Rush->run($s, shoppers => 10_000, stock => 1000, limit => 2,
        variants => [qw(270 280 290)], same => 20, new => 20);

C<stock> is the sum of the variants; C<same> and C<new> are the percentages who
send their key again, or buy again with a new one.

=cut

sub run {
    my ($class, $s, %o) = @_;
    my @variants = @{ $o{variants} // ['default'] };
    my $limit = $o{limit} // 1;
    my %stock = map { $_ => int $o{stock} / @variants } @variants;
    $stock{ $variants[0] } += $o{stock} - $stock{ $variants[0] } * @variants;
    my $opens = int(time) + 6;
    my $sale = $s->new_sale(
        stock => @variants == 1 ? $o{stock}
            : join(',', map { "$_=$stock{$_}" } @variants),
        limit => $limit,
        'opens-at' => strftime('%Y-%m-%dT%H:%M:%S+00:00', gmtime $opens));
    my $load = $s->load(
        sale => $sale, shoppers => $o{shoppers}, limit => $limit,
        variants => join(',', @variants), 'start-at' => $opens * 1000,
        'retry-code' => 'sale_not_open', timeout => '20s', 'give-up' => '90s',
        $o{same} ? ('repeat-same' => $o{same}) : (),
        $o{new} ? ('repeat-new' => $o{new}) : ());
    my $sum = $load->finish(180);
    my ($accepted, $users, $last) = accepted($load->log);
    Test::More::diag(sprintf
        '%d shoppers, %d units: last 202 %.2f s after the opening, '
            . '%d answers, %.0f/s, p99 %.0f ms, violations %d',
        $o{shoppers}, $o{stock}, $last / 1000 - $opens, $sum->{requests},
        $sum->{rps}, $sum->{latency_ms}{p99}, $sum->{violations});

    Test::More::is($sum->{exit}, 0, 'no answer contradicts an earlier one');
    Test::More::is($sum->{unfinished}, 0, 'every shopper has a final answer');
    my %odd = map { $_ => $sum->{final}{$_} }
        grep { !/^(?:202|409 (?:sold_out|limit_reached))$/ } keys %{ $sum->{final} };
    Test::More::is_deeply(\%odd, {}, 'which is 202, sold_out or limit_reached');
    Test::More::is(scalar keys %$accepted, $o{stock},
        "exactly $o{stock} orders were accepted");
    Test::More::is(scalar(grep { $_ > $limit } values %$users), 0,
        "nobody has more than $limit");
    Test::More::ok($s->settled($sale, 60), 'all is at rest');
    Test::More::is($s->sql('SELECT COUNT(*) FROM orders WHERE sale_id = ?
        AND state <> "REJECTED"', $sale), $o{stock}, 'and so many are in MySQL');
    Test::More::is($s->sql('SELECT COUNT(*) FROM orders WHERE sale_id = ?
        AND state = "REJECTED"', $sale), 0, 'none was rejected');
    for my $v (@variants) {
        Test::More::is($s->sql('SELECT total - held FROM sale_variants
            WHERE sale_id = ? AND variant = ?', $sale, $v), 0,
            "variant $v is sold out");
    }
    $s->audit_ok($load->log);
    return $sum;
}

# Orders with a 202, units of each user, and the time of the last one.
sub accepted {
    my ($log) = @_;
    my (%orders, %users, $last);
    for my $line (split /\n/, read_file($log) // '') {
        next if $line !~ /"status":202,/;
        my ($time, $user, $order)
            = $line =~ /"time":(\d+).*"user":"([^"]+)".*"order_id":"([^"]+)"/
            or next;
        next if $orders{$order}++;
        $users{$user}++;
        $last = $time if !$last || $time > $last;
    }
    return (\%orders, \%users, $last // 0);
}

1;
