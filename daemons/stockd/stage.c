/*
 * Chunks of a few hundred orders keep each script short (others are served in
 * between); several are in flight at once, so that Redis never waits for us.
 */
#include "stage.h"

#include <stdio.h>
#include <string.h>

#include "../common/log.h"
#include "stockd.h"

#define CHUNK_ORDERS 250
#define PIPELINE 8
#define STAGE_TTL_MS 600000
#define STAGE_KEYS 3
#define LOAD_KEYS 11

void stockd_stage_init(struct stockd_stage *st, const char *sale,
                       const char *nonce)
{
    struct {
        char *out;
        const char *what;
    } all[] = {{st->resv, "resv"}, {st->user, "user"}, {st->log, "log"}};

    speedy_keys_make(&st->keys, sale);
    for (size_t i = 0; i < 3; i++)
        snprintf(all[i].out, sizeof(st->resv),
                 SPEEDY_KEY_PREFIX "%s" SPEEDY_KEY_STAGE "%s:%s", sale, nonce,
                 all[i].what);
}

static void add_order(struct speedy_args *a, const struct stockd_snapshot *s,
                      const struct stockd_order *o)
{
    speedy_args_add(a, o->id, sizeof(o->id));
    speedy_args_text(a, o->user);
    speedy_args_text(a, s->variants[o->variant].variant);
    speedy_args_int(a, o->units);
    speedy_args_int(a, o->price);
    speedy_args_int(a, o->epoch);
    speedy_args_int(a, o->reserved_at);
    speedy_args_int(a, o->pay_by);
    speedy_args_int(a, o->seq);
    speedy_args_add(a, o->key_digest, sizeof(o->key_digest));
    speedy_args_add(a, o->body_digest, sizeof(o->body_digest));
}

/* Fills one chunk from order `at` on; returns the next order's index. */
static size_t fill(struct speedy_args *a, const struct stockd_stage *st,
                   const struct stockd_snapshot *s, size_t at)
{
    size_t end = at + CHUNK_ORDERS < s->count ? at + CHUNK_ORDERS : s->count;

    speedy_args_reset(a);
    speedy_args_text(a, st->resv);
    speedy_args_text(a, st->user);
    speedy_args_text(a, st->log);
    speedy_args_int(a, STAGE_TTL_MS);
    for (; at < end; at++)
        add_order(a, s, s->orders[at]);
    return at;
}

int stockd_stage_send(const struct stockd_stage *st, struct speedy_redis *rc,
                      const struct stockd_snapshot *s)
{
    struct speedy_args args[PIPELINE] = {0};
    redisReply *replies[PIPELINE];
    size_t at = 0;
    int rc_all = 0;

    while (at < s->count && rc_all == 0) {
        size_t n = 0;

        while (n < PIPELINE && at < s->count)
            at = fill(&args[n++], st, s, at);
        if (speedy_redis_scripts(rc, &speedy_script_stage, STAGE_KEYS, args, n,
                                 replies) != 0) {
            rc_all = -1;
            break;
        }
        for (size_t i = 0; i < n; i++) {
            if (replies[i] == NULL)
                rc_all = -1;
            else
                freeReplyObject(replies[i]);
        }
    }
    for (size_t i = 0; i < PIPELINE; i++)
        speedy_args_free(&args[i]);
    return rc_all;
}

int stockd_stage_load(const struct stockd_stage *st, struct speedy_redis *rc,
                      const struct stockd_snapshot *s, int64_t token,
                      const char *run_id, const char *nonce)
{
    const char *keys[LOAD_KEYS] = {
        st->keys.loaded, st->keys.gate, st->keys.stock, st->keys.resv,
        st->keys.user,   st->keys.pend, st->keys.log,   st->keys.adj,
        st->resv,        st->user,      st->log};
    struct speedy_args a = {0};
    redisReply *reply;
    int done;

    for (size_t i = 0; i < LOAD_KEYS; i++)
        speedy_args_text(&a, keys[i]);
    speedy_args_int(&a, token);
    speedy_args_text(&a, run_id);
    speedy_args_text(&a, nonce);
    speedy_args_int(&a, s->epoch);
    speedy_args_int(&a, stockd_snapshot_seq_base(s));
    speedy_args_int(&a, (int64_t)s->entries);
    speedy_args_int(&a, (int64_t)s->users);
    for (size_t i = 0; i < s->variant_count; i++) {
        const struct stockd_stock *v = &s->variants[i];

        speedy_args_text(&a, v->variant);
        speedy_args_int(&a, v->total - v->held - v->sold - v->withheld);
    }
    reply = speedy_redis_script(rc, &speedy_script_load, LOAD_KEYS, &a);
    done = strcmp(stockd_word(reply), "DONE") == 0;
    if (!done)
        speedy_log(SPEEDY_WARN, "a rebuilt ledger was not put in place",
                   "answer=%s", reply == NULL ? "unknown" : stockd_word(reply));
    if (reply != NULL)
        freeReplyObject(reply);
    speedy_args_free(&a);
    return done ? 0 : -1;
}
