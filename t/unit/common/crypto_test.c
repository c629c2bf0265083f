/* Digests against published vectors; strictness of what is read back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "../../../daemons/common/crypto.h"
#include "../../../daemons/common/loop.h"

static void digests(void **state)
{
    unsigned char out[32];
    char hex[65];

    (void)state;
    speedy_sha256("abc", 3, out);
    speedy_hex(out, 32, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9c"
                             "b410ff61f20015ad");
    /* RFC 4231, test case 2 */
    speedy_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, out);
    speedy_hex(out, 32, hex);
    assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c75a003f089d273983"
                             "9dec58b964ec3843");
}

static void draws_are_even(void **state)
{
    /* 3 * 2^30 of 2^32: a plain remainder would favour the lower third */
    uint32_t n = UINT32_C(3) << 30;
    long low = 0, seen[10] = {0};

    (void)state;
    for (int i = 0; i < 20000; i++) {
        low += speedy_random_below(n) < UINT32_C(1) << 30;
        seen[speedy_random_below(10)]++;
    }
    /* one third each, to 6 standard deviations; modulo would give a half */
    assert_in_range(low, 6666 - 400, 6666 + 400);
    for (int i = 0; i < 10; i++)
        assert_in_range(seen[i], 2000 - 260, 2000 + 260);
    assert_int_equal(speedy_random_below(1), 0);
}

static void equality(void **state)
{
    (void)state;
    assert_true(speedy_equal("abc", "abc", 3));
    assert_false(speedy_equal("abc", "abd", 3));
    assert_false(speedy_equal("xbc", "abc", 3));
    assert_true(speedy_equal("x", "y", 0));
}

static void hex_is_exact(void **state)
{
    unsigned char out[2];

    (void)state;
    assert_int_equal(speedy_unhex("aF09", 4, out, 2), 0);
    assert_int_equal(out[0], 0xaf);
    assert_int_equal(out[1], 0x09);
    assert_int_equal(speedy_unhex("aF0", 3, out, 2), -1);
    assert_int_equal(speedy_unhex("aF091", 5, out, 2), -1);
    assert_int_equal(speedy_unhex("aG09", 4, out, 2), -1);
    assert_int_equal(speedy_unhex(" f09", 4, out, 2), -1);
}

static void base64url_goes_there_and_back(void **state)
{
    unsigned char in[64], back[64];
    char text[100];

    (void)state;
    for (size_t len = 0; len <= sizeof(in); len++) {
        size_t n;

        speedy_random(in, len);
        n = speedy_base64url(in, len, text);
        assert_int_equal(n, strlen(text));
        assert_null(strpbrk(text, "+/="));
        assert_int_equal(speedy_unbase64url(text, n, back, sizeof(back)),
                         (long)len);
        assert_memory_equal(in, back, len);
    }
    assert_int_equal(speedy_base64url("\xfb\xff", 2, text), 3);
    assert_string_equal(text, "-_8");
}

static void base64url_is_strict(void **state)
{
    char out[8];

    (void)state;
    assert_int_equal(speedy_unbase64url("-_8", 3, out, 8), 2);
    assert_int_equal(speedy_unbase64url("-_8=", 4, out, 8), -1);
    assert_int_equal(speedy_unbase64url("+/8", 3, out, 8), -1);
    assert_int_equal(speedy_unbase64url("-_9", 3, out, 8), -1); /* stray bits */
    assert_int_equal(speedy_unbase64url("A", 1, out, 8), -1);
    assert_int_equal(speedy_unbase64url("AA\0A", 4, out, 8), -1);
    assert_int_equal(speedy_unbase64url("AAAA", 4, out, 2), -1); /* no room */
}

static void uuids(void **state)
{
    unsigned char id[16], back[16], other[16];
    int64_t before = speedy_now_real();
    char text[37];

    (void)state;
    speedy_uuid7(id);
    speedy_uuid7(other);
    assert_memory_not_equal(id, other, 16);
    assert_in_range(speedy_uuid_time(id), before, speedy_now_real());
    speedy_uuid_text(id, text);
    assert_int_equal(strlen(text), 36);
    assert_int_equal(text[14], '7');
    assert_non_null(strchr("89ab", text[19]));
    assert_int_equal(speedy_uuid_parse(text, 36, back), 0);
    assert_memory_equal(id, back, 16);
}

static void uuid_text_is_exact(void **state)
{
    unsigned char id[16];

    (void)state;
    assert_int_equal(
        speedy_uuid_parse("018F4E3C-7B2A-7CDE-8000-0123456789ab", 36, id), 0);
    assert_int_equal(id[0], 0x01);
    assert_int_equal(id[15], 0xab);
    assert_int_equal(
        speedy_uuid_parse("018f4e3c-7b2a-7cde-8000-0123456789a", 35, id), -1);
    assert_int_equal(
        speedy_uuid_parse("018f4e3c07b2a-7cde-8000-0123456789ab", 36, id), -1);
    assert_int_equal(
        speedy_uuid_parse("018f4e3c-7b2a-7cde-8000-0123456789ag", 36, id), -1);
    assert_int_equal(
        speedy_uuid_parse("018f4e3c-7b2a-7cde-80-00123456789abc", 36, id), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests),
        cmocka_unit_test(draws_are_even),
        cmocka_unit_test(equality),
        cmocka_unit_test(hex_is_exact),
        cmocka_unit_test(base64url_goes_there_and_back),
        cmocka_unit_test(base64url_is_strict),
        cmocka_unit_test(uuids),
        cmocka_unit_test(uuid_text_is_exact),
    };

    return cmocka_run_group_tests_name("crypto", tests, NULL, NULL);
}
