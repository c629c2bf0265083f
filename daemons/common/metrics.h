/*
 * Counters, gauges and histograms in Prometheus' text form. A metric is a
 * static object registered once; updates are atomic, any thread.
 */
#ifndef SPEEDY_METRICS_H
#define SPEEDY_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

#include "json.h"

enum speedy_metric_type { SPEEDY_COUNTER, SPEEDY_GAUGE, SPEEDY_HISTOGRAM };

struct speedy_metric {
    const char *name; /* speedy_<role>_<what>_<unit>[_total] */
    const char *help;
    enum speedy_metric_type type;
    const char *labels; /* `name="value"` pairs, or "" */
    atomic_int_fast64_t value;
    /* histogram: milliseconds in, seconds out; buckets 1 ms … 16 s */
    atomic_int_fast64_t bucket[16], sum, count;
    struct speedy_metric *next; /* of metrics.c */
};

void speedy_metric_register(struct speedy_metric *m);
void speedy_metric_add(struct speedy_metric *m, int64_t n);
void speedy_metric_set(struct speedy_metric *m, int64_t n);
void speedy_metric_observe(struct speedy_metric *m, int64_t ms);
/* Appends every registered metric's lines. */
void speedy_metrics_write(struct speedy_buf *out);

#endif
