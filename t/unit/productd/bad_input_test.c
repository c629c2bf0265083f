/*
 * Every path with every kind of wrong input: each is refused as a problem with
 * a code of its own, none by 500, and the daemon goes on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "rig.h"

static const char *const paths[][2] = {
    {"POST", "/admin/products"},
    {"PATCH", "/admin/products/shoe"},
    {"POST", "/admin/sales"},
    {"PATCH", "/admin/sales/s1"},
    {"POST", "/admin/sales/s1/pause"},
    {"POST", "/admin/sales/s1/postpone"},
    {"POST", "/admin/sales/s1/extend"},
    {"POST", "/admin/sales/s1/notice"},
    {"POST", "/admin/sales/s1/release"},
    {"POST", "/admin/sales/s1/extend-holds"},
    {"POST", "/admin/sales/%EC%9A%B4/pause"},
    {"PATCH", "/admin/products/%F0%9F%91%9F"},
};

static const char *const members[] = {
    "id",      "name",    "price",    "description", "category",
    "options", "hidden",  "images",   "reason",      "version",
    "product", "stock",   "variants", "opens_at",    "closes_at",
    "limit",   "restock", "shipping", "notice",      "hold_seconds",
    "units",   "variant", "seconds",  "x",
};

static const char *const values[] = {
    "null",
    "true",
    "0",
    "-1",
    "1",
    "1.5",
    "1e400",
    "9007199254740991",
    "9007199254740993",
    "-9223372036854775808",
    "\"\"",
    "\"a\"",
    "\"a\\u0000b\"",
    "\"a\\nb\"",
    "\"\\ud83d\\udc5f\"",
    "\"now\"",
    "\"2026-13-45T99:99:99Z\"",
    "\"9999-12-31T23:59:59Z\"",
    "\"0000-01-01T00:00:00Z\"",
    "\"2026-12-01T10:00:00\"",
    "[]",
    "{}",
    "[[]]",
    "[null]",
    "[[null]]",
    "[[1,2]]",
    "[{}]",
    "[{\"variant\":1}]",
    "[{\"variant\":\"a\",\"stock\":-1,\"price\":null}]",
    "[{\"name\":\"n\",\"values\":[1]}]",
    "[{\"name\":[1],\"values\":{\"a\":1}}]",
    "[\"zz\"]",
    "[[[[[[[[[[[[]]]]]]]]]]]]",
};
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void is_told(long status)
{
    if (status < 500 && status >= 200)
        return;
    fail_msg("%ld: %s", status, rig_body.data);
}

static void every_member(void **state)
{
    char json[400];

    (void)state;
    for (size_t p = 0; p < COUNT(paths); p++) {
        for (size_t m = 0; m < COUNT(members); m++) {
            for (size_t v = 0; v < COUNT(values); v++) {
                bool own = strcmp(members[m], "reason") == 0 ||
                           strcmp(members[m], "version") == 0;

                snprintf(json, sizeof(json), "{%s\"%s\":%s}",
                         own ? "" : "\"reason\":\"r\",\"version\":1,",
                         members[m], values[v]);
                is_told(rig_act(paths[p][0], paths[p][1], json));
            }
        }
    }
}

static void long_texts(void **state)
{
    char *json = malloc(70000);

    (void)state;
    for (size_t m = 0; m < COUNT(members); m++) {
        for (int n = 200; n < 69000; n = n * 5 + 1) {
            snprintf(json, 70000, "{\"reason\":\"r\",\"%s\":\"%0*d\"}",
                     members[m], n, 0);
            is_told(rig_act("POST", "/admin/products", json));
            is_told(rig_act("POST", "/admin/sales", json));
        }
    }
    memset(json, 'a', 69000);
    json[69000] = '\0';
    assert_int_equal(rig_act("POST", "/admin/sales", json), 413);
    free(json);
}

static void queries(void **state)
{
    static const char *const names[] = {"q",      "category", "state",
                                        "cursor", "limit",    "ids"};
    static const char *const texts[] = {"",          "%00",
                                        "%FF",       "%",
                                        "%25%5F%5C", "%F0%9F%91%9F",
                                        "a%0Ab",     "'%22--",
                                        "-1",        "99999999999999999999",
                                        "%ED%A0%80", "a,b,,c",
                                        "%EF%BB%BF", "+",
                                        "%7C%7C",    "..%2F..%2F"};
    static const char *const lists[] = {"/api/v1/products", "/api/v1/sales",
                                        "/internal/products"};
    char path[300];

    (void)state;
    for (size_t l = 0; l < COUNT(lists); l++) {
        for (size_t n = 0; n < COUNT(names); n++) {
            for (size_t t = 0; t < COUNT(texts); t++) {
                snprintf(path, sizeof(path), "%s?%s=%s", lists[l], names[n],
                         texts[t]);
                is_told(rig_get(path));
            }
        }
    }
    is_told(rig_get("/api/v1/products/%EC%9A%B4"));
    is_told(rig_get("/api/v1/sales/a%27b"));
    assert_int_equal(rig_get("/api/v1/products"), 200);
}

static int setup(void **state)
{
    if (rig_start(state) != 0 ||
        rig_act("POST", "/admin/products",
                "{\"id\":\"shoe\",\"name\":\"Shoe\",\"price\":1,"
                "\"reason\":\"new\"}") != 201)
        return -1;
    return rig_act("POST", "/admin/sales",
                   "{\"id\":\"s1\",\"product\":\"shoe\",\"stock\":9,"
                   "\"opens_at\":\"2040-01-01T00:00:00Z\",\"closes_at\":"
                   "\"2041-01-01T00:00:00Z\",\"reason\":\"new\"}") == 201
               ? 0
               : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_member),
        cmocka_unit_test(long_texts),
        cmocka_unit_test(queries),
    };

    return cmocka_run_group_tests_name("productd bad input", tests, setup,
                                       rig_stop);
}
