/*
 * Bad input: each kind has its own code, and none of it is a 500 or changes
 * anything.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../common/shop_db.h"
#include "people_rig.h"

#define ASK "/api/v1/email-verifications"
#define CONFIRM "/api/v1/email-verifications/confirm"
#define USERS "/api/v1/users"
#define ME "/api/v1/users/me"
#define ADDRESSES "/api/v1/users/me/addresses"
#define RESET "/api/v1/password-resets"
#define RESET_CONFIRM "/api/v1/password-resets/confirm"
#define EMAIL "shopper@example.com"

/* Every route of ours that takes a body. */
static const struct {
    const char *method, *path, *user;
} routes[] = {
    {"POST", ASK, NULL},
    {"POST", CONFIRM, NULL},
    {"POST", USERS, NULL},
    {"PATCH", ME, "u1"},
    {"DELETE", ME, "u1"},
    {"POST", ADDRESSES, "u1"},
    {"POST", RESET, NULL},
    {"POST", RESET_CONFIRM, NULL},
    {"PATCH", ADDRESSES "/01890000-0000-7000-8000-000000000000", "u1"},
};

static void each_route(const char *body, long status, const char *code)
{
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
        people_send(routes[i].method, routes[i].path, routes[i].user, status,
                    code, "%s", body);
}

static void no_json(void **state)
{
    char deep[201] = "";

    (void)state;
    each_route("", 400, "invalid_json");
    each_route("{", 400, "invalid_json");
    each_route("email=" EMAIL, 400, "invalid_json");
    each_route("{\"email\":\"" EMAIL "\"} {}", 400, "invalid_json");
    each_route("{\"email\":\"shop\xff@example.com\"}", 400, "invalid_json");
    each_route("{\"email\":\"\xc0\xaf@example.com\"}", 400, "invalid_json");
    each_route("{\"email\":\"\\ud800@example.com\"}", 400, "invalid_json");
    memset(deep, '[', 100);
    memset(deep + 100, ']', 100);
    each_route(deep, 400, "invalid_json");
    each_route("{\"email\":\"a@example.com\",\"email\":\"b@example.com\"}", 400,
               "duplicate_field");
    each_route("[]", 400, "invalid_request");
    each_route("null", 400, "invalid_request");
    each_route("\"" EMAIL "\"", 400, "invalid_request");
    each_route("{\"admin\":true}", 400, "unknown_field");
    each_route("{\"role\":\"OWNER\",\"email\":\"" EMAIL "\"}", 400,
               "unknown_field");
}

static void too_large(void **state)
{
    char *body = malloc(1000001);

    (void)state;
    memset(body, ' ', 1000000);
    memcpy(body, "{\"email\":\"" EMAIL "\"}", 31);
    body[1000000] = '\0';
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        struct rig_call c = {.method = routes[i].method,
                             .path = routes[i].path,
                             .user = routes[i].user,
                             .body = body};

        rig_expect(&c, 413, "too_large");
        rig_free(&c);
    }
    free(body);
}

static void media_types(void **state)
{
    static const char *const types[] = {
        "text/plain", "application/x-www-form-urlencoded",
        "application/json-patch+json", "application/json; charset=euc-kr"};

    (void)state;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        struct rig_call c = {.method = "POST",
                             .path = ASK,
                             .type = types[i],
                             .body = "{\"email\":\"" EMAIL "\"}"};

        rig_expect(&c, 415, "unsupported_media_type");
        rig_free(&c);
    }
}

static void queries_and_methods(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        char path[200];

        snprintf(path, sizeof(path), "%s?debug=1", routes[i].path);
        people_send(routes[i].method, path, routes[i].user, 400,
                    "unknown_parameter", "{}");
        people_send("PUT", routes[i].path, routes[i].user, 405,
                    "method_not_allowed", "{}");
    }
    people_send("GET", ME, NULL, 401, "token_missing", NULL);
    people_send("GET", ADDRESSES, NULL, 401, "token_missing", NULL);
}

/* The verification of one address, in every wrong form. */
static void addresses(void **state)
{
    static const char *const bad[] = {
        "shopper\\r\\n@example.com",
        "shopper@example.com\\r\\nBcc: other@example.com",
        "shopper@@example.com",
        "a@b@example.com",
        "\\\"shopper\\\"@example.com",
        "shopper@example",
        "shopper@example.com\\u0000",
        "홍길동@example.com",
        "<shopper@example.com>",
        "shopper@[127.0.0.1]",
        "",
    };
    char text[400];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        people_send("POST", ASK, NULL, 400, "email_invalid",
                    "{\"email\":\"%s\"}", bad[i]);
        people_send("POST", RESET, NULL, 400, "email_invalid",
                    "{\"email\":\"%s\"}", bad[i]);
    }
    memset(text, 'x', 243);
    snprintf(text + 243, sizeof(text) - 243, "@example.com");
    assert_int_equal(strlen(text), 255);
    people_send("POST", ASK, NULL, 400, "email_invalid", "{\"email\":\"%s\"}",
                text);
    people_send("POST", ASK, NULL, 400, "invalid_request", "{\"email\":7}");
    people_send("POST", ASK, NULL, 400, "invalid_request", "{\"email\":null}");
    people_send("POST", ASK, NULL, 400, "invalid_request",
                "{\"email\":[\"" EMAIL "\"]}");
    people_send("POST", ASK, NULL, 400, "invalid_request", "{}");
    people_send("POST", ASK, NULL, 400, "invalid_request",
                "{\"email\":\"" EMAIL "\",\"language\":\"de\"}");
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM verifications"), 0);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM mails"), 0);
}

/* One member is wrong: its code, and where it stands. */
static const struct {
    const char *name, *value, *code, *pointer, *its;
} members[] = {
    {"email", "", "invalid_request", "/email", "required"},
    {"email", "true", "invalid_request", "/email", "wrong_type"},
    {"email", "\"x@@example.com\"", "email_invalid", "/email", "email_invalid"},
    {"password", "", "invalid_request", "/password", "required"},
    {"password", "12345678", "invalid_request", "/password", "wrong_type"},
    {"password", "\"k7#mQ2p\"", "password_too_short", "/password",
     "password_too_short"},
    {"password", "\"Password123!\"", "password_common", "/password",
     "password_common"},
    {"password", "\"" EMAIL "\"", "password_common", "/password",
     "password_common"},
    {"password", "\"turtle\\u0000harbour\"", "password_invalid", "/password",
     "password_invalid"},
    {"name", "", "invalid_request", "/name", "required"},
    {"name", "\"\"", "name_invalid", "/name", "name_invalid"},
    {"name", "\"홍길동\\n\"", "name_invalid", "/name", "name_invalid"},
    {"name", "\"홍\\u0000길동\"", "name_invalid", "/name", "name_invalid"},
    {"name", "{}", "invalid_request", "/name", "wrong_type"},
    {"phone", "", "invalid_request", "/phone", "required"},
    {"phone", "\"call me\"", "phone_invalid", "/phone", "phone_invalid"},
    {"phone", "1012345678", "invalid_request", "/phone", "wrong_type"},
    {"language", "\"KO\"", "invalid_request", "/language", "invalid"},
    {"verification", "\"AA AA\"", "verification_invalid", "/verification",
     "verification_invalid"},
    {"age_over_14", "", "age_required", "/age_over_14", "age_required"},
    {"age_over_14", "false", "age_required", "/age_over_14", "age_required"},
    {"age_over_14", "\"true\"", "invalid_request", "/age_over_14",
     "wrong_type"},
    {"age_over_14", "1", "invalid_request", "/age_over_14", "wrong_type"},
    {"consents", "", "consent_required", "/consents", "consent_required"},
    {"consents", "[]", "consent_required", "/consents", "consent_required"},
    {"consents", "{}", "invalid_request", "/consents", "wrong_type"},
    {"consents", "[1]", "invalid_request", "/consents/0", "wrong_type"},
    {"consents", "[{\"kind\":\"terms\",\"version\":\"1\",\"agreed\":true}]",
     "consent_required", "/consents", "consent_required"},
    {"consents",
     "[{\"kind\":\"terms\",\"version\":\"1\",\"agreed\":true},"
     "{\"kind\":\"privacy\",\"version\":\"1\",\"agreed\":false}]",
     "consent_required", "/consents/1/agreed", "consent_required"},
    {"consents",
     "[{\"kind\":\"terms\",\"version\":\"1\",\"agreed\":true},"
     "{\"kind\":\"terms\",\"version\":\"2\",\"agreed\":true}]",
     "invalid_request", "/consents/1/kind", "invalid"},
    {"consents",
     "[{\"kind\":\"terms\",\"version\":\"1\",\"agreed\":true},"
     "{\"kind\":\"everything\",\"version\":\"1\",\"agreed\":true}]",
     "invalid_request", "/consents/1/kind", "invalid"},
    {"consents", "[{\"kind\":\"terms\",\"version\":\"1 \",\"agreed\":true}]",
     "invalid_request", "/consents/0/version", "invalid"},
    {"consents", "[{\"kind\":\"terms\",\"version\":\"1\"}]", "invalid_request",
     "/consents/0/agreed", "required"},
    {"consents", "[{\"kind\":\"terms\",\"version\":1,\"agreed\":true}]",
     "invalid_request", "/consents/0/version", "wrong_type"},
    {"consents", "[{\"kind\":\"terms\",\"by\":\"me\",\"agreed\":true}]",
     "unknown_field", "/consents/0/by", "unknown_field"},
    {"consents", "[{\"kind\":\"terms\",\"kind\":\"privacy\"}]",
     "duplicate_field", NULL, NULL},
    {"consents", "[{},{},{},{}]", "invalid_request", "/consents", "invalid"},
};

static void signup_members(void **state)
{
    char proof[64], want[200], *body;
    const char *answer;

    (void)state;
    snprintf(proof, sizeof(proof), "%s", people_proof(EMAIL));
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        body = strdup(
            people_body(EMAIL, proof, members[i].name, members[i].value));
        answer =
            people_send("POST", USERS, NULL, 400, members[i].code, "%s", body);
        snprintf(want, sizeof(want),
                 "\"errors\":[{\"pointer\":\"%s\",\"code\":\"%s\"}]",
                 members[i].pointer, members[i].its);
        if (members[i].pointer != NULL && strstr(answer, want) == NULL)
            fail_msg("%s\nnot: %s\nbut: %s", body, want, answer);
        /* what was sent is not sent back */
        assert_null(strstr(answer, "turtle"));
        free(body);
    }
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM users"), 0);
    /* and the proof is still good */
    people_send("POST", USERS, NULL, 201, NULL, "%s",
                people_body(EMAIL, proof, NULL, NULL));
}

/* All that is wrong is told at once. */
static void several_errors(void **state)
{
    const char *answer;

    (void)state;
    answer = people_send("POST", USERS, NULL, 400, "verification_invalid",
                         "{\"email\":\"x\",\"password\":\"short\","
                         "\"age_over_14\":false}");
    assert_non_null(strstr(answer, "{\"pointer\":\"/email\","
                                   "\"code\":\"email_invalid\"}"));
    assert_non_null(strstr(answer, "{\"pointer\":\"/password\","
                                   "\"code\":\"password_too_short\"}"));
    assert_non_null(
        strstr(answer, "{\"pointer\":\"/name\",\"code\":\"required\"}"));
    assert_non_null(strstr(answer, "{\"pointer\":\"/age_over_14\","
                                   "\"code\":\"age_required\"}"));
}

/* 128 characters whatever they are, and not one is cut off. */
static void long_passwords(void **state)
{
    static const char turtle[] = "🐢";
    struct speedy_buf whole = {0};
    char proof[64], quoted[600];

    (void)state;
    snprintf(proof, sizeof(proof), "%s", people_proof(EMAIL));
    for (int i = 0; i < 128; i++)
        speedy_buf_add(&whole, turtle, sizeof(turtle) - 1);
    snprintf(quoted, sizeof(quoted), "\"%sx\"", whole.data);
    people_send("POST", USERS, NULL, 400, "password_too_long", "%s",
                people_body(EMAIL, proof, "password", quoted));
    snprintf(quoted, sizeof(quoted), "\"%s\"", whole.data);
    people_send("POST", USERS, NULL, 201, NULL, "%s",
                people_body(EMAIL, proof, "password", quoted));
    people_send("POST", "/api/v1/sessions", NULL, 201, NULL,
                "{\"email\":\"" EMAIL "\",\"password\":%s}", quoted);
    snprintf(quoted, sizeof(quoted), "\"%s\"", whole.data + sizeof(turtle) - 1);
    people_send("POST", "/api/v1/sessions", NULL, 401, "credentials_invalid",
                "{\"email\":\"" EMAIL "\",\"password\":%s}", quoted);
    speedy_buf_free(&whole);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, people_clean)
    const struct CMUnitTest tests[] = {
        T(no_json),        T(too_large),
        T(media_types),    T(queries_and_methods),
        T(addresses),      T(signup_members),
        T(several_errors), T(long_passwords),
    };

    return cmocka_run_group_tests(tests, people_setup, people_teardown);
}
