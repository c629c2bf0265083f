/*
 * `keys rotate` of 1,000 users, 129 verifications and 3 operators on a
 * private MariaDB, while another process reads every row again and again and
 * ends accounts: each row can be read at each moment, by whoever has both
 * keys; afterwards by whoever has the new one alone. A rotation that was
 * killed goes on where it was.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "../../../daemons/common/crypto.h"
#include "../../../daemons/common/http_server.h"
#include "../../../daemons/common/log.h"
#include "../../../daemons/common/loop.h"
#include "../../../daemons/common/seal.h"
#include "../../../daemons/shop/staff.h"
#include "../../../daemons/speedyctl/keys.h"
#include "../common/capture.h"
#include "../common/servers.h"
#include "../common/shop_db.h"
#include "run.h"

#define USERS 1000
#define VERIFICATIONS 129 /* two batches and one row */
#define STAFF 3
#define SHRED_FROM 900 /* these accounts end while keys rotate */

static char m1[] = "m1", m2[] = "m2";

static void user_add(struct speedy_db *db, int n)
{
    char id[24], email[64], sealed[128];
    unsigned char wrapped[SPEEDY_WRAPPED_KEY], index[SPEEDY_BLIND_INDEX];
    struct speedy_seal_place at = {"users", "sealed_email", id, 0};
    struct speedy_data_key k;
    size_t len;

    snprintf(id, sizeof(id), "u%021d", n);
    snprintf(email, sizeof(email), "shopper%d@example.com", n);
    at.row_len = strlen(id);
    speedy_data_key_new(&k, "users", id, strlen(id), wrapped);
    len = speedy_seal(&k, &at, email, strlen(email), sealed);
    speedy_blind_index("email", email, index);
    assert_int_equal(
        speedy_db_exec(db,
                       "INSERT INTO users (id, email_index, sealed_email,"
                       " data_key, master_key, password_hash) VALUES"
                       " (?, ?, ?, ?, ?, 'x')",
                       DB_ARGS(DB_TEXT(id), DB_BYTES(index, sizeof(index)),
                               DB_BYTES(sealed, len),
                               DB_BYTES(wrapped, sizeof(wrapped)),
                               DB_TEXT(speedy_seal_master())),
                       NULL),
        0);
}

static void verification_add(struct speedy_db *db, int n)
{
    unsigned char id[16] = {0}, wrapped[SPEEDY_WRAPPED_KEY], sealed[128];
    char email[64];
    struct speedy_seal_place at = {"verifications", "sealed_email", id, 16};
    struct speedy_data_key k;
    size_t len;

    id[0] = (unsigned char)n; /* and bytes of every value, NULs too */
    id[15] = (unsigned char)(n >> 8);
    snprintf(email, sizeof(email), "shopper%d@example.com", n);
    speedy_data_key_new(&k, "verifications", id, 16, wrapped);
    len = speedy_seal(&k, &at, email, strlen(email), sealed);
    assert_int_equal(
        speedy_db_exec(db,
                       "INSERT INTO verifications (id, purpose, email_index,"
                       " sealed_email, data_key, master_key) VALUES"
                       " (?, 'signup', ?, ?, ?, ?)",
                       DB_ARGS(DB_BYTES(id, 16), DB_BYTES(id, 16),
                               DB_BYTES(sealed, len),
                               DB_BYTES(wrapped, sizeof(wrapped)),
                               DB_TEXT(speedy_seal_master())),
                       NULL),
        0);
}

static int group_setup(void **state)
{
    static char *names[] = {"one", "two", "three"};
    struct speedy_db *db;

    (void)state;
    speedy_log_init("test", 0);
    speedy_log_level_set("error");
    run_settings();
    servers_keys();
    if (shop_db_start() != 0 || speedy_seal_init() != 0)
        return -1;
    db = speedy_db_new("userd");
    if (db == NULL || speedy_db_begin(db) != 0)
        return -1;
    for (int i = 0; i < USERS; i++)
        user_add(db, i);
    for (int i = 0; i < VERIFICATIONS; i++)
        verification_add(db, i);
    for (int i = 0; i < STAFF; i++) {
        struct speedy_staff_new s = {
            .login = names[i], .role = "CS", .password_hash = "x"};

        assert_int_equal(speedy_staff_insert(db, &s), 0);
    }
    assert_int_equal(speedy_db_commit(db), 0);
    speedy_db_free(db);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    speedy_seal_free();
    servers_stop();
    return 0;
}

/* --- a reader of everything --- */

struct look {
    const char *table, *column;
    long rows, unreadable;
};

static int look_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct look *l = data;
    struct speedy_seal_place at = {l->table, l->column, col[0].bytes,
                                   col[0].len};
    struct speedy_data_key k;
    char plain[400];

    (void)cols;
    l->rows++;
    if (speedy_data_key_open(&k, l->table, col[0].bytes, col[0].len,
                             col[3].bytes, col[2].bytes, col[2].len) != 0 ||
        speedy_unseal(&k, &at, col[1].bytes, col[1].len, plain) <= 0)
        l->unreadable++;
    return 0;
}

/* Reads every row of every table once. Rows, or -1 when one was unreadable. */
static long look(struct speedy_db *db)
{
    struct look u = {"users", "sealed_email", 0, 0},
                v = {"verifications", "sealed_email", 0, 0},
                s = {"staff", "sealed_totp", 0, 0};
    int n;

    n = speedy_db_query(db,
                        "SELECT id, sealed_email, data_key, master_key FROM"
                        " users WHERE data_key IS NOT NULL",
                        DB_NONE, look_row, &u);
    n |= speedy_db_query(db,
                         "SELECT id, sealed_email, data_key, master_key FROM"
                         " verifications",
                         DB_NONE, look_row, &v);
    n |= speedy_db_query(db,
                         "SELECT id, sealed_totp, data_key, master_key FROM"
                         " staff",
                         DB_NONE, look_row, &s);
    if (n != 0 || u.unreadable + v.unreadable + s.unreadable > 0)
        return -1;
    return u.rows + v.rows + s.rows;
}

/* As userd does when an account ends. */
static int shred(struct speedy_db *db, int n)
{
    char id[24];

    snprintf(id, sizeof(id), "u%021d", n);
    return speedy_db_exec(db,
                          "UPDATE users SET state = 'ENDED', email_index ="
                          " NULL, sealed_email = NULL, data_key = NULL,"
                          " master_key = NULL, password_hash = NULL WHERE"
                          " id = ?",
                          DB_ARGS(DB_TEXT(id)), NULL);
}

/*
 * A process with both keys: looks until the pipe closes, ending an account
 * after each look; then ends the rest. Exit 0 when every look was good;
 * writes a byte after the first one and, at the end, how many they were.
 */
static pid_t reader_start(int *started, int *stop)
{
    int told[2], end[2];
    pid_t pid;

    assert_int_equal(pipe(told), 0);
    assert_int_equal(pipe(end), 0);
    fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct speedy_db *db = speedy_db_new("userd");
        int n = SHRED_FROM, bad = 0;
        bool go_on = true;
        long looks = 0;

        close(end[1]);
        if (speedy_seal_init() != 0)
            _exit(3);
        for (int i = 0; go_on; i++) {
            struct timeval now = {0, 0};
            fd_set set;

            bad |= look(db) < 0;
            looks++;
            if (n < USERS)
                bad |= shred(db, n++) != 0 ? 2 : 0;
            if (i == 0 && write(told[1], "x", 1) != 1)
                _exit(3);
            FD_ZERO(&set);
            FD_SET(end[0], &set);
            go_on = select(end[0] + 1, &set, NULL, NULL, &now) == 0;
        }
        while (n < USERS)
            bad |= shred(db, n++) != 0 ? 2 : 0;
        if (write(told[1], &looks, sizeof(looks)) != sizeof(looks))
            _exit(3);
        _exit(bad);
    }
    close(told[1]);
    close(end[0]);
    *started = told[0];
    *stop = end[1];
    return pid;
}

static long rows_of(const char *key)
{
    return shop_db_number("SELECT (SELECT COUNT(*) FROM users WHERE master_key"
                          " = '%s') + (SELECT COUNT(*) FROM verifications WHERE"
                          " master_key = '%s') + (SELECT COUNT(*) FROM staff"
                          " WHERE master_key = '%s')",
                          key, key, key);
}

static bool some_are_new(void *data)
{
    (void)data;
    return rows_of("m2") > 0;
}

/* --- a userd that may not know a key --- */

static bool userd_knows;

static void master_key_get(struct speedy_request *r, void *data)
{
    (void)data;
    assert_string_equal(r->id, "m2");
    if (userd_knows)
        r->status = 204;
    else
        speedy_problem(r, 404, "not_found", "no");
}

static const struct speedy_route userd_of_old[] = {
    {"GET", "/internal/master-keys/*", master_key_get, NULL, true, NULL},
    {NULL, NULL, NULL, NULL, false, NULL},
};

/* --- the tests, in their order --- */

static void refused_without_the_key(void **state)
{
    const char *said;

    (void)state;
    capture_start();
    assert_int_equal(run("keys", "rotate", "--to", "m2", NULL), CTL_REFUSED);
    said = capture_stop();
    assert_non_null(strstr(said, "openssl rand -hex 32"));
    assert_non_null(strstr(said, "/master-m2"));
    servers_file("master-m2",
                 "00112233445566778899aabbccddeeff"
                 "00112233445566778899aabbccddeeff",
                 0400);
    capture_start();
    assert_int_equal(run("keys", "rotate", "--to", "m2", NULL), CTL_REFUSED);
    assert_non_null(strstr(capture_stop(), "[keys] master"));
    capture_start();
    assert_int_equal(run("keys", "rotate", "--to", "../m2", NULL), CTL_USAGE);
    capture_stop();
    assert_int_equal(rows_of("m2"), 0);
    /* to the key that it has: nothing to do */
    assert_int_equal(run("keys", "rotate", "--json", NULL), CTL_DONE);
    assert_string_equal(run_out, "{\"to\":\"m1\",\"users\":0,\"verifications\":"
                                 "0,\"staff\":0,\"recipients\":0,\"failed\":"
                                 "0,\"left\":0}\n");
}

static void no_row_that_a_daemon_cannot_read(void **state)
{
    const struct speedy_http http = {
        .role = "userd", .instance = 2, .routes = userd_of_old, .threads = 1};

    (void)state;
    speedy_conf.keys_master = m2;
    speedy_conf.http_directory = (char *)servers_dir();
    assert_int_equal(speedy_http_start(&http), 0);
    capture_start();
    assert_int_equal(run("keys", "rotate", NULL), CTL_REFUSED);
    assert_non_null(strstr(capture_stop(), "userd_2.sock has not loaded"));
    assert_int_equal(rows_of("m2"), 0);
    userd_knows = true;
    assert_int_equal(keys_daemons_know(&(struct ctl){0}, "m2"), 0);
    speedy_http_stop();
    /* a socket that was left behind is nobody's */
    servers_file("userd_3.sock", "", 0600);
    assert_int_equal(keys_daemons_know(&(struct ctl){0}, "m2"), 0);
    speedy_conf.keys_master = m1;
}

static void a_killed_rotation_goes_on(void **state)
{
    int started, stop, status;
    pid_t reader, child;
    int64_t begun;
    long looks = 0;
    char byte;

    (void)state;
    speedy_conf.keys_master = m2;
    reader = reader_start(&started, &stop);
    assert_int_equal(read(started, &byte, 1), 1);
    fflush(NULL);
    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(run("keys", "rotate", NULL));
    assert_true(servers_wait(some_are_new, NULL, 20000));
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    print_message("killed at %ld of %d rows\n", rows_of("m2"),
                  USERS + VERIFICATIONS + STAFF);
    assert_int_equal(run("keys", "status", "--json", NULL), CTL_DONE);
    assert_non_null(strstr(run_out, "\"id\":\"m2\",\"current\":true"));
    begun = speedy_now_boot();
    assert_int_equal(run("keys", "rotate", "--json", NULL), CTL_DONE);
    assert_non_null(strstr(run_out, "\"failed\":0,\"left\":0"));
    begun = speedy_now_boot() - begun;
    close(stop);
    assert_int_equal(waitpid(reader, &status, 0), reader);
    assert_int_equal(read(started, &looks, sizeof(looks)), sizeof(looks));
    close(started);
    print_message("the rest in %ld ms; %ld looks at every row\n", (long)begun,
                  looks);
    assert_true(looks > 1);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(rows_of("m1"), 0);
    /* an account that ended meanwhile stays shredded */
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM users WHERE data_key"
                                    " IS NULL AND master_key IS NULL"),
                     USERS - SHRED_FROM);
    assert_int_equal(rows_of("m2"), SHRED_FROM + VERIFICATIONS + STAFF);
}

static void the_old_key_may_go(void **state)
{
    struct speedy_db *db = speedy_db_new("userd");
    char path[512];

    (void)state;
    snprintf(path, sizeof(path), "%s/master-m1", servers_dir());
    assert_int_equal(unlink(path), 0);
    assert_int_equal(speedy_seal_init(), 0);
    assert_int_equal(look(db), SHRED_FROM + VERIFICATIONS + STAFF);
    speedy_db_free(db);
    assert_int_equal(run("keys", "status", NULL), CTL_DONE);
    assert_non_null(strstr(run_out, "900 users  129 verifications  3 staff"));
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM audit_log WHERE act ="
                                    " 'keys.rotated' AND object = 'm2'"),
                     1);
}

static void a_row_that_cannot_be_opened(void **state)
{
    (void)state;
    assert_int_equal(shop_db_do("UPDATE users SET master_key = 'm0' WHERE id ="
                                " 'u%021d'",
                                5),
                     0);
    assert_int_equal(shop_db_do("UPDATE staff SET master_key = 'm1' WHERE login"
                                " = 'two'"),
                     0);
    capture_start();
    assert_int_equal(run("keys", "rotate", "--json", NULL), CTL_REFUSED);
    assert_non_null(strstr(capture_stop(), "2 rows could not be opened"));
    assert_non_null(strstr(run_out, "\"failed\":2,\"left\":2"));
    assert_int_equal(run("keys", "status", NULL), CTL_REFUSED);
    assert_non_null(strstr(run_out, "ITS FILE IS NOT HERE"));
    speedy_conf.keys_master = m1;
    capture_start();
    assert_int_equal(run("keys", "rotate", NULL), CTL_REFUSED);
    capture_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_without_the_key),
        cmocka_unit_test(no_row_that_a_daemon_cannot_read),
        cmocka_unit_test(a_killed_rotation_goes_on),
        cmocka_unit_test(the_old_key_may_go),
        cmocka_unit_test(a_row_that_cannot_be_opened),
    };

    return cmocka_run_group_tests_name("speedyctl keys", tests, group_setup,
                                       group_teardown);
}
