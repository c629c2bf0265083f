/* JSON: what is read, and above all what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "../../../daemons/common/json.h"

static enum speedy_json_error try(const char *text, size_t len)
{
    enum speedy_json_error why;
    struct speedy_json *v = speedy_json_parse(text, len, 100000, 8, &why);

    assert_true((v != NULL) == (why == SPEEDY_JSON_OK));
    speedy_json_free(v);
    return why;
}

#define TRY(text) try(text, sizeof(text) - 1)

static struct speedy_json *parse(const char *text)
{
    enum speedy_json_error why;
    struct speedy_json *v =
        speedy_json_parse(text, strlen(text), 100000, 8, &why);

    assert_non_null(v);
    return v;
}

static void values_come_as_they_are(void **state)
{
    struct speedy_json *v = parse("{\"a\": [1, true, null, \"x\\u00e9\"],"
                                  " \"n\": -9007199254740991, \"o\": {}}");
    const struct speedy_json *a = speedy_json_get(v, "a");
    int64_t n;

    (void)state;
    assert_int_equal(speedy_json_type(v), SPEEDY_JSON_OBJECT);
    assert_int_equal(speedy_json_count(v), 3);
    assert_string_equal(speedy_json_key(v, 1), "n");
    assert_null(speedy_json_key(v, 3));
    assert_int_equal(speedy_json_count(a), 4);
    assert_int_equal(speedy_json_int(speedy_json_at(a, 0), 1, 1, &n), 0);
    assert_int_equal(speedy_json_int(speedy_json_at(a, 0), 2, 9, &n), -1);
    assert_true(speedy_json_bool(speedy_json_at(a, 1), false));
    assert_int_equal(speedy_json_type(speedy_json_at(a, 2)), SPEEDY_JSON_NULL);
    assert_string_equal(speedy_json_text(speedy_json_at(a, 3)), "x\xc3\xa9");
    assert_null(speedy_json_at(a, 4));
    assert_null(speedy_json_get(v, "missing"));
    assert_null(speedy_json_get(a, "a"));
    assert_null(speedy_json_text(speedy_json_at(a, 0)));
    assert_int_equal(speedy_json_int(speedy_json_get(v, "n"), INT64_MIN, 0, &n),
                     0);
    assert_true(n == -9007199254740991);
    speedy_json_free(v);
}

static void only_whole_numbers_are_integers(void **state)
{
    static const char *const others[] = {"1.0",
                                         "1e3",
                                         "0.5",
                                         "9007199254740992",
                                         "-9007199254740992",
                                         "9223372036854775808",
                                         "18446744073709551616",
                                         "100000000000000000000000000"};
    int64_t n;

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct speedy_json *v = parse(others[i]);

        assert_int_equal(speedy_json_type(v), SPEEDY_JSON_OTHER_NUMBER);
        assert_int_equal(speedy_json_int(v, INT64_MIN, INT64_MAX, &n), -1);
        speedy_json_free(v);
    }
    assert_int_equal(TRY("01"), SPEEDY_JSON_INVALID);
    assert_int_equal(TRY("+1"), SPEEDY_JSON_INVALID);
    assert_int_equal(TRY("0x1"), SPEEDY_JSON_INVALID);
    assert_int_equal(TRY("NaN"), SPEEDY_JSON_INVALID);
    assert_int_equal(TRY("-"), SPEEDY_JSON_INVALID);
}

static void what_is_not_json_is_refused(void **state)
{
    (void)state;
    assert_int_equal(TRY(""), SPEEDY_JSON_INVALID);
    assert_int_equal(TRY("  "), SPEEDY_JSON_INVALID);
    assert_int_equal(TRY("{"), SPEEDY_JSON_INVALID);
    assert_int_equal(TRY("{} {}"), SPEEDY_JSON_INVALID);
    assert_int_equal(TRY("{}x"), SPEEDY_JSON_INVALID);
    assert_int_equal(TRY("{}\0"), SPEEDY_JSON_INVALID);
    assert_int_equal(TRY("{\"a\":1,}"), SPEEDY_JSON_INVALID);
    assert_int_equal(TRY("/* c */ {}"), SPEEDY_JSON_INVALID);
    assert_int_equal(TRY("{'a':1}"), SPEEDY_JSON_INVALID);
    assert_int_equal(TRY("\"a\nb\""), SPEEDY_JSON_INVALID);
    assert_int_equal(TRY("\"\\x\""), SPEEDY_JSON_INVALID);
    assert_int_equal(TRY("\xef\xbb\xbf{}"), SPEEDY_JSON_INVALID); /* BOM */
    assert_int_equal(TRY(" {}\r\n"), SPEEDY_JSON_OK);
}

static void only_utf8_passes(void **state)
{
    (void)state;
    assert_int_equal(TRY("\"\xed\x95\x9c\xf0\x9f\x98\x80\""), SPEEDY_JSON_OK);
    assert_int_equal(TRY("\"\xff\""), SPEEDY_JSON_INVALID);
    assert_int_equal(TRY("\"\xc3\""), SPEEDY_JSON_INVALID);
    assert_int_equal(TRY("\"\xc0\xaf\""), SPEEDY_JSON_INVALID); /* overlong */
    assert_int_equal(TRY("\"\xe0\x80\xaf\""), SPEEDY_JSON_INVALID);
    assert_int_equal(TRY("\"\xed\xa0\x80\""), SPEEDY_JSON_INVALID); /* D800 */
    assert_int_equal(TRY("\"\xf4\x90\x80\x80\""), SPEEDY_JSON_INVALID);
    assert_int_equal(TRY("\"\\ud83d\\ude00\""), SPEEDY_JSON_OK);
    assert_int_equal(TRY("\"\\ud83d\""), SPEEDY_JSON_INVALID);
    assert_int_equal(TRY("\"\\ud83dx\\ude00\""), SPEEDY_JSON_INVALID);
    assert_int_equal(TRY("\"\\ude00\""), SPEEDY_JSON_INVALID);
    assert_int_equal(TRY("\"\\\\ude00\""), SPEEDY_JSON_OK); /* no escape */
}

static void a_nul_makes_no_text(void **state)
{
    struct speedy_json *v = parse("[\"a\\u0000b\"]");

    (void)state;
    assert_int_equal(speedy_json_type(speedy_json_at(v, 0)),
                     SPEEDY_JSON_OTHER_TEXT);
    assert_null(speedy_json_text(speedy_json_at(v, 0)));
    speedy_json_free(v);
    assert_int_equal(TRY("{\"a\\u0000b\":1}"), SPEEDY_JSON_INVALID);
}

static void duplicates_are_refused_at_any_size(void **state)
{
    char text[2000];
    int n = snprintf(text, sizeof(text), "{");

    (void)state;
    assert_int_equal(TRY("{\"a\":1,\"b\":2,\"a\":1}"), SPEEDY_JSON_DUPLICATE);
    assert_int_equal(TRY("{\"a\":1,\"\\u0061\":1}"), SPEEDY_JSON_DUPLICATE);
    assert_int_equal(TRY("[{\"a\":1},{\"a\":1}]"), SPEEDY_JSON_OK);
    for (int i = 0; i < 100; i++)
        n += snprintf(text + n, sizeof(text) - (size_t)n, "\"k%d\":%d,", i, i);
    snprintf(text + n, sizeof(text) - (size_t)n, "\"last\":1}");
    assert_int_equal(try(text, strlen(text)), SPEEDY_JSON_OK);
    snprintf(text + n, sizeof(text) - (size_t)n, "\"k50\":1}");
    assert_int_equal(try(text, strlen(text)), SPEEDY_JSON_DUPLICATE);
}

static void depth_and_size_are_bounded(void **state)
{
    enum speedy_json_error why;
    static char deep[200000];

    (void)state;
    assert_null(speedy_json_parse("[[[1]]]", 7, 100, 2, &why));
    assert_int_equal(why, SPEEDY_JSON_TOO_DEEP);
    assert_int_equal(TRY("[[[[[[[[1]]]]]]]]"), SPEEDY_JSON_OK);
    assert_null(speedy_json_parse("[1, 2]", 6, 5, 2, &why));
    assert_int_equal(why, SPEEDY_JSON_TOO_LARGE);
    memset(deep, '[', sizeof(deep));
    assert_null(
        speedy_json_parse(deep, sizeof(deep), sizeof(deep), 1000, &why));
    assert_int_equal(why, SPEEDY_JSON_TOO_DEEP);
}

static void large_arrays_are_whole(void **state)
{
    struct speedy_buf b = {0};
    struct speedy_json *v;
    int64_t n;

    (void)state;
    speedy_buf_printf(&b, "[");
    for (int i = 0; i < 5000; i++)
        speedy_buf_printf(&b, "%s%d", i > 0 ? "," : "", i);
    speedy_buf_printf(&b, "]");
    v = parse(b.data);
    assert_int_equal(speedy_json_count(v), 5000);
    for (int i = 0; i < 5000; i++) {
        assert_int_equal(
            speedy_json_int(speedy_json_at(v, (size_t)i), i, i, &n), 0);
    }
    speedy_json_free(v);
    speedy_buf_free(&b);
}

static void output_is_escaped(void **state)
{
    struct speedy_buf b = {0};
    struct speedy_json *v;

    (void)state;
    speedy_buf_json(&b, "a\"\\\n\x01\xff<\xed\x95\x9c>");
    assert_string_equal(
        b.data, "\"a\\\"\\\\\\u000a\\u0001\xef\xbf\xbd<\xed\x95\x9c>\"");
    v = parse(b.data);
    speedy_json_free(v);
    b.len = 0;
    speedy_buf_json(&b, NULL);
    assert_string_equal(b.data, "null");
    speedy_buf_free(&b);
}

static void long_output_grows(void **state)
{
    struct speedy_buf b = {0};

    (void)state;
    for (int i = 0; i < 1000; i++)
        speedy_buf_printf(&b, "%0300d", i);
    assert_int_equal(b.len, 300000);
    assert_int_equal(strlen(b.data), 300000);
    speedy_buf_free(&b);
}

static void times(void **state)
{
    struct speedy_buf b = {0};
    int64_t ms;

    (void)state;
    speedy_buf_time(&b, 1763874000123, 540);
    assert_string_equal(b.data, "\"2025-11-23T14:00:00.123+09:00\"");
    b.len = 0;
    speedy_buf_time(&b, 1763874000000, 0);
    assert_string_equal(b.data, "\"2025-11-23T05:00:00.000Z\"");
    b.len = 0;
    speedy_buf_time(&b, -1, -90);
    assert_string_equal(b.data, "\"1969-12-31T22:29:59.999-01:30\"");
    speedy_buf_free(&b);

    assert_int_equal(speedy_time_parse("2025-11-23T14:00:00+09:00", &ms), 0);
    assert_true(ms == 1763874000000);
    assert_int_equal(speedy_time_parse("2025-11-23T05:00:00.12Z", &ms), 0);
    assert_true(ms == 1763874000120);
    assert_int_equal(speedy_time_parse("2024-02-29T00:00:00Z", &ms), 0);
}

static void times_are_strict(void **state)
{
    static const char *const bad[] = {"",
                                      "2025-11-23",
                                      "2025-11-23T14:00:00",
                                      "2025-11-23 14:00:00Z",
                                      "2025-11-23T14:00:00z",
                                      "2025-02-29T00:00:00Z",
                                      "2025-13-01T00:00:00Z",
                                      "2025-00-01T00:00:00Z",
                                      "2025-11-31T00:00:00Z",
                                      "2025-11-23T24:00:00Z",
                                      "2025-11-23T14:60:00Z",
                                      "2025-11-23T14:00:60Z",
                                      "2025-11-23T14:00:00.Z",
                                      "2025-11-23T14:00:00.1234Z",
                                      "2025-11-23T14:00:00+0900",
                                      "2025-11-23T14:00:00+24:00",
                                      "2025-11-23T14:00:00+09:60",
                                      "2025-11-23T14:00:00Zx",
                                      "25-11-23T14:00:00Z",
                                      "2025-1-23T14:00:00Z"};
    int64_t ms;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (speedy_time_parse(bad[i], &ms) != -1)
            fail_msg("accepted: %s", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_as_they_are),
        cmocka_unit_test(only_whole_numbers_are_integers),
        cmocka_unit_test(what_is_not_json_is_refused),
        cmocka_unit_test(only_utf8_passes),
        cmocka_unit_test(a_nul_makes_no_text),
        cmocka_unit_test(duplicates_are_refused_at_any_size),
        cmocka_unit_test(depth_and_size_are_bounded),
        cmocka_unit_test(large_arrays_are_whole),
        cmocka_unit_test(output_is_escaped),
        cmocka_unit_test(long_output_grows),
        cmocka_unit_test(times),
        cmocka_unit_test(times_are_strict),
    };

    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
