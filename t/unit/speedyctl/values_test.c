/*
 * Values and the command line.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "../../../daemons/speedyctl/sale.h"
#include "../common/capture.h"
#include "run.h"

static void durations(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {{"500ms", 500},  {"5s", 5000},     {"10m", 600000},
                {"2h", 7200000}, {"1d", 86400000}, {"0", 0},
                {"0s", 0},       {"90s", 90000}};
    static const char *const bad[] = {
        "",    "5",    "s",  "-5s", "5 s",
        "5ss", "1.5s", "5S", "+5s", "99999999999999s",
        "10x"};
    int64_t ms;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(ctl_duration(good[i].text, &ms), 0);
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(ctl_duration(bad[i], &ms), -1);
    assert_string_equal(ctl_duration_text(600000), "10m");
    assert_string_equal(ctl_duration_text(90000), "90s");
    assert_string_equal(ctl_duration_text(1500), "1500ms");
}

static void numbers_and_times(void **state)
{
    int64_t n;

    (void)state;
    assert_int_equal(ctl_number("+5", -10, 10, &n), 0);
    assert_int_equal(n, 5);
    assert_int_equal(ctl_number("-5", -10, 10, &n), 0);
    assert_int_equal(n, -5);
    assert_int_equal(ctl_number("11", -10, 10, &n), -1);
    assert_int_equal(ctl_number("", -10, 10, &n), -1);
    assert_int_equal(ctl_number("5x", -10, 10, &n), -1);
    assert_int_equal(ctl_number("+", -10, 10, &n), -1);
    assert_int_equal(ctl_number("9223372036854775808", 0, INT64_MAX, &n), -1);
    assert_int_equal(ctl_time("now", &n), 0);
    assert_int_equal(n, -1);
    assert_int_equal(ctl_time("2026-12-01T10:00:00+09:00", &n), 0);
    assert_int_equal(n, 1796086800000);
    assert_string_equal(ctl_time_text(n), "2026-12-01T10:00:00.000+09:00");
    assert_int_equal(ctl_time("2026-12-01 10:00", &n), -1);
    assert_true(ctl_id("a_B-9"));
    assert_false(ctl_id("a b"));
    assert_false(ctl_id(""));
    assert_false(ctl_id("12345678901234567890123456789012345678901"));
}

static void stock(void **state)
{
    static struct speedy_sale s;
    static const char *const bad[] = {
        "",       "x",           "270=", "=5", "270=5,", "270=5,270=6",
        "270=-1", "270=5 280=6", "-5"};

    (void)state;
    assert_int_equal(sale_stock_parse("1000", &s), 0);
    assert_int_equal(s.variant_count, 1);
    assert_string_equal(s.variant[0].id, "default");
    assert_int_equal(s.variant[0].total, 1000);
    assert_int_equal(sale_stock_parse("270=10,280=5", &s), 0);
    assert_int_equal(s.variant_count, 2);
    assert_string_equal(s.variant[1].id, "280");
    assert_int_equal(s.variant[1].total, 5);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(sale_stock_parse(bad[i], &s), -1);
}

static int parse(struct ctl *c, int argc, const char **argv)
{
    memset(c, 0, sizeof(*c));
    return ctl_parse(c, ctl_commands, argc, (char **)argv);
}

static void command_line(void **state)
{
    static struct ctl c;
    const char *stock[] = {"sale", "stock", "s1", "270", "-5", "--json"};
    const char *equals[] = {"sale", "pause", "s1", "--reason=too fast"};
    const char *logs[] = {"audit", "--client-log", "a", "--client-log=b", "c"};

    (void)state;
    assert_int_equal(parse(&c, 6, stock), -1);
    assert_string_equal(c.command->name, "sale stock");
    assert_int_equal(c.arg_count, 3);
    assert_string_equal(c.args[2], "-5");
    assert_true(c.json);
    assert_int_equal(parse(&c, 4, equals), -1);
    assert_string_equal(ctl_option(&c, "reason"), "too fast");
    assert_null(ctl_option(&c, "actor"));
    assert_int_equal(parse(&c, 5, logs), -1);
    assert_int_equal(c.given_count, 2);
    assert_int_equal(c.arg_count, 1);
}

/* Each wrong use exits 2 and names what is wrong. */
static void wrong_usage(void **state)
{
    (void)state;
    capture_start();
    assert_int_equal(run("sale", "frobnicate", NULL), CTL_USAGE);
    assert_int_equal(run("sale", "pause", NULL), CTL_USAGE);
    assert_int_equal(run("sale", "pause", "a", "b", NULL), CTL_USAGE);
    assert_int_equal(run("sale", "pause", "a", "--force", NULL), CTL_USAGE);
    assert_int_equal(run("token", "--user", NULL), CTL_USAGE);
    assert_int_equal(run("token", "--user", "a b", NULL), CTL_USAGE);
    assert_int_equal(run("token", "--user", "a", "--ttl", "1h", NULL),
                     CTL_USAGE);
    assert_int_equal(run("token", "--users", "9-1", NULL), CTL_USAGE);
    assert_int_equal(run("token", "--user", "a", "--role", "KING", NULL),
                     CTL_USAGE);
    assert_int_equal(run("product", "add", "--id", "a", "--name", "A",
                         "--price", "-1", NULL),
                     CTL_USAGE);
    assert_int_equal(run("sale", "create", "--id", "a", "--product", "p",
                         "--stock", "ten", NULL),
                     CTL_USAGE);
    assert_int_equal(run("sale", "stock", "a", "5", NULL), CTL_USAGE);
    assert_int_equal(run("sale", "extend-holds", "a", "5", NULL), CTL_USAGE);
    assert_int_equal(run("order", "show", "1", NULL), CTL_USAGE);
    assert_int_equal(run("order", "list", "--state", "NONE", NULL), CTL_USAGE);
    assert_int_equal(run("dead-letter", "dismiss", "1", NULL), CTL_USAGE);
    assert_non_null(strstr(capture_stop(), "--force"));
    assert_int_equal(run("help", NULL), CTL_DONE);
    assert_non_null(strstr(run_out, "extend-holds"));
    assert_int_equal(run("help", "sale", "create", NULL), CTL_DONE);
    assert_non_null(strstr(run_out, "--closes-at"));
    assert_int_equal(run("states", "--markdown", NULL), CTL_DONE);
    assert_non_null(strstr(run_out, "| PAY_READY | PAY_APPROVING | payd |"));
}

static void moves_of_a_sale(void **state)
{
    (void)state;
    assert_string_equal(speedy_sale_move_find("pause", "ACTIVE")->to, "PAUSED");
    assert_string_equal(speedy_sale_move_find("close", "PAUSED")->to, "CLOSED");
    assert_null(speedy_sale_move_find("pause", "PAUSED"));
    assert_null(speedy_sale_move_find("resume", "CLOSED"));
    assert_null(speedy_sale_move_find("close", "ARCHIVED"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations),   cmocka_unit_test(numbers_and_times),
        cmocka_unit_test(stock),       cmocka_unit_test(command_line),
        cmocka_unit_test(wrong_usage), cmocka_unit_test(moves_of_a_sale),
    };

    run_settings();
    return cmocka_run_group_tests_name("speedyctl values", tests, NULL, NULL);
}
