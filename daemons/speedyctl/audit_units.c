/*
 * Units: I1 (MySQL's counters against its orders) and the sums over both
 * stores. Counters and orders are read by one statement, hence at one
 * instant: this holds at any time, not only at rest.
 */
#include "audit.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "../shop/states.h"

static int sale_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct audit *a = data;
    struct audit_sale *grown =
        realloc(a->sales, (a->sale_count + 1) * sizeof(*grown));

    (void)cols;
    if (grown == NULL)
        abort();
    a->sales = grown;
    snprintf(grown[a->sale_count].id, sizeof(grown->id), "%s",
             (const char *)col[0].bytes);
    grown[a->sale_count].live = col[1].number == 1;
    a->sale_count++;
    return 0;
}

int audit_load_sales(struct audit *a)
{
    int n = speedy_db_query(a->c->db,
                            "SELECT id, state <> 'ARCHIVED' FROM sales WHERE ? "
                            "= '' OR id = ? ORDER BY id",
                            DB_ARGS(DB_TEXT(a->sale), DB_TEXT(a->sale)),
                            sale_row, a);

    if (n != 0)
        return ctl_db_failed(a->c, n);
    if (a->sale_count == 0 && a->sale[0] != '\0')
        return ctl_refuse(a->c, "there is no sale %s: see sale list", a->sale);
    return 0;
}

struct audit_variant *audit_variant_find(struct audit *a, const char *sale,
                                         const char *variant)
{
    for (size_t i = 0; i < a->variant_count; i++) {
        if (strcmp(a->variants[i].id, variant) == 0 &&
            strcmp(a->variants[i].sale, sale) == 0)
            return &a->variants[i];
    }
    return NULL;
}

static struct audit_variant *variant_add(struct audit *a, const char *sale,
                                         const char *variant)
{
    struct audit_variant *v = audit_variant_find(a, sale, variant);

    if (v != NULL)
        return v;
    if (a->variant_count == a->variant_size) {
        a->variant_size = a->variant_size ? a->variant_size * 2 : 64;
        a->variants =
            realloc(a->variants, a->variant_size * sizeof(*a->variants));
        if (a->variants == NULL)
            abort();
    }
    v = &a->variants[a->variant_count++];
    memset(v, 0, sizeof(*v));
    snprintf(v->sale, sizeof(v->sale), "%s", sale);
    snprintf(v->id, sizeof(v->id), "%s", variant);
    return v;
}

struct units {
    struct audit *a;
    struct audit_line *l;
};

/* The orders of one state of one variant: count, live, withheld, quantity. */
static void count_orders(struct units *u, struct audit_variant *v,
                         const char *state, const struct speedy_db_value *col)
{
    const struct speedy_state *s = speedy_state_find(state);
    int64_t live = col[4].number, withheld = col[5].number;

    v->orders += col[3].number;
    v->orders_withheld += withheld;
    if (s == NULL) {
        audit_broken(u->l, "%s/%s: %lld orders in unknown state %s", v->sale,
                     v->id, (long long)col[3].number, state);
        return;
    }
    if (s->units == SPEEDY_UNITS_HELD)
        v->orders_held += live;
    else if (s->units == SPEEDY_UNITS_SOLD)
        v->orders_sold += live;
    else if (live != 0)
        audit_broken(u->l, "%s/%s: %s orders still have %lld live units",
                     v->sale, v->id, state, (long long)live);
    if (s->units == SPEEDY_UNITS_HELD &&
        (live != col[6].number || withheld != 0))
        audit_broken(u->l, "%s/%s: %s orders hold %lld of %lld units", v->sale,
                     v->id, state, (long long)live, (long long)col[6].number);
}

static int units_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct units *u = data;
    struct audit_variant *v = variant_add(u->a, col[0].bytes, col[1].bytes);

    (void)cols;
    if (col[2].len > 0) {
        count_orders(u, v, col[2].bytes, col);
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

static void judge(struct audit_line *l, const struct audit_variant *v)
{
    if (!v->known) {
        audit_broken(l, "%s/%s: %lld orders of a variant that does not exist",
                     v->sale, v->id, (long long)v->orders);
        return;
    }
    if (v->held < 0 || v->sold < 0 || v->withheld < 0 || v->total < 0)
        audit_broken(l,
                     "%s/%s: negative: total %lld held %lld sold %lld "
                     "withheld %lld",
                     v->sale, v->id, (long long)v->total, (long long)v->held,
                     (long long)v->sold, (long long)v->withheld);
    if (v->held + v->sold + v->withheld > v->total)
        audit_broken(l,
                     "%s/%s: held %lld + sold %lld + withheld %lld exceed "
                     "total %lld",
                     v->sale, v->id, (long long)v->held, (long long)v->sold,
                     (long long)v->withheld, (long long)v->total);
    if (v->held != v->orders_held)
        audit_broken(l, "%s/%s: held %lld, its orders hold %lld", v->sale,
                     v->id, (long long)v->held, (long long)v->orders_held);
    if (v->sold != v->orders_sold)
        audit_broken(l, "%s/%s: sold %lld, its orders own %lld", v->sale, v->id,
                     (long long)v->sold, (long long)v->orders_sold);
    if (v->withheld != v->orders_withheld)
        audit_broken(l, "%s/%s: withheld %lld, its orders withhold %lld",
                     v->sale, v->id, (long long)v->withheld,
                     (long long)v->orders_withheld);
}

void audit_units(struct audit *a, struct audit_line *l)
{
    struct units u = {a, l};
    int64_t total = 0, held = 0, sold = 0, withheld = 0, orders = 0;

    a->variant_count = 0;
    if (audit_db(l, speedy_db_query(
                        a->c->db,
                        "SELECT sale_id, variant, '', total, held, sold, "
                        "withheld, epoch FROM sale_variants WHERE ? = '' OR "
                        "sale_id = ? UNION ALL SELECT sale_id, variant, state, "
                        "COUNT(*), CAST(SUM(units_live) AS SIGNED), "
                        "CAST(SUM(units_withheld) AS SIGNED), "
                        "CAST(SUM(quantity) AS SIGNED), 0 FROM orders WHERE ? "
                        "= '' OR sale_id = ? GROUP BY sale_id, variant, state",
                        DB_ARGS(DB_TEXT(a->sale), DB_TEXT(a->sale),
                                DB_TEXT(a->sale), DB_TEXT(a->sale)),
                        units_row, &u)) != 0)
        return;
    for (size_t i = 0; i < a->variant_count; i++) {
        const struct audit_variant *v = &a->variants[i];

        judge(l, v);
        total += v->total;
        held += v->held;
        sold += v->sold;
        withheld += v->withheld;
        orders += v->orders;
    }
    audit_figures(l,
                  "variants=%zu total=%lld held=%lld sold=%lld withheld=%lld "
                  "orders=%lld",
                  a->variant_count, (long long)total, (long long)held,
                  (long long)sold, (long long)withheld, (long long)orders);
}

/*
 * Lost: accepted by a client, not a live order here. Oversold: orders keep
 * more than the total. Undersold: neither left in Redis nor kept by orders.
 */
void audit_sums(struct audit *a, struct audit_line *l)
{
    int64_t left = 0, kept = 0;

    a->oversold = 0;
    a->undersold = 0;
    for (size_t i = 0; i < a->variant_count; i++) {
        const struct audit_variant *v = &a->variants[i];
        int64_t keep = v->orders_held + v->orders_sold + v->orders_withheld;
        int64_t away = v->total - keep - v->left;

        kept += keep;
        if (keep > v->total) {
            a->oversold += keep - v->total;
            audit_broken(l, "%s/%s: oversold: orders keep %lld of %lld units",
                         v->sale, v->id, (long long)keep, (long long)v->total);
        }
        if (!v->in_redis)
            continue;
        left += v->left;
        if (away > 0) {
            a->undersold += away;
            audit_broken(l, "%s/%s: undersold: %lld left + %lld kept of %lld",
                         v->sale, v->id, (long long)v->left, (long long)keep,
                         (long long)v->total);
        } else if (away < 0 && keep <= v->total) {
            audit_broken(l,
                         "%s/%s: %lld left + %lld kept exceed %lld: it can "
                         "be oversold",
                         v->sale, v->id, (long long)v->left, (long long)keep,
                         (long long)v->total);
        }
    }
    if (a->lost > 0)
        audit_broken(l, "%lld accepted orders are lost (I4, I5)",
                     (long long)a->lost);
    audit_figures(l,
                  "lost=%lld oversold=%lld undersold=%lld kept=%lld "
                  "left=%lld",
                  (long long)a->lost, (long long)a->oversold,
                  (long long)a->undersold, (long long)kept, (long long)left);
}
