# What the benchmarks share: a stack of their own, one nginx worker without
# rate limits, a yardstick location, and processor time by /proc.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BIN=${SPEEDY_BUILD:-$ROOT/build}/bin
TICKS=$(getconf CLK_TCK)

bench_up() {
    export SPEEDY_DEV_DIR SPEEDY_DEMO=0
    SPEEDY_DEV_DIR=$(mktemp -d -t speedy-bench-XXXXXX)
    chmod 755 "$SPEEDY_DEV_DIR"
    trap bench_down EXIT
    trap 'exit 130' INT TERM PIPE
    "$ROOT/dev" up --detach >"$SPEEDY_DEV_DIR/up.log" 2>&1 ||
        { cat "$SPEEDY_DEV_DIR/up.log" >&2; exit 1; }
    bench_env
}

bench_down() {
    local status=$?
    trap - EXIT
    trap '' INT TERM
    "$ROOT/dev" down >/dev/null 2>&1
    if [ $status = 0 ]; then
        rm -rf "$SPEEDY_DEV_DIR"
    else
        echo "bench: failed; the stack's logs are in $SPEEDY_DEV_DIR/log" >&2
    fi
    exit $status
}

bench_env() {
    set -a
    # shellcheck source=/dev/null
    . "$SPEEDY_DEV_DIR/env"
    set +a
}

# One worker, no limits a client or address, and nginx's own answer beside
# ours. Waits until only the new worker is there.
bench_nginx() {
    local conf=$SPEEDY_DEV_DIR/etc/nginx.conf old
    old=$(bench_workers)
    sed -i -E \
        -e 's/^worker_processes .*;/worker_processes 1;/' \
        -e 's/^( *)(limit_req|limit_conn) /\1#\2 /' \
        -e "0,/^ *speedy_auth user;/s|^( *)speedy_auth user;|&\\n\\1location = /yardstick { speedy_auth off; return 409; }|" \
        "$conf"
    kill -HUP "$PID_NGINX"
    wait_for 20 'the new worker' bench_one_worker "$old"
}

bench_workers() {
    pgrep -P "$PID_NGINX" -f 'nginx: worker' | sort | tr '\n' ' '
}

bench_one_worker() {
    local now
    now=$(bench_workers)
    [ "$(wc -w <<<"$now")" = 1 ] && [[ " $1 " != *" ${now% } "* ]]
}

# wait_for SECONDS WHAT COMMAND…: until it succeeds.
wait_for() {
    local until=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        [ $SECONDS -lt $until ] || { echo "bench: waited in vain for $what" >&2; exit 1; }
        sleep 0.1
    done
}

# Processor ticks of a process (user and system).
cpu_ticks() {
    awk '{ sub(/^.*\) /, ""); print $12 + $13 }' "/proc/$1/stat"
}

# calc EXPRESSION: awk's arithmetic, three digits.
calc() {
    awk "BEGIN { printf \"%.3f\", $1 }"
}

# median NUMBER…
median() {
    printf '%s\n' "$@" | sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

ctl() {
    "$ROOT/dev" ctl "$@"
}
