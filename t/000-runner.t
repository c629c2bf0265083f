# The runner itself, against plain nginx: every section that our tests use.

use strict;
use warnings;
use lib 't/lib';
use Speedy::Util qw(free_port);

BEGIN { $ENV{TEST_NGINX_TCP_PORT} = free_port() }

use Speedy::Nginx 'no_plan';

repeat_each(1);
no_long_string();
run_tests();

__DATA__

=== TEST 1: a plain answer, 200 when no code is given
--- config
    location = /hello { return 200 "hello\n"; }
--- request
GET /hello
--- response_body
hello
--- no_error_log
[error]



=== TEST 2: another code, headers there and not there
--- config
    location = /gone {
        add_header X-Reason sold always;
        default_type application/problem+json;
        return 409 '{"code":"sold_out"}';
    }
--- request
GET /gone
--- error_code: 409
--- response_headers
Content-Type: application/problem+json
X-Reason: sold
!X-Other
--- response_body_like: "code":"sold_out"



=== TEST 3: a body, its length and headers of the client
--- config
    location = /echo {
        return 200 "$content_length $http_x_one $request_method\n";
    }
--- request
POST /echo
{"quantity":1}
--- more_headers
X-One: first
--- response_body
14 first POST



=== TEST 4: several requests, each its own expectation
--- config
    location = /a { return 200 "a\n"; }
    location = /b { return 404 "b\n"; }
--- request eval
["GET /a", "GET /b"]
--- error_code eval
[200, 404]
--- response_body eval
["a\n", "b\n"]



=== TEST 5: pipelined on one connection
--- config
    location /p { return 200 "$connection_requests $uri\n"; }
--- pipelined_requests eval
["GET /p1", "GET /p2", "GET /p3"]
--- response_body eval
["1 /p1\n", "2 /p2\n", "3 /p3\n"]



=== TEST 6: raw bytes in two packets
--- config
    location = /raw { return 200 "$http_x_raw\n"; }
--- raw_request eval
["GET /raw HTTP/1.1\r\nHost: x\r\nX-Raw: on",
 "e\r\nConnection: close\r\n\r\n"]
--- raw_request_middle_delay: 0.1
--- error_code: 200
--- response_body
one



=== TEST 7: a request that is no HTTP
--- config
--- raw_request eval
"GET / HTTP/1.1\r\nHost : a\r\n\r\n"
--- error_code: 400
--- error_log
client sent invalid header line



=== TEST 8: files of the user
--- config
    location /f { root html; }
--- user_files
>>> f/one.txt
first line
second line
--- request
GET /f/one.txt
--- response_body
first line
second line



=== TEST 9: configuration in http and main
--- main_config
    worker_priority 0;
--- http_config
    map $uri $what { default none; /mapped yes; }
--- config
    location = /mapped { return 200 "$what $server_port"; }
--- request
GET /mapped
--- response_body eval
qr/^yes \d+$/



=== TEST 10: nginx refuses a wrong configuration and says why
--- config
    no_such_directive on;
--- must_die
--- error_log
unknown directive "no_such_directive"



=== TEST 11: HEAD has no body
--- config
    location = /h { return 200 "hidden"; }
--- request
HEAD /h
--- response_headers
Content-Length: 6
--- response_body:



=== TEST 12: chunked request and response
--- config
    location = /c { ssi on; ssi_types *; root html; }
--- user_files
>>> c
chunked text
--- request
GET /c
--- response_headers
Transfer-Encoding: chunked
--- response_body
chunked text



=== TEST 13: a class of codes
--- config
    location = /e { return 503; }
--- request
GET /e
--- error_code_like: ^50\d$
--- response_headers_like
Content-Length: \d+
--- response_body_like: 503 Service



=== TEST 14: a server of the test behind nginx
--- config
    location = /up { proxy_pass http://127.0.0.1:$TEST_NGINX_TCP_PORT; }
--- request
GET /up
--- tcp_listen: $TEST_NGINX_TCP_PORT
--- tcp_reply eval
"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nup\n"
--- response_body
up



=== TEST 15: an answer in spite of a skipped one before
--- config
    location = /never { return 500; }
--- request
GET /never
--- SKIP



=== TEST 16: body in two packets
--- config
    location = /two {
        client_body_in_single_buffer on;
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/echo;
    }
    location = /echo { return 200 "$content_length\n"; }
--- request eval
[["POST /two\n", "{\"quantity\":", {value => "1}", delay_before => 0.1}]]
--- response_body
14
--- LAST



=== TEST 17: not reached
--- config
--- request
GET /
--- error_code: 599
