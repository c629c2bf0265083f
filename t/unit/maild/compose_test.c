/*
 * Header injection, encoded-words within their limits, bodies that no server
 * can misread. That another program reads the same text back is tested by
 * t/life/mail_mta.t.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <openssl/evp.h>

#include "../../../daemons/maild/compose.h"

#define HANGUL "안녕하세요홍길동님이메일인증코드를보내드립니다"

static const unsigned char id[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};

static struct maild_message message(void)
{
    return (struct maild_message){.id = id,
                                  .from = "shop@example.com",
                                  .from_name = "sleek speedy",
                                  .to = "shopper@example.com",
                                  .language = "ko",
                                  .subject = "hello",
                                  .text = "hi\n",
                                  .html = "<p>hi</p>\n",
                                  .date = 1795424400000};
}

static void addresses(void **state)
{
    static const char *const good[] = {
        "a@b.co",          "first.last@example.com", "plus+tag@example.com",
        "o'x@example.com", "x@xn--9t4b11yi5a.com",   "root@localhost"};
    static const char *const bad[] = {
        "",
        "a",
        "@example.com",
        "a@",
        "a@b@c.com",
        "a b@example.com",
        "a@exam ple.com",
        "a@example.com\r\nRCPT TO:<evil@example.com>",
        "a@example.com\n",
        "a\r\nRCPT@example.com",
        "a\nb@example.com",
        "\"a b\"@example.com",
        "a@example.com>",
        "<a@example.com",
        "a@example.com,b@example.com",
        ".a@example.com",
        "a.@example.com",
        "a..b@example.com",
        "a@-example.com",
        "a@example..com",
        "a@example.com.",
        "한글@example.com",
        "a@한글.com",
        "a\x7f@example.com",
        "a\t@example.com",
        "a@[127.0.0.1]"};
    char text[400];

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (!maild_address_valid(good[i]))
            fail_msg("refused: %s", good[i]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (maild_address_valid(bad[i]))
            fail_msg("let pass: %s", bad[i]);
    }
    memset(text, 'a', sizeof(text));
    memcpy(text + 65, "@example.com", 13);
    assert_false(maild_address_valid(text));
    assert_true(maild_address_valid(text + 1));
    snprintf(
        text, sizeof(text), "a@%.*s.com", 64,
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    assert_false(maild_address_valid(text));
    memset(text, 'a', 255);
    memcpy(text, "a@", 2);
    for (int i = 60; i < 255; i += 60)
        text[i] = '.';
    text[254] = '\0';
    assert_true(maild_address_valid(text));
    text[254] = 'a';
    text[255] = '\0';
    assert_false(maild_address_valid(text));
}

/* Decodes every encoded-word of a folded header; checks the limits. */
static void decode(const char *header, const char *name, char *out)
{
    const char *at = header + strlen(name) + 2;
    size_t n = 0;

    for (const char *line = header; *line != '\0';) {
        const char *end = strstr(line, "\r\n");

        assert_non_null(end);
        assert_true(end - line <= 76);
        line = end + 2;
        assert_true(*line == '\0' || *line == ' ');
    }
    while ((at = strstr(at, "=?UTF-8?B?")) != NULL) {
        const char *end = strstr(at + 10, "?=");
        unsigned char part[80];
        int len;

        assert_true(end + 2 - at <= 75);
        at += 10;
        len = EVP_DecodeBlock(part, (const unsigned char *)at, (int)(end - at));
        assert_true(len > 0);
        while (end > at && end[-1] == '=') {
            len--;
            end--;
        }
        /* each word holds whole characters */
        assert_true((part[0] & 0xc0) != 0x80);
        for (int i = 0; i < len;) {
            size_t one = speedy_utf8_length(part + i, (size_t)(len - i));

            assert_true(one > 0);
            i += (int)one;
        }
        memcpy(out + n, part, (size_t)len);
        n += (size_t)len;
        at = end;
    }
    out[n] = '\0';
}

static void korean_subjects_of_every_length(void **state)
{
    char text[400] = "", back[400];
    struct speedy_buf out = {0};
    const char *from = HANGUL HANGUL "\xf0\x9f\x91\x9f"
                                     "끝";

    (void)state;
    for (size_t n = 0; from[n] != '\0';) {
        size_t one = speedy_utf8_length(from + n, strlen(from + n));

        n += one;
        for (int ascii = 0; ascii < 4; ascii++) {
            snprintf(text, sizeof(text), "%.*s%.*s", ascii, "[x]", (int)n,
                     from);
            out.len = 0;
            assert_int_equal(maild_header(&out, "Subject", text), 0);
            decode(out.data, "Subject", back);
            assert_string_equal(back, text);
        }
    }
    speedy_buf_free(&out);
}

static void plain_subjects_stay(void **state)
{
    struct speedy_buf out = {0};
    char back[400];

    (void)state;
    assert_int_equal(maild_header(&out, "Subject", "[shop] Your code: 1"), 0);
    assert_string_equal(out.data, "Subject: [shop] Your code: 1\r\n");
    /* what looks like an encoded-word, and what is too long, is encoded */
    out.len = 0;
    assert_int_equal(maild_header(&out, "Subject", "=?UTF-8?B?eA==?="), 0);
    decode(out.data, "Subject", back);
    assert_string_equal(back, "=?UTF-8?B?eA==?=");
    speedy_buf_free(&out);
}

static void header_texts_cannot_end_a_line(void **state)
{
    static const char *const bad[] = {"a\r\nBcc: evil@example.com",
                                      "a\nb",
                                      "a\rb",
                                      "a\x7f",
                                      "a\tb",
                                      "\xff",
                                      "\xc3"};
    struct speedy_buf out = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct maild_message m = message();

        assert_int_equal(maild_header(&out, "Subject", bad[i]), -1);
        m.subject = bad[i];
        assert_int_equal(maild_compose(&m, &out), -1);
        m = message();
        m.from_name = bad[i];
        assert_int_equal(maild_compose(&m, &out), -1);
    }
    speedy_buf_free(&out);
}

static void addresses_cannot_end_a_line(void **state)
{
    static const char evil[] = "a@example.com\r\nBcc: evil@example.com";
    struct speedy_buf out = {0};
    struct maild_message m = message();

    (void)state;
    m.to = evil;
    assert_int_equal(maild_compose(&m, &out), -1);
    m = message();
    m.from = evil;
    assert_int_equal(maild_compose(&m, &out), -1);
    m = message();
    m.reply_to = evil;
    assert_int_equal(maild_compose(&m, &out), -1);
    speedy_buf_free(&out);
}

static int count(const char *text, const char *what)
{
    int n = 0;

    while ((text = strstr(text, what)) != NULL) {
        n++;
        text += strlen(what);
    }
    return n;
}

static void a_whole_mail(void **state)
{
    static const char *const once[] = {
        "From: ",
        "To: <shopper@example.com>\r\n",
        "Subject: ",
        "Date: ",
        "Message-ID: ",
        "MIME-Version: 1.0\r\n",
        "Auto-Submitted: auto-generated\r\n",
        "boundary=",
    };
    struct maild_message m = message();
    struct speedy_buf out = {0};
    const char *line;

    (void)state;
    m.subject = HANGUL;
    m.text = ".\n.leading dot\nlong " HANGUL HANGUL HANGUL HANGUL "\n";
    m.html = "<p>" HANGUL "</p>";
    assert_int_equal(maild_compose(&m, &out), 0);
    for (size_t i = 0; i < sizeof(once) / sizeof(once[0]); i++)
        assert_int_equal(count(out.data, once[i]), 1);
    assert_non_null(strstr(out.data, "Date: Mon, 23 Nov 2026 09:00:00 +0000"));
    assert_non_null(strstr(out.data,
                           "Message-ID: <0102030405060708090a000000000000"
                           "@example.com>\r\n"));
    line = out.data;
    while (*line != '\0') {
        const char *end = strchr(line, '\n');

        assert_non_null(end);
        assert_true(end > line && end[-1] == '\r');
        assert_true(end - line <= 77);
        assert_true(line[0] != '.');
        for (const char *c = line; c < end - 1; c++)
            assert_true(*c >= 0x20 && *c < 0x7f);
        line = end + 1;
    }
    speedy_buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(korean_subjects_of_every_length),
        cmocka_unit_test(plain_subjects_stay),
        cmocka_unit_test(header_texts_cannot_end_a_line),
        cmocka_unit_test(addresses_cannot_end_a_line),
        cmocka_unit_test(a_whole_mail),
    };

    return cmocka_run_group_tests_name("maild compose", tests, NULL, NULL);
}
