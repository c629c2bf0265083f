# The KakaoPay sandbox: faults to order, its clock and sums, TLS, and a kill -9
# between hundreds of calls.

use strict;
use warnings;
use utf8;
use lib 't/lib';
use HTTP::Tiny;
use IO::Socket::SSL;
use Test::More;
use Time::HiRes qw(time);
use Speedy::Kakao;
use Speedy::Util qw(read_file write_file wait_for scan_log);

my $cid = 'TC0ONETIME';

sub refused {
    my ($code, $what, $status, $r) = @_;
    return is(ref $r ? $r->{error_code} : $status, $code, "$code: $what");
}

my $k = Speedy::Kakao->start;

# ---- faults

sub quick { return HTTP::Tiny->new(timeout => 1) }

subtest 'F29: approve, and the answer is lost' => sub {
    my %lost = (silence => qr/Timed out/, close => qr/Unexpected end/,
        reset => qr/reset by peer/);
    for my $how (sort keys %lost) {
        for my $effect (0, 1) {
            my ($tid, $f) = $k->authenticated();
            $k->fault(operation => 'approve', answer => $how, effect => $effect);
            my ($status, $text) = $k->call('approve', $f, agent => quick());
            is($status, 599, "$how: no answer");
            like($text, $lost{$how}, "$how: this way");
            my (undef, $o) = $k->order($tid);
            is($o->{status}, $effect ? 'SUCCESS_PAYMENT' : 'AUTH_PASSWORD',
                "$how: order tells whether it took effect");
            ($status) = $k->call('approve', $f);
            is($status, $effect ? 400 : 200, "$how: once only");
            is($k->payment($tid)->{charged}, 2200, "$how: charged once");
        }
    }
};

subtest 'answers that are no answers' => sub {
    for my $effect (0, 1) {
        my ($tid, $f) = $k->authenticated();
        $k->fault(operation => 'approve', answer => 'status', effect => $effect);
        my ($status, $text) = $k->call('approve', $f);
        is_deeply([$status, ref $text], [500, ''], 'by 500');
        is($k->payment($tid)->{charged}, $effect ? 2200 : 0, "effect $effect");

        ($tid, $f) = $k->authenticated();
        $k->fault(operation => 'approve', answer => 'refuse', code => -780,
            extra_code => 'BANK_FIRM_UNKNOWN', effect => $effect);
        ($status, my $r) = $k->call('approve', $f);
        refused(-780, 'the bank did not say', $status, $r);
        is($r->{extras}{method_result_code}, 'BANK_FIRM_UNKNOWN', 'so');
        is($k->payment($tid)->{charged}, $effect ? 2200 : 0, "effect $effect");
    }
    my ($tid, $f) = $k->authenticated();
    $k->fault(operation => 'approve', answer => 'status', status => 200,
        body => '{"tid":', effect => 1);
    my ($status, $text) = $k->call('approve', $f);
    is_deeply([$status, $text], [200, '{"tid":'], '200 with garbage');
    is($k->payment($tid)->{charged}, 2200, 'and charged');

    $tid = $k->call_ready->{tid};
    $k->fault(operation => 'order', answer => 'slow', slow_ms => 2);
    my $began = time;
    ($status, my $o) = $k->order($tid);
    is($o->{tid}, $tid, 'slow, but whole');
    cmp_ok(time - $began, '>=', 0.5, 'slow');

};

subtest 'F31: answers that are not true' => sub {
    my %lie = (approve => [qw(tid cid partner_order_id partner_user_id
        amount.total amount.tax_free amount.vat aid quantity)],
        order => [qw(tid status amount.total cancel_available_amount.total
            partner_order_id payment_action_details.amount)],
        cancel => [qw(tid status canceled_amount.total)],
        ready => [qw(tid next_redirect_pc_url)]);
    for my $op (sort keys %lie) {
        for my $field (@{ $lie{$op} }) {
            my @truth;
            for my $wrong (0, 1) {
                my ($tid, $f) = $op eq 'approve' ? $k->authenticated()
                    : ($k->paid({}));
                $k->fault(operation => $op, wrong => $field) if $wrong;
                my ($status, $r) = $op eq 'ready'
                    ? $k->call('ready', $k->ready_fields)
                    : $op eq 'approve' ? $k->call('approve', $f)
                    : $op eq 'cancel' ? $k->cancel($tid, 2200)
                    : $k->order($tid);
                my $v = $r;
                for my $step (split /\./, $field) {
                    $v = $v->[0] if ref $v eq 'ARRAY';
                    $v = $v->{$step};
                }
                my $same = $field eq 'tid' ? $tid // ''
                    : $field eq 'partner_order_id' ? $k->payment($tid)->{$field}
                    : undef;
                push @truth, defined $same ? ($v eq $same ? 1 : 0) : $v;
            }
            isnt($truth[1], $truth[0], "$op: $field")
                if $op ne 'ready' && $field ne 'aid';
        }
    }
    $k->fault(operation => 'ready', wrong => 'next_redirect_pc_url',
        value => '"https://evil.example/"');
    is($k->call_ready->{next_redirect_pc_url}, 'https://evil.example/',
        'a value of the test');
    my $tid = $k->paid();
    for my $field (qw(amount status payment_method_type tid)) {
        $k->fault(operation => 'order', missing => $field);
        my (undef, $o) = $k->order($tid);
        ok(!exists $o->{$field}, "missing: $field");
    }
};

subtest 'delays, and an effect that comes late' => sub {
    my ($tid, $f) = $k->authenticated();
    for my $when (qw(before_ms after_ms)) {
        $k->fault(operation => 'order', $when => 150);
        my $began = time;
        $k->order($tid);
        cmp_ok(time - $began, '>=', 0.15, $when);
    }
    # F30: the inquiry says no, then the approve lands
    for my $how (qw(reset status)) {
        ($tid, $f) = $k->authenticated();
        $k->fault(operation => 'approve', answer => $how, late_ms => 600,
            effect => 1);
        my ($status) = $k->call('approve', $f);
        isnt($status, 200, "$how: no answer that helps");
        my (undef, $o) = $k->order($tid);
        is($o->{status}, 'AUTH_PASSWORD', "$how: the inquiry says no");
        refused(-785, 'while it is under way', $k->call('approve', $f));
        wait_for { $k->payment($tid)->{charged} } 5, 'the late approve';
        (undef, $o) = $k->order($tid);
        is($o->{status}, 'SUCCESS_PAYMENT', "$how: and then it has landed");
    }
    # late money: the tid was alive when approve came, and is dead when it lands
    $k->settings(life_ms => 500);
    ($tid, $f) = $k->authenticated();
    $k->fault(operation => 'approve', answer => 'reset', late_ms => 1000);
    $k->call('approve', $f);
    wait_for { $k->payment($tid)->{expired} } 5, 'the end of its life';
    is($k->payment($tid)->{charged}, 0, 'a dead tid, not paid');
    wait_for { $k->payment($tid)->{charged} } 5, 'the late money';
    $k->settings(life_ms => 900_000);
    # F32: the same for a cancel
    $tid = $k->paid();
    $k->fault(operation => 'cancel', answer => 'close', late_ms => 400);
    my ($status) = $k->cancel($tid, 2200);
    is($status, 599, 'cancel: no answer');
    refused(-785, 'a cancel while one is under way', $k->cancel($tid, 2200));
    wait_for { $k->payment($tid)->{net} == 0 } 5, 'the late cancel';
    $k->fault(operation => 'ready', answer => 'close', late_ms => 100);
    my $before = $k->totals->{payments};
    ($status) = $k->call('ready', $k->ready_fields);
    is($status, 599, 'ready: no answer');
    wait_for { $k->totals->{payments} == $before + 1 } 5, 'the late ready';
};

subtest 'whom a fault meets' => sub {
    $k->clear_faults;
    my ($one, $two) = map { $k->call_ready({ partner_order_id => "f$_" })->{tid} }
        1, 2;
    my $hit = sub { my ($status) = $k->order($_[0]); return $status == 500 };
    my $id = $k->fault(answer => 'status', tid => $two, count => 2, skip => 1);
    is_deeply([map { $hit->($_) ? 1 : 0 } $one, $two, $two, $two, $two],
        [0, 0, 1, 1, 0], 'by tid: after one, two times');
    is_deeply([map { @$_{qw(id operation answer left hits)} } @{ $k->faults }],
        [$id, 'any', 'status', 0, 2], 'listed');
    $k->fault(operation => 'order', order => 'f1', answer => 'status',
        count => -1);
    is_deeply([map { $hit->($_) ? 1 : 0 } $one, $two, $one], [1, 0, 1],
        'by order, for ever');
    $k->clear_faults;
    is_deeply($k->faults, [], 'none');
    ok(!$hit->($one), 'and none is met');
    ok(!eval { $k->fault(operation => 'x'); 1 }, 'no such operation');
    ok(!eval { $k->fault(anser => 'x'); 1 }, 'no such word');
    ok(!eval { $k->settings(response => 1); 1 }, 'no such setting');
};

# ---- time, settlement, sums

subtest 'clock, life, settlement' => sub {
    $k->reset;
    is_deeply($k->ledger, [], 'reset: nothing is left');
    my $day = sub { my @t = gmtime($_[0] + 9 * 3600);
        return sprintf '%04d-%02d-%02d', $t[5] + 1900, $t[4] + 1, $t[3] };
    # noon of a day, so that nothing here crosses midnight
    my $noon = int((time + 9 * 3600) / 86400) * 86400 + 3 * 3600;
    $k->clock(set => $noon * 1000);
    my @tids = map { $k->paid({ partner_order_id => "s$_" }) } 1 .. 3;
    $k->cancel($tids[0], 2200);
    $k->clock(advance => 86_400_000);
    $k->cancel($tids[1], 1000);
    $k->paid({ partner_order_id => 's3' });
    my ($first, $second) = map { $k->settlement($day->($noon + $_ * 86400)) } 0, 1;
    is_deeply([@$first{qw(paid canceled net)}], [6600, 2200, 4400], 'a day');
    is_deeply([@$second{qw(paid canceled net)}], [2200, 1000, 1200], 'the next');
    is_deeply([map { $_->{type} } @{ $first->{actions} }],
        [qw(PAYMENT CANCEL PAYMENT PAYMENT)], 'line by line');
    is(scalar @{ $k->settlement('2020-01-01')->{actions} }, 0, 'an empty day');
    ok(!eval { $k->settlement('2020-13-01'); 1 }, 'a day that is none');
    my $t = $k->totals;
    is_deeply([@$t{qw(payments charged canceled net approvals cancels
        orders_charged_twice impossible)}], [4, 8800, 3200, 5600, 4, 2, 1, 0],
        'the sums, and the order that two tids hold money of');
    is_deeply([map { $_->{tid} eq $tids[2] || $_->{status} }
        @{ $k->ledger('s3') }], [1, 'SUCCESS_PAYMENT'], 'by order');
    my ($tid, $f) = $k->authenticated();
    $k->settings(life_ms => 200);
    wait_for { $k->payment($tid)->{expired} } 5, 'the end of a shorter life';
    refused(-723, 'after a shorter life', $k->call('approve', $f));
    is(scalar(grep { $_->{code} == -723 } @{ $k->calls($tid) }), 1, 'calls');
    $k->reset;
};

# ---- TLS

subtest 'TLS as KakaoPay has it' => sub {
    my $s = Speedy::Kakao->start(tls => 1);
    ok($s->paid({}, api => $_), "$_ by TLS") for qw(open legacy);
    my $hello = sub { return IO::Socket::SSL->new(PeerAddr => 'localhost',
        PeerPort => $s->{port}{api}, SSL_ca_file => $s->ca, @_) };
    my $c = $hello->();
    is($c ? $c->get_sslversion : $SSL_ERROR, 'TLSv1_2', 'TLS 1.2');
    close $c;
    ok(!$hello->(SSL_version => $_), "no $_") for qw(TLSv1_3 TLSv1_1);
    my ($tid, $f) = $s->authenticated();
    $s->fault(operation => 'approve', answer => 'reset');
    my ($status) = $s->call('approve', $f);
    is($status, 599, 'a reset');
    is($s->payment($tid)->{charged}, 2200, 'and its effect');
    $s->stop;
};

# ---- kill -9

subtest 'kill -9 and restart' => sub {
    my $s = Speedy::Kakao->start(state => 1);
    my @f = map { ($s->authenticated())[1] } 1 .. 60;
    my $shy = $s->call_ready->{tid};
    my $part = $s->paid({ item_code => 'c', total_amount => 10000 });
    $s->cancel($part, 3000, payload => '일부');
    my $asked = $s->clock(advance => 60_000);
    $s->settings(response_ms => 20);
    my $before = $s->payment($part);

    local $s->{each_end} = sub { kill 'KILL', $s->pid if $_[0] == 20 };
    my @a = $s->burst(10, map { ['approve', $_] } @f);
    $s->kill_9;
    write_file($s->{dir} . '/state', read_file($s->{dir} . '/state')
        . '{"tid":"T0123456789012345678","page":"x', 0600);
    $s->run;

    my $told = grep { $_->[0] == 200 } @a;
    my @charged = map { $s->payment($_->{tid})->{charged} } @f;
    my @lost = grep { $a[$_][0] == 200 && $charged[$_] != 2200 } 0 .. $#f;
    is_deeply(\@lost, [], "no approve that was answered ($told) is lost");
    is(scalar(grep { $_ != 0 && $_ != 2200 } @charged), 0, 'whole or not at all');
    is_deeply($s->payment($part), { %$before, expired => $before->{expired} },
        'a payment is as it was');
    is($s->payment($shy)->{status}, 'READY', 'one that only began, too');
    cmp_ok(abs $s->clock->{offset} - $asked->{offset}, '<', 1, 'the clock');
    is($s->settings->{response_ms}, 20, 'the settings');
    my ($again) = grep { !$charged[$_] } 0 .. $#f;
    my ($status) = $s->call('approve', $f[$again // 0]);
    is($status, defined $again ? 200 : 400, 'it goes on where it was');
    my $totals = $s->totals;
    $s->restart;
    is_deeply([@{ $s->totals }{qw(charged net approvals payments)}],
        [@$totals{qw(charged net approvals payments)}], 'an orderly restart');
    is_deeply([scan_log($s->log)], [], 'its log');
    diag("killed with $told of 60 answered, ", scalar(grep { $_ } @charged),
        ' charged');
    $s->stop;
};

is_deeply([scan_log($k->log)], [], 'the log');
ok($k->stop, 'an orderly end');
done_testing();
