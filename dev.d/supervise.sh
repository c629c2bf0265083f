# The bash side of dev.d/supervisor: service files, start, stop, questions.
# shellcheck shell=bash

# service NAME STAGE [key=value...] -- COMMAND...
# Keys: signal, grace, pidfile, env (may come more than once).
service() {
    local name=$1 pair
    {
        echo "stage $2"
        shift 2
        while [ "$1" != -- ]; do
            pair=$1
            echo "${pair%%=*} ${pair#*=}"
            shift
        done
        shift
        printf 'arg %s\n' "$@"
    } >"$DEV/run/services.new"
    # Complete at once: the supervisor looks at the directory as it likes.
    mkdir -p "$DEV/run/services"
    mv -f "$DEV/run/services.new" "$DEV/run/services/$name"
}

supervisor_runs() {
    [ -e "$DEV/run/supervisor.lock" ] || return 1
    ! flock -n "$DEV/run/supervisor.lock" true
}

supervisor_start() {
    local files
    # Thousands of shoppers are thousands of sockets; Debian starts with 1024.
    files=$(ulimit -Hn)
    if [ "$files" = unlimited ] || [ "$files" -gt 65536 ]; then files=65536; fi
    ulimit -Sn "$files"
    # A session of its own: Ctrl-C at the terminal must reach only us, or it
    # would stop Redis and MariaDB before the daemons.
    (
        for fd in /proc/self/fd/*; do
            fd=${fd##*/}
            [ "$fd" -le 2 ] || eval "exec $fd>&-" 2>/dev/null || true
        done
        exec setsid "$ROOT/dev.d/supervisor" "$DEV" \
            >>"$DEV/log/supervisor.log" 2>&1 </dev/null
    ) &
    wait_until 5 supervisor_up || die "supervisor: see $DEV/log/supervisor.log"
}

supervisor_up() { supervisor_runs && [ -s "$DEV/run/supervisor.pid" ]; }

# The supervisor stops its processes in order, each within its own bound.
supervisor_stop() {
    local pid
    pid=$(cat "$DEV/run/supervisor.pid" 2>/dev/null) || pid=''
    if supervisor_runs && [ -n "$pid" ]; then
        kill -TERM "$pid" 2>/dev/null || true
        if ! wait_until 90 supervisor_stopped; then
            warn "the supervisor (pid $pid) did not stop: SIGKILL"
            kill -KILL "$pid" 2>/dev/null || true
            wait_until 5 supervisor_stopped || true
        fi
    fi
    leftovers_stop
}

supervisor_stopped() { ! supervisor_runs; }

# Processes of a supervisor that was killed. Start time and pid together are
# compared, so a pid that is somebody else's by now is never touched.
leftovers_stop() {
    local name pid ticks rest signal
    [ -f "$DEV/run/pids" ] || return 0
    for signal in TERM KILL; do
        while read -r name pid ticks rest; do
            [ "$pid" != 0 ] && [ "$(process_start "$pid")" = "$ticks" ] || continue
            warn "$name (pid $pid) was left behind: SIG$signal"
            kill "-$signal" -- "-$pid" 2>/dev/null || kill "-$signal" "$pid" 2>/dev/null || true
        done <"$DEV/run/pids"
        wait_until 10 leftovers_gone && break
    done
    rm -f "$DEV/run/pids"
}

leftovers_gone() {
    local name pid ticks rest
    while read -r name pid ticks rest; do
        [ "$pid" = 0 ] || [ "$(process_start "$pid")" != "$ticks" ] || return 1
    done <"$DEV/run/pids"
}

service_restarts() {
    awk -v n="$1" '$1 == n { print $5 }' "$DEV/run/pids" 2>/dev/null
}

# services_wait SECONDS SINCE NAME...: one line for each as it gets ready.
# Whoever dies again and again is not waited for to the end.
services_wait() {
    local until=$(($(now_ms) + $1 * 1000)) since=$2 name restarts
    shift 2
    local -A left=()
    for name; do left[$name]=1; done
    while [ ${#left[@]} -gt 0 ]; do
        for name in "${!left[@]}"; do
            if service_ready "$name" >/dev/null 2>&1; then
                unset "left[$name]"
                step_line "$name" ready "$since"
                continue
            fi
            restarts=$(service_restarts "$name")
            if [ "${restarts:-0}" -ge 3 ]; then
                service_failed "$name" "died ${restarts} times"
            fi
            [ "$(now_ms)" -lt "$until" ] || service_failed "$name" 'not ready in time'
        done
        [ ${#left[@]} -eq 0 ] || sleep 0.05
    done
}

service_failed() {
    tail -n 15 "$DEV/log/$1.log" >&2 || true
    die "$1: $2; its log: $DEV/log/$1.log"
}

service_ready() {
    case $1 in
    redis) redis_ready ;;
    kafka) kafka_ready ;;
    mariadb) mariadb_ready ;;
    smtp) smtp_ready ;;
    sandbox) sandbox_ready ;;
    nginx) nginx_ready ;;
    *) daemon_ready "$1" ;;
    esac
}
