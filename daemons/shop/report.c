/*
 * The figures of a report, and their JSON.
 */
#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "act.h"
#include "units.h"

#define SEOUL_MINUTES 540

/* --- reading --- */

static int name_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct speedy_report *r = data;

    (void)cols;
    snprintf(r->product_name, sizeof(r->product_name), "%s",
             (const char *)col[0].bytes);
    return 0;
}

static int state_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct speedy_report *r = data;
    const char *state = col[0].bytes;
    int64_t orders = col[1].number, units = col[2].number;

    (void)cols;
    if (r->state_count == SPEEDY_REPORT_STATES)
        return 1;
    snprintf(r->states[r->state_count].state, sizeof(r->states[0].state), "%s",
             state);
    r->states[r->state_count].orders = orders;
    r->states[r->state_count++].units = units;
    if (strcmp(state, "REJECTED") == 0) {
        r->rejected = orders;
        return 0;
    }
    r->orders += orders;
    if (strcmp(state, "EXPIRED") == 0)
        r->expired = units;
    if (strcmp(state, "CANCELLED") == 0)
        r->cancelled = units;
    if (r->first == 0 || col[3].number < r->first)
        r->first = col[3].number;
    if (col[4].number > r->last)
        r->last = col[4].number;
    return 0;
}

static int adjustment_row(void *data, const struct speedy_db_value *col,
                          size_t cols)
{
    struct speedy_report *r = data;

    (void)cols;
    if (strcmp(col[0].bytes, "raise") == 0)
        r->added = col[1].number;
    else
        r->taken = col[1].number;
    return 0;
}

static int peak_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct speedy_report *r = data;

    (void)cols;
    r->peak_at = col[0].number * 1000;
    r->peak = col[1].number;
    return 0;
}

static int bar_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct speedy_report *r = data;

    (void)cols;
    if (r->bar_count == SPEEDY_REPORT_BARS)
        return 1;
    r->bars[r->bar_count].at = col[0].number * r->bar_seconds * 1000;
    r->bars[r->bar_count++].orders = col[1].number;
    return 0;
}

static int read_orders(struct speedy_db *db, struct speedy_report *r)
{
    int n = speedy_db_query(
        db,
        "SELECT state, COUNT(*), CAST(SUM(quantity) AS SIGNED), " SPEEDY_MS(
            "MIN(reserved_at)") ", " SPEEDY_MS("MAX(reserved_at)") " FROM orders WHERE sale_id = ? GROUP BY state ORDER BY state",
        DB_ARGS(DB_TEXT(r->sale.id)), state_row, r);

    if (n != 0)
        return n;
    /* paid back: what left REFUNDING for an end */
    n = speedy_db_number(
        db,
        "SELECT CAST(COALESCE(SUM(o.quantity), 0) AS SIGNED) FROM orders o "
        "WHERE o.sale_id = ? AND o.state IN ('CANCELLED', 'RETURNED') AND "
        "EXISTS (SELECT 1 FROM order_events e WHERE e.order_id = o.id AND "
        "e.from_state IN ('REFUNDING', 'REFUND_STUCK') AND e.to_state = "
        "o.state)",
        DB_ARGS(DB_TEXT(r->sale.id)), &r->refunded);
    if (n < 0)
        return n;
    return speedy_db_query(
        db,
        "SELECT kind, CAST(SUM(units) AS SIGNED) FROM stock_adjustments WHERE "
        "sale_id = ? AND (kind = 'raise' OR state IN ('LOWERED', 'DONE')) "
        "GROUP BY kind",
        DB_ARGS(DB_TEXT(r->sale.id)), adjustment_row, r);
}

/* So many seconds a bar that they fit. */
static int64_t bar_width(int64_t seconds)
{
    static const int64_t widths[] = {1,   2,   5,   10,   15,   30,    60,
                                     120, 300, 600, 1800, 3600, 10800, 21600};

    for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
        if (seconds / widths[i] + 2 <= SPEEDY_REPORT_BARS)
            return widths[i];
    }
    return seconds / (SPEEDY_REPORT_BARS - 2) + 1;
}

static int read_arrivals(struct speedy_db *db, struct speedy_report *r)
{
    int n;

    r->bar_seconds = bar_width((r->last - r->first) / 1000);
    n = speedy_db_query(
        db,
        "SELECT TIMESTAMPDIFF(SECOND, '1970-01-01', reserved_at) AS at, "
        "COUNT(*) AS n FROM orders WHERE sale_id = ? AND state <> 'REJECTED' "
        "GROUP BY at ORDER BY n DESC, at LIMIT 1",
        DB_ARGS(DB_TEXT(r->sale.id)), peak_row, r);
    if (n != 0)
        return n;
    return speedy_db_query(
        db,
        "SELECT TIMESTAMPDIFF(SECOND, '1970-01-01', reserved_at) DIV ? AS at, "
        "COUNT(*) FROM orders WHERE sale_id = ? AND state <> 'REJECTED' GROUP "
        "BY at ORDER BY at",
        DB_ARGS(DB_INT(r->bar_seconds), DB_TEXT(r->sale.id)), bar_row, r);
}

/* --- the proof --- */

void speedy_report_line(struct speedy_report *r, const char *name,
                        const char *what, const char *verdict, const char *text)
{
    struct speedy_report_line *l;

    if (strcmp(verdict, "broken") == 0)
        r->conserved = false;
    if (r->line_count == SPEEDY_REPORT_LINES)
        return;
    l = &r->lines[r->line_count++];
    snprintf(l->name, sizeof(l->name), "%s", name);
    snprintf(l->what, sizeof(l->what), "%s", what);
    snprintf(l->verdict, sizeof(l->verdict), "%s", verdict);
    snprintf(l->text, sizeof(l->text), "%s", text);
}

struct finding {
    long count;
    char first[200];
};

static void found(void *data, const char *text)
{
    struct finding *f = data;

    if (f->count++ == 0)
        snprintf(f->first, sizeof(f->first), "%s", text);
}

static void line_of(struct speedy_report *r, const char *name, const char *what,
                    struct finding *f, const char *figures)
{
    speedy_report_line(r, name, what, f->count > 0 ? "broken" : "ok",
                       f->count > 0 ? f->first : figures);
    memset(f, 0, sizeof(*f));
}

static bool is_live(const struct speedy_sale *s)
{
    const char *word = speedy_sale_word(s);

    return strcmp(word, "open") == 0 || strcmp(word, "paused") == 0;
}

/* Counters, orders and what is left of each variant. */
static int prove(struct speedy_db *db, struct speedy_report *r)
{
    struct finding f = {0};
    struct speedy_units_check c = {.broken = found, .data = &f};
    int64_t kept = 0;
    char figures[160];
    int n = speedy_units_judge(db, r->sale.id, &c);

    for (size_t i = 0; n == 0 && i < c.variant_count; i++) {
        struct speedy_units_variant *v = &c.variants[i];

        kept += v->orders_held + v->orders_sold + v->orders_withheld;
        for (int k = 0; k < r->sale.variant_count; k++) {
            if (strcmp(r->sale.variant[k].id, v->id) != 0)
                continue;
            v->left = r->sale.variant[k].left;
            v->in_redis = v->left >= 0 && r->left >= 0;
        }
    }
    if (n == 0) {
        snprintf(figures, sizeof(figures),
                 "held %lld + sold %lld + withheld %lld of %lld",
                 (long long)r->held, (long long)r->sold, (long long)r->withheld,
                 (long long)r->total);
        line_of(r, "I1", "counters equal their orders", &f, figures);
        speedy_units_sums(&c);
        /* orders are on their way to MySQL, units on theirs to Redis */
        if (c.oversold == 0 && is_live(&r->sale))
            f.count = 0;
        snprintf(figures, sizeof(figures), "kept %lld, left %lld, of %lld",
                 (long long)kept, (long long)r->left, (long long)r->total);
        line_of(r, "SUM", "no unit oversold or lost", &f, figures);
    }
    free(c.variants);
    return n;
}

static void sum_variants(struct speedy_report *r)
{
    bool archived = strcmp(r->sale.state, "ARCHIVED") == 0;

    for (int i = 0; i < r->sale.variant_count; i++) {
        struct speedy_sale_variant *v = &r->sale.variant[i];

        /* its keys are gone from Redis: MySQL alone tells */
        if (archived)
            v->left = v->total - v->held - v->sold - v->withheld;
        r->total += v->total;
        r->held += v->held;
        r->sold += v->sold;
        r->withheld += v->withheld;
        r->left = v->left < 0 || r->left < 0 ? -1 : r->left + v->left;
    }
}

int speedy_report_read(struct speedy_db *db, struct speedy_redis *rc,
                       const char *sale, struct speedy_report **report)
{
    struct speedy_report *r = calloc(1, sizeof(*r));
    int n;

    if (r == NULL)
        abort();
    r->conserved = true;
    n = speedy_sale_read(db, sale, &r->sale);
    if (n == 1) {
        speedy_sale_read_redis(rc, &r->sale);
        sum_variants(r);
        n = speedy_db_query(db, "SELECT name FROM products WHERE id = ?",
                            DB_ARGS(DB_TEXT(r->sale.product)), name_row, r);
        if (n == 0)
            n = read_orders(db, r);
        if (n == 0)
            n = read_arrivals(db, r);
        if (n == 0)
            n = prove(db, r);
        r->offered = r->total - r->added + r->taken;
        n = n == 0 ? 1 : n;
    }
    if (n != 1) {
        free(r);
        r = NULL;
    }
    *report = r;
    return n;
}

void speedy_report_free(struct speedy_report *report)
{
    free(report);
}

/* --- JSON --- */

static void time_json(struct speedy_buf *b, const char *name, int64_t ms)
{
    speedy_buf_printf(b, ",\"%s\":", name);
    if (ms == 0)
        speedy_buf_printf(b, "null");
    else
        speedy_buf_time(b, ms, SEOUL_MINUTES);
}

static void number_json(struct speedy_buf *b, const char *name, int64_t n)
{
    speedy_buf_printf(b, ",\"%s\":%lld", name, (long long)n);
}

static void lists_json(struct speedy_buf *b, const struct speedy_report *r)
{
    speedy_buf_printf(b, ",\"orders_by_state\":{");
    for (int i = 0; i < r->state_count; i++)
        speedy_buf_printf(b, "%s\"%s\":%lld", i ? "," : "", r->states[i].state,
                          (long long)r->states[i].orders);
    speedy_buf_printf(b, "},\"arrivals\":{\"seconds\":%lld,\"orders\":[",
                      (long long)r->bar_seconds);
    for (int i = 0; i < r->bar_count; i++) {
        speedy_buf_printf(b, "%s{\"at\":", i ? "," : "");
        speedy_buf_time(b, r->bars[i].at, SEOUL_MINUTES);
        speedy_buf_printf(b, ",\"orders\":%lld}", (long long)r->bars[i].orders);
    }
    speedy_buf_printf(b, "]},\"conservation\":{\"conserved\":%s,\"checks\":[",
                      r->conserved ? "true" : "false");
    for (int i = 0; i < r->line_count; i++) {
        const struct speedy_report_line *l = &r->lines[i];

        speedy_buf_printf(b,
                          "%s{\"name\":\"%s\",\"what\":\"%s\",\"verdict\":"
                          "\"%s\",\"text\":",
                          i ? "," : "", l->name, l->what, l->verdict);
        speedy_buf_json(b, l->text);
        speedy_buf_printf(b, "}");
    }
    speedy_buf_printf(b, "]}");
}

void speedy_report_json(struct speedy_buf *b, const struct speedy_report *r)
{
    speedy_buf_printf(
        b, "{\"sale\":\"%s\",\"product\":\"%s\",\"product_name\":", r->sale.id,
        r->sale.product);
    speedy_buf_json(b, r->product_name);
    speedy_buf_printf(b, ",\"state\":\"%s\"", speedy_sale_word(&r->sale));
    time_json(b, "opens_at", r->sale.opens_at);
    time_json(b, "closes_at", r->sale.closes_at);
    time_json(b, "closed_at", r->sale.closed_at);
    number_json(b, "offered_at_first", r->offered);
    number_json(b, "added", r->added);
    number_json(b, "taken", r->taken);
    number_json(b, "offered", r->total);
    number_json(b, "held", r->held);
    number_json(b, "sold", r->sold);
    number_json(b, "withheld", r->withheld);
    if (r->left >= 0)
        number_json(b, "left", r->left);
    else
        speedy_buf_printf(b, ",\"left\":null");
    number_json(b, "expired", r->expired);
    number_json(b, "cancelled", r->cancelled);
    number_json(b, "refunded", r->refunded);
    number_json(b, "rejected", r->rejected);
    number_json(b, "orders", r->orders);
    number_json(b, "peak_orders_per_second", r->peak);
    time_json(b, "peak_at", r->peak_at);
    time_json(b, "first_order", r->first);
    time_json(b, "last_order", r->last);
    lists_json(b, r);
    speedy_buf_printf(b, "}");
}
