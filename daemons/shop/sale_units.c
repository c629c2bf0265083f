/*
 * Acts on a sale's units: stock, release, extend-holds.
 */
#include <stdio.h>
#include <string.h>

#include "../common/loop.h"
#include "sale_acts.h"

#define RELEASE_PAGE 256

/* sales.version tells stockd and every reader that the sale changed. */
static int touch(struct speedy_db *db, const char *sale)
{
    return speedy_db_exec(db,
                          "UPDATE sales SET version = version + 1 WHERE id = ?",
                          DB_ARGS(DB_TEXT(sale)), NULL);
}

/* --- stock --- */

struct stock {
    const char *sale, *variant;
    int64_t units; /* signed */
    int64_t id;    /* of the adjustment row */
    struct speedy_sale *s;
};

static int adjustment_insert(struct speedy_act *a, struct stock *w,
                             int64_t epoch)
{
    int n = speedy_db_exec(
        a->db,
        "INSERT INTO stock_adjustments (sale_id, variant, kind, units, epoch, "
        "actor, reason) VALUES (?, ?, ?, ?, ?, ?, ?)",
        DB_ARGS(DB_TEXT(w->sale), DB_TEXT(w->variant),
                DB_TEXT(w->units > 0 ? "raise" : "lower"),
                DB_INT(w->units > 0 ? w->units : -w->units), DB_INT(epoch),
                DB_TEXT(a->actor), DB_TEXT(a->reason)),
        NULL);

    if (n == 0)
        w->id = speedy_db_insert_id(a->db);
    return n;
}

static int stock_allowed(struct speedy_act *a, const struct stock *w)
{
    int n = speedy_sale_read(a->db, w->sale, w->s);

    if (n < 0)
        return n;
    if (n == 0)
        return SPEEDY_ACT_UNKNOWN;
    if (a->version != 0 && a->version != w->s->version)
        return SPEEDY_ACT_VERSION;
    if (!speedy_sale_has_variant(w->s, w->variant))
        return SPEEDY_ACT_NO_VARIANT;
    return strcmp(w->s->state, "ARCHIVED") == 0 ? SPEEDY_ACT_OVER : 0;
}

/*
 * The UPDATE comes first: it locks the variant, so that the epoch read after
 * it is the one of the commit.
 */
static int stock_work(struct speedy_act *a, void *data)
{
    struct stock *w = data;
    int64_t epoch = 0;
    long affected = 0;
    int n = stock_allowed(a, w);

    if (n != 0)
        return n;
    n = speedy_db_exec(a->db,
                       "UPDATE sale_variants SET total = total + ? WHERE "
                       "sale_id = ? AND variant = ? AND total + ? <= ?",
                       DB_ARGS(DB_INT(w->units > 0 ? w->units : 0),
                               DB_TEXT(w->sale), DB_TEXT(w->variant),
                               DB_INT(w->units), DB_INT(SPEEDY_STOCK_MAX)),
                       &affected);
    if (n == 0 && w->units > 0 && affected == 0)
        return SPEEDY_ACT_TOO_MANY;
    if (n == 0)
        n = speedy_db_number(a->db,
                             "SELECT epoch FROM sale_variants WHERE sale_id = "
                             "? AND variant = ? FOR UPDATE",
                             DB_ARGS(DB_TEXT(w->sale), DB_TEXT(w->variant)),
                             &epoch);
    if (n < 0)
        return n;
    n = adjustment_insert(a, w, epoch);
    if (n != 0)
        return n;
    speedy_buf_printf(&a->detail,
                      "\"variant\":\"%s\",\"units\":%lld,\"adjustment\":%lld",
                      w->variant, (long long)w->units, (long long)w->id);
    return touch(a->db, w->sale);
}

int speedy_sale_stock(struct speedy_act *a, const char *id, const char *variant,
                      int64_t units, struct speedy_sale *s, int64_t *adjustment)
{
    struct stock w = {.sale = id, .variant = variant, .units = units, .s = s};
    int n = speedy_act_run(a, "sale.stock", id, stock_work, &w);

    *adjustment = w.id;
    return n;
}

static int text_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    (void)cols;
    snprintf(data, 16, "%s", (const char *)col[0].bytes);
    return 0;
}

int speedy_sale_stock_state(struct speedy_db *db, int64_t adjustment,
                            int64_t wait_ms, char state[16])
{
    int64_t until = speedy_now_boot() + wait_ms;
    int n;

    for (;;) {
        state[0] = '\0';
        n = speedy_db_query(db,
                            "SELECT state FROM stock_adjustments WHERE id = ?",
                            DB_ARGS(DB_INT(adjustment)), text_row, state);
        if (n != 0 && n != SPEEDY_DB_RETRY)
            return n;
        if (n == 0 && strcmp(state, "OPEN") != 0 &&
            strcmp(state, "LOWERED") != 0)
            return 0;
        if (speedy_now_boot() >= until || speedy_pause(50))
            return n;
    }
}

/* --- extend-holds --- */

struct holds {
    const char *sale;
    int64_t ms;
    long *orders;
    struct speedy_sale *s;
};

static int holds_work(struct speedy_act *a, void *data)
{
    struct holds *h = data;
    int n = speedy_sale_read(a->db, h->sale, h->s);

    if (n <= 0)
        return n == 0 ? SPEEDY_ACT_UNKNOWN : n;
    n = speedy_db_exec(a->db,
                       "UPDATE orders SET pay_by = TIMESTAMPADD(MICROSECOND, "
                       "? * 1000, pay_by) WHERE sale_id = ? AND state IN "
                       "('PENDING_PAYMENT', 'PAY_READY', 'PAY_FAILED')",
                       DB_ARGS(DB_INT(h->ms), DB_TEXT(h->sale)), h->orders);
    speedy_buf_printf(&a->detail, "\"ms\":%lld,\"orders\":%ld",
                      (long long)h->ms, *h->orders);
    return n == 0 ? touch(a->db, h->sale) : n;
}

int speedy_sale_extend_holds(struct speedy_act *a, const char *id, int64_t ms,
                             struct speedy_sale *s, long *orders)
{
    struct holds h = {.sale = id, .ms = ms, .orders = orders, .s = s};

    *orders = 0;
    return speedy_act_run(a, "sale.extend-holds", id, holds_work, &h);
}

/* --- release --- */

/* One page of orders whose withheld units become sellable. */
struct page {
    const char *sale, *variant;
    int64_t budget; /* units still to be released */
    int count;
    int64_t units; /* of this page */
    struct {
        unsigned char id[16];
        int64_t live, withheld, give;
    } at[RELEASE_PAGE];
};

static int page_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct page *p = data;
    int64_t give = col[2].number;

    (void)cols;
    if (p->units + give > p->budget)
        give = p->budget - p->units;
    if (give <= 0 || p->count == RELEASE_PAGE)
        return 1;
    memcpy(p->at[p->count].id, col[0].bytes, 16);
    p->at[p->count].live = col[1].number;
    p->at[p->count].withheld = col[2].number;
    p->at[p->count].give = give;
    p->units += give;
    p->count++;
    return 0;
}

static int release_order(struct speedy_act *a, const struct page *p, int i,
                         int64_t epoch)
{
    long affected = 0;
    int64_t left = p->at[i].withheld - p->at[i].give;
    int n;

    n = speedy_db_exec(a->db,
                       "UPDATE orders SET units_withheld = ? WHERE id = ? AND "
                       "units_live = ? AND units_withheld = ?",
                       DB_ARGS(DB_INT(left), DB_BYTES(p->at[i].id, 16),
                               DB_INT(p->at[i].live),
                               DB_INT(p->at[i].withheld)),
                       &affected);
    n = speedy_act_changed_once(n, affected);
    if (n != 0)
        return n;
    return speedy_db_exec(a->db,
                          "INSERT INTO release_outbox (sale_id, order_id, "
                          "target, epoch) VALUES (?, ?, ?, ?)",
                          DB_ARGS(DB_TEXT(p->sale), DB_BYTES(p->at[i].id, 16),
                                  DB_INT(p->at[i].live + left), DB_INT(epoch)),
                          NULL);
}

/* The page's orders and their rows for stockd. */
static int release_orders(struct speedy_act *a, struct page *p)
{
    int64_t epoch = 0;
    /* Locks the variant first: the epoch is then the one of the commit. */
    int n = speedy_db_number(a->db,
                             "SELECT epoch FROM sale_variants WHERE sale_id = "
                             "? AND variant = ? FOR UPDATE",
                             DB_ARGS(DB_TEXT(p->sale), DB_TEXT(p->variant)),
                             &epoch);

    if (n < 0)
        return n;
    n = speedy_db_query(a->db,
                        "SELECT id, units_live, units_withheld FROM orders "
                        "WHERE sale_id = ? AND variant = ? AND units_withheld "
                        "> 0 ORDER BY id LIMIT 256 FOR UPDATE",
                        DB_ARGS(DB_TEXT(p->sale), DB_TEXT(p->variant)),
                        page_row, p);
    for (int i = 0; i < p->count && n == 0; i++)
        n = release_order(a, p, i, epoch);
    return n;
}

static int release_work(struct speedy_act *a, void *data)
{
    struct page *p = data;
    long affected = 0;
    int n;

    p->count = 0;
    p->units = 0;
    n = release_orders(a, p);
    if (n == 0 && p->units > 0)
        n = speedy_db_exec(a->db,
                           "UPDATE sale_variants SET withheld = withheld - ? "
                           "WHERE sale_id = ? AND variant = ? AND withheld >= "
                           "?",
                           DB_ARGS(DB_INT(p->units), DB_TEXT(p->sale),
                                   DB_TEXT(p->variant), DB_INT(p->units)),
                           &affected);
    if (n == 0 && p->units > 0 && affected == 0)
        return SPEEDY_ACT_COUNTERS;
    speedy_buf_printf(&a->detail, "\"variant\":\"%s\",\"units\":%lld",
                      p->variant, (long long)p->units);
    return n == 0 ? touch(a->db, p->sale) : n;
}

int speedy_sale_release(struct speedy_act *a, const char *id,
                        const char *variant, int64_t units,
                        struct speedy_sale *s, int64_t *released)
{
    struct page p = {.sale = id};
    int n = speedy_sale_read(a->db, id, s);

    *released = 0;
    if (n <= 0)
        return n == 0 ? SPEEDY_ACT_UNKNOWN : n;
    if (variant != NULL && !speedy_sale_has_variant(s, variant))
        return SPEEDY_ACT_NO_VARIANT;
    n = 0;
    for (int i = 0; i < s->variant_count && n == 0; i++) {
        if (variant != NULL && strcmp(variant, s->variant[i].id) != 0)
            continue;
        p.variant = s->variant[i].id;
        do {
            p.budget = units - *released;
            p.units = 0;
            if (s->variant[i].withheld == 0 || p.budget == 0)
                break;
            n = speedy_act_run(a, "sale.release", id, release_work, &p);
            *released += n == 0 ? p.units : 0;
        } while (n == 0 && p.count == RELEASE_PAGE);
    }
    return n;
}
