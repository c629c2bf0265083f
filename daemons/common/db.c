/*
 * MySQL over libmariadb: connections, transactions, what errors mean, scripts.
 *
 * A transaction that was lost (connection gone, deadlock, any unforeseen
 * error) stays "lost" until the caller rolls back or begins anew: every
 * statement in between is refused with RETRY. Otherwise what follows an error
 * that a caller overlooked would be committed on its own.
 */
#include "db.h"

#include <mysqld_error.h>
#include <errmsg.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "db_private.h"
#include "json.h"
#include "log.h"
#include "loop.h"

#define PASSWORD_MAX 256
#define IDLE_TRANSACTION_S 3 /* leases are lost after as long */
#define BACKOFF_MS 200 /* between attempts to connect: fail fast meanwhile */

/* Numbers that libmariadb's headers may lack. */
#define MARIADB_CHECK_VIOLATED 4025
#define MYSQL8_CHECK_VIOLATED 3819
#define MYSQL8_IDLE_DISCONNECT 4031
#define STATEMENT_TIMEOUT_MARIADB 1969
#define STATEMENT_TIMEOUT_MYSQL 3024
#define CONNECTION_KILLED 1927

static int connect_now(struct speedy_db *db);
static pthread_key_t thread_key;

static void thread_end(void *mark)
{
    (void)mark;
    mysql_thread_end();
}

static void library_init(void)
{
    mysql_library_init(0, NULL, NULL);
    pthread_key_create(&thread_key, thread_end);
}

/* Each thread that uses the library is known to it, and leaves it at its end.
 */
static void thread_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, library_init);
    if (pthread_getspecific(thread_key) == NULL) {
        mysql_thread_init();
        pthread_setspecific(thread_key, &thread_key);
    }
}

struct speedy_db *speedy_db_new(const char *account)
{
    struct speedy_db *db = calloc(1, sizeof(*db));
    char path[1024];

    if (db == NULL)
        abort();
    snprintf(db->account, sizeof(db->account), "%s", account);
    snprintf(path, sizeof(path), "%s/mysql-%s", speedy_conf.secrets_directory,
             account);
    db->password = speedy_secret_read(path, PASSWORD_MAX, NULL);
    if (db->password == NULL) {
        free(db);
        return NULL;
    }
    return db;
}

void speedy_db_free(struct speedy_db *db)
{
    if (db == NULL)
        return;
    speedy_db_drop(db);
    speedy_secret_free(db->password);
    free(db);
}

void speedy_db_drop(struct speedy_db *db)
{
    /* The connection goes first and as a whole: closing a statement of a
       standing one would send a word to a server that may hang. */
    if (db->my != NULL)
        mysql_close(db->my);
    db->my = NULL;
    speedy_db_statements_free(db);
    db->generation++;
    if (db->tx == TX_OPEN)
        db->tx = TX_LOST;
}

int speedy_db_ready(struct speedy_db *db)
{
    if (db->my != NULL)
        return 0;
    if (speedy_now_boot() < db->retry_at)
        return -1;
    thread_init();
    if (connect_now(db) == 0) {
        if (db->away)
            speedy_log(SPEEDY_INFO, "MySQL is back", "account=%s", db->account);
        db->away = false;
        return 0;
    }
    db->retry_at = speedy_now_boot() + speedy_jitter(BACKOFF_MS);
    return -1;
}

/* One line an outage, whatever is tried while it lasts. */
static void note_away(struct speedy_db *db, unsigned number,
                      const char *message)
{
    if (!db->away)
        speedy_log(SPEEDY_WARN, "MySQL is away", "account=%s errno=%u error=%s",
                   db->account, number, message);
    db->away = true;
}

/*
 * A client that stands still within a transaction (stopped, swapped out, its
 * machine gone) would keep its locks for hours: the server ends it. MySQL has
 * no such setting; there, TCP keep-alive or an operator does.
 */
static int idle_setup(MYSQL *my)
{
    char text[80];

    snprintf(text, sizeof(text), "SET SESSION net_read_timeout=%d",
             IDLE_TRANSACTION_S);
    if (mysql_query(my, text) != 0)
        return -1;
    if (strstr(mysql_get_server_info(my), "MariaDB") == NULL)
        return 0;
    snprintf(text, sizeof(text), "SET SESSION idle_transaction_timeout=%d",
             IDLE_TRANSACTION_S);
    return mysql_query(my, text) != 0 ? -1 : 0;
}

static int session_setup(MYSQL *my, unsigned timeout_s)
{
    char wait[80];

    /* A lock is waited for shorter than an answer: a wait that takes too
       long costs the transaction, not the connection. */
    snprintf(wait, sizeof(wait), "SET SESSION innodb_lock_wait_timeout=%u",
             timeout_s > 1 ? timeout_s - 1 : 1);
    return mysql_query(my, "SET SESSION sql_mode='STRICT_ALL_TABLES,"
                           "ERROR_FOR_DIVISION_BY_ZERO,"
                           "NO_ENGINE_SUBSTITUTION', time_zone='+00:00', "
                           "autocommit=1") != 0 ||
                   mysql_query(my, "SET SESSION TRANSACTION ISOLATION LEVEL "
                                   "READ COMMITTED") != 0 ||
                   mysql_query(my, wait) != 0
               ? -1
               : idle_setup(my);
}

static int connect_now(struct speedy_db *db)
{
    unsigned timeout = (unsigned)((speedy_conf.mysql_timeout + 999) / 1000);
    unsigned off = 0;
    my_bool no = 0;
    MYSQL *my = mysql_init(NULL);

    if (my == NULL)
        abort();
    mysql_options(my, MYSQL_OPT_CONNECT_TIMEOUT, &timeout);
    mysql_options(my, MYSQL_OPT_READ_TIMEOUT, &timeout);
    mysql_options(my, MYSQL_OPT_WRITE_TIMEOUT, &timeout);
    mysql_options(my, MYSQL_OPT_RECONNECT, &no);
    mysql_options(my, MYSQL_OPT_LOCAL_INFILE, &off);
    mysql_options(my, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    if (mysql_real_connect(
            my, speedy_conf.mysql_socket ? "localhost" : speedy_conf.mysql_host,
            db->account, db->password, speedy_conf.mysql_database,
            (unsigned)speedy_conf.mysql_port, speedy_conf.mysql_socket,
            0) == NULL ||
        session_setup(my, timeout) != 0) {
        note_away(db, mysql_errno(my), mysql_error(my));
        mysql_close(my);
        return -1;
    }
    db->my = my;
    return 0;
}

/* --- transactions --- */

int speedy_db_begin(struct speedy_db *db)
{
    if (db->tx != TX_NONE) {
        if (db->tx == TX_OPEN)
            speedy_log(SPEEDY_ERROR, "transaction within a transaction",
                       "account=%s", db->account);
        speedy_db_rollback(db);
    }
    if (speedy_db_ready(db) != 0)
        return SPEEDY_DB_RETRY;
    if (mysql_query(db->my, "START TRANSACTION") != 0)
        return speedy_db_fail(db, mysql_errno(db->my), mysql_error(db->my),
                              "begin");
    db->tx = TX_OPEN;
    return SPEEDY_DB_OK;
}

int speedy_db_commit(struct speedy_db *db)
{
    int status;

    if (db->tx != TX_OPEN) {
        if (db->tx == TX_NONE)
            speedy_log(SPEEDY_ERROR, "commit without a transaction",
                       "account=%s", db->account);
        db->tx = TX_NONE;
        return SPEEDY_DB_RETRY;
    }
    if (mysql_query(db->my, "COMMIT") == 0) {
        db->tx = TX_NONE;
        return SPEEDY_DB_OK;
    }
    /* In doubt: whatever the error says, nothing goes on here. */
    status =
        speedy_db_fail(db, mysql_errno(db->my), mysql_error(db->my), "commit");
    speedy_db_drop(db);
    db->tx = TX_NONE;
    return status == SPEEDY_DB_ERROR ? SPEEDY_DB_ERROR : SPEEDY_DB_RETRY;
}

void speedy_db_rollback(struct speedy_db *db)
{
    if (db->tx == TX_OPEN && db->my != NULL &&
        mysql_query(db->my, "ROLLBACK") != 0)
        speedy_db_drop(db);
    db->tx = TX_NONE;
}

/* --- errors --- */

enum verdict { GONE, AGAIN, TWICE, REFUSED, WRONG };

static enum verdict judge(unsigned number)
{
    switch (number) {
    case CR_SERVER_GONE_ERROR:
    case CR_SERVER_LOST:
    case CR_SERVER_LOST_EXTENDED:
    case CR_CONNECTION_ERROR:
    case CR_CONN_HOST_ERROR:
    case CR_COMMANDS_OUT_OF_SYNC:
    case CR_MALFORMED_PACKET:
    case ER_SERVER_SHUTDOWN:
    case ER_NORMAL_SHUTDOWN:
    case ER_ABORTING_CONNECTION:
    case ER_NEW_ABORTING_CONNECTION:
    case ER_NET_READ_ERROR:
    case ER_NET_READ_INTERRUPTED:
    case ER_NET_ERROR_ON_WRITE:
    case ER_NET_WRITE_INTERRUPTED:
    case CONNECTION_KILLED:
    case MYSQL8_IDLE_DISCONNECT:
    case ER_UNKNOWN_STMT_HANDLER:
    case ER_NEED_REPREPARE:
    case ER_OPTION_PREVENTS_STATEMENT: /* read-only: perhaps no primary now */
    case 1836:                         /* ER_READ_ONLY_MODE */
        return GONE;
    case ER_LOCK_DEADLOCK:
    case ER_LOCK_WAIT_TIMEOUT:
    case ER_CON_COUNT_ERROR:
    case ER_TOO_MANY_USER_CONNECTIONS:
    case ER_USER_LIMIT_REACHED:
    case ER_QUERY_INTERRUPTED:
    case ER_CHECKREAD:
    case ER_DISK_FULL:
    case ER_RECORD_FILE_FULL:
    case ER_ERROR_ON_WRITE:
    case STATEMENT_TIMEOUT_MARIADB:
    case STATEMENT_TIMEOUT_MYSQL:
        return AGAIN;
    case ER_DUP_ENTRY:
    case ER_DUP_ENTRY_WITH_KEY_NAME:
        return TWICE;
    case MARIADB_CHECK_VIOLATED:
    case MYSQL8_CHECK_VIOLATED:
    case ER_ROW_IS_REFERENCED:
    case ER_NO_REFERENCED_ROW:
    case ER_ROW_IS_REFERENCED_2:
    case ER_NO_REFERENCED_ROW_2:
        return REFUSED;
    default:
        return WRONG;
    }
}

int speedy_db_fail(struct speedy_db *db, unsigned number, const char *message,
                   const char *what)
{
    enum verdict verdict = judge(number);

    if (verdict == TWICE)
        return SPEEDY_DB_DUPLICATE;
    if (verdict == REFUSED)
        return SPEEDY_DB_REFUSED;
    if (verdict == GONE) {
        note_away(db, number, message);
        speedy_db_drop(db);
        return SPEEDY_DB_RETRY;
    }
    if (verdict == AGAIN)
        speedy_log(SPEEDY_INFO, "MySQL asks to try again",
                   "account=%s errno=%u error=%s", db->account, number,
                   message);
    else
        speedy_log(SPEEDY_ERROR, "MySQL refused a statement",
                   "account=%s errno=%u error=%s statement=%.60s", db->account,
                   number, message, what);
    if (db->tx == TX_OPEN) {
        if (mysql_query(db->my, "ROLLBACK") != 0)
            speedy_db_drop(db);
        db->tx = TX_LOST;
    }
    return verdict == AGAIN ? SPEEDY_DB_RETRY : SPEEDY_DB_ERROR;
}

/* --- scripts --- */

/* Copies text without comment lines, which may hold anything. */
static char *without_comments(const char *text)
{
    struct speedy_buf b = {0};

    speedy_buf_add(&b, "", 0);
    while (*text != '\0') {
        size_t n = strcspn(text, "\n"), blank = strspn(text, " \t");

        n += text[n] == '\n';
        if (strncmp(text + blank, "--", 2) != 0)
            speedy_buf_add(&b, text, n);
        text += n;
    }
    return b.data;
}

/* End of the statement at text: after a `;` that ends a line. */
static size_t statement_length(const char *text)
{
    size_t i = 0;

    for (; text[i] != '\0'; i++) {
        size_t after = i + 1;

        if (text[i] != ';')
            continue;
        after += strspn(text + after, " \t\r");
        if (text[after] == '\n' || text[after] == '\0')
            return i;
    }
    return i;
}

static int discard_results(MYSQL *my)
{
    MYSQL_RES *result = mysql_store_result(my);

    if (result != NULL)
        mysql_free_result(result);
    return mysql_errno(my) != 0 ? -1 : 0;
}

int speedy_db_script(struct speedy_db *db, const char *text)
{
    char *all = without_comments(text);
    const char *at = all;
    int number = 0, status = 0;

    if (speedy_db_ready(db) != 0)
        status = -1;
    while (status == 0) {
        size_t n;

        at += strspn(at, " \t\r\n;");
        if (*at == '\0')
            break;
        number++;
        n = statement_length(at);
        if (mysql_real_query(db->my, at, n) != 0 ||
            discard_results(db->my) != 0) {
            speedy_log(SPEEDY_ERROR, "script failed",
                       "statement=%d errno=%u error=%s", number,
                       mysql_errno(db->my), mysql_error(db->my));
            if (judge(mysql_errno(db->my)) == GONE)
                speedy_db_drop(db);
            status = -1;
        }
        at += n;
    }
    free(all);
    return status;
}
