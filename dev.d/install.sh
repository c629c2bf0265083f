# What a bare Debian 12 lacks: packages by apt, Kafka's jars by Maven.
# A warm start costs one dpkg-query.
# shellcheck shell=bash

PACKAGES_RUN=(
    nginx redis-server redis-tools mariadb-server mariadb-client
    openjdk-17-jre-headless maven ca-certificates
    curl jq openssl procps iproute2 util-linux
    python3-aiosmtpd
)
PACKAGES_BUILD=(
    gcc libc6-dev make pkg-config nginx-dev libhiredis-dev librdkafka-dev
    libmariadb-dev libmariadb-dev-compat libyajl-dev libjwt-dev
    libcurl4-openssl-dev libmicrohttpd-dev libssl-dev libargon2-dev
    libidn2-dev
)
# shellcheck disable=SC2034 # used in check.sh
PACKAGES_TEST=(
    libcmocka-dev perl libtest-base-perl libtext-diff-perl
    liblist-moreutils-perl libwww-perl libtest-longstring-perl
    kcat faketime nghttp2-client
    postfix sasl2-bin libsasl2-modules
    python3-venv
)
# Servers whose packages would start a service of their own.
PACKAGE_SERVICES=(nginx redis-server mariadb postfix)

packages_missing() {
    local have
    have=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null) || true
    have=$'\n'$have$'\n'
    local package
    for package; do
        [[ $have == *$'\n'"$package installed"$'\n'* ]] || echo "$package"
    done
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "packages are missing and there is no sudo; as root: apt-get install $*"
    fi
}

apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends "$@"
}

# Debian starts a server when its package is installed. Ours run from the
# stack's directory, so starting is refused during the installation (by
# policy-rc.d, Debian's own means) and the new units are disabled after it.
install_packages() {
    local missing service policy=/usr/sbin/policy-rc.d own=''
    mapfile -t missing < <(packages_missing "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null ||
        die "this script installs Debian packages, and there is no apt-get here: ${missing[*]}"
    say "  packages     installing ${#missing[@]}: ${missing[*]}"
    if [ ! -e "$policy" ]; then
        own=1
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
        # shellcheck disable=SC2064
        trap "as_root rm -f $policy" EXIT
    fi
    run_step packages "lists brought up to date" apt_get update
    run_step packages "downloaded" apt_get install --download-only "${missing[@]}"
    run_step packages "installed" apt_get install "${missing[@]}"
    if [ -n "$own" ]; then
        as_root rm -f "$policy"
        trap - EXIT
        for service in "${PACKAGE_SERVICES[@]}"; do
            [ -d /run/systemd/system ] || break
            [[ " ${missing[*]} " == *" $service"* ]] || continue
            as_root systemctl disable --quiet "$service" || true
            say "  packages     Debian's own service $service is off (systemctl enable $service turns it on)"
        done
    fi
}

install_for_run() {
    local packages=("${PACKAGES_RUN[@]}")
    [ -n "${SPEEDY_BUILD:-}" ] || packages+=("${PACKAGES_BUILD[@]}")
    install_packages "${packages[@]}"
}

# Jars are kept by the digest of the pom, so that a changed version is fetched
# and a stack that runs keeps the ones it has open.
kafka_libs() {
    local digest
    digest=$(sha256sum <"$ROOT/docker/kafka/pom.xml")
    echo "${SPEEDY_CACHE_DIR:-$ROOT/build/kafka}/libs-${digest:0:12}"
}

install_kafka() {
    local libs lock
    libs=$(kafka_libs)
    [ ! -d "$libs" ] || return 0
    mkdir -p "${libs%/*}"
    # Two stacks may start at once on an empty cache.
    exec {lock}>"${libs%/*}/lock"
    flock -w 300 "$lock" || die "${libs%/*}/lock is held"
    if [ ! -d "$libs" ]; then
        rm -rf "$libs.new"
        run_step kafka 'fetched from Maven Central' timeout 600 mvn -q -B \
            -f "$ROOT/docker/kafka/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:2.8:copy-dependencies \
            -DoutputDirectory="$libs.new"
        mv "$libs.new" "$libs"
    fi
    exec {lock}>&-
}
