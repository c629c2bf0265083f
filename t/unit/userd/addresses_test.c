/*
 * Where parcels go: at most 20, one default, nobody else's.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../common/shop_db.h"
#include "people_rig.h"

#define ADDRESSES "/api/v1/users/me/addresses"
#define BODY                                                                   \
    "\"recipient\":\"홍길동\",\"phone\":\"010-1234-5678\","                 \
    "\"postcode\":\"04524\",\"line1\":\"서울시 중구 세종대로 110\""

static char id[64], other[64];

static int setup(void **state)
{
    if (people_clean(state) != 0)
        return -1;
    snprintf(id, sizeof(id), "%s", people_signup("shopper@example.com"));
    snprintf(other, sizeof(other), "%s", people_signup("other@example.com"));
    return 0;
}

/* Adds one; its path. */
static const char *add(const char *more)
{
    static char path[4][128];
    static int n;
    char *to = path[n++ % 4];

    people_send("POST", ADDRESSES, id, 201, NULL, "{" BODY "%s}", more);
    snprintf(to, sizeof(path[0]), ADDRESSES "/%s", people_member("id"));
    return to;
}

static long defaults(void)
{
    return shop_db_number("SELECT COUNT(*) FROM addresses WHERE is_default");
}

static bool is_default(const char *path)
{
    char find[100];
    const char *list = people_send("GET", ADDRESSES, id, 200, NULL, NULL), *at;

    snprintf(find, sizeof(find), "{\"id\":\"%s\"", strrchr(path, '/') + 1);
    at = strstr(list, find);
    assert_non_null(at);
    at = strstr(at, "\"is_default\":");
    return strncmp(at, "\"is_default\":true", 17) == 0;
}

static void life(void **state)
{
    const char *path, *answer;

    (void)state;
    answer = people_send("GET", ADDRESSES, id, 200, NULL, NULL);
    assert_string_equal(
        answer, "{\"data\":[],\"has_more\":false,\"next_cursor\":null}\n");
    path = add(",\"line2\":\"101동  202호\"");
    assert_string_equal(people_member("recipient"), "홍길동");
    assert_string_equal(people_member("phone"), "+821012345678");
    assert_string_equal(people_member("postcode"), "04524");
    assert_string_equal(people_member("line2"), "101동 202호");
    assert_non_null(strstr(people_headers(), path));
    answer = people_send("PATCH", path, id, 200, NULL,
                         "{\"postcode\":\"１２３４５\",\"version\":1}");
    assert_string_equal(people_member("postcode"), "12345");
    assert_string_equal(people_member("line2"), "101동 202호");
    assert_non_null(strstr(answer, "\"version\":2,"));
    people_send("PATCH", path, id, 409, "version_conflict",
                "{\"line2\":\"\",\"version\":1}");
    people_send("PATCH", path, id, 200, NULL, "{\"line2\":\"\",\"version\":2}");
    answer = people_send("GET", ADDRESSES, id, 200, NULL, NULL);
    assert_non_null(strstr(answer, "\"line2\":\"\""));
    assert_non_null(strstr(answer, "\"is_default\":true,\"version\":3,"));
    people_send("DELETE", path, id, 204, NULL, NULL);
    people_send("DELETE", path, id, 404, "address_not_found", NULL);
    people_send("PATCH", path, id, 404, "address_not_found", "{\"version\":3}");
}

static void one_default(void **state)
{
    const char *first, *second, *third;

    (void)state;
    first = add("");
    second = add("");
    assert_true(is_default(first));
    assert_false(is_default(second));
    third = add(",\"is_default\":true");
    assert_true(is_default(third));
    assert_int_equal(defaults(), 1);
    people_send("PATCH", second, id, 200, NULL,
                "{\"is_default\":true,\"version\":1}");
    assert_true(is_default(second));
    assert_int_equal(defaults(), 1);
    people_send("PATCH", second, id, 400, "invalid_request",
                "{\"is_default\":false,\"version\":2}");
    people_send("PATCH", third, id, 200, NULL,
                "{\"is_default\":false,\"version\":1}");
    people_send("DELETE", second, id, 204, NULL, NULL);
    assert_true(is_default(first));
    assert_int_equal(defaults(), 1);
}

static void bad_members(void **state)
{
    static const struct {
        const char *body, *code;
    } bad[] = {
        {"{}", "invalid_request"},
        {"{" BODY ",\"postcode\":\"04524\"}", "duplicate_field"},
        {"{" BODY ",\"country\":\"KR\"}", "unknown_field"},
        {"{" BODY ",\"line2\":7}", "invalid_request"},
        {"{" BODY ",\"line2\":\"a\\nb\"}", "line_invalid"},
        {"{" BODY ",\"line2\":\"a\\u0000b\"}", "line_invalid"},
        {"{" BODY ",\"is_default\":\"yes\"}", "invalid_request"},
        {"{" BODY ",\"version\":1}", "unknown_field"},
        {"{\"recipient\":\"\",\"phone\":\"010-1234-5678\",\"postcode\":"
         "\"04524\",\"line1\":\"x\"}",
         "name_invalid"},
        {"{\"recipient\":\"홍길동\",\"phone\":\"1\",\"postcode\":\"04524\","
         "\"line1\":\"x\"}",
         "phone_invalid"},
        {"{\"recipient\":\"홍길동\",\"phone\":\"010-1234-5678\",\"postcode\":"
         "\"0452\",\"line1\":\"x\"}",
         "postcode_invalid"},
        {"{\"recipient\":\"홍길동\",\"phone\":\"010-1234-5678\",\"postcode\":"
         "4524,\"line1\":\"x\"}",
         "invalid_request"},
        {"{\"recipient\":\"홍길동\",\"phone\":\"010-1234-5678\",\"postcode\":"
         "\"04524\",\"line1\":\" \"}",
         "line_invalid"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        people_send("POST", ADDRESSES, id, 400, bad[i].code, "%s", bad[i].body);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM addresses"), 0);
}

/* Another's address looks like one that does not exist. */
static void nobody_elses(void **state)
{
    const char *path, *answer;

    (void)state;
    path = add("");
    people_send("PATCH", path, other, 404, "address_not_found",
                "{\"line1\":\"x\",\"version\":1}");
    people_send("DELETE", path, other, 404, "address_not_found", NULL);
    answer = people_send("GET", ADDRESSES, other, 200, NULL, NULL);
    assert_non_null(strstr(answer, "\"data\":[]"));
    people_send("PATCH", ADDRESSES "/x", id, 404, "address_not_found",
                "{\"version\":1}");
    people_send("DELETE", ADDRESSES "/%00", id, 400, "invalid_request", NULL);
    people_send("DELETE", path, id, 204, NULL, NULL);
}

/* A row that was moved to another person cannot be read as his. */
static void moved_row(void **state)
{
    (void)state;
    add("");
    shop_db_do("UPDATE addresses SET user_id = '%s'", other);
    people_send("GET", ADDRESSES, other, 503, "unavailable", NULL);
}

/* --- twenty, also when they come at once --- */

static void *add_one(void *data)
{
    struct rig_call c = {
        .method = "POST", .path = ADDRESSES, .user = id, .body = "{" BODY "}"};

    rig_send(&c);
    *(long *)data = c.status;
    rig_free(&c);
    return NULL;
}

static void twenty(void **state)
{
    pthread_t t[6];
    long status[6];

    (void)state;
    for (int i = 0; i < 19; i++)
        add(i % 2 == 0 ? "" : ",\"is_default\":true");
    for (int round = 0; round < 5; round++) {
        int made = 0;

        for (int i = 0; i < 6; i++)
            pthread_create(&t[i], NULL, add_one, &status[i]);
        for (int i = 0; i < 6; i++) {
            pthread_join(t[i], NULL);
            made += status[i] == 201;
            assert_true(status[i] == 201 || status[i] == 409);
        }
        assert_int_equal(made, 1);
        assert_int_equal(defaults(), 1);
        people_send("POST", ADDRESSES, id, 409, "too_many_addresses",
                    "{" BODY "}");
        shop_db_do("DELETE FROM addresses WHERE NOT is_default LIMIT 1");
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        T(life),         T(one_default), T(bad_members),
        T(nobody_elses), T(moved_row),   T(twenty),
    };

    return cmocka_run_group_tests(tests, people_setup, people_teardown);
}
