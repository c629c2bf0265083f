/*
 * Redis against MySQL, for every live sale: I8 stock and ledger add up to
 * the total (one instant, by snapshot.lua), I9 the ledger is the orders with
 * units, no more and no less, I10 gate, ledger and MySQL have one epoch.
 */
#include "audit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/crypto.h"
#include "../shop/scripts.h"

#define PAGE 512

static int64_t number(const redisReply *r)
{
    if (r->type == REDIS_REPLY_INTEGER)
        return r->integer;
    return r->type == REDIS_REPLY_STRING && r->len > 0
               ? strtoll(r->str, NULL, 10)
               : -1;
}

static redisReply *snapshot(struct audit *a, const char *sale)
{
    struct ctl *c = a->c;
    struct speedy_args *args = &c->redis_args;
    struct speedy_keys k;
    redisReply *r;

    if (speedy_redis_ready(c->redis) != 0)
        return NULL;
    speedy_keys_make(&k, sale);
    speedy_args_reset(args);
    speedy_args_text(args, k.loaded);
    speedy_args_text(args, k.gate);
    speedy_args_text(args, k.stock);
    speedy_args_text(args, k.resv);
    speedy_args_text(args, k.user);
    speedy_args_text(args, k.pend);
    speedy_args_text(args, speedy_redis_run_id(c->redis));
    r = speedy_redis_script(c->redis, &speedy_script_snapshot, 6, args);
    if (r != NULL && (r->type != REDIS_REPLY_ARRAY || r->elements != 7 ||
                      r->element[2]->type != REDIS_REPLY_ARRAY)) {
        freeReplyObject(r);
        return NULL;
    }
    return r;
}

static void judge_variant(struct audit *a, struct audit_line *l,
                          const char *sale, redisReply *const *e)
{
    struct speedy_units_variant *v =
        speedy_units_find(&a->units, sale, e[0]->str);

    if (v == NULL || !v->known) {
        audit_broken(l, "%s/%s: in Redis, but not in MySQL", sale, e[0]->str);
        return;
    }
    v->in_redis = true;
    v->left = number(e[1]);
    v->ledger = number(e[2]);
    if (v->left < 0)
        audit_broken(l, "%s/%s: stock is %lld", sale, v->id,
                     (long long)v->left);
    if (v->left + v->ledger != v->total)
        audit_broken(l, "%s/%s: stock %lld + ledger %lld, total %lld", sale,
                     v->id, (long long)v->left, (long long)v->ledger,
                     (long long)v->total);
}

static void judge_sale(struct audit *a, struct audit_line *l,
                       struct audit_sale *s, const redisReply *r)
{
    const redisReply *v = r->element[2];

    s->loaded_epoch = number(r->element[0]);
    s->gate_epoch = number(r->element[1]);
    s->entries = number(r->element[3]);
    if (s->loaded_epoch < 0) {
        audit_broken(l, "sale %s: Redis has no whole ledger (fenced)", s->id);
        return;
    }
    s->snapshot = true;
    for (size_t i = 0; i + 2 < v->elements; i += 3)
        judge_variant(a, l, s->id, v->element + i);
    if (number(r->element[5]) != 0)
        audit_broken(l, "sale %s: %lld entries of pend are not in the ledger",
                     s->id, (long long)number(r->element[5]));
    if (number(r->element[6]) != 0)
        audit_broken(l,
                     "sale %s: %lld users whose units differ from their "
                     "ledger entries",
                     s->id, (long long)number(r->element[6]));
    for (size_t i = 0; i < a->units.variant_count; i++) {
        if (strcmp(a->units.variants[i].sale, s->id) == 0 &&
            a->units.variants[i].known && !a->units.variants[i].in_redis)
            audit_broken(l, "%s/%s: in MySQL, but not in Redis", s->id,
                         a->units.variants[i].id);
    }
}

void audit_stock(struct audit *a, struct audit_line *l)
{
    int64_t left = 0, ledger = 0, sales = 0;

    for (size_t i = 0; i < a->sale_count; i++) {
        redisReply *r;

        a->sales[i].snapshot = false;
        a->sales[i].loaded_epoch = a->sales[i].gate_epoch = -1;
        if (!a->sales[i].live)
            continue;
        r = snapshot(a, a->sales[i].id);
        if (r == NULL) {
            audit_unknown(l, "Redis did not answer snapshot.lua");
            return;
        }
        sales++;
        judge_sale(a, l, &a->sales[i], r);
        freeReplyObject(r);
    }
    for (size_t i = 0; i < a->units.variant_count; i++) {
        left += a->units.variants[i].in_redis ? a->units.variants[i].left : 0;
        ledger +=
            a->units.variants[i].in_redis ? a->units.variants[i].ledger : 0;
    }
    audit_figures(l, "sales=%lld left=%lld ledger=%lld", (long long)sales,
                  (long long)left, (long long)ledger);
}

void audit_epochs(struct audit *a, struct audit_line *l)
{
    long sales = 0;

    for (size_t i = 0; i < a->sale_count; i++) {
        const struct audit_sale *s = &a->sales[i];

        if (!s->live)
            continue;
        sales++;
        if (s->gate_epoch < 0)
            audit_broken(l, "sale %s: its gate does not stand", s->id);
        else if (s->gate_epoch != s->loaded_epoch)
            audit_broken(l, "sale %s: gate of epoch %lld, ledger of %lld",
                         s->id, (long long)s->gate_epoch,
                         (long long)s->loaded_epoch);
        for (size_t k = 0; k < a->units.variant_count; k++) {
            const struct speedy_units_variant *v = &a->units.variants[k];

            if (strcmp(v->sale, s->id) == 0 && v->known &&
                s->loaded_epoch >= 0 && v->epoch != s->loaded_epoch)
                audit_broken(l, "%s/%s: epoch %lld in MySQL, %lld in Redis",
                             s->id, v->id, (long long)v->epoch,
                             (long long)s->loaded_epoch);
        }
    }
    audit_figures(l, "sales=%ld", sales);
}

/* One page of orders with units, to be looked up in the ledger. */
struct order {
    unsigned char id[16];
    char variant[SPEEDY_ID_MAX + 1], user[SPEEDY_ID_MAX + 1];
    int64_t units, seq;
};
struct page {
    size_t count;
    struct order at[PAGE];
};

static int order_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct page *p = data;
    struct order *o = &p->at[p->count];

    (void)cols;
    if (p->count == PAGE || col[0].len != 16)
        return 1;
    memcpy(o->id, col[0].bytes, 16);
    snprintf(o->variant, sizeof(o->variant), "%s", (const char *)col[1].bytes);
    snprintf(o->user, sizeof(o->user), "%s", (const char *)col[2].bytes);
    o->units = col[3].number;
    o->seq = col[4].number;
    p->count++;
    return 0;
}

static redisReply *lookup(struct audit *a, const char *sale,
                          const struct page *p)
{
    struct ctl *c = a->c;
    struct speedy_args *args = &c->redis_args;
    struct speedy_keys k;
    redisReply *r;

    if (speedy_redis_ready(c->redis) != 0)
        return NULL;
    speedy_keys_make(&k, sale);
    speedy_args_reset(args);
    speedy_args_text(args, k.gate);
    speedy_args_text(args, k.resv);
    speedy_args_text(args, k.pend);
    speedy_args_text(args, speedy_redis_run_id(c->redis));
    for (size_t i = 0; i < p->count; i++)
        speedy_args_add(args, p->at[i].id, 16);
    r = speedy_redis_script(c->redis, &speedy_script_lookup, 3, args);
    if (r != NULL &&
        (r->type != REDIS_REPLY_ARRAY || r->elements != p->count)) {
        freeReplyObject(r);
        return NULL;
    }
    return r;
}

/* 1 when the ledger has an entry of this order. */
static int judge_order(struct audit_line *l, const char *sale,
                       const struct order *o, const redisReply *e)
{
    char id[37];

    speedy_uuid_text(o->id, id);
    if (e->type != REDIS_REPLY_ARRAY || e->elements < 9) {
        audit_broken(l, "sale %s: order %s has %lld units, the ledger none",
                     sale, id, (long long)o->units);
        return 0;
    }
    if (number(e->element[3]) != o->units)
        audit_broken(l, "sale %s: order %s has %lld units, the ledger %lld",
                     sale, id, (long long)o->units,
                     (long long)number(e->element[3]));
    else if (strcmp(e->element[1]->str, o->user) != 0 ||
             strcmp(e->element[2]->str, o->variant) != 0)
        audit_broken(l,
                     "sale %s: order %s is %s's of %s, in the ledger %s's "
                     "of %s",
                     sale, id, o->user, o->variant, e->element[1]->str,
                     e->element[2]->str);
    return 1;
}

/* Orders with units, page by page. Number found in the ledger, or -1. */
static int64_t orders_in_ledger(struct audit *a, struct audit_line *l,
                                const char *sale, int64_t *orders)
{
    static struct page p;
    unsigned char after[16] = {0};
    int64_t found = 0;

    do {
        redisReply *r;

        p.count = 0;
        if (audit_db(l, speedy_db_query(
                            a->c->db,
                            "SELECT id, variant, user_id, units_live + "
                            "units_withheld, seq FROM orders WHERE sale_id = ? "
                            "AND id > ? AND units_live + units_withheld > 0 "
                            "ORDER BY id LIMIT 512",
                            DB_ARGS(DB_TEXT(sale), DB_BYTES(after, 16)),
                            order_row, &p)) != 0)
            return -1;
        if (p.count == 0)
            break;
        memcpy(after, p.at[p.count - 1].id, 16);
        r = lookup(a, sale, &p);
        if (r == NULL) {
            audit_unknown(l, "Redis did not answer lookup.lua");
            return -1;
        }
        for (size_t i = 0; i < p.count; i++)
            found += judge_order(l, sale, &p.at[i], r->element[i]);
        *orders += (int64_t)p.count;
        freeReplyObject(r);
    } while (p.count == PAGE);
    return found;
}

/* Entries of the ledger that MySQL does not count: told by their ids. */
static void judge_entry(struct audit *a, struct audit_line *l, const char *sale,
                        const redisReply *field)
{
    int64_t units = 0;
    char id[37];
    int n;

    if (field->len != 16 || strncmp(field->str, "adj:", 4) == 0) {
        audit_broken(l, "sale %s: the ledger still has %.40s", sale,
                     field->str);
        return;
    }
    n = speedy_db_number(a->c->db,
                         "SELECT units_live + units_withheld FROM orders WHERE "
                         "id = ? AND sale_id = ?",
                         DB_ARGS(DB_BYTES(field->str, 16), DB_TEXT(sale)),
                         &units);
    speedy_uuid_text((const unsigned char *)field->str, id);
    if (n == 0)
        audit_broken(l, "sale %s: the ledger has order %s, MySQL has not", sale,
                     id);
    else if (n == 1 && units == 0)
        audit_broken(l,
                     "sale %s: the ledger keeps units of order %s, which "
                     "has none",
                     sale, id);
}

static void find_extra(struct audit *a, struct audit_line *l, const char *sale)
{
    struct ctl *c = a->c;
    struct speedy_keys k;
    char cursor[32] = "0";

    speedy_keys_make(&k, sale);
    do {
        redisReply *r;

        speedy_args_reset(&c->redis_args);
        speedy_args_text(&c->redis_args, "HSCAN");
        speedy_args_text(&c->redis_args, k.resv);
        speedy_args_text(&c->redis_args, cursor);
        speedy_args_text(&c->redis_args, "COUNT");
        speedy_args_int(&c->redis_args, PAGE);
        r = speedy_redis_command(c->redis, &c->redis_args);
        if (r == NULL || r->type != REDIS_REPLY_ARRAY || r->elements != 2) {
            freeReplyObject(r);
            audit_unknown(l, "Redis did not answer HSCAN");
            return;
        }
        snprintf(cursor, sizeof(cursor), "%s", r->element[0]->str);
        for (size_t i = 0; i + 1 < r->element[1]->elements &&
                           l->example_count < AUDIT_EXAMPLES;
             i += 2)
            judge_entry(a, l, sale, r->element[1]->element[i]);
        freeReplyObject(r);
    } while (strcmp(cursor, "0") != 0 && l->example_count < AUDIT_EXAMPLES);
}

void audit_ledger(struct audit *a, struct audit_line *l)
{
    int64_t entries = 0, orders = 0;

    for (size_t i = 0; i < a->sale_count; i++) {
        const struct audit_sale *s = &a->sales[i];
        int64_t found;

        if (!s->live)
            continue;
        if (!s->snapshot) {
            audit_broken(l, "sale %s: there is no ledger to compare", s->id);
            continue;
        }
        found = orders_in_ledger(a, l, s->id, &orders);
        if (found < 0)
            return;
        entries += s->entries;
        if (s->entries == found)
            continue;
        audit_broken(l,
                     "sale %s: the ledger has %lld entries, %lld of them "
                     "orders with units",
                     s->id, (long long)s->entries, (long long)found);
        find_extra(a, l, s->id);
    }
    audit_figures(l, "entries=%lld orders=%lld", (long long)entries,
                  (long long)orders);
}
