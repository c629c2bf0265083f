/*
 * `audit`: waits until the system is quiet, judges every invariant, prints a
 * line each. What is true only at quiescence is looked at again when it
 * looks broken: a hold that ended meanwhile is no finding.
 */
#include "audit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/conf.h"
#include "../common/loop.h"

#define AUDIT_ROUNDS 3
#define AUDIT_DB_TIMEOUT 120000
#define AUDIT_REDIS_TIMEOUT 30000

const struct audit_check audit_checks[] = {
    {"Q", "quiet", true, audit_quiescence},
    {"I1", "units", false, audit_units},
    {"I2", "limit and key", false, audit_limits},
    {"I3", "histories", false, audit_histories},
    {"I4", "no false refusal", false, audit_rejections},
    {"I5", "accepted orders exist", true, audit_accepted},
    {"I6", "every record arrived", true, audit_records},
    {"I7", "offsets", true, audit_offsets},
    {"I8", "stock and ledger", true, audit_stock},
    {"I9", "ledger and orders", true, audit_ledger},
    {"I10", "epochs", true, audit_epochs},
    {"I14", "deadlines", true, audit_deadlines},
    {"I17", "sequence", false, audit_sequence},
    {"I18", "clocks", true, audit_clocks},
    {"SUM", "lost, oversold, undersold", true, audit_sums},
};
const size_t audit_check_count = sizeof(audit_checks) / sizeof(audit_checks[0]);

void audit_broken(struct audit_line *l, const char *format, ...)
{
    char text[400];
    va_list ap;

    l->broken++;
    if (l->example_count == AUDIT_EXAMPLES)
        return;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    if (l->example_count++ > 0)
        speedy_buf_add(&l->examples, "\n", 1);
    speedy_buf_add(&l->examples, text, strlen(text));
}

void audit_figures(struct audit_line *l, const char *format, ...)
{
    char text[600];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    if (l->figures.len > 0)
        speedy_buf_add(&l->figures, " ", 1);
    speedy_buf_add(&l->figures, text, strlen(text));
}

void audit_skip(struct audit_line *l, const char *why)
{
    l->skipped = true;
    audit_figures(l, "%s", why);
}

void audit_unknown(struct audit_line *l, const char *what)
{
    audit_broken(l, "could not be judged: %s", what);
}

int audit_db(struct audit_line *l, int n)
{
    if (n == 0)
        return 0;
    audit_unknown(l, "MySQL did not answer a query");
    return -1;
}

static void line_reset(struct audit_line *l, const char *name)
{
    speedy_buf_free(&l->figures);
    speedy_buf_free(&l->examples);
    memset(l, 0, sizeof(*l));
    l->name = name;
}

static bool unsettled(const struct audit_line *lines)
{
    for (size_t i = 0; i < audit_check_count; i++) {
        if (audit_checks[i].settles && lines[i].broken > 0)
            return true;
    }
    return false;
}

void audit_run(struct audit *a, struct audit_line *lines)
{
    for (int round = 0; round < a->rounds; round++) {
        if (round > 0 && !unsettled(lines))
            break;
        if (round > 0 && (!a->quiescent || speedy_pause(300)))
            break;
        for (size_t i = 0; i < audit_check_count; i++) {
            int64_t begin = speedy_now_boot();

            line_reset(&lines[i], audit_checks[i].name);
            audit_checks[i].run(a, &lines[i]);
            lines[i].ms = speedy_now_boot() - begin;
        }
    }
}

static void print_text(const struct audit_line *lines)
{
    for (size_t i = 0; i < audit_check_count; i++) {
        const struct audit_line *l = &lines[i];
        const char *e = l->examples.data;

        printf("%-3s %s %s", l->name,
               l->broken    ? "BROKEN"
               : l->skipped ? "skipped"
                            : "ok",
               audit_checks[i].what);
        if (l->broken > 0)
            printf(": %ld finding%s", l->broken, l->broken == 1 ? "" : "s");
        if (l->figures.len > 0)
            printf(": %s", l->figures.data);
        putchar('\n');
        while (e != NULL && *e != '\0') {
            size_t n = strcspn(e, "\n");

            printf("      %.*s\n", (int)n, e);
            e += n + (e[n] == '\n');
        }
    }
}

static void json_examples(struct speedy_buf *b, const char *e)
{
    char one[512];
    bool first = true;

    while (e != NULL && *e != '\0') {
        size_t n = strcspn(e, "\n");

        snprintf(one, sizeof(one), "%.*s", (int)n, e);
        if (!first)
            speedy_buf_add(b, ",", 1);
        speedy_buf_json(b, one);
        first = false;
        e += n + (e[n] == '\n');
    }
}

static void print_json(const struct audit *a, const struct audit_line *lines,
                       bool broken)
{
    struct speedy_buf b = {0};

    speedy_buf_printf(&b,
                      "{\"ok\":%s,\"quiescent\":%s,\"lost\":%lld,\"oversold\":"
                      "%lld,\"undersold\":%lld,\"invariants\":[",
                      broken ? "false" : "true",
                      a->quiescent ? "true" : "false", (long long)a->lost,
                      (long long)a->units.oversold,
                      (long long)a->units.undersold);
    for (size_t i = 0; i < audit_check_count; i++) {
        const struct audit_line *l = &lines[i];

        speedy_buf_printf(&b,
                          "%s{\"name\":\"%s\",\"what\":\"%s\",\"state\":"
                          "\"%s\",\"findings\":%ld,\"ms\":%lld,\"figures\":",
                          i ? "," : "", l->name, audit_checks[i].what,
                          l->broken    ? "broken"
                          : l->skipped ? "skipped"
                                       : "ok",
                          l->broken, (long long)l->ms);
        speedy_buf_json(&b, l->figures.len ? l->figures.data : "");
        speedy_buf_printf(&b, ",\"examples\":[");
        json_examples(&b, l->examples.data);
        speedy_buf_printf(&b, "]}");
    }
    speedy_buf_printf(&b, "]}");
    ctl_print(&b);
}

void audit_free(struct audit *a)
{
    free(a->sales);
    free(a->units.variants);
    speedy_consumer_free(a->kafka);
    client_log_free(a->log);
}

static int read_logs(struct audit *a)
{
    struct ctl *c = a->c;

    if (ctl_option(c, "client-log") == NULL) {
        if (c->arg_count > 0)
            return ctl_usage(c, "%s: files go with --client-log", c->args[0]);
        return 0;
    }
    a->log = client_log_new();
    for (int i = 0; i < c->given_count; i++) {
        if (strcmp(c->given[i].name, "client-log") == 0 &&
            client_log_read(a->log, c->given[i].value) != 0)
            return ctl_refuse(c, "%s: cannot be read", c->given[i].value);
    }
    for (int i = 0; i < c->arg_count; i++) {
        if (client_log_read(a->log, c->args[i]) != 0)
            return ctl_refuse(c, "%s: cannot be read", c->args[i]);
    }
    return 0;
}

/* A store that is being started again is waited for, as everything else. */
static int open_stores(struct ctl *c, int64_t wait_ms)
{
    int64_t until = speedy_now_boot() + wait_ms;

    for (;;) {
        if (c->db == NULL)
            c->db = speedy_db_new("speedyctl");
        if (c->redis == NULL)
            c->redis = speedy_redis_new();
        if (c->db != NULL && c->redis != NULL && speedy_db_ready(c->db) == 0 &&
            speedy_redis_ready(c->redis) == 0)
            return 0;
        if (speedy_now_boot() >= until || speedy_pause(200))
            break;
    }
    if (ctl_db(c) == NULL || ctl_redis(c) == NULL)
        return CTL_REFUSED;
    return 0;
}

/* Whole tables and ledgers are read: the daemons' bounds are not for it. */
static void bounds_widen(void)
{
    if (speedy_conf.mysql_timeout < AUDIT_DB_TIMEOUT)
        speedy_conf.mysql_timeout = AUDIT_DB_TIMEOUT;
    if (speedy_conf.redis_timeout < AUDIT_REDIS_TIMEOUT)
        speedy_conf.redis_timeout = AUDIT_REDIS_TIMEOUT;
}

/* The lines, judged; NULL after a message. lines_free() is due. */
static struct audit_line *judged(struct audit *a, int *code)
{
    struct audit_line *lines;

    *code = audit_load_sales(a);
    if (*code != 0)
        return NULL;
    lines = calloc(audit_check_count, sizeof(*lines));
    if (lines == NULL)
        abort();
    audit_run(a, lines);
    for (size_t i = 0; i < audit_check_count; i++) {
        if (lines[i].broken > 0)
            *code = CTL_REFUSED;
    }
    return lines;
}

static void lines_free(struct audit_line *lines)
{
    for (size_t i = 0; lines != NULL && i < audit_check_count; i++)
        line_reset(&lines[i], NULL);
    free(lines);
}

int audit_of_sale(struct ctl *c, const char *sale, int64_t wait_ms,
                  void (*told)(void *data, const struct audit_line *l,
                               const char *what),
                  void *data)
{
    struct audit a = {.c = c,
                      .rounds = AUDIT_ROUNDS,
                      .sale = sale,
                      .wait_ms = wait_ms,
                      .skip_kafka = true};
    struct audit_line *lines = NULL;
    int code;

    bounds_widen();
    code = open_stores(c, wait_ms);
    if (code == 0)
        lines = judged(&a, &code);
    for (size_t i = 0; lines != NULL && i < audit_check_count; i++)
        told(data, &lines[i], audit_checks[i].what);
    code = lines == NULL ? code : 0;
    lines_free(lines);
    audit_free(&a);
    return code;
}

int ctl_audit(struct ctl *c)
{
    struct audit a = {.c = c, .rounds = AUDIT_ROUNDS};
    struct audit_line *lines = NULL;
    int code;

    a.sale = ctl_option(c, "sale") ? ctl_option(c, "sale") : "";
    a.skip_kafka = ctl_option(c, "skip-kafka") != NULL;
    code = ctl_option_duration(c, "wait", 20000, &a.wait_ms);
    if (code != 0)
        return code;
    bounds_widen();
    code = open_stores(c, a.wait_ms);
    if (code == 0)
        code = read_logs(&a);
    if (code == 0)
        lines = judged(&a, &code);
    if (lines != NULL && c->json)
        print_json(&a, lines, code != 0);
    else if (lines != NULL)
        print_text(lines);
    lines_free(lines);
    audit_free(&a);
    return code;
}
