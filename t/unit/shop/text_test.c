/*
 * Text as it is searched: folded alike when written and when asked for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../../daemons/shop/text.h"

static void folds_to(const char *text, const char *want)
{
    struct speedy_buf b = {0};

    speedy_text_fold(&b, text, 400);
    assert_string_equal(b.data, want);
    speedy_buf_free(&b);
}

static void folding(void **state)
{
    (void)state;
    folds_to("", "");
    folds_to("Speed RUNNER", "speed runner");
    folds_to("  a \t\n b  ", "a b");
    folds_to("\uff33\uff30\uff25\uff25\uff24\uff01", "speed!");
    folds_to("a\u3000b\u00a0c", "a b c");
    folds_to("\u00c4\u00d6\u00d7 \u0391\u03a9 \u0416\u0401",
             "\u00e4\u00f6\u00d7 \u03b1\u03c9 \u0436\u0451");
    /* unseen characters are not there */
    folds_to("a\u200bb\ufeffc\u00add", "abcd");
    folds_to("\U0001f45f!", "\U0001f45f!");
    /* no UTF-8: left out */
    folds_to("a\xff\xc0\xaf"
             "b",
             "ab");
}

/* U+1100 U+1161 U+11A8 and so on are the syllables of one code point. */
static void hangul(void **state)
{
    (void)state;
    folds_to("\uac00", "\uac00");
    folds_to("\u1100\u1161", "\uac00");
    folds_to("\u1100\u1161\u11a8", "\uac01");
    folds_to("\uac00\u11a8", "\uac01");
    folds_to("\u1112\u1175\u11c2", "\ud7a3");
    /* a trailing one after a whole syllable stays */
    folds_to("\uac01\u11a8", "\uac01\u11a8");
    folds_to("\u1100\u1100\u1161", "\u1100\uac00");
    folds_to("\u110b\u116e\u11ab\u1103\u1169\u11bc", "\uc6b4\ub3d9");
}

static void bounds(void **state)
{
    struct speedy_buf b = {0};

    (void)state;
    /* whole characters only */
    speedy_text_fold(&b, "ab\uac00\uac00", 6);
    assert_string_equal(b.data, "ab\uac00");
    b.len = 0;
    speedy_text_fold(&b, "abc", 0);
    assert_int_equal(b.len, 0);
    speedy_buf_free(&b);
    assert_int_equal(speedy_text_length("a\uac00\U0001f45f"), 3);
    assert_int_equal(speedy_text_length("a\xff"), -1);
    assert_true(speedy_text_valid("\uac00", 1, 1, false));
    assert_false(speedy_text_valid("", 1, 5, false));
    assert_false(speedy_text_valid("a\nb", 1, 5, false));
    assert_true(speedy_text_valid("a\nb", 1, 5, true));
    assert_false(speedy_text_valid("a\x7f", 1, 5, true));
    assert_false(speedy_text_valid("a\xc2\x85", 1, 5, true));
    assert_false(speedy_text_valid("\xed\xa0\x80", 1, 5, true));
}

static void patterns(void **state)
{
    struct speedy_buf b = {0};

    (void)state;
    speedy_text_like(&b, "a%b_c|d\\e", 9);
    assert_string_equal(b.data, "%a|%b|_c||d\\e%");
    speedy_buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folding),
        cmocka_unit_test(hangul),
        cmocka_unit_test(bounds),
        cmocka_unit_test(patterns),
    };

    return cmocka_run_group_tests_name("shop text", tests, NULL, NULL);
}
