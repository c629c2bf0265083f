/*
 * `staff` against a private MariaDB, as account `speedyctl` with its grants:
 * what is printed once is what the row was made of, the audit log has the act
 * and no secret, and the last OWNER stays.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../../daemons/common/json.h"
#include "../../../daemons/common/log.h"
#include "../../../daemons/common/password.h"
#include "../../../daemons/shop/staff.h"
#include "../../../daemons/speedyctl/ctl.h"
#include "../common/capture.h"
#include "../common/servers.h"
#include "../common/shop_db.h"
#include "run.h"

static struct speedy_db *db;

static int group_setup(void **state)
{
    (void)state;
    speedy_log_init("test", 0);
    speedy_log_level_set("error");
    run_settings();
    servers_keys();
    if (shop_db_start() != 0)
        return -1;
    db = speedy_db_new("reader");
    return db != NULL ? 0 : -1;
}

static int group_teardown(void **state)
{
    (void)state;
    speedy_db_free(db);
    servers_stop();
    return 0;
}

/* A text member of what was printed; valid until the next call of run(). */
static void printed(const char *name, char out[256])
{
    enum speedy_json_error error;
    struct speedy_json *j =
        speedy_json_parse(run_out, strlen(run_out), 65536, 8, &error);
    const char *text = speedy_json_text(speedy_json_get(j, name));

    snprintf(out, 256, "%s", text != NULL ? text : "");
    speedy_json_free(j);
}

struct row {
    char id[SPEEDY_STAFF_ID], hash[SPEEDY_PASSWORD_HASH];
    unsigned char totp[SPEEDY_TOTP_SECRET];
    int found;
};

static int on_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct row *r = data;

    (void)cols;
    snprintf(r->id, sizeof(r->id), "%s", (const char *)col[0].bytes);
    snprintf(r->hash, sizeof(r->hash), "%s", (const char *)col[1].bytes);
    assert_int_equal(
        speedy_staff_totp_open(r->id, &col[2], &col[3], col[4].bytes, r->totp),
        0);
    r->found = 1;
    return 0;
}

static void read_row(const char *login, struct row *r)
{
    memset(r, 0, sizeof(*r));
    assert_int_equal(speedy_seal_init(), 0);
    assert_int_equal(
        speedy_db_query(db,
                        "SELECT id, password_hash, sealed_totp, data_key,"
                        " master_key FROM staff WHERE login = ?",
                        DB_ARGS(DB_TEXT(login)), on_row, r),
        0);
    assert_int_equal(r->found, 1);
}

/* What was printed opens this row. */
static void printed_opens(const char *login, const char *password)
{
    char secret[256], id[256], uri[256], expected[SPEEDY_TOTP_BASE32];
    struct row r;

    printed("id", id);
    printed("totp_secret", secret);
    printed("totp_uri", uri);
    read_row(login, &r);
    assert_string_equal(r.id, id);
    speedy_base32(r.totp, sizeof(r.totp), expected);
    assert_string_equal(secret, expected);
    assert_non_null(strstr(uri, secret));
    assert_int_equal(speedy_password_init(), 0);
    assert_int_equal(speedy_password_verify(r.hash, password, strlen(password)),
                     SPEEDY_PASSWORD_RIGHT);
}

static void the_first_owner(void **state)
{
    char password[256];

    (void)state;
    assert_int_equal(run("staff", "list", NULL), CTL_DONE);
    assert_non_null(strstr(run_out, "staff add"));
    assert_int_equal(run("staff", "add", "--login", "boss", "--role", "OWNER",
                         "--actor", "root", "--json", NULL),
                     CTL_DONE);
    printed("password", password);
    assert_int_equal(strlen(password), SPEEDY_STAFF_PASSWORD - 1);
    printed_opens("boss", password);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM audit_log WHERE act ="
                                    " 'staff.add' AND object = 'boss' AND actor"
                                    " = 'root'"),
                     1);
    /* nowhere but on the terminal */
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM audit_log WHERE "
                                    "detail LIKE '%%%s%%'",
                                    password),
                     0);
    assert_int_equal(run("staff", "list", "--json", NULL), CTL_DONE);
    assert_null(strstr(run_out, password));
    assert_null(strstr(run_out, "totp"));
    assert_non_null(strstr(run_out, "\"login\":\"boss\",\"role\":\"OWNER\""));
}

static void a_password_of_a_file(void **state)
{
    const char *file;
    char path[512], password[256];

    (void)state;
    file = servers_file("pass", "a long enough one\n", 0400);
    snprintf(path, sizeof(path), "%s", file);
    assert_int_equal(run("staff", "add", "--login", "kim", "--role", "CS",
                         "--password-file", path, "--json", NULL),
                     CTL_DONE);
    printed("password", password);
    assert_string_equal(password, "");
    assert_non_null(strstr(run_out, "\"password\":null"));
    printed_opens("kim", "a long enough one");
    capture_start();
    servers_file("short", "too short", 0400);
    snprintf(path, sizeof(path), "%s/short", servers_dir());
    assert_int_equal(run("staff", "add", "--login", "lee", "--role", "CS",
                         "--password-file", path, NULL),
                     CTL_REFUSED);
    servers_file("open", "a long enough one", 0444);
    snprintf(path, sizeof(path), "%s/open", servers_dir());
    assert_int_equal(run("staff", "add", "--login", "lee", "--role", "CS",
                         "--password-file", path, NULL),
                     CTL_REFUSED);
    assert_non_null(strstr(capture_stop(), "others may read it"));
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM staff"), 2);
}

static void wrong_usage(void **state)
{
    static const char *const logins[] = {"",      "a",   "Kim",        "1kim",
                                         "kim x", "k'm", "kim\xc3\xa9"};

    (void)state;
    capture_start();
    for (size_t i = 0; i < sizeof(logins) / sizeof(logins[0]); i++)
        assert_int_equal(
            run("staff", "add", "--login", logins[i], "--role", "CS", NULL),
            CTL_USAGE);
    assert_int_equal(run("staff", "add", "--login", "lee", NULL), CTL_USAGE);
    assert_int_equal(
        run("staff", "add", "--login", "lee", "--role", "USER", NULL),
        CTL_USAGE);
    assert_int_equal(run("staff", "end", NULL), CTL_USAGE);
    assert_int_equal(run("staff", "end", "nobody", NULL), CTL_REFUSED);
    assert_int_equal(run("staff", "reset", "nobody", NULL), CTL_REFUSED);
    assert_int_equal(
        run("staff", "add", "--login", "kim", "--role", "CS", NULL),
        CTL_REFUSED);
    assert_non_null(strstr(capture_stop(), "login kim is taken"));
}

static int sessions_of(const char *login)
{
    return (int)shop_db_number("SELECT COUNT(*) FROM sessions s JOIN staff t ON"
                               " t.id = s.owner_id WHERE t.login = '%s' AND "
                               "s.ended_at IS NULL",
                               login);
}

static void session(const char *id, const char *login)
{
    assert_int_equal(
        shop_db_do("INSERT INTO sessions (id, kind, owner_id, role, device,"
                   " expires_at) SELECT '%s', 'STAFF', id, role, 'desk',"
                   " UTC_TIMESTAMP() + INTERVAL 1 DAY FROM staff WHERE login ="
                   " '%s'",
                   id, login),
        0);
}

static void a_lost_authenticator(void **state)
{
    char before[SPEEDY_PASSWORD_HASH], password[256];
    struct row r;

    (void)state;
    read_row("kim", &r);
    memcpy(before, r.hash, sizeof(before));
    session("s1", "kim");
    session("s2", "boss");
    assert_int_equal(
        shop_db_do("UPDATE staff SET totp_step = 7 WHERE login = 'kim'"), 0);
    assert_int_equal(run("staff", "reset", "kim", "--json", NULL), CTL_DONE);
    printed("password", password);
    printed_opens("kim", password);
    read_row("kim", &r);
    assert_string_not_equal(r.hash, before);
    assert_int_equal(sessions_of("kim"), 0);
    assert_int_equal(sessions_of("boss"), 1);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM staff WHERE login ="
                                    " 'kim' AND totp_step = 7 AND version = 2"),
                     1);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM sessions WHERE id ="
                                    " 's1' AND end_reason = 'staff_reset'"),
                     1);
}

static void the_last_owner_stays(void **state)
{
    (void)state;
    capture_start();
    assert_int_equal(run("staff", "end", "boss", NULL), CTL_REFUSED);
    assert_non_null(strstr(capture_stop(), "the last OWNER"));
    assert_int_equal(sessions_of("boss"), 1);
    assert_int_equal(
        run("staff", "add", "--login", "second", "--role", "OWNER", NULL),
        CTL_DONE);
    assert_non_null(strstr(run_out, "otpauth://totp/sleek%20speedy:second?"));
    assert_int_equal(run("staff", "end", "boss", NULL), CTL_DONE);
    assert_int_equal(sessions_of("boss"), 0);
    capture_start();
    assert_int_equal(run("staff", "end", "second", NULL), CTL_REFUSED);
    assert_int_equal(run("staff", "end", "boss", NULL), CTL_REFUSED);
    assert_int_equal(run("staff", "reset", "boss", NULL), CTL_REFUSED);
    assert_non_null(strstr(capture_stop(), "no active login boss"));
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM audit_log WHERE act ="
                                    " 'staff.end'"),
                     1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_owner),
        cmocka_unit_test(a_password_of_a_file),
        cmocka_unit_test(wrong_usage),
        cmocka_unit_test(a_lost_authenticator),
        cmocka_unit_test(the_last_owner_stays),
    };

    return cmocka_run_group_tests_name("speedyctl staff", tests, group_setup,
                                       group_teardown);
}
