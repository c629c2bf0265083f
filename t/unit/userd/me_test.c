/*
 * One's own account: reading, changing, ending it.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../../../daemons/userd/housekeeping.h"
#include "../common/shop_db.h"
#include "people_rig.h"

#define ME "/api/v1/users/me"
#define EMAIL "shopper@example.com"

static char id[64];

static void signed_up(void)
{
    snprintf(id, sizeof(id), "%s", people_signup(EMAIL));
}

static void read_and_change(void **state)
{
    const char *answer;

    (void)state;
    signed_up();
    answer = people_send("GET", ME, id, 200, NULL, NULL);
    assert_string_equal(people_member("id"), id);
    assert_non_null(strstr(answer, "\"version\":1,"));
    assert_non_null(strstr(people_headers(), "Cache-Control: no-store"));
    assert_null(strstr(answer, "password"));
    answer = people_send(
        "PATCH", ME, id, 200, NULL,
        "{\"name\":\" 홍 길동 \",\"phone\":\"+1 212 555 0100\",\"language\":"
        "\"en\",\"version\":1,\"consents\":[{\"kind\":\"marketing\","
        "\"version\":\"2\",\"agreed\":true}]}");
    assert_string_equal(people_member("name"), "홍 길동");
    assert_string_equal(people_member("phone"), "+12125550100");
    assert_non_null(strstr(answer, "\"version\":2,"));
    people_send("PATCH", ME, id, 409, "version_conflict",
                "{\"name\":\"다른 이름\",\"version\":1}");
    answer = people_send("PATCH", ME, id, 200, NULL,
                         "{\"consents\":[{\"kind\":\"marketing\",\"version\":"
                         "\"2\",\"agreed\":false}],\"version\":2}");
    /* the newest of each kind is shown, all of them are kept */
    assert_non_null(strstr(answer, "{\"kind\":\"marketing\",\"version\":\"2\","
                                   "\"agreed\":false,"));
    assert_null(strstr(answer, "{\"kind\":\"marketing\",\"version\":\"2\","
                               "\"agreed\":true,"));
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM consents"), 4);
    people_send("GET", ME, id, 200, NULL, NULL);
    assert_string_equal(people_member("name"), "홍 길동");
    assert_string_equal(people_member("email"), EMAIL);
}

static void bad_changes(void **state)
{
    (void)state;
    signed_up();
    people_send("PATCH", ME, id, 400, "invalid_request", "{\"name\":\"홍\"}");
    people_send("PATCH", ME, id, 400, "invalid_request", "{\"version\":0}");
    people_send("PATCH", ME, id, 400, "invalid_request", "{\"version\":1.5}");
    people_send("PATCH", ME, id, 400, "name_invalid",
                "{\"name\":\"7\",\"version\":1}");
    people_send("PATCH", ME, id, 400, "phone_invalid",
                "{\"phone\":\"7\",\"version\":1}");
    people_send("PATCH", ME, id, 400, "unknown_field",
                "{\"email\":\"other@example.com\",\"version\":1}");
    people_send("PATCH", ME, id, 400, "unknown_field",
                "{\"state\":\"ACTIVE\",\"version\":1}");
    people_send("PATCH", ME, id, 400, "consent_required",
                "{\"consents\":[{\"kind\":\"terms\",\"version\":\"1\","
                "\"agreed\":false}],\"version\":1}");
    people_send("GET", ME, "u-nobody", 404, "user_not_found", NULL);
    people_send("PATCH", ME, "u-nobody", 404, "user_not_found",
                "{\"version\":1}");
    assert_non_null(
        strstr(people_send("GET", ME, id, 200, NULL, NULL), "\"version\":1,"));
}

/* Of changes to one version, one is made. */
static void *patch_once(void *data)
{
    struct rig_call c = {.method = "PATCH",
                         .path = ME,
                         .user = id,
                         .body = "{\"name\":\"새 이름\",\"version\":1}"};

    rig_send(&c);
    *(long *)data = c.status;
    rig_free(&c);
    return NULL;
}

static void parallel_changes(void **state)
{
    pthread_t t[6];
    long status[6];
    int made = 0;

    (void)state;
    signed_up();
    for (int i = 0; i < 6; i++)
        pthread_create(&t[i], NULL, patch_once, &status[i]);
    for (int i = 0; i < 6; i++) {
        pthread_join(t[i], NULL);
        made += status[i] == 200;
        assert_true(status[i] == 200 || status[i] == 409);
    }
    assert_int_equal(made, 1);
}

/* --- ending it --- */

static void shredded(void **state)
{
    struct people_mail m;
    char sid[64];

    (void)state;
    signed_up();
    people_send("POST", "/api/v1/sessions", NULL, 201, NULL,
                "{\"email\":\"" EMAIL "\",\"password\":\"" PEOPLE_PASSWORD
                "\"}");
    snprintf(sid, sizeof(sid), "%s", people_member("session_id"));
    people_send("POST", ME "/addresses", id, 201, NULL,
                "{\"recipient\":\"홍길동\",\"phone\":\"010-1234-5678\","
                "\"postcode\":\"04524\",\"line1\":\"세종대로 110\"}");
    people_send("PATCH", ME, id, 200, NULL,
                "{\"language\":\"en\",\"version\":1}");
    people_send("DELETE", ME, id, 400, "invalid_request", "{}");
    people_send("DELETE", ME, id, 403, "credentials_invalid",
                "{\"password\":\"wrong-wrong\"}");
    people_send("GET", ME, id, 200, NULL, NULL);
    people_send("DELETE", ME, id, 204, NULL,
                "{\"password\":\"" PEOPLE_PASSWORD "\"}");
    assert_int_equal(
        shop_db_number("SELECT COUNT(*) FROM users WHERE state = 'ENDED' AND"
                       " data_key IS NULL AND email_index IS NULL AND"
                       " sealed_email IS NULL AND sealed_name IS NULL AND"
                       " sealed_phone IS NULL AND password_hash IS NULL AND"
                       " master_key IS NULL AND ended_at IS NOT NULL"),
        1);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM addresses"), 0);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM verifications WHERE"
                                    " purpose <> 'notice'"),
                     0);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM consents"), 2);
    assert_true(rig_published(sid));
    people_send("GET", ME, id, 404, "user_not_found", NULL);
    people_send("DELETE", ME, id, 403, "credentials_invalid",
                "{\"password\":\"" PEOPLE_PASSWORD "\"}");
    people_send("POST", "/api/v1/sessions", NULL, 401, "credentials_invalid",
                "{\"email\":\"" EMAIL "\",\"password\":\"" PEOPLE_PASSWORD
                "\"}");
    /* the last mail still finds its way, others do not */
    assert_int_equal(people_render("account_ended", &m), 200);
    assert_string_equal(m.to, EMAIL);
    assert_string_equal(m.language, "en");
    assert_string_equal(m.name, "");
    assert_int_equal(people_render("welcome", &m), 410);
    /* the address is free for another account */
    assert_string_not_equal(people_signup(EMAIL), id);
}

static void guessing_the_password(void **state)
{
    (void)state;
    signed_up();
    for (int i = 0; i < 5; i++)
        people_send("DELETE", ME, id, 403, "credentials_invalid",
                    "{\"password\":\"wrong-wrong\"}");
    people_send("DELETE", ME, id, 429, "login_later",
                "{\"password\":\"" PEOPLE_PASSWORD "\"}");
}

/* Verifications and the notice's address are gone after a day. */
static void old_rows(void **state)
{
    struct people_mail m;

    (void)state;
    signed_up();
    people_send("DELETE", ME, id, 204, NULL,
                "{\"password\":\"" PEOPLE_PASSWORD "\"}");
    people_send("POST", "/api/v1/password-resets", NULL, 202, NULL,
                "{\"email\":\"other@example.com\"}");
    people_age(86399);
    assert_true(userd_housekeeping_turn(people_db) > 0);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM verifications"), 2);
    people_age(2);
    shop_db_do("UPDATE verification_locks SET asked_at = asked_at"
               " - INTERVAL 86401 SECOND");
    assert_true(userd_housekeeping_turn(people_db) > 0);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM verifications"), 0);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM verification_locks"),
                     0);
    assert_int_equal(people_render("account_ended", &m), 410);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, people_clean)
    const struct CMUnitTest tests[] = {
        T(read_and_change), T(bad_changes),           T(parallel_changes),
        T(shredded),        T(guessing_the_password), T(old_rows),
    };

    return cmocka_run_group_tests(tests, people_setup, people_teardown);
}
