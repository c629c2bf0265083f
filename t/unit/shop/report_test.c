/* The report's page: round figures at the axis, nobody's text as markup. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../../../daemons/shop/report.h"

static struct speedy_buf page;

static void draw(struct speedy_report *r, int64_t most)
{
    snprintf(r->sale.id, sizeof(r->sale.id), "%s", "drop");
    r->sale.opens_at = 1764547200000; /* 2025-12-01, midnight in London */
    r->bar_seconds = 1;
    r->bar_count = 2;
    r->bars[0].at = r->sale.opens_at;
    r->bars[0].orders = most;
    r->bars[1].at = r->sale.opens_at + 5000;
    r->bars[1].orders = 1;
    speedy_buf_free(&page);
    speedy_report_html(&page, r);
    speedy_buf_printf(&page, "%c", '\0');
}

static int says(const char *text)
{
    return strstr(page.data, text) != NULL;
}

static void axes_are_round(void **state)
{
    const struct {
        int64_t most;
        const char *top, *next;
    } at[] = {
        {1, ">4</text>", ">1</text>"},
        {4, ">4</text>", ">3</text>"},
        {5, ">8</text>", ">2</text>"},
        {462, ">800</text>", ">200</text>"},
        {12345, ">20,000</text>", ">5,000</text>"},
        {4000001, ">8,000,000</text>", ">2,000,000</text>"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
        struct speedy_report r = {.left = -1};

        draw(&r, at[i].most);
        assert_true(says(at[i].top));
        assert_true(says(at[i].next));
        assert_false(says("e+0"));
    }
}

static void texts_stay_texts(void **state)
{
    struct speedy_report r = {.total = 1234567, .left = -1, .conserved = true};

    (void)state;
    snprintf(r.product_name, sizeof(r.product_name), "%s", "<b>\"A\" & B</b>");
    snprintf(r.lines[0].name, sizeof(r.lines[0].name), "%s", "I1");
    snprintf(r.lines[0].verdict, sizeof(r.lines[0].verdict), "%s", "ok");
    snprintf(r.lines[0].text, sizeof(r.lines[0].text), "%s", "<script>");
    r.line_count = 1;
    draw(&r, 3);
    assert_true(says("&lt;b&gt;&quot;A&quot; &amp; B&lt;/b&gt;"));
    assert_false(says("<script"));
    assert_true(says("<b>1,234,567</b><span>offered"));
    assert_true(says("<b>?</b><span>left"));
    assert_true(says("opened 2025-12-01 09:00:00 "));
    assert_true(says("closed &ndash;"));
    assert_true(says("2025-12-01 09:00:05"));
}

static int gone(void **state)
{
    (void)state;
    speedy_buf_free(&page);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(axes_are_round),
        cmocka_unit_test(texts_stay_texts),
    };

    return cmocka_run_group_tests_name("report", tests, NULL, gone);
}
