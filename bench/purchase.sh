#!/usr/bin/env bash
# The purchase path of one nginx worker against nginx's own `return 409` in
# the same server, in one run: requests a second, the worker's processor time
# a request, latency at half the maximum. Ratios are what counts.
#
#   ROUNDS=3 SECONDS_EACH=5 CONNECTIONS=400 ./dev bench purchase
set -euo pipefail
. "$(dirname "$0")/lib.bash"

ROUNDS=${ROUNDS:-3}
EACH=${SECONDS_EACH:-5}
CONNECTIONS=${CONNECTIONS:-400}
BODY='{"variant":"default","quantity":1}'

# measure NAME OPTION…: runs the load; sets RPS, CPU_US (a request) and OUT.
measure() {
    local name=$1 before after worker
    shift
    worker=$(bench_workers)
    before=$(cpu_ticks "${worker% }")
    OUT=$("$BIN/shoppers" --url "$SPEEDY_URL" --connections "$CONNECTIONS" --json "$@")
    after=$(cpu_ticks "${worker% }")
    RPS=$(jq .rps <<<"$OUT")
    CPU_US=$(calc "($after - $before) / $TICKS * 1e6 / $(jq .requests <<<"$OUT")")
    printf '  %-22s %9.0f/s  worker %6.2f us a request  p50 %.2f p99 %.2f ms  %s\n' \
        "$name" "$RPS" "$CPU_US" "$(jq .latency_ms.p50 <<<"$OUT")" \
        "$(jq .latency_ms.p99 <<<"$OUT")" "$(jq -c .answers <<<"$OUT")"
}

# Every answer must be of this kind, or the figure means nothing.
expect() {
    jq -e --arg a "$1" '.answers | keys == [$a]' <<<"$OUT" >/dev/null ||
        { echo "bench: expected only '$1'" >&2; exit 1; }
}

bench_up
bench_nginx
tokens=$SPEEDY_DEV_DIR/tokens
many=$SPEEDY_DEV_DIR/many-tokens
ctl token --users 1-5000 --role USER --ttl 4h >"$tokens"
ctl token --users 10001-110000 --role USER --ttl 4h >"$many"
ctl product add --id bench --name Bench --price 1000 >/dev/null
ctl sale create --id empty --product bench --stock 1 >/dev/null
ctl token --user first --role USER >"$SPEEDY_DEV_DIR/first"
"$BIN/shoppers" --url "$SPEEDY_URL" --sale empty --tokens "$SPEEDY_DEV_DIR/first" --shoppers 1 >/dev/null

# A broker just started runs interpreted code: not what is measured here.
ctl sale create --id warm --product bench --stock 10000000 --limit 1000000 >/dev/null
"$BIN/shoppers" --url "$SPEEDY_URL" --connections "$CONNECTIONS" --sale warm \
    --tokens "$tokens" --arrival closed --duration 10s --no-retry >/dev/null

declare -a R R_CPU SOLD MISS ACCEPTED CPU P99
for round in $(seq "$ROUNDS"); do
    echo "round $round of $ROUNDS, $CONNECTIONS connections, $EACH s each"
    measure 'return 409' --post /yardstick --body "$BODY" --duration "${EACH}s" \
        --header "Authorization: Bearer $(head -n 1 "$tokens")" \
        --header 'Idempotency-Key: 00000000-0000-0000-0000-000000000000' \
        --header 'Content-Type: application/json'
    r=$RPS r_cpu=$CPU_US
    measure 'sold out, token known' --sale empty --tokens "$tokens" --arrival closed \
        --duration "${EACH}s" --no-retry
    expect '409 sold_out'
    SOLD+=("$(calc "$RPS / $r")")
    measure 'sold out, token new' --sale empty --tokens "$many" --arrival closed \
        --duration "${EACH}s" --no-retry
    expect '409 sold_out'
    MISS+=("$(calc "$RPS / $r")")
    ctl sale create --id "open$round" --product bench --stock 10000000 --limit 1000000 >/dev/null
    measure 'accepted' --sale "open$round" --tokens "$tokens" --arrival closed \
        --duration "${EACH}s" --no-retry
    expect '202'
    ACCEPTED+=("$(calc "$RPS / $r")") CPU+=("$(calc "$CPU_US / $r_cpu")")
    half=$(calc "$RPS / 2")
    measure "accepted at half rate" --sale "open$round" --tokens "$tokens" \
        --arrival "steady:${half%.*}" --duration "${EACH}s" --no-retry --key-prefix half
    expect '202'
    P99+=("$(jq .latency_ms.p99 <<<"$OUT")")
    R+=("$r") R_CPU+=("$r_cpu")
done

echo
echo "medians of $ROUNDS rounds"
printf '  R = return 409                     %9.0f/s, %s us a request\n' \
    "$(median "${R[@]}")" "$(median "${R_CPU[@]}")"
printf '  sold out, token known              %s R   (goal >= 0.85)\n' "$(median "${SOLD[@]}")"
printf '  sold out, token new                %s R\n' "$(median "${MISS[@]}")"
printf '  accepted, acks=all                 %s R   (goal >= 0.2)\n' "$(median "${ACCEPTED[@]}")"
printf '  worker time an accepted purchase   %s x return 409   (goal <= 5)\n' "$(median "${CPU[@]}")"
printf '  p99 at half the maximum            %s ms   (goal <= 10)\n' "$(median "${P99[@]}")"
ctl audit --skip-kafka | sed 's/^/  /'
