# Redis: no persistence (design: whatever it loses is rebuilt), two accounts.
# shellcheck shell=bash

# What the scripts in lua/ and the clients call, and no more.
REDIS_COMMANDS='+ping +info +time +eval +evalsha +script|load +exists +del
    +unlink +rename +pexpire +persist +hget +hset +hsetnx +hmget +hgetall
    +hkeys +hvals +hlen +hdel +hexists +hincrby +hscan +rpush +llen +lrange
    +get +set +zadd +zcard +zrange +zrangebyscore +zremrangebyscore'

redis_prepare() {
    local password admin
    password=$(<"$DEV/secrets/redis-password")
    admin=$(<"$DEV/secrets/redis-admin")
    # `default` is for this script and for tests that break things on purpose.
    write_file 0600 "$DEV/etc/redis.acl" <<EOF
user default on >$admin ~* &* +@all
user speedy on >$password ~speedy:* resetchannels -@all ${REDIS_COMMANDS//$'\n'/}
EOF
    sed -i -E 's/ +/ /g' "$DEV/etc/redis.acl"
    write_file 0644 "$DEV/etc/redis.conf" <<EOF
bind 127.0.0.1
port $PORT_REDIS
unixsocket $DEV/run/redis.sock
unixsocketperm 770
dir $DEV/data/redis
aclfile $DEV/etc/redis.acl
databases 1
save ""
appendonly no
maxmemory 2gb
maxmemory-policy noeviction
# A RENAME over a big key (a rebuild) must not stop the server to free it.
lazyfree-lazy-server-del yes
# DEBUG for tests; only \`default\` may call it.
enable-debug-command local
EOF
    service redis 1 grace=5 -- redis-server "$DEV/etc/redis.conf"
}

redis_ready() {
    [ "$(REDISCLI_AUTH=$(<"$DEV/secrets/redis-password") timeout 2 redis-cli \
        -s "$DEV/run/redis.sock" --user speedy ping)" = PONG ]
}
