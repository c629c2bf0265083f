/* Log lines: one line whatever the values hold, in both forms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "../../../daemons/common/json.h"
#include "../../../daemons/common/log.h"
#include "capture.h"

static int text_form(void **state)
{
    (void)state;
    speedy_log_json(0);
    speedy_log_level_set("info");
    return 0;
}

static void a_line_has_time_level_role_message_and_pairs(void **state)
{
    const char *out;
    int64_t ms;
    char time[32];

    (void)state;
    capture_start();
    speedy_log(SPEEDY_WARN, "MySQL is away", "account=%s errno=%d", "stockd",
               2013);
    out = capture_stop();
    snprintf(time, sizeof(time), "%.24s", out);
    assert_int_equal(speedy_time_parse(time, &ms), 0);
    assert_string_equal(out + 24, " warn stockd_2 MySQL is away account=stockd "
                                  "errno=2013\n");
}

static void values_are_quoted_and_escaped(void **state)
{
    const char *out;

    (void)state;
    capture_start();
    speedy_log(SPEEDY_WARN, "m", "error=%s empty=%s quoted=\"%s\" last=%d",
               "lost \"x\"\nforged level=alarm", "", "a b", 1);
    out = capture_stop();
    assert_non_null(strstr(out, " m error=\"lost \\\"x\\\"\\u000aforged "
                                "level=alarm\" empty=\"\" quoted=\"a b\" "
                                "last=1\n"));
    assert_ptr_equal(strchr(out, '\n'), out + strlen(out) - 1);
}

static void json_lines_are_json(void **state)
{
    struct speedy_json *line;
    enum speedy_json_error why;
    const char *out;
    int64_t n;

    (void)state;
    speedy_log_json(1);
    capture_start();
    speedy_log(SPEEDY_ERROR, "a \"message\"", "id=%s n=%ld error=%s bad=%s",
               "0123", -5L, "x \\ \t y", "\xff\xc0\xaf");
    out = capture_stop();
    line = speedy_json_parse(out, strlen(out), 10000, 2, &why);
    assert_non_null(line);
    assert_string_equal(speedy_json_text(speedy_json_get(line, "message")),
                        "a \"message\"");
    assert_string_equal(speedy_json_text(speedy_json_get(line, "level")),
                        "error");
    assert_string_equal(speedy_json_text(speedy_json_get(line, "role")),
                        "stockd_2");
    /* digits of a text stay a text */
    assert_string_equal(speedy_json_text(speedy_json_get(line, "id")), "0123");
    assert_int_equal(speedy_json_int(speedy_json_get(line, "n"), -10, 10, &n),
                     0);
    assert_int_equal(n, -5);
    assert_string_equal(speedy_json_text(speedy_json_get(line, "error")),
                        "x \\ \t y");
    assert_string_equal(speedy_json_text(speedy_json_get(line, "bad")), "???");
    speedy_json_free(line);
}

static void long_values_end_the_line_in_order(void **state)
{
    static char huge[20000];
    struct speedy_json *line;
    enum speedy_json_error why;
    const char *out;

    (void)state;
    memset(huge, '\n', sizeof(huge) - 1);
    speedy_log_json(1);
    capture_start();
    speedy_log(SPEEDY_ERROR, "long", "a=%s b=%s", huge, huge);
    out = capture_stop();
    assert_true(strlen(out) <= 4096);
    line = speedy_json_parse(out, strlen(out), 10000, 2, &why);
    assert_non_null(line);
    speedy_json_free(line);
}

static void lower_levels_are_silent_and_alarms_are_counted(void **state)
{
    unsigned long before = speedy_log_alarms();

    (void)state;
    assert_int_equal(speedy_log_level_set("loud"), -1);
    assert_int_equal(speedy_log_level_set("error"), 0);
    capture_start();
    speedy_log(SPEEDY_DEBUG, "no", "x=%d", 1);
    speedy_log(SPEEDY_WARN, "no", "x=%d", 1);
    assert_string_equal(capture_stop(), "");
    capture_start();
    speedy_log(SPEEDY_ALARM, "yes", "x=%d", 1);
    assert_non_null(strstr(capture_stop(), " alarm stockd_2 yes x=1\n"));
    assert_int_equal(speedy_log_alarms() - before, 1);
}

static void *log_lines(void *name)
{
    for (int i = 0; i < 100; i++)
        speedy_log(SPEEDY_INFO, "line", "thread=%s padding=%080d", (char *)name,
                   0);
    return NULL;
}

static void lines_of_threads_do_not_mix(void **state)
{
    pthread_t a, b;
    int count = 0;
    char *line, *save = NULL;

    (void)state;
    capture_start();
    pthread_create(&a, NULL, log_lines, "a");
    pthread_create(&b, NULL, log_lines, "b");
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    for (line = strtok_r((char *)capture_stop(), "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        assert_non_null(strstr(line, " info stockd_2 line thread="));
        assert_int_equal(strlen(line), strlen(" info stockd_2 line thread=a "
                                              "padding=") +
                                           24 + 80);
        count++;
    }
    assert_int_equal(count, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_line_has_time_level_role_message_and_pairs,
                               text_form),
        cmocka_unit_test_setup(values_are_quoted_and_escaped, text_form),
        cmocka_unit_test_setup(json_lines_are_json, text_form),
        cmocka_unit_test_setup(long_values_end_the_line_in_order, text_form),
        cmocka_unit_test_setup(lower_levels_are_silent_and_alarms_are_counted,
                               text_form),
        cmocka_unit_test_setup(lines_of_threads_do_not_mix, text_form),
    };

    speedy_log_init("stockd", 2);
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
