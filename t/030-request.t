# The purchase's request: what is refused before any store is asked.

use strict;
use warnings;
use lib 't/lib';
use Speedy::Module qw(gateway gateway_http gateway_config sale buy bearer);
use Speedy::Nginx 'no_plan';

gateway();
sale('s1', stock => { default => 1000, 270 => 1000 }, limit => 1000);
use_module();
nginx_preamble(http_config => gateway_http(), config => gateway_config());
no_long_string();
run_tests();

my $n;
sub json  { return buy(key => 'r' . ++$n, @_) }
sub order { return "POST /api/v1/sales/s1/orders\n$_[0]" }

__DATA__

=== TEST 1: accepted
--- request
POST /api/v1/sales/s1/orders
{"variant":"default","quantity":2}
--- more_headers eval
main::json()
--- error_code: 202
--- response_headers_like
Content-Type: application/json
Location: /api/v1/orders/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}
--- response_headers
!Idempotent-Replayed
--- response_body_like: ^\{"order_id":"[0-9a-f-]{36}","state":"ACCEPTED","sale_id":"s1","variant":"default","quantity":2,"unit_price":1000,"amount":2000,"currency":"KRW","seq":\d+,"pay_by":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+09:00"\}$



=== TEST 2: members in the other order, blanks, a type with a parameter
--- request
POST /api/v1/sales/s1/orders
 { "quantity" : 1 , "variant" : "270" } 
--- more_headers eval
main::json(type => 'application/json; charset=utf-8')
--- error_code: 202



=== TEST 3: quantities that are none
--- request eval
[map { main::order(qq({"variant":"default","quantity":$_})) }
    '0', '-1', '1.5', '1.0', '1e1', '"1"', 'null', 'true', '[1]', '{"n":1}',
    '9223372036854775808', '18446744073709551617', '1000001', '-0']
--- more_headers eval
[map { main::json() } 1 .. 14]
--- error_code eval
[(400) x 14]
--- response_body_like eval
[('"code":"invalid_quantity".*"errors":\[\{"pointer":"/quantity","code":"\w+"\}\]') x 14]



=== TEST 4: more than the limit can never be
--- request
POST /api/v1/sales/s1/orders
{"variant":"default","quantity":1001}
--- more_headers eval
main::json()
--- error_code: 400
--- response_body_like: "code":"invalid_quantity".*"limit":1000



=== TEST 5: variants that are no id
--- request eval
[map { main::order(qq({"variant":$_,"quantity":1})) }
    '""', '1', 'null', '"a b"', '"' . ('x' x 41) . '"', '"\u0000"', '["default"]']
--- more_headers eval
[map { main::json() } 1 .. 7]
--- error_code eval
[(400) x 7]
--- response_body_like eval
[('"code":"invalid_variant".*"pointer":"/variant"') x 7]



=== TEST 6: members that are missing
--- request eval
[map { main::order($_) } '{}', '{"variant":"default"}', '{"quantity":1}']
--- more_headers eval
[map { main::json() } 1 .. 3]
--- error_code eval
[400, 400, 400]
--- response_body_like eval
['invalid_variant.*required', 'invalid_quantity.*required', 'invalid_variant.*required']



=== TEST 7: what is no JSON, or no object
--- request eval
[map { main::order($_) }
    '{', 'x', '[]', '"a"', '1', 'null', '{"variant":"default","quantity":1}x',
    '{"variant":"default","quantity":1,}', '{variant:"default","quantity":1}',
    '{"variant":"default","quantity":.5}', "{'variant':'default'}",
    '{"variant":"default" /* c */,"quantity":1}', "{\"variant\":\"\xff\",\"quantity\":1}",
    ('[' x 2000), ('{"variant":' x 300)]
--- more_headers eval
[map { main::json() } 1 .. 15]
--- error_code eval
[(400) x 15]
--- response_body_like eval
[('"code":"invalid_json"') x 14, '"code":"invalid_(json|variant)"']



=== TEST 8: a member too many
--- request eval
[map { main::order($_) }
    '{"variant":"default","quantity":1,"price":1}', '{"Variant":"default","quantity":1}',
    '{"a\"b/c~":1}']
--- more_headers eval
[map { main::json() } 1 .. 3]
--- error_code eval
[400, 400, 400]
--- response_body_like eval
['"code":"unknown_field".*"pointer":"/price"', '"code":"unknown_field".*"/Variant"',
 '"code":"unknown_field".*"pointer":"/a\?b\?c\?"']



=== TEST 9: a member twice
--- request eval
[map { main::order($_) }
    '{"variant":"default","quantity":1,"quantity":1}', '{"variant":"a","variant":"b","quantity":1}']
--- more_headers eval
[map { main::json() } 1 .. 2]
--- error_code eval
[400, 400]
--- response_body_like eval
['"code":"duplicate_field".*"/quantity"', '"code":"duplicate_field".*"/variant"']



=== TEST 10: the key is missing
--- request
POST /api/v1/sales/s1/orders
{"variant":"default","quantity":1}
--- more_headers eval
main::bearer() . "\nContent-Type: application/json"
--- error_code: 400
--- response_body_like: "code":"idempotency_key_missing"



=== TEST 11: keys that are none
--- request eval
[map { main::order('{"variant":"default","quantity":1}') } 1 .. 5]
--- more_headers eval
my $h = main::bearer() . "\nContent-Type: application/json\nIdempotency-Key:";
["$h ", "$h a b", "$h " . ('k' x 256), "$h \xc3\xa9", "$h a\nIdempotency-Key: b"]
--- error_code eval
[(400) x 5]
--- response_body_like eval
[('"code":"idempotency_key_invalid"') x 5]



=== TEST 12: the longest key
--- request
POST /api/v1/sales/s1/orders
{"variant":"default","quantity":1}
--- more_headers eval
main::json(key => 'k' x 255)
--- error_code: 202



=== TEST 13: types that are not JSON's
--- request eval
[map { main::order('{"variant":"default","quantity":1}') } 1 .. 4]
--- more_headers eval
[map { main::json(type => $_) } undef, 'text/plain', 'application/jsonx',
    'application/x-www-form-urlencoded']
--- error_code eval
[(415) x 4]
--- response_body_like eval
[('"code":"unsupported_media_type"') x 4]



=== TEST 14: no body
--- raw_request eval
"POST /api/v1/sales/s1/orders HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
. CORE::join('', map { "$_\r\n" } split /\n/, main::json()) . "\r\n"
--- error_code: 411
--- response_body_like: "code":"length_required"



=== TEST 15: a body of more than 4 KB
--- request eval
[main::order('{"variant":"default","quantity":1' . (' ' x 4100) . '}')]
--- more_headers eval
main::json()
--- error_code: 413



=== TEST 16: exactly 4 KB
--- request eval
my $b = '{"variant":"default","quantity":1'; main::order($b . (' ' x (4096 - 1 - length $b)) . '}')
--- more_headers eval
main::json()
--- error_code: 202



=== TEST 17: other methods
--- request eval
['GET /api/v1/sales/s1/orders', "PUT /api/v1/sales/s1/orders\n{}", 'DELETE /api/v1/sales/s1/orders',
 'OPTIONS /api/v1/sales/s1/orders', 'HEAD /api/v1/sales/s1/orders']
--- more_headers eval
main::json()
--- error_code eval
[(405) x 5]
--- response_headers eval
[('Allow: POST') x 5]



=== TEST 18: paths
--- request eval
[map { "POST $_\n" . '{"variant":"default","quantity":1}' }
    '/api/v1/sales/a.b/orders', '/api/v1/sales/' . ('x' x 41) . '/orders',
    '/api/v1/sales/s1%2fx/orders', '/api/v1/sales/%2e%2e/orders', '/api/v1/sales/s%7d1/orders']
--- more_headers eval
main::json()
--- error_code eval
[(404) x 5]



=== TEST 19: a NUL in the path
--- request
POST /api/v1/sales/s1%00/orders
{"variant":"default","quantity":1}
--- more_headers eval
main::json()
--- error_code: 400



=== TEST 20: the way back up to the same sale
--- request
POST /api/v1/sales/x/../s1/orders
{"variant":"default","quantity":1}
--- more_headers eval
main::json()
--- error_code: 202



=== TEST 21: a body in two packets, one second apart
--- request eval
[[{ value => "POST /api/v1/sales/s1/orders\n{\"variant\":\"default\"," },
  { value => '"quantity":1}', delay_before => 1 }]]
--- more_headers eval
main::json()
--- error_code: 202



=== TEST 22: a chunked body
--- raw_request eval
"POST /api/v1/sales/s1/orders HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
. CORE::join('', map { "$_\r\n" } split /\n/, main::json())
. "\r\n14\r\n{\"variant\":\"default\"\r\ne\r\n,\"quantity\":1}\r\n0\r\n\r\n"
--- error_code: 202



=== TEST 23: a chunked body of more than 4 KB
--- raw_request eval
"POST /api/v1/sales/s1/orders HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
. CORE::join('', map { "$_\r\n" } split /\n/, main::json())
. "\r\n2000\r\n" . ('x' x 8192) . "\r\n0\r\n\r\n"
--- error_code: 413



=== TEST 24: length and chunks at once
--- raw_request eval
"POST /api/v1/sales/s1/orders HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n"
. CORE::join('', map { "$_\r\n" } split /\n/, main::json())
. "\r\n0\r\n\r\n"
--- error_code: 400



=== TEST 25: pipelined purchases are answered in order
--- pipelined_requests eval
[map { main::order('{"variant":"' . $_ . '","quantity":1}') } qw(default none 270 default)]
--- more_headers eval
[map { main::json() } 1 .. 4]
--- error_code eval
[202, 404, 202, 202]
