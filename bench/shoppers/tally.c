/*
 * The counters by status and code are short tables searched from the front:
 * an entry that is hit moves one place forward, so the usual answer is found
 * at once. What does not fit the table is counted in its last row.
 */
#include "tally.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static void tally_count(struct tally_count *table, unsigned *n, int status,
                        const char *code)
{
    for (unsigned i = 0; i < *n; i++) {
        if (table[i].status != status || strcmp(table[i].code, code) != 0) {
            continue;
        }
        table[i].count++;
        if (i > 0 && table[i].count > table[i - 1].count) {
            struct tally_count hit = table[i];
            table[i] = table[i - 1];
            table[i - 1] = hit;
        }
        return;
    }

    if (*n == TALLY_CODES_MAX) {
        table[TALLY_CODES_MAX - 1].count++;
        return;
    }

    struct tally_count *row = &table[(*n)++];
    row->status = status;
    row->count = 1;
    snprintf(row->code, sizeof(row->code), "%.47s", code);
}

void tally_answer(struct tally *t, int status, const char *code)
{
    tally_count(t->answers, &t->nanswers, status, code);
}

void tally_final(struct tally *t, int status, const char *code)
{
    tally_count(t->finals, &t->nfinals, status, code);
}

static double tally_ms(uint64_t usec)
{
    return (double)usec / 1000;
}

static double tally_seconds(const struct tally *t)
{
    double s = (double)(t->end_ns - t->start_ns) / 1e9;
    return s > 0 ? s : 1e-9;
}

static double tally_last_202(const struct tally *t)
{
    return t->last_202_ns == 0 ? 0
                               : (double)(t->last_202_ns - t->start_ns) / 1e9;
}

static double tally_cpu(void)
{
    struct rusage ru;

    getrusage(RUSAGE_SELF, &ru);
    return (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
           (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
}

static void tally_histogram(const struct histogram *h, const char *name,
                            bool json)
{
    double mean = h->count ? tally_ms(h->sum) / (double)h->count : 0;
    double p50 = tally_ms(histogram_at(h, 0.5));
    double p90 = tally_ms(histogram_at(h, 0.9));
    double p99 = tally_ms(histogram_at(h, 0.99));
    double p999 = tally_ms(histogram_at(h, 0.999));
    double max = tally_ms(h->max);

    if (json) {
        printf(",\"%s\":{\"count\":%" PRIu64 ",\"mean\":%.3f,\"p50\":%.3f,"
               "\"p90\":%.3f,\"p99\":%.3f,\"p999\":%.3f,\"max\":%.3f}",
               name, h->count, mean, p50, p90, p99, p999, max);
        return;
    }
    printf("%-20s n %-9" PRIu64 " mean %.3f  p50 %.3f  p90 %.3f  p99 %.3f"
           "  p99.9 %.3f  max %.3f\n",
           name, h->count, mean, p50, p90, p99, p999, max);
}

static void tally_table(const struct tally_count *table, unsigned n,
                        const char *name, bool json)
{
    if (json) {
        printf(",\"%s\":{", name);
    }
    for (unsigned i = 0; i < n; i++) {
        const char *gap = table[i].code[0] != '\0' ? " " : "";
        if (json) {
            printf("%s\"%d%s%s\":%" PRIu64, i ? "," : "", table[i].status, gap,
                   table[i].code, table[i].count);
        } else {
            printf("%-20s %9" PRIu64 "  %d%s%s\n", i ? "" : name,
                   table[i].count, table[i].status, gap, table[i].code);
        }
    }
    if (json) {
        fputs("}", stdout);
    }
}

static void tally_counters(const struct tally *t, bool json)
{
    const struct {
        const char *name;
        uint64_t n;
    } rows[] = {
        {"requests", t->sent},           {"purchases", t->purchases},
        {"unfinished", t->unfinished},   {"dropped", t->dropped},
        {"retries", t->retries},         {"replays", t->replays},
        {"repeat_same", t->repeat_same}, {"repeat_new", t->repeat_new},
        {"violations", t->violations},   {"connections", t->connections_max},
        {"connects", t->connects},
    };

    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (json) {
            printf(",\"%s\":%" PRIu64, rows[i].name, rows[i].n);
        } else if (rows[i].n > 0 || i < 2) {
            printf("%-20s %9" PRIu64 "\n", rows[i].name, rows[i].n);
        }
    }
}

void tally_print(const struct tally *t, const struct options *o)
{
    double s = tally_seconds(t);

    if (o->json) {
        printf("{\"seconds\":%.3f,\"rps\":%.1f,\"cpu_seconds\":%.3f,"
               "\"last_202_seconds\":%.3f",
               s, (double)t->latency.count / s, tally_cpu(), tally_last_202(t));
    } else {
        printf("%-20s %9.3f\n%-20s %9.1f\n%-20s %9.3f\n", "seconds", s,
               "answers/s", (double)t->latency.count / s, "own cpu seconds",
               tally_cpu());
        if (t->last_202_ns != 0) {
            printf("%-20s %9.3f\n", "last 202 at", tally_last_202(t));
        }
    }

    tally_counters(t, o->json);
    tally_table(t->answers, t->nanswers, "answers", o->json);
    tally_table(t->finals, t->nfinals, "final", o->json);
    tally_histogram(&t->latency, o->json ? "latency_ms" : "latency ms",
                    o->json);
    if (o->json || t->accepted.count > 0) {
        tally_histogram(&t->accepted,
                        o->json ? "accepted_ms" : "latency of 202 ms", o->json);
    }
    if (o->json || o->sale != NULL) {
        tally_histogram(&t->final, o->json ? "final_ms" : "to final answer ms",
                        o->json);
    }
    if (o->json) {
        fputs("}\n", stdout);
    }
    fflush(stdout);
}
