/*
 * One's own sessions: listed, ended, gone from the tables later.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../../daemons/common/db.h"
#include "../../../daemons/userd/sessions.h"
#include "../common/servers.h"
#include "../common/shop_db.h"
#include "sessions_rig.h"

#define A "a@example.com"
#define B "b@example.com"

static char path[128];

static struct rig_call by(const struct rig_call *s, const char *user,
                          const char *method, const char *tail)
{
    snprintf(path, sizeof(path), "/api/v1/sessions%s", tail);
    return (struct rig_call){
        .method = method, .path = path, .user = user, .session = s->session_id};
}

static long live(const char *owner)
{
    return shop_db_number("SELECT COUNT(*) FROM sessions WHERE ended_at IS"
                          " NULL AND owner_id = '%s'",
                          owner);
}

struct both {
    struct rig_call a1, a2, b;
};

static struct both three(void)
{
    struct both x;

    rig_user("ua", A);
    rig_user("ub", B);
    x.a1 = rig_login(A, "curl/7.88.1");
    x.a2 = rig_login(A, "Mozilla/5.0 (iPhone; CPU) Version/17 Safari/604.1");
    x.b = rig_login(B, "Mozilla/5.0 <script>");
    return x;
}

static void three_free(struct both *x)
{
    rig_free(&x->a1);
    rig_free(&x->a2);
    rig_free(&x->b);
}

static void the_list(void **state)
{
    struct both x = three();
    struct rig_call c = by(&x.a1, "ua", "GET", "");
    enum speedy_json_error error;
    struct speedy_json *root;
    const struct speedy_json *data, *one;
    int found = 0;

    (void)state;
    rig_expect(&c, 200, NULL);
    root = speedy_json_parse(c.out.data, c.out.len, 65536, 5, &error);
    assert_non_null(root);
    data = speedy_json_get(root, "data");
    assert_int_equal(speedy_json_count(data), 2);
    for (size_t i = 0; i < 2; i++) {
        const char *id;

        one = speedy_json_at(data, i);
        id = speedy_json_text(speedy_json_get(one, "id"));
        assert_int_equal(speedy_json_count(one), 6);
        if (strcmp(id, x.a1.session_id) == 0) {
            found++;
            assert_true(speedy_json_bool(speedy_json_get(one, "current"), 0));
            assert_string_equal(
                speedy_json_text(speedy_json_get(one, "device")), "curl");
        } else {
            found += strcmp(id, x.a2.session_id) == 0;
            assert_false(speedy_json_bool(speedy_json_get(one, "current"), 1));
            assert_string_equal(
                speedy_json_text(speedy_json_get(one, "device")),
                "Safari, iPhone");
        }
        assert_non_null(strstr(
            speedy_json_text(speedy_json_get(one, "seen_at")), "+09:00"));
    }
    assert_int_equal(found, 2);
    assert_null(strstr(c.out.data, "Mozilla"));
    speedy_json_free(root);
    rig_free(&c);
    c = by(&x.a1, "ua", "GET", "?user=ub");
    rig_expect(&c, 400, "unknown_parameter");
    rig_free(&c);
    three_free(&x);
}

static void end_one(void **state)
{
    struct both x = three();
    struct rig_call c;
    char tail[80];

    (void)state;
    /* another's looks like none */
    snprintf(tail, sizeof(tail), "/%s", x.b.session_id);
    c = by(&x.a1, "ua", "DELETE", tail);
    rig_expect(&c, 404, "session_unknown");
    rig_free(&c);
    c = by(&x.a1, "ua", "DELETE", "/sAAAAAAAAAAAAAAAAAAAAAA");
    rig_expect(&c, 404, "session_unknown");
    rig_free(&c);
    assert_int_equal(live("ub"), 1);
    assert_false(rig_published(x.b.session_id));
    snprintf(tail, sizeof(tail), "/%s", x.a2.session_id);
    c = by(&x.a1, "ua", "DELETE", tail);
    rig_expect(&c, 204, NULL);
    /* in force when it is answered; this browser keeps its own */
    assert_true(rig_published(x.a2.session_id));
    assert_string_equal(c.set_cookie, "");
    rig_free(&c);
    assert_int_equal(live("ua"), 1);
    /* told twice: nothing new */
    c = by(&x.a1, "ua", "DELETE", tail);
    rig_expect(&c, 204, NULL);
    rig_free(&c);
    c = rig_refresh(x.a2.refresh);
    rig_expect(&c, 401, "session_ended");
    rig_free(&c);
    three_free(&x);
}

static void end_this(void **state)
{
    struct both x = three();
    struct rig_call c = by(&x.a1, "ua", "DELETE", "/current");

    (void)state;
    c.origin = "https://evil.example.net";
    rig_expect(&c, 403, "origin_refused");
    assert_int_equal(live("ua"), 2);
    c.origin = "https://shop.example.com";
    rig_expect(&c, 204, NULL);
    assert_true(rig_published(x.a1.session_id));
    assert_false(rig_published(x.a2.session_id));
    assert_string_equal(c.set_cookie,
                        "speedy_refresh=; Max-Age=0; Path=/api/v1/sessions;"
                        " HttpOnly; Secure; SameSite=Lax");
    rig_free(&c);
    three_free(&x);
}

static void end_all(void **state)
{
    struct both x = three();
    struct rig_call c = by(&x.a1, "ua", "DELETE", "");

    (void)state;
    rig_expect(&c, 204, NULL);
    assert_true(rig_published(x.a1.session_id));
    assert_true(rig_published(x.a2.session_id));
    assert_false(rig_published(x.b.session_id));
    assert_int_equal(live("ua"), 0);
    assert_int_equal(live("ub"), 1);
    rig_free(&c);
    three_free(&x);
}

/* Without a token, as an operator, and with a token that has no session. */
static void who_asks(void **state)
{
    static const char *const tails[] = {"", "/current", "/sAAA"};
    struct both x = three();
    struct rig_call c, nobody = {.session_id = ""};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        c = by(&x.a1, NULL, "DELETE", tails[i]);
        rig_expect(&c, 401, "token_missing");
        rig_free(&c);
        c = by(&x.a1, "ua", "DELETE", tails[i]);
        c.role = "OWNER";
        rig_expect(&c, 403, "role_required");
        rig_free(&c);
    }
    c = by(&nobody, "ua", "DELETE", "/current");
    rig_expect(&c, 404, "session_unknown");
    rig_free(&c);
    /* the token of one, the session of another */
    c = by(&x.b, "ua", "DELETE", "/current");
    rig_expect(&c, 404, "session_unknown");
    rig_free(&c);
    assert_int_equal(live("ua"), 2);
    assert_int_equal(live("ub"), 1);
    three_free(&x);
}

static void old_rows(void **state)
{
    struct both x = three();
    struct speedy_db *db = speedy_db_new("userd");
    struct rig_call c = rig_refresh(x.a1.refresh);

    (void)state;
    rig_expect(&c, 200, NULL);
    rig_free(&c);
    /* a long family, and one that ended just now */
    for (int i = 0; i < 11; i++)
        shop_db_do("INSERT INTO refresh_tokens (token_hash, session_id, salt,"
                   " expires_at) SELECT RANDOM_BYTES(32), '%s',"
                   " RANDOM_BYTES(32), NOW(3) FROM refresh_tokens WHERE"
                   " session_id = '%s'",
                   x.a1.session_id, x.a1.session_id);
    shop_db_do("UPDATE sessions SET ended_at = NOW(3) - INTERVAL 25 HOUR,"
               " end_reason = 'logout' WHERE id = '%s'",
               x.a1.session_id);
    shop_db_do("UPDATE sessions SET ended_at = NOW(3), end_reason = 'logout'"
               " WHERE id = '%s'",
               x.a2.session_id);
    shop_db_do("INSERT INTO login_failures (subject, failures, failed_at)"
               " VALUES (RANDOM_BYTES(16), 9, NOW(3) - INTERVAL 25 HOUR),"
               " (RANDOM_BYTES(16), 9, NOW(3) - INTERVAL 1 HOUR)");
    assert_true(shop_db_number("SELECT COUNT(*) FROM refresh_tokens") > 4000);
    userd_sessions_clean(db);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM sessions"), 2);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM refresh_tokens"), 2);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM login_failures"), 1);
    shop_db_do("UPDATE sessions SET expires_at = NOW(3) - INTERVAL 25 HOUR"
               " WHERE id = '%s'",
               x.b.session_id);
    userd_sessions_clean(db);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM sessions"), 1);
    speedy_db_free(db);
    three_free(&x);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup(f, rig_clean)
    const struct CMUnitTest tests[] = {
        CASE(the_list), CASE(end_one),  CASE(end_this),
        CASE(end_all),  CASE(who_asks), CASE(old_rows),
    };

    return cmocka_run_group_tests_name("userd sessions", tests, rig_setup,
                                       rig_teardown);
}
