/*
 * The rebuild. One round for all sales that need it:
 *
 *   fence     gates away, `loaded` = token, run_id, fresh nonce, no epoch;
 *   barrier   a marker in each partition, passed by orderd's offsets;
 *   then for each sale
 *   snapshot  one transaction: lease, epoch + 1, orders (snapshot.c);
 *   stage     into keys that carry the nonce (stage.c);
 *   load      at least 300 ms after the fence, one script;
 *   renew     the gate opens.
 *
 * Whatever fails, or whose outcome is unknown, starts over with a new fence:
 * what was given up may still land, and then finds another nonce. Each round
 * begins by asking both stores whether the rebuild is still needed, so asking
 * too often costs nothing. It waits for orderd as long as it takes; it stops
 * when the leadership or this incarnation of Redis is gone.
 */
#include "rebuild.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/crypto.h"
#include "../common/failpoint.h"
#include "../common/kafka.h"
#include "../common/log.h"
#include "../common/loop.h"
#include "barrier.h"
#include "catalogue.h"
#include "gate.h"
#include "snapshot.h"
#include "stage.h"
#include "stockd.h"
#include "wanted.h"

#define ROUND_SALES 256
#define IDLE_MS 50
#define AGAIN_MS 200
#define RECONNECT_MS 25
#define DIFFERS_MS 10000
#define MARKER_TIMEOUT_MS 5000
#define PASSED_POLL_MS 15
#define COMPLAIN_MS 5000
/* Longer than any gateway's "sold out" is valid after its probe was sent. */
#define SETTLE_MS 300

struct round {
    int64_t token;
    char run_id[41], nonce[33];
    int64_t begun, fenced_at;
    stockd_sale_id sales[ROUND_SALES];
    size_t count;
};

static struct speedy_db *db;
static struct speedy_redis *rc;
static struct speedy_producer *producer;
static int instance_number;
static struct speedy_args args;

bool stockd_rebuild_needed(const char *loaded_run_id, const char *loaded_epoch,
                           bool stock, const char *run_id, int64_t epoch)
{
    char text[24];

    snprintf(text, sizeof(text), "%lld", (long long)epoch);
    return loaded_run_id == NULL || strcmp(loaded_run_id, run_id) != 0 ||
           loaded_epoch == NULL || strcmp(loaded_epoch, text) != 0 || !stock;
}

/* The round is void: another leads, or this Redis is gone, or we stop. */
static bool round_over(const struct round *r)
{
    return speedy_stopping() || stockd_token() != r->token ||
           strcmp(speedy_redis_run_id(rc), r->run_id) != 0;
}

static const char *text_of(const redisReply *reply, size_t i)
{
    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY ||
        reply->elements <= i || reply->element[i]->type != REDIS_REPLY_STRING)
        return NULL;
    return reply->element[i]->str;
}

/* 1 needed, 0 not (any more), -1 a store did not answer. */
static int still_needed(const struct round *r, const char *sale)
{
    struct speedy_keys keys;
    redisReply *loaded, *stock;
    int64_t epoch;
    int needed = -1, status;

    status = speedy_db_number(db,
                              "SELECT MAX(v.epoch) FROM sales s"
                              " JOIN sale_variants v ON v.sale_id = s.id"
                              " WHERE s.id = ? AND s.state <> 'ARCHIVED'",
                              DB_ARGS(DB_TEXT(sale)), &epoch);
    if (status != 1)
        return status;
    speedy_keys_make(&keys, sale);
    speedy_args_reset(&args);
    speedy_args_text(&args, "HMGET");
    speedy_args_text(&args, keys.loaded);
    speedy_args_text(&args, "run_id");
    speedy_args_text(&args, "epoch");
    loaded = speedy_redis_command(rc, &args);
    speedy_args_reset(&args);
    speedy_args_text(&args, "EXISTS");
    speedy_args_text(&args, keys.stock);
    stock = loaded == NULL ? NULL : speedy_redis_command(rc, &args);
    if (stock != NULL && stock->type == REDIS_REPLY_INTEGER)
        needed = stockd_rebuild_needed(text_of(loaded, 0), text_of(loaded, 1),
                                       stock->integer == 1, r->run_id, epoch);
    if (loaded != NULL)
        freeReplyObject(loaded);
    if (stock != NULL)
        freeReplyObject(stock);
    return needed;
}

/* Keeps in the round what really needs it. 0, or -1. */
static int choose(struct round *r)
{
    size_t kept = 0;

    for (size_t i = 0; i < r->count; i++) {
        int needed = still_needed(r, r->sales[i]);

        if (needed < 0)
            return -1;
        if (needed == 0) {
            stockd_wanted_done(r->sales[i]);
            continue;
        }
        if (kept != i)
            memcpy(r->sales[kept], r->sales[i], sizeof(r->sales[i]));
        kept++;
    }
    r->count = kept;
    return 0;
}

static int fence(const struct round *r, const char *sale)
{
    struct speedy_keys keys;
    redisReply *reply;
    const char *word;
    int done;

    speedy_keys_make(&keys, sale);
    speedy_args_reset(&args);
    speedy_args_text(&args, keys.loaded);
    speedy_args_text(&args, keys.gate);
    speedy_args_int(&args, r->token);
    speedy_args_text(&args, r->run_id);
    speedy_args_text(&args, r->nonce);
    reply = speedy_redis_script(rc, &speedy_script_fence, 2, &args);
    word = stockd_word(reply);
    done = strcmp(word, "DONE") == 0;
    if (strcmp(word, "SUPERSEDED") == 0)
        stockd_superseded(r->token);
    if (reply != NULL)
        freeReplyObject(reply);
    return done ? 0 : -1;
}

static int fence_all(struct round *r)
{
    unsigned char random[16];

    speedy_random(random, sizeof(random));
    speedy_hex(random, sizeof(random), r->nonce);
    for (size_t i = 0; i < r->count; i++) {
        if (fence(r, r->sales[i]) != 0)
            return -1;
    }
    r->fenced_at = speedy_now_boot();
    speedy_failpoint("stockd.after_fence");
    return 0;
}

/* Whether Redis still answers as the one that was fenced. */
static bool redis_same(const struct round *r)
{
    redisReply *reply;

    speedy_args_reset(&args);
    speedy_args_text(&args, "PING");
    reply = speedy_redis_command(rc, &args);
    if (reply != NULL)
        freeReplyObject(reply);
    return reply != NULL && strcmp(speedy_redis_run_id(rc), r->run_id) == 0;
}

static int wait_passed(const struct round *r, const struct stockd_barrier *b)
{
    int64_t next_complaint = speedy_now_boot() + COMPLAIN_MS;
    int64_t next_look = speedy_now_boot() + AGAIN_MS;

    for (;;) {
        int64_t now;

        if (stockd_barrier_passed(b, db) == 1)
            return 0;
        now = speedy_now_boot();
        if (now >= next_look && !redis_same(r))
            return -1;
        if (now >= next_look)
            next_look = now + AGAIN_MS;
        if (now >= next_complaint) {
            speedy_log(SPEEDY_WARN, "waiting for orderd to read the log",
                       "sales=%zu waited_ms=%lld", r->count,
                       (long long)(now - r->fenced_at));
            next_complaint = now + COMPLAIN_MS;
        }
        if (round_over(r) || speedy_pause(PASSED_POLL_MS))
            return -1;
    }
}

static int barrier(const struct round *r)
{
/* For the tests: what is still on its way in Kafka is not waited for. */
#ifdef SPEEDY_BUG_NO_LOG_BARRIER
    (void)r;
    (void)wait_passed;
    return 0;
#else
    struct stockd_barrier b = {0};
    int result;

    if (producer == NULL) {
        char name[32];

        snprintf(name, sizeof(name), "stockd-%d-rebuild", instance_number);
        producer = speedy_producer_new(name, MARKER_TIMEOUT_MS);
        if (producer == NULL)
            return -1;
    }
    if (stockd_barrier_mark(&b, producer, r->nonce, MARKER_TIMEOUT_MS) != 0) {
        speedy_log(SPEEDY_WARN, "markers were not delivered", "sales=%zu",
                   r->count);
        return -1;
    }
    result = wait_passed(r, &b);
    stockd_barrier_free(&b);
    speedy_failpoint("stockd.after_barrier");
    return result;
#endif
}

/* The gate opens at once; should this fail, its own duty does it soon. */
static void open_gate(const struct round *r, const char *sale, int64_t epoch)
{
    struct stockd_catalogue *c = stockd_catalogue_get();
    const struct stockd_sale *s = stockd_catalogue_find(c, sale);
    redisReply *reply;

    if (s != NULL) {
        speedy_args_reset(&args);
        stockd_gate_args(&args, s, r->token, r->run_id, epoch);
        reply = speedy_redis_script(rc, &speedy_script_renew, STOCKD_RENEW_KEYS,
                                    &args);
        if (reply != NULL)
            freeReplyObject(reply);
    }
    speedy_args_reset(&args); /* it held references into the catalogue */
    stockd_catalogue_put(c);
}

/* Stage, settle, load, open. */
static int place(const struct round *r, const char *sale,
                 const struct stockd_snapshot *s)
{
    struct stockd_stage st;
    int64_t left;

    stockd_stage_init(&st, sale, r->nonce);
    if (stockd_stage_send(&st, rc, s) != 0)
        return -1;
    left = r->fenced_at + SETTLE_MS - speedy_now_boot();
    if ((left > 0 && speedy_pause((long)left)) || round_over(r))
        return -1;
    speedy_failpoint("stockd.before_load");
    if (stockd_stage_load(&st, rc, s, r->token, r->run_id, r->nonce) != 0)
        return -1;
    speedy_failpoint("stockd.after_load");
    open_gate(r, sale, s->epoch);
    return 0;
}

static int rebuild_sale(const struct round *r, const char *sale)
{
    struct stockd_snapshot s = {0};
    struct speedy_lease lease;
    enum stockd_snapshot_result result;
    int64_t begun = speedy_now_boot(), committed;

    if (!stockd_lease(r->token, &lease))
        return -1;
    result = stockd_snapshot_take(&s, db, &lease, sale);
    committed = speedy_now_boot();
    speedy_failpoint("stockd.after_snapshot");
    if (result == STOCKD_SNAPSHOT_DIFFERS) {
        stockd_wanted_later(sale, committed + DIFFERS_MS);
        stockd_snapshot_free(&s);
        return 0; /* fenced; the others go on */
    }
    if (result != STOCKD_SNAPSHOT_OK || place(r, sale, &s) != 0) {
        stockd_snapshot_free(&s);
        return -1;
    }
    stockd_wanted_done(sale);
    speedy_metric_add(&stockd_m_rebuilds, 1);
    speedy_metric_observe(&stockd_m_snapshot_ms, committed - begun);
    speedy_metric_observe(&stockd_m_rebuild_ms, speedy_now_boot() - r->begun);
    speedy_log(SPEEDY_INFO, "rebuilt",
               "sale=%s epoch=%lld orders=%zu entries=%zu snapshot_ms=%lld "
               "total_ms=%lld",
               sale, (long long)s.epoch, s.count, s.entries,
               (long long)(committed - begun),
               (long long)(speedy_now_boot() - r->begun));
    stockd_snapshot_free(&s);
    return 0;
}

/* 0: all done or put off; -1: start over. */
static int rebuild_round(struct round *r)
{
    int failed = 0;

    if (speedy_redis_ready(rc) != 0 || speedy_db_ready(db) != 0)
        return -1;
    snprintf(r->run_id, sizeof(r->run_id), "%s", speedy_redis_run_id(rc));
    if (choose(r) != 0)
        return -1;
    if (r->count == 0)
        return 0;
    if (fence_all(r) != 0 || barrier(r) != 0)
        return -1;
    for (size_t i = 0; i < r->count && !round_over(r); i++)
        failed |= rebuild_sale(r, r->sales[i]);
    return failed || round_over(r) ? -1 : 0;
}

static int rebuild_open(int instance)
{
    instance_number = instance;
    db = speedy_db_new(STOCKD_ROLE);
    rc = speedy_redis_new();
    return db == NULL || rc == NULL ? -1 : 0;
}

static long rebuild_run(void *data)
{
    static struct round r;

    (void)data;
    r.token = stockd_token();
    if (r.token == 0) {
        stockd_wanted_clear();
        return IDLE_MS;
    }
    r.begun = speedy_now_boot();
    r.count = stockd_wanted_due(r.sales, ROUND_SALES, r.begun);
    if (r.count == 0)
        return IDLE_MS;
    if (rebuild_round(&r) == 0)
        return 0;
    speedy_metric_add(&stockd_m_rebuild_failures, 1);
    /* A connection of the Redis before: redis.c paces the new one. */
    if (speedy_redis_run_id(rc)[0] == '\0')
        return RECONNECT_MS;
    return speedy_jitter(AGAIN_MS);
}

static void rebuild_close(void)
{
    speedy_producer_free(producer);
    speedy_redis_free(rc);
    speedy_db_free(db);
    speedy_args_free(&args);
    producer = NULL;
    rc = NULL;
    db = NULL;
    stockd_wanted_clear();
}

const struct stockd_duty stockd_rebuild_duty = {"rebuild", rebuild_open,
                                                rebuild_run, rebuild_close};
