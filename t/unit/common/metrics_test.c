/* Metrics in the form that Prometheus reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#include "../../../daemons/common/metrics.h"

static struct speedy_metric done = {.name = "speedy_done_total",
                                    .help = "Done.",
                                    .type = SPEEDY_COUNTER,
                                    .labels = "kind=\"a\""};
static struct speedy_metric level = {
    .name = "speedy_level", .help = "Level.", .type = SPEEDY_GAUGE};
static struct speedy_metric done_b = {.name = "speedy_done_total",
                                      .help = "Done.",
                                      .type = SPEEDY_COUNTER,
                                      .labels = "kind=\"b\""};
static struct speedy_metric wait = {.name = "speedy_wait_seconds",
                                    .help = "Wait.",
                                    .type = SPEEDY_HISTOGRAM,
                                    .labels = "of=\"x\""};

static struct speedy_buf out;

static const char *written(void)
{
    out.len = 0;
    speedy_metrics_write(&out);
    return out.data;
}

static void one_name_stands_together(void **state)
{
    (void)state;
    speedy_metric_register(&done);
    speedy_metric_register(&level);
    speedy_metric_register(&done_b);
    speedy_metric_register(&done); /* twice is once */
    speedy_metric_add(&done, 2);
    speedy_metric_add(&done_b, 3);
    speedy_metric_set(&level, -4);
    assert_non_null(strstr(written(), "# HELP speedy_done_total Done.\n"
                                      "# TYPE speedy_done_total counter\n"
                                      "speedy_done_total{kind=\"a\"} 2\n"
                                      "speedy_done_total{kind=\"b\"} 3\n"
                                      "# HELP speedy_level Level.\n"
                                      "# TYPE speedy_level gauge\n"
                                      "speedy_level -4\n"));
    assert_non_null(strstr(out.data, "\nspeedy_alarms_total 0\n"));
}

static void histograms_are_cumulative_seconds(void **state)
{
    const char *text;

    (void)state;
    speedy_metric_register(&wait);
    speedy_metric_observe(&wait, 0);
    speedy_metric_observe(&wait, 1);
    speedy_metric_observe(&wait, 2);
    speedy_metric_observe(&wait, 16384);
    speedy_metric_observe(&wait, 16385);
    speedy_metric_observe(&wait, -5);
    text = written();
    assert_non_null(strstr(text, "speedy_wait_seconds_bucket{of=\"x\","
                                 "le=\"0.001\"} 3\n"));
    assert_non_null(strstr(text, "le=\"0.002\"} 4\n"));
    assert_non_null(strstr(text, "le=\"8.192\"} 4\n"));
    assert_non_null(strstr(text, "le=\"16.384\"} 5\n"));
    assert_non_null(strstr(text, "le=\"+Inf\"} 6\n"));
    assert_non_null(strstr(text, "speedy_wait_seconds_sum{of=\"x\"} 32.772\n"));
    assert_non_null(strstr(text, "speedy_wait_seconds_count{of=\"x\"} 6\n"));
}

static void *count_up(void *data)
{
    for (int i = 0; i < 20000; i++)
        speedy_metric_add(data, 1);
    return NULL;
}

static void threads_lose_nothing(void **state)
{
    static struct speedy_metric m = {
        .name = "speedy_many_total", .help = "Many.", .type = SPEEDY_COUNTER};
    pthread_t a, b;

    (void)state;
    speedy_metric_register(&m);
    pthread_create(&a, NULL, count_up, &m);
    pthread_create(&b, NULL, count_up, &m);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    assert_non_null(strstr(written(), "\nspeedy_many_total 40000\n"));
    speedy_buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_name_stands_together),
        cmocka_unit_test(histograms_are_cumulative_seconds),
        cmocka_unit_test(threads_lose_nothing),
    };

    return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
