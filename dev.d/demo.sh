# The demonstration sale, and the lines that a newcomer pastes.
# shellcheck shell=bash

demo_wanted() { [ "${SPEEDY_DEMO:-1}" != 0 ]; }

# Made once: a later start finds it and leaves it as it is.
demo_open() {
    local since
    demo_wanted || return 0
    since=$(now_ms)
    if ! speedyctl product show shoe >/dev/null 2>&1; then
        speedyctl product add --id shoe --name 'Speed Runner' --price 129000 >/dev/null
    fi
    if ! speedyctl sale show demo >/dev/null 2>&1; then
        speedyctl sale create --id demo --product shoe --stock 270=100,280=50 \
            --limit 2 --hold 10m --opens-at now --wait 0 >/dev/null
    fi
    wait_until 10 demo_is_open ||
        die "the sale demo did not open; logs: $DEV/log/stockd_1.log, $DEV/log/stockd_2.log"
    step_line sale 'demo is open' "$since"
}

# The gate is what the shop asks first: with it, a purchase goes through.
demo_is_open() {
    [ "$(REDISCLI_AUTH=$(<"$DEV/secrets/redis-password") timeout 2 redis-cli \
        -s "$DEV/run/redis.sock" --user speedy exists 'speedy:{demo}:gate')" = 1 ]
}

demo_print() {
    local prefix='' dev=$ROOT/dev
    [ "$PWD" != "$ROOT" ] || dev=./dev
    [ -z "${SPEEDY_DEV_DIR:-}" ] || prefix="SPEEDY_DEV_DIR=$DEV "
    [ -z "${SPEEDY_BUILD:-}" ] || prefix+="SPEEDY_BUILD=$BUILD "
    cat <<EOF

  shop       http://127.0.0.1:$PORT_SHOP
  operators  http://127.0.0.1:$PORT_OPS
  metrics    http://127.0.0.1:$PORT_KAFKA_JMX/metrics (Kafka)
  logs       $DEV/log        addresses and pids: $DEV/env
EOF
    demo_wanted || return 0
    cat <<EOF

Buy a pair (paste it):

  TOKEN=\$(${prefix}$dev ctl token --user alice --role USER)
  curl -si http://127.0.0.1:$PORT_SHOP/api/v1/sales/demo/orders \\
    -H "Authorization: Bearer \$TOKEN" -H "Idempotency-Key: my-first-order" \\
    -H "Content-Type: application/json" -d '{"variant": "270", "quantity": 1}'

and see the order, or all of alice's:

  curl -s http://127.0.0.1:$PORT_SHOP/api/v1/orders -H "Authorization: Bearer \$TOKEN" | jq
  ${prefix}$dev ctl sale show demo

EOF
}
