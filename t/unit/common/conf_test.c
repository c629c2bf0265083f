/* speedy.conf: values, defaults, and errors that name line and remedy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "../../../daemons/common/conf.h"
#include "capture.h"
#include "servers.h"

static char *name;
static long count, beat, room, loud;
static const struct speedy_setting role_table[] = {
    {"stockd", "name", SPEEDY_CONF_TEXT, &name, "nobody", 0, 0},
    {"stockd", "count", SPEEDY_CONF_INT, &count, "3", 1, 10},
    {"stockd", "beat", SPEEDY_CONF_MSEC, &beat, "500ms", 100, 60000},
    {"stockd", "room", SPEEDY_CONF_SIZE, &room, "4k", 0, 0},
    {"stockd", "loud", SPEEDY_CONF_BOOL, &loud, "off", 0, 0},
    {NULL, NULL, SPEEDY_CONF_TEXT, NULL, NULL, 0, 0}};
static const struct speedy_setting *const tables[] = {speedy_conf_table,
                                                      role_table, NULL};
static const char *path;

/* What is printed while the text is read; "" when it is right. */
static const char *load(const char *text)
{
    const char *out;
    int status;

    path = servers_file("speedy.conf", text, 0600);
    capture_start();
    status = speedy_conf_load(path, tables);
    out = capture_stop();
    assert_int_equal(status, out[0] == '\0' ? 0 : -1);
    return out;
}

static void expect_error(const char *text, int line, const char *what)
{
    char want[600];
    const char *out = load(text);

    if (line > 0)
        snprintf(want, sizeof(want), "%s:%d: %s", path, line, what);
    else
        snprintf(want, sizeof(want), "%s: %s", path, what);
    if (strncmp(out, want, strlen(want)) != 0)
        fail_msg("expected: %s\ngot: %s", want, out);
}

static void defaults_stand_where_nothing_is_said(void **state)
{
    (void)state;
    assert_string_equal(load(""), "");
    assert_string_equal(name, "nobody");
    assert_int_equal(count, 3);
    assert_int_equal(beat, 500);
    assert_int_equal(room, 4096);
    assert_int_equal(loud, 0);
    assert_null(speedy_conf.redis_socket);
    assert_int_equal(speedy_conf.redis_timeout, 1000);
    assert_string_equal(speedy_conf.kafka_orders_topic, "speedy.orders");
    assert_int_equal(speedy_conf.kafka.count, 0);
}

static void values_are_converted(void **state)
{
    (void)state;
    assert_string_equal(load("# a comment\n"
                             "[stockd]\n"
                             "name = a b # trailing\r\n"
                             "  count=10\n"
                             "beat = 1m\n"
                             "room = 8m\n"
                             "loud = yes\n"
                             "[orderd]\nwhatever = of another role\n"
                             "[redis]\nsocket = /run/r#1.sock\nhost =\n"
                             "timeout = 2s\n"
                             "[kafka]\nkafka.linger.ms = 5\n"
                             "kafka.socket.timeout.ms = 3000\n"),
                        "");
    assert_string_equal(name, "a b");
    assert_int_equal(count, 10);
    assert_int_equal(beat, 60000);
    assert_int_equal(room, 8388608);
    assert_int_equal(loud, 1);
    assert_string_equal(speedy_conf.redis_socket, "/run/r#1.sock");
    assert_null(speedy_conf.redis_host);
    assert_int_equal(speedy_conf.redis_timeout, 2000);
    assert_int_equal(speedy_conf.kafka.count, 2);
    assert_string_equal(speedy_conf.kafka.at[0].key, "linger.ms");
    assert_string_equal(speedy_conf.kafka.at[1].value, "3000");
}

static void errors_name_line_and_remedy(void **state)
{
    (void)state;
    expect_error("[stockd]\ncuont = 3\n", 2,
                 "unknown key \"cuont\" in [stockd]; remove it");
    expect_error("\n[redsi]\n", 2, "unknown section [redsi]");
    expect_error("[stockd]\ncount = 11\n", 2,
                 "\"count\" of [stockd] is \"11\"; it must lie between 1 and "
                 "10");
    expect_error("[stockd]\ncount = 3x\n", 2,
                 "\"count\" of [stockd] is \"3x\"; it must be a whole number");
    expect_error("[stockd]\nbeat = 500\n", 2,
                 "\"beat\" of [stockd] is \"500\"; it must be a time with its "
                 "unit");
    expect_error("[stockd]\nbeat = 99999999999999999h\n", 2, "\"beat\"");
    expect_error("[stockd]\nbeat = 2h\n", 2,
                 "\"beat\" of [stockd] is \"2h\"; it must lie between 100 ms");
    expect_error("[stockd]\nloud = maybe\n", 2,
                 "\"loud\" of [stockd] is \"maybe\"; it must be on or off");
    expect_error("[stockd]\ncount =\n", 2, "\"count\" of [stockd] is \"\"");
    expect_error("[stockd]\ncount = 3\n\ncount = 4\n", 4,
                 "\"count\" in [stockd] was set in line 2 already");
    expect_error("count = 3\n", 1, "\"count\" stands before any [section]");
    expect_error("[stockd\n", 1, "\"[stockd\" lacks its closing bracket");
    expect_error("[stockd]\nnothing\n", 2, "\"nothing\" is neither");
    expect_error("[log]\nlevel = loud\n", 0, "\"level\" of [log] is \"loud\"");
    expect_error("[mysql]\nhost =\n", 0, "[mysql] names no server");
}

static void kafka_properties_are_checked(void **state)
{
    (void)state;
    expect_error("[kafka]\nkafka.linger.msec = 5\n", 2,
                 "\"kafka.linger.msec\" is \"5\": No such configuration");
    expect_error("[kafka]\nkafka.linger.ms = soon\n", 2,
                 "\"kafka.linger.ms\" is \"soon\": ");
    expect_error("[kafka]\nkafka.acks = 1\n", 2,
                 "\"kafka.acks\" is \"1\": speedy sets this property itself");
    expect_error("[kafka]\nkafka.linger.ms = 5\nkafka.linger.ms = 6\n", 3,
                 "\"kafka.linger.ms\" is set twice");
}

static void every_error_is_told(void **state)
{
    const char *out = load("[stockd]\ncount = x\nbeat = y\n[foo]\n");
    int lines = 0;

    (void)state;
    for (const char *c = out; *c != '\0'; c++)
        lines += *c == '\n';
    assert_int_equal(lines, 3);
}

static void a_missing_file_is_an_error(void **state)
{
    (void)state;
    capture_start();
    assert_int_equal(speedy_conf_load("/nonexistent/speedy.conf", tables), -1);
    assert_non_null(
        strstr(capture_stop(), "/nonexistent/speedy.conf: cannot be read"));
}

static void secrets_are_kept_from_others(void **state)
{
    size_t len = 0;
    char *s;

    (void)state;
    s = speedy_secret_read(servers_file("s", "pass word\n", 0400), 100, &len);
    assert_string_equal(s, "pass word");
    assert_int_equal(len, 9);
    speedy_secret_free(s);
    s = speedy_secret_read(servers_file("s", "12345", 0600), 5, NULL);
    assert_string_equal(s, "12345");
    speedy_secret_free(s);

    capture_start();
    assert_null(speedy_secret_read(servers_file("s", "x", 0440), 100, NULL));
    assert_non_null(strstr(capture_stop(), "chmod 0400"));
    capture_start();
    assert_null(speedy_secret_read(servers_file("s", "x", 0604), 100, NULL));
    assert_null(speedy_secret_read(servers_file("s", "", 0400), 100, NULL));
    assert_null(speedy_secret_read(servers_file("s", "\n", 0400), 100, NULL));
    assert_null(speedy_secret_read(servers_file("s", "123456", 0400), 5, NULL));
    assert_null(speedy_secret_read(servers_dir(), 100, NULL));
    assert_null(speedy_secret_read("/nonexistent", 100, NULL));
    capture_stop();
}

#define ARGV(...) ((char *[]){"stockd", __VA_ARGS__, NULL})

static void command_lines(void **state)
{
    struct speedy_options o;
    char *good;
    char bad[600];

    (void)state;
    snprintf(bad, sizeof(bad), "%s", servers_file("bad", "[x]\n", 0600));
    good = (char *)servers_file("speedy.conf", "[stockd]\ncount=4\n", 0600);
    assert_int_equal(speedy_options_parse(5, ARGV("-c", good, "-i", "7"),
                                          "stockd", role_table, &o),
                     -1);
    assert_string_equal(o.conf, good);
    assert_int_equal(o.instance, 7);
    assert_int_equal(count, 4);
    capture_start();
    assert_int_equal(
        speedy_options_parse(3, ARGV("-c", bad), "stockd", role_table, &o), 2);
    assert_int_equal(
        speedy_options_parse(3, ARGV("-i", "0"), "stockd", NULL, &o), 2);
    assert_int_equal(speedy_options_parse(2, ARGV("-x"), "stockd", NULL, &o),
                     2);
    assert_int_equal(speedy_options_parse(2, ARGV("extra"), "stockd", NULL, &o),
                     2);
    capture_stop();
    assert_int_equal(speedy_options_parse(4, ARGV("-t", "-c", good), "stockd",
                                          role_table, &o),
                     0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_stand_where_nothing_is_said),
        cmocka_unit_test(values_are_converted),
        cmocka_unit_test(errors_name_line_and_remedy),
        cmocka_unit_test(kafka_properties_are_checked),
        cmocka_unit_test(every_error_is_told),
        cmocka_unit_test(a_missing_file_is_an_error),
        cmocka_unit_test(secrets_are_kept_from_others),
        cmocka_unit_test(command_lines),
    };

    return cmocka_run_group_tests_name("conf", tests, NULL, NULL);
}
