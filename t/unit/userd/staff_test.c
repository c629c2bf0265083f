/*
 * Operators: login with two factors, one answer for all that is wrong, no
 * code twice; what a token's role is worth once MySQL says otherwise; the
 * making and changing of operators.
 */
#include <pthread.h>
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

/* The whole answer but its request id. */
static void same_but_id(const struct rig_call *c, char out[400])
{
    char *id;

    snprintf(out, 400, "%ld %s", c->status, c->out.data);
    id = strstr(out, "\"request_id\":\"");
    assert_non_null(id);
    memset(id + 14, '-', strcspn(id + 14, "\""));
}

static void login(void **state)
{
    struct desk_person p = desk_add("kim", "OPERATOR");
    char code[SPEEDY_TOTP_CODE], *attributes;
    struct rig_call c;

    (void)state;
    desk_code(&p, 0, code);
    assert_int_equal(desk_login(&c, "kim", DESK_PASSWORD, code), 201);
    assert_non_null(strstr(c.set_cookie, "speedy_staff_refresh="));
    attributes = c.set_cookie;
    assert_non_null(strstr(attributes, "HttpOnly"));
    assert_non_null(strstr(attributes, "Secure"));
    assert_non_null(strstr(attributes, "Path=/admin/sessions"));
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM sessions WHERE kind ="
                                    " 'STAFF' AND owner_id = '%s' AND role ="
                                    " 'OPERATOR' AND expires_at <"
                                    " UTC_TIMESTAMP() + INTERVAL 721 MINUTE",
                                    p.id),
                     1);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM audit_log WHERE actor"
                                    " = 'staff:kim' AND act = 'staff.login' AND"
                                    " detail LIKE '%%%s%%'",
                                    c.session_id),
                     1);
    rig_free(&c);
}

static void one_answer_for_all_that_is_wrong(void **state)
{
    struct desk_person p = desk_add("kim", "CS"), gone = desk_add("lee", "CS");
    char good[SPEEDY_TOTP_CODE], bad[SPEEDY_TOTP_CODE], ended[SPEEDY_TOTP_CODE];
    char first[400], other[400];
    struct rig_call c;

    (void)state;
    shop_db_do("UPDATE staff SET state = 'ENDED' WHERE login = 'lee'");
    desk_code(&p, 0, good);
    desk_code(&gone, 0, ended);
    snprintf(bad, sizeof(bad), "%s", good);
    bad[5] = (char)(bad[5] == '9' ? '0' : bad[5] + 1);
    desk_login(&c, "kim", "not the password", good);
    same_but_id(&c, first);
    assert_non_null(strstr(first, "401"));
    assert_non_null(strstr(first, "credentials_invalid"));
    assert_string_equal(c.set_cookie, "");
    rig_free(&c);
    for (int i = 0; i < 4; i++) {
        static const char *const logins[] = {"kim", "kim", "nobody", "lee"};
        const char *codes[] = {bad, "", good, ended};

        desk_login(&c, logins[i], DESK_PASSWORD, codes[i]);
        same_but_id(&c, other);
        assert_string_equal(other, first);
        rig_free(&c);
    }
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM sessions"), 0);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM staff WHERE totp_step"
                                    " > 0"),
                     0);
}

static void no_code_works_twice(void **state)
{
    struct desk_person p = desk_add("kim", "CS");
    char now[SPEEDY_TOTP_CODE], next[SPEEDY_TOTP_CODE], old[SPEEDY_TOTP_CODE];
    struct rig_call c;

    (void)state;
    desk_code(&p, 0, now);
    desk_code(&p, -1, old);
    desk_code(&p, 1, next);
    assert_int_equal(desk_login(&c, "kim", DESK_PASSWORD, now), 201);
    rig_free(&c);
    assert_int_equal(desk_login(&c, "kim", DESK_PASSWORD, now), 401);
    assert_string_equal(desk_member(&c, "code"), "credentials_invalid");
    rig_free(&c);
    assert_int_equal(desk_login(&c, "kim", DESK_PASSWORD, old), 401);
    rig_free(&c);
    assert_int_equal(desk_login(&c, "kim", DESK_PASSWORD, next), 201);
    rig_free(&c);
    assert_int_equal(desk_login(&c, "kim", DESK_PASSWORD, next), 401);
    rig_free(&c);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM sessions"), 2);
}

#define AT_ONCE 4 /* below the throttle's five */

static char racing_code[SPEEDY_TOTP_CODE];

static void *race(void *data)
{
    struct rig_call *c = data;

    desk_login(c, "kim", DESK_PASSWORD, racing_code);
    return NULL;
}

static void one_code_at_once_lets_one_in(void **state)
{
    struct desk_person p = desk_add("kim", "CS");
    pthread_t thread[AT_ONCE];
    struct rig_call c[AT_ONCE];
    int in = 0, refused = 0;

    (void)state;
    desk_code(&p, 0, racing_code);
    for (int i = 0; i < AT_ONCE; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, race, &c[i]), 0);
    for (int i = 0; i < AT_ONCE; i++) {
        pthread_join(thread[i], NULL);
        in += c[i].status == 201;
        refused += c[i].status == 401;
        rig_free(&c[i]);
    }
    assert_int_equal(in, 1);
    assert_int_equal(refused, AT_ONCE - 1);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM sessions"), 1);
}

static void guessing_is_slowed_down(void **state)
{
    struct desk_person p = desk_add("kim", "CS");
    static const char *const names[] = {"kim", "nobody"};
    char code[SPEEDY_TOTP_CODE];
    struct rig_call c;

    (void)state;
    for (int n = 0; n < 2; n++) {
        for (int i = 0; i < 5; i++) {
            assert_int_equal(desk_login(&c, names[n], DESK_PASSWORD, "000000"),
                             401);
            rig_free(&c);
        }
        desk_code(&p, 0, code);
        assert_int_equal(desk_login(&c, names[n], DESK_PASSWORD, code), 429);
        assert_string_equal(desk_member(&c, "code"), "login_later");
        assert_non_null(strstr(c.headers.data, "Retry-After: "));
        rig_free(&c);
    }
    /* when the time is over the right ones do */
    shop_db_do("UPDATE login_failures SET login_after = NOW(3)");
    desk_code(&p, 0, code);
    assert_int_equal(desk_login(&c, "kim", DESK_PASSWORD, code), 201);
    rig_free(&c);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM login_failures"), 1);
}

/* --- what a token is worth --- */

struct cell {
    const char *method, *path, *body;
    int rank; /* that the route asks for */
};
static const struct cell cells[] = {
    {"GET", "/admin/staff", NULL, 4},
    {"POST", "/admin/staff", "{}", 4},
    {"PATCH", "/admin/staff/t1", "{}", 4},
    {"GET", "/admin/users?id=u1", NULL, 1},
    {"GET", "/admin/users/u1", NULL, 2},
    {"POST", "/admin/users/u1/block", "{}", 3},
    {"POST", "/admin/users/u1/unblock", "{}", 3},
    {"GET", "/admin/audit-log", NULL, 3},
    {"GET", "/admin/mails", NULL, 1},
    {"POST", "/admin/mails/x/retry", NULL, 3},
    {"DELETE", "/admin/sessions/current", NULL, 1},
};
#define CELLS (sizeof(cells) / sizeof(cells[0]))
static const char *const roles[] = {"VIEWER", "CS", "OPERATOR", "OWNER"};

static void roles_and_routes(void **state)
{
    int judged = 0;

    (void)state;
    for (size_t i = 0; i < CELLS; i++) {
        struct desk_person user = {.id = "u1", .role = "USER"};

        desk_expect(NULL, cells[i].method, cells[i].body, cells[i].path, 401,
                    "token_missing");
        desk_expect(&user, cells[i].method, cells[i].body, cells[i].path, 403,
                    "role_required");
        judged += 2;
    }
    for (int k = 0; k < 4; k++) {
        struct desk_person p = desk_add(k == 0   ? "aa"
                                        : k == 1 ? "bb"
                                        : k == 2 ? "cc"
                                                 : "dd",
                                        roles[k]);

        for (size_t i = 0; i < CELLS; i++) {
            struct rig_call c = desk_ask(&p, cells[i].method, cells[i].body,
                                         "%s", cells[i].path);

            if ((c.status == 403) != (k + 1 < cells[i].rank) ||
                (c.status == 401 && i != CELLS - 1) || c.status >= 500)
                fail_msg("%s %s by %s: %ld", cells[i].method, cells[i].path,
                         roles[k], c.status);
            rig_free(&c);
            judged++;
        }
    }
    print_message("%d cells\n", judged);
}

static void a_demoted_operator_has_no_rights(void **state)
{
    struct desk_person p = desk_add("kim", "OWNER");

    (void)state;
    desk_expect(&p, "GET", NULL, "/admin/audit-log", 200, NULL);
    shop_db_do("UPDATE staff SET role = 'CS' WHERE login = 'kim'");
    /* not even those that the new role has: the token lies */
    for (size_t i = 0; i + 1 < CELLS; i++)
        desk_expect(&p, cells[i].method, cells[i].body, cells[i].path, 403,
                    "role_required");
    p.role = "CS";
    desk_expect(&p, "GET", NULL, "/admin/mails", 200, NULL);
    /* promoted: the token's role is what counts until the next login */
    shop_db_do("UPDATE staff SET role = 'OWNER' WHERE login = 'kim'");
    desk_expect(&p, "GET", NULL, "/admin/mails", 200, NULL);
    desk_expect(&p, "GET", NULL, "/admin/audit-log", 403, "role_required");
    shop_db_do("UPDATE staff SET state = 'ENDED' WHERE login = 'kim'");
    desk_expect(&p, "GET", NULL, "/admin/mails", 403, "role_required");
    shop_db_do("DELETE FROM staff");
    desk_expect(&p, "GET", NULL, "/admin/mails", 403, "role_required");
}

static void an_ended_session_has_no_rights(void **state)
{
    struct desk_person p = desk_add("kim", "CS"), q = desk_add("lee", "CS");
    struct rig_call c = {.method = "GET",
                         .path = "/admin/mails",
                         .user = p.id,
                         .role = "CS",
                         .session = "s1"};

    (void)state;
    desk_session("s1", p.id, "STAFF", "CS");
    rig_expect(&c, 200, NULL);
    c.user = q.id; /* somebody else's session */
    rig_expect(&c, 401, "session_ended");
    c.user = p.id;
    shop_db_do("UPDATE sessions SET ended_at = UTC_TIMESTAMP(3), end_reason ="
               " 'x'");
    rig_expect(&c, 401, "session_ended");
    rig_free(&c);
}

/* --- operators made and changed --- */

static void made_and_let_in(void **state)
{
    struct desk_person boss = desk_add("boss", "OWNER"), p = {.role = "CS"};
    char password[64], code[SPEEDY_TOTP_CODE], detail[200];
    struct rig_call c, d;

    (void)state;
    c = desk_ask(&boss, "POST", "{\"login\":\"kim\",\"role\":\"CS\"}",
                 "/admin/staff");
    assert_int_equal(c.status, 201);
    assert_non_null(strstr(c.headers.data, "Cache-Control: no-store"));
    assert_non_null(strstr(desk_member(&c, "totp_uri"), "otpauth://totp/"));
    snprintf(password, sizeof(password), "%s", desk_member(&c, "password"));
    snprintf(p.id, sizeof(p.id), "%s", desk_member(&c, "id"));
    /* the secret as an authenticator would read it */
    snprintf(detail, sizeof(detail), "%s", desk_member(&c, "totp_secret"));
    assert_int_equal(strlen(detail), 32);
    for (size_t i = 0, bits = 0, held = 0, n = 0; i < 32; i++) {
        static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

        bits = bits << 5 | (size_t)(strchr(digits, detail[i]) - digits);
        held += 5;
        if (held >= 8) {
            held -= 8;
            p.totp[n++] = (unsigned char)(bits >> held);
        }
    }
    rig_free(&c);
    desk_code(&p, 0, code);
    assert_int_equal(desk_login(&d, "kim", password, code), 201);
    rig_free(&d);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM audit_log WHERE act ="
                                    " 'staff.add' AND (detail LIKE '%%%s%%' OR"
                                    " detail LIKE '%%%s%%')",
                                    password, detail),
                     0);
    desk_expect(&boss, "POST", "{\"login\":\"kim\",\"role\":\"CS\"}",
                "/admin/staff", 409, "login_taken");
    desk_expect(&boss, "POST", "{\"login\":\"Kim\",\"role\":\"CS\"}",
                "/admin/staff", 400, "invalid_request");
    desk_expect(&boss, "POST", "{\"login\":\"lee\",\"role\":\"USER\"}",
                "/admin/staff", 400, "invalid_request");
    c = desk_ask(&boss, "GET", NULL, "/admin/staff");
    assert_non_null(strstr(c.out.data, "\"login\":\"kim\",\"role\":\"CS\""));
    assert_null(strstr(c.out.data, "totp"));
    rig_free(&c);
}

static void a_change_ends_sessions(void **state)
{
    struct desk_person boss = desk_add("boss", "OWNER"),
                       kim = desk_add("kim", "OPERATOR");
    char path[64];
    struct rig_call c;

    (void)state;
    snprintf(path, sizeof(path), "/admin/staff/%s", kim.id);
    desk_session("s1", kim.id, "STAFF", "OPERATOR");
    desk_session("s2", boss.id, "STAFF", "OWNER");
    desk_expect(&boss, "PATCH", "{}", path, 400, "invalid_request");
    desk_expect(&boss, "PATCH", "{\"role\":\"BOSS\"}", path, 400,
                "invalid_request");
    desk_expect(&boss, "PATCH", "{\"role\":\"CS\",\"version\":7}", path, 409,
                "version_conflict");
    desk_expect(&boss, "PATCH", "{\"role\":\"CS\"}", "/admin/staff/tnone", 404,
                "staff_not_found");
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM sessions WHERE"
                                    " ended_at IS NOT NULL"),
                     0);
    c = desk_ask(&boss, "PATCH",
                 "{\"role\":\"CS\",\"version\":1,\"reason\":\"moved\"}", "%s",
                 path);
    assert_int_equal(c.status, 200);
    assert_non_null(strstr(c.out.data, "\"role\":\"CS\",\"state\":\"ACTIVE\","
                                       "\"version\":2,\"sessions_ended\":1"));
    assert_null(strstr(c.out.data, "password"));
    rig_free(&c);
    assert_true(rig_published("s1"));
    assert_false(rig_published("s2"));
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM audit_log WHERE act ="
                                    " 'staff.change' AND object = '%s' AND"
                                    " actor = 'staff:boss' AND reason = 'moved'"
                                    " AND detail LIKE"
                                    " '%%\"from\":[\"OPERATOR\"%%'",
                                    kim.id),
                     1);
}

static void a_lost_authenticator(void **state)
{
    struct desk_person boss = desk_add("boss", "OWNER"),
                       kim = desk_add("kim", "CS");
    char code[SPEEDY_TOTP_CODE], path[64];
    struct rig_call c;

    (void)state;
    snprintf(path, sizeof(path), "/admin/staff/%s", kim.id);
    desk_expect(&boss, "PATCH", "{\"state\":\"ENDED\"}", path, 200, NULL);
    desk_expect(&boss, "PATCH", "{\"renew\":true}", path, 409,
                "state_conflict");
    c = desk_ask(&boss, "PATCH", "{\"state\":\"ACTIVE\",\"renew\":true}", "%s",
                 path);
    assert_int_equal(c.status, 200);
    assert_int_equal(strlen(desk_member(&c, "totp_secret")), 32);
    assert_int_equal(strlen(desk_member(&c, "password")),
                     SPEEDY_STAFF_PASSWORD - 1);
    assert_non_null(strstr(c.out.data, "\"version\":3,"));
    rig_free(&c);
    assert_int_equal(
        shop_db_number("SELECT version FROM staff WHERE login = 'kim'"), 3);
    /* the old ones are worth nothing */
    desk_code(&kim, 0, code);
    assert_int_equal(desk_login(&c, "kim", DESK_PASSWORD, code), 401);
    rig_free(&c);
}

struct demotion {
    struct desk_person *by, *whom;
    long status;
};

static void *demote(void *data)
{
    struct demotion *d = data;
    struct rig_call c = desk_ask(d->by, "PATCH", "{\"role\":\"CS\"}",
                                 "/admin/staff/%s", d->whom->id);

    d->status = c.status;
    rig_free(&c);
    return NULL;
}

static void the_last_owner_stays(void **state)
{
    struct desk_person a = desk_add("aa", "OWNER"), b;
    char path[64];
    int both = 0;

    (void)state;
    snprintf(path, sizeof(path), "/admin/staff/%s", a.id);
    desk_expect(&a, "PATCH", "{\"role\":\"OPERATOR\"}", path, 409,
                "last_owner");
    desk_expect(&a, "PATCH", "{\"state\":\"ENDED\"}", path, 409, "last_owner");
    b = desk_add("bb", "OWNER");
    for (int i = 0; i < 20; i++) {
        struct demotion d[] = {{&a, &b, 0}, {&b, &a, 0}};
        pthread_t thread[2];

        shop_db_do("UPDATE staff SET role = 'OWNER'");
        for (int k = 0; k < 2; k++)
            assert_int_equal(pthread_create(&thread[k], NULL, demote, &d[k]),
                             0);
        for (int k = 0; k < 2; k++)
            pthread_join(thread[k], NULL);
        assert_int_equal(shop_db_number("SELECT COUNT(*) FROM staff WHERE role"
                                        " = 'OWNER'"),
                         1);
        both += d[0].status == 200 && d[1].status == 200;
        assert_true(d[0].status == 200 || d[1].status == 200);
    }
    assert_int_equal(both, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(login, rig_clean),
        cmocka_unit_test_setup(one_answer_for_all_that_is_wrong, rig_clean),
        cmocka_unit_test_setup(no_code_works_twice, rig_clean),
        cmocka_unit_test_setup(one_code_at_once_lets_one_in, rig_clean),
        cmocka_unit_test_setup(guessing_is_slowed_down, rig_clean),
        cmocka_unit_test_setup(roles_and_routes, rig_clean),
        cmocka_unit_test_setup(a_demoted_operator_has_no_rights, rig_clean),
        cmocka_unit_test_setup(an_ended_session_has_no_rights, rig_clean),
        cmocka_unit_test_setup(made_and_let_in, rig_clean),
        cmocka_unit_test_setup(a_change_ends_sessions, rig_clean),
        cmocka_unit_test_setup(a_lost_authenticator, rig_clean),
        cmocka_unit_test_setup(the_last_owner_stays, rig_clean),
    };

    return cmocka_run_group_tests_name("userd staff", tests, desk_setup,
                                       desk_teardown);
}
