#!/usr/bin/env bash
# Live stock for a crowd on one nginx worker: memory a reader, the spread of a
# change from the first reader to the last, looks at Redis, what purchases
# notice of it, and how all come back after a reload.
#
#   READERS=10000 ./dev bench streams
set -euo pipefail
. "$(dirname "$0")/lib.bash"

READERS=${READERS:-10000}
WATCH=/api/v1/sales/watched/stock/stream

# Memory of its own of the worker, KiB; without the zone.
worker_memory() {
    awk '/^RssAnon/ { print $2 }' "/proc/$(bench_workers | tr -d ' ')/status"
}

metric() {
    curl -s "$SPEEDY_OPS_URL/metrics" | awk -v name="speedy_$1" \
        '$1 == name || index($1, name "{") == 1 { n += $2 } END { print n + 0 }'
}

streams_are() {
    [ "$(metric stock_streams)" "$1" "$2" ]
}

# crowd SECONDS: readers in the background, until all are there.
crowd() {
    : >"$SPEEDY_DEV_DIR/there"
    "$BIN/readers" --url "$SPEEDY_URL" --path "$WATCH" --readers "$READERS" \
        --duration "${1}s" --json >"$SPEEDY_DEV_DIR/readers" 2>"$SPEEDY_DEV_DIR/there" &
    READERS_PID=$!
    wait_for 60 'all readers' grep -q 'are there' "$SPEEDY_DEV_DIR/there"
    sed 's/^readers: /  /' "$SPEEDY_DEV_DIR/there"
}

crowd_told() {
    wait "$READERS_PID" || { cat "$SPEEDY_DEV_DIR/readers" >&2; exit 1; }
    TOLD=$(cat "$SPEEDY_DEV_DIR/readers")
}

# buy NAME ARRIVAL SECONDS: purchases of the watched sale.
buy() {
    "$BIN/shoppers" --url "$SPEEDY_URL" --sale watched --tokens "$SPEEDY_DEV_DIR/tokens" \
        --arrival "$2" --duration "${3}s" --no-retry --key-prefix "$1" --connections 200 --json
}

bench_up
conf=$SPEEDY_DEV_DIR/etc/nginx.conf
sed -i -E -e "s/worker_connections .*;/worker_connections $((READERS + 2000));/" \
    -e "s/speedy_stock_streams_max .*;/speedy_stock_streams_max $((READERS + 500));/" "$conf"
bench_nginx
ctl token --users 1-5000 --role USER --ttl 4h >"$SPEEDY_DEV_DIR/tokens"
ctl product add --id bench --name Bench --price 1000 >/dev/null
ctl sale create --id watched --product bench --stock 10000000 --limit 1000000 >/dev/null
buy warm closed 5 >/dev/null
quiet=$(buy alone steady:500 8)

echo "$READERS readers, one worker"
before=$(worker_memory)
crowd 20
after=$(worker_memory)
printf '  memory a reader                 %s KiB of the worker\n' \
    "$(calc "($after - $before) / $READERS")"

# Nothing happens: what does watching cost?
at=$(date +%s%N) looks=$(metric stock_looks_total) commands=$(metric redis_commands_total)
cpu=$(cpu_ticks "$(bench_workers | tr -d ' ')")
sleep 5
looks=$(($(metric stock_looks_total) - looks))
commands=$(($(metric redis_commands_total) - commands))
seconds=$(calc "($(date +%s%N) - $at) / 1e9")
printf '  looks at Redis a second         %s   (all commands %s; goal <= 10 looks)\n' \
    "$(calc "$looks / $seconds")" "$(calc "$commands / $seconds")"
printf '  worker while nothing changes    %s %% of a core\n' \
    "$(calc "($(cpu_ticks "$(bench_workers | tr -d ' ')") - $cpu) / $TICKS / $seconds * 100")"
buy change steady:1 10 >/dev/null
crowd_told
printf '  a change to all, first to last  p50 %s  max %s ms  (%s changes, one at a time)\n' \
    "$(jq .spread_ms.p50 <<<"$TOLD")" "$(jq .spread_ms.max <<<"$TOLD")" "$(jq .changes <<<"$TOLD")"
printf '  longest silence                 %s ms\n' "$(jq .longest_silence_ms <<<"$TOLD")"

echo 'in a rush: 500 purchases a second'
wait_for 20 'the last crowd to go' streams_are -eq 0
crowd 12
rush=$(buy rush steady:500 8)
crowd_told
printf '  a reader is told of changes     every %s ms (p50), %s ms (p99)\n' \
    "$(jq .apart_ms.p50 <<<"$TOLD")" "$(jq .apart_ms.p99 <<<"$TOLD")"
printf '  purchases                       p50 %s  p99 %s ms  %s\n' "$(jq .latency_ms.p50 <<<"$rush")" \
    "$(jq .latency_ms.p99 <<<"$rush")" "$(jq -c .answers <<<"$rush")"
printf '  the same without readers        p50 %s  p99 %s ms\n' "$(jq .latency_ms.p50 <<<"$quiet")" \
    "$(jq .latency_ms.p99 <<<"$quiet")"

echo 'one reload'
wait_for 20 'the last crowd to go' streams_are -eq 0
crowd 15
old=$(bench_workers)
kill -HUP "$PID_NGINX"
at=$(date +%s%N)
wait_for 20 'the old worker to go' bench_one_worker "$old"
printf '  the old worker has left         %s s after it\n' "$(calc "($(date +%s%N) - $at) / 1e9")"
sleep 4
buy news steady:1 1 >/dev/null
crowd_told
printf '  all back                        %s ms after the first was ended   (goal <= 5000)\n' \
    "$(jq .all_back_ms <<<"$TOLD")"
printf '  a reader was away               p50 %s  p99 %s  max %s ms\n' "$(jq .away_ms.p50 <<<"$TOLD")" \
    "$(jq .away_ms.p99 <<<"$TOLD")" "$(jq .away_ms.max <<<"$TOLD")"
printf '  reconnects %s, refused %s, behind at the end %s\n' "$(jq .reconnects <<<"$TOLD")" \
    "$(jq .refused <<<"$TOLD")" "$(jq .behind <<<"$TOLD")"
ctl audit --skip-kafka | sed 's/^/  /'
