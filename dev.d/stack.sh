# up, down, reset, status, logs, ctl.
# shellcheck shell=bash

STORES=(redis kafka mariadb smtp)

stack_up() {
    local detach='' began lock
    case ${1:-} in
    '') ;;
    --detach) detach=1 ;;
    *) usage_error "up: unknown option $1" ;;
    esac
    if supervisor_runs; then
        say "The shop is running already ($DEV); ./dev status tells more."
        return
    fi
    install_for_run
    install_kafka
    build_for_run
    began=$(now_ms)
    config_directories
    exec {lock}>"$DEV/up.lock"
    flock -n "$lock" || die "another ./dev up is starting this stack"
    # An interrupted or failed start leaves nothing behind.
    trap 'stack_abandon' EXIT
    trap 'exit 130' INT TERM
    leftovers_stop
    stack_start
    exec {lock}>&-
    step_line shop 'ready' "$began"
    # From here on it stays up, whoever reads our output or not.
    trap - EXIT
    demo_print || true
    [ -z "$detach" ] || return 0
    stack_foreground
}

stack_abandon() {
    local status=$?
    trap - EXIT
    trap '' INT TERM
    warn 'not started; stopping what ran'
    supervisor_stop
    exit "$status"
}

stack_start() {
    local since
    ports_choose
    config_secrets
    config_env
    config_speedy
    stores_start
    since=$(now_ms)
    # Both need their store only: at the same time.
    mariadb_schema &
    local schema=$!
    kafka_topics
    wait "$schema" || die "the schema was not made: see above"
    step_line stores 'accounts, topics, migrations' "$since"
    since=$(now_ms)
    daemons_start
    services_wait 30 "$since" "${DAEMONS[@]}"
    since=$(now_ms)
    nginx_start
    services_wait 15 "$since" nginx
    demo_open
}

# Redis, Kafka and MariaDB at once; the two that must make a data directory
# first do that side by side, too.
stores_start() {
    local since kafka mariadb
    since=$(now_ms)
    redis_prepare
    smtp_prepare
    sandbox_prepare
    mariadb_prepare
    kafka_prepare
    mkdir "$DEV/run/later"
    mv "$DEV/run/services/kafka" "$DEV/run/services/mariadb" "$DEV/run/later/"
    supervisor_start
    (kafka_format && mv "$DEV/run/later/kafka" "$DEV/run/services/") &
    kafka=$!
    (mariadb_format && mv "$DEV/run/later/mariadb" "$DEV/run/services/") &
    mariadb=$!
    wait "$kafka" || service_failed kafka 'its storage was not formatted'
    wait "$mariadb" || service_failed mariadb 'its data directory was not made'
    rmdir "$DEV/run/later"
    services_wait 60 "$since" "${STORES[@]}"
}

mariadb_schema() {
    mariadb_accounts
    speedyctl migrate >"$DEV/log/migrate.log" 2>&1 ||
        { tail -n 15 "$DEV/log/migrate.log" >&2; exit 1; }
    mariadb_grants
}

# Ctrl-C, a closed terminal and SIGTERM stop all in order.
stack_foreground() {
    trap 'say; stack_down; exit 0' INT TERM HUP
    say 'Ctrl-C stops all.'
    while supervisor_runs; do
        sleep 1 &
        wait $! || true
    done
    say 'The shop was stopped.'
}

# shellcheck disable=SC2120
stack_down() {
    local since
    [ $# -eq 0 ] || usage_error "down: unknown option $1"
    trap '' INT
    since=$(now_ms)
    if ! supervisor_runs; then
        leftovers_stop
        say 'The shop is not running.'
        return
    fi
    supervisor_stop
    step_line shop stopped "$since"
}

stack_reset() {
    [ $# -eq 0 ] || usage_error "reset: unknown option $1"
    [ -d "$DEV" ] || return 0
    # Only what `up` made: a wrong SPEEDY_DEV_DIR must not cost anything else.
    [ -d "$DEV/secrets" ] || die "$DEV is not a stack's directory"
    stack_down
    (cd "$DEV" && rm -rf etc secrets run log data mail env env.static ports ports.new up.lock)
    rmdir "$DEV" 2>/dev/null || true
    say "All data in $DEV is gone."
}

stack_status() {
    local name pid ticks since restarts ready age
    if ! supervisor_runs; then
        say "The shop is not running ($DEV)."
        return 1
    fi
    printf '%-12s %8s %10s %9s  %s\n' NAME PID UPTIME RESTARTS READY
    while read -r name pid ticks since restarts; do
        age=-
        ready=no
        if [ "$pid" != 0 ] && [ "$(process_start "$pid")" = "$ticks" ]; then
            age=$(($(date +%s) - since))s
            ! service_ready_by_name "$name" || ready=yes
        else
            pid=-
        fi
        [ ! -e "$DEV/run/hold-$name" ] || ready='held (run/hold-'$name')'
        printf '%-12s %8s %10s %9s  %s\n' "$name" "$pid" "$age" "$restarts" "$ready"
    done <"$DEV/run/pids"
}

service_ready_by_name() {
    ports_load
    service_ready "$1" >/dev/null 2>&1
}

stack_logs() {
    local name=${1:-} follow=()
    if [ -z "$name" ]; then
        (cd "$DEV/log" 2>/dev/null && ls) || die "no logs in $DEV/log"
        return
    fi
    [[ $name =~ ^[a-z0-9_.-]+$ ]] || usage_error "logs: $name is no name"
    case ${2:-} in
    '') ;;
    -f) follow=(-F) ;;
    *) usage_error "logs: unknown option $2" ;;
    esac
    [ -f "$DEV/log/$name.log" ] || die "no log of $name in $DEV/log (./dev logs lists them)"
    exec tail -n 200 "${follow[@]}" "$DEV/log/$name.log"
}

stack_ctl() {
    [ -x "$BUILD/bin/speedyctl" ] || die "$BUILD/bin/speedyctl is missing: ./dev up builds it"
    [ -f "$DEV/etc/speedy.conf" ] || die "no stack in $DEV: ./dev up makes one"
    exec "$BUILD/bin/speedyctl" -c "$DEV/etc/speedy.conf" "$@"
}
