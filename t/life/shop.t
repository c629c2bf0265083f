# The shop as a shopper and an operator use it: a purchase from the request to
# MySQL, a retry that nothing may mask, holds that end, an operator's acts, and
# a second instance that takes over.

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use Speedy::Fault;
use Speedy::Fault::Orderd;
use Speedy::Fault::Stockd;
use Speedy::Gateway;
use Speedy::Stack;
use Speedy::Util qw(wait_for);
use Test::More;
use Time::HiRes qw(time);

my $s = Speedy::Stack->up;
my $proxy = $s->proxy('kafka');
Speedy::Fault::warm_up($s);

sub in_mysql {
    my ($order) = @_;
    return $s->sql('SELECT state FROM orders WHERE id = UNHEX(?)',
        $order =~ s/-//gr);
}

# Buys with new keys until the answer has this code (202 has none).
sub until_code {
    my ($sale, $code, $seconds) = @_;
    my $res;
    wait_for {
        $res = $s->buy($sale);
        return ($res->{code} // $res->{status}) eq $code;
    } $seconds, "the answer $code";
    return $res;
}

sub left {
    my ($sale) = @_;
    return $s->redis('HGET', "speedy:{$sale}:stock", 'default');
}

subtest 'a purchase, end to end' => sub {
    my $sale = $s->new_sale(stock => 10, price => 129000);
    my $begun = time;
    my $res = $s->buy($sale, user => 'alice', key => 'first');
    is($res->{status}, 202, 'accepted') or diag($res->{content});
    my $id = $res->{order_id};
    wait_for { return in_mysql($id) } 5, 'the order in MySQL';
    diag(sprintf 'order in MySQL %.0f ms after the request was sent',
        1000 * (time - $begun));
    is($res->{headers}{location}, "/api/v1/orders/$id", 'it says where');
    is($res->{json}{amount}, 129000, 'and how much');

    my $token = $s->token('alice');
    my $one = $s->http('GET', "/api/v1/orders/$id", token => $token);
    is($one->{status}, 200, 'the order can be read');
    is($one->{json}{state}, 'PENDING_PAYMENT', '... and waits to be paid');
    my $list = $s->http('GET', '/api/v1/orders', token => $token);
    is($list->{json}{data}[0]{order_id}, $id, 'it is in the list');
    my $other = $s->http('GET', "/api/v1/orders/$id", token => $s->token('bob'));
    is($other->{status}, 404, 'nobody else sees it');

    my $again = $s->buy($sale, user => 'alice', key => 'first');
    is($again->{status}, 202, 'the same key again');
    is($again->{order_id}, $id, '... is the same order');
    is($again->{headers}{'idempotent-replayed'}, 'true', '... and says so');
    my $second = $s->buy($sale, user => 'alice', key => 'second');
    is($second->{code}, 'limit_reached', 'another key meets the limit');
    is(left($sale), 9, 'one unit is gone');
};

# The last unit's delivery report is lost. Its owner must get it all the same.
subtest 'a retry is never masked' => sub {
    my $sale = $s->new_sale(stock => 3);
    my $gateway = Speedy::Gateway->start($s);
    is($s->buy($sale)->{status}, 202, 'one of three');
    is($s->buy($sale, url => $gateway->url)->{status}, 202,
        'two of three, at the other gateway');
    my %mine = (user => 'carol', key => 'the-last-one');
    $proxy->set('drop_reply all match kafka:0 kafka');
    my $res = $s->buy($sale, %mine);
    is($res->{status}, 503, 'the last one: no final answer');
    is($res->{code}, 'in_doubt', '... in doubt');
    my $id = $res->{order_id};
    like($id, qr/^[0-9a-f-]{36}$/, '... with the id of the order');

    my $load = $s->load(sale => $sale, first => 1001, shoppers => 3000,
        'no-retry' => undef, url => [$s->url, $gateway->url]);
    my $sum = $load->finish(60);
    is_deeply($sum->{final}, { '409 sold_out' => 3000 },
        'three thousand others are told sold_out');
    for my $url ($s->url, $gateway->url) {
        $res = $s->buy($sale, %mine, url => $url);
        is($res->{code}, 'in_doubt', 'the owner is not');
        is($res->{order_id}, $id, '... and it is the same order');
    }
    $s->ctl('sale', 'close', $sale);
    until_code($sale, 'sale_closed', 5);
    $res = $s->buy($sale, %mine, url => $gateway->url);
    is($res->{code}, 'in_doubt', 'nor told sale_closed');
    $proxy->set('pass');
    for my $url ($gateway->url, $s->url) {
        wait_for {
            $res = $s->buy($sale, %mine, url => $url);
            return $res->{status} != 503;
        } 20, 'a final answer';
        is($res->{status}, 202, 'with reports again, after closing: 202');
        is($res->{order_id}, $id, '... for that order');
    }
    ok((wait_for { return in_mysql($id) } 10, 'the order'), 'it is in MySQL');
    is($s->sql('SELECT COUNT(*) FROM orders WHERE sale_id = ?', $sale), 3,
        'three orders of three units');
    $gateway->stop;
};

subtest 'a hold ends' => sub {
    my $sale = $s->new_sale(stock => 3, hold => '3s');
    my %first = map { $_ => $s->buy($sale, user => "early$_", key => "e$_") }
        1 .. 3;
    is(scalar(grep { $_->{status} == 202 } values %first), 3, 'three are held');
    my $res = $s->buy($sale);
    is($res->{code}, 'sold_out', 'the fourth finds nothing');
    ok((wait_for {
        return ($s->buy($sale)->{json}{unpaid_holds} // 0) == 3;
    } 2, 'three unpaid holds'), '... but units that may come back');
    until_code($sale, 202, 15);
    my $sellable = time;
    my $deadline = $s->sql('SELECT MIN(UNIX_TIMESTAMP(pay_by)) FROM orders
        WHERE sale_id = ?', $sale);
    diag(sprintf 'deadline to sellable: %.2f s', $sellable - $deadline);
    cmp_ok($sellable - $deadline, '>', 0, 'not before the deadline');
    cmp_ok($sellable - $deadline, '<', 3, 'sold again soon after it');
    until_code($sale, 202, 5) for 1 .. 2;
    my $gone = $s->buy($sale, user => 'early1', key => 'e1');
    is($gone->{code}, 'order_ended', 'the old key: that order is over');
    is($gone->{order_id}, $first{1}{order_id}, '... which is named');
    my $state = in_mysql($first{1}{order_id});
    is($state, 'EXPIRED', '... and expired');
};

subtest 'pause, resume, close' => sub {
    my $sale = $s->new_sale(stock => 10000, limit => 1);
    for (['pause', 'sale_paused'], ['resume', 202], ['close', 'sale_closed']) {
        my ($act, $code) = @$_;
        $s->ctl('sale', $act, $sale);
        my $since = time;
        until_code($sale, $code, 10);
        my $took = time - $since;
        diag(sprintf '%s is effective after %.2f s', $act, $took);
        cmp_ok($took, '<', 2, "$act: $code within two seconds");
    }
};

subtest 'stock is raised and lowered' => sub {
    my $sale = $s->new_sale(stock => 2);
    is($s->buy($sale)->{status}, 202, 'one of two');
    $s->ctl('sale', 'stock', $sale, 'default', '+3');
    is(left($sale), 4, 'raised by three');
    $s->ctl('sale', 'stock', $sale, 'default', '-2');
    is(left($sale), 2, 'lowered by two');
    my ($status, $out, $err) = $s->ctl_try('sale', 'stock', $sale, 'default', '-3');
    is($status, 1, 'more than is left: refused');
    is($s->buy($sale)->{status}, 202, 'two') for 1 .. 2;
    is($s->buy($sale)->{code}, 'sold_out', 'and no more');
    $s->ctl('sale', 'stock', $sale, 'default', '+1');
    until_code($sale, 202, 5);
    my ($v) = @{ $s->ctl_json('sale', 'show', $sale)->{variants} };
    is_deeply([@$v{qw(total left)}], [4, 0], 'four in all, none left');
};

subtest 'the second stockd' => sub {
    my $sale = $s->new_sale(stock => 1000);
    my $token = sub {
        return $s->redis('HGET', "speedy:{$sale}:loaded", 'token');
    };
    my $leads = sub {
        my ($not, $seconds) = @_;
        my $since = time;
        my $new = wait_for {
            my $now = Speedy::Fault::Stockd::leader($s);
            return $now && $now ne $not ? $now : 0;
        } $seconds, "another leader than $not";
        diag(sprintf '%s leads after %.1f s', $new, time - $since);
        return $new;
    };
    my $first = Speedy::Fault::Stockd::leader($s);
    $s->hold($first);
    $s->kill_9($first);
    my $second = $leads->($first, 8);
    is(until_code($sale, 202, 8)->{status}, 202, 'killed: the other sells on');
    $s->unhold($first);
    $s->restarted($first, 0, 10);

    # The leader stands still, and so does its successor: what wakes up first
    # is the old one, with a token of the past, before an empty gate.
    my $old = $token->();
    $s->stop($second);
    $leads->($second, 8);
    my $newer = wait_for {
        my $t = $token->();
        return $t > $old ? $t : 0;
    } 8, 'the claim of the new leader';
    $s->stop($first);
    $s->redis('DEL', "speedy:{$sale}:gate");
    $s->cont($second);
    wait_for { return $s->redis('EXISTS', "speedy:{$sale}:gate") } 15, 'a gate';
    cmp_ok($token->(), '>', $newer,
        'the gate is opened by a newer token only, never by the old one');
    $s->cont($first);
    is(until_code($sale, 202, 5)->{status}, 202, 'and it sells');
};

subtest 'the second orderd' => sub {
    my $sale = $s->new_sale(stock => 100);
    wait_for { return Speedy::Fault::Orderd::partitions($s, 'orderd_1') } 20,
        'partitions of orderd_1';
    $s->hold('orderd_1');
    $s->kill_9('orderd_1');
    my $since = time;
    my @ids = map { $s->buy($sale)->{order_id} } 1 .. 24;
    wait_for {
        return Speedy::Fault::Orderd::partitions($s, 'orderd_2') == 12;
    } 8, 'every partition at orderd_2';
    diag(sprintf 'orderd_2 has all partitions after %.1f s', time - $since);
    ok((wait_for { return !grep { !in_mysql($_) } @ids } 10, 'the orders'),
        'every order is in MySQL');
    is($s->http('GET', '/api/v1/orders', token => $s->token('alice'))->{status},
        200, 'orders can be read');
    $s->unhold('orderd_1');
    wait_for { return Speedy::Fault::Orderd::partitions($s, 'orderd_1') == 6 }
        30, 'half of them at orderd_1 again';
};

$s->audit_ok;
done_testing();
