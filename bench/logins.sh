#!/usr/bin/env bash
# Whether a storm of logins is felt by who buys: purchases at 30 % of what one
# worker takes, alternately without and with a storm of wrong logins (each of
# another name, so that no throttle helps, and as dear as a right one), in one
# run. The ratio of the medians of
# their p99 is what counts.
#
#   ROUNDS=5 SECONDS_EACH=8 STORM_RPS=400 STORM_CONNECTIONS=64 ./dev bench logins
set -euo pipefail
. "$(dirname "$0")/lib.bash"

ROUNDS=${ROUNDS:-5}
EACH=${SECONDS_EACH:-8}
CONNECTIONS=${CONNECTIONS:-400}
STORM_RPS=${STORM_RPS:-400}
STORM_CONNECTIONS=${STORM_CONNECTIONS:-64}

buy() { # name, shoppers' options…
    local name=$1
    shift
    OUT=$("$BIN/shoppers" --url "$SPEEDY_URL" --connections "$CONNECTIONS" --json \
        --sale storm --tokens "$tokens" --no-retry --key-prefix "$name" "$@")
}

storm() { # duration, round
    "$BIN/shoppers" --url "$SPEEDY_URL" --post /api/v1/sessions \
        --body '{"email":"nobody{n}@round'"$2"'.example.com","password":"not the password"}' \
        --header 'Content-Type: application/json' --json \
        --connections "$STORM_CONNECTIONS" --max-rps "$STORM_RPS" --duration "$1"
}

bench_up
bench_nginx
tokens=$SPEEDY_DEV_DIR/tokens
ctl token --users 1-5000 --role USER --ttl 4h >"$tokens"
ctl product add --id bench --name Bench --price 1000 >/dev/null
ctl sale create --id storm --product bench --stock 50000000 --limit 1000000 >/dev/null

buy warm --arrival closed --duration 20s
buy most --arrival closed --duration 8s
rate=$(jq '.rps * 0.3 | floor' <<<"$OUT")
echo "purchases at $rate/s (30 % of the maximum), storms of $STORM_RPS logins/s at the most"

declare -a QUIET STORM
for round in $(seq "$ROUNDS"); do
    buy "quiet$round" --arrival "steady:$rate" --duration "${EACH}s"
    QUIET+=("$(jq .latency_ms.p99 <<<"$OUT")")
    storm "$((EACH + 1))s" "$round" >"$SPEEDY_DEV_DIR/storm" &
    buy "storm$round" --arrival "steady:$rate" --duration "${EACH}s"
    wait $!
    STORM+=("$(jq .latency_ms.p99 <<<"$OUT")")
    printf 'round %d: p99 quiet %s ms, in the storm %s ms; logins %s\n' "$round" \
        "${QUIET[-1]}" "${STORM[-1]}" "$(jq -c .answers "$SPEEDY_DEV_DIR/storm")"
    jq -e '.answers | keys == ["202"]' <<<"$OUT" >/dev/null ||
        { echo "bench: not every purchase was accepted: $(jq -c .answers <<<"$OUT")" >&2; exit 1; }
done
quiet=$(median "${QUIET[@]}") storm=$(median "${STORM[@]}")
echo
printf 'medians of %d rounds: p99 quiet %s ms, in the storm %s ms: %s x   (goal <= 2)\n' \
    "$ROUNDS" "$quiet" "$storm" "$(calc "$storm / $quiet")"
