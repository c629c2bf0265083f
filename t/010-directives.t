# Directives: each refusal of `nginx -t` names the line and the remedy.

use strict;
use warnings;
use lib 't/lib';
use Speedy::Util qw(temp_dir write_file run_command free_port);

BEGIN {
    my $dir = temp_dir('conf');
    write_file("$dir/key",   'k' x 40, 0400);
    write_file("$dir/other", 'o' x 40, 0400);
    write_file("$dir/open",  'k' x 40, 0644);
    write_file("$dir/short", 'k' x 31, 0400);
    write_file("$dir/empty", "\n",     0400);
    run_command(10, qw(openssl ecparam -name prime256v1 -genkey -noout -out),
        "$dir/ec.key");
    run_command(10, qw(openssl ec -pubout -in), "$dir/ec.key", '-out',
        "$dir/ec.pub");
    my %other = (
        p384    => [qw(-algorithm EC -pkeyopt ec_paramgen_curve:P-384)],
        rsa1024 => [qw(-algorithm RSA -pkeyopt rsa_keygen_bits:1024)],
        rsa     => [qw(-algorithm RSA -pkeyopt rsa_keygen_bits:2048)],
        pss     => [qw(-algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048)],
        ed25519 => [qw(-algorithm ED25519)],
    );
    for my $name (sort keys %other) {
        run_command(30, qw(openssl genpkey), @{ $other{$name} }, '-out',
            "$dir/$name.key");
        run_command(10, qw(openssl pkey -pubout -in), "$dir/$name.key", '-out',
            "$dir/$name.pub");
    }
    chmod 0400, "$dir/ec.pub";
    $ENV{TEST_NGINX_KEYS} = $dir;
    $ENV{TEST_NGINX_OTHER_PORT} = free_port();
}

use Speedy::Nginx 'no_plan';

use_module();
no_shuffle();
no_long_string();
run_tests();

__DATA__

=== TEST 1: every directive with a good value
--- http_config
    speedy_zone one=1m;
    speedy_redis 127.0.0.1:1;
    speedy_redis_user u;
    speedy_redis_password_file $TEST_NGINX_KEYS/key;
    speedy_redis_connect_timeout 10ms;
    speedy_redis_timeout 60s;
    speedy_redis_queue 1;
    speedy_kafka 127.0.0.1:1,localhost:2;
    speedy_kafka_topic a.b-c_d;
    speedy_kafka_property linger.ms 5;
    speedy_kafka_queue 10;
    speedy_kafka_timeout 10ms;
    speedy_kafka_message_timeout 1s;
    speedy_jwt_key k1 HS256 $TEST_NGINX_KEYS/key;
    speedy_jwt_key k2 ES256 $TEST_NGINX_KEYS/ec.pub;
    speedy_jwt_issuer i;
    speedy_jwt_audience a;
    speedy_jwt_leeway 0s;
    speedy_jwt_max_ttl 1s;
    speedy_jwt_cache 0;
    speedy_sessions 100ms;
    speedy_sessions_max_age 10m;
    speedy_auth owner;
    speedy_purchase_archive @there;
--- config
    location @there { return 200; }
    location = /jwks { speedy_auth off; speedy_jwks; }
    location @problem { speedy_auth off; speedy_problem $arg_wait; }
    location /orders { speedy_auth user; speedy_purchase; }
    location = /metrics { speedy_auth off; speedy_status; }
--- request
GET /metrics
--- response_body_like: speedy_redis_up\{pid="\d+"\} 0
--- error_log
no connection to Redis



=== TEST 2: a purchase without speedy_auth
--- http_config
    speedy_zone one=1m;
    speedy_redis unix:/nowhere;
    speedy_kafka 127.0.0.1:1;
--- config
    location /o { speedy_purchase; }
--- must_die
--- error_log eval
qr/"speedy_purchase" needs "speedy_auth user" in this location, .* in \S*nginx.conf:\d+/



=== TEST 3: a purchase by staff
--- http_config
    speedy_zone one=1m;
    speedy_redis unix:/nowhere;
    speedy_kafka 127.0.0.1:1;
    speedy_jwt_key k1 HS256 $TEST_NGINX_KEYS/key;
    speedy_sessions off;
--- config
    location /o { speedy_auth operator; speedy_purchase; }
--- must_die
--- error_log
staff do not buy



=== TEST 4: a purchase without a zone
--- http_config
    speedy_redis unix:/nowhere;
    speedy_kafka 127.0.0.1:1;
    speedy_jwt_key k1 HS256 $TEST_NGINX_KEYS/key;
    speedy_sessions off;
    speedy_auth user;
--- config
    location /o { speedy_purchase; }
--- must_die
--- error_log eval
qr/needs "speedy_zone NAME=SIZE" in the http block, in \S+:\d+/



=== TEST 5: a purchase without Redis
--- http_config
    speedy_zone one=1m;
    speedy_kafka 127.0.0.1:1;
    speedy_jwt_key k1 HS256 $TEST_NGINX_KEYS/key;
    speedy_sessions off;
    speedy_auth user;
--- config
    location /o { speedy_purchase; }
--- must_die
--- error_log eval
qr/needs "speedy_redis .* in \S+:\d+/



=== TEST 6: a purchase without Kafka
--- http_config
    speedy_zone one=1m;
    speedy_redis unix:/nowhere;
    speedy_jwt_key k1 HS256 $TEST_NGINX_KEYS/key;
    speedy_sessions off;
    speedy_auth user;
--- config
    location /o { speedy_purchase; }
--- must_die
--- error_log eval
qr/needs "speedy_kafka .* in \S+:\d+/



=== TEST 7: speedy_auth without a key
--- config
    speedy_auth user;
--- must_die
--- error_log eval
qr/"speedy_auth" needs a key .*add "speedy_jwt_key .* in \S+:\d+/



=== TEST 8: an unknown role
--- config
    speedy_auth admin;
--- must_die
--- error_log eval
qr/unknown role "admin".*give off, user, .* in \S+:\d+/



=== TEST 9: a key that others may read
--- http_config
    speedy_jwt_key k1 HS256 $TEST_NGINX_KEYS/open;
--- must_die
--- error_log eval
qr/open" may be read by others than its owner: chmod 0400 it in \S+:\d+/



=== TEST 10: a key that is short
--- http_config
    speedy_jwt_key k1 HS256 $TEST_NGINX_KEYS/short;
--- must_die
--- error_log
has 31 bytes: HS256 needs 32 or more



=== TEST 11: a key that is not there
--- http_config
    speedy_jwt_key k1 HS256 $TEST_NGINX_KEYS/none;
--- must_die
--- error_log
cannot be opened: create it



=== TEST 12: an HMAC key as a public key
--- http_config
    speedy_jwt_key k1 ES256 $TEST_NGINX_KEYS/key;
--- must_die
--- error_log
holds no EC public key in PEM form



=== TEST 13: an EC key for RS256
--- http_config
    speedy_jwt_key k1 RS256 $TEST_NGINX_KEYS/ec.pub;
--- must_die
--- error_log
holds no RSA public key in PEM form



=== TEST 14: an algorithm that is not ours
--- http_config
    speedy_jwt_key k1 none $TEST_NGINX_KEYS/key;
--- must_die
--- error_log
unknown algorithm "none": give HS256, ES256 or RS256



=== TEST 15: a third key
--- http_config
    speedy_jwt_key k1 HS256 $TEST_NGINX_KEYS/key;
    speedy_jwt_key k2 HS256 $TEST_NGINX_KEYS/key;
    speedy_jwt_key k3 HS256 $TEST_NGINX_KEYS/key;
--- must_die
--- error_log
a third "speedy_jwt_key"



=== TEST 16: one id for two keys
--- http_config
    speedy_jwt_key k1 HS256 $TEST_NGINX_KEYS/key;
    speedy_jwt_key k1 HS256 $TEST_NGINX_KEYS/other;
--- must_die
--- error_log
two keys with the id "k1"



=== TEST 17: a Kafka property that does not exist
--- http_config
    speedy_kafka_property no.such.thing 1;
--- must_die
--- error_log eval
qr/the Kafka property "no.such.thing" cannot be "1": .* in \S+:\d+/



=== TEST 18: a Kafka property out of range
--- http_config
    speedy_kafka_property linger.ms -5;
--- must_die
--- error_log
the Kafka property "linger.ms" cannot be "-5"



=== TEST 19: a Kafka property that our promises rest on
--- http_config
    speedy_kafka_property acks 1;
--- must_die
--- error_log
the Kafka property "acks" is not yours to set: it is always all



=== TEST 20: a time out of range
--- http_config
    speedy_redis_timeout 2h;
--- must_die
--- error_log eval
qr/"speedy_redis_timeout 2h" is out of range: give 10ms to 60000ms in \S+:\d+/



=== TEST 21: a number that is none
--- http_config
    speedy_redis_queue many;
--- must_die
--- error_log
"speedy_redis_queue many" is out of range: give 1 to 1000000



=== TEST 22: a zone too small
--- http_config
    speedy_zone one=64k;
--- must_die
--- error_log
at least 1m



=== TEST 23: a zone without a size
--- http_config
    speedy_zone one;
--- must_die
--- error_log
must be NAME=SIZE



=== TEST 24: Redis at a relative path
--- http_config
    speedy_redis unix:redis.sock;
--- must_die
--- error_log
must be absolute



=== TEST 25: Redis at no address
--- http_config
    speedy_redis 127.0.0.1:99999;
--- must_die
--- error_log eval
qr/in "speedy_redis 127.0.0.1:99999": give unix:/



=== TEST 26: an empty password
--- http_config
    speedy_redis_password_file $TEST_NGINX_KEYS/empty;
--- must_die
--- error_log
is empty: write Redis' password into it



=== TEST 27: an archive that is not there
--- http_config
    speedy_zone one=1m;
    speedy_redis unix:/nowhere;
    speedy_kafka 127.0.0.1:1;
    speedy_jwt_key k1 HS256 $TEST_NGINX_KEYS/key;
    speedy_sessions off;
    speedy_auth user;
--- config
    location /o { speedy_purchase; speedy_purchase_archive @gone; }
--- must_die
--- error_log eval
qr/names the location "\@gone", which this server does not have: .* in \S+:\d+/



=== TEST 28: an archive that is no named location
--- config
    speedy_purchase_archive /there;
--- must_die
--- error_log
give its name, as in "@archive"



=== TEST 29: a status page without a zone
--- config
    location /m { speedy_status; }
--- must_die
--- error_log eval
qr/"speedy_status" needs shared memory: .* in \S+:\d+/



=== TEST 30: a public key as a secret
--- http_config
    speedy_jwt_key k1 HS256 $TEST_NGINX_KEYS/ec.pub;
--- must_die
--- error_log eval
qr/holds a key in PEM form, which is no secret: give ES256 or RS256 .* in \S+:\d+/



=== TEST 31: an RSA key for ES256
--- http_config
    speedy_jwt_key k1 ES256 $TEST_NGINX_KEYS/rsa.pub;
--- must_die
--- error_log eval
qr/holds no EC public key in PEM form .*: give the algorithm that its key is for.* in \S+:\d+/



=== TEST 32: a curve that is not ES256's
--- http_config
    speedy_jwt_key k1 ES256 $TEST_NGINX_KEYS/p384.pub;
--- must_die
--- error_log eval
qr/of the curve "secp384r1": ES256 needs P-256, .* in \S+:\d+/



=== TEST 33: an RSA key that is short
--- http_config
    speedy_jwt_key k1 RS256 $TEST_NGINX_KEYS/rsa1024.pub;
--- must_die
--- error_log eval
qr/an RSA key of 1024 bits: RS256 needs one of 2048 to 4096 in \S+:\d+/



=== TEST 34: an RSA key for another padding
--- http_config
    speedy_jwt_key k1 RS256 $TEST_NGINX_KEYS/pss.pub;
--- must_die
--- error_log
holds no RSA public key in PEM form



=== TEST 35: a key of another kind altogether
--- http_config
    speedy_jwt_key k1 ES256 $TEST_NGINX_KEYS/ed25519.pub;
--- must_die
--- error_log
holds no EC public key in PEM form



=== TEST 36: a private key at the gateway
--- http_config
    speedy_jwt_key k1 RS256 $TEST_NGINX_KEYS/rsa.key;
--- must_die
--- error_log eval
qr/holds a private key, which no gateway may have: .*openssl pkey .* in \S+:\d+/



=== TEST 37: an old-style private key at the gateway
--- http_config
    speedy_jwt_key k1 ES256 $TEST_NGINX_KEYS/ec.key;
--- must_die
--- error_log
holds a private key, which no gateway may have



=== TEST 38: tokens without a word on ended sessions
--- http_config
    speedy_jwt_key k1 HS256 $TEST_NGINX_KEYS/key;
    speedy_auth user;
--- must_die
--- error_log eval
qr/add "speedy_sessions 500ms", or "speedy_sessions off" .* in \S+:\d+/



=== TEST 39: ended sessions without Redis
--- http_config
    speedy_zone one=1m;
    speedy_sessions 500ms;
--- must_die
--- error_log eval
qr/"speedy_sessions" needs "speedy_zone NAME=SIZE" and "speedy_redis .* in \S+:\d+/



=== TEST 40: looks too far apart
--- http_config
    speedy_sessions 11s;
--- must_die
--- error_log
"speedy_sessions 11s" is out of range: give 100ms to 10000ms



=== TEST 41: an age that each late reply exceeds
--- http_config
    speedy_zone one=1m;
    speedy_redis unix:/nowhere;
    speedy_sessions 1s;
    speedy_sessions_max_age 1s;
--- must_die
--- error_log eval
qr/"speedy_sessions_max_age" must be at least twice "speedy_sessions", .* in \S+:\d+/



=== TEST 42: what is forgotten is closed: one place of a server asks for a token
--- http_config
    speedy_jwt_key k1 HS256 $TEST_NGINX_KEYS/key;
    speedy_sessions off;
--- config
    location = /forgotten { stub_status; }
    location = /open { speedy_auth off; stub_status; }
    location = /staff { speedy_auth cs; stub_status; }
    location = /by-method { speedy_auth off; limit_except POST { speedy_auth user; } proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/open; }
--- request eval
['GET /forgotten', 'GET /open', 'GET /staff', 'GET /', 'GET /by-method', 'POST /by-method', 'DELETE /by-method']
--- error_code eval
[401, 200, 401, 401, 401, 405, 401]



=== TEST 43: a server that asks for none stays as nginx makes it
--- http_config
    speedy_jwt_key k1 HS256 $TEST_NGINX_KEYS/key;
    speedy_sessions off;
    server { listen 127.0.0.1:$TEST_NGINX_OTHER_PORT; location / { speedy_auth user; } }
--- config
    location = /plain { stub_status; }
--- request
GET /plain



=== TEST 44: the public keys, and nothing else
--- http_config
    speedy_jwt_key k1 HS256 $TEST_NGINX_KEYS/key;
    speedy_jwt_key k2 RS256 $TEST_NGINX_KEYS/rsa.pub;
--- config
    location = /jwks { speedy_jwks; }
--- request eval
['GET /jwks', 'HEAD /jwks', 'POST /jwks']
--- error_code eval
[200, 200, 405]
--- response_body_like eval
[qr/^\{"keys":\[\{"kty":"RSA","kid":"k2","use":"sig","alg":"RS256","n":"[\w-]{342}","e":"AQAB"\}\]\}\n$/, '^$', '405']
--- response_headers eval
['Cache-Control: public, max-age=300', 'Cache-Control: public, max-age=300', '']



=== TEST 45: no public keys
--- http_config
    speedy_jwt_key k1 HS256 $TEST_NGINX_KEYS/key;
--- config
    location = /jwks { speedy_jwks; }
--- request
GET /jwks
--- response_body
{"keys":[]}
