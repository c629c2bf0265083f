# The directory of a stack, its secrets and speedy.conf. Configurations are
# rendered by `up` only: while a stack runs, a test may edit one below etc/
# and kill the process, and the supervisor starts it with the edited file.
# shellcheck shell=bash

MYSQL_ACCOUNTS=(migrate stockd orderd schedd userd maild productd payd speedyctl reader)

config_directories() {
    # A socket's path may have 107 bytes.
    [ ${#DEV} -le 80 ] || die "$DEV: too long for unix sockets (80 at the most); set SPEEDY_DEV_DIR"
    [[ $DEV =~ ^[A-Za-z0-9/._+-]+$ ]] ||
        die "$DEV: a stack's directory may have letters, digits and / . _ + - only"
    (umask 077 && mkdir -p "$DEV/secrets")
    mkdir -p "$DEV"/{etc,run,log,data,mail,data/redis,data/nginx,data/images}
    rm -rf "$DEV/run/services" "$DEV"/run/hold-*
}

# A secret is made once. No newline: some readers take the file as it is.
secret() {
    local file=$DEV/secrets/$1
    [ -s "$file" ] || openssl rand -hex 32 | tr -d '\n' | write_file 0400 "$file"
}

config_secrets() {
    local account
    for account in "${MYSQL_ACCOUNTS[@]}"; do secret "mysql-$account"; done
    secret redis-password
    secret redis-admin
    secret jwt-current
    secret jwt-previous
    # Personal data, its look-up index, passwords, mailed codes, refresh tokens.
    secret master-m1
    secret blind-index
    secret pepper
    secret code-key
    secret refresh-key
    secret smtp-password
    # KakaoPay's secret key: of the sandbox, or yours put in its place.
    secret kakaopay-key
    # Pages of lists: the mark where the next one begins.
    secret cursor-key
}

# KakaoPay itself, unless the stack has its stand-in.
payd_settings() {
    sandbox_wanted || return 0
    cat <<EOT
sandbox = on
base_url = https://127.0.0.1:$PORT_SANDBOX
ca_file = $DEV/etc/sandbox-ca.crt
EOT
}

config_speedy() {
    write_file 0644 "$DEV/etc/speedy.conf" <<EOF
# Made by ./dev for the stack in this directory.
[log]
level = info
format = text

[redis]
socket = $DEV/run/redis.sock
user = speedy
password_file = $DEV/secrets/redis-password
timeout = 1s

[kafka]
brokers = 127.0.0.1:$PORT_KAFKA
orders_topic = speedy.orders

[mysql]
socket = $DEV/run/mariadb/mariadb.sock
database = speedy
timeout = 5s

[secrets]
directory = $DEV/secrets

[http]
directory = $DEV/run

[keys]
master = m1

[userd]
shop_url = http://127.0.0.1:$PORT_SHOP
origins = http://localhost:$PORT_SHOP http://127.0.0.1:$PORT_OPS http://localhost:$PORT_OPS

$(smtp_settings)

[productd]
images = $DEV/data/images

[payd]
shop_url = http://127.0.0.1:$PORT_SHOP
$(payd_settings)

[speedyctl]
sql_directory = $ROOT/sql
# Tests and benchmarks make their tokens long before they use them.
token_max_ttl = 24h
EOF
}

# The fixed part of `env`; the supervisor adds the PID_ lines.
config_env() {
    {
        cat <<EOF
SPEEDY_URL=http://127.0.0.1:$PORT_SHOP
SPEEDY_OPS_URL=http://127.0.0.1:$PORT_OPS
REDIS_SOCKET=$DEV/run/redis.sock
REDIS_PORT=$PORT_REDIS
REDIS_USER=speedy
REDIS_PASSWORD_FILE=$DEV/secrets/redis-password
KAFKA=127.0.0.1:$PORT_KAFKA
SPEEDY_SMTP=127.0.0.1:$PORT_SMTP
MYSQL_SOCKET=$DEV/run/mariadb/mariadb.sock
MYSQL_DATABASE=speedy
MYSQL_USER=reader
MYSQL_PASSWORD_FILE=$DEV/secrets/mysql-reader
NGINX_ACCESS_LOG=$DEV/log/access.log
EOF
        sandbox_env
    } | write_file 0644 "$DEV/env.static"
}
