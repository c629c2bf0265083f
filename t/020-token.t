# Tokens: which are believed, and that nothing else is.

use strict;
use warnings;
use lib 't/lib';
use Speedy::Module qw(gateway gateway_http gateway_config keys_dir);
use Speedy::Nginx 'no_plan';
use Speedy::Token qw(token);
use MIME::Base64 qw(encode_base64url);

gateway(kafka => 0);
use_module();
nginx_preamble(
    http_config => gateway_http(
        jwt_key => [
            'k1 HS256 ' . keys_dir() . '/current',
            'k0 HS256 ' . keys_dir() . '/previous',
        ],
    ),
    config => gateway_config() . <<'CONF',
    location = /staff { speedy_auth cs; return 200 "staff\n"; }
    location = /owner { speedy_auth owner; proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/echo; }
    location = /cs { speedy_auth cs; proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/echo; }
CONF
);
no_long_string();
run_tests();

sub with {
    my (%o) = @_;
    return 'Authorization: Bearer ' . token(key => 'k' x 40, sub => 'u1', %o);
}

sub tail { my ($t) = @_; return (split /\./, token(key => 'k' x 40))[$t] }

__DATA__

=== TEST 1: none
--- request
GET /me
--- error_code: 401
--- response_headers
Content-Type: application/problem+json
WWW-Authenticate: Bearer realm="speedy"
--- response_body_like: "status":401,"code":"token_missing","request_id":"[0-9a-f]{32}"\}$



=== TEST 2: a good one, twice (the second from the cache)
--- request eval
['GET /me', 'GET /me']
--- more_headers eval
my $h = main::with(); [$h, $h]
--- error_code eval
[200, 200]
--- response_body eval
["user=u1 role=USER\n", "user=u1 role=USER\n"]



=== TEST 3: identity headers of a client are never believed
--- request
GET /me
--- more_headers eval
main::with() . "\nX-Speedy-User: admin\nX_Speedy_User: admin\nX-Speedy-Role: OWNER"
--- response_body
user=u1 role=USER



=== TEST 4: nor without a token
--- request
GET /me
--- more_headers
X-Speedy-User: admin
X_Speedy_User: admin
--- error_code: 401



=== TEST 5: signed with the previous key
--- request
GET /me
--- more_headers eval
main::with(key => 'p' x 40, kid => 'k0')
--- response_body
user=u1 role=USER



=== TEST 6: signed with the key before that, or with no key of ours
--- request eval
[map { 'GET /me' } 1 .. 4]
--- more_headers eval
[main::with(key => 'o' x 40), main::with(key => 'o' x 40, kid => 'k0'),
 main::with(key => 'o' x 40, kid => 'old'), main::with(key => 'p' x 40)]
--- error_code eval
[401, 401, 401, 401]
--- response_body_like eval
[('"code":"token_invalid"') x 4]



=== TEST 7: algorithms
--- request eval
[map { 'GET /me' } 1 .. 7]
--- more_headers eval
[main::with(alg => 'none'), main::with(alg => 'HS512'), main::with(alg => 'HS384'),
 main::with(alg => 'RS256'), main::with(alg => 'ES256'),
 main::with(header => '{"alg":"NoNe","typ":"JWT","kid":"k1"}'),
 main::with(header => '{"typ":"JWT","alg":"HS256","kid":"k1"}')]
--- error_code eval
[(401) x 7]
--- response_body_like eval
[('"code":"token_invalid"') x 7]



=== TEST 8: a wrong signature, no signature, one part more
--- request eval
[map { 'GET /me' } 1 .. 5]
--- more_headers eval
my $t = main::with(); my ($h, $p, $s) = split /\./, $t;
[main::with(bits => 'wrong'), "$h.$p.", "$h.$p", "$t.$s", "$h..$s"]
--- error_code eval
[(401) x 5]
--- response_body_like eval
[('"code":"token_invalid"') x 5]



=== TEST 9: claims that are missing
--- request eval
[map { 'GET /me' } 1 .. 8]
--- more_headers eval
[map { main::with(without => [$_]) } qw(exp iat iss aud sub role typ sid)]
--- error_code eval
[(401) x 8]
--- response_body_like eval
[('"code":"token_invalid"') x 8]



=== TEST 10: claims that are wrong
--- request eval
[map { 'GET /me' } 1 .. 17]
--- more_headers eval
[main::with(sid => ''), main::with(sid => 'x' x 41), main::with(sid => '../s'),
 main::with(sid => "s\0"), main::with(claims => { sid => 7 }),
 main::with(iss => 'other'), main::with(aud => 'other'), main::with(typ => 'refresh'),
 main::with(role => 'ADMIN'), main::with(role => 'user'), main::with(sub => '../x'),
 main::with(sub => 'x' x 41), main::with(sub => ''),
 main::with(claims => { exp => 'soon' }), main::with(claims => { nbf => time + 600 }),
 main::with(iat => time + 600), main::with(ttl => 100_000)]
--- error_code eval
[(401) x 17]
--- response_body_like eval
[('"code":"token_invalid"') x 17]



=== TEST 11: expired
--- request
GET /me
--- more_headers eval
main::with(expired => 1)
--- error_code: 401
--- response_headers
WWW-Authenticate: Bearer realm="speedy", error="invalid_token"
--- response_body_like: "code":"token_expired"



=== TEST 12: within the leeway
--- request
GET /me
--- more_headers eval
main::with(iat => time - 910, ttl => 900)
--- response_body
user=u1 role=USER



=== TEST 13: forms of the header
--- request eval
[map { 'GET /me' } 1 .. 7]
--- more_headers eval
my ($t) = main::with() =~ /Bearer (.*)/;
['Authorization: X', 'Authorization: Bearer', "Authorization: Basic $t",
 "Authorization: Bearer  $t", "Authorization: Bearer $t=", "Authorization: bearer $t",
 "Authorization: Bearer $t\x01"]
--- error_code_like eval
['^401$', '^401$', '^401$', '^401$', '^401$', '^200$', '^40[01]$']



=== TEST 14: two Authorization headers
--- request
GET /me
--- more_headers eval
main::with() . "\n" . main::with(sub => 'u2')
--- error_code: 400



=== TEST 15: a token of 8 KB
--- request
GET /me
--- more_headers eval
main::with(size => 8000)
--- error_code_like: ^4\d\d$



=== TEST 16: a token of 1.9 KB is too long for the cache only
--- request eval
['GET /me', 'GET /me']
--- more_headers eval
my $h = main::with(size => 1900); [$h, $h]
--- response_body eval
["user=u1 role=USER\n", "user=u1 role=USER\n"]



=== TEST 17: staff roles stand above each other, shoppers beside them
--- request eval
['GET /cs', 'GET /cs', 'GET /cs', 'GET /cs', 'GET /cs', 'GET /owner', 'GET /owner', 'GET /me']
--- more_headers eval
[map { main::with(role => $_) } qw(USER VIEWER CS OPERATOR OWNER OPERATOR OWNER OWNER)]
--- error_code eval
[403, 403, 200, 200, 200, 403, 200, 403]



=== TEST 18: 403 says why
--- request
GET /me
--- more_headers eval
main::with(role => 'CS')
--- error_code: 403
--- response_body_like: "status":403,"code":"role_required"



=== TEST 19: keep-alive goes on after a refused body
--- pipelined_requests eval
["POST /me\n" . ('x' x 500), 'GET /metrics']
--- error_code eval
[401, 200]
