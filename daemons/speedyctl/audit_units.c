/*
 * Units: I1 (MySQL's counters against its orders) and the sums over both
 * stores, as daemons/shop/units.c judges them.
 */
#include "audit.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

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

static void units_broken(void *line, const char *text)
{
    audit_broken(line, "%s", text);
}

void audit_units(struct audit *a, struct audit_line *l)
{
    int64_t total = 0, held = 0, sold = 0, withheld = 0, orders = 0;

    a->units.broken = units_broken;
    a->units.data = l;
    if (audit_db(l, speedy_units_judge(a->c->db, a->sale, &a->units)) != 0)
        return;
    for (size_t i = 0; i < a->units.variant_count; i++) {
        const struct speedy_units_variant *v = &a->units.variants[i];

        total += v->total;
        held += v->held;
        sold += v->sold;
        withheld += v->withheld;
        orders += v->orders;
    }
    audit_figures(l,
                  "variants=%zu total=%lld held=%lld sold=%lld withheld=%lld "
                  "orders=%lld",
                  a->units.variant_count, (long long)total, (long long)held,
                  (long long)sold, (long long)withheld, (long long)orders);
}

/* Lost: accepted by a client, not a live order here. */
void audit_sums(struct audit *a, struct audit_line *l)
{
    int64_t left = 0, kept = 0;

    a->units.data = l;
    speedy_units_sums(&a->units);
    for (size_t i = 0; i < a->units.variant_count; i++) {
        const struct speedy_units_variant *v = &a->units.variants[i];

        kept += v->orders_held + v->orders_sold + v->orders_withheld;
        left += v->in_redis ? v->left : 0;
    }
    if (a->lost > 0)
        audit_broken(l, "%lld accepted orders are lost (I4, I5)",
                     (long long)a->lost);
    audit_figures(l,
                  "lost=%lld oversold=%lld undersold=%lld kept=%lld "
                  "left=%lld",
                  (long long)a->lost, (long long)a->units.oversold,
                  (long long)a->units.undersold, (long long)kept,
                  (long long)left);
}
