# The KakaoPay sandbox: what the shop's payments are judged by must itself be
# right. Both generations, every documented field, limit and error code, the
# payer's pages.

use strict;
use warnings;
use utf8;
use lib 't/lib';
use HTTP::Tiny;
use JSON::PP ();
use Test::More;
use Time::HiRes qw(time);
use Speedy::Kakao;
use Speedy::Util qw(scan_log);

binmode $_, ':utf8' for *STDOUT, *STDERR, Test::More->builder->output,
    Test::More->builder->failure_output;

my $cid  = 'TC0ONETIME';
my $user = 'uAAAAAAAAAAAAAAAAAAAAAA';
my %seen;    # error code => how it came

sub token_of { return $_[0] =~ /[?&]pg_token=([0-9a-f]{20})$/ ? $1 : undef }

sub code_of { return $_[0]{error_code} // $_[0]{code} }

# One test: this code, in this generation's form.
sub refused {
    my ($code, $what, $status, $r, $api) = @_;
    $api //= 'open';
    my @keys = $api eq 'open' ? qw(error_code error_message) : qw(code msg);
    my $got = ref $r ? $r->{ $keys[0] } : undef;
    $seen{$code} //= $what;
    return is_deeply([$got, ref $r && defined $r->{ $keys[1] }, $status >= 400],
        [$code, 1, 1], "$code: $what ($api)");
}

my $k = Speedy::Kakao->start;

# ---- what each answer holds

my @amount = qw(discount green_deposit point tax_free total vat);
for my $api (qw(open legacy)) {
    subtest "$api: from ready to the last cancel" => sub {
        my $r = $k->call_ready({ partner_order_id => "주문 $api",
            total_amount => 11000, tax_free_amount => 1000,
            item_code => 'i1', quantity => 3 }, api => $api);
        my @schemes = $api eq 'legacy'
            ? qw(android_app_scheme ios_app_scheme tms_result) : ();
        is_deeply([sort keys %$r], [sort qw(tid created_at
            next_redirect_app_url next_redirect_mobile_url
            next_redirect_pc_url), @schemes], 'ready: the fields');
        like($r->{tid}, qr/^T[0-9a-f]{19}$/, 'tid has 20 characters');
        like($r->{created_at}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/, 'KST');
        my $tid = $r->{tid};

        my (undef, $o) = $k->order($tid, api => $api);
        is($o->{status}, 'READY', 'order: READY');
        ok(!exists $o->{$_}, "order before approve: no $_")
            for qw(approved_at payment_method_type payment_action_details);
        $k->open_page(tid => $tid);
        (undef, $o) = $k->order($tid, api => $api);
        is($o->{status}, 'OPEN_PAYMENT', 'order: OPEN_PAYMENT');
        my $to = $k->pay(tid => $tid, method => 'CARD');
        (undef, $o) = $k->order($tid, api => $api);
        is($o->{status}, 'AUTH_PASSWORD', 'order: AUTH_PASSWORD');
        is($k->payment($tid)->{charged}, 0, 'before approve no money moves');

        my ($status, $a) = $k->call('approve', $k->approval($tid,
            pg_token => token_of($to), payload => '메모',
            total_amount => '11000'), api => $api);
        is($status, 200, 'approve');
        is_deeply([sort keys %$a], [sort qw(aid tid cid partner_order_id
            partner_user_id payment_method_type amount card_info item_name
            item_code quantity created_at approved_at payload)],
            'approve: the fields, and no status');
        is_deeply([sort keys %{ $a->{amount} }], \@amount, 'amount');
        is_deeply([@{ $a->{amount} }{qw(total tax_free vat)}],
            [11000, 1000, 909], 'vat is round((total - tax_free) / 11)');
        is_deeply([@$a{qw(cid tid partner_order_id partner_user_id item_name
            item_code quantity payload payment_method_type)}],
            [$cid, $tid, "주문 $api", $user, '초코파이', 'i1', 3, '메모', 'CARD'],
            'approve: as ready said');
        like(JSON::PP->new->encode($a), qr/"total":11000\b/, 'real numbers');
        is(exists $a->{card_info}{purchase_corp} ? 1 : 0,
            $api eq 'legacy' ? 1 : 0, 'card_info of its generation');

        ($status, my $c) = $k->cancel($tid, 3000, api => $api,
            cancel_tax_free_amount => 1000, cancel_available_amount => 11000);
        is($status, 200, 'cancel of a part');
        is_deeply([sort keys %$c], [sort qw(aid tid cid status partner_order_id
            partner_user_id payment_method_type amount approved_cancel_amount
            canceled_amount cancel_available_amount item_name item_code
            quantity created_at approved_at canceled_at)], 'cancel: the fields');
        is($c->{status}, 'PART_CANCEL_PAYMENT', 'status');
        is_deeply([map { @{ $c->{$_} }{qw(total tax_free vat)} } qw(
            approved_cancel_amount canceled_amount cancel_available_amount)],
            [3000, 1000, 182, 3000, 1000, 182, 8000, 0, 727], 'the parts');

        ($status, $c) = $k->cancel($tid, '8000', api => $api,
            cancel_tax_free_amount => '0', cancel_vat_amount => '727',
            cancel_available_amount => '8000');
        is_deeply([$status, $c->{status},
            @{ $c->{cancel_available_amount} }{qw(total tax_free vat)}],
            [200, 'CANCEL_PAYMENT', 0, 0, 0], 'and the rest to the won');
        (undef, $o) = $k->order($tid, api => $api);
        is($o->{status}, 'CANCEL_PAYMENT', 'order: CANCEL_PAYMENT');
        is_deeply([map { [@$_{qw(payment_action_type amount)}] }
            @{ $o->{payment_action_details} }],
            [['PAYMENT', 11000], ['CANCEL', 3000], ['CANCEL', 8000]],
            'order: the details');
        my $p = $k->payment($tid);
        is_deeply([@$p{qw(charged canceled net approvals cancels)}],
            [11000, 11000, 0, 1, 2], 'the ledger');
        is_deeply($p->{calls}, { ready => 1, approve => 1, cancel => 2,
            order => 4 }, 'the ledger: calls');
    };
}

# ---- limits of the fields

subtest 'required, lengths, types' => sub {
    my %required = (
        ready   => [qw(cid partner_order_id partner_user_id item_name quantity
            total_amount tax_free_amount approval_url cancel_url fail_url)],
        approve => [qw(cid tid partner_order_id partner_user_id pg_token)],
        cancel  => [qw(cid tid cancel_amount cancel_tax_free_amount)],
        order   => [qw(cid tid)],
    );
    my $tid = $k->call_ready->{tid};
    my %good = (
        ready   => $k->ready_fields,
        approve => $k->approval($tid),
        cancel  => { cid => $cid, tid => $tid, cancel_amount => 1,
            cancel_tax_free_amount => 0 },
        order => { cid => $cid, tid => $tid },
    );
    my $bad = sub {
        my ($op, $change, $name, $what) = @_;
        for my $api (qw(open legacy)) {
            my %f = (%{ $good{$op} }, %$change);
            delete $f{$_} for grep { !defined $f{$_} } keys %f;
            my ($status, $r) = $k->call($op, \%f, api => $api);
            refused(-2, "$op: $name $what", $status, $r, $api);
            my $message = $r->{error_message} // $r->{msg};
            ok(index($message, "($name ") > 0, "it names $name: $message");
        }
    };
    for my $op (sort keys %required) {
        $bad->($op, { $_ => undef }, $_, 'is missing') for @{ $required{$op} };
        $bad->($op, { $_ => '' }, $_, 'is empty') for @{ $required{$op} };
    }
    my %most = (partner_order_id => 100, partner_user_id => 100,
        item_name => 100, item_code => 100, approval_url => 255,
        cancel_url => 255, fail_url => 255, redirect_scheme_url => 255);
    for my $name (sort keys %most) {
        my $fill = sub { my $n = shift;
            $name =~ /url/ ? 'http://127.0.0.1/' . 'x' x ($n - 17)
            : $name eq 'partner_user_id' ? 'u' x $n : '가' x $n };
        my ($status) = $k->call('ready',
            { %{ $good{ready} }, $name => $fill->($most{$name}) });
        is($status, 200, "ready: $name may have $most{$name} characters");
        $bad->('ready', { $name => $fill->($most{$name} + 1) }, $name, 'too long');
    }
    $bad->('approve', { payload => 'x' x 201 }, 'payload', 'too long');
    $bad->('cancel', { payload => 'x' x 201 }, 'payload', 'too long');
    $bad->('ready', { cid => 'TC0' }, 'cid', 'too short');
    $bad->('ready', { cid_secret => 'a' x 23 }, 'cid_secret', 'too short');
    $bad->('order', { tid => 'T1' }, 'tid', 'too short');
    $bad->('ready', { item_name => "a\nb" }, 'item_name', 'with a control');
    $bad->('ready', { $_ => '1.0' }, $_, 'a fraction') for qw(quantity
        total_amount tax_free_amount vat_amount green_deposit install_month);
    $bad->('ready', { install_month => 13 }, 'install_month', 'above 12');
    $bad->('ready', { use_share_installment => 'X' }, 'use_share_installment',
        'neither Y nor N');
    $bad->('ready', { partner_user_id => $_ }, 'partner_user_id', "is $_")
        for '홍길동', 'shopper@example.com', '010-1234-5678', '+82 10 1234 5678';
    $bad->('cancel', { cancel_reason => 'x' }, 'cancel_reason', 'is no field');

    my ($status, $r) = $k->call('ready', { %{ $good{ready} },
        available_cards => ['KB', 'BC'], custom_json => { a => 'b' },
        payment_method_type => 'MONEY', install_month => 12,
        use_share_installment => 'N', redirect_scheme_url => 'app://x',
        vat_amount => 0, green_deposit => 0, item_code => 'c' });
    is($status, 200, 'every optional field');
    ($status, $r) = $k->call('ready', { %{ $good{ready} },
        available_cards => '["KB"]', custom_json => '{"a":"b"}' },
        api => 'legacy');
    is($status, 200, 'the structured ones in a form');
    for my $wrong ([available_cards => ['VISA']], [available_cards => 'KB'],
        [custom_json => ['a']], [custom_json => { a => 1 }],
        [quantity => JSON::PP::true()], [quantity => undef], [item_name => 1]) {
        ($status, $r) = $k->call('ready', { %{ $good{ready} }, @$wrong });
        refused(-2, "ready: $wrong->[0] of a wrong type", $status, $r);
    }
    for my $body ('', '[]', '{', '{"cid":"TC0ONETIME","cid":"TC0ONETIME"}',
        "{\"cid\":\"\xff\"}", '"x"') {
        refused(-2, "the body is $body",
            $k->call('order', {}, body => $body));
    }
    for my $body ('cid', 'cid=%zz', 'cid=%ff', 'cid=%00', 'cid=A&cid=A') {
        refused(-2, "the form is $body",
            $k->call('order', {}, body => $body, api => 'legacy'), 'legacy');
    }
    refused(-2, 'JSON said to be a form', $k->call('order', $good{order},
        content_type => 'application/x-www-form-urlencoded'));
    refused(-2, 'a form said to be JSON', $k->call('order', $good{order},
        api => 'legacy', content_type => 'application/json'), 'legacy');
};

# ---- every error code

subtest 'who may call' => sub {
    my $f = { cid => $cid, tid => 'T' . '0' x 19 };
    refused(-400, 'no Authorization', $k->call('order', $f, authorization => undef));
    refused(-401, 'no Authorization', $k->call('order', $f, api => 'legacy',
        authorization => undef), 'legacy');
    for my $bad ('SECRET_KEY ', 'SECRET_KEY x', 'KakaoAK ' . $k->key('admin'),
        $k->key('dev'), 'SECRET_KEY ' . $k->key('admin'),
        'SECRET_KEY  ' . $k->key('dev'), 'SECRET_KEY ' . $k->key('dev') . 'x') {
        refused(-401, 'a wrong key', $k->call('order', $f, authorization => $bad));
    }
    refused(-401, 'a wrong key', $k->call('order', $f, api => 'legacy',
        authorization => 'SECRET_KEY ' . $k->key('dev')), 'legacy');
    for my $key ('SECRET_KEY ' . $k->key('secret'),
        'DEV_SECRET_KEY ' . $k->key('dev')) {
        my ($status) = $k->call('ready', $k->ready_fields, authorization => $key);
        is($status, 200, 'each way to say a key');
    }
    refused(-404, 'no such path', $k->call('x', $f));
    refused(-404, 'GET', $k->call('order', $f, method => 'GET'));
    refused(-404, 'no such path', $k->call('x', $f, api => 'legacy'), 'legacy');
    my $tid = $k->call_ready({}, key => $k->key('secret'))->{tid};
    refused(-730, 'the key of another application', $k->order($tid));
    $k->settings(enabled => 0);
    refused(-403, 'online payment is off', $k->call('order', $f));
    $k->settings(enabled => 1, maintenance => 1);
    my ($status, $r) = $k->call('order', $f);
    refused(-503, 'maintenance', $status, $r);
    is($status, 503, 'by 503');
    $k->settings(maintenance => 0, quota => 1);
    $k->clock(advance => 86_400_000);
    $k->order($tid, key => $k->key('secret'));
    ($status, $r) = $k->order($tid, key => $k->key('secret'));
    refused(-429, 'the quota of the day is used up', $status, $r);
    is($status, 429, 'by 429');
    $k->clock(advance => 86_400_000);
    ($status) = $k->order($tid, key => $k->key('secret'));
    is($status, 200, 'and it is back the next day');
    $k->settings(quota => 0);
    $k->clock(offset => 0);
};

subtest 'ready: what is refused' => sub {
    my $try = sub { return $k->call('ready', $k->ready_fields({@_})) };
    refused(-731, 'an unknown cid', $try->(cid => 'TC0OTHER00'));
    refused(-733, 'a secret that is none', $try->(cid_secret => '0' x 24));
    refused(-725, 'total_amount 0', $try->(total_amount => 0));
    refused(-725, 'total_amount below 0', $try->(total_amount => -1));
    refused(-724, 'tax_free_amount above the total', $try->(tax_free_amount => 2201));
    refused(-724, 'tax_free_amount below 0', $try->(tax_free_amount => -1));
    refused(-722, 'vat_amount above what is taxed',
        $try->(tax_free_amount => 2000, vat_amount => 201));
    refused(-722, 'green_deposit above the total', $try->(green_deposit => 2201));
    refused(-726, 'quantity 0', $try->(quantity => 0));
    refused(-705, 'a method that is none', $try->(payment_method_type => 'CASH'));
    refused(-799, 'a URL without a host', $try->(fail_url => 'http://'));
    refused(-799, 'no URL', $try->(approval_url => 'shop'));
    refused(-799, 'plain http to a name', $try->(cancel_url => 'http://shop.example/'));
    $k->settings(limit => 2000);
    refused(-797, 'over the limit', $try->());
    $k->settings(limit => 0);
};

subtest 'approve: what is refused' => sub {
    for my $api (qw(open legacy)) {
        my $tid = $k->call_ready({}, api => $api)->{tid};
        my $try = sub { return $k->call('approve', { %{ $_[0] }, @_[1 .. $#_] },
            api => $api) };
        my $f = $k->approval($tid);
        refused(-701, 'before the payer has paid', $try->($f), $api);
        $f->{pg_token} = token_of($k->pay(tid => $tid));
        refused(-721, 'no such tid', $try->($f, tid => 'T' . 'f' x 19), $api);
        refused(-706, 'another order', $try->($f, partner_order_id => 'x'), $api);
        refused(-707, 'another user', $try->($f, partner_user_id => 'x'), $api);
        refused(-708, 'another pg_token', $try->($f, pg_token => 'f' x 20), $api);
        refused(-725, 'another total_amount', $try->($f, total_amount => 2201), $api);
        is($k->payment($tid)->{charged}, 0, 'none of these charged');
        my ($status) = $try->($f);
        is($status, 200, 'and it can still be approved');
        refused(-702, 'twice', $try->($f), $api);
        $k->cancel($tid, 2200, api => $api);
        refused(-702, 'after its cancel', $try->($f), $api);
        is($k->payment($tid)->{approvals}, 1, 'approved once');

        for my $act (qw(quit fail)) {
            my $left = $k->call_ready({}, api => $api)->{tid};
            $k->$act(tid => $left);
            refused(-783, "after $act", $try->($k->approval($left)), $api);
        }
        my ($old, $g) = $k->authenticated({}, api => $api);
        $k->clock(advance => 900_000);
        refused(-723, 'after 15 minutes', $try->($g), $api);
        is($k->payment($old)->{charged}, 0, 'an expired one is not charged');
        $k->clock(offset => 0);
        (undef, $g) = $k->authenticated({}, api => $api, pay => { refuse =>
            { extra_code => 'USER_LOCKED', extra_message => 'in progress' } });
        ($status, my $r) = $try->($g);
        refused(-780, 'the card says no', $status, $r, $api);
        is_deeply($r->{extras}, { method_result_code => 'USER_LOCKED',
            method_result_message => 'in progress' }, 'and why');
        (undef, $r) = $k->order($g->{tid}, api => $api);
        is($r->{status}, 'FAIL_PAYMENT', 'order: FAIL_PAYMENT');
    }
    $k->settings(failed_status => 500);
    my (undef, $f) = $k->authenticated({}, pay => { refuse => { code => -780 } });
    my ($status) = $k->call('approve', $f);
    is($status, 500, '-780 by 500, as the older tables have it');
    $k->settings(failed_status => 400);
};

subtest 'cancel: what is refused' => sub {
    for my $api (qw(open legacy)) {
        my $try = sub { return $k->cancel(@_, api => $api) };
        my $tid = $k->call_ready({}, api => $api)->{tid};
        refused(-784, 'not paid', $try->($tid, 2200), $api);
        $tid = $k->paid({ total_amount => 2200, tax_free_amount => 1100 },
            api => $api);
        refused(-711, 'more than was approved', $try->($tid, 2201,
            cancel_tax_free_amount => 1100), $api);
        refused(-722, 'nothing', $try->($tid, 0), $api);
        refused(-722, 'more free of tax than it is', $try->($tid, 100,
            cancel_tax_free_amount => 101), $api);
        refused(-722, 'more taxed than is left', $try->($tid, 1200,
            cancel_tax_free_amount => 0), $api);
        refused(-722, 'more vat than is left', $try->($tid, 1100,
            cancel_vat_amount => 101), $api);
        refused(-722, 'all, but not all its tax', $try->($tid, 2200,
            cancel_tax_free_amount => 1100, cancel_vat_amount => 99), $api);
        refused(-722, 'another rest by the guard', $try->($tid, 100,
            cancel_available_amount => 2199), $api);
        my ($status) = $try->($tid, 1200, cancel_tax_free_amount => 200,
            cancel_available_amount => 2200);
        is($status, 200, 'a part');
        refused(-710, 'more than is left', $try->($tid, 1001,
            cancel_tax_free_amount => 900), $api);
        refused(-722, 'the same again, by the guard', $try->($tid, 1000,
            cancel_available_amount => 2200), $api);
        ($status) = $try->($tid, 1000, cancel_tax_free_amount => 900,
            cancel_available_amount => 1000);
        is($status, 200, 'the rest');
        refused(-784, 'after all is cancelled', $try->($tid, 1), $api);
        is($k->payment($tid)->{net}, 0, 'nothing is left');

        for my $whole ($k->paid({}, api => $api, pay => { no_partial => 1 }),
            $k->paid({ green_deposit => 300 }, api => $api)) {
            refused(-784, 'a part of what goes as a whole',
                $try->($whole, 100), $api);
            ($status) = $try->($whole, 2200);
            is($status, 200, 'but the whole');
        }
    }
    # Parts whose own tax rounds up, and down: no won of it is lost.
    for my $case ([9999, 909, (1428) x 6, 1431], [10, 1, 5, 5]) {
        my ($total, $vat, @part) = @$case;
        my $tid = $k->paid({ total_amount => $total });
        my $c;
        (undef, $c) = $k->cancel($tid, $_) for @part;
        is_deeply([@{ $c->{canceled_amount} }{qw(total vat)}], [$total, $vat],
            "parts of $total add up, tax and all");
    }
};

subtest 'cids with a secret, registered domains' => sub {
    my $secret = 'abcdefghij0123456789abcd';
    my $s = Speedy::Kakao->start(cids => [$cid, "CSHOP00001,$secret"],
        domains => ['https://shop.example', 'https://*.shop.example',
            'http://127.0.0.1:8080']);
    my $f = $s->ready_fields;
    refused(-733, 'without its secret',
        $s->call('ready', { %$f, cid => 'CSHOP00001' }));
    refused(-733, 'with another secret', $s->call('ready',
        { %$f, cid => 'CSHOP00001', cid_secret => '0' x 24 }));
    my ($status, $r) = $s->call('ready',
        { %$f, cid => 'CSHOP00001', cid_secret => $secret });
    is($status, 200, 'with its secret');
    refused(-731, 'the cid of another payment', $s->order($r->{tid}));
    for my $good (qw(https://shop.example/a https://m.shop.example/
        http://127.0.0.1:8080?x)) {
        ($status) = $s->call('ready', { %$f, fail_url => $good });
        is($status, 200, "registered: $good");
    }
    for my $bad (qw(http://127.0.0.1:8081/ https://shop.example.evil/
        https://evil/shop.example https://shop.example:444/
        https://shop.example@evil/)) {
        refused(-799, "not registered: $bad",
            $s->call('ready', { %$f, cancel_url => $bad }));
    }
    $s->stop;
};

# ---- the payer's pages

subtest 'the browser' => sub {
    for my $s ($k, Speedy::Kakao->start(pages => 1)) {
        my $browser = HTTP::Tiny->new(max_redirect => 0, timeout => 10);
        my $press = sub {
            my ($page, $id) = @_;
            my ($act, $method) = $page->{content} =~
                m{action="([^"]+)"><input[^>]*value="(\w*)"><button id="$id"};
            return $browser->post_form($s->pages_url . $act, { method => $method });
        };
        for my $kind (qw(pc mobile app)) {
            my $r = $s->call_ready({ item_name => '<b>"가&나"</b>' });
            my $url = $r->{"next_redirect_${kind}_url"};
            is(index($url, $s->pages_url), 0, "$kind: the pages' address");
            unlike($url, qr/$r->{tid}/, 'it does not tell the tid');
            my $page = $browser->get($url);
            is($page->{status}, 200, "$kind: a page");
            utf8::decode(my $text = $page->{content});
            like($text, qr/&lt;b&gt;&quot;가&amp;나&quot;/, 'escaped');
            like($text, qr/2200원/, 'the amount');
            is($s->payment($r->{tid})->{status}, 'OPEN_PAYMENT', 'it is open');
            my $to = $press->($page, 'payCARD');
            is($to->{status}, 302, 'pay: a redirect');
            like($to->{headers}{location},
                qr{^http://127.0.0.1:8080/pay/approve\?n=1&pg_token=[0-9a-f]{20}$},
                'pg_token is added to the query there was');
            is($press->($page, 'payCARD')->{status}, 409, 'once only');
            my ($status) = $s->call('approve', $s->approval($r->{tid},
                pg_token => token_of($to->{headers}{location})));
            is($status, 200, 'and that token approves');
            is($press->($page, 'quit')->{status}, 409, 'nothing after it');
        }
        my $to = {};
        for my $act (qw(quit fail)) {
            my $r = $s->call_ready;
            $to = $press->($browser->get($r->{next_redirect_pc_url}), $act);
            my $where = $act eq 'quit' ? 'cancel' : 'fail';
            is_deeply([$to->{status}, $to->{headers}{location}],
                [302, "http://127.0.0.1:8080/pay/$where"], $act);
            my (undef, $o) = $s->order($r->{tid});
            is($o->{status}, $act eq 'quit' ? 'QUIT_PAYMENT'
                : 'FAIL_AUTH_PASSWORD', "order after $act");
        }
        my $r = $s->call_ready({ payment_method_type => 'MONEY',
            approval_url => 'http://127.0.0.1/ok' });
        my $page = $browser->get($r->{next_redirect_pc_url});
        unlike($page->{content}, qr/payCARD/, 'only the method that is wanted');
        like($press->($page, 'payMONEY')->{headers}{location},
            qr{^http://127.0.0.1/ok\?pg_token=}, 'a URL without a query');
        $r = $s->call_ready;
        $page = $browser->get($r->{next_redirect_pc_url});
        $s->clock(advance => 900_000);
        is($press->($page, 'payCARD')->{headers}{location},
            'http://127.0.0.1:8080/pay/fail', 'expired: fail_url');
        $s->clock(offset => 0);
        is($browser->get($s->pages_url . $_)->{status}, 404, "no page: $_")
            for '/mockup/v1/x/info', '/mockup/v1/' . 'a' x 64 . '/info';
        $s->stop if $s != $k;
    }
};

# ---- many at once

subtest 'doubles in flight, and hundreds' => sub {
    my ($tid, $f) = $k->authenticated();
    $k->settings(response_ms => 200);
    my @a = $k->burst(20, map { ['approve', $f] } 1 .. 20);
    my %n;
    $n{ $_->[0] == 200 ? 200 : code_of($_->[1] // {}) // 'none' }++ for @a;
    is_deeply(\%n, { 200 => 1, -785 => 19 }, '20 approves at once: one');
    $seen{-785} = 'doubles in flight';
    @a = $k->burst(20, map { ['cancel', { cid => $cid, tid => $tid,
        cancel_amount => 2200, cancel_tax_free_amount => 0 }] } 1 .. 20);
    is(scalar(grep { $_->[0] == 200 } @a), 1, '20 cancels at once: one');
    is_deeply([@{ $k->payment($tid) }{qw(charged canceled)}], [2200, 2200],
        'the ledger: once each');

    $k->settings(response_ms => 500);
    my $began = time;
    @a = $k->burst(30, map { ['ready', $k->ready_fields] } 1 .. 400);
    my $took = time - $began;
    is(scalar(grep { $_->[0] == 200 } @a), 400, '400 readies at once');
    cmp_ok($took, '<', 5, 'side by side');
    my $most = $k->totals->{in_flight_most};
    cmp_ok($most, '>=', 100, 'in flight at the same time');
    diag(sprintf '400 readies of 500 ms: %.2f s, %d in flight', $took, $most);
    $k->settings(response_ms => 0);
};

# The codes that none of our calls can lead to (points, methods, groups,
# subscriptions, phones, addresses) can be ordered.
subtest 'every documented code' => sub {
    my @documented = map { -$_ } 701 .. 708, 710, 711, 721 .. 726, 730 .. 733,
        750 .. 753, 761, 780 .. 785, 797 .. 799, 400, 401, 403, 404, 429, 500,
        503;
    for my $code (@documented) {
        for my $api (qw(open legacy)) {
            my $t = $k->call_ready({}, api => $api)->{tid};
            $k->fault(operation => 'order', answer => 'refuse', code => $code);
            my ($status, $r) = $k->order($t, api => $api);
            is(code_of($r), $code, "ordered: $code ($api)");
        }
    }
    my @rule = grep { $seen{$_} } @documented;
    my @ordered = grep { !$seen{$_} } @documented;
    is_deeply(\@ordered, [-703, -704, -732, -750, -751, -752, -753, -761, -781,
        -782, -798, -500], 'all but these come by a rule');
    diag(scalar(@rule), ' codes by a rule, ', scalar(@ordered),
        ' by order only: ', join ' ', @ordered);
};

is_deeply([scan_log($k->log)], [], 'the log');
ok($k->stop, 'an orderly end');
done_testing();
