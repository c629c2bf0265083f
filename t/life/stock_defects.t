# The defects of stock, money and scheduler of the system that this one
# replaces, each tried on the running shop.

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use POSIX qw(strftime);
use Speedy::Stack;
use Speedy::Util qw(run_command wait_for write_file);
use Test::More;
use Time::HiRes qw(time);

my $s = Speedy::Stack->up;
my $desk = $s->token($s->ctl_json('staff', 'add', '--login', 'desk', '--role',
    'OPERATOR')->{id}, role => 'OPERATOR');

sub left {
    my ($sale) = @_;
    return $s->redis('HGET', "speedy:{$sale}:stock", 'default');
}

sub counts {
    my ($sale) = @_;
    my ($v) = @{ $s->ctl_json('sale', 'show', $sale)->{variants} };
    return [@$v{qw(total held sold left)}];
}

sub admin {
    my ($method, $path, $json, %headers) = @_;
    return $s->http($method, "/admin$path", url => $s->ops_url, token => $desk,
        headers => \%headers, json => { reason => 'a test', %$json });
}

# A purchase whose body is sent as it stands here.
sub raw {
    my ($sale, $body, %o) = @_;
    return $s->http('POST', "/api/v1/sales/$sale/orders$o{query}",
        token => $s->token('mallory'), content => $body,
        headers => { 'Content-Type' => 'application/json',
            'Idempotency-Key' => 'raw' . rand, %{ $o{headers} // {} } });
}

# This many requests at once; the answers, counted.
sub at_once {
    my ($n, $ask) = @_;
    my @pids = map {
        my $pid = fork // die "fork: $!";
        if (!$pid) {
            my $res = eval { $ask->($_) } // { status => 0 };
            POSIX::_exit($res->{status} == 200 ? 20 : $res->{status} % 400);
        }
        $pid;
    } 1 .. $n;
    my %seen;
    for my $pid (@pids) {
        my $status = wait_for { waitpid($pid, 0) == $pid ? "$?" : 0 } 30, 'an answer';
        my $code = $status >> 8;
        $seen{ $code == 20 ? 200 : 400 + $code }++;
    }
    return \%seen;
}

# A rule of MariaDB's own, for as long as the code runs.
sub refused {
    my ($when, $condition, $code) = @_;
    $s->sql_root("DELIMITER //
        CREATE TRIGGER refused BEFORE $when ON orders FOR EACH ROW
        IF $condition THEN SIGNAL SQLSTATE '45000'
        SET MESSAGE_TEXT = 'refused by a test'; END IF//");
    is($s->sql_root("SELECT COUNT(*) FROM information_schema.triggers
        WHERE trigger_name = 'refused'"), 1, 'MariaDB has a rule against it');
    my $error = eval { $code->(); 1 } ? '' : $@;
    $s->sql_root('DROP TRIGGER refused');
    die $error if $error;
    return;
}

subtest 'a negative quantity does not raise stock' => sub {
    my $sale = $s->new_sale(stock => 10, limit => 5);
    for my $quantity (qw(-1 0 -5 -2147483648 -9223372036854775808
        4294967297 18446744073709551617 1.5 1e0 -1e3 "1" "-1" null true [1]))
    {
        my $res = raw($sale, qq({"variant":"default","quantity":$quantity}), query => '');
        like($res->{status}, qr/^(?:400|409)$/, "$quantity is refused: "
            . ($res->{code} // ''));
    }
    is(left($sale), 10, 'ten are left');
    my $res = admin('POST', "/sales/$sale/stock", { units => -11 });
    is($res->{json}{code}, 'stock_not_left', 'nor can an operator take more than all');
    is(left($sale), 10, 'ten are left');
};

subtest 'each has a limit' => sub {
    my $sale = $s->new_sale(stock => 100, limit => 3);
    is($s->buy($sale, user => 'greedy', quantity => 4)->{code}, 'invalid_quantity',
        'four at once');
    my $token = $s->token('greedy');
    my $load = $s->load(sale => $sale, shoppers => 60, limit => 0,
        tokens => write_file($s->dir . '/run/greedy', "$token\n" x 60));
    my $sum = $load->finish(60);
    is_deeply($sum->{final}, { 202 => 3, '409 limit_reached' => 57 },
        'sixty requests at one moment: three units');
    is(left($sale), 97, '... and no more are gone');
    is($s->buy($sale, user => 'greedy')->{code}, 'limit_reached', 'nor later');
};

subtest 'nobody before the opening time' => sub {
    my $sale = $s->new_sale(stock => 10, 'opens-at' => strftime(
        '%Y-%m-%dT%H:%M:%SZ', gmtime time + 3600));
    for my $headers ({}, { Date => strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime time + 7200) },
        { 'X-Speedy-Time' => int(1000 * time) + 7_200_000 })
    {
        is($s->buy($sale, headers => $headers)->{code}, 'sale_not_open',
            join ' ', 'not yet', %$headers);
    }
    is(left($sale), 10, 'ten are left');
};

subtest 'the price is not the client\'s' => sub {
    my $sale = $s->new_sale(stock => 10, limit => 10, price => 129_000);
    for my $name (qw(price unit_price amount total discount currency)) {
        my $res = raw($sale, qq({"variant":"default","quantity":1,"$name":1}), query => '');
        is($res->{code}, 'unknown_field', "$name is refused");
    }
    my $res = raw($sale, '{"variant":"default","quantity":2}',
        query => '?price=1&unit_price=1', headers => { 'X-Price' => 1 });
    if ($res->{status} == 202) {
        is($res->{json}{amount}, 258_000, 'two cost what two cost');
        my $id = $res->{json}{order_id} =~ s/-//gr;
        wait_for { return $s->sql('SELECT COUNT(*) FROM orders WHERE id = UNHEX(?)', $id) }
            10, 'the order';
        is($s->sql('SELECT unit_price FROM orders WHERE id = UNHEX(?)', $id), 129_000,
            '... and so it stands in MySQL');
    } else {
        is($res->{status}, 400, 'arguments are refused');
    }
};

subtest 'stock is not lost when an order cannot be saved' => sub {
    my $sale = $s->new_sale(stock => 10, hold => '4s');
    $s->sql_root('SET GLOBAL read_only = 1');
    my @ids = map { $s->buy($sale)->{order_id} } 1 .. 4;
    is(scalar(grep {defined} @ids), 4, 'four are sold while MySQL takes nothing');
    is(left($sale), 6, 'six are left');
    $s->sql_root('SET GLOBAL read_only = 0');
    wait_for { return $s->sql('SELECT COUNT(*) FROM orders WHERE sale_id = ?', $sale) == 4 }
        20, 'the orders';
    pass('the orders are saved when it takes them');

    my $other = $s->new_sale(stock => 5, hold => '4s');
    refused('INSERT', "NEW.sale_id = '$sale'", sub {
        push @ids, $s->buy($sale)->{order_id};
        ok(defined $ids[-1], 'one more, whose row MySQL refuses');
        is(left($sale), 5, 'five are left');
        ok((wait_for { return $s->buy($other)->{status} == 202 } 5, 'another sale'),
            'another sale goes on');
    });
    wait_for { return $s->sql('SELECT COUNT(*) FROM orders WHERE sale_id = ?', $sale) == 5
        || $s->sql('SELECT COUNT(*) FROM dead_letters WHERE resolved_at IS NULL') } 40,
        'the order, or a word of it';
    is($s->sql('SELECT COUNT(*) FROM orders WHERE sale_id = ?', $sale), 5,
        'it is saved as soon as it can be');
    wait_for { return left($sale) == 10 } 30, 'all ten to be back, for nobody paid';
    is_deeply(counts($sale), [10, 0, 0, 10], 'and MySQL counts the same');
    wait_for { return left($other) == 5 } 30, 'the other sale';
};

sub records {
    my ($sale) = @_;
    my ($status, $out, $err) = run_command(30, 'kcat', '-C', '-e', '-q', '-b',
        $s->env('KAFKA'), '-t', 'speedy.orders', '-f', '%p\t%k\t%s\n');
    die "kcat: $err" if $status;
    return map { [split /\t/] } grep { /"sale_id":"\Q$sale\E"/ } split /\n/, $out;
}

subtest 'a redelivery takes stock once' => sub {
    my $sale = $s->new_sale(stock => 20, limit => 2);
    my %seen;
    for (1 .. 10) {
        my $res = $s->buy($sale, user => 'again', key => 'the-same', quantity => 2);
        $seen{ $res->{order_id} // "$res->{status}" }++;
    }
    is(scalar keys %seen, 1, 'ten requests with one key: one order');
    is($s->buy($sale)->{status}, 202, 'and another one') for 1 .. 4;
    wait_for { return $s->sql('SELECT COUNT(*) FROM orders WHERE sale_id = ?', $sale) == 5 }
        10, 'five orders';
    is_deeply(counts($sale), [20, 6, 0, 14], 'six of twenty are held');
    my @records = records($sale);
    cmp_ok(scalar @records, '>=', 5, 'their events stand in Kafka');
    my $before = $s->sql('SELECT SUM(next_offset) FROM kafka_offsets');
    for my $round (1 .. 3) {
        for my $record (@records) {
            my ($part, $id, $text) = @$record;
            my $file = write_file($s->dir . '/run/again', $text);
            my ($status, undef, $err) = run_command(20, 'kcat', '-P', '-b',
                $s->env('KAFKA'), '-t', 'speedy.orders', '-p', $part, '-k', $id, $file);
            is($status, 0, 'delivered once more') or diag $err;
        }
        $s->restarted($_, $s->kill_9($_), 20) for qw(orderd_1 stockd_1);
    }
    wait_for {
        return $s->sql('SELECT SUM(next_offset) FROM kafka_offsets')
            >= $before + 3 * @records;
    } 60, 'the copies to be read';
    is($s->sql('SELECT COUNT(*) FROM orders WHERE sale_id = ?', $sale), 5, 'five orders');
    is_deeply(counts($sale), [20, 6, 0, 14], 'six of twenty are held');
    is($s->buy($sale)->{status}, 202, 'the sale goes on');
};

# Both schedds and both stockds work at the same holds, and one of each dies.
subtest 'two consumers do not compete' => sub {
    my $sale = $s->new_sale(stock => 300, hold => '5s');
    my $sum = $s->load(sale => $sale, shoppers => 200, first => 7001,
        arrival => 'steady:400', 'no-retry' => undef)->finish(60);
    is($sum->{final}{202}, 200, 'two hundred are held');
    $s->restarted($_, $s->kill_9($_), 20) for qw(schedd_1 stockd_2);
    wait_for { return left($sale) == 300 } 60, 'all to be back';
    is_deeply(counts($sale), [300, 0, 0, 300], 'each came back once');
    is($s->sql("SELECT COUNT(*), COUNT(DISTINCT order_id) FROM order_events e
        JOIN orders o ON o.id = e.order_id
        WHERE o.sale_id = ? AND e.to_state = 'EXPIRED'", $sale), 200, 'each ended once');
};

subtest 'one bad row holds up no other' => sub {
    my $sale = $s->new_sale(stock => 30, hold => '8s');
    my @ids = map { $s->buy($sale)->{order_id} } 1 .. 20;
    my $bad = $ids[7] =~ s/-//gr;
    refused('UPDATE', "OLD.id = UNHEX('$bad') AND NEW.state = 'EXPIRED'", sub {
        wait_for {
            return $s->sql("SELECT COUNT(*) FROM orders WHERE sale_id = ?
                AND state = 'EXPIRED' AND id <> UNHEX(?)", $sale, $bad) == 19;
        } 30, 'the nineteen others to expire';
        wait_for { return left($sale) == 29 } 20, 'their units';
        pass('nineteen expire, and their units are back');
        is($s->sql('SELECT state FROM orders WHERE id = UNHEX(?)', $bad),
            'PENDING_PAYMENT', 'the bad one stands as it was');
    });
    wait_for { return left($sale) == 30 } 90, 'the last unit';
    is($s->sql('SELECT state FROM orders WHERE id = UNHEX(?)', $bad), 'EXPIRED',
        'mended, it expires too');
};

subtest 'what is not paid does not ship' => sub {
    my %from;
    for my $line (split /\n/, $s->ctl('states')) {
        my ($from, $to) = split ' ', $line;
        push @{ $from{$to} }, $from if $to;
    }
    is_deeply($from{SHIPPED}, ['PAID'], 'only what is paid is shipped');
    is_deeply($from{PAID}, ['PAY_APPROVING'], '... and only what was approved is paid');
    cmp_ok($s->sql("SELECT COUNT(*) FROM orders WHERE state = 'EXPIRED'"), '>=', 200,
        'orders ran out of time');
    is($s->sql("SELECT COUNT(*) FROM order_events WHERE to_state IN
        ('PAID', 'SHIPPED', 'DELIVERED')"), 0, 'not one of them was shipped');
};

subtest 'nobody but an operator changes stock' => sub {
    my $sale = $s->new_sale(stock => 10);
    my $user = $s->token('mallory');
    my %more = (json => { units => 5, reason => 'x' });
    is($s->http('POST', "/admin/sales/$sale/stock", token => $desk, %more)->{status},
        404, 'not at the shop');
    is($s->http('POST', "/admin/sales/$sale/stock", url => $s->ops_url, %more)->{status},
        401, 'not without a token');
    is($s->http('POST', "/admin/sales/$sale/stock", url => $s->ops_url,
        token => $user, %more)->{status}, 403, 'not a shopper');
    is(left($sale), 10, 'ten are left');
};

subtest 'stock is not lowered below what is held' => sub {
    my $sale = $s->new_sale(stock => 10);
    is($s->buy($sale)->{status}, 202, 'one is held') for 1 .. 4;
    my ($status, $out, $err) = $s->ctl_try('sale', 'stock', $sale, '-7');
    is($status, 1, 'speedyctl: seven of six are refused') or diag "$out$err";
    is(admin('POST', "/sales/$sale/stock", { units => -7 })->{json}{code},
        'stock_not_left', 'and over HTTP');
    is_deeply(counts($sale), [10, 4, 0, 6], 'nothing has changed');
    is(admin('POST', "/sales/$sale/stock", { units => -6 })->{json}{state}, 'DONE',
        'six can go');
    is_deeply(counts($sale), [4, 4, 0, 0], 'four are held, none is left');
    is($s->buy($sale)->{code}, 'sold_out', 'sold out');

    my $rush = $s->new_sale(stock => 400);
    my $load = $s->load(sale => $rush, shoppers => 600, first => 8001,
        arrival => 'steady:300', 'no-retry' => undef);
    my $taken = 0;
    for (1 .. 12) {
        my $res = admin('POST', "/sales/$rush/stock", { units => -15 });
        $taken += 15 if ($res->{json}{state} // '') =~ /^(?:DONE|OPEN|LOWERED)$/;
    }
    my $sum = $load->finish(60);
    ok($s->settled($rush, 30), 'at rest');
    my ($total, $held, undef, $left) = @{ counts($rush) };
    diag("under load: $taken taken, $sum->{final}{202} sold, $left left");
    is($total, 400 - $taken, 'what was taken is gone');
    is($held, $sum->{final}{202}, 'what was sold is held');
    is($total - $held, $left, 'and the rest is left');
};

subtest 'two operators at once' => sub {
    my $sale = $s->new_sale(stock => 10, 'opens-at' => strftime(
        '%Y-%m-%dT%H:%M:%SZ', gmtime time + 3600));
    my $seen = at_once(8, sub {
        admin('PATCH', "/products/p-$sale", { price => 1000 + $_[0] }, 'If-Match' => '"1"');
    });
    is_deeply($seen, { 200 => 1, 412 => 7 }, 'a product: one of eight changes it');
    is($s->http('GET', "/admin/products/p-$sale", url => $s->ops_url,
        token => $desk)->{json}{version}, 2, '... once');
    $seen = at_once(8, sub {
        admin('PATCH', "/sales/$sale", { limit => $_[0] + 1 }, 'If-Match' => '"1"');
    });
    is_deeply($seen, { 200 => 1, 412 => 7 }, 'a sale: one of eight changes it');
    is(admin('PATCH', "/sales/$sale", { limit => 2 })->{status}, 428,
        'whoever has not looked is told to');
    my $live = $s->new_sale(stock => 100);
    my ($before) = @{ counts($live) };
    $seen = at_once(6, sub { admin('POST', "/sales/$live/stock", { units => 5 }) });
    is(left($live), $before + 5 * ($seen->{200} // 0), 'units of six operators add up')
        or diag explain $seen;
};

$s->audit_ok;
done_testing();
