# Ports of a stack: chosen once, remembered in its directory, so that a restart
# keeps the addresses.
# shellcheck shell=bash

# name, usual port
PORT_TABLE='SHOP 8080
OPS 8081
REDIS 6379
KAFKA 9092
KAFKA_CONTROLLER 9093
KAFKA_JMX 9404
MYSQL 3306
SMTP 2525
SANDBOX 9443
SANDBOX_CONTROL 9444'

port_listens() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Between the choice of a port and its first listener lie seconds, in which
# another stack may choose it too. A claim is a file named by the port that
# holds the stack's directory; it is stale when that stack does not list it.
ports_claim() {
    local claim=$PORT_CLAIMS/$1 owner
    if owner=$(cat "$claim" 2>/dev/null) && [ "$owner" != "$DEV" ] &&
        grep -q "=$1\$" "$owner/ports" 2>/dev/null; then
        return 1
    fi
    ! port_listens "$1" || return 1
    echo "$DEV" >"$claim"
}

# Below the range that the kernel takes for outgoing connections: such a one
# could hold the port at the moment of our bind.
ports_random() {
    local port i
    for ((i = 0; i < 200; i++)); do
        port=$((20000 + RANDOM % 12000))
        # Our own claim would not refuse us the same port for a second name.
        ! grep -q "=$port\$" "$DEV/ports.new" || continue
        if ports_claim "$port"; then
            echo "$port"
            return
        fi
    done
    die "no free port between 20000 and 32000"
}

ports_choose() {
    local name usual wanted port lock changed=''
    PORT_CLAIMS=${TMPDIR:-/tmp}/speedy-ports-$(id -u)
    (umask 077 && mkdir -p "$PORT_CLAIMS")
    exec {lock}>"$PORT_CLAIMS/lock"
    flock -w 10 "$lock" || die "$PORT_CLAIMS/lock is held by somebody else"
    ports_load
    : >"$DEV/ports.new"
    while read -r name usual; do
        declare -n remembered=PORT_$name
        # The usual ports are left to the checkout's own stack: a test that
        # runs beside it must not move its addresses.
        wanted=${remembered:-$usual}
        if [ -z "${remembered:-}" ] && [ "$DEV" != "$ROOT/.dev" ]; then
            port=$(ports_random)
        elif ports_claim "$wanted"; then
            port=$wanted
        else
            port=$(ports_random)
            changed+=" $name $wanted->$port"
        fi
        remembered=$port
        echo "PORT_$name=$port" >>"$DEV/ports.new"
        unset -n remembered
    done <<<"$PORT_TABLE"
    mv -f "$DEV/ports.new" "$DEV/ports"
    exec {lock}>&-
    [ -z "$changed" ] || say "  ports        taken, so others are used:$changed"
}

ports_load() {
    # shellcheck disable=SC1091
    [ ! -f "$DEV/ports" ] || . "$DEV/ports"
}
