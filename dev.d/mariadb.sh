# MariaDB: a data directory of its own, the accounts, the schema.
# shellcheck shell=bash

# As root the server runs as `mysql`, unless that account cannot reach the
# directory (a checkout below /root): changing the modes of somebody's home is
# not ours to do, so it then runs as root.
mariadb_user() {
    MARIADB_USER=$(id -un)
    [ "$(id -u)" = 0 ] || return 0
    chmod o+x "$DEV" "$DEV/data" "$DEV/run" "$DEV/etc"
    if setpriv --reuid=mysql --regid=mysql --clear-groups test -x "$DEV/data" 2>/dev/null; then
        MARIADB_USER=mysql
    fi
    if [ -d "$DEV/data/mariadb/mysql" ]; then
        # A directory keeps the owner that it was made for.
        MARIADB_USER=$(stat -c %U "$DEV/data/mariadb")
    fi
}

mariadb_prepare() {
    local as=()
    mariadb_user
    [ "$(id -u)" != 0 ] || as=(--user="$MARIADB_USER")
    mkdir -p "$DEV/run/mariadb" "$DEV/data/mariadb"
    [ "$(id -u)" != 0 ] || chown "$MARIADB_USER": "$DEV/run/mariadb" "$DEV/data/mariadb"
    write_file 0644 "$DEV/etc/my.cnf" <<EOF
[mariadbd]
datadir = $DEV/data/mariadb
socket = $DEV/run/mariadb/mariadb.sock
pid_file = $DEV/run/mariadb/mariadb.pid
# Its own: another server that starts deletes the temporary tables it finds.
tmpdir = $DEV/run/mariadb
bind_address = 127.0.0.1
port = $PORT_MYSQL
character_set_server = utf8mb4
collation_server = utf8mb4_unicode_ci
sql_mode = STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,NO_ZERO_DATE,NO_ZERO_IN_DATE,ONLY_FULL_GROUP_BY
transaction_isolation = READ-COMMITTED
default_time_zone = +00:00
# A commit that was acknowledged is on the disk.
innodb_flush_log_at_trx_commit = 1
log_bin = binlog
sync_binlog = 1
binlog_format = ROW
server_id = 1
binlog_expire_logs_seconds = 86400
innodb_buffer_pool_size = 256M
innodb_lock_wait_timeout = 5
local_infile = 0
max_connections = 200
EOF
    service mariadb 1 grace=30 -- mariadbd --defaults-file="$DEV/etc/my.cnf" "${as[@]}"
}

# The stack's owner is the administrator, by unix socket: no password to keep,
# and no open door on the loopback port.
mariadb_format() {
    local as=()
    [ ! -d "$DEV/data/mariadb/mysql" ] || return 0
    [ "$(id -u)" != 0 ] || as=(--user="$MARIADB_USER")
    timeout 60 mariadb-install-db --no-defaults --datadir="$DEV/data/mariadb" \
        --tmpdir="$DEV/run/mariadb" --auth-root-authentication-method=socket \
        --auth-root-socket-user="$(id -un)" --skip-test-db --skip-name-resolve \
        "${as[@]}" >>"$DEV/log/mariadb.log" 2>&1
}

mariadb_admin() {
    timeout 30 mariadb --no-defaults --user="$(id -un)" \
        --socket="$DEV/run/mariadb/mariadb.sock" --batch --skip-column-names "$@"
}

mariadb_ready() { mariadb_admin -e 'SELECT 1'; }

# Passwords are set anew at each start: what counts is the files in secrets/.
mariadb_accounts() {
    local account
    {
        echo 'CREATE DATABASE IF NOT EXISTS speedy CHARACTER SET utf8mb4;'
        for account in "${MYSQL_ACCOUNTS[@]}"; do
            printf "CREATE USER IF NOT EXISTS %s@localhost;\n" "$account"
            printf "ALTER USER %s@localhost IDENTIFIED BY '%s';\n" \
                "$account" "$(<"$DEV/secrets/mysql-$account")"
        done
        echo 'GRANT ALL ON speedy.* TO migrate@localhost;'
    } | mariadb_admin
}

mariadb_grants() { mariadb_admin speedy <"$ROOT/sql/grants.sql"; }
