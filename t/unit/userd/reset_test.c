/*
 * A forgotten password.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../../../daemons/userd/hasher.h"
#include "../common/shop_db.h"
#include "people_rig.h"

#define RESET "/api/v1/password-resets"
#define CONFIRM "/api/v1/password-resets/confirm"
#define LOGIN "/api/v1/sessions"
#define EMAIL "shopper@example.com"
#define NEW "lighthouse-keeper-7"

static void ask(const char *email)
{
    people_send("POST", RESET, NULL, 202, NULL, "{\"email\":\"%s\"}", email);
}

static void confirm(const char *code, const char *password, long status,
                    const char *told)
{
    people_send("POST", CONFIRM, NULL, status, told,
                "{\"email\":\"" EMAIL "\",\"code\":\"%s\",\"password\":\"%s\"}",
                code, password);
}

static void login(const char *password, long status, const char *code)
{
    people_send("POST", LOGIN, NULL, status, code,
                "{\"email\":\"" EMAIL "\",\"password\":\"%s\"}", password);
}

static void whole_way(void **state)
{
    struct people_mail m;
    char sid[64];

    (void)state;
    people_signup(EMAIL);
    login(PEOPLE_PASSWORD, 201, NULL);
    snprintf(sid, sizeof(sid), "%s", people_member("session_id"));
    ask("Shopper@example.com");
    assert_int_equal(people_render("reset", &m), 200);
    assert_string_equal(m.to, EMAIL);
    assert_string_equal(m.name, "홍길동");
    assert_memory_equal(m.link, "https://shop.example.com/reset#", 31);
    /* a password that will not do costs no try */
    for (int i = 0; i < 6; i++)
        confirm(m.code, "short", 400, "password_too_short");
    confirm(m.code, "password123", 400, "password_common");
    confirm(m.code, EMAIL, 400, "password_common");
    assert_int_equal(shop_db_number("SELECT MAX(tries) FROM verifications"
                                    " WHERE purpose = 'reset'"),
                     0);
    confirm(m.code, NEW, 204, NULL);
    confirm(m.code, NEW, 409, "code_used");
    login(PEOPLE_PASSWORD, 401, "credentials_invalid");
    login(NEW, 201, NULL);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM sessions WHERE"
                                    " id = '%s' AND ended_at IS NOT NULL"
                                    " AND end_reason = 'password_reset'",
                                    sid),
                     1);
    assert_true(rig_published(sid));
    assert_int_equal(people_render("password_changed", &m), 200);
    assert_string_equal(m.to, EMAIL);
}

static void by_link(void **state)
{
    struct people_mail m;

    (void)state;
    people_signup(EMAIL);
    ask(EMAIL);
    assert_int_equal(people_render("reset", &m), 200);
    people_send("POST", CONFIRM, NULL, 204, NULL,
                "{\"link\":\"%s\",\"password\":\"" NEW "\"}", people_token(&m));
    people_send("POST", CONFIRM, NULL, 409, "code_used",
                "{\"link\":\"%s\",\"password\":\"" PEOPLE_PASSWORD "\"}",
                people_token(&m));
    login(NEW, 201, NULL);
}

/* Nobody learns who has an account: the same answers and rows, no mail. */
static void unknown_address(void **state)
{
    struct people_mail m;

    (void)state;
    people_signup(EMAIL);
    ask(EMAIL);
    ask("other@example.com");
    people_send("POST", RESET, NULL, 429, "too_many_requests",
                "{\"email\":\"other@example.com\"}");
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM mails WHERE"
                                    " kind = 'reset' AND state = 'DROPPED'"),
                     1);
    assert_int_equal(people_render("reset", &m), 410);
    for (int i = 0; i < 5; i++) {
        confirm("000000", NEW, 400, "code_invalid");
        people_send("POST", CONFIRM, NULL, 400, "code_invalid",
                    "{\"email\":\"other@example.com\",\"code\":\"000000\","
                    "\"password\":\"" NEW "\"}");
    }
    confirm("000000", NEW, 400, "code_tries_exceeded");
    people_send("POST", CONFIRM, NULL, 400, "code_tries_exceeded",
                "{\"email\":\"other@example.com\",\"code\":\"000000\","
                "\"password\":\"" NEW "\"}");
}

/* What was asked for before does not work after it. */
static void older_mails(void **state)
{
    struct people_mail first, second;

    (void)state;
    people_signup(EMAIL);
    ask(EMAIL);
    assert_int_equal(people_render("reset", &first), 200);
    people_age(61);
    ask(EMAIL);
    assert_int_equal(people_render("reset", &second), 200);
    confirm(first.code, NEW, 400, "code_invalid");
    people_age(61);
    ask(EMAIL); /* its mail is not written yet */
    people_send("POST", CONFIRM, NULL, 204, NULL,
                "{\"link\":\"%s\",\"password\":\"" NEW "\"}",
                people_token(&second));
    people_send("POST", CONFIRM, NULL, 409, "code_used",
                "{\"link\":\"%s\",\"password\":\"" PEOPLE_PASSWORD "\"}",
                people_token(&first));
    assert_int_equal(people_render("reset", &first), 410);
}

/* Neither do they after the password was changed by its owner. */
static void changed_meanwhile(void **state)
{
    struct people_mail m;
    char id[64];

    (void)state;
    snprintf(id, sizeof(id), "%s", people_signup(EMAIL));
    ask(EMAIL);
    assert_int_equal(people_render("reset", &m), 200);
    people_send("PUT", "/api/v1/users/me/password", id, 204, NULL,
                "{\"current_password\":\"" PEOPLE_PASSWORD "\","
                "\"new_password\":\"" NEW "\"}");
    confirm(m.code, "third-password-3", 409, "code_used");
    people_send("POST", CONFIRM, NULL, 409, "code_used",
                "{\"link\":\"%s\",\"password\":\"third-password-3\"}",
                people_token(&m));
    login(NEW, 201, NULL);
}

static void too_late(void **state)
{
    struct people_mail m;

    (void)state;
    people_signup(EMAIL);
    ask(EMAIL);
    assert_int_equal(people_render("reset", &m), 200);
    people_age(601);
    confirm(m.code, NEW, 400, "code_expired");
    login(PEOPLE_PASSWORD, 201, NULL);
}

/* Wrong passwords of others do not keep the owner out after a reset. */
static void failures_are_forgotten(void **state)
{
    struct people_mail m;

    (void)state;
    people_signup(EMAIL);
    for (int i = 0; i < 5; i++)
        login("wrong-wrong", 401, "credentials_invalid");
    login(PEOPLE_PASSWORD, 429, "login_later");
    ask(EMAIL);
    assert_int_equal(people_render("reset", &m), 200);
    confirm(m.code, NEW, 204, NULL);
    login(NEW, 201, NULL);
}

/* An ended account is nobody's, whatever was mailed before. */
static void ended_meanwhile(void **state)
{
    struct people_mail m;
    char id[64];

    (void)state;
    snprintf(id, sizeof(id), "%s", people_signup(EMAIL));
    ask(EMAIL);
    assert_int_equal(people_render("reset", &m), 200);
    people_send("DELETE", "/api/v1/users/me", id, 204, NULL,
                "{\"password\":\"" PEOPLE_PASSWORD "\"}");
    confirm(m.code, NEW, 400, "code_invalid");
    people_send("POST", CONFIRM, NULL, 400, "code_invalid",
                "{\"link\":\"%s\",\"password\":\"" NEW "\"}", people_token(&m));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, people_clean)
    const struct CMUnitTest tests[] = {
        T(whole_way),       T(by_link),           T(unknown_address),
        T(older_mails),     T(too_late),          T(failures_are_forgotten),
        T(ended_meanwhile), T(changed_meanwhile),
    };

    return cmocka_run_group_tests(tests, people_setup, people_teardown);
}
