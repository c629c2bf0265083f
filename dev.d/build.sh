# The build, and what of it a stack needs.
# shellcheck shell=bash

ROLES=(stockd orderd schedd userd maild productd payd)
MODULE=$BUILD/ngx_http_speedy_module.so

build_make() { # further arguments of make
    run_step build "make $*" make -C "$ROOT" -s -j"$(nproc)" "$@"
}

# SPEEDY_BUILD names a directory that somebody else builds (the tests do).
build_for_run() {
    local file
    [ -n "${SPEEDY_BUILD:-}" ] || build_make all
    for file in "${ROLES[@]/#/$BUILD/bin/}" "$BUILD/bin/speedyctl" "$MODULE"; do
        [ -f "$file" ] || die "$file is missing: build it first"
    done
}

# ASan's run-time must be first in a program that was built without it, which
# Debian's nginx was.
build_is_sanitized() {
    grep -q __asan_init "$MODULE"
}
