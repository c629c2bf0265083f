/*
 * The gate: what lets gateways reserve. It lives 5 s and is renewed twice a
 * second for every sale that is not archived, closed ones too (their gate
 * says CLOSED, so that replays are still answered). renew.lua only extends
 * what is loaded; NOT_LOADED goes to the rebuild. A new leader claims first:
 * it writes its token over its predecessor's in every sale.
 *
 * This duty never asks MySQL: with MySQL away the last catalogue is renewed.
 */
#include "gate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/log.h"
#include "../common/loop.h"
#include "rebuild.h"
#include "stockd.h"

#define GATE_BATCH 64

enum gate_result { GATE_DONE, GATE_LOST, GATE_SUPERSEDED };

static struct speedy_redis *rc;
static struct speedy_args args[GATE_BATCH];
static redisReply *replies[GATE_BATCH];

void stockd_gate_args(struct speedy_args *a, const struct stockd_sale *s,
                      int64_t token, const char *run_id, int64_t epoch)
{
    speedy_args_text(a, s->keys.loaded);
    speedy_args_text(a, s->keys.gate);
    speedy_args_text(a, s->keys.stock);
    speedy_args_int(a, token);
    speedy_args_text(a, run_id);
    speedy_args_int(a, epoch);
    speedy_args_int(a, stockd_settings.gate_ttl);
    speedy_args_text(a, "state");
    speedy_args_text(a, s->state);
    speedy_args_text(a, "opens_at");
    speedy_args_int(a, s->opens_at);
    speedy_args_text(a, "closes_at");
    speedy_args_int(a, s->closes_at);
    speedy_args_text(a, "limit");
    speedy_args_int(a, s->limit);
    speedy_args_text(a, "hold_ms");
    speedy_args_int(a, s->hold_ms);
    speedy_args_text(a, "notice");
    speedy_args_text(a, s->notice);
    for (size_t i = 0; i < s->variant_count; i++) {
        const struct stockd_variant *v = &s->variants[i];

        speedy_args_text(a, v->price_field);
        speedy_args_int(a, v->price);
        speedy_args_text(a, v->held_field);
        speedy_args_int(a, v->held);
    }
}

/* What to do with one sale's reply. */
static enum gate_result judge(const redisReply *reply,
                              const struct stockd_sale *s, int64_t token,
                              int64_t *fenced)
{
    const char *word = stockd_word(reply);

    if (strcmp(word, "DONE") == 0)
        return GATE_DONE;
    if (strcmp(word, "SUPERSEDED") == 0) {
        stockd_superseded(token);
        return GATE_SUPERSEDED;
    }
    (*fenced)++;
    if (strcmp(word, "NOT_LOADED") == 0) {
        stockd_rebuild_ask(s->id);
        return GATE_DONE;
    }
    return GATE_LOST; /* an error of this call, logged by redis.c */
}

static void fill(struct speedy_args *a, const struct stockd_sale *s,
                 int64_t token, const char *run_id, bool claim)
{
    speedy_args_reset(a);
    if (!claim) {
        stockd_gate_args(a, s, token, run_id, s->epoch);
        return;
    }
    speedy_args_text(a, s->keys.loaded);
    speedy_args_int(a, token);
    speedy_args_text(a, run_id);
}

/* One pipelined pass over all sales: claims or renews. */
static enum gate_result pass(const struct stockd_catalogue *c, int64_t token,
                             const char *run_id, bool claim)
{
    struct speedy_script *script =
        claim ? &speedy_script_claim : &speedy_script_renew;
    enum gate_result worst = GATE_DONE;
    int64_t fenced = 0;

    for (size_t at = 0; at < c->count && worst != GATE_SUPERSEDED;) {
        size_t n = c->count - at < GATE_BATCH ? c->count - at : GATE_BATCH;

        for (size_t i = 0; i < n; i++)
            fill(&args[i], &c->sales[at + i], token, run_id, claim);
        if (speedy_redis_scripts(rc, script, claim ? 1 : STOCKD_RENEW_KEYS,
                                 args, n, replies) != 0)
            return GATE_LOST;
        for (size_t i = 0; i < n; i++) {
            enum gate_result r =
                judge(replies[i], &c->sales[at + i], token, &fenced);

            if (r > worst)
                worst = r;
            if (replies[i] != NULL)
                freeReplyObject(replies[i]);
        }
        at += n;
    }
    if (!claim)
        speedy_metric_set(&stockd_m_fenced, fenced);
    return worst;
}

static void lead_gates(int64_t token)
{
    struct stockd_catalogue *c = stockd_catalogue_get();
    char run_id[41];

    if (c == NULL)
        return;
    snprintf(run_id, sizeof(run_id), "%s", speedy_redis_run_id(rc));
    if (stockd_token_claimed(run_id) != token &&
        pass(c, token, run_id, true) == GATE_DONE)
        stockd_claimed(token, run_id);
    if (stockd_token_claimed(run_id) == token)
        pass(c, token, run_id, false);
    stockd_catalogue_put(c);
}

static void standby(void)
{
    redisReply *reply;

    speedy_args_reset(&args[0]);
    speedy_args_text(&args[0], "PING");
    reply = speedy_redis_command(rc, &args[0]);
    if (reply != NULL)
        freeReplyObject(reply);
    speedy_metric_set(&stockd_m_fenced, 0);
}

static int gate_open(int instance)
{
    (void)instance;
    rc = speedy_redis_new();
    return rc == NULL ? -1 : 0;
}

static long gate_run(void *data)
{
    int64_t begun = speedy_now_boot(), token = stockd_token();
    long left;

    (void)data;
    if (speedy_redis_ready(rc) != 0)
        return 100;
    if (token == 0)
        standby();
    else
        lead_gates(token);
    if (speedy_redis_run_id(rc)[0] != '\0')
        stockd_redis_seen();
    left = stockd_settings.gate_interval - (long)(speedy_now_boot() - begun);
    if (token == 0 && left > 100)
        left = 100; /* a new leader's first renewal should not wait */
    return left > 10 ? left : 10;
}

static void gate_close(void)
{
    speedy_redis_free(rc);
    rc = NULL;
    for (size_t i = 0; i < GATE_BATCH; i++)
        speedy_args_free(&args[i]);
}

const struct stockd_duty stockd_gate_duty = {"gate", gate_open, gate_run,
                                             gate_close};
