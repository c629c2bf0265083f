/*
 * Metrics in Prometheus' text form, version 0.0.4. The list of metrics is
 * guarded by a mutex; their values are atomics. The format wants all lines of
 * one name together: metrics that share a name and differ in labels are
 * written where the first of them stands.
 */
#include "metrics.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "log.h"

#define BUCKETS 16 /* le 2^0 … 2^14 ms, and +Inf */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct speedy_metric *first, **last = &first;

static void write_one(struct speedy_buf *out, const struct speedy_metric *m);
static void write_histogram(struct speedy_buf *out,
                            const struct speedy_metric *m);

void speedy_metric_register(struct speedy_metric *m)
{
    struct speedy_metric *at;

    pthread_mutex_lock(&lock);
    for (at = first; at != NULL && at != m; at = at->next)
        ;
    if (at == NULL) {
        m->next = NULL;
        *last = m;
        last = &m->next;
    }
    pthread_mutex_unlock(&lock);
}

void speedy_metric_add(struct speedy_metric *m, int64_t n)
{
    atomic_fetch_add(&m->value, n);
}

void speedy_metric_set(struct speedy_metric *m, int64_t n)
{
    atomic_store(&m->value, n);
}

void speedy_metric_observe(struct speedy_metric *m, int64_t ms)
{
    int i = 0;

    if (ms < 0)
        ms = 0;
    while (i < BUCKETS - 1 && ms > INT64_C(1) << i)
        i++;
    atomic_fetch_add(&m->bucket[i], 1);
    atomic_fetch_add(&m->sum, ms);
    atomic_fetch_add(&m->count, 1);
}

static bool stands_before(const struct speedy_metric *m)
{
    for (const struct speedy_metric *at = first; at != m; at = at->next) {
        if (strcmp(at->name, m->name) == 0)
            return true;
    }
    return false;
}

void speedy_metrics_write(struct speedy_buf *out)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};

    pthread_mutex_lock(&lock);
    for (struct speedy_metric *m = first; m != NULL; m = m->next) {
        if (stands_before(m))
            continue;
        speedy_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help,
                          m->name, types[m->type]);
        for (struct speedy_metric *k = m; k != NULL; k = k->next) {
            if (strcmp(k->name, m->name) == 0)
                write_one(out, k);
        }
    }
    pthread_mutex_unlock(&lock);
    speedy_buf_printf(out,
                      "# HELP speedy_alarms_total Log lines at which somebody "
                      "must look.\n# TYPE speedy_alarms_total counter\n"
                      "speedy_alarms_total %lu\n",
                      speedy_log_alarms());
}

static void write_one(struct speedy_buf *out, const struct speedy_metric *m)
{
    const char *labels = m->labels != NULL ? m->labels : "";

    if (m->type == SPEEDY_HISTOGRAM) {
        write_histogram(out, m);
        return;
    }
    speedy_buf_printf(out, "%s%s%s%s %lld\n", m->name, *labels ? "{" : "",
                      labels, *labels ? "}" : "",
                      (long long)atomic_load(&m->value));
}

static void write_histogram(struct speedy_buf *out,
                            const struct speedy_metric *m)
{
    const char *labels = m->labels != NULL ? m->labels : "";
    const char *comma = *labels ? "," : "";
    const char *open = *labels ? "{" : "", *close = *labels ? "}" : "";
    int64_t sum = atomic_load(&m->sum);
    long long below = 0;

    for (int i = 0; i < BUCKETS; i++) {
        char le[24] = "+Inf";

        if (i < BUCKETS - 1)
            snprintf(le, sizeof(le), "%d.%03d", (1 << i) / 1000,
                     (1 << i) % 1000);
        below += atomic_load(&m->bucket[i]);
        speedy_buf_printf(out, "%s_bucket{%s%sle=\"%s\"} %lld\n", m->name,
                          labels, comma, le, below);
    }
    speedy_buf_printf(out, "%s_sum%s%s%s %lld.%03lld\n%s_count%s%s%s %lld\n",
                      m->name, open, labels, close, (long long)(sum / 1000),
                      (long long)(sum % 1000), m->name, open, labels, close,
                      /* the same as the last bucket, whatever runs beside */
                      below);
}
