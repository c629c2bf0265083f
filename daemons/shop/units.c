/*
 * Counters and orders, compared: this holds at any time, not only at rest.
 */
#include "units.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "states.h"

static void broken(const struct speedy_units_check *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void broken(const struct speedy_units_check *c, const char *format, ...)
{
    char text[400];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    c->broken(c->data, text);
}

struct speedy_units_variant *
speedy_units_find(const struct speedy_units_check *c, const char *sale,
                  const char *variant)
{
    for (size_t i = 0; i < c->variant_count; i++) {
        if (strcmp(c->variants[i].id, variant) == 0 &&
            strcmp(c->variants[i].sale, sale) == 0)
            return &c->variants[i];
    }
    return NULL;
}

static struct speedy_units_variant *
variant_add(struct speedy_units_check *c, const char *sale, const char *variant)
{
    struct speedy_units_variant *v = speedy_units_find(c, sale, variant);

    if (v != NULL)
        return v;
    if (c->variant_count == c->variant_size) {
        c->variant_size = c->variant_size ? c->variant_size * 2 : 64;
        c->variants =
            realloc(c->variants, c->variant_size * sizeof(*c->variants));
        if (c->variants == NULL)
            abort();
    }
    v = &c->variants[c->variant_count++];
    memset(v, 0, sizeof(*v));
    snprintf(v->sale, sizeof(v->sale), "%s", sale);
    snprintf(v->id, sizeof(v->id), "%s", variant);
    return v;
}

/* The orders of one state of one variant: count, live, withheld, quantity. */
static void count_orders(struct speedy_units_check *c,
                         struct speedy_units_variant *v, const char *state,
                         const struct speedy_db_value *col)
{
    const struct speedy_state *s = speedy_state_find(state);
    int64_t live = col[4].number, withheld = col[5].number;

    v->orders += col[3].number;
    v->orders_withheld += withheld;
    if (s == NULL) {
        broken(c, "%s/%s: %lld orders in unknown state %s", v->sale, v->id,
               (long long)col[3].number, state);
        return;
    }
    if (s->units == SPEEDY_UNITS_HELD)
        v->orders_held += live;
    else if (s->units == SPEEDY_UNITS_SOLD)
        v->orders_sold += live;
    else if (live != 0)
        broken(c, "%s/%s: %s orders still have %lld live units", v->sale, v->id,
               state, (long long)live);
    if (s->units == SPEEDY_UNITS_HELD &&
        (live != col[6].number || withheld != 0))
        broken(c, "%s/%s: %s orders hold %lld of %lld units", v->sale, v->id,
               state, (long long)live, (long long)col[6].number);
}

static int units_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct speedy_units_check *c = data;
    struct speedy_units_variant *v = variant_add(c, col[0].bytes, col[1].bytes);

    (void)cols;
    if (col[2].len > 0) {
        count_orders(c, v, col[2].bytes, col);
        return 0;
    }
    v->known = true;
    v->total = col[3].number;
    v->held = col[4].number;
    v->sold = col[5].number;
    v->withheld = col[6].number;
    v->epoch = col[7].number;
    return 0;
}

static void judge(const struct speedy_units_check *c,
                  const struct speedy_units_variant *v)
{
    if (!v->known) {
        broken(c, "%s/%s: %lld orders of a variant that does not exist",
               v->sale, v->id, (long long)v->orders);
        return;
    }
    if (v->held < 0 || v->sold < 0 || v->withheld < 0 || v->total < 0)
        broken(c,
               "%s/%s: negative: total %lld held %lld sold %lld "
               "withheld %lld",
               v->sale, v->id, (long long)v->total, (long long)v->held,
               (long long)v->sold, (long long)v->withheld);
    if (v->held + v->sold + v->withheld > v->total)
        broken(c,
               "%s/%s: held %lld + sold %lld + withheld %lld exceed "
               "total %lld",
               v->sale, v->id, (long long)v->held, (long long)v->sold,
               (long long)v->withheld, (long long)v->total);
    if (v->held != v->orders_held)
        broken(c, "%s/%s: held %lld, its orders hold %lld", v->sale, v->id,
               (long long)v->held, (long long)v->orders_held);
    if (v->sold != v->orders_sold)
        broken(c, "%s/%s: sold %lld, its orders own %lld", v->sale, v->id,
               (long long)v->sold, (long long)v->orders_sold);
    if (v->withheld != v->orders_withheld)
        broken(c, "%s/%s: withheld %lld, its orders withhold %lld", v->sale,
               v->id, (long long)v->withheld, (long long)v->orders_withheld);
}

int speedy_units_judge(struct speedy_db *db, const char *sale,
                       struct speedy_units_check *c)
{
    int n;

    c->variant_count = 0;
    n = speedy_db_query(
        db,
        "SELECT sale_id, variant, '', total, held, sold, "
        "withheld, epoch FROM sale_variants WHERE ? = '' OR "
        "sale_id = ? UNION ALL SELECT sale_id, variant, state, "
        "COUNT(*), CAST(SUM(units_live) AS SIGNED), "
        "CAST(SUM(units_withheld) AS SIGNED), "
        "CAST(SUM(quantity) AS SIGNED), 0 FROM orders WHERE ? "
        "= '' OR sale_id = ? GROUP BY sale_id, variant, state",
        DB_ARGS(DB_TEXT(sale), DB_TEXT(sale), DB_TEXT(sale), DB_TEXT(sale)),
        units_row, c);
    for (size_t i = 0; n == 0 && i < c->variant_count; i++)
        judge(c, &c->variants[i]);
    return n;
}

/* Units of one variant that are nowhere, or twice. */
static void sum_judge(struct speedy_units_check *c,
                      const struct speedy_units_variant *v)
{
    int64_t keep = v->orders_held + v->orders_sold + v->orders_withheld;
    int64_t away = v->total - keep - v->left;

    if (keep > v->total) {
        c->oversold += keep - v->total;
        broken(c, "%s/%s: oversold: orders keep %lld of %lld units", v->sale,
               v->id, (long long)keep, (long long)v->total);
    }
    if (!v->in_redis)
        return;
    if (away > 0) {
        c->undersold += away;
        broken(c, "%s/%s: undersold: %lld left + %lld kept of %lld", v->sale,
               v->id, (long long)v->left, (long long)keep, (long long)v->total);
    } else if (away < 0 && keep <= v->total) {
        broken(c,
               "%s/%s: %lld left + %lld kept exceed %lld: it can be oversold",
               v->sale, v->id, (long long)v->left, (long long)keep,
               (long long)v->total);
    }
}

void speedy_units_sums(struct speedy_units_check *c)
{
    c->oversold = 0;
    c->undersold = 0;
    for (size_t i = 0; i < c->variant_count; i++)
        sum_judge(c, &c->variants[i]);
}
