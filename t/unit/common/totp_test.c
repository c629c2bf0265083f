/*
 * TOTP against the vectors of RFC 6238 and RFC 4226, base32 against those of
 * RFC 4648; the window of three steps, and that a taken step is taken.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "../../../daemons/common/totp.h"

static const unsigned char secret[] = "12345678901234567890";

static void test_rfc6238(void **state)
{
    /* Appendix B has eight digits: ours are the last six. */
    static const struct {
        int64_t seconds;
        const char *code;
    } vectors[] = {
        {59, "287082"},         {1111111109, "081804"}, {1111111111, "050471"},
        {1234567890, "005924"}, {2000000000, "279037"}, {20000000000, "353130"},
    };
    char code[SPEEDY_TOTP_CODE];

    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        speedy_totp_code(secret, 20, speedy_totp_step(vectors[i].seconds),
                         code);
        assert_string_equal(code, vectors[i].code);
    }
}

static void test_rfc4226(void **state)
{
    static const char *const vectors[] = {
        "755224", "287082", "359152", "969429", "338314",
        "254676", "287922", "162583", "399871", "520489"};
    char code[SPEEDY_TOTP_CODE];

    (void)state;
    for (int i = 0; i < 10; i++) {
        speedy_totp_code(secret, 20, i, code);
        assert_string_equal(code, vectors[i]);
    }
}

static void test_window(void **state)
{
    int64_t now = 1111111111, step = speedy_totp_step(now);
    char code[SPEEDY_TOTP_CODE];

    (void)state;
    for (int d = -3; d <= 3; d++) {
        speedy_totp_code(secret, 20, step + d, code);
        assert_int_equal(speedy_totp_match(secret, 20, code, now, 0),
                         d >= -1 && d <= 1 ? step + d : 0);
    }
}

static void test_a_taken_step_is_taken(void **state)
{
    int64_t now = 1111111111, step = speedy_totp_step(now);
    char code[SPEEDY_TOTP_CODE], before[SPEEDY_TOTP_CODE];

    (void)state;
    speedy_totp_code(secret, 20, step, code);
    speedy_totp_code(secret, 20, step - 1, before);
    assert_int_equal(speedy_totp_match(secret, 20, code, now, step - 1), step);
    assert_int_equal(speedy_totp_match(secret, 20, code, now, step), 0);
    /* an older code is dead once a newer one was taken */
    assert_int_equal(speedy_totp_match(secret, 20, before, now, step), 0);
}

static void test_no_codes(void **state)
{
    static const char *const bad[] = {"",       "0",      "05047", "0504711",
                                      "      ", "abcdef", "-50471"};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(speedy_totp_match(secret, 20, bad[i], 1111111111, 0),
                         0);
    assert_int_equal(
        speedy_totp_match((const unsigned char *)"another secret ...!!", 20,
                          "050471", 1111111111, 0),
        0);
}

static void test_base32(void **state)
{
    static const char *const vectors[][2] = {{"", ""},
                                             {"f", "MY"},
                                             {"fo", "MZXQ"},
                                             {"foo", "MZXW6"},
                                             {"foob", "MZXW6YQ"},
                                             {"fooba", "MZXW6YTB"},
                                             {"foobar", "MZXW6YTBOI"}};
    char text[SPEEDY_TOTP_BASE32];

    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        speedy_base32(vectors[i][0], strlen(vectors[i][0]), text);
        assert_string_equal(text, vectors[i][1]);
    }
}

static void test_uri(void **state)
{
    struct speedy_buf out = {0};

    (void)state;
    speedy_totp_uri(&out, "sleek speedy", "kim", secret);
    assert_string_equal(out.data,
                        "otpauth://totp/sleek%20speedy:kim?secret="
                        "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=sleek%20speedy"
                        "&algorithm=SHA1&digits=6&period=30");
    speedy_buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc6238),
        cmocka_unit_test(test_rfc4226),
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_a_taken_step_is_taken),
        cmocka_unit_test(test_no_codes),
        cmocka_unit_test(test_base32),
        cmocka_unit_test(test_uri),
    };

    return cmocka_run_group_tests_name("totp", tests, NULL, NULL);
}
