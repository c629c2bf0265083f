/* MySQL for the daemons, against a real MariaDB. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../daemons/common/conf.h"
#include "../../../daemons/common/db.h"
#include "../../../daemons/common/json.h"
#include "../../../daemons/common/log.h"
#include "../../../daemons/common/loop.h"
#include "capture.h"
#include "servers.h"

static struct speedy_db *db, *other;

static bool ready(void *data)
{
    return speedy_db_ready(data) == 0;
}

static const char schema[] =
    "-- a comment; with semicolons;\n"
    "CREATE TABLE t (id INT PRIMARY KEY, n BIGINT NULL, u BIGINT UNSIGNED,\n"
    "    -- inside;\n"
    "    s VARCHAR(100), b BINARY(16), big MEDIUMBLOB,\n"
    "    d DATETIME(3), UNIQUE KEY (s),\n"
    "    CONSTRAINT n_positive CHECK (n >= 0)) ENGINE=InnoDB;\n"
    "CREATE TABLE child (id INT PRIMARY KEY AUTO_INCREMENT, t_id INT,\n"
    "    FOREIGN KEY (t_id) REFERENCES t (id)) ENGINE=InnoDB;\n"
    "INSERT INTO t (id, s) VALUES (1000, 'a;b');\n";

static int start(void **state)
{
    (void)state;
    speedy_conf.mysql_timeout = 2000;
    if (servers_mysql_start() != 0)
        return -1;
    db = speedy_db_new("tester");
    other = speedy_db_new("tester");
    return db == NULL || other == NULL ? -1 : 0;
}

static int stop(void **state)
{
    (void)state;
    speedy_db_free(db);
    speedy_db_free(other);
    servers_stop();
    return 0;
}

/* Alive, connected, no transaction, tables empty. */
static int fresh(void **state)
{
    (void)state;
    servers_mysql_freeze(false);
    if (servers_mysql_start() != 0)
        return -1;
    speedy_db_rollback(db);
    speedy_db_rollback(other);
    if (!servers_wait(ready, db, 5000) || !servers_wait(ready, other, 5000))
        return -1;
    if (speedy_db_exec(db, "DROP TABLE IF EXISTS child", DB_NONE, NULL) != 0 ||
        speedy_db_exec(db, "DROP TABLE IF EXISTS t", DB_NONE, NULL) != 0)
        return -1;
    return speedy_db_script(db, schema);
}

static int insert(struct speedy_db *on, int id, const char *s)
{
    return speedy_db_exec(on, "INSERT INTO t (id, n, s) VALUES (?, ?, ?)",
                          DB_ARGS(DB_INT(id), DB_INT(id), DB_TEXT(s)), NULL);
}

static int64_t rows(struct speedy_db *on)
{
    int64_t n = -1;

    assert_int_equal(speedy_db_number(on,
                                      "SELECT COUNT(*) FROM t WHERE "
                                      "id < 1000",
                                      DB_NONE, &n),
                     1);
    return n;
}

static int keep_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct speedy_buf *b = data;

    for (size_t i = 0; i < cols; i++) {
        if (col[i].kind == SPEEDY_DB_NULL)
            speedy_buf_printf(b, "NULL ");
        else if (col[i].kind == SPEEDY_DB_INT)
            speedy_buf_printf(b, "%lld ", (long long)col[i].number);
        else
            speedy_buf_printf(b, "'%s' ", (const char *)col[i].bytes);
    }
    speedy_buf_printf(b, "\n");
    return 0;
}

static void sessions_are_as_promised(void **state)
{
    struct speedy_buf b = {0};

    (void)state;
    assert_int_equal(speedy_db_query(db,
                                     "SELECT @@time_zone, @@tx_isolation, "
                                     "@@character_set_client, @@autocommit, "
                                     "@@sql_mode LIKE '%STRICT_ALL_TABLES%'",
                                     DB_NONE, keep_row, &b),
                     0);
    assert_string_equal(b.data, "'+00:00' 'READ-COMMITTED' 'utf8mb4' 1 1 \n");
    speedy_buf_free(&b);
}

static void values_come_back_unchanged(void **state)
{
    static const unsigned char digest[16] = {0xff, 0, 0xc3, 0x28, '\'', '\\'};
    struct speedy_buf b = {0};
    int64_t n;
    long affected;

    (void)state;
    assert_int_equal(
        speedy_db_exec(db,
                       "INSERT INTO t (id, n, u, s, b, d) "
                       "VALUES (?, ?, ?, ?, ?, FROM_UNIXTIME(? / 1000))",
                       DB_ARGS(DB_INT(1), DB_INT(INT64_MAX), DB_INT(INT64_MAX),
                               DB_TEXT("한 ' \" \\ 😀"), DB_BYTES(digest, 16),
                               DB_INT(1763874000123)),
                       &affected),
        0);
    assert_int_equal(affected, 1);
    assert_int_equal(
        speedy_db_query(db,
                        "SELECT id, n, u, s, d, big, "
                        "ROUND(UNIX_TIMESTAMP(d) * 1000), "
                        "UNIX_TIMESTAMP(d) * 1000, UNIX_TIMESTAMP(d), SUM(id) "
                        "FROM t WHERE b = ? GROUP BY id",
                        DB_ARGS(DB_BYTES(digest, 16)), keep_row, &b),
        0);
    assert_string_equal(b.data,
                        "1 9223372036854775807 9223372036854775807 "
                        "'한 ' \" \\ 😀' '2025-11-23 05:00:00.123' NULL "
                        "1763874000123 1763874000123 '1763874000.123' 1 \n");
    speedy_buf_free(&b);
    assert_int_equal(
        speedy_db_number(db, "SELECT b = ? FROM t WHERE s = ?",
                         DB_ARGS(DB_BYTES(digest, 16), DB_TEXT("한 ' \" \\ 😀")),
                         &n),
        1);
    assert_int_equal(n, 1);
    assert_int_equal(
        speedy_db_number(db, "SELECT n FROM t WHERE id = 1000", DB_NONE, &n),
        0); /* NULL */
    assert_int_equal(
        speedy_db_number(db, "SELECT n FROM t WHERE id = 2000", DB_NONE, &n),
        0); /* no row */
}

static int check_length(void *data, const struct speedy_db_value *col,
                        size_t cols)
{
    const unsigned char *bytes = col[0].bytes;

    assert_int_equal(cols, 1);
    assert_int_equal(col[0].len, *(size_t *)data);
    for (size_t i = 0; i < col[0].len; i++)
        assert_int_equal(bytes[i], (unsigned char)(i * 7));
    assert_int_equal(bytes[col[0].len], 0);
    return 0;
}

static void long_values_are_not_cut(void **state)
{
    size_t len = 3000000;
    unsigned char *big = malloc(len);

    (void)state;
    for (size_t i = 0; i < len; i++)
        big[i] = (unsigned char)(i * 7);
    for (int id = 1; id <= 2; id++, len = 10) {
        assert_int_equal(
            speedy_db_exec(db, "INSERT INTO t (id, big) VALUES (?, ?)",
                           DB_ARGS(DB_INT(id), DB_BYTES(big, len)), NULL),
            0);
        assert_int_equal(speedy_db_query(db, "SELECT big FROM t WHERE id = ?",
                                         DB_ARGS(DB_INT(id)), check_length,
                                         &len),
                         0);
    }
    free(big);
}

static void refusals_are_told_apart(void **state)
{
    (void)state;
    assert_int_equal(insert(db, 1, "x"), SPEEDY_DB_OK);
    assert_int_equal(insert(db, 1, "y"), SPEEDY_DB_DUPLICATE);
    assert_int_equal(insert(db, 2, "x"), SPEEDY_DB_DUPLICATE);
    assert_int_equal(insert(db, -3, "z"), SPEEDY_DB_REFUSED); /* CHECK */
    assert_int_equal(speedy_db_exec(db, "INSERT INTO child (t_id) VALUES (?)",
                                    DB_ARGS(DB_INT(77)), NULL),
                     SPEEDY_DB_REFUSED);
    assert_int_equal(speedy_db_exec(db, "INSERT INTO child (t_id) VALUES (?)",
                                    DB_ARGS(DB_INT(1)), NULL),
                     SPEEDY_DB_OK);
    assert_int_equal(speedy_db_insert_id(db), 2); /* 1 went to the refused */
    assert_int_equal(speedy_db_exec(db, "DELETE FROM t WHERE id = ?",
                                    DB_ARGS(DB_INT(1)), NULL),
                     SPEEDY_DB_REFUSED);
    capture_start();
    assert_int_equal(
        speedy_db_exec(db, "INSERT INTO t (id, s) VALUES (?, ?)",
                       DB_ARGS(DB_INT(5), DB_TEXT("0123456789012345678901234"
                                                  "5678901234567890123456789"
                                                  "0123456789012345678901234"
                                                  "567890123456789012345678"
                                                  "9012345")),
                       NULL),
        SPEEDY_DB_ERROR); /* strict: nothing is cut */
    assert_int_equal(speedy_db_exec(db, "SELEKT 1", DB_NONE, NULL),
                     SPEEDY_DB_ERROR);
    assert_int_equal(
        speedy_db_exec(db, "DELETE FROM t WHERE id = ?", DB_NONE, NULL),
        SPEEDY_DB_ERROR); /* an argument is missing */
    assert_non_null(strstr(capture_stop(), "errno=1064"));
    assert_int_equal(rows(db), 1);
}

static void affected_means_changed(void **state)
{
    long affected;

    (void)state;
    insert(db, 1, "x");
    assert_int_equal(speedy_db_exec(db, "UPDATE t SET n = ? WHERE id = 1",
                                    DB_ARGS(DB_INT(1)), &affected),
                     0);
    assert_int_equal(affected, 0);
    assert_int_equal(speedy_db_exec(db, "UPDATE t SET n = ? WHERE id = 1",
                                    DB_ARGS(DB_INT(2)), &affected),
                     0);
    assert_int_equal(affected, 1);
}

static void transactions_hold_together(void **state)
{
    (void)state;
    assert_int_equal(speedy_db_begin(db), 0);
    assert_int_equal(insert(db, 1, "x"), 0);
    assert_int_equal(rows(other), 0);
    speedy_db_rollback(db);
    assert_int_equal(rows(db), 0);
    assert_int_equal(speedy_db_begin(db), 0);
    assert_int_equal(insert(db, 1, "x"), 0);
    /* a refusal is the statement's, not the transaction's */
    assert_int_equal(insert(db, 1, "x"), SPEEDY_DB_DUPLICATE);
    assert_int_equal(insert(db, 2, "y"), 0);
    assert_int_equal(speedy_db_commit(db), 0);
    assert_int_equal(rows(other), 2);
}

static void a_lost_transaction_refuses_what_follows(void **state)
{
    (void)state;
    assert_int_equal(speedy_db_begin(db), 0);
    assert_int_equal(insert(db, 1, "x"), 0);
    capture_start();
    assert_int_equal(speedy_db_exec(db, "SELEKT 1", DB_NONE, NULL),
                     SPEEDY_DB_ERROR);
    capture_stop();
    assert_int_equal(insert(db, 2, "y"), SPEEDY_DB_RETRY);
    assert_int_equal(speedy_db_commit(db), SPEEDY_DB_RETRY);
    assert_int_equal(rows(other), 0);
    assert_int_equal(speedy_db_begin(db), 0);
    assert_int_equal(insert(db, 3, "z"), 0);
    assert_int_equal(speedy_db_commit(db), 0);
    assert_int_equal(rows(other), 1);
}

static void *lock_the_other_way(void *data)
{
    int *status = data;

    *status = speedy_db_exec(other, "UPDATE t SET n = 22 WHERE id = 1", DB_NONE,
                             NULL);
    if (*status == 0)
        *status = speedy_db_commit(other);
    return NULL;
}

static void a_deadlock_is_run_again(void **state)
{
    pthread_t thread;
    int mine, theirs;

    (void)state;
    insert(db, 1, "x");
    insert(db, 2, "y");
    speedy_db_begin(db);
    speedy_db_begin(other);
    speedy_db_exec(db, "UPDATE t SET n = 11 WHERE id = 1", DB_NONE, NULL);
    speedy_db_exec(other, "UPDATE t SET n = 21 WHERE id = 2", DB_NONE, NULL);
    capture_start();
    pthread_create(&thread, NULL, lock_the_other_way, &theirs);
    mine =
        speedy_db_exec(db, "UPDATE t SET n = 12 WHERE id = 2", DB_NONE, NULL);
    if (mine == 0)
        mine = speedy_db_commit(db);
    pthread_join(thread, NULL);
    capture_stop();
    assert_true((mine == SPEEDY_DB_RETRY) != (theirs == SPEEDY_DB_RETRY));
    assert_int_equal(mine + theirs, SPEEDY_DB_RETRY);
}

static void a_lock_is_waited_for_within_bounds(void **state)
{
    int64_t before = speedy_now_boot();

    (void)state;
    insert(db, 1, "x");
    speedy_db_begin(db);
    speedy_db_exec(db, "UPDATE t SET n = 11 WHERE id = 1", DB_NONE, NULL);
    speedy_db_begin(other);
    insert(other, 2, "y");
    capture_start();
    assert_int_equal(speedy_db_exec(other, "UPDATE t SET n = 12 WHERE id = 1",
                                    DB_NONE, NULL),
                     SPEEDY_DB_RETRY);
    capture_stop();
    assert_in_range(speedy_now_boot() - before, 500, 5000);
    /* 1205 ends only the statement by itself: we end the transaction */
    assert_int_equal(speedy_db_commit(other), SPEEDY_DB_RETRY);
    assert_int_equal(speedy_db_commit(db), 0);
    assert_int_equal(rows(db), 1);
}

static void many_rows_in_one_statement(void **state)
{
    struct speedy_db_value v[8];
    struct speedy_buf b = {0};
    long affected;

    (void)state;
    for (int n = 1; n <= 4; n *= 2) {
        for (int i = 0; i < n; i++) {
            v[2 * i] = DB_INT(n * 10 + i);
            v[2 * i + 1] = DB_INT(i);
        }
        assert_int_equal(
            speedy_db_exec_many(db, "INSERT INTO t (id, n) VALUES ", "(?,?)",
                                (size_t)n, "", v, 2 * (size_t)n, &affected),
            0);
        assert_int_equal(affected, n);
    }
    v[0] = DB_INT(10);
    v[1] = DB_INT(41);
    v[2] = DB_INT(99);
    assert_int_equal(speedy_db_query_many(db, "SELECT id FROM t WHERE id IN (",
                                          "?", 3, ") ORDER BY id DESC", v, 3,
                                          keep_row, &b),
                     0);
    /* the same head with another tail is another statement */
    assert_int_equal(speedy_db_query_many(db, "SELECT id FROM t WHERE id IN (",
                                          "?", 3, ") ORDER BY id", v, 3,
                                          keep_row, &b),
                     0);
    assert_string_equal(b.data, "41 \n10 \n10 \n41 \n");
    speedy_buf_free(&b);
}

static int nested(void *data, const struct speedy_db_value *col, size_t cols)
{
    int *left = data;

    (void)cols;
    if (col[0].number == 3)
        return 1; /* the rest is not wanted */
    --*left;
    return speedy_db_exec(db, "UPDATE t SET n = n + 100 WHERE id = ?",
                          DB_ARGS(DB_INT(col[0].number)), NULL);
}

static int drops(void *data, const struct speedy_db_value *col, size_t cols)
{
    (void)cols;
    ++*(int *)data;
    speedy_db_drop(db);
    assert_non_null(col[0].bytes); /* still there */
    assert_int_equal(((const char *)col[0].bytes)[0], 'x');
    return 0;
}

static void rows_may_run_statements(void **state)
{
    int left = 2, seen = 0;
    int64_t n;

    (void)state;
    for (int id = 1; id <= 4; id++) {
        char s[2] = {(char)('w' + id), 0};

        insert(db, id, s);
    }
    assert_int_equal(speedy_db_query(db,
                                     "SELECT id FROM t WHERE id < 1000 "
                                     "ORDER BY id",
                                     DB_NONE, nested, &left),
                     0);
    assert_int_equal(left, 0);
    assert_int_equal(speedy_db_number(db, "SELECT SUM(n) FROM t", DB_NONE, &n),
                     1);
    assert_int_equal(n, 1 + 2 + 3 + 4 + 200);
    assert_int_equal(speedy_db_query(db,
                                     "SELECT s FROM t WHERE id < 1000 "
                                     "ORDER BY id",
                                     DB_NONE, drops, &seen),
                     SPEEDY_DB_RETRY);
    assert_int_equal(seen, 1);
    assert_int_equal(rows(db), 4);
}

static void a_killed_server_is_one_outage(void **state)
{
    const char *out;

    (void)state;
    insert(db, 1, "x");
    speedy_db_begin(db);
    insert(db, 2, "y");
    servers_mysql_kill();
    capture_start();
    assert_int_equal(insert(db, 3, "z"), SPEEDY_DB_RETRY);
    assert_int_equal(insert(db, 3, "z"), SPEEDY_DB_RETRY);
    assert_int_equal(speedy_db_ready(db), -1);
    assert_int_equal(servers_mysql_start(), 0);
    assert_true(servers_wait(ready, db, 5000));
    /* the transaction is lost, also on the new connection */
    assert_int_equal(insert(db, 3, "z"), SPEEDY_DB_RETRY);
    assert_int_equal(speedy_db_commit(db), SPEEDY_DB_RETRY);
    assert_int_equal(insert(db, 4, "w"), 0);
    out = capture_stop();
    out = strstr(out, "MySQL is away account=tester errno=");
    assert_non_null(out);
    assert_null(strstr(out + 1, "MySQL is away"));
    assert_non_null(strstr(out, "MySQL is back"));
    assert_int_equal(rows(db), 2);
}

static void a_frozen_server_costs_one_timeout(void **state)
{
    int64_t before = speedy_now_boot();

    (void)state;
    assert_int_equal(rows(db), 0);
    servers_mysql_freeze(true);
    capture_start();
    assert_int_equal(insert(db, 1, "x"), SPEEDY_DB_RETRY);
    servers_mysql_freeze(false);
    assert_in_range(speedy_now_boot() - before, 1500, 6000);
    assert_true(servers_wait(ready, db, 5000));
    capture_stop();
}

static void a_killed_connection_is_made_again(void **state)
{
    int64_t id;
    char kill[64];

    (void)state;
    assert_int_equal(
        speedy_db_number(db, "SELECT CONNECTION_ID()", DB_NONE, &id), 1);
    snprintf(kill, sizeof(kill), "KILL %lld", (long long)id);
    assert_int_equal(servers_mysql_root(kill), 0);
    capture_start();
    assert_int_equal(insert(db, 1, "x"), SPEEDY_DB_RETRY);
    assert_true(servers_wait(ready, db, 5000));
    assert_int_equal(insert(db, 1, "x"), SPEEDY_DB_OK);
    capture_stop();
}

static void a_read_only_server_is_no_primary(void **state)
{
    (void)state;
    assert_int_equal(servers_mysql_root("SET GLOBAL read_only = 1"), 0);
    capture_start();
    assert_int_equal(insert(db, 1, "x"), SPEEDY_DB_RETRY);
    assert_int_equal(servers_mysql_root("SET GLOBAL read_only = 0"), 0);
    assert_true(servers_wait(ready, db, 5000));
    capture_stop();
    assert_int_equal(insert(db, 1, "x"), SPEEDY_DB_OK);
}

static void scripts_stop_at_the_first_error(void **state)
{
    (void)state;
    capture_start();
    assert_int_equal(speedy_db_script(db, "INSERT INTO t (id) VALUES (1);\n"
                                          "INSERT INTO t (id) VALUES (1);\n"
                                          "INSERT INTO t (id) VALUES (2);\n"),
                     -1);
    assert_non_null(strstr(capture_stop(), "statement=2 errno=1062"));
    assert_int_equal(rows(db), 1);
    assert_int_equal(speedy_db_script(db, "-- nothing;\n\n;\n"), 0);
    assert_int_equal(speedy_db_script(db, "SELECT 1; SELECT 2;"), -1);
}

static void *use_from_a_thread(void *data)
{
    struct speedy_db *mine = speedy_db_new("tester");

    for (int i = 0; i < 50; i++) {
        if (speedy_db_exec(mine, "INSERT INTO t (id) VALUES (?)",
                           DB_ARGS(DB_INT(*(int *)data + i)), NULL) != 0)
            break;
    }
    speedy_db_free(mine);
    return NULL;
}

static void threads_have_connections_of_their_own(void **state)
{
    int from[4] = {100, 200, 300, 400};
    pthread_t thread[4];

    (void)state;
    for (int i = 0; i < 4; i++)
        pthread_create(&thread[i], NULL, use_from_a_thread, &from[i]);
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    assert_int_equal(rows(db), 200);
}

static void a_missing_password_is_told(void **state)
{
    (void)state;
    capture_start();
    assert_null(speedy_db_new("nobody"));
    assert_non_null(strstr(capture_stop(), "/mysql-nobody"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(sessions_are_as_promised, fresh),
        cmocka_unit_test_setup(values_come_back_unchanged, fresh),
        cmocka_unit_test_setup(long_values_are_not_cut, fresh),
        cmocka_unit_test_setup(refusals_are_told_apart, fresh),
        cmocka_unit_test_setup(affected_means_changed, fresh),
        cmocka_unit_test_setup(transactions_hold_together, fresh),
        cmocka_unit_test_setup(a_lost_transaction_refuses_what_follows, fresh),
        cmocka_unit_test_setup(a_deadlock_is_run_again, fresh),
        cmocka_unit_test_setup(a_lock_is_waited_for_within_bounds, fresh),
        cmocka_unit_test_setup(many_rows_in_one_statement, fresh),
        cmocka_unit_test_setup(rows_may_run_statements, fresh),
        cmocka_unit_test_setup(a_killed_server_is_one_outage, fresh),
        cmocka_unit_test_setup(a_frozen_server_costs_one_timeout, fresh),
        cmocka_unit_test_setup(a_killed_connection_is_made_again, fresh),
        cmocka_unit_test_setup(a_read_only_server_is_no_primary, fresh),
        cmocka_unit_test_setup(scripts_stop_at_the_first_error, fresh),
        cmocka_unit_test_setup(threads_have_connections_of_their_own, fresh),
        cmocka_unit_test_setup(a_missing_password_is_told, fresh),
    };

    speedy_loop_init();
    speedy_log_init("db_test", 0);
    return cmocka_run_group_tests_name("db", tests, start, stop);
}
