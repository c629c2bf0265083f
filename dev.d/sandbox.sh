# The KakaoPay sandbox of a stack: the API and the payer's pages by TLS, the
# tests' control port, and what of all that stands in `env`.
# shellcheck shell=bash

# Not with SPEEDY_SANDBOX=0, and not from a build that has none. `plain` is for
# a browser that shall not ask about a certificate it does not know.
sandbox_wanted() {
    [ "${SPEEDY_SANDBOX:-1}" != 0 ] && [ -x "$BUILD/bin/paysandbox" ]
}

sandbox_prepare() {
    local tls=()
    sandbox_wanted || return 0
    certificate sandbox
    sandbox_keys
    sanitizer_env
    [ "${SPEEDY_SANDBOX:-1}" = plain ] ||
        tls=(--tls "$DEV/etc/sandbox.crt,$DEV/secrets/sandbox-key")
    service sandbox 1 grace=5 "${SANITIZER[@]}" -- "$BUILD/bin/paysandbox" \
        --api "$PORT_SANDBOX" --control "$PORT_SANDBOX_CONTROL" "${tls[@]}" \
        --keys "$DEV/secrets/sandbox-keys" --state "$DEV/data/sandbox" \
        --domain "http://127.0.0.1:$PORT_SHOP" \
        --domain "http://localhost:$PORT_SHOP"
    STORES+=(sandbox)
}

# One key for both generations of the API; the shop has it in kakaopay-key.
sandbox_keys() {
    local key
    secret kakaopay-key
    key=$(cat "$DEV/secrets/kakaopay-key")
    printf 'dev %s\nadmin %s\n' "$key" "$key" |
        write_file 0400 "$DEV/secrets/sandbox-keys"
}

sandbox_ready() {
    curl -sf -m 2 -o /dev/null "http://127.0.0.1:$PORT_SANDBOX_CONTROL/clock" &&
        port_listens "$PORT_SANDBOX"
}

sandbox_env() {
    local scheme=https
    sandbox_wanted || return 0
    [ "${SPEEDY_SANDBOX:-1}" != plain ] || scheme=http
    cat <<EOT
SPEEDY_SANDBOX_URL=$scheme://127.0.0.1:$PORT_SANDBOX
SPEEDY_SANDBOX_CONTROL=http://127.0.0.1:$PORT_SANDBOX_CONTROL
SPEEDY_SANDBOX_CA=$DEV/etc/sandbox-ca.crt
EOT
}
