/*
 * The desk: accounts found and masked, seen in plain words only after the
 * audit log has it, blocked; the audit log and mails, page by page.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../common/capture.h"
#include "../common/servers.h"
#include "../common/shop_db.h"
#include "desk_rig.h"

#define HONG "uhong"
#define EMAIL "hong@example.com"
#define NAME "홍길동"
#define PHONE "+821012345678"

static struct desk_person viewer, cs, operator, owner;

static int clean(void **state)
{
    if (shop_db_do("DELETE FROM consents") != 0 ||
        shop_db_do("DELETE FROM audit_log") != 0 || rig_clean(state) != 0)
        return -1;
    viewer = desk_add("viewer", "VIEWER");
    cs = desk_add("cs", "CS");
    operator= desk_add("operator", "OPERATOR");
    owner = desk_add("owner", "OWNER");
    desk_user(HONG, EMAIL, NAME, PHONE);
    return 0;
}

static long views(void)
{
    return shop_db_number("SELECT COUNT(*) FROM audit_log WHERE act ="
                          " 'user.view' AND object = '" HONG "'");
}

static void lists_show_masks(void **state)
{
    static const char *const paths[] = {
        "/admin/users?email=hong@example.com",
        "/admin/users?email=%20HONG%40Example.COM", "/admin/users?id=" HONG};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct rig_call c = desk_ask(&viewer, "GET", NULL, "%s", paths[i]);

        assert_int_equal(c.status, 200);
        assert_non_null(strstr(
            c.out.data, "{\"data\":[{\"id\":\"" HONG "\",\"state\":\"ACTIVE\","
                        "\"email\":\"h***@example.com\",\"name\":\"홍*동\","
                        "\"phone\":\"010-****-5678\",\"language\":\"ko\","));
        assert_null(strstr(c.out.data, NAME));
        assert_null(strstr(c.out.data, EMAIL));
        assert_null(strstr(c.out.data, "1234"));
        assert_non_null(strstr(c.headers.data, "Cache-Control: no-store"));
        rig_free(&c);
    }
    assert_int_equal(views(), 0);
}

static void found_or_not(void **state)
{
    struct rig_call c;

    (void)state;
    c = desk_ask(&viewer, "GET", NULL, "/admin/users?email=no@example.com");
    assert_string_equal(c.out.data, "{\"data\":[],\"has_more\":false,"
                                    "\"next_cursor\":null}\n");
    rig_free(&c);
    desk_expect(&viewer, "GET", NULL, "/admin/users", 400, "unknown_parameter");
    desk_expect(&viewer, "GET", NULL, "/admin/users?id=a&email=b", 400,
                "unknown_parameter");
    desk_expect(&viewer, "GET", NULL, "/admin/users?id=a&name=b", 400,
                "unknown_parameter");
    desk_expect(&viewer, "GET", NULL, "/admin/users?email=a@b@c", 400,
                "email_invalid");
    /* an account that ended has nothing left to mask */
    shop_db_do("UPDATE users SET state = 'ENDED', email_index = NULL,"
               " sealed_email = NULL, sealed_name = NULL, sealed_phone = NULL,"
               " data_key = NULL, master_key = NULL, password_hash = NULL");
    c = desk_ask(&viewer, "GET", NULL, "/admin/users?id=" HONG);
    assert_non_null(strstr(c.out.data, "\"state\":\"ENDED\",\"email\":null,"
                                       "\"name\":null,\"phone\":null"));
    rig_free(&c);
}

static void a_view_is_logged_before_it_is_answered(void **state)
{
    struct rig_call c;

    (void)state;
    shop_db_do("INSERT INTO consents (user_id, kind, version, agreed) VALUES"
               " ('" HONG "', 'terms', '1', 1), ('" HONG "', 'marketing', '1',"
               " 0)");
    desk_expect(&viewer, "GET", NULL, "/admin/users/" HONG "?reason=x", 403,
                "role_required");
    desk_expect(&cs, "GET", NULL, "/admin/users/" HONG, 400, "reason_required");
    desk_expect(&cs, "GET", NULL, "/admin/users/" HONG "?reason=%20%20", 400,
                "reason_required");
    desk_expect(&cs, "GET", NULL, "/admin/users/" HONG "?reason=a%0Ab", 400,
                "reason_required");
    desk_expect(&cs, "GET", NULL, "/admin/users/" HONG "?why=x", 400,
                "unknown_parameter");
    desk_expect(&cs, "GET", NULL, "/admin/users/unobody?reason=x", 404,
                "user_not_found");
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM audit_log WHERE act ="
                                    " 'user.view'"),
                     0);
    c = desk_ask(&cs, "GET", NULL,
                 "/admin/users/" HONG "?reason=%%EC%%A0%%84%%ED%%99%%94");
    assert_int_equal(c.status, 200);
    assert_non_null(strstr(c.out.data,
                           "\"email\":\"" EMAIL "\",\"name\":\"" NAME
                           "\",\"phone\":\"" PHONE "\""));
    assert_non_null(strstr(c.out.data, "{\"kind\":\"marketing\",\"version\":"
                                       "\"1\",\"agreed\":false,"));
    rig_free(&c);
    assert_int_equal(views(), 1);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM audit_log WHERE actor"
                                    " = 'staff:cs' AND reason = '전화' AND"
                                    " detail LIKE '%%\"staff\":\"%s\"%%'",
                                    cs.id),
                     1);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM audit_log WHERE"
                                    " detail LIKE '%%hong@%%'"),
                     0);
}

static void no_log_no_view(void **state)
{
    struct rig_call c;

    (void)state;
    assert_int_equal(
        shop_db_do("REVOKE INSERT ON speedy.audit_log FROM userd@localhost"),
        0);
    capture_start();
    c = desk_ask(&owner, "GET", NULL, "/admin/users/" HONG "?reason=x");
    capture_stop();
    shop_db_do("GRANT INSERT ON speedy.audit_log TO userd@localhost");
    assert_int_equal(c.status, 503);
    assert_null(strstr(c.out.data, "hong"));
    assert_null(strstr(c.out.data, NAME));
    rig_free(&c);
}

static void a_row_of_another_key(void **state)
{
    (void)state;
    shop_db_do("UPDATE users SET master_key = 'm9'");
    capture_start();
    desk_expect(&viewer, "GET", NULL, "/admin/users?id=" HONG, 503,
                "unavailable");
    desk_expect(&cs, "GET", NULL, "/admin/users/" HONG "?reason=x", 503,
                "unavailable");
    capture_stop();
    /* it was tried: that is told */
    assert_int_equal(views(), 1);
}

static void blocked(void **state)
{
    static const char path[] = "/admin/users/" HONG "/block",
                      back[] = "/admin/users/" HONG "/unblock";

    (void)state;
    desk_session("s1", HONG, "USER", "USER");
    desk_session("s2", "uother", "USER", "USER");
    desk_expect(&cs, "POST", "{\"reason\":\"x\"}", path, 403, "role_required");
    desk_expect(&operator, "POST", "{}", path, 400, "invalid_request");
    desk_expect(&operator, "POST", "{\"reason\":\" \"}", path, 400,
                "invalid_request");
    desk_expect(&operator, "POST", "{\"reason\":\"x\",\"y\":1}", path, 400,
                "unknown_field");
    desk_expect(&operator, "POST", "{\"reason\":\"x\"}", back, 409,
                "state_conflict");
    desk_expect(&operator, "POST", "{\"reason\":\"x\"}",
                "/admin/users/unobody/block", 404, "user_not_found");
    assert_false(rig_published("s1"));
    desk_expect(&operator, "POST", "{\"reason\":\"bots\"}", path, 200, NULL);
    assert_true(rig_published("s1"));
    assert_false(rig_published("s2"));
    desk_expect(&operator, "POST", "{\"reason\":\"x\"}", path, 409,
                "state_conflict");
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM sessions WHERE id ="
                                    " 's1' AND end_reason = 'blocked'"),
                     1);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM audit_log WHERE act ="
                                    " 'user.block' AND object = '" HONG "' AND"
                                    " reason = 'bots' AND actor ="
                                    " 'staff:operator' AND detail LIKE"
                                    " '%%\"sessions\":1%%'"),
                     1);
    desk_expect(&operator, "POST", "{\"reason\":\"sorry\"}", back, 200, NULL);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM users WHERE state ="
                                    " 'ACTIVE' AND version = 3"),
                     1);
}

/* Follows next_cursor; counts rows by their ids. */
static int pages(const char *path, const char *mark)
{
    char cursor[128] = "";
    int rows = 0, n = 0;

    for (;;) {
        struct rig_call c = desk_ask(&owner, "GET", NULL, "%s%s%s", path,
                                     *cursor ? "&cursor=" : "", cursor);

        assert_int_equal(c.status, 200);
        for (const char *at = c.out.data; (at = strstr(at, mark)) != NULL; at++)
            rows++;
        snprintf(cursor, sizeof(cursor), "%s", desk_member(&c, "next_cursor"));
        rig_free(&c);
        assert_true(++n < 50);
        if (*cursor == '\0')
            return rows;
    }
}

static void the_audit_log(void **state)
{
    struct rig_call c;

    (void)state;
    for (int i = 0; i < 25; i++)
        shop_db_do("INSERT INTO audit_log (actor, act, object, reason, detail)"
                   " VALUES ('%s', 'test.%s', 'o%d', '이유', '%s')",
                   i % 2 ? "staff:a" : "staff:b", i % 5 ? "x" : "y", i % 3,
                   i ? "{\"n\":[1,2]}" : "not JSON");
    assert_int_equal(pages("/admin/audit-log?act=test.x&limit=3", "\"act\""),
                     20);
    assert_int_equal(pages("/admin/audit-log?act=test.y&limit=5", "\"act\""),
                     5);
    assert_int_equal(
        pages("/admin/audit-log?actor=staff:a&object=o1&act=test.x&limit=2",
              "\"act\""),
        4);
    c = desk_ask(&operator, "GET", NULL, "/admin/audit-log?limit=1");
    assert_non_null(strstr(c.out.data, "\"reason\":\"이유\",\"detail\":{\"n\":"
                                       "[1,2]}}],\"has_more\":true,"));
    rig_free(&c);
    assert_int_equal(pages("/admin/audit-log?limit=100", "\"not JSON\""), 1);
    desk_expect(&operator, "GET", NULL, "/admin/audit-log?limit=0", 400,
                "invalid_limit");
    desk_expect(&operator, "GET", NULL, "/admin/audit-log?limit=101", 400,
                "invalid_limit");
    desk_expect(&operator, "GET", NULL, "/admin/audit-log?cursor=x", 400,
                "invalid_cursor");
    desk_expect(&operator, "GET", NULL, "/admin/audit-log?who=x", 400,
                "unknown_parameter");
    desk_expect(&operator, "GET", NULL,
                "/admin/audit-log?actor=%27%20OR%201=1%20--%20", 200, NULL);
}

static void mails(void **state)
{
    struct rig_call c;

    (void)state;
    for (int i = 0; i < 12; i++)
        shop_db_do("INSERT INTO mails (id, kind, user_id, params, state,"
                   " reply_code, reply, ended_at, next_at) VALUES"
                   " (UNHEX(LPAD(HEX(%d), 32, '0')), 'welcome', 'u%d', '{}',"
                   " '%s', 550, '5.1.1', NOW(3), '2020-01-01')",
                   i + 1, i % 2, i < 4 ? "FAILED" : "SENT");
    assert_int_equal(pages("/admin/mails?limit=5", "\"kind\""), 12);
    assert_int_equal(pages("/admin/mails?state=FAILED&limit=3", "\"kind\""), 4);
    assert_int_equal(pages("/admin/mails?user=u1&limit=4", "\"kind\""), 6);
    assert_int_equal(
        pages("/admin/mails?user=u1&state=SENT&limit=4", "\"kind\""), 4);
    desk_expect(&viewer, "GET", NULL, "/admin/mails?state=LOST", 400,
                "invalid_request");
    c = desk_ask(&viewer, "GET", NULL, "/admin/mails?state=FAILED&limit=1");
    assert_non_null(strstr(c.out.data,
                           "{\"data\":[{\"id\":\"00000000-0000-0000-0000-"
                           "000000000004\",\"kind\":\"welcome\",\"user_id\":"
                           "\"u1\",\"state\":\"FAILED\",\"attempts\":0,"
                           "\"reply_code\":550,\"reply\":\"5.1.1\","));
    assert_null(strchr(c.out.data, '@'));
    assert_null(strstr(c.out.data, "params"));
    rig_free(&c);
    desk_expect(&cs, "POST", NULL,
                "/admin/mails/00000000-0000-0000-0000-000000000004/retry", 403,
                "role_required");
    desk_expect(&operator, "POST", NULL,
                "/admin/mails/00000000-0000-0000-0000-000000000004/retry", 202,
                NULL);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM mails WHERE state ="
                                    " 'QUEUED' AND next_at > NOW() - INTERVAL 1"
                                    " MINUTE"),
                     1);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM audit_log WHERE act ="
                                    " 'mail.retry' AND actor ="
                                    " 'staff:operator'"),
                     1);
    desk_expect(&operator, "POST", NULL,
                "/admin/mails/00000000-0000-0000-0000-00000000000c/retry", 409,
                "state_conflict");
    desk_expect(&operator, "POST", NULL,
                "/admin/mails/00000000-0000-0000-0000-0000000000ff/retry", 404,
                "mail_not_found");
    desk_expect(&operator, "POST", NULL, "/admin/mails/x/retry", 404,
                "mail_not_found");
}

/* Ids are ASCII: other bytes name nobody, and break nothing. */
static void foreign_bytes(void **state)
{
    static const struct {
        const char *method, *path, *body;
        long status;
    } all[] = {
        {"GET", "/admin/users?id=%EA%B0%80", NULL, 400},
        {"GET", "/admin/users?id=%FF", NULL, 400},
        {"GET", "/admin/users/%EA%B0%80?reason=x", NULL, 400},
        {"GET", "/admin/users/%FF?reason=x", NULL, 400},
        {"GET", "/admin/users/" HONG "?reason=%FF", NULL, 400},
        {"POST", "/admin/users/%EA%B0%80/block", "{\"reason\":\"x\"}", 400},
        {"PATCH", "/admin/staff/%EA%B0%80", "{\"role\":\"CS\"}", 400},
        {"GET", "/admin/audit-log?object=%EA%B0%80", NULL, 400},
        {"GET", "/admin/audit-log?act=%FF", NULL, 400},
        {"GET", "/admin/audit-log?actor=%FF", NULL, 400},
        {"GET", "/admin/audit-log?actor=%EA%B0%80", NULL, 200},
        {"GET", "/admin/mails?user=%EA%B0%80", NULL, 400},
        {"POST", "/admin/mails/%FF/retry", NULL, 400},
        {"POST", "/admin/sessions",
         "{\"login\":\"가나\",\"password\":\"나\",\"totp\":\"１２３\"}", 401},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        desk_expect(&owner, all[i].method, all[i].body, all[i].path,
                    all[i].status, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(lists_show_masks, clean),
        cmocka_unit_test_setup(found_or_not, clean),
        cmocka_unit_test_setup(a_view_is_logged_before_it_is_answered, clean),
        cmocka_unit_test_setup(no_log_no_view, clean),
        cmocka_unit_test_setup(a_row_of_another_key, clean),
        cmocka_unit_test_setup(blocked, clean),
        cmocka_unit_test_setup(the_audit_log, clean),
        cmocka_unit_test_setup(mails, clean),
        cmocka_unit_test_setup(foreign_bytes, clean),
    };

    return cmocka_run_group_tests_name("userd desk", tests, desk_setup,
                                       desk_teardown);
}
