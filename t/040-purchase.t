# What Redis decides, as answers: every reply of reserve.lua and of the sale's
# look-up, replays, and what stands in Redis and Kafka afterwards.

use strict;
use warnings;
use lib 't/lib';
use Speedy::Module qw(gateway gateway_http gateway_config sale buy redis
    redis_now user_units run_id);
use Speedy::Nginx 'no_plan';
use Test::More;

gateway();
my $now = redis_now();
sale('open',   stock => { default => 100 }, limit => 2);
sale('one',    stock => { default => 1 }, held => 7, log => ['other']);
sale('few',    stock => { default => 1 }, limit => 5, held => 3);
sale('none',   stock => { default => 0 }, held => 4);
sale('soon',   opens_at => $now + 3_600_000);
sale('paused', state => 'PAUSED');
sale('closed', state => 'CLOSED');
sale('over',   closes_at => $now - 1);
sale('fenced', gate => 0);
sale('gone',   gate => 0, listed => 'archived');
sale('never',  gate => 0, listed => undef);
use_module();
nginx_preamble(
    http_config => gateway_http(),
    config      => gateway_config() . <<'CONF',
    location ~ ^/archive/sales/[^/]+/orders$ {
        speedy_purchase;
        speedy_purchase_archive @archive;
    }
    location @archive {
        proxy_set_header X-Speedy-User $speedy_user;
        proxy_set_header X-Speedy-Sale $speedy_sale_id;
        rewrite ^ /internal/replays break;
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT;
    }
    location = /internal/replays {
        speedy_auth off;
        return 202 "k=$http_idempotency_key s=$http_x_speedy_sale u=$http_x_speedy_user b=$content_length\n";
    }
CONF
);
no_long_string();
no_shuffle();
run_tests();

# Order ids of answers, by what Redis holds: no 202 without a ledger entry.
is(user_units('open', 'u1'), 2, 'two units, never more');
is(redis()->cmd('HGET', 'speedy:{open}:stock', 'default'), 97, 'and u2 one');
is(redis()->cmd('HLEN', 'speedy:{open}:pend'), 0, 'all acknowledged');
is(redis()->cmd('HLEN', 'speedy:{open}:resv'), 3, 'three orders');

sub order {
    my ($sale, $quantity, $variant) = @_;
    return sprintf "POST /api/v1/sales/%s/orders\n"
        . '{"variant":"%s","quantity":%s}', $sale, $variant // 'default',
        $quantity // 1;
}

__DATA__

=== TEST 1: the same key again is the same order
--- request eval
[main::order('open'), main::order('open'), main::order('open')]
--- more_headers eval
main::buy(key => 'a')
--- error_code eval
[202, 202, 202]
--- response_headers eval
['!Idempotent-Replayed', 'Idempotent-Replayed: true', 'Idempotent-Replayed: true']
--- response_body_like eval
[('"sale_id":"open","variant":"default","quantity":1,.*"seq":1,') x 3]



=== TEST 2: the same key with another body
--- request eval
[main::order('open', 2), main::order('open', 1, 'other')]
--- more_headers eval
main::buy(key => 'a')
--- error_code eval
[422, 422]
--- response_body_like eval
[('"code":"key_reused"') x 2]



=== TEST 3: the same key of another user is another order
--- request eval
main::order('open')
--- more_headers eval
main::buy(key => 'a', user => 'u2')
--- error_code: 202
--- response_headers
!Idempotent-Replayed



=== TEST 4: up to the limit, and no further
--- request eval
[main::order('open'), main::order('open'), main::order('open', 2)]
--- more_headers eval
[main::buy(key => 'b'), main::buy(key => 'c'), main::buy(key => 'd')]
--- error_code eval
[202, 409, 409]
--- response_body_like eval
['"state":"ACCEPTED"',
 ('"code":"limit_reached",.*"limit":2,"order_id":"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]{21}"') x 2]



=== TEST 5: a variant that is not sold
--- request eval
main::order('open', 1, 'none')
--- more_headers eval
main::buy(key => 'e', user => 'u9')
--- error_code: 404
--- response_body_like: "code":"variant_not_found"



=== TEST 6: the last unit, and then none; its owner's retry is never masked
--- request eval
[main::order('one'), main::order('one'), main::order('one'), main::order('one')]
--- more_headers eval
[main::buy(key => 'a'), main::buy(key => 'a', user => 'u2'), main::buy(key => 'b', user => 'u2'),
 main::buy(key => 'a')]
--- error_code eval
[202, 409, 409, 202]
--- response_body_like eval
['ACCEPTED', ('"code":"sold_out",.*"left":0,"unpaid_holds":7\}$') x 2, 'ACCEPTED']



=== TEST 7: fewer than asked
--- request eval
main::order('few', 2)
--- more_headers eval
main::buy()
--- error_code: 409
--- response_headers
!Retry-After
--- response_body_like: "code":"sold_out",.*"left":1,"unpaid_holds":3



=== TEST 8: before it opens
--- request eval
main::order('soon')
--- more_headers eval
main::buy()
--- error_code: 409
--- response_headers_like
Retry-After: 3[56]\d\d
--- response_body_like: "code":"sale_not_open",.*"opens_at":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+09:00","server_time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+09:00"\}$



=== TEST 9: paused, closed, over
--- request eval
[map { main::order($_) } qw(paused closed over)]
--- more_headers eval
main::buy()
--- error_code eval
[409, 409, 409]
--- response_body_like eval
['"code":"sale_paused"', '"code":"sale_closed"', '"code":"sale_closed"']



=== TEST 10: a live sale without a gate
--- request eval
main::order('fenced')
--- more_headers eval
main::buy()
--- error_code: 503
--- response_headers
Retry-After: 1
--- response_body_like: "code":"sale_fenced"



=== TEST 11: a sale that never was
--- request eval
main::order('never')
--- more_headers eval
main::buy()
--- error_code: 404
--- response_body_like: "code":"sale_not_found"



=== TEST 12: an archived sale, nowhere to ask
--- request eval
main::order('gone')
--- more_headers eval
main::buy()
--- error_code: 409
--- response_body_like: "code":"sale_closed"



=== TEST 13: an archived sale is asked of the archive, with the checked user
--- request
POST /archive/sales/gone/orders
{"variant":"default","quantity":1}
--- more_headers eval
main::buy(user => 'u7', key => 'old') . "\nX-Speedy-User: x\nX-Speedy-Sale: y"
--- error_code: 202
--- response_body
k=old s=gone u=u7 b=34
