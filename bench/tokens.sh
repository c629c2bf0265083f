#!/usr/bin/env bash
# What checking a token costs: the processor time of one nginx worker for a
# request whose token it must check, by algorithm, with the token cache off
# and on, against the same answer without a check and nginx's `return 409`.
# All in one run, in alternating rounds; ended sessions are looked up.
#
#   ROUNDS=3 SECONDS_EACH=3 CONNECTIONS=100 ./dev bench tokens
set -euo pipefail
. "$(dirname "$0")/lib.bash"

ROUNDS=${ROUNDS:-3}
EACH=${SECONDS_EACH:-3}
CONNECTIONS=${CONNECTIONS:-100}

# keys: a pair for each public algorithm, and a token by each.
bench_keys() {
    local dir=$SPEEDY_DEV_DIR/bench alg
    mkdir -p "$dir"
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$dir/ES256.key" 2>/dev/null
    openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$dir/RS256.key" 2>/dev/null
    for alg in ES256 RS256; do
        openssl pkey -in "$dir/$alg.key" -pubout -out "$dir/$alg"
        perl -I"$ROOT/t/lib" -MSpeedy::Token=token_by_openssl -e 'print token_by_openssl(
            alg => $ARGV[0], key_file => $ARGV[1], sub => "bench", sid => "bench", ttl => 14400)' \
            "$alg" "$dir/$alg.key" >"$dir/$alg.token"
    done
    ln -s "$SPEEDY_DEV_DIR/secrets/jwt-current" "$dir/HS256"
    ctl token --user bench --role USER --ttl 4h | tr -d '\n' >"$dir/HS256.token"
}

# gateway ALG CACHE: one key, one cache; waits for the new worker.
gateway() {
    local conf=$SPEEDY_DEV_DIR/etc/nginx.conf old
    old=$(bench_workers)
    sed -i -E \
        -e "s|^( *speedy_jwt_key k1) .*;|\1 $1 $SPEEDY_DEV_DIR/bench/$1;|" \
        -e "s|^( *speedy_jwt_cache) .*;|\1 $2;|" "$conf"
    kill -HUP "$PID_NGINX"
    wait_for 20 'the new worker' bench_one_worker "$old"
    # The list of ended sessions is the first thing that it asks for.
    wait_for 10 'the ended sessions' bench_status /checked 404 "$1"
}

bench_status() { # path, status, algorithm of the token
    [ "$(curl -s -o /dev/null -w '%{http_code}' "$SPEEDY_URL$1" \
        -H "Authorization: Bearer $(<"$SPEEDY_DEV_DIR/bench/$3.token")")" = "$2" ]
}

# measure PATH STATUS ALG: sets CPU_US, the worker's time for a request.
measure() {
    local worker before after out
    worker=$(bench_workers)
    before=$(cpu_ticks "${worker% }")
    out=$("$BIN/shoppers" --url "$SPEEDY_URL" --get "$1" --connections "$CONNECTIONS" \
        --duration "${EACH}s" --json \
        --header "Authorization: Bearer $(<"$SPEEDY_DEV_DIR/bench/$3.token")")
    after=$(cpu_ticks "${worker% }")
    jq -e --arg s "$2" '.answers | keys | all(startswith($s))' <<<"$out" >/dev/null ||
        { echo "bench: $1 was not answered $2: $(jq -c .answers <<<"$out")" >&2; exit 1; }
    CPU_US=$(calc "($after - $before) / $TICKS * 1e6 / $(jq .requests <<<"$out")")
}

bench_up
bench_keys
sed -i -E '0,/^ *speedy_auth user;/s|^( *)speedy_auth user;|&\n\1location = /checked { speedy_problem; }\n\1location = /open { speedy_auth off; speedy_problem; }|' \
    "$SPEEDY_DEV_DIR/etc/nginx.conf"
sed -i -E '/^ *speedy_jwt_key k0 /d' "$SPEEDY_DEV_DIR/etc/nginx.conf"
bench_nginx

declare -A COST
declare -a R OPEN
for round in $(seq "$ROUNDS"); do
    echo "round $round of $ROUNDS, $CONNECTIONS connections, $EACH s each"
    for alg in HS256 ES256 RS256; do
        for cache in 0 16384; do
            gateway "$alg" "$cache"
            measure /yardstick 409 "$alg"
            R+=("$CPU_US") r=$CPU_US
            measure /open 404 "$alg"
            OPEN+=("$CPU_US") open=$CPU_US
            measure /checked 404 "$alg"
            COST[$alg-$cache]+=" $(calc "$CPU_US - $open")"
            printf '  %s cache %-5s  return 409 %6.2f  unchecked %6.2f  checked %7.2f us\n' \
                "$alg" "$cache" "$r" "$open" "$CPU_US"
        done
    done
done

echo
echo "medians: worker time, microseconds"
r=$(median "${R[@]}")
printf '  return 409                 %8.2f\n' "$r"
printf '  the same answer, unchecked %8.2f\n' "$(median "${OPEN[@]}")"
for alg in HS256 ES256 RS256; do
    for cache in 0 16384; do
        # shellcheck disable=SC2086
        cost=$(median ${COST[$alg-$cache]})
        printf '  %s, cache %-16s %+8.2f   %5.2f x return 409\n' "$alg" \
            "$([ "$cache" = 0 ] && echo off || echo on)" "$cost" "$(calc "$cost / $r")"
    done
done
