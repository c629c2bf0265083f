package Speedy::Kakao;

# The KakaoPay sandbox of a test: started on free ports, driven as the payer,
# told its faults, asked for its ledger; and a client of the API itself.

use strict;
use warnings;
use utf8;
use Carp qw(croak);
use HTTP::Tiny;
use IO::Select;
use JSON::PP ();
use Speedy::Util qw(spawn stop_process alive wait_for temp_dir build_file
    read_file write_file free_port run_command connect_to);

=encoding utf8

=head1 SYNOPSIS

    my $kakao = Speedy::Kakao->start;                  # plain HTTP, in memory
    my $kakao = Speedy::Kakao->start(tls => 1, state => 1);
    my $kakao = Speedy::Kakao->attach($stack);         # that of ./dev up

    # payd is given $kakao->url, ->ca and ->key('secret' | 'dev' | 'admin')

    my $to = $kakao->pay(tid => $tid, method => 'CARD');  # approval_url?pg_token=…
    $to = $kakao->quit(order => $order_id);            # cancel_url
    $to = $kakao->fail(tid => $tid);                   # fail_url

    $kakao->fault(operation => 'approve', answer => 'silence');     # F29
    $kakao->fault(operation => 'approve', late_ms => 5000,
        answer => 'reset', count => 3);                             # F30
    $kakao->fault(operation => 'order', wrong => 'amount.total');   # F31
    wait_for { $kakao->payment($tid)->{net} == 0 } 10, 'the refund';
    is($kakao->totals->{orders_charged_twice}, 0);

=head1 STARTING

=over

=item start(tls, pages, state, response, name, cids, domains)

C<tls>: HTTPS with a certificate of a CA of its own (C<ca>), TLS 1.2 only.
C<pages>: the payer's pages on a plain port of their own. C<state>: survives
C<kill_9> and C<restart>. C<response>: milliseconds of every call. C<cids>:
known CIDs, as C<CID> or C<CID,SECRET>. C<domains>: registered origins; without
them all are.

=item attach(STACK)

To the one of a L<Speedy::Stack>, which ends with it: C<$stack-E<gt>kill_9('sandbox')>.

=item url, pages_url, control_url, ca, key(NAME), pid, log

=item kill_9, restart, stop

C<restart> starts it again on the same ports, with its state.

=back

=head1 THE PAYER

=over

=item pay(tid | order, method, point, discount, refuse, no_partial)

C<refuse>: C<{code, extra_code, extra_message}>: approve will be refused so,
though all is right (-780 by default). C<no_partial>: this trade can be
cancelled as a whole only.

=item quit(tid | order), fail(tid | order), open_page(tid | order)

Each returns where the browser is sent.

=back

=head1 FAULTS

C<fault(...)> orders one and returns its number. It is taken by the calls that
fit C<operation> (ready, approve, cancel, order, any), C<tid> and C<order>
(the merchant's order id), after C<skip> of them, C<count> times (1; -1 for
ever). What it does:

    before_ms  this long before the effect      after_ms   and before the answer
    effect     whether it takes place (true, but for answers status and refuse)
    late_ms    the answer goes out, the effect comes this much later; the
               payment answers -785 meanwhile, and order what was before
    answer     true     the real one
               silence  none, the connection stays until the client leaves
               close, reset  the connection ends by FIN or RST
               status   HTTP `status` (500) with `body` (some HTML); status 200
                        is the garbage
               refuse   error `code` with extra_code and extra_message, HTTP
                        `status` if that of the code is not wanted
               slow     byte by byte, slow_ms (20) apart
    wrong      this field of the answer is not true (`amount.total`, `tid`,
               `partner_order_id`, `next_redirect_pc_url`, …); value: JSON text
               that stands there instead
    missing    this field is left out

C<faults> lists them with C<hits>, C<clear_faults(ID)> removes one or all.

=head1 ASKING

=over

=item payment(TID), ledger(ORDER), totals, settlement(DAY), calls(TID)

A payment has tid, status, total, charged, canceled, net, approvals, cancels,
actions, calls (how often each operation was called for it). C<ledger> gives a
list. C<totals> has charged, canceled, net, approvals, cancels,
orders_charged_twice, impossible, calls, in_flight_most.

=item settings(NAME => VALUE), clock(advance | set | offset => MS), reset

=item call(OPERATION, {FIELDS}, api => 'open' | 'legacy', ...)

The API itself: (HTTP status, answer). Options: key, authorization,
content_type, method, path, body (as it is), agent.

=item call_ready({FIELDS}, ...)

With usual values for what is required; dies unless it is answered well.

=item authenticated({FIELDS}, api, pay => {...}), paid({FIELDS}, ...)

The way to a payment that the payer has paid: its tid and the fields of approve
(C<approval(TID, NAME =E<gt> VALUE)> makes them too); or that is approved: its tid.

=item cancel(TID, AMOUNT, NAME => VALUE, api, agent, key), order(TID, api, ...)

As C<call>.

=item burst(SECONDS, [OPERATION, {FIELDS}], ...)

All at the same time on connections of their own, without TLS: a list of
[status, answer], status 0 where none came. C<{each_end}> of the object is
called with the number of those that have ended.

=back

=cut

my %path = (open => '/online/v1/payment/', legacy => '/v1/payment/');

sub start {
    my ($class, %o) = @_;
    my $dir = temp_dir('kakao');
    my $self = bless { %o, dir => $dir }, $class;
    $self->{name} //= $o{tls} ? 'localhost' : '127.0.0.1';
    $self->{key} = { map { $_ => "$_-" . sprintf '%08x' x 4,
            map { int rand 2**32 } 1 .. 4 } qw(secret dev admin) };
    write_file("$dir/keys", join('', map { "$_ $self->{key}{$_}\n" }
            sort keys %{ $self->{key} }), 0400);
    $self->{port} = { map { $_ => free_port() } qw(api control pages) };
    $self->certificate if $o{tls};
    $self->run;
    return $self;
}

sub attach {
    my ($class, $stack) = @_;
    my $env = $stack->env;
    my $key = read_file($stack->dir . '/secrets/kakaopay-key');
    return bless { url => $env->{SPEEDY_SANDBOX_URL},
        control => $env->{SPEEDY_SANDBOX_CONTROL},
        ca => $env->{SPEEDY_SANDBOX_CA},
        tls => $env->{SPEEDY_SANDBOX_URL} =~ /^https/,
        key => { dev => $key, admin => $key } }, $class;
}

sub certificate {
    my ($self) = @_;
    my $dir = $self->{dir};
    write_file("$dir/ext", "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
    my @new = ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1',
        '-nodes');
    for my $cmd (
        ['req', '-x509', @new, '-days', 30, '-subj', '/CN=test CA',
            '-keyout', "$dir/ca.key", '-out', "$dir/ca.crt"],
        ['req', @new, '-subj', '/CN=localhost', '-keyout', "$dir/tls.key",
            '-out', "$dir/tls.csr"],
        ['x509', '-req', '-in', "$dir/tls.csr", '-CA', "$dir/ca.crt",
            '-CAkey', "$dir/ca.key", '-CAcreateserial', '-days', 30,
            '-extfile', "$dir/ext", '-out', "$dir/tls.crt"],
    ) {
        my ($status, undef, $error) = run_command(30, 'openssl', @$cmd);
        croak "openssl: $error" if $status;
    }
    return;
}

sub run {
    my ($self) = @_;
    my $dir = $self->{dir};
    my @cmd = (build_file('bin/paysandbox'), '--keys', "$dir/keys",
        '--api', $self->{port}{api}, '--control', $self->{port}{control},
        '--name', $self->{name});
    push @cmd, '--tls', "$dir/tls.crt,$dir/tls.key" if $self->{tls};
    push @cmd, '--pages', $self->{port}{pages} if $self->{pages};
    push @cmd, '--state', "$dir/state" if $self->{state};
    push @cmd, '--response', $self->{response} if $self->{response};
    push @cmd, map { ('--cid', $_) } @{ $self->{cids} || [] };
    push @cmd, map { ('--domain', $_) } @{ $self->{domains} || [] };
    $self->{pid} = spawn(name => 'paysandbox', stdout => "$dir/log",
        cmd => \@cmd);
    wait_for {
        die 'paysandbox ended: ' . (read_file("$dir/log") // '')
            if !alive($self->{pid});
        return $self->settings;
    } 10, 'paysandbox';
    return;
}

sub url {
    my ($self) = @_;
    return $self->{url} // ($self->{tls} ? 'https' : 'http')
        . "://$self->{name}:$self->{port}{api}";
}

sub pages_url {
    my ($self) = @_;
    return $self->{pages} ? "http://$self->{name}:$self->{port}{pages}"
        : $self->url;
}

sub control_url {
    my ($self) = @_;
    return $self->{control} // "http://127.0.0.1:$self->{port}{control}";
}

sub ca  { return $_[0]{ca} // "$_[0]{dir}/ca.crt" }
sub key { return $_[0]{key}{ $_[1] } }
sub pid { return $_[0]{pid} }
sub log { return "$_[0]{dir}/log" }

sub stop    { return stop_process($_[0]{pid}, 'TERM', 10) }
sub kill_9  { return stop_process($_[0]{pid}, 'KILL', 10) }
sub restart { my ($self) = @_; $self->stop; return $self->run }

# ---- control

sub ask {
    my ($self, $method, $path, $data) = @_;
    # On a kept connection head and body, sent apart, wait 40 ms for each other.
    my $http = $self->{http} //= HTTP::Tiny->new(timeout => 30, keep_alive => 0);
    my $r = $http->request($method, $self->control_url . $path,
        $data ? { content => JSON::PP->new->utf8->canonical->encode($data) } : {});
    my $answer = eval { JSON::PP::decode_json($r->{content}) };
    return $answer if $r->{success} && $answer;
    croak "sandbox: $method $path: $r->{status} "
        . ($answer ? $answer->{error} : $r->{content});
}

sub act {
    my ($self, $act, %o) = @_;
    $o{no_partial} = JSON::PP::true() if delete $o{no_partial};
    return $self->ask(POST => '/payer', { act => $act, %o })->{redirect};
}

sub pay       { my $self = shift; return $self->act('pay',  @_) }
sub quit      { my $self = shift; return $self->act('quit', @_) }
sub fail      { my $self = shift; return $self->act('fail', @_) }
sub open_page { my $self = shift; return $self->act('open', @_) }

sub fault {
    my ($self, %o) = @_;
    $o{effect} = $o{effect} ? JSON::PP::true() : JSON::PP::false()
        if exists $o{effect};
    return $self->ask(POST => '/faults', \%o)->{id};
}

sub faults { return $_[0]->ask(GET => '/faults') }

sub clear_faults {
    my ($self, $id) = @_;
    return $self->ask(DELETE => '/faults' . ($id ? "/$id" : ''));
}

sub settings {
    my ($self, %o) = @_;
    for my $truth (qw(maintenance enabled)) {
        $o{$truth} = $o{$truth} ? JSON::PP::true() : JSON::PP::false()
            if exists $o{$truth};
    }
    return $self->ask(%o ? (PUT => '/settings', \%o) : (GET => '/settings'));
}

sub clock {
    my ($self, %o) = @_;
    return $self->ask(%o ? (POST => '/clock', \%o) : (GET => '/clock'));
}

sub payment { my ($self, $tid) = @_; return $self->ask(GET => "/payments/$tid") }
sub totals  { return $_[0]->ask(GET => '/totals') }
sub reset   { return $_[0]->ask(POST => '/reset', {}) }

sub ledger {
    my ($self, $order) = @_;
    return $self->ask(GET => '/ledger' . ($order ? "?order=$order" : ''))
        ->{payments};
}

sub calls {
    my ($self, $tid) = @_;
    return $self->ask(GET => '/calls' . ($tid ? "?tid=$tid" : ''));
}

sub settlement {
    my ($self, $day) = @_;
    return $self->ask(GET => "/settlement?day=$day");
}

# ---- the API

sub agent {
    my ($self) = @_;
    return $self->{agent} //= HTTP::Tiny->new(timeout => 30,
        keep_alive => 0, max_redirect => 0, $self->{tls}
        ? (verify_SSL => 1, SSL_options => { SSL_ca_file => $self->ca })
        : ());
}

sub call {
    my ($self, $op, $fields, %o) = @_;
    my $api = $o{api} // 'open';
    my $http = $o{agent} // $self->agent;
    my %headers = ('content-type' => $o{content_type} // (
            $api eq 'open' ? 'application/json'
            : 'application/x-www-form-urlencoded;charset=utf-8'));
    my $authorization = exists $o{authorization} ? $o{authorization}
        : $api eq 'open' ? 'SECRET_KEY ' . ($o{key} // $self->key('dev'))
        : 'KakaoAK ' . ($o{key} // $self->key('admin'));
    $headers{authorization} = $authorization if defined $authorization;
    my $body = $o{body}
        // ($api eq 'open' ? JSON::PP->new->utf8->canonical->encode($fields)
            : $http->www_form_urlencode($fields));
    my $r = $http->request($o{method} // 'POST',
        $self->url . ($o{path} // $path{$api} . $op),
        { headers => \%headers, content => $body });
    return ($r->{status},
        eval { JSON::PP::decode_json($r->{content}) } // $r->{content});
}

my $orders = 0;

sub ready_fields {
    my ($self, $fields) = @_;
    my $shop = 'http://127.0.0.1:8080';
    return {
        cid => 'TC0ONETIME', partner_order_id => "order-$$-" . ++$orders,
        partner_user_id => 'uAAAAAAAAAAAAAAAAAAAAAA', item_name => '초코파이',
        quantity => 1, total_amount => 2200, tax_free_amount => 0,
        approval_url => "$shop/pay/approve?n=1", cancel_url => "$shop/pay/cancel",
        fail_url => "$shop/pay/fail", %{ $fields || {} } };
}

sub call_ready {
    my ($self, $fields, %o) = @_;
    my ($status, $r) = $self->call('ready', $self->ready_fields($fields), %o);
    croak 'sandbox: ready: ' . JSON::PP::encode_json($r) if $status != 200;
    return $r;
}

sub approval {
    my ($self, $tid, %more) = @_;
    my $p = $self->payment($tid);
    return { tid => $tid, pg_token => 'none',
        (map { $_ => $p->{$_} } qw(cid partner_order_id partner_user_id)),
        %more };
}

sub authenticated {
    my ($self, $fields, %o) = @_;
    my $tid = $self->call_ready($fields, api => $o{api} // 'open')->{tid};
    my ($token) = $self->pay(tid => $tid, %{ $o{pay} || {} })
        =~ /pg_token=(\w+)$/;
    return ($tid, $self->approval($tid, pg_token => $token));
}

sub paid {
    my ($self, $fields, %o) = @_;
    my ($tid, $ask) = $self->authenticated($fields, %o);
    my ($status, $r) = $self->call('approve', $ask, api => $o{api} // 'open');
    croak 'sandbox: approve: ' . JSON::PP::encode_json($r) if $status != 200;
    return $tid;
}

sub cancel {
    my ($self, $tid, $amount, %more) = @_;
    my %o = map { exists $more{$_} ? ($_ => delete $more{$_}) : () }
        qw(api agent key);
    return $self->call('cancel', { cid => 'TC0ONETIME', tid => $tid,
        cancel_amount => $amount, cancel_tax_free_amount => 0, %more }, %o);
}

sub order {
    my ($self, $tid, %o) = @_;
    return $self->call('order', { cid => 'TC0ONETIME', tid => $tid }, %o);
}

sub burst_open {
    my ($self, $op, $fields) = @_;
    my $s = connect_to($self->{port}{api}) or croak "sandbox: $!";
    my $body = JSON::PP->new->utf8->encode($fields);
    print {$s} "POST $path{open}$op HTTP/1.1\r\nHost: sandbox\r\n"
        . 'Authorization: SECRET_KEY ' . $self->key('dev') . "\r\n"
        . "Content-Type: application/json\r\nConnection: close\r\n"
        . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
    $s->flush;
    return $s;
}

sub burst {
    my ($self, $seconds, @asks) = @_;
    my @sockets = map { $self->burst_open(@$_) } @asks;
    my %at = map { $sockets[$_] => $_ } 0 .. $#asks;
    my @text = ('') x @asks;
    my $select = IO::Select->new(@sockets);
    my ($ended, $end) = (0, time + $seconds);
    while ($select->count && time < $end) {
        for my $s ($select->can_read(0.2)) {
            next if sysread $s, $text[$at{$s}], 65536, length $text[$at{$s}];
            $select->remove($s);
            close $s;
            $self->{each_end}->(++$ended) if $self->{each_end};
        }
    }
    return map {
        my ($head, $body) = split /\r\n\r\n/, $_, 2;
        my ($status) = ($head // '') =~ m{^HTTP/1.1 (\d+)};
        [$status // 0, eval { JSON::PP::decode_json($body) }];
    } @text;
}

1;
