# Payments against the sandbox: paid, declined, quit, every lost or wrong reply
# of approve, forged callbacks, late money, payd killed at each step. What the
# sandbox charged is what the orders say, to the won. Needs a build with
# failpoints (build/failpoints).

use strict;
use warnings;
use lib 't/lib';
use HTTP::Tiny;
use Speedy::Fault;
use Speedy::Kakao;
use Speedy::Shopper;
use Speedy::Util qw(read_file wait_for write_file);
use Test::More;
use Time::HiRes qw(time);

my $s = Speedy::Fault->up_with_failpoints;
$s->edit('speedy.conf', sub {
    s/^\[payd\]\n/[payd]\ntid_life = 12s\napprove_timeout = 3s\nready_timeout = 2s\ncancel_timeout = 3s\ninquiry_first = 200ms\ninquiry_most = 1s\nlate_look = 4s\n/m });
for my $name (qw(payd_1 payd_2)) {
    my $old = $s->kill_9($name);
    $s->restarted($name, $old, 10);
}
my $kakao = Speedy::Kakao->attach($s);
my $browser = HTTP::Tiny->new(max_redirect => 0, timeout => 30);
my $shopper = Speedy::Shopper->new($s)->sign_up;
$shopper->log_in;
my $address = $shopper->http('POST', '/api/v1/users/me/addresses', json => {
    recipient => "\x{d64d}\x{ae38}\x{b3d9}", phone => '010-1234-5678',
    postcode => '63000', line1 => 'Jeju', line2 => '' })->{json}{id};
my $sale = $s->new_sale(stock => 1000, limit => 1000, price => 20000);
my ($keys, @orders) = (0);

sub ordered {
    my $res = $s->buy($sale, user => $shopper->{id}, key => 'k' . ++$keys);
    die "buy: $res->{status} $res->{content}" if $res->{status} != 202;
    push @orders, $res->{order_id};
    return $res->{order_id};
}

sub begin {
    my ($order, %o) = @_;
    return $shopper->http('POST', "/api/v1/orders/$order/payment", timeout => 20,
        headers => { 'Idempotency-Key' => $o{key} // 'p' . ++$keys },
        json => { address_id => $o{address} // $address });
}

# An order with an attempt; its id.
sub begun {
    my $order = ordered();
    my $res = begin($order);
    is($res->{status}, 201, 'an attempt') or diag $res->{content};
    return $order;
}

sub come { my ($url, %o) = @_; return $browser->get($url, { headers => $o{headers} // {} }) }

sub state_of {
    my ($order) = @_;
    return $s->sql('SELECT state FROM orders WHERE id = UNHEX(?)', $order =~ s/-//gr);
}

sub becomes {
    my ($order, $state, $seconds, $name) = @_;
    my $since = time;
    my $ok = eval { wait_for { return state_of($order) eq $state } $seconds, $state; 1 };
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is(state_of($order), $state, $name // "the order is $state");
    return time - $since;
}

# What KakaoPay has of an order: (net, approvals).
sub net {
    my ($order) = @_;
    my ($net, $approvals) = (0, 0);
    for my $p (@{ $kakao->ledger($order) }) {
        $net += $p->{net};
        $approvals += ref $p->{approvals} ? @{ $p->{approvals} } : $p->{approvals};
    }
    return wantarray ? ($net, $approvals) : $net;
}

subtest 'paid' => sub {
    my $order = ordered();
    my $res = begin($order, key => 'first');
    is($res->{status}, 201, 'begun') or diag $res->{content};
    is($res->{json}{amount}, 20000, 'the goods');
    is($res->{json}{shipping_fee}, 6000, 'the parcel, to an island');
    is($res->{json}{total_amount}, 26000, 'both');
    like($res->{json}{pc_url}, qr{^https://}, 'where to pay');
    cmp_ok($res->{json}{seconds_left}, '>', 500, 'how long is left');
    my $again = begin($order, key => 'first');
    is($again->{json}{payment_id}, $res->{json}{payment_id}, 'the same key: the same attempt');
    is($again->{json}{pc_url}, $res->{json}{pc_url}, '... and where');
    is($again->{headers}{'idempotent-replayed'}, 'true', '... and says so');
    my $other = begin($order, key => 'first', address => '01890a5d-ac96-774b-bcce-b302099a8057');
    is($other->{json}{code}, 'key_reused', 'with another body');
    is(state_of($order), 'PAY_READY', 'PAY_READY');
    my $to = $kakao->pay(order => $order);
    my $back = come($to);
    is($back->{status}, 303, 'back from KakaoPay: led on');
    is($back->{headers}{location}, '/pay/kakaopay/done', '... to a clean page');
    is($back->{headers}{'cache-control'}, 'no-store', '... kept nowhere');
    like($back->{headers}{'referrer-policy'} =~ s/,.*//r, qr/no-referrer/, '... told nobody') if !ref $back->{headers}{'referrer-policy'};
    is(come($s->url . '/pay/kakaopay/done')->{status}, 200, 'the page');
    becomes($order, 'PAID', 5);
    is(net($order), 26000, 'charged once');
    is($s->sql('SELECT sold FROM sale_variants WHERE sale_id = ?', $sale), 1, 'held is sold');
    my $mail = $shopper->mail(qr/\Q$order\E/, 30);
    like($mail->{text}, qr/26,000/, 'the receipt');
    is(come($to)->{status}, 303, 'the callback once more');
    is((net($order))[1], 1, '... and approved once');
    is(begin($order)->{json}{code}, 'order_paid', 'paid is paid');
    my $told = $s->ctl_json('payments', 'show', $order);
    is(scalar @{ $told->{payments} }, 1, 'payments show: one attempt');
    is(join(' ', map { $_->{kind} } @{ $told->{calls} }), 'ready approve', '... and its calls');
    like($s->ctl('payments', 'list', '--state', 'PAID'), qr/order \Q$order\E/, 'payments list');
    my $log = read_file($s->env('NGINX_ACCESS_LOG'));
    my ($nonce, $token) = $to =~ m{kakaopay/([^/]+)/approve\?pg_token=(\w+)};
    ok($nonce && $token, 'a nonce and a token');
    for my $file (glob "$s->{dir}/log/*") {
        my $text = read_file($file) // '';
        unlike($text, qr/\Q$nonce\E/, "no nonce in $file") if index($text, $nonce) >= 0;
        unlike($text, qr/\Q$token\E/, "no pg_token in $file") if index($text, $token) >= 0;
    }
};

subtest 'declined, then another attempt' => sub {
    my $order = begun();
    my $to = $kakao->pay(order => $order, refuse => { code => -780, extra_code => 'USER_LOCKED' });
    is(come($to)->{status}, 303, 'led on');
    becomes($order, 'PAY_FAILED', 5);
    is(begin($order)->{status}, 201, 'another attempt at once');
    is(come($to)->{status}, 303, 'the old callback leads on');
    is(state_of($order), 'PAY_READY', '... and moves nothing');
    my ($live) = grep { $_->{status} eq 'READY' } @{ $kakao->ledger($order) };
    come($kakao->pay(tid => $live->{tid}));
    becomes($order, 'PAID', 5);
    is(net($order), 26000, 'charged once');
};

subtest 'quit, fail' => sub {
    for my $act (qw(quit fail)) {
        my $order = begun();
        is(come($kakao->$act(order => $order))->{status}, 303, "$act: led on");
        is(state_of($order), 'PAY_READY', '... nothing is believed');
        is(begin($order)->{status}, 201, '... another attempt at once');
        is(net($order), 0, '... nothing charged');
    }
};

subtest 'forged, foreign, revoked' => sub {
    my $order = ordered();
    my $cookie = begin($order)->{headers}{'set-cookie'};
    like($cookie, qr/speedy_pay=\w+;.*HttpOnly.*SameSite=Lax/, 'a cookie for the callbacks');
    my $to = $kakao->pay(order => $order);
    my ($base, $nonce, $token) = $to =~ m{^(.*/kakaopay/)([^/]+)/approve\?pg_token=(\w+)};
    my $other = $nonce =~ tr/A-Za-z/B-ZAb-za/r;
    is(come("$base$other/approve?pg_token=$token")->{status}, 404, 'a forged nonce');
    is(come("$base$nonce/approve")->{status}, 404, 'no pg_token');
    is(come("$base$nonce/approve?pg_token=" . 'x' x 500)->{status}, 404, 'a long one');
    is(come($to, headers => { Cookie => 'speedy_pay=' . '0' x 32 })->{status}, 404, 'a foreign browser');
    is(state_of($order), 'PAY_READY', 'nothing moved');
    is($s->http('POST', "/api/v1/orders/$order/payment", token => $s->token('bob'),
        headers => { 'Idempotency-Key' => 'b' }, json => { address_id => $address })->{json}{code},
        'order_not_ready', 'of somebody else: as one that is not there');
    is(begin($order)->{status}, 201, 'another attempt');
    is(come($to)->{status}, 404, 'the old one is revoked');
    is(net($order), 0, 'nothing charged');
    my ($live) = grep { $_->{status} eq 'READY' } @{ $kakao->ledger($order) };
    $to = $kakao->pay(tid => $live->{tid});
    come($to =~ s/pg_token=\w+/pg_token=forged/r);
    becomes($order, 'PAY_FAILED', 5, 'a forged pg_token is refused by KakaoPay');
    is(net($order), 0, 'nothing charged');
};

subtest 'replies that do not come as they should' => sub {
    my %fault = (
        'no reply' => { answer => 'silence' }, reset => { answer => 'reset' },
        closed => { answer => 'close' }, 500 => { answer => 'status', effect => 1 },
        '500 before' => { answer => 'status' },
        garbage => { answer => 'status', status => 200, effect => 1 },
        slow => { answer => 'slow', slow_ms => 50 },
        'amount' => { wrong => 'amount.total' }, tid => { wrong => 'tid' },
        order => { wrong => 'partner_order_id' }, 'no aid' => { missing => 'aid' },
        'late' => { late_ms => 4000, answer => 'reset' },
        'before' => { answer => 'reset', effect => 0 },
    );
    my %order;
    for my $name (sort keys %fault) {
        my $order = $order{$name} = begun();
        $kakao->fault(operation => 'approve', order => $order, %{ $fault{$name} });
        is(come($kakao->pay(order => $order))->{status}, 303, "$name: led on");
    }
    for my $name (sort keys %fault) {
        my $no = $name =~ /before/;
        my $took = becomes($order{$name}, $no ? 'PAY_FAILED' : 'PAID', 30, "$name: " . ($no ? 'not paid' : 'paid'));
        my ($net, $approvals) = net($order{$name});
        is($net, $no ? 0 : 26000, '... and so says the sandbox');
        cmp_ok($approvals, '<=', 1, '... approved once at the most');
    }
};

subtest 'another amount than ours' => sub {
    my $order = begun();
    $kakao->fault(operation => $_, order => $order, wrong => 'amount.total', value => '26001', count => -1)
        for qw(approve order);
    come($kakao->pay(order => $order));
    is(state_of($order), 'PAY_APPROVING', 'is not believed');
    becomes($order, 'PAY_FAILED', 30);
    wait_for { return net($order) == 0 } 20, 'the refund';
    is(net($order), 0, 'the money went back');
    is($s->sql('SELECT COUNT(*) FROM refunds WHERE order_id = UNHEX(?)', $order =~ s/-//gr), 1, 'once');
};

subtest 'money after the end' => sub {
    my $order = begun();
    $kakao->fault(operation => 'approve', order => $order, late_ms => 14000, answer => 'reset');
    come($kakao->pay(order => $order));
    becomes($order, 'PAY_FAILED', 20, 'not paid when the tid is dead');
    my $paid = wait_for { return (net($order))[1] > 0 } 20, 'the money';
    wait_for { return net($order) == 0 } 20, 'the refund';
    is(net($order), 0, 'it went back');
    my $p = $kakao->ledger($order)->[0];
    is(ref $p->{cancels} ? scalar @{ $p->{cancels} } : $p->{cancels}, 1, 'once');
};

subtest 'killed at each step' => sub {
    for my $place (qw(payd_before_ready payd_after_ready payd_before_approve payd_after_approve)) {
        my %pid = map { $_ => $s->pid($_) } qw(payd_1 payd_2);
        my $order = ordered();
        write_file($s->{failpoints}, "$place=kill\n") if $place =~ /ready/;
        my $res = begin($order, key => "kill-$place");
        if ($place =~ /ready/) {
            isnt($res->{status}, 201, "$place: no answer");
            wait_for {
                $res = begin($order, key => "kill-$place");
                return $res->{status} == 201;
            } 20, 'the same key again';
            is($res->{status}, 201, '... the same key goes on');
        }
        my ($live) = grep { $_->{tid} eq $s->sql('SELECT tid FROM payments WHERE live_order = UNHEX(?)',
            $order =~ s/-//gr) } @{ $kakao->ledger($order) };
        write_file($s->{failpoints}, "$place=kill\n") if $place =~ /approve/;
        come($kakao->pay(tid => $live->{tid}));
        is(read_file($s->{failpoints}) =~ s/\s+//gr, '', "$place: it was killed");
        my $no = $place eq 'payd_before_approve';
        my $took = becomes($order, $no ? 'PAY_FAILED' : 'PAID', 40, "$place: settled");
        diag(sprintf '%s: settled after %.1f s', $place, $took);
        is(net($order), $no ? 0 : 26000, '... as the sandbox says');
    }
};

subtest 'a refund is killed at each step, and its reply lost' => sub {
    for my $place (qw(payd_before_cancel payd_after_cancel reset)) {
        my $order = begun();
        $kakao->fault(operation => $_, order => $order, wrong => 'amount.total', value => '26001', count => -1)
            for qw(approve order);
        $place eq 'reset' ? $kakao->fault(operation => 'cancel', order => $order, answer => 'reset')
            : write_file($s->{failpoints}, "$place=kill\n");
        come($kakao->pay(order => $order));
        wait_for {
            return ($s->sql('SELECT state FROM refunds WHERE order_id = UNHEX(?)', $order =~ s/-//gr) // '') eq 'DONE';
        } 60, 'the refund';
        is(net($order), 0, "$place: the money went back");
        my $p = $kakao->ledger($order)->[0];
        is(ref $p->{cancels} ? scalar @{ $p->{cancels} } : $p->{cancels}, 1, '... once');
    }
};

subtest 'the two ledgers' => sub {
    my ($wrong, $charged) = (0, 0);
    for my $order (@orders) {
        my $paid = state_of($order) eq 'PAID';
        my $net = net($order);
        $charged += $net;
        next if $net == ($paid ? 26000 : 0);
        $wrong++;
        diag("$order: " . state_of($order) . ", charged $net");
    }
    my $totals = $kakao->totals;
    diag(sprintf '%d orders, %d won charged, totals: %s', scalar @orders, $charged,
        join ' ', map { "$_=$totals->{$_}" } grep { !ref $totals->{$_} } sort keys %$totals);
    is($wrong, 0, 'agree on every order');
    is($totals->{orders_charged_twice}, 0, 'nobody was charged twice');
    is($s->sql("SELECT COUNT(*) FROM payments WHERE state = 'APPROVING'"), 0, 'nothing is open');
};

$s->allow(qr/alarm/) if $s->can('allow');
$s->audit_ok;
done_testing();
