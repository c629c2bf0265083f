/*
 * Acts on a sale's row: create, change, pause, resume, close, postpone,
 * extend, notice, stop-all. Each is one conditional UPDATE (the version that
 * was read) and one audit_log row.
 */
#include "sale_acts.h"

#include <stdio.h>
#include <string.h>

struct work {
    const char *id, *verb, *text;
    int64_t time;
    bool *opened_now;
    struct speedy_sale *sale;
    const struct speedy_sale_move *move;
    const struct speedy_sale_change *change;
};

/* The row, and whether it is the one that the operator saw. */
static int read_sale(struct speedy_act *a, const char *id,
                     struct speedy_sale *s)
{
    int n = speedy_sale_read(a->db, id, s);

    if (n < 0)
        return n;
    if (n == 0)
        return SPEEDY_ACT_UNKNOWN;
    return a->version != 0 && a->version != s->version ? SPEEDY_ACT_VERSION : 0;
}

static bool is_over(const struct speedy_sale *s)
{
    return strcmp(s->state, "CLOSED") == 0 || strcmp(s->state, "ARCHIVED") == 0;
}

/* --- create --- */

static int insert_variants(struct speedy_act *a, const struct speedy_sale *s)
{
    int n = 0;

    for (int i = 0; i < s->variant_count && n == 0; i++)
        n = speedy_db_exec(a->db,
                           "INSERT INTO sale_variants (sale_id, variant, "
                           "price, total, epoch) VALUES (?, ?, ?, ?, 1)",
                           DB_ARGS(DB_TEXT(s->id), DB_TEXT(s->variant[i].id),
                                   DB_INT(s->variant[i].price),
                                   DB_INT(s->variant[i].total)),
                           NULL);
    return n;
}

/* Prices, the time of opening, and what must fit each other. */
static int complete(struct speedy_act *a, struct work *w)
{
    struct speedy_sale *s = w->sale;
    int64_t price = 0, stock = 0;
    int n = speedy_db_number(a->db, "SELECT price FROM products WHERE id = ?",
                             DB_ARGS(DB_TEXT(s->product)), &price);

    if (n == 1)
        n = speedy_db_number(a->db, "SELECT " SPEEDY_MS("UTC_TIMESTAMP(3)"),
                             DB_NONE, &s->now);
    else if (n == 0)
        return SPEEDY_ACT_NO_PRODUCT;
    if (n < 0)
        return n;
    if (s->opens_at < s->now) {
        s->opens_at = s->now;
        if (w->opened_now != NULL)
            *w->opened_now = true;
    }
    for (int i = 0; i < s->variant_count; i++) {
        stock += s->variant[i].total;
        if (s->variant[i].price == 0)
            s->variant[i].price = price;
    }
    if (s->limit > stock)
        return SPEEDY_ACT_LIMIT_STOCK;
    if (s->closes_at != 0 && s->closes_at <= s->opens_at)
        return SPEEDY_ACT_WINDOW;
    speedy_buf_printf(&a->detail,
                      "\"product\":\"%s\",\"price\":%lld,\"variants\":%d,"
                      "\"stock\":%lld,\"opens_at\":%lld,\"closes_at\":%lld",
                      s->product, (long long)s->variant[0].price,
                      s->variant_count, (long long)stock,
                      (long long)s->opens_at, (long long)s->closes_at);
    return 0;
}

static int create_work(struct speedy_act *a, void *data)
{
    struct work *w = data;
    const struct speedy_sale *s = w->sale;
    int n = complete(a, w);

    if (n != 0)
        return n;
    n = speedy_db_exec(
        a->db,
        "INSERT INTO sales (id, product_id, opens_at, closes_at, "
        "per_user_limit, hold_ms, restock, shipping, notice) VALUES "
        "(?, ?, " SPEEDY_DATETIME ", " SPEEDY_DATETIME ", ?, ?, ?, ?, ?)",
        DB_ARGS(DB_TEXT(s->id), DB_TEXT(s->product), DB_INT(s->opens_at),
                s->closes_at ? DB_INT(s->closes_at) : DB_NULL, DB_INT(s->limit),
                DB_INT(s->hold_ms), DB_TEXT(s->restock), DB_TEXT(s->shipping),
                DB_TEXT(s->notice)),
        NULL);
    if (n == SPEEDY_DB_DUPLICATE)
        return SPEEDY_ACT_EXISTS;
    return n == 0 ? insert_variants(a, s) : n;
}

int speedy_sale_create(struct speedy_act *a, struct speedy_sale *s,
                       bool *opened_now)
{
    struct work w = {.sale = s, .opened_now = opened_now};

    if (opened_now != NULL)
        *opened_now = false;
    return speedy_act_run(a, "sale.create", s->id, create_work, &w);
}

/* --- change before the opening --- */

static int change_prices(struct speedy_act *a,
                         const struct speedy_sale_change *c)
{
    int n = 0;

    for (int i = 0; i < c->price_count && n == 0; i++) {
        speedy_buf_printf(&a->detail, ",\"price:%s\":%lld", c->price[i].variant,
                          (long long)c->price[i].price);
        n = speedy_db_exec(a->db,
                           "UPDATE sale_variants SET price = ? WHERE sale_id = "
                           "? AND variant = ?",
                           DB_ARGS(DB_INT(c->price[i].price), DB_TEXT(c->id),
                                   DB_TEXT(c->price[i].variant)),
                           NULL);
    }
    return n;
}

/* What the change makes of the sale, put into s; 0 or why not. */
static int apply(const struct speedy_sale_change *c, struct speedy_sale *s)
{
    int64_t stock = 0;

    for (int i = 0; i < s->variant_count; i++)
        stock += s->variant[i].total;
    for (int i = 0; i < c->price_count; i++) {
        if (!speedy_sale_has_variant(s, c->price[i].variant))
            return SPEEDY_ACT_NO_VARIANT;
    }
    if (c->opens_at != 0 && c->opens_at <= s->now)
        return SPEEDY_ACT_PAST;
    s->opens_at = c->opens_at != 0 ? c->opens_at : s->opens_at;
    s->closes_at = c->closes_given ? c->closes_at : s->closes_at;
    s->limit = c->limit != 0 ? c->limit : s->limit;
    s->hold_ms = c->hold_ms != 0 ? c->hold_ms : s->hold_ms;
    if (c->restock != NULL)
        snprintf(s->restock, sizeof(s->restock), "%s", c->restock);
    if (c->shipping != NULL)
        snprintf(s->shipping, sizeof(s->shipping), "%s", c->shipping);
    if (c->notice != NULL)
        snprintf(s->notice, sizeof(s->notice), "%s", c->notice);
    if (s->limit > stock)
        return SPEEDY_ACT_LIMIT_STOCK;
    if (s->closes_at != 0 && s->closes_at <= s->opens_at)
        return SPEEDY_ACT_WINDOW;
    return 0;
}

static int change_work(struct speedy_act *a, void *data)
{
    struct work *w = data;
    struct speedy_sale *s = w->sale;
    long affected = 0;
    int n = read_sale(a, w->id, s);

    if (n == 0 && is_over(s))
        n = SPEEDY_ACT_OVER;
    if (n == 0 && s->opens_at <= s->now + SPEEDY_SALE_LEAD_MS)
        n = SPEEDY_ACT_OPENED;
    if (n == 0)
        n = apply(w->change, s);
    if (n != 0)
        return n;
    speedy_buf_printf(&a->detail,
                      "\"opens_at\":%lld,\"closes_at\":%lld,\"limit\":%lld,"
                      "\"hold_ms\":%lld,\"restock\":\"%s\",\"shipping\":"
                      "\"%s\"",
                      (long long)s->opens_at, (long long)s->closes_at,
                      (long long)s->limit, (long long)s->hold_ms, s->restock,
                      s->shipping);
    n = speedy_db_exec(
        a->db,
        "UPDATE sales SET opens_at = " SPEEDY_DATETIME
        ", closes_at = " SPEEDY_DATETIME
        ", per_user_limit = ?, hold_ms = ?, restock = ?, shipping = ?, "
        "notice = ?, version = version + 1 WHERE id = ? AND version = ?",
        DB_ARGS(DB_INT(s->opens_at),
                s->closes_at ? DB_INT(s->closes_at) : DB_NULL, DB_INT(s->limit),
                DB_INT(s->hold_ms), DB_TEXT(s->restock), DB_TEXT(s->shipping),
                DB_TEXT(s->notice), DB_TEXT(w->id), DB_INT(s->version)),
        &affected);
    n = speedy_act_changed_once(n, affected);
    return n == 0 ? change_prices(a, w->change) : n;
}

int speedy_sale_change(struct speedy_act *a,
                       const struct speedy_sale_change *change,
                       struct speedy_sale *s)
{
    struct work w = {.id = change->id, .sale = s, .change = change};

    return speedy_act_run(a, "sale.change", change->id, change_work, &w);
}

/* --- moves --- */

static int move_work(struct speedy_act *a, void *data)
{
    struct work *w = data;
    struct speedy_sale *s = w->sale;
    long affected = 0;
    int n = read_sale(a, w->id, s);

    if (n != 0)
        return n;
    w->move = speedy_sale_move_find(w->verb, s->state);
    if (w->move == NULL || strcmp(w->move->who, "operator") != 0)
        return SPEEDY_ACT_MOVE;
    speedy_buf_printf(&a->detail, "\"from\":\"%s\",\"to\":\"%s\"",
                      w->move->from, w->move->to);
    n = speedy_db_exec(
        a->db,
        "UPDATE sales SET state = ?, closed_at = IF(? = 'CLOSED', "
        "UTC_TIMESTAMP(3), closed_at), version = version + 1 "
        "WHERE id = ? AND state = ? AND version = ?",
        DB_ARGS(DB_TEXT(w->move->to), DB_TEXT(w->move->to), DB_TEXT(w->id),
                DB_TEXT(w->move->from), DB_INT(s->version)),
        &affected);
    return speedy_act_changed_once(n, affected);
}

int speedy_sale_move(struct speedy_act *a, const char *id, const char *verb,
                     struct speedy_sale *s, const char **to)
{
    struct work w = {.id = id, .verb = verb, .sale = s};
    char act[24];
    int n;

    snprintf(act, sizeof(act), "sale.%s", verb);
    n = speedy_act_run(a, act, id, move_work, &w);
    *to = w.move != NULL ? w.move->to : NULL;
    return n;
}

/* --- times --- */

static int postpone_work(struct speedy_act *a, void *data)
{
    struct work *w = data;
    struct speedy_sale *s = w->sale;
    long affected = 0;
    int n = read_sale(a, w->id, s);

    if (n != 0)
        return n;
    if (is_over(s))
        return SPEEDY_ACT_OVER;
    if (s->opens_at <= s->now + SPEEDY_SALE_LEAD_MS)
        return SPEEDY_ACT_OPENED;
    if (w->time <= s->now)
        return SPEEDY_ACT_PAST;
    if (s->closes_at != 0 && w->time >= s->closes_at)
        return SPEEDY_ACT_WINDOW;
    speedy_buf_printf(&a->detail, "\"from\":%lld,\"to\":%lld",
                      (long long)s->opens_at, (long long)w->time);
    n = speedy_db_exec(
        a->db,
        "UPDATE sales SET opens_at = " SPEEDY_DATETIME
        ", version = version + 1 WHERE id = ? AND version = ?",
        DB_ARGS(DB_INT(w->time), DB_TEXT(w->id), DB_INT(s->version)),
        &affected);
    return speedy_act_changed_once(n, affected);
}

int speedy_sale_postpone(struct speedy_act *a, const char *id, int64_t opens_at,
                         struct speedy_sale *s)
{
    struct work w = {.id = id, .time = opens_at, .sale = s};

    return speedy_act_run(a, "sale.postpone", id, postpone_work, &w);
}

static int extend_work(struct speedy_act *a, void *data)
{
    struct work *w = data;
    struct speedy_sale *s = w->sale;
    long affected = 0;
    int n = read_sale(a, w->id, s);

    if (n != 0)
        return n;
    if (is_over(s) || (s->closes_at != 0 && s->closes_at <= s->now))
        return SPEEDY_ACT_OVER;
    if (s->closes_at == 0 || w->time <= s->closes_at || w->time <= s->now)
        return SPEEDY_ACT_NOT_LATER;
    speedy_buf_printf(&a->detail, "\"from\":%lld,\"to\":%lld",
                      (long long)s->closes_at, (long long)w->time);
    n = speedy_db_exec(
        a->db,
        "UPDATE sales SET closes_at = " SPEEDY_DATETIME
        ", version = version + 1 WHERE id = ? AND version = ?",
        DB_ARGS(DB_INT(w->time), DB_TEXT(w->id), DB_INT(s->version)),
        &affected);
    return speedy_act_changed_once(n, affected);
}

int speedy_sale_extend(struct speedy_act *a, const char *id, int64_t closes_at,
                       struct speedy_sale *s)
{
    struct work w = {.id = id, .time = closes_at, .sale = s};

    return speedy_act_run(a, "sale.extend", id, extend_work, &w);
}

static int notice_work(struct speedy_act *a, void *data)
{
    struct work *w = data;
    long affected = 0;
    int n = read_sale(a, w->id, w->sale);

    if (n != 0)
        return n;
    if (strcmp(w->sale->state, "ARCHIVED") == 0)
        return SPEEDY_ACT_OVER;
    speedy_buf_printf(&a->detail, "\"notice\":");
    speedy_buf_json(&a->detail, w->text);
    n = speedy_db_exec(
        a->db,
        "UPDATE sales SET notice = ?, version = version + 1 WHERE id = ? AND "
        "version = ?",
        DB_ARGS(DB_TEXT(w->text), DB_TEXT(w->id), DB_INT(w->sale->version)),
        &affected);
    return speedy_act_changed_once(n, affected);
}

int speedy_sale_notice(struct speedy_act *a, const char *id, const char *text,
                       struct speedy_sale *s)
{
    struct work w = {.id = id, .text = text, .sale = s};

    return speedy_act_run(a, "sale.notice", id, notice_work, &w);
}

static int stop_all_work(struct speedy_act *a, void *data)
{
    long *stopped = data;
    int n = speedy_db_exec(a->db,
                           "UPDATE sales SET state = 'PAUSED', version = "
                           "version + 1 WHERE state = 'ACTIVE'",
                           DB_NONE, stopped);

    speedy_buf_printf(&a->detail, "\"paused\":%ld", *stopped);
    return n;
}

int speedy_sale_stop_all(struct speedy_act *a, long *paused)
{
    *paused = 0;
    return speedy_act_run(a, "sale.stop-all", "*", stop_all_work, paused);
}
