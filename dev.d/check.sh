# test, bench, lint.
# shellcheck shell=bash

# Every area is one prove over its files; the pass on the sanitized build is a
# prove before it, and both must pass.
check_test() {
    local area=${1:-all} status=0
    local -a http=() life=() faults=()
    [ $# -le 1 ] || usage_error "test: one area at a time"
    cd "$ROOT" || exit 1
    mapfile -t http < <(find t -maxdepth 1 -name '*.t' ! -name unit.t ! -name openapi.t | sort)
    mapfile -t life < <(find t/life t/openapi.t -name '*.t' 2>/dev/null | sort)
    mapfile -t faults < <(find t/faults -name '*.t' 2>/dev/null | sort)
    case $area in
    all | http | unit | life | faults | asan) ;;
    *) [ -f "$area" ] || usage_error "test: no area and no file: $area" ;;
    esac

    install_packages "${PACKAGES_RUN[@]}" "${PACKAGES_BUILD[@]}" "${PACKAGES_TEST[@]}"
    install_kafka
    # Stacks that tests start use what is built here, and sell nothing by
    # themselves.
    export SPEEDY_DEMO=0 SPEEDY_ROOT=$ROOT
    build_make all
    case $area in all | unit) build_make unit-build ;; esac
    case $area in all | asan) build_make B=build/asan SAN=1 all unit-build ;; esac
    case $area in all | life | faults | t/*) build_make B=build/failpoints FAILPOINTS=1 all ;; esac

    case $area in
    all)
        check_prove build/asan t/unit.t "${http[@]}" || status=1
        check_prove build t/unit.t "${http[@]}" "${life[@]}" || status=1
        ;;
    asan) check_prove build/asan t/unit.t "${http[@]}" || status=1 ;;
    http) check_prove build "${http[@]}" || status=1 ;;
    unit) check_prove build t/unit.t || status=1 ;;
    life) check_prove build "${life[@]}" || status=1 ;;
    faults) check_prove build "${faults[@]}" || status=1 ;;
    *) check_prove "${SPEEDY_BUILD:-build}" "$area" || status=1 ;;
    esac
    return "$status"
}

check_prove() { # build directory, files
    local build=$1
    shift
    [ $# -gt 0 ] || die "no tests in this area"
    say "prove on $build: $# files"
    SPEEDY_BUILD=$ROOT/${build#"$ROOT"/} prove -It/lib --timer "$@"
}

check_bench() {
    local name=${1:-}
    if [ -z "$name" ]; then
        say 'benchmarks (./dev bench NAME):'
        find "$ROOT/bench" -maxdepth 1 -name '*.sh' -printf '  %f\n' | sed 's/\.sh$//' | sort
        return
    fi
    shift
    [[ $name =~ ^[a-z0-9_-]+$ ]] && [ -f "$ROOT/bench/$name.sh" ] ||
        usage_error "bench: no benchmark $name"
    [ -n "${SPEEDY_BUILD:-}" ] || { install_for_run && build_make all; }
    exec bash "$ROOT/bench/$name.sh" "$@"
}

check_lint() {
    local failed=0 file
    cd "$ROOT" || exit 1
    check_tool clang-format-14 clang-format &&
        { find daemons bench t -name '*.[ch]' -print0 | xargs -0r clang-format-14 --dry-run -Werror || failed=1; }
    check_tool cppcheck cppcheck &&
        { cppcheck -q --error-exitcode=1 --enable=warning,portability --inline-suppr \
            --std=c11 daemons bench ngx_module || failed=1; }
    while read -r file; do
        case $(head -n 1 "$file") in
        *perl*) perl -It/lib -c "$file" 2>&1 | grep -v 'syntax OK' && failed=1 ;;
        *bash*) bash -n "$file" || failed=1 ;;
        *python3*) python3 -c 'import sys; compile(open(sys.argv[1]).read(), sys.argv[1], "exec")' "$file" || failed=1 ;;
        esac
    done < <(find dev dev.d t bench .ci -type f \( -perm -u+x -o -name '*.t' -o -name '*.pm' \))
    for file in dev.d/*.sh; do bash -n "$file" || failed=1; done
    if command -v shellcheck >/dev/null; then
        shellcheck -x -S warning dev dev.d/*.sh .ci/run || failed=1
    fi
    [ "$failed" = 0 ] || die 'lint: see above'
    say 'lint: clean'
}

check_tool() {
    command -v "$1" >/dev/null || { say "lint: no $1 here (apt-get install $2): left out"; return 1; }
}
