# The mail server of a stack, and the settings by which maild reaches it: TLS
# checked against a CA of the stack's own, and a login, as in production.
# shellcheck shell=bash

SMTP_USER=speedy

smtp_prepare() {
    smtp_certificate
    service smtp 1 grace=5 -- "$ROOT/dev.d/smtp" "$PORT_SMTP" "$DEV/mail" \
        "$DEV/etc/smtp.crt" "$DEV/secrets/smtp-key" "$SMTP_USER" \
        "$DEV/secrets/smtp-password"
}

# Made once. The CA's key is not kept: nothing else is ever signed by it.
smtp_certificate() {
    local work
    [ ! -s "$DEV/secrets/smtp-key" ] || return 0
    work=$(mktemp -d "$DEV/etc/smtp.XXXXXX")
    (
        cd "$work"
        umask 077
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 \
            -nodes -days 3650 -subj '/CN=sleek speedy development CA' \
            -keyout ca.key -out ca.crt
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 \
            -nodes -subj '/CN=localhost' -keyout smtp.key -out smtp.csr
        printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n' >ext
        openssl x509 -req -in smtp.csr -CA ca.crt -CAkey ca.key -days 3650 \
            -CAcreateserial -extfile ext -out smtp.crt
    ) >"$DEV/log/smtp.log" 2>&1 || die "smtp: no certificate; see $DEV/log/smtp.log"
    write_file 0644 "$DEV/etc/smtp-ca.crt" <"$work/ca.crt"
    write_file 0644 "$DEV/etc/smtp.crt" <"$work/smtp.crt"
    write_file 0400 "$DEV/secrets/smtp-key" <"$work/smtp.key"
    rm -rf "$work"
}

smtp_ready() { port_listens "$PORT_SMTP"; }

smtp_settings() {
    cat <<EOF
[mail]
preset = local
host = 127.0.0.1
port = $PORT_SMTP
tls = starttls
ca_file = $DEV/etc/smtp-ca.crt
user = $SMTP_USER
password_file = $DEV/secrets/smtp-password
from = shop@sleek-speedy.example
from_name = sleek speedy
url = http://127.0.0.1:$PORT_SHOP
templates = $ROOT/daemons/maild/templates
EOF
}
