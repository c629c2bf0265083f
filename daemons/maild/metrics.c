/* Names and labels; what counts them is in send.c, watch.c and consume.c. */
#include "metrics.h"

#include "../common/metrics.h"

#define RESULT(word)                                                           \
    {                                                                          \
        .name = "speedy_mail_sent_total",                                      \
        .help = "Mails by what came of an attempt", .type = SPEEDY_COUNTER,    \
        .labels = "result=\"" word "\""                                        \
    }

static struct speedy_metric results[MAILD_R_COUNT] = {
    [MAILD_R_SENT] = RESULT("sent"),
    [MAILD_R_RETRY] = RESULT("retry"),
    [MAILD_R_FAILED] = RESULT("failed"),
    [MAILD_R_EXPIRED] = RESULT("expired"),
    [MAILD_R_DROPPED] = RESULT("dropped"),
    [MAILD_R_PAUSED] = RESULT("paused"),
    [MAILD_R_PUT_BACK] = RESULT("put_back"),
};
static const char *const names[MAILD_R_COUNT] = {
    [MAILD_R_SENT] = "sent",         [MAILD_R_RETRY] = "retry",
    [MAILD_R_FAILED] = "failed",     [MAILD_R_EXPIRED] = "expired",
    [MAILD_R_DROPPED] = "dropped",   [MAILD_R_PAUSED] = "paused",
    [MAILD_R_PUT_BACK] = "put_back",
};
static struct speedy_metric seconds = {.name = "speedy_mail_send_seconds",
                                       .help = "From claim to the server's "
                                               "last word",
                                       .type = SPEEDY_HISTOGRAM,
                                       .labels = ""};
static struct speedy_metric queue = {.name = "speedy_mail_queue",
                                     .help = "Mails that wait",
                                     .type = SPEEDY_GAUGE,
                                     .labels = ""};
static struct speedy_metric age = {.name = "speedy_mail_queue_age_seconds",
                                   .help = "Age of the oldest mail that waits",
                                   .type = SPEEDY_GAUGE,
                                   .labels = ""};
static struct speedy_metric paused = {.name = "speedy_mail_paused",
                                      .help = "1: the sender's account or "
                                              "settings are refused",
                                      .type = SPEEDY_GAUGE,
                                      .labels = ""};
static struct speedy_metric records = {.name = "speedy_mail_records_total",
                                       .help = "Records read from Kafka",
                                       .type = SPEEDY_COUNTER,
                                       .labels = ""};

void maild_metrics_register(void)
{
    for (int i = 0; i < MAILD_R_COUNT; i++)
        speedy_metric_register(&results[i]);
    speedy_metric_register(&seconds);
    speedy_metric_register(&queue);
    speedy_metric_register(&age);
    speedy_metric_register(&paused);
    speedy_metric_register(&records);
}

const char *maild_result_name(enum maild_result r)
{
    return names[r];
}

void maild_metrics_result(enum maild_result r, long n)
{
    speedy_metric_add(&results[r], n);
}

void maild_metrics_seconds(int64_t ms)
{
    speedy_metric_observe(&seconds, ms);
}

void maild_metrics_queue(int64_t count, int64_t age_ms)
{
    speedy_metric_set(&queue, count);
    speedy_metric_set(&age, age_ms / 1000);
}

void maild_metrics_paused(int now)
{
    speedy_metric_set(&paused, now);
}

void maild_metrics_record(void)
{
    speedy_metric_add(&records, 1);
}
