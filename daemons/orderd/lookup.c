/*
 * The list of sales counts only with `:complete` of this very Redis; a sale's
 * silence counts only while its `loaded` is of this Redis and has an epoch.
 * While a ledger is being rebuilt, orders may be in Kafka alone.
 */
#include "lookup.h"

#include <stdlib.h>
#include <string.h>

#include "../common/log.h"
#include "../shop/scripts.h"

#define ENTRY_FIELDS 9

static int take_text(const redisReply *r, char *out, size_t size)
{
    if (r->type != REDIS_REPLY_STRING || r->len >= size)
        return -1;
    memcpy(out, r->str, r->len);
    out[r->len] = '\0';
    return 0;
}

static int take_number(const redisReply *r, int64_t *out)
{
    char *end;

    if (r->type == REDIS_REPLY_INTEGER) {
        *out = r->integer;
        return 0;
    }
    if (r->type != REDIS_REPLY_STRING || r->len == 0)
        return -1;
    *out = strtoll(r->str, &end, 10);
    return *end == '\0' ? 0 : -1;
}

/* 1 found, 0 not in this ledger, -1 malformed. */
static int take_entry(const redisReply *reply, struct orderd_found *found)
{
    const redisReply *e;
    int bad = 0;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 1)
        return -1;
    e = reply->element[0];
    if (e->type != REDIS_REPLY_ARRAY)
        return -1;
    if (e->elements == 0)
        return 0;
    if (e->elements != ENTRY_FIELDS)
        return -1;
    bad |= take_text(e->element[0], found->state, sizeof(found->state));
    bad |= take_text(e->element[1], found->user, sizeof(found->user));
    bad |= take_text(e->element[2], found->variant, sizeof(found->variant));
    bad |= take_number(e->element[3], &found->quantity);
    bad |= take_number(e->element[4], &found->price);
    bad |= take_number(e->element[6], &found->reserved_at);
    bad |= take_number(e->element[7], &found->pay_by);
    bad |= take_number(e->element[8], &found->seq);
    return bad ? -1 : 1;
}

static int ask_ledger(struct speedy_redis *rc, struct speedy_args *a,
                      const struct speedy_keys *k, const unsigned char *id,
                      struct orderd_found *found)
{
    redisReply *reply;
    int result;

    speedy_args_reset(a);
    speedy_args_text(a, k->gate);
    speedy_args_text(a, k->resv);
    speedy_args_text(a, k->pend);
    speedy_args_text(a, speedy_redis_run_id(rc));
    speedy_args_add(a, id, 16);
    reply = speedy_redis_script(rc, &speedy_script_lookup, 3, a);
    if (reply == NULL)
        return -1;
    result = take_entry(reply, found);
    freeReplyObject(reply);
    return result;
}

/* 1 when the ledger is whole in this Redis, 0 when not, -1 unknown. */
static int ledger_whole(struct speedy_redis *rc, struct speedy_args *a,
                        const struct speedy_keys *k)
{
    redisReply *reply;
    int whole;

    speedy_args_reset(a);
    speedy_args_text(a, "HMGET");
    speedy_args_text(a, k->loaded);
    speedy_args_text(a, "run_id");
    speedy_args_text(a, "epoch");
    reply = speedy_redis_command(rc, a);
    if (reply == NULL)
        return -1;
    whole = reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
            reply->element[0]->type == REDIS_REPLY_STRING &&
            reply->element[1]->type == REDIS_REPLY_STRING &&
            strcmp(reply->element[0]->str, speedy_redis_run_id(rc)) == 0;
    freeReplyObject(reply);
    return whole;
}

static redisReply *sales(struct speedy_redis *rc, struct speedy_args *a)
{
    redisReply *reply;

    speedy_args_reset(a);
    speedy_args_text(a, "HGETALL");
    speedy_args_text(a, SPEEDY_KEY_SALES);
    reply = speedy_redis_command(rc, a);
    if (reply != NULL && reply->type != REDIS_REPLY_ARRAY) {
        freeReplyObject(reply);
        return NULL;
    }
    return reply;
}

/* Asks each live sale in turn. *whole: whether silence proves anything. */
static int ask_all(struct speedy_redis *rc, struct speedy_args *a,
                   const redisReply *list, const unsigned char *id,
                   struct orderd_found *found, int *whole)
{
    int complete = 0;

    *whole = 1;
    for (size_t i = 0; i + 1 < list->elements; i += 2) {
        const char *name = list->element[i]->str;
        const char *state = list->element[i + 1]->str;
        struct speedy_keys k;
        int rc_found, rc_whole;

        if (strcmp(name, SPEEDY_SALES_COMPLETE) == 0)
            complete = strcmp(state, speedy_redis_run_id(rc)) == 0;
        if (strcmp(state, SPEEDY_SALE_LIVE) != 0 ||
            take_text(list->element[i], found->sale, sizeof(found->sale)) != 0)
            continue;
        speedy_keys_make(&k, name);
        rc_whole = ledger_whole(rc, a, &k);
        rc_found = ask_ledger(rc, a, &k, id, found);
        if (rc_found != 0)
            return rc_found;
        if (rc_whole < 0)
            return -1;
        *whole &= rc_whole;
    }
    *whole &= complete;
    return 0;
}

int orderd_lookup(struct speedy_redis *rc, const unsigned char id[16],
                  struct orderd_found *found)
{
    struct speedy_args a = {0};
    redisReply *list;
    int result = -1, whole = 0;

    if (speedy_redis_ready(rc) != 0)
        return -1;
    list = sales(rc, &a);
    if (list != NULL) {
        result = ask_all(rc, &a, list, id, found, &whole);
        freeReplyObject(list);
    }
    speedy_args_free(&a);
    if (result != 0)
        return result;
    return whole ? 0 : -1;
}
