# Live stock over HTTP: what GET says of every kind of sale, and the heads of
# streams. What streams say is t/091-streams.t's.

use strict;
use warnings;
use lib 't/lib';
use Speedy::Module qw(gateway gateway_http sale redis redis_now run_id);
use Speedy::Nginx 'no_plan';
use Test::More;

gateway(kafka => 0);
my $now = redis_now();
sale('open',   stock => { b => 12, a => 0, c => 3, 'cool:c' => 1 },
    notice => "빨리 \"오세요\"\n\x01</x>", opens_at => 1_700_000_000_123,
    closes_at => 4_000_000_000_000);
sale('none',   stock => { a => 0, b => 0 });
sale('soon',   opens_at => 4_000_000_000_000);
sale('paused', state => 'PAUSED');
sale('early',  state => 'PAUSED', opens_at => 4_000_000_000_000);
sale('closed', state => 'CLOSED', stock => { default => 4 });
sale('over',   closes_at => $now - 1);
sale('cool',   stock => { a => 1, 'cool:a' => $now + 60_000 });
sale('fenced', gate => 0);
sale('gone',   gate => 0, listed => 'archived');
sale('never',  gate => 0, listed => undef);
sale('many',   stock => { map { sprintf("v%03d%s", $_, 'x' x 36) => 100_000_000 } 1 .. 200 },
    notice => "\x{1}" x 500);
use_module();
nginx_preamble(http_config => gateway_http(), config => <<'CONF');
    gzip on; gzip_types text/event-stream; gzip_min_length 1;
    location ~ ^/api/v1/sales/[^/]+/stock$ { speedy_stock; }
    location ~ ^/api/v1/sales/[^/]+/stock/stream$ { speedy_stock_stream; }
    location = /odd { speedy_stock; }
CONF
no_long_string();
no_shuffle();
run_tests();

__DATA__

=== TEST 1: an open sale
--- request
GET /api/v1/sales/open/stock
--- response_headers
Content-Type: application/json
Cache-Control: no-store
--- response_body_like eval
qr/^\{"sale_id":"open","state":"open","opens_at":"2023-11-15T07:13:20\.123\+09:00","closes_at":"2096-10-02T16:06:40\.000\+09:00","server_time":"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\d\+09:00","variants":\[\{"variant":"a","left":0,"sold_out":true,"cooling":false\},\{"variant":"b","left":12,"sold_out":false,"cooling":false\},\{"variant":"c","left":3,"sold_out":false,"cooling":false\}\],"notice":"빨리 \\"오세요\\"\\n\\u0001<\/x>"\}$/

=== TEST 2: asked again, from memory
--- request
GET /api/v1/sales/open/stock?x=1
--- response_body_like: "left":12

=== TEST 3: HEAD
--- request
HEAD /api/v1/sales/open/stock
--- response_headers
Content-Type: application/json
Cache-Control: no-store
--- response_body:

=== TEST 4: every variant sold out
--- request
GET /api/v1/sales/none/stock
--- response_body_like: "state":"sold_out".*"notice":null

=== TEST 5: not open yet
--- request
GET /api/v1/sales/soon/stock
--- response_body_like: "state":"upcoming","opens_at":"2096-10-02T16:06:40.000\+09:00","closes_at":null

=== TEST 6: paused
--- request
GET /api/v1/sales/paused/stock
--- response_body_like: "state":"paused"

=== TEST 7: paused before it opens
--- request
GET /api/v1/sales/early/stock
--- response_body_like: "state":"paused"

=== TEST 8: closed
--- request
GET /api/v1/sales/closed/stock
--- response_body_like: "state":"ended".*"left":4

=== TEST 9: past its end
--- request
GET /api/v1/sales/over/stock
--- response_body_like: "state":"ended"

=== TEST 10: a cool-down of the future is none
--- request
GET /api/v1/sales/cool/stock
--- response_body_like: "left":1,"sold_out":false,"cooling":false

=== TEST 11: fenced
--- request
GET /api/v1/sales/fenced/stock
--- error_code: 503
--- response_headers
Retry-After: 1
Cache-Control: no-store
--- response_body_like: "code":"unavailable"

=== TEST 12: archived
--- request
GET /api/v1/sales/gone/stock
--- error_code: 409
--- response_body_like: "code":"sale_closed"

=== TEST 13: no such sale
--- request
GET /api/v1/sales/never/stock
--- error_code: 404
--- response_body_like: "code":"sale_not_found"

=== TEST 14: no id
--- request
GET /api/v1/sales/a%20b/stock
--- error_code: 404
--- response_body_like: "code":"sale_not_found"

=== TEST 15: an id too long
--- request eval
"GET /api/v1/sales/" . ('a' x 41) . "/stock"
--- error_code: 404

=== TEST 16: a path without a sale
--- request
GET /odd
--- error_code: 404

=== TEST 17: another method
--- request
POST /api/v1/sales/open/stock
{}
--- error_code: 405
--- response_headers
Allow: GET, HEAD
--- response_body_like: "code":"method_not_allowed"

=== TEST 18: two hundred variants and the longest notice
--- request
GET /api/v1/sales/many/stock
--- response_body_like eval
qr/"variant":"v001x{36}".*"variant":"v200x{36}","left":100000000,"sold_out":false,"cooling":false\}\],"notice":"(?:\\u0001){500}"/

=== TEST 19: the head of a stream: never packed, never held back
--- request
HEAD /api/v1/sales/open/stock/stream
--- more_headers
Accept-Encoding: gzip
--- response_headers
Content-Type: text/event-stream
Cache-Control: no-store
X-Accel-Buffering: no
!Content-Length
!Content-Encoding

=== TEST 20: a stream of no sale
--- request
GET /api/v1/sales/never/stock/stream
--- error_code: 404
--- response_body_like: "code":"sale_not_found"

=== TEST 21: a stream of a fenced sale
--- request
GET /api/v1/sales/fenced/stock/stream
--- error_code: 503

=== TEST 22: a stream of an archived sale
--- request
GET /api/v1/sales/gone/stock/stream
--- error_code: 409

=== TEST 23: another method on a stream
--- request
DELETE /api/v1/sales/open/stock/stream
--- error_code: 405
