# Where things are, how the script speaks, and how it waits.
# shellcheck shell=bash

DEV=${SPEEDY_DEV_DIR:-$ROOT/.dev}
case $DEV in /*) ;; *) DEV=$PWD/$DEV ;; esac
DEV=${DEV%/}
BUILD=${SPEEDY_BUILD:-build}
case $BUILD in /*) ;; *) BUILD=$ROOT/$BUILD ;; esac

say() { printf '%s\n' "$*"; }
warn() { printf 'dev: %s\n' "$*" >&2; }

die() {
    warn "$*"
    exit 1
}

usage_error() {
    warn "$1 (see ./dev help)"
    exit 2
}

# Milliseconds of a clock that only goes forward.
now_ms() {
    local up
    read -r up _ </proc/uptime
    echo $((10#${up/./} * 10))
}

# One line a step, with its seconds, as it happens.
step_line() { # name, what, since (ms)
    local ms=$(($(now_ms) - $3))
    printf '  %-12s %-34s %3d.%01d s\n' "$1" "$2" $((ms / 1000)) $((ms % 1000 / 100))
}

# run_step NAME WHAT COMMAND...: quiet unless it fails, then its output.
run_step() {
    local name=$1 what=$2 since out
    shift 2
    since=$(now_ms)
    out=$(mktemp)
    if ! "$@" >"$out" 2>&1 </dev/null; then
        tail -n 40 "$out" >&2
        rm -f "$out"
        die "$name: $what failed: $*"
    fi
    rm -f "$out"
    step_line "$name" "$what" "$since"
}

# wait_until SECONDS COMMAND...: 0 as soon as the command succeeds.
wait_until() {
    local until=$(($(now_ms) + $1 * 1000))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$(now_ms)" -lt "$until" ] || return 1
        sleep 0.05
    done
}

# Field 22 of /proc/PID/stat, counted behind the command's name, which may
# hold blanks: pid and start time together name a process for good.
process_start() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    stat=${stat##*) }
    [ "${stat%% *}" != Z ] || return 1
    # shellcheck disable=SC2086
    set -- $stat
    echo "${20}"
}

# write_file MODE PATH: standard input, readable by nobody else at any moment.
write_file() {
    local new=$2.new
    rm -f "$new"
    (umask 077 && cat >"$new")
    chmod "$1" "$new"
    mv -f "$new" "$2"
}
