# stockd, orderd, schedd, userd: two of each, one works and one stands by (or both
# share the partitions), as in production.
# shellcheck shell=bash

DAEMONS=()
for role in "${ROLES[@]}"; do DAEMONS+=("${role}_1" "${role}_2"); done

# Sanitizers' reports go to files of their own beside the logs.
sanitizer_env() {
    SANITIZER=()
    build_is_sanitized || return 0
    SANITIZER=("env=ASAN_OPTIONS=detect_leaks=0:log_path=$DEV/log/asan"
        "env=UBSAN_OPTIONS=print_stacktrace=1:log_path=$DEV/log/ubsan")
}

daemons_start() {
    local name
    sanitizer_env
    for name in "${DAEMONS[@]}"; do
        service "$name" 2 grace=15 "${SANITIZER[@]}" -- "$BUILD/bin/${name%_*}" \
            -c "$DEV/etc/speedy.conf" -i "${name#*_}"
    done
}

daemon_ready() {
    curl -sf -m 2 -o /dev/null --unix-socket "$DEV/run/$1.sock" http://localhost/readyz
}

speedyctl() { "$BUILD/bin/speedyctl" -c "$DEV/etc/speedy.conf" "$@"; }
