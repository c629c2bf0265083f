/*
 * What addresses, phone numbers, names, postcodes, codes and passwords may
 * be, and the one form in which each is kept.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../../../daemons/userd/email.h"
#include "../../../daemons/userd/password_rules.h"
#include "../../../daemons/userd/phone.h"
#include "../../../daemons/userd/text.h"

/* in, and what comes out: NULL for refused */
struct pair {
    const char *in, *out;
};

static void fill(char *to, const char *unit, size_t n, const char *rest)
{
    size_t len = strlen(unit);

    for (size_t i = 0; i < n; i++, to += len)
        memcpy(to, unit, len);
    memcpy(to, rest, strlen(rest) + 1);
}

static void check(const char *in, int rc, const char *got, const char *want)
{
    if ((want == NULL) == (rc == 0) || (want != NULL && strcmp(got, want) != 0))
        fail_msg("\"%s\": %d \"%s\", not \"%s\"", in, rc, rc == 0 ? got : "",
                 want == NULL ? "(refused)" : want);
}

static void addresses(void **state)
{
    static const struct pair pairs[] = {
        {"shopper@example.com", "shopper@example.com"},
        {"  Shopper@EXAMPLE.com\t", "shopper@example.com"},
        {"shopper+sale@example.com", "shopper+sale@example.com"},
        {"a.b-c_d@mail.example.co.kr", "a.b-c_d@mail.example.co.kr"},
        {"!#$%&'*+/=?^_`{|}~-@example.com", "!#$%&'*+/=?^_`{|}~-@example.com"},
        {"shopper@한국.kr", "shopper@xn--3e0b707e.kr"},
        {"shopper@XN--3E0B707E.kr", "shopper@xn--3e0b707e.kr"},
        {"shopper@BÜCHER.example", "shopper@xn--bcher-kva.example"},
        {"shopper@ｅｘａｍｐｌｅ．com", "shopper@example.com"},
        {"홍길동@example.com", NULL},
        {"shopper\r\n@example.com", NULL},
        {"shopper@example.com\r\nBcc: other@example.com", NULL},
        {"shopper@example.com\n", NULL},
        {"shop per@example.com", NULL},
        {"shopper@exam ple.com", NULL},
        {"shopper@@example.com", NULL},
        {"shopper@other@example.com", NULL},
        {"shopper@example＠other.com", NULL},
        {"\"shopper\"@example.com", NULL},
        {"\"a@b\"@example.com", NULL},
        {"<shopper@example.com>", NULL},
        {"shopper@example.com,other@example.com", NULL},
        {"shopper(me)@example.com", NULL},
        {"shopper@[127.0.0.1]", NULL},
        {"shopper@127.0.0.1", NULL},
        {"shopper@localhost", NULL},
        {"shopper@example.com.", NULL},
        {"shopper@.example.com", NULL},
        {"shopper@exa_mple.com", NULL},
        {"shopper@-example.com", NULL},
        {"shopper@example-.com", NULL},
        {"shopper@exam\x7fple.com", NULL},
        {".shopper@example.com", NULL},
        {"shopper.@example.com", NULL},
        {"shop..per@example.com", NULL},
        {"@example.com", NULL},
        {"shopper@", NULL},
        {"shopper", NULL},
        {"@", NULL},
        {"", NULL},
        {"  ", NULL},
    };
    char out[USERD_EMAIL_MAX + 1];

    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        check(pairs[i].in, userd_email_normalise(pairs[i].in, out), out,
              pairs[i].out);
}

/* 64 and 254 characters are the most; nothing is cut off. */
static void long_addresses(void **state)
{
    char in[70000], out[USERD_EMAIL_MAX + 1];
    /* 64 + @ + 3 * 60 + 9 */
    const char *domain =
        "@aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
        "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb."
        "ccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.example";

    (void)state;
    fill(in, "x", 64, "@example.com");
    check(in, userd_email_normalise(in, out), out, in);
    fill(in, "x", 65, "@example.com");
    check(in, userd_email_normalise(in, out), out, NULL);
    fill(in, "x", 254 - strlen(domain), domain);
    assert_int_equal(strlen(in), 254);
    check(in, userd_email_normalise(in, out), out, NULL);
    fill(in, "x", 64, domain);
    assert_in_range(strlen(in), 250, 254);
    check(in, userd_email_normalise(in, out), out, in);
    fill(in, "x", 64, domain);
    memcpy(in + strlen(in), "aaaaa", 6);
    assert_in_range(strlen(in), 255, 260);
    check(in, userd_email_normalise(in, out), out, NULL);
    fill(in, "x", 65000, "@example.com");
    check(in, userd_email_normalise(in, out), out, NULL);
    fill(in, "x@y", 20000, "");
    check(in, userd_email_normalise(in, out), out, NULL);
}

static void phones(void **state)
{
    static const struct pair pairs[] = {
        {"010-1234-5678", "+821012345678"},
        {"01012345678", "+821012345678"},
        {" 010 1234 5678 ", "+821012345678"},
        {"０１０－1234", NULL},
        {"０１０-１２３４-５６７８", "+821012345678"},
        {"+82 10-1234-5678", "+821012345678"},
        {"+82 010-1234-5678", "+821012345678"},
        {"+82 (0)10-1234-5678", "+821012345678"},
        {"011-123-4567", "+82111234567"},
        {"02-123-4567", "+8221234567"},
        {"02-1234-5678", "+82212345678"},
        {"(031) 123-4567", "+82311234567"},
        {"070-1234-5678", "+827012345678"},
        {"0505-1234-5678", "+8250512345678"},
        {"080-123-4567", "+82801234567"},
        {"+1 (212) 555-0100", "+12125550100"},
        {"+81 3-1234-5678", "+81312345678"},
        {"+49 30 123456", "+4930123456"},
        {"010-123-4567", NULL},
        {"010-1234-56789", NULL},
        {"1588-1234", NULL},
        {"12345678", NULL},
        {"099-1234-5678", NULL},
        {"+82 1588-1234", NULL},
        {"+0 123456789", NULL},
        {"+123456", NULL},
        {"+1234567890123456", NULL},
        {"++821012345678", NULL},
        {"010-1234-567a", NULL},
        {"010\r\n12345678", NULL},
        {"", NULL},
        {"+", NULL},
        {"-", NULL},
    };
    char out[USERD_PHONE_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        check(pairs[i].in, userd_phone_normalise(pairs[i].in, out), out,
              pairs[i].out);
}

static void names(void **state)
{
    static const struct pair pairs[] = {
        {"홍길동", "홍길동"},
        {"  홍  길동 ", "홍 길동"},
        {"홍　길동", "홍 길동"},
        {"김", "김"},
        {"Gildong Hong", "Gildong Hong"},
        {"김 솔-리아", "김 솔-리아"},
        {"홍·길동", "홍·길동"},
        {"O'Brien", "O'Brien"},
        {"José", "José"},
        {"Jose\xcc\x81", "Jose\xcc\x81"},
        {"阮文", "阮文"},
        {"", NULL},
        {"   ", NULL},
        {"-", NULL},
        {"·홍", NULL},
        {"홍길동1", NULL},
        {"홍길동!", NULL},
        {"홍\n길동", NULL},
        {"홍\r\nBcc: x", NULL},
        {"홍\x01길동", NULL},
        {"홍길동😀", NULL},
        {"<b>홍길동</b>", NULL},
        {"홍\xe2\x80\xae길동", NULL}, /* right-to-left override */
        {"홍\xe2\x80\x8b길동", NULL}, /* zero-width space */
    };
    char out[USERD_NAME_SIZE], in[400];

    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        check(pairs[i].in, userd_name_normalise(pairs[i].in, out), out,
              pairs[i].out);
    fill(in, "홍", 50, "");
    check(in, userd_name_normalise(in, out), out, in);
    fill(in, "홍", 51, "");
    check(in, userd_name_normalise(in, out), out, NULL);
    fill(in, "홍 ", 26, "");
    check(in, userd_name_normalise(in, out), out, NULL);
}

static void lines(void **state)
{
    char out[USERD_LINE_SIZE], in[500];

    (void)state;
    assert_int_equal(
        userd_line_normalise(" 서울시 중구  세종대로 110 (태평로1가)", 1, out),
        0);
    assert_string_equal(out, "서울시 중구 세종대로 110 (태평로1가)");
    assert_int_equal(userd_line_normalise("", 0, out), 0);
    assert_string_equal(out, "");
    assert_int_equal(userd_line_normalise(" ", 1, out), -1);
    assert_int_equal(userd_line_normalise("101동\n202호", 1, out), -1);
    assert_int_equal(userd_line_normalise("a\xe2\x80\xae"
                                          "b",
                                          1, out),
                     -1);
    fill(in, "동", 100, "");
    assert_int_equal(userd_line_normalise(in, 1, out), 0);
    fill(in, "동", 101, "");
    assert_int_equal(userd_line_normalise(in, 1, out), -1);
}

static void digits(void **state)
{
    static const struct pair postcodes[] = {
        {"04524", "04524"},   {"０４５２４", "04524"},
        {" 04524 ", "04524"}, {"4524", NULL},
        {"045244", NULL},     {"0452a", NULL},
        {"04-524", NULL},     {"", NULL},
    };
    static const struct pair codes[] = {
        {"012345", "012345"},
        {"１２３４５６", "123456"},
        {" 123 456 ", "123456"},
        {"123-456", "123456"},
        {"１２３　４５６", "123456"},
        {"12345", NULL},
        {"1234567", NULL},
        {"12345a", NULL},
        {"", NULL},
    };
    char out[USERD_CODE_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof(postcodes) / sizeof(postcodes[0]); i++)
        check(postcodes[i].in, userd_postcode_normalise(postcodes[i].in, out),
              out, postcodes[i].out);
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        check(codes[i].in, userd_code_normalise(codes[i].in, out), out,
              codes[i].out);
}

static void password(const char *text, const char *email, const char *want)
{
    const char *got = userd_password_check(text, email);

    if (got == NULL || want == NULL ? got != want : strcmp(got, want) != 0)
        fail_msg("\"%s\": %s", text, got == NULL ? "(taken)" : got);
}

static void passwords(void **state)
{
    char text[1000];

    (void)state;
    password("k7#mQ2p", NULL, "password_too_short");
    password("k7#mQ2pV", NULL, NULL);
    password("", NULL, "password_too_short");
    password("비밀번호는길다", NULL, "password_too_short");
    password("비밀번호는길다!", NULL, NULL);
    password("🐢🐢🐢🐢🐢🐢🐢", NULL, "password_too_short");
    password("🐢🐢🐢🐢🐢🐢🐢🐢", NULL, NULL);
    password("  spaces count  ", NULL, NULL);
    fill(text, "🐢", 128, "");
    password(text, NULL, NULL);
    fill(text, "🐢", 129, "");
    password(text, NULL, "password_too_long");
    fill(text, "x", 128, "");
    password(text, NULL, NULL);
    fill(text, "x", 129, "");
    password(text, NULL, "password_too_long");
    password("password", NULL, "password_common");
    password("PassWord123!", NULL, "password_common");
    password("QWER1234", NULL, "password_common");
    password("1q2w3e4r", NULL, "password_common");
    password("11111111", NULL, "password_common");
    password("12345678", NULL, "password_common");
    password("dkssudgktpdy", NULL, "password_common");
    password("zzzzzzzz", NULL, "password_common");
    password("Shopper@Example.com", "shopper@example.com", "password_common");
    password("longshopper", "longshopper@example.com", "password_common");
    password("longshopper", "longshopper2@example.com", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses), cmocka_unit_test(long_addresses),
        cmocka_unit_test(phones),    cmocka_unit_test(names),
        cmocka_unit_test(lines),     cmocka_unit_test(digits),
        cmocka_unit_test(passwords),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
