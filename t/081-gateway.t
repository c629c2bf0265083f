# nginx.conf.example at work: identity, limits, other sites, errors, what is
# sent twice. Behind it stand daemons that tell what they were sent.

use strict;
use warnings;
use lib 't/lib';
use IO::Socket::INET;
use JSON::PP ();
use Speedy::Example;
use Speedy::Util qw(run_command try_for);
use Test::More;

my $g = Speedy::Example->start(edit => sub {
    s/^(\s*)#("https:\/\/shop\.example\.com")/$1$2/m;
    s/^(\s*)#set_real_ip_from .*/$1set_real_ip_from 127.0.0.3;/m;
    s/^(\s*)#(real_ip_header .*)/$1$2/m;
    s/max_fails=1/max_fails=0/g;
    s/(location = \/api\/v1\/orders \{)/location = \/big { speedy_auth off; client_max_body_size 10; proxy_pass http:\/\/orderd; }\n$1/;
});
my $token = $g->token(sub => 'u1', sid => 's1');
my $staff = $g->token(sub => 't1', sid => 's2', role => 'OWNER');

sub problem {
    my ($r, $status, $code, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $json = $r->{json} // {};
    return is("$r->{status} " . ($r->{headers}{'content-type'} // '') . ' '
            . ($json->{status} // '') . ' ' . ($json->{code} // ''),
        "$status application/problem+json $status $code", $name)
        || diag($r->{content});
}

# Bytes on a connection of their own; {status, headers, content, json}.
sub raw {
    my ($bytes, $port) = @_;
    my $c = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $port // $g->port, Timeout => 10) // die "connect: $!";
    $c->blocking(1);
    syswrite $c, $bytes;
    my $answer = '';
    local $SIG{ALRM} = sub { die "no end of the answer\n" };
    alarm 15;
    1 while sysread $c, $answer, 65536, length $answer;
    alarm 0;
    my ($head, $body) = split /\r\n\r\n/, $answer, 2;
    my ($status) = ($head // '') =~ /^HTTP\/1\.1 (\d+)/;
    my %headers = map { lc($_->[0]) => $_->[1] }
        map { [split /: */, $_, 2] } ($head // '') =~ /^([^:\s]+: [^\r\n]*)/mg;
    return { status => $status // 0, headers => \%headers, content => $body,
        json => scalar eval { JSON::PP::decode_json($body) } };
}

subtest 'who a daemon is told it is' => sub {
    my %lies = ('X-Speedy-User' => 'admin', 'X-Speedy-Role' => 'OWNER',
        'X-Speedy-Session' => 'other', 'X-Speedy-Sale' => 's', 'X_Speedy_User' => 'admin',
        'X_Speedy_Role' => 'OWNER', 'x-speedy-user' => 'again', 'X-Request-Id' => 'mine',
        'X-Speedy-Timeout' => '999999');
    my $r = $g->http('GET', '/api/v1/orders?limit=1', token => $token, headers => \%lies);
    is($r->{status}, 200, 'passed on');
    my $seen = $r->{seen};
    is($seen->{'x-speedy-user'}, 'u1', 'user: of the token');
    is($seen->{'x-speedy-role'}, 'USER', 'role: of the token');
    is($seen->{'x-speedy-session'}, 's1', 'session: of the token');
    ok(!exists $seen->{'x-speedy-sale'}, 'no sale');
    is($seen->{'x-speedy-timeout'}, 9000, 'the gateway says how long');
    ok(!exists $seen->{authorization}, 'the token goes no further');
    like($seen->{'x-request-id'}, qr/^[0-9a-f]{32}$/, 'a request id');
    is($r->{headers}{'x-request-id'}, $seen->{'x-request-id'}, 'which the client learns, once');
    unlike($r->{json}{head}, qr/x_speedy|admin|again|OWNER|mine|999999/i, 'nothing that it claimed');
    $r = $g->http('POST', '/api/v1/users', token => $token, headers => \%lies, content => '{}');
    ok(!grep({ exists $r->{seen}{"x-speedy-$_"} } qw(user role session sale)),
        'speedy_auth off: nobody, in spite of a token');
    my $log = $g->log_text('access');
    like($log, qr/"request_id":"\Q$seen->{'x-request-id'}\E".*"uri":"\/api\/v1\/orders".*"user":"u1"/,
        'and the log has id, path and user');
    unlike($log, qr/limit=1/, 'without arguments');
    $r = $g->http('GET', '/admin/staff', ops => 1, token => $staff, headers => \%lies);
    is("$r->{seen}{'x-speedy-user'} $r->{seen}{'x-speedy-role'} $r->{seen}{'x-speedy-session'}",
        't1 OWNER s2', 'the same for staff');
};

subtest 'the operators\' listener is theirs' => sub {
    problem($g->http('GET', '/admin/staff', token => $staff), 404, 'not_found', 'not on the public one');
    problem($g->http('GET', '/internal/replays', token => $token), 404, 'not_found', 'nor is /internal');
    problem($g->http('GET', '/internal/replays', ops => 1, token => $staff), 404, 'not_found', 'nor there');
    problem($g->http('GET', '/api/v1/orders', ops => 1, token => $token), 404, 'not_found', 'shop paths are not there');
    problem($g->http('GET', '/admin/staff', ops => 1, token => $token), 403, 'role_required', 'shoppers are no staff');
    problem($g->http('GET', '/api/v1/orders', token => $staff), 403, 'role_required', 'and staff no shoppers');
    problem($g->http('GET', '/admin/nothing', ops => 1), 404, 'not_found', 'an unknown path');
    is($g->http('GET', $_, ops => 1)->{status}, 200, $_) for qw(/healthz /metrics /nginx);
    is($g->http('POST', '/admin/sessions', ops => 1, content => '{}')->{status}, 200, 'log in');
};

subtest 'logging in by method' => sub {
    is($g->http('POST', '/api/v1/sessions', content => '{}')->{status}, 200, 'anyone may log in');
    problem($g->http($_, '/api/v1/sessions'), 401, 'token_missing', "$_ without a token") for qw(GET DELETE PUT);
    my $r = $g->http('DELETE', '/api/v1/sessions', token => $token);
    is($r->{seen}{'x-speedy-session'}, 's1', 'with one: whose');
    $r = $g->http('POST', '/api/v1/sessions/refresh', headers => { Cookie => 'speedy_refresh=x; y="' });
    is($r->{seen}{'x-speedy-cookie'}, 'speedy_refresh=x; y="', 'the refresh cookie gets there');
    ok(!exists $r->{seen}{cookie}, '... where the daemons\' library does not read it');
    $r = $g->http('POST', '/api/v1/sessions/refresh', headers => { 'X-Speedy-Cookie' => 'speedy_refresh=x' });
    ok(!exists $r->{seen}{'x-speedy-cookie'}, 'and nobody else says so');
};

subtest 'errors that are nginx\'s own' => sub {
    my $end = "Host: a\r\nConnection: close\r\n\r\n";
    problem(raw("BAD\r\n\r\n"), 400, 'bad_request', 'no request at all');
    problem(raw("GET /\x01 HTTP/1.1\r\n$end"), 400, 'bad_request', 'a control character');
    problem(raw("GET / HTTP/1.1\r\nConnection: close\r\n\r\n"), 400, 'bad_request', 'no Host');
    problem(raw("POST /api/v1/users HTTP/1.1\r\nContent-Length: x\r\n$end"), 400, 'bad_request', 'a length that is none');
    problem(raw("POST /api/v1/users HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n$end"),
        400, 'bad_request', 'both lengths');
    problem(raw("GET /api/v1/orders HTTP/1.1\r\nAuthorization: a\r\nAuthorization: b\r\n$end"), 400,
        'bad_request', 'two tokens');
    problem(raw("GET /%00 HTTP/1.1\r\n$end"), 400, 'bad_request', 'a NUL');
    problem(raw("GET / HTTP/9.1\r\n$end"), 505, 'http_version', 'another HTTP');
    problem(raw('GET /' . 'x' x 9000 . " HTTP/1.1\r\n$end"), 414, 'uri_too_long', 'a long address');
    problem(raw("GET / HTTP/1.1\r\nX-Long: " . 'x' x 9000 . "\r\n$end"), 431, 'headers_too_large', 'a long header');
    problem(raw("GET / HTTP/1.1\r\n" . join('', map { "X-$_: " . 'x' x 900 . "\r\n" } 1 .. 20) . $end), 431,
        'headers_too_large', 'many headers');
    problem(raw("POST /big HTTP/1.1\r\nContent-Length: 11\r\n$end" . 'x' x 11), 413, 'too_large', 'a large body');
    problem(raw("POST /big HTTP/1.1\r\nTransfer-Encoding: chunked\r\n${end}10\r\n" . 'x' x 16 . "\r\n0\r\n\r\n"),
        413, 'too_large', 'a large body in chunks');
    problem($g->http('POST', '/api/v1/users', content => 'x' x 1_000_000), 413, 'too_large', '1 MB of JSON');
    problem(raw("POST /api/v1/users HTTP/1.1\r\nTransfer-Encoding: gzip\r\n$end"), 501, 'not_implemented',
        'an unknown encoding');
    problem($g->http('POST', '/.well-known/jwks.json'), 405, 'method_not_allowed', 'a method');
    problem($g->http('TRACE', '/api/v1/orders'), 405, 'method_not_allowed', 'TRACE');
    problem($g->http('GET', $_), 404, 'not_found', $_) for '/', '/problem', '/@problem', '/api/v1/nothing',
        '/api/v1/users/other', '/.git/config';
    is(raw("HEAD / HTTP/1.1\r\n$end")->{content}, '', 'HEAD: no body');
    my $r = $g->http('GET', '/nothing');
    is($r->{headers}{'x-request-id'}, $r->{json}{request_id}, 'each tells its request id');
    is($r->{headers}{'x-content-type-options'}, 'nosniff', 'and has the headers');
    ok(!exists $r->{headers}{server} || $r->{headers}{server} eq 'nginx', 'no version of nginx');
};

subtest 'security headers on what daemons answer' => sub {
    my $r = $g->http('GET', '/api/v1/orders', token => $token);
    is($r->{headers}{'x-content-type-options'}, 'nosniff', 'X-Content-Type-Options');
    is($r->{headers}{'referrer-policy'}, 'no-referrer', 'Referrer-Policy');
    is($r->{headers}{'content-security-policy'}, "frame-ancestors 'none'", 'frame-ancestors');
};

subtest 'pages of other sites' => sub {
    my $mine = 'https://shop.example.com';
    my $r = $g->http('GET', '/api/v1/orders', token => $token, headers => { Origin => $mine });
    is($r->{headers}{'access-control-allow-origin'}, $mine, 'one that is allowed');
    is($r->{headers}{'access-control-allow-credentials'}, 'true', 'with cookies');
    is($r->{headers}{vary}, 'Origin', 'Vary');
    like($r->{headers}{'access-control-expose-headers'}, qr/Retry-After/, 'may read our headers');
    for my $other ('https://evil.example', "$mine.evil.example", 'null', "http://shop.example.com",
        'https://shop.example.com:444', 'https://xshop.example.com')
    {
        $r = $g->http('GET', '/api/v1/orders', token => $token, headers => { Origin => $other });
        is(join(' ', grep {/^access-control/} keys %{ $r->{headers} }), '', "not $other");
        is($r->{headers}{vary}, 'Origin', '... Vary all the same');
        $r = $g->http('OPTIONS', '/api/v1/orders', headers => { Origin => $other,
            'Access-Control-Request-Method' => 'GET' });
        is($r->{status}, 401, '... nor its question');
        is(join(' ', grep {/^access-control/} keys %{ $r->{headers} }), '', '... which is told nothing');
    }
    for my $path ('/api/v1/orders', '/api/v1/sales/s/orders', '/api/v1/users/me', '/api/v1/sessions') {
        $r = $g->http('OPTIONS', $path, headers => { Origin => $mine,
            'Access-Control-Request-Method' => 'POST',
            'Access-Control-Request-Headers' => 'authorization,idempotency-key' });
        is($r->{status}, 204, "$path: the question is answered without a token");
        is($r->{headers}{'access-control-allow-origin'}, $mine, '... origin');
        like($r->{headers}{'access-control-allow-methods'}, qr/\bPATCH\b/, '... methods');
        like($r->{headers}{'access-control-allow-headers'}, qr/Authorization.*Idempotency-Key/, '... headers');
    }
    $r = $g->http('GET', '/api/v1/orders', headers => { Origin => $mine });
    is("$r->{status} $r->{headers}{'access-control-allow-origin'}", "401 $mine", 'errors can be read, too');
    $r = $g->http('OPTIONS', '/admin/staff', ops => 1, headers => { Origin => $mine,
        'Access-Control-Request-Method' => 'GET' });
    is(join(' ', grep {/^access-control/} keys %{ $r->{headers} }), '', 'never on the operators\' listener');
};

# --- limits

sub ask {
    my ($n, @request) = @_;
    my %answers;
    my $last;
    for (1 .. $n) {
        $last = $g->http(@request);
        $answers{ $last->{status} }++;
    }
    return (\%answers, $last);
}

subtest 'strangers: 1,000 by address' => sub {
    my @confirm = ('POST', '/api/v1/email-verifications/confirm', content => '{}');
    my ($answers, $r) = ask(1010, @confirm, from => '127.0.0.2');
    cmp_ok($answers->{429}, '>=', 5, 'refused above a thousand') or diag explain $answers;
    cmp_ok($answers->{200}, '>=', 1000, 'not below');
    problem($r, 429, 'too_many_requests', 'told so');
    is($r->{headers}{'retry-after'}, 4, 'and when');
    problem($g->http('POST', '/api/v1/users', content => '{}', from => '127.0.0.2'), 429,
        'too_many_requests', 'sign-up: the same limit');
    is($g->http('POST', '/api/v1/sessions', content => '{}', from => '127.0.0.2')->{status}, 200,
        'logins have their own');
    is($g->http(@confirm, from => '127.0.0.2', token => $token)->{status}, 200,
        'a good token is no stranger');
    is($g->http(@confirm, from => '127.0.0.2', token => "${token}x")->{status}, 429, 'a bad one is');
    is($g->http(@confirm, from => '127.0.0.2', token => $g->token(expired => 1))->{status}, 429,
        'so is an expired one');
    is($g->http(@confirm, from => '127.0.0.4')->{status}, 200, 'another address');
    is((ask(1100, @confirm))[0]{429}, undef, 'the operators\' own address');
    is($g->http('GET', '/api/v1/orders', token => $token, from => '127.0.0.2')->{status}, 200,
        'the rest of the shop is open');
};

# A proxy at 127.0.0.3 may say whom it speaks for.
subtest 'an IPv6 customer is a /64' => sub {
    my $from = sub {
        return ask($_[1], 'POST', '/api/v1/sessions', content => '{}', from => '127.0.0.3',
            headers => { 'X-Forwarded-For' => $_[0] });
    };
    $from->('2001:db8:0:a::1', 500);
    $from->('2001:db8::a:1:2:3:4', 500);
    my ($answers, $r) = $from->('2001:db8:0:a:ffff:ffff:ffff:fff0', 10);
    cmp_ok($answers->{429} // 0, '>=', 5, 'one limit for its addresses');
    is($r->{headers}{'retry-after'}, 4, 'and when to come again');
    is((($from->('2001:db8:0:b::1', 1))[0])->{200}, 1, 'the next /64');
    is((($from->('192.0.2.10', 1))[0])->{200}, 1, 'an IPv4 address');
    is((($from->('::1', 1))[0])->{200}, 1, 'the operators\'');
    # Zero bytes and line feeds are bytes like others.
    $from->('a0a:0:a00:a::1', 1000);
    cmp_ok((($from->('a0a:0:a00:a:1::', 10))[0])->{429} // 0, '>=', 5, 'zero bytes and line feeds, too');
};

subtest 'by user' => sub {
    my $busy = $g->token(sub => 'busy');
    my ($answers, $r) = ask(70, 'GET', '/api/v1/users/me', token => $busy);
    cmp_ok($answers->{429} // 0, '>=', 1, 'one account is bounded');
    problem($r, 429, 'too_many_requests', 'told so') if $r->{status} == 429;
    is($g->http('GET', '/api/v1/users/me', token => $token)->{status}, 200, 'others are not');
    ($answers) = ask(40, 'POST', '/api/v1/email-verifications', content => '{}', token => $busy);
    cmp_ok($answers->{429} // 0, '>=', 5, 'mails by one account');
};

# --- what is sent twice

subtest 'daemons that hang up or are gone' => sub {
    my $count = sub { return scalar(map { $g->requests($_) } @_) };
    $g->break('userd', 'drop');
    for my $case (
        ['POST', '/api/v1/users', 1], ['POST', '/api/v1/sessions', 1],
        ['POST', '/api/v1/sessions/refresh', 1], ['PATCH', '/api/v1/users/me', 1],
        ['DELETE', '/api/v1/users/me', 1], ['PUT', '/api/v1/users/me/password', 1],
        ['DELETE', '/api/v1/sessions/current', 1], ['DELETE', '/api/v1/sessions', 1],
        ['DELETE', '/api/v1/users/me/addresses/a', 1], ['POST', '/api/v1/users/me/addresses', 1],
        ['GET', '/api/v1/users/me/addresses', 2])
    {
        my ($method, $path, $want) = @$case;
        my $before = $count->('userd_1', 'userd_2');
        my $r = $g->http($method, $path, token => $token, $method eq 'GET' ? () : (content => '{}'));
        problem($r, 503, 'unavailable', "$method $path");
        is($r->{headers}{'retry-after'}, 1, '... come again');
        my $n = $count->('userd_1', 'userd_2') - $before;
        # The idle connections of before are gone: the daemons hung up.
        $want == 1 ? is($n, 1, '... was sent once')
            : cmp_ok($n, '>=', 2, '... was tried again');
    }
    $g->break('userd', 'mend');
    $g->break('userd_1', 'gone');
    for my $method (qw(GET POST)) {
        my ($answers) = ask(6, $method, '/api/v1/users/me/addresses', token => $token,
            $method eq 'GET' ? () : (content => '{}'));
        is_deeply($answers, { 200 => 6 }, "one is gone: $method goes to the other");
    }
    $g->break('userd', 'mend');
};

# Headers too large end the whole connection there (GOAWAY), without an answer.
subtest 'HTTP/2' => sub {
    plan skip_all => 'curl without HTTP/2' if (run_command(5, 'curl', '-V'))[1] !~ /HTTP2/;
    $g->reload(sub { s/(listen 127\.0\.0\.1:\d+) backlog/$1 http2 backlog/ });
    my $url = 'http://127.0.0.1:' . $g->port;
    my $h2 = sub {
        return (run_command(15, 'curl', '-s', '--http2-prior-knowledge', '-m', 10, '-w',
            "\n%{http_version} %{http_code} %{content_type}", @_))[1];
    };
    for my $case (
        [404, 'not_found', "$url/nothing"],
        [405, 'method_not_allowed', '-X', 'POST', '-d', '{}', "$url/.well-known/jwks.json"],
        [413, 'too_large', '-d', 'x' x 20_000, "$url/api/v1/users"],
        [401, 'token_missing', "$url/api/v1/orders"],
        [400, 'bad_request', '-H', 'Authorization: a', '-H', 'Authorization: b', "$url/api/v1/orders"])
    {
        my ($status, $code, @args) = @$case;
        my $want = qr/"status":$status,"code":"$code".*\n2 $status application\/problem\+json/s;
        # curl 7.88 may give up when the stream ends before its upload.
        my $told;
        try_for { $told = $h2->(@args); return $told =~ $want } grep({ $_ eq '-d' } @args) ? 5 : 0;
        like($told, $want, $code);
    }
    like($h2->('-H', "Authorization: Bearer $token", '-H', 'X-Speedy-User: admin', "$url/api/v1/orders"),
        qr/x-speedy-user: u1.*\n2 200/si, 'and identity');
};

is(join("\n", $g->stop), '', 'an orderly end');
done_testing();
