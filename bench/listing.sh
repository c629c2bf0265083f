#!/usr/bin/env bash
# The listing page out of nginx's cache against a static file of the same
# bytes, on one worker, in alternating rounds of one run: requests a second,
# and the statements that productd asks of MySQL meanwhile.
#
#   ROUNDS=3 SECONDS_EACH=5 CONNECTIONS=100 ./dev bench listing
set -euo pipefail
. "$(dirname "$0")/lib.bash"

ROUNDS=${ROUNDS:-3}
EACH=${SECONDS_EACH:-5}
CONNECTIONS=${CONNECTIONS:-100}
PRODUCTS=${PRODUCTS:-40}
LIST=/api/v1/products

# measure NAME PATH: sets RPS. Every answer must be 200.
measure() {
    local out
    out=$(h2load --h1 -c "$CONNECTIONS" -t 1 -D "$EACH" --warm-up-time 1 "$SPEEDY_URL$2")
    grep -q ' 0 4xx, 0 5xx' <<<"$out" || { echo "$out" >&2; exit 1; }
    RPS=$(sed -n 's/^finished in [^,]*, \([0-9.]*\) req\/s.*/\1/p' <<<"$out")
    printf '  %-12s %9.0f/s\n' "$1" "$RPS"
}

# The statements of productd so far, by MariaDB's own log.
statements() {
    admin -e "SELECT COUNT(*) FROM mysql.general_log WHERE
        user_host LIKE 'productd%' AND command_type = 'Execute'"
}

admin() {
    mariadb --no-defaults --user="$(id -un)" --socket="$MYSQL_SOCKET" -BN "$@"
}

bench_up
bench_nginx
for i in $(seq "$PRODUCTS"); do
    ctl product add --id "p$i" --name "Product number $i" --price $((1000 * i)) \
        --category shoes >/dev/null
done
ctl sale create --id one --product p1 --stock 100 >/dev/null
sleep 1.1 # the board's second

# A name as an image has it, so that the same location serves it.
static=/images/$(printf '0%.0s' {1..64}).png
curl -sf "$SPEEDY_URL$LIST?limit=$PRODUCTS" -o "$SPEEDY_DEV_DIR/data$static"
echo "a page of $PRODUCTS products, $(stat -c %s "$SPEEDY_DEV_DIR/data$static") bytes"

admin -e "SET GLOBAL log_output = 'TABLE'; SET GLOBAL general_log = 1"
declare -a RATIO QUERIES
for round in $(seq "$ROUNDS"); do
    echo "round $round of $ROUNDS, $CONNECTIONS connections, $EACH s each"
    measure 'static file' "$static"
    file=$RPS
    before=$(statements) since=$(date +%s.%N)
    measure 'listing' "$LIST?limit=$PRODUCTS"
    QUERIES+=("$(calc "($(statements) - $before) / ($(date +%s.%N) - $since)")")
    RATIO+=("$(calc "$RPS / $file")")
done
echo "listing to static file: $(median "${RATIO[@]}") (goal 0.8)"
echo "statements a second at MySQL: $(median "${QUERIES[@]}") (goal 2 at most)"
