# The mail server of a stack, and the settings by which maild reaches it: TLS
# checked against a CA of the stack's own, and a login, as in production.
# shellcheck shell=bash

SMTP_USER=speedy

smtp_prepare() {
    certificate smtp
    service smtp 1 grace=5 -- "$ROOT/dev.d/smtp" "$PORT_SMTP" "$DEV/mail" \
        "$DEV/etc/smtp.crt" "$DEV/secrets/smtp-key" "$SMTP_USER" \
        "$DEV/secrets/smtp-password"
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
