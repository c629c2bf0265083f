/* Names and labels; a counter for each kind of call and outcome. */
#include "metrics.h"

#include <stdio.h>
#include <string.h>

#include "../common/metrics.h"
#include "calls.h"
#include "moves.h"

#define KINDS 4
#define OUTCOMES (PAYD_NO_TID + 1)
#define SETTLED (PAYD_S_GONE + 1)

static struct speedy_metric calls[KINDS][OUTCOMES], seconds[KINDS];
static struct speedy_metric settled[SETTLED];
static char call_labels[KINDS][OUTCOMES][64], second_labels[KINDS][32];
static char settled_labels[SETTLED][32];

#define GAUGE(n, h)                                                            \
    {                                                                          \
        .name = (n), .help = (h), .type = SPEEDY_GAUGE, .labels = ""           \
    }
static struct speedy_metric running =
    GAUGE("speedy_payd_calls_running", "Calls to KakaoPay under way");
static struct speedy_metric approving =
    GAUGE("speedy_payd_approving", "Payments whose outcome is open");
static struct speedy_metric oldest =
    GAUGE("speedy_payd_approving_age_seconds", "Age of the oldest of them");
static struct speedy_metric refunds =
    GAUGE("speedy_payd_refunds_open", "Refunds that are not done");
static struct speedy_metric stuck =
    GAUGE("speedy_payd_refunds_stuck", "Refunds that wait for an operator");
static struct speedy_metric refunded = {.name = "speedy_payd_refunded_total",
                                        .help = "Refunds that were made",
                                        .type = SPEEDY_COUNTER,
                                        .labels = ""};

static void kind_register(int k)
{
    const char *name = payd_kind_name((enum payd_kind)k);

    snprintf(second_labels[k], sizeof(second_labels[k]), "call=\"%s\"", name);
    seconds[k].name = "speedy_payd_call_seconds";
    seconds[k].help = "Time of calls to KakaoPay";
    seconds[k].type = SPEEDY_HISTOGRAM;
    seconds[k].labels = second_labels[k];
    speedy_metric_register(&seconds[k]);
}

static void call_register(int k, int o)
{
    snprintf(call_labels[k][o], sizeof(call_labels[k][o]),
             "call=\"%s\",outcome=\"%s\"", payd_kind_name((enum payd_kind)k),
             payd_outcome_name((enum payd_outcome)o));
    calls[k][o].name = "speedy_payd_calls_total";
    calls[k][o].help = "Calls to KakaoPay by what came of them";
    calls[k][o].type = SPEEDY_COUNTER;
    calls[k][o].labels = call_labels[k][o];
    speedy_metric_register(&calls[k][o]);
}

void payd_metrics_register(void)
{
    for (int k = 0; k < KINDS; k++) {
        for (int o = 0; o < OUTCOMES; o++)
            call_register(k, o);
    }
    for (int k = 0; k < KINDS; k++)
        kind_register(k);
    for (int s = 1; s < SETTLED; s++) {
        snprintf(settled_labels[s], sizeof(settled_labels[s]), "result=\"%s\"",
                 payd_settled_name((enum payd_settled)s));
        settled[s].name = "speedy_payd_settled_total";
        settled[s].help = "What approves and inquiries led to";
        settled[s].type = SPEEDY_COUNTER;
        settled[s].labels = settled_labels[s];
        speedy_metric_register(&settled[s]);
    }
    speedy_metric_register(&running);
    speedy_metric_register(&approving);
    speedy_metric_register(&oldest);
    speedy_metric_register(&refunds);
    speedy_metric_register(&stuck);
    speedy_metric_register(&refunded);
}

void payd_metrics_call(enum payd_kind kind, enum payd_outcome outcome,
                       int64_t ms)
{
    speedy_metric_add(&calls[kind][outcome], 1);
    speedy_metric_observe(&seconds[kind], ms);
}

void payd_metrics_settled(int s)
{
    speedy_metric_add(&settled[s], 1);
}

void payd_metrics_refunded(bool good)
{
    speedy_metric_add(&refunded, good);
}

void payd_metrics_gauges(int64_t open, int64_t oldest_ms, int64_t refunds_open,
                         int64_t refunds_stuck)
{
    speedy_metric_set(&running, payd_calls_running());
    speedy_metric_set(&approving, open);
    speedy_metric_set(&oldest, oldest_ms / 1000);
    speedy_metric_set(&refunds, refunds_open);
    speedy_metric_set(&stuck, refunds_stuck);
}
