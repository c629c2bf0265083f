/*
 * Refresh tokens: used once each, the same successor for a moment, and what
 * is taken for theft after that. Real threads, real MariaDB and Redis.
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

#include "../../../daemons/common/crypto.h"
#include "../../../daemons/common/stores.h"
#include "../../../daemons/userd/sessions.h"
#include "../common/servers.h"
#include "../common/shop_db.h"
#include "sessions_rig.h"

#define EMAIL "shopper@example.com"

static struct rig_call login(void)
{
    rig_user("u1", EMAIL);
    return rig_login(EMAIL, NULL);
}

/* As if the last use of every token were ms ago. */
static void let_pass(long ms)
{
    shop_db_do("UPDATE refresh_tokens SET used_at = used_at -"
               " INTERVAL %ld MICROSECOND",
               ms * 1000);
}

static long live(void)
{
    return shop_db_number("SELECT COUNT(*) FROM sessions WHERE ended_at IS"
                          " NULL");
}

static void a_chain(void **state)
{
    struct rig_call first = login(), c;
    char token[128];

    (void)state;
    snprintf(token, sizeof(token), "%s", first.refresh);
    for (int i = 0; i < 5; i++) {
        c = rig_refresh(token);
        rig_expect(&c, 200, NULL);
        assert_string_equal(c.session_id, first.session_id);
        assert_string_not_equal(c.refresh, token);
        assert_int_equal(strlen(c.refresh), 43);
        assert_non_null(strstr(c.out.data, "\"expires_in\":900,"));
        assert_non_null(strstr(c.headers.data, "Cache-Control: no-store"));
        snprintf(token, sizeof(token), "%s", c.refresh);
        rig_free(&c);
    }
    /* the session's life is its own: it does not begin anew */
    assert_int_equal(shop_db_number("SELECT COUNT(DISTINCT expires_at) FROM"
                                    " refresh_tokens"),
                     1);
    assert_int_equal(live(), 1);
    rig_free(&first);
}

static void a_lost_answer(void **state)
{
    struct rig_call first = login(), a = rig_refresh(first.refresh), b = a;

    (void)state;
    rig_expect(&a, 200, NULL);
    let_pass(8000);
    b = rig_refresh(first.refresh);
    rig_expect(&b, 200, NULL);
    assert_string_equal(a.refresh, b.refresh);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM refresh_tokens"), 2);
    /* and the successor works */
    rig_free(&b);
    b = rig_refresh(a.refresh);
    rig_expect(&b, 200, NULL);
    rig_free(&a);
    rig_free(&b);
    rig_free(&first);
}

static void a_stolen_token(void **state)
{
    struct rig_call first = login(), a = rig_refresh(first.refresh), b, c;

    (void)state;
    rig_expect(&a, 200, NULL);
    let_pass(11000);
    b = rig_refresh(first.refresh);
    rig_expect(&b, 401, "refresh_reused");
    assert_string_equal(b.refresh, "");
    assert_non_null(strstr(b.set_cookie, "Max-Age=0"));
    assert_null(strstr(b.out.data, "access_token"));
    assert_true(rig_published(first.session_id));
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM sessions WHERE"
                                    " end_reason = 'refresh_reused'"),
                     1);
    /* who holds the successor is out as well, whoever of both that is */
    c = rig_refresh(a.refresh);
    rig_expect(&c, 401, "session_ended");
    rig_free(&a);
    rig_free(&b);
    rig_free(&c);
    rig_free(&first);
}

/* Another session of the same owner goes on. */
static void only_its_family(void **state)
{
    struct rig_call first = login(), other = rig_login(EMAIL, NULL), c;

    (void)state;
    c = rig_refresh(first.refresh);
    rig_expect(&c, 200, NULL);
    rig_free(&c);
    let_pass(11000);
    c = rig_refresh(first.refresh);
    rig_expect(&c, 401, "refresh_reused");
    rig_free(&c);
    c = rig_refresh(other.refresh);
    rig_expect(&c, 200, NULL);
    rig_free(&c);
    rig_free(&first);
    rig_free(&other);
}

#define TABS 12
struct tab {
    pthread_t thread;
    const char *token;
    struct rig_call c;
};

static void *tab_run(void *data)
{
    struct tab *tab = data;

    tab->c = rig_refresh(tab->token);
    rig_send(&tab->c);
    return NULL;
}

static void tabs_at_once(void **state)
{
    struct rig_call first = login();
    struct tab tabs[TABS];

    (void)state;
    for (size_t i = 0; i < TABS; i++) {
        tabs[i] = (struct tab){.token = first.refresh};
        pthread_create(&tabs[i].thread, NULL, tab_run, &tabs[i]);
    }
    for (size_t i = 0; i < TABS; i++) {
        pthread_join(tabs[i].thread, NULL);
        assert_int_equal(tabs[i].c.status, 200);
        assert_string_equal(tabs[i].c.refresh, tabs[0].c.refresh);
        assert_string_equal(tabs[i].c.session_id, first.session_id);
    }
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM refresh_tokens"), 2);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM refresh_tokens WHERE"
                                    " used_at IS NULL"),
                     1);
    assert_int_equal(live(), 1);
    for (size_t i = 0; i < TABS; i++)
        rig_free(&tabs[i].c);
    rig_free(&first);
}

/* A thief's reuse, by many at once, ends it once, and nobody gets a token. */
static void thieves_at_once(void **state)
{
    struct rig_call first = login(), c = rig_refresh(first.refresh);
    struct tab tabs[TABS];
    int told = 0;

    (void)state;
    rig_expect(&c, 200, NULL);
    rig_free(&c);
    let_pass(11000);
    for (size_t i = 0; i < TABS; i++) {
        tabs[i] = (struct tab){.token = first.refresh};
        pthread_create(&tabs[i].thread, NULL, tab_run, &tabs[i]);
    }
    for (size_t i = 0; i < TABS; i++) {
        pthread_join(tabs[i].thread, NULL);
        assert_int_equal(tabs[i].c.status, 401);
        told += strstr(tabs[i].c.out.data, "refresh_reused") != NULL;
        rig_free(&tabs[i].c);
    }
    assert_int_equal(told, 1);
    assert_int_equal(live(), 0);
    rig_free(&first);
}

static void no_refresh_tokens(void **state)
{
    static const char *const bad[] = {
        "",
        "x",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", /* none of ours */
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB", /* not canonical */
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "\" OR 1=1 --",
    };
    struct rig_call first = login(), c;
    char access[2048], *at;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        c = rig_refresh(bad[i]);
        rig_expect(&c, 401, "refresh_invalid");
        rig_free(&c);
    }
    /* an access token is none */
    at = strstr(first.out.data, "\"access_token\":\"") + 16;
    snprintf(access, sizeof(access), "speedy_refresh=%.*s",
             (int)strcspn(at, "\""), at);
    c = (struct rig_call){
        .method = "POST", .path = "/api/v1/sessions/refresh", .cookie = access};
    rig_expect(&c, 401, "refresh_invalid");
    rig_free(&c);
    /* no cookie, or two */
    c.cookie = NULL;
    rig_expect(&c, 401, "refresh_invalid");
    rig_free(&c);
    snprintf(access, sizeof(access), "speedy_refresh=%s; speedy_refresh=%s",
             first.refresh, first.refresh);
    c.cookie = access;
    rig_expect(&c, 401, "refresh_invalid");
    rig_free(&c);
    /* unknown input is refused here too */
    c = rig_refresh(first.refresh);
    c.body = "{\"user\":\"u2\"}";
    rig_expect(&c, 400, "unknown_field");
    rig_free(&c);
    c.path = "/api/v1/sessions/refresh?user=u2";
    c.body = NULL;
    rig_expect(&c, 400, "unknown_parameter");
    rig_free(&c);
    c.path = "/api/v1/sessions/refresh";
    c.body = "{}";
    rig_expect(&c, 200, NULL);
    rig_free(&c);
    rig_free(&first);
}

static void other_sites(void **state)
{
    static const struct {
        const char *origin;
        long status;
    } cases[] = {
        {"https://evil.example.net", 403},
        {"null", 403},
        {"https://shop.example.com.evil.example.net", 403},
        {"https://shop.example.co", 403},
        {"http://shop.example.com", 403},
        {"https://shop.example.com", 200},
        {"https://m.example.com", 200},
        {"https://desk.example.com", 200},
        {NULL, 200},
    };
    struct rig_call first = login(), c;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        c = rig_refresh(first.refresh);
        c.origin = cases[i].origin;
        rig_expect(&c, cases[i].status,
                   cases[i].status == 403 ? "origin_refused" : NULL);
        if (c.status == 403)
            assert_string_equal(c.set_cookie, "");
        rig_free(&c);
    }
    rig_free(&first);
}

static void blocked_meanwhile(void **state)
{
    struct rig_call first = login(), c;

    (void)state;
    shop_db_do("UPDATE users SET state = 'BLOCKED'");
    c = rig_refresh(first.refresh);
    rig_expect(&c, 401, "session_ended");
    rig_free(&c);
    assert_int_equal(live(), 0);
    shop_db_do("UPDATE users SET state = 'ACTIVE'");
    c = rig_refresh(first.refresh);
    rig_expect(&c, 401, "session_ended");
    rig_free(&c);
    rig_free(&first);
}

static void expired(void **state)
{
    struct rig_call first = login(), c;

    (void)state;
    shop_db_do("UPDATE sessions SET expires_at = NOW(3) - INTERVAL 1 SECOND");
    c = rig_refresh(first.refresh);
    rig_expect(&c, 401, "session_ended");
    rig_free(&c);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM refresh_tokens"), 1);
    rig_free(&first);
}

/* An operator's session, as the desk opens it; its token in text. */
static void staff_session(const char *role, char token[64])
{
    struct speedy_stores *s = speedy_stores_take();
    struct userd_session session;

    assert_non_null(s);
    assert_int_equal(speedy_db_begin(s->db), 0);
    assert_int_equal(userd_session_open(s->db, &userd_staff_sessions, "t1",
                                        role, NULL, &session),
                     0);
    assert_int_equal(speedy_db_commit(s->db), 0);
    speedy_stores_give(s);
    assert_int_equal(session.seconds, 12 * 3600);
    speedy_base64url(session.refresh, sizeof(session.refresh), token);
}

static struct rig_call desk(const char *token)
{
    static char cookie[160];

    snprintf(cookie, sizeof(cookie), "speedy_staff_refresh=%s", token);
    return (struct rig_call){
        .method = "POST", .path = "/admin/sessions/refresh", .cookie = cookie};
}

/* Neither kind's token works at the other's door. */
static void two_kinds(void **state)
{
    struct rig_call first = login(), c;
    char token[64];

    (void)state;
    rig_staff("t1", "CS");
    staff_session("CS", token);
    c = rig_refresh(token);
    rig_expect(&c, 401, "refresh_invalid");
    rig_free(&c);
    assert_int_equal(live(), 2);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM refresh_tokens WHERE"
                                    " used_at IS NOT NULL"),
                     0);
    c = desk(first.refresh);
    rig_expect(&c, 401, "refresh_invalid");
    rig_free(&c);
    assert_int_equal(live(), 2);
    rig_free(&first);
}

/* A session's role is that of its login: another one, another login. */
static void demoted(void **state)
{
    struct rig_call c;
    char token[128];

    (void)state;
    rig_staff("t1", "OPERATOR");
    staff_session("OPERATOR", token);
    c = desk(token);
    rig_expect(&c, 200, NULL);
    assert_non_null(strstr(c.set_cookie, "speedy_staff_refresh="));
    assert_non_null(strstr(c.set_cookie, "; Path=/admin/sessions;"));
    snprintf(token, sizeof(token), "%s", c.refresh);
    rig_free(&c);
    shop_db_do("UPDATE staff SET role = 'VIEWER'");
    c = desk(token);
    rig_expect(&c, 401, "session_ended");
    rig_free(&c);
    assert_int_equal(live(), 0);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup(f, rig_clean)
    const struct CMUnitTest tests[] = {
        CASE(a_chain),           CASE(a_lost_answer), CASE(a_stolen_token),
        CASE(only_its_family),   CASE(tabs_at_once),  CASE(thieves_at_once),
        CASE(no_refresh_tokens), CASE(other_sites),   CASE(blocked_meanwhile),
        CASE(expired),           CASE(two_kinds),     CASE(demoted),
    };

    return cmocka_run_group_tests_name("userd refresh", tests, rig_setup,
                                       rig_teardown);
}
