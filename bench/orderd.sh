#!/usr/bin/env bash
# ./dev bench orderd [ORDERS] [ROUNDS]
#
# How fast orderd writes what waits in Kafka, against a bulk INSERT of the
# same rows (orders and order_events) by one client into tables of the same
# form, on the same server with the same durability, in turn, in one run.
# Rows a second are those of orders; the ratio is orderd's to the bulk's.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
ORDERS=${1:-200000}
ROUNDS=${2:-3}
WAIT=600

export SPEEDY_DEMO=0
SPEEDY_DEV_DIR=$(mktemp -d "${TMPDIR:-/tmp}/speedy-bench.XXXXXX")
export SPEEDY_DEV_DIR
trap '"$ROOT/dev" reset >/dev/null 2>&1 || true; rm -rf "$SPEEDY_DEV_DIR"' EXIT

value() { sed -n "s/^$1=//p" "$SPEEDY_DEV_DIR/env"; }
sql() {
    mariadb --no-defaults --user="$(id -un)" --batch --skip-column-names \
        --socket="$(value MYSQL_SOCKET)" speedy "$@"
}

# Keeps a process of the stack down, or lets it run again.
hold() {
    local pid
    : >"$SPEEDY_DEV_DIR/run/hold-$1"
    pid=$(value "PID_${1^^}")
    if [ -n "$pid" ]; then kill "$pid" 2>/dev/null || true; fi
    while [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; do read -rt 0.1 <> <(:) || true; done
}
release() { rm -f "$SPEEDY_DEV_DIR/run/hold-$1"; }

prepare() {
    "$ROOT/dev" up --detach >/dev/null
    for name in stockd_1 stockd_2 schedd_1 schedd_2 orderd_1 orderd_2; do
        hold "$name"
    done
    sql -e "INSERT INTO products (id, name, price) VALUES ('bench', 'Bench', 1000);
        INSERT INTO sales (id, product_id, opens_at) VALUES ('bench', 'bench', UTC_TIMESTAMP());
        INSERT INTO sale_variants (sale_id, variant, price, total)
            VALUES ('bench', 'default', 1000, 2000000000);"
}

# Clocked by the batches' own stamps, without the first tenth (partitions are
# being opened) and the rows of the last batch (written after its stamp).
run_orderd() { # first
    local until=$((SECONDS + WAIT)) written=0
    sql -e "SET foreign_key_checks = 0; TRUNCATE orders; TRUNCATE order_events"
    perl "$ROOT/bench/order_rows.pl" events "$1" "$ORDERS" bench |
        kcat -P -b "$(value KAFKA)" -t speedy.orders -K '|' -X acks=all
    release orderd_1
    while [ "$written" -lt "$ORDERS" ]; do
        [ "$SECONDS" -lt "$until" ] || { echo "orderd wrote $written of $ORDERS" >&2; exit 1; }
        read -rt 0.5 <> <(:) || true
        written=$(sql -e "SELECT COUNT(*) FROM orders")
    done
    hold orderd_1
    sql -e "SELECT ROUND(COUNT(*) * 1000000 / TIMESTAMPDIFF(MICROSECOND, start, last))
        FROM orders,
            (SELECT MAX(created_at) AS last FROM orders) AS l,
            (SELECT created_at AS start FROM orders ORDER BY created_at
                LIMIT 1 OFFSET $((ORDERS / 10))) AS s
        WHERE created_at >= start AND created_at < last
        GROUP BY start, last"
}

run_bulk() { # first
    sql -e "DROP TABLE IF EXISTS bench_orders, bench_order_events;
        CREATE TABLE bench_orders LIKE orders;
        CREATE TABLE bench_order_events LIKE order_events;"
    perl "$ROOT/bench/order_rows.pl" sql "$1" "$ORDERS" bench >"$SPEEDY_DEV_DIR/bulk.sql"
    sql <"$SPEEDY_DEV_DIR/bulk.sql" | awk -v n="$ORDERS" \
        '$1 == "begin" { t = $2 } $1 == "end" { printf "%d\n", n * 1000 / ($2 - t) }'
    rm -f "$SPEEDY_DEV_DIR/bulk.sql"
}

prepare
printf '%-6s %14s %14s %7s\n' round 'orderd rows/s' 'bulk rows/s' ratio
ratios=()
for round in $(seq "$ROUNDS"); do
    first=$(((round - 1) * ORDERS))
    orderd=$(run_orderd "$first")
    bulk=$(run_bulk "$first")
    ratio=$(awk -v a="$orderd" -v b="$bulk" 'BEGIN { printf "%.2f", a / b }')
    ratios+=("$ratio")
    printf '%-6s %14s %14s %7s\n' "$round" "$orderd" "$bulk" "$ratio"
done
printf '%s\n' "${ratios[@]}" | sort -n |
    awk '{ r[NR] = $1 } END { printf "median ratio %s (aim: 0.70)\n", r[int((NR + 1) / 2)] }'
