# nginx: the configuration of production (nginx.conf.example) with this
# stack's paths and ports, so that the example is what every test runs.
# shellcheck shell=bash

nginx_render() {
    local user path temp='' files='/^worker_rlimit_nofile /b'
    # Debian's compiled-in paths belong to the system's nginx.
    for path in client_body proxy fastcgi uwsgi scgi; do
        temp+="\\n    ${path}_temp_path $DEV/data/nginx/$path;"
    done
    # More than the hard limit would be an [alert] for each worker.
    [ "$(ulimit -Hn)" = unlimited ] || [ "$(ulimit -Hn)" -ge 16384 ] ||
        files='/^worker_rlimit_nofile /d'
    if [ "$(id -u)" = 0 ]; then
        # Workers read and write below a directory that may be root's alone.
        user='s|^user .*;|user root;|'
    else
        user='/^user .*;/d'
    fi
    sed -E \
        -e "$user" \
        -e "$files" \
        -e "s|^http \{|http {$temp|" \
        -e "s|^( *speedy_jwt_max_ttl) .*;|\1 24h;|" \
        -e "s|^pid .*;|pid $DEV/run/nginx.pid;|" \
        -e "s|^(load_module) .*ngx_http_speedy_module\.so;|\1 $MODULE;|" \
        -e "s|/etc/speedy/secrets/|$DEV/secrets/|g" \
        -e "s|/etc/speedy/|$DEV/etc/|g" \
        -e "s|/run/speedy/|$DEV/run/|g" \
        -e "s|/run/redis/redis[a-z-]*\.sock|$DEV/run/redis.sock|g" \
        -e "s|/var/log/speedy/|$DEV/log/|g" \
        -e "s|/var/lib/speedy/|$DEV/data/|g" \
        -e "s|127\.0\.0\.1:8080|127.0.0.1:$PORT_SHOP|g" \
        -e "s|127\.0\.0\.1:8081|127.0.0.1:$PORT_OPS|g" \
        -e "s|127\.0\.0\.1:9092|127.0.0.1:$PORT_KAFKA|g" \
        "$ROOT/nginx.conf.example" | nginx_environment | write_file 0644 "$DEV/etc/nginx.conf"
}

# nginx clears its environment when it starts a new binary (SIGUSR2); the
# sanitizers' variables must survive that.
nginx_environment() {
    build_is_sanitized && printf 'env LD_PRELOAD;\nenv ASAN_OPTIONS;\nenv UBSAN_OPTIONS;\n'
    cat
}

nginx_start() {
    local preload=()
    sanitizer_env
    if build_is_sanitized; then
        preload=("env=LD_PRELOAD=$(gcc -print-file-name=libasan.so)")
    fi
    nginx_render
    nginx_check "${preload[@]}"
    # QUIT lets requests in flight finish. A daemon by a full path, because
    # nginx ignores SIGUSR2 in the foreground and execs its own argv[0].
    service nginx 3 signal=QUIT grace=15 pidfile="$DEV/run/nginx.pid" \
        "${preload[@]}" "${SANITIZER[@]}" -- \
        "$(command -v nginx)" -e "$DEV/log/error.log" -p "$DEV/" \
        -c "$DEV/etc/nginx.conf"
}

nginx_check() {
    local out
    if ! out=$(env "${@/#env=/}" ${1:+ASAN_OPTIONS=detect_leaks=0} timeout 20 \
        nginx -e "$DEV/log/error.log" -t -q -p "$DEV/" -c "$DEV/etc/nginx.conf" 2>&1); then
        printf '%s\n' "$out" >&2
        die "nginx: $DEV/etc/nginx.conf is refused"
    fi
}

# The workers take requests, and each knows which sessions have ended.
nginx_ready() {
    [ -s "$DEV/run/nginx.pid" ] || return 1
    if grep -q '^ *speedy_sessions off;' "$DEV/etc/nginx.conf"; then
        curl -s -m 2 -o /dev/null "http://127.0.0.1:$PORT_SHOP/api/v1/"
    else
        curl -s -m 2 "http://127.0.0.1:$PORT_OPS/metrics" |
            awk '/^speedy_sessions_known\{/ { n++; known += $2 } END { exit !(n && known == n) }'
    fi
}
