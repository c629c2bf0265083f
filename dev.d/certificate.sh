# Certificates for the stack's servers that are reached by TLS, each by a CA of
# its own.
# shellcheck shell=bash

# certificate NAME: etc/NAME-ca.crt, etc/NAME.crt and secrets/NAME-key, made
# once. The CA's key is not kept: nothing else is ever signed by it.
certificate() {
    local name=$1 work
    [ ! -s "$DEV/secrets/$name-key" ] || return 0
    work=$(mktemp -d "$DEV/etc/$name.XXXXXX")
    (
        cd "$work"
        umask 077
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 \
            -nodes -days 3650 -subj '/CN=sleek speedy development CA' \
            -keyout ca.key -out ca.crt
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 \
            -nodes -subj '/CN=localhost' -keyout server.key -out server.csr
        printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n' >ext
        openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -days 3650 \
            -CAcreateserial -extfile ext -out server.crt
    ) >"$DEV/log/$name.log" 2>&1 || die "$name: no certificate; see $DEV/log/$name.log"
    write_file 0644 "$DEV/etc/$name-ca.crt" <"$work/ca.crt"
    write_file 0644 "$DEV/etc/$name.crt" <"$work/server.crt"
    write_file 0400 "$DEV/secrets/$name-key" <"$work/server.key"
    rm -rf "$work"
}
