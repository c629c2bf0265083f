/*
 * Acts on a sale's units: stock, release, extend-holds.
 *
 * A raise is true in MySQL at once (total and adjustment row in one
 * transaction) and stockd adds the units to Redis; a lowering is an intent
 * that stockd may refuse, because the units may be sold by then. Both wait
 * for what stockd makes of it.
 */
#include "sale.h"

#include <stdio.h>
#include <string.h>

#include "../common/loop.h"

#define STOCK_CHANGE_MAX 100000000
#define RELEASE_PAGE 256

struct change {
    const char *sale, *variant;
    int64_t units; /* signed */
    int64_t id;    /* of the adjustment row */
};

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

static int adjustment_insert(struct ctl *c, struct change *a, int64_t epoch)
{
    const char *actor = or_empty(ctl_option(c, "actor"));
    int n = speedy_db_exec(
        c->db,
        "INSERT INTO stock_adjustments (sale_id, variant, kind, units, epoch, "
        "actor, reason) VALUES (?, ?, ?, ?, ?, ?, ?)",
        DB_ARGS(DB_TEXT(a->sale), DB_TEXT(a->variant),
                DB_TEXT(a->units > 0 ? "raise" : "lower"),
                DB_INT(a->units > 0 ? a->units : -a->units), DB_INT(epoch),
                DB_TEXT(actor[0] ? actor : "speedyctl"),
                DB_TEXT(or_empty(ctl_option(c, "reason")))),
        NULL);

    if (n == 0)
        a->id = speedy_db_insert_id(c->db);
    return n;
}

/*
 * The UPDATE comes first: it locks the variant, so that the epoch read after
 * it is the one of the commit.
 */
static int stock_work(struct ctl *c, void *data)
{
    struct change *a = data;
    int64_t epoch = 0;
    long affected = 0;
    int n;

    n = speedy_db_exec(c->db,
                       "UPDATE sale_variants SET total = total + ? WHERE "
                       "sale_id = ? AND variant = ?",
                       DB_ARGS(DB_INT(a->units > 0 ? a->units : 0),
                               DB_TEXT(a->sale), DB_TEXT(a->variant)),
                       &affected);
    if (n == 0)
        n = speedy_db_number(c->db,
                             "SELECT epoch FROM sale_variants WHERE sale_id = "
                             "? AND variant = ? FOR UPDATE",
                             DB_ARGS(DB_TEXT(a->sale), DB_TEXT(a->variant)),
                             &epoch);
    else
        return n;
    if (n < 0)
        return n;
    n = adjustment_insert(c, a, epoch);
    if (n != 0)
        return n;
    speedy_buf_printf(&c->detail,
                      "\"variant\":\"%s\",\"units\":%lld,\"adjustment\":%lld",
                      a->variant, (long long)a->units, (long long)a->id);
    /* sales.version tells stockd and every reader that the sale changed. */
    return speedy_db_exec(c->db,
                          "UPDATE sales SET version = version + 1 WHERE id = ?",
                          DB_ARGS(DB_TEXT(a->sale)), NULL);
}

static int text_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    (void)cols;
    snprintf(data, 16, "%s", (const char *)col[0].bytes);
    return 0;
}

/* The adjustment's state; waits while stockd has not finished. */
static int stock_outcome(struct ctl *c, const struct change *a, int64_t wait,
                         char state[16])
{
    int64_t until = speedy_now_boot() + wait;
    int n;

    for (;;) {
        state[0] = '\0';
        n = speedy_db_query(c->db,
                            "SELECT state FROM stock_adjustments WHERE id = ?",
                            DB_ARGS(DB_INT(a->id)), text_row, state);
        if (n != 0 && n != SPEEDY_DB_RETRY)
            return ctl_db_failed(c, n);
        if (n == 0 && strcmp(state, "OPEN") != 0 &&
            strcmp(state, "LOWERED") != 0)
            return 0;
        if (speedy_now_boot() >= until)
            return 0;
        speedy_pause(50);
    }
}

static int stock_told(struct ctl *c, const struct change *a, const char *state)
{
    if (c->json)
        printf("{\"sale\":\"%s\",\"variant\":\"%s\",\"units\":%lld,"
               "\"adjustment\":%lld,\"state\":\"%s\"}\n",
               a->sale, a->variant, (long long)a->units, (long long)a->id,
               state);
    else
        printf("sale %s, %s: %+lld units: %s\n", a->sale, a->variant,
               (long long)a->units, state);
    if (strcmp(state, "DONE") == 0)
        return CTL_DONE;
    if (strcmp(state, "REFUSED") == 0)
        return ctl_refuse(c, "so many units are not left: see sale show %s",
                          a->sale);
    if (strcmp(state, "VOID") == 0)
        return ctl_refuse(c, "the ledger was rebuilt meanwhile, which voids a "
                             "lowering: give it again");
    return ctl_refuse(c,
                      "stockd has not finished it yet; it will, when it "
                      "runs (adjustment %lld)",
                      (long long)a->id);
}

static bool has_variant(const struct sale *s, const char *id)
{
    for (int i = 0; i < s->variant_count; i++) {
        if (strcmp(s->variant[i].id, id) == 0)
            return true;
    }
    return false;
}

int ctl_sale_stock(struct ctl *c)
{
    static struct sale s;
    const char *units = c->args[c->arg_count - 1];
    struct change a = {.sale = c->args[0]};
    char state[16];
    int64_t wait;
    int code;

    if ((*units != '+' && *units != '-') ||
        ctl_number(units, -STOCK_CHANGE_MAX, STOCK_CHANGE_MAX, &a.units) != 0 ||
        a.units == 0)
        return ctl_usage(c, "%s: give +N to add or -N to take units", units);
    code = ctl_option_duration(c, "wait", 10000, &wait);
    if (code == 0)
        code = sale_read(c, a.sale, &s);
    if (code != 0)
        return code;
    a.variant = c->arg_count == 3 ? c->args[1] : s.variant[0].id;
    if (c->arg_count == 2 && s.variant_count != 1)
        return ctl_usage(c, "sale %s has %d variants: say which", a.sale,
                         s.variant_count);
    if (!has_variant(&s, a.variant))
        return ctl_refuse(c, "sale %s has no variant %s", a.sale, a.variant);
    if (strcmp(s.state, "ARCHIVED") == 0)
        return ctl_refuse(c, "sale %s is archived: its units are final",
                          a.sale);
    code = ctl_act(c, "sale.stock", a.sale, stock_work, &a);
    if (code == 0 && a.id == 0) /* committed by an attempt that was lost */
        return ctl_refuse(c, "done, but the reply was lost: see sale show %s",
                          a.sale);
    if (code == 0)
        code = stock_outcome(c, &a, wait, state);
    return code == 0 ? stock_told(c, &a, state) : code;
}

struct holds {
    const char *sale;
    int64_t ms;
    long orders;
};

static int holds_work(struct ctl *c, void *data)
{
    struct holds *h = data;
    int n;

    n = speedy_db_exec(c->db,
                       "UPDATE orders SET pay_by = TIMESTAMPADD(MICROSECOND, "
                       "? * 1000, pay_by) WHERE sale_id = ? AND state IN "
                       "('PENDING_PAYMENT', 'PAY_READY', 'PAY_FAILED')",
                       DB_ARGS(DB_INT(h->ms), DB_TEXT(h->sale)), &h->orders);
    speedy_buf_printf(&c->detail, "\"ms\":%lld,\"orders\":%ld",
                      (long long)h->ms, h->orders);
    if (n != 0)
        return n;
    return speedy_db_exec(c->db,
                          "UPDATE sales SET version = version + 1 WHERE id = ?",
                          DB_ARGS(DB_TEXT(h->sale)), NULL);
}

int ctl_sale_extend_holds(struct ctl *c)
{
    static struct sale s;
    struct holds h = {.sale = c->args[0]};
    int code;

    if (ctl_duration(c->args[1], &h.ms) != 0 || h.ms < 1000 || h.ms > 86400000)
        return ctl_usage(c, "%s: give a time from 1s to 24h, as 10m",
                         c->args[1]);
    code = sale_read(c, h.sale, &s);
    if (code == 0)
        code = ctl_act(c, "sale.extend-holds", h.sale, holds_work, &h);
    if (code != 0)
        return code;
    if (c->json)
        printf("{\"sale\":\"%s\",\"orders\":%ld,\"ms\":%lld}\n", h.sale,
               h.orders, (long long)h.ms);
    else
        printf("sale %s: %ld unpaid orders have %s more\n", h.sale, h.orders,
               ctl_duration_text(h.ms));
    return CTL_DONE;
}

/* One page of orders whose withheld units become sellable. */
struct page {
    const char *sale, *variant;
    int64_t budget; /* units still to be released */
    int count;
    int64_t units; /* of this page */
    struct {
        unsigned char id[16];
        int64_t live, withheld, give, version;
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

static int release_order(struct ctl *c, const struct page *p, int i,
                         int64_t epoch)
{
    long affected = 0;
    int64_t left = p->at[i].withheld - p->at[i].give;
    int n;

    n = speedy_db_exec(c->db,
                       "UPDATE orders SET units_withheld = ? WHERE id = ? AND "
                       "units_live = ? AND units_withheld = ?",
                       DB_ARGS(DB_INT(left), DB_BYTES(p->at[i].id, 16),
                               DB_INT(p->at[i].live),
                               DB_INT(p->at[i].withheld)),
                       &affected);
    if (n == 0 && affected == 0)
        return SPEEDY_DB_RETRY;
    if (n != 0)
        return n;
    return speedy_db_exec(c->db,
                          "INSERT INTO release_outbox (sale_id, order_id, "
                          "target, epoch) VALUES (?, ?, ?, ?)",
                          DB_ARGS(DB_TEXT(p->sale), DB_BYTES(p->at[i].id, 16),
                                  DB_INT(p->at[i].live + left), DB_INT(epoch)),
                          NULL);
}

static int release_work(struct ctl *c, void *data)
{
    struct page *p = data;
    int64_t epoch = 0;
    long affected = 0;
    int n;

    p->count = 0;
    p->units = 0;
    /* Locks the variant first: the epoch is then the one of the commit. */
    n = speedy_db_number(c->db,
                         "SELECT epoch FROM sale_variants WHERE sale_id = ? "
                         "AND variant = ? FOR UPDATE",
                         DB_ARGS(DB_TEXT(p->sale), DB_TEXT(p->variant)),
                         &epoch);
    if (n < 0)
        return n;
    n = speedy_db_query(c->db,
                        "SELECT id, units_live, units_withheld FROM orders "
                        "WHERE sale_id = ? AND variant = ? AND units_withheld "
                        "> 0 ORDER BY id LIMIT 256 FOR UPDATE",
                        DB_ARGS(DB_TEXT(p->sale), DB_TEXT(p->variant)),
                        page_row, p);
    for (int i = 0; i < p->count && n == 0; i++)
        n = release_order(c, p, i, epoch);
    if (n == 0 && p->units > 0)
        n = speedy_db_exec(c->db,
                           "UPDATE sale_variants SET withheld = withheld - ? "
                           "WHERE sale_id = ? AND variant = ? AND withheld >= "
                           "?",
                           DB_ARGS(DB_INT(p->units), DB_TEXT(p->sale),
                                   DB_TEXT(p->variant), DB_INT(p->units)),
                           &affected);
    if (n == 0 && p->units > 0 && affected == 0) {
        ctl_refuse(c,
                   "variant %s counts fewer withheld units than its orders "
                   "have: run speedyctl audit (I1)",
                   p->variant);
        return 1;
    }
    if (n == 0)
        n = speedy_db_exec(
            c->db, "UPDATE sales SET version = version + 1 WHERE id = ?",
            DB_ARGS(DB_TEXT(p->sale)), NULL);
    speedy_buf_printf(&c->detail, "\"variant\":\"%s\",\"units\":%lld",
                      p->variant, (long long)p->units);
    return n;
}

int ctl_sale_release(struct ctl *c)
{
    static struct sale s;
    static struct page p;
    const char *variant = ctl_option(c, "variant");
    int64_t units, released = 0;
    int code = sale_read(c, c->args[0], &s);

    if (code == 0)
        code = ctl_option_number(c, "units", INT32_MAX, 1, INT32_MAX, &units);
    if (code != 0)
        return code;
    if (variant != NULL && !has_variant(&s, variant))
        return ctl_refuse(c, "sale %s has no variant %s", s.id, variant);
    for (int i = 0; i < s.variant_count && code == 0; i++) {
        if (variant != NULL && strcmp(variant, s.variant[i].id) != 0)
            continue;
        do {
            p.sale = s.id;
            p.variant = s.variant[i].id;
            p.budget = units - released;
            p.units = 0;
            if (s.variant[i].withheld == 0 || p.budget == 0)
                break;
            code = ctl_act(c, "sale.release", s.id, release_work, &p);
            released += p.units;
        } while (code == 0 && p.count == RELEASE_PAGE);
    }
    if (code != 0)
        return code;
    if (c->json)
        printf("{\"sale\":\"%s\",\"released\":%lld}\n", s.id,
               (long long)released);
    else
        printf("sale %s: %lld withheld units are sellable again\n", s.id,
               (long long)released);
    return CTL_DONE;
}
