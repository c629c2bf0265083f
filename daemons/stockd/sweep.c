/*
 * The sweeper rolls forward what a gateway left undone: an order that has
 * been in `pend` for 5 s (as this process saw it) is produced again from its
 * ledger entry and, once delivered, acknowledged. Twice in Kafka is once in
 * MySQL. It never gives stock back: the first produce may have landed.
 *
 * An entry may be of an older epoch than the gate: it came back by a rebuild,
 * so MySQL knows it, but a scan (scan.c) that overlapped the rebuild put it
 * into pend again. The ack of its own epoch is refused for ever; it is
 * acknowledged with the gate's epoch once MySQL was asked.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/crypto.h"
#include "../common/db.h"
#include "../common/failpoint.h"
#include "../common/kafka.h"
#include "../common/log.h"
#include "../common/loop.h"
#include "../shop/event.h"
#include "catalogue.h"
#include "page.h"
#include "seen.h"
#include "stockd.h"

#define TURN_MS 1000
#define SCAN_COUNT 1000
#define SCAN_MOST 100000 /* entries looked at in one turn, a sale */
#define BATCH 250
#define BATCHES 8 /* a sale and turn */
#define PRODUCE_MS 5000
#define ENTRY_FIELDS 10

struct batch {
    size_t count;
    struct speedy_event event[BATCH];
    struct speedy_buf value[BATCH];
    char key[BATCH][37];
    struct speedy_message message[BATCH];
};

static struct speedy_db *db;
static struct speedy_redis *rc;
static struct speedy_producer *producer;
static struct stockd_seen seen;
static struct batch *batch;
static unsigned char (*due)[16];
static size_t due_count;
static int instance_number;

/* Looks at one sale's pend; what is old enough goes into due. */
static int look(const struct stockd_sale *s)
{
    char cursor[STOCKD_CURSOR_MAX] = "0";
    int64_t now = speedy_now_boot();
    size_t looked = 0;

    due_count = 0;
    do {
        redisReply *reply = stockd_page(rc, s->keys.pend, cursor, SCAN_COUNT);
        redisReply *page = reply == NULL ? NULL : reply->element[1];

        if (reply == NULL)
            return -1;
        for (size_t i = 0; i + 1 < page->elements; i += 2) {
            const redisReply *id = page->element[i];

            if (id->len != 16)
                continue;
            looked++;
            if (now - stockd_seen_meet(&seen, (unsigned char *)id->str, now) <
                stockd_settings.sweep_after)
                continue;
            if (due_count < BATCH * BATCHES)
                memcpy(due[due_count++], id->str, 16);
        }
        freeReplyObject(reply);
    } while (strcmp(cursor, "0") != 0 && looked < SCAN_MOST);
    return 0;
}

static int take_text(char *out, size_t size, const redisReply *v)
{
    if (v->type != REDIS_REPLY_STRING || v->len >= size)
        return -1;
    memcpy(out, v->str, v->len + 1);
    return 0;
}

static int take_digest(unsigned char *out, const redisReply *v)
{
    if (v->type != REDIS_REPLY_STRING || v->len != SPEEDY_DIGEST_LEN)
        return -1;
    memcpy(out, v->str, SPEEDY_DIGEST_LEN);
    return 0;
}

/* A ledger entry as sweep.lua tells it, as the event it was. */
static int take_event(struct speedy_event *ev, const char *sale,
                      const unsigned char id[16], const redisReply *entry)
{
    int64_t *numbers[] = {&ev->quantity,    &ev->unit_price, &ev->epoch,
                          &ev->reserved_at, &ev->pay_by,     &ev->seq};

    if (entry->type != REDIS_REPLY_ARRAY || entry->elements != ENTRY_FIELDS)
        return -1; /* no ledger entry: it has left pend */
    memset(ev, 0, sizeof(*ev));
    memcpy(ev->order_id, id, 16);
    snprintf(ev->sale, sizeof(ev->sale), "%s", sale);
    if (take_text(ev->user, sizeof(ev->user), entry->element[0]) != 0 ||
        take_text(ev->variant, sizeof(ev->variant), entry->element[1]) != 0)
        return -1;
    for (size_t i = 0; i < 6; i++) {
        if (entry->element[2 + i]->type != REDIS_REPLY_STRING)
            return -1;
        *numbers[i] = strtoll(entry->element[2 + i]->str, NULL, 10);
    }
    return take_digest(ev->key_digest, entry->element[8]) != 0 ||
                   take_digest(ev->body_digest, entry->element[9]) != 0
               ? -1
               : 0;
}

/* Reads n due orders' entries into the batch. 0, or -1: stop with this sale. */
static int read_entries(const struct stockd_sale *s, int64_t token,
                        const char *run_id, size_t from, size_t n)
{
    struct speedy_args a = {0};
    redisReply *reply;
    int rc_read = -1;

    speedy_args_text(&a, s->keys.loaded);
    speedy_args_text(&a, s->keys.resv);
    speedy_args_text(&a, s->keys.pend);
    speedy_args_int(&a, token);
    speedy_args_text(&a, run_id);
    speedy_args_text(&a, "read");
    for (size_t i = 0; i < n; i++)
        speedy_args_add(&a, due[from + i], 16);
    reply = speedy_redis_script(rc, &speedy_script_sweep, 3, &a);
    speedy_args_free(&a);
    batch->count = 0;
    if (reply != NULL && reply->type == REDIS_REPLY_ARRAY &&
        reply->elements == n) {
        rc_read = 0;
        for (size_t i = 0; i < n; i++)
            batch->count += take_event(&batch->event[batch->count], s->id,
                                       due[from + i], reply->element[i]) == 0;
    } else if (strcmp(stockd_word(reply), "SUPERSEDED") == 0) {
        stockd_superseded(token);
    }
    if (reply != NULL)
        freeReplyObject(reply);
    return rc_read;
}

static size_t produce(void)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct speedy_message *m = &batch->message[i];

        batch->value[i].len = 0;
        speedy_event_write(&batch->value[i], &batch->event[i]);
        speedy_uuid_text(batch->event[i].order_id, batch->key[i]);
        memset(m, 0, sizeof(*m));
        m->topic = speedy_conf.kafka_orders_topic;
        m->partition = RD_KAFKA_PARTITION_UA;
        m->key = batch->key[i];
        m->key_len = 36;
        m->value = batch->value[i].data;
        m->value_len = batch->value[i].len;
    }
    return speedy_producer_send(producer, batch->message, batch->count,
                                PRODUCE_MS);
}

/*
 * Acknowledges what was delivered; epoch 0: each with its own. left[i] is set
 * for those that stay in pend.
 */
static int acknowledge(const struct stockd_sale *s, const char *run_id,
                       const bool *wanted, int64_t epoch, bool *left)
{
    struct speedy_args a = {0};
    redisReply *reply;
    size_t n = 0;

    speedy_args_text(&a, s->keys.gate);
    speedy_args_text(&a, s->keys.pend);
    speedy_args_text(&a, run_id);
    for (size_t i = 0; i < batch->count; i++) {
        left[i] = true;
        if (!wanted[i])
            continue;
        speedy_args_int(&a, epoch != 0 ? epoch : batch->event[i].epoch);
        speedy_args_add(&a, batch->event[i].order_id, 16);
        n++;
    }
    reply = n == 0 ? NULL : speedy_redis_script(rc, &speedy_script_ack, 2, &a);
    speedy_args_free(&a);
    if (reply != NULL && reply->type == REDIS_REPLY_ARRAY &&
        reply->elements == n) {
        n = 0;
        for (size_t i = 0; i < batch->count; i++) {
            if (wanted[i])
                left[i] = reply->element[n++]->integer != 1;
        }
    }
    if (reply != NULL)
        freeReplyObject(reply);
    return 0;
}

/* Entries of an older epoch that MySQL knows leave pend (head of file). */
static void settle_older(const struct stockd_sale *s, const char *run_id,
                         bool *left)
{
    bool known[BATCH] = {false}, still[BATCH];
    bool any = false;

    for (size_t i = 0; i < batch->count; i++) {
        const struct speedy_event *ev = &batch->event[i];
        int64_t one;

        if (!left[i] || ev->epoch >= s->epoch)
            continue;
        known[i] =
            speedy_db_number(db, "SELECT 1 FROM orders WHERE id = ?",
                             DB_ARGS(DB_BYTES(ev->order_id, 16)), &one) == 1;
        any |= known[i];
    }
    if (!any)
        return;
    acknowledge(s, run_id, known, s->epoch, still);
    for (size_t i = 0; i < batch->count; i++)
        left[i] = left[i] && still[i];
}

/* One batch of due orders. -1: enough of this sale for this turn. */
static int sweep_batch(const struct stockd_sale *s, int64_t token,
                       const char *run_id, size_t from, size_t n)
{
    bool delivered[BATCH], left[BATCH];
    size_t sent, stay = 0;

    if (read_entries(s, token, run_id, from, n) != 0)
        return -1;
    if (batch->count == 0)
        return 0;
    sent = produce();
    speedy_failpoint("stockd.after_sweep_produce");
    for (size_t i = 0; i < batch->count; i++)
        delivered[i] = batch->message[i].delivered == 1;
    acknowledge(s, run_id, delivered, 0, left);
    settle_older(s, run_id, left);
    for (size_t i = 0; i < batch->count; i++) {
        stay += left[i];
        if (left[i])
            stockd_seen_again(&seen, batch->event[i].order_id,
                              speedy_now_boot());
    }
    speedy_metric_add(&stockd_m_sweeps, (int64_t)sent);
    speedy_log(SPEEDY_INFO, "swept",
               "sale=%s orders=%zu delivered=%zu left=%zu", s->id, batch->count,
               sent, stay);
    return sent == 0 ? -1 : 0;
}

static void sweep_sale(const struct stockd_sale *s, int64_t token,
                       const char *run_id)
{
    if (look(s) != 0 || due_count == 0)
        return;
    if (producer == NULL) {
        char name[32];

        snprintf(name, sizeof(name), "stockd-%d-sweep", instance_number);
        producer = speedy_producer_new(name, PRODUCE_MS);
        if (producer == NULL)
            return;
    }
    for (size_t at = 0; at < due_count && !speedy_stopping(); at += BATCH) {
        size_t n = due_count - at < BATCH ? due_count - at : BATCH;

        if (sweep_batch(s, token, run_id, at, n) != 0)
            return;
    }
}

static int sweep_open(int instance)
{
    instance_number = instance;
    db = speedy_db_new(STOCKD_ROLE);
    rc = speedy_redis_new();
    batch = calloc(1, sizeof(*batch));
    due = calloc(BATCH * BATCHES, sizeof(*due));
    return db == NULL || rc == NULL || batch == NULL || due == NULL ? -1 : 0;
}

static long sweep_run(void *data)
{
    struct stockd_catalogue *c;
    int64_t token;
    char run_id[41];

    (void)data;
    token = stockd_acting(rc, run_id);
    if (token == 0) {
        stockd_seen_free(&seen);
        return TURN_MS;
    }
    c = stockd_catalogue_get();
    stockd_seen_begin(&seen);
    for (size_t i = 0; c != NULL && i < c->count && !speedy_stopping(); i++)
        sweep_sale(&c->sales[i], token, run_id);
    stockd_catalogue_put(c);
    return stockd_settings.sweep_after < 2 * TURN_MS
               ? stockd_settings.sweep_after / 2
               : TURN_MS;
}

static void sweep_close(void)
{
    speedy_producer_free(producer);
    speedy_redis_free(rc);
    speedy_db_free(db);
    stockd_seen_free(&seen);
    for (size_t i = 0; batch != NULL && i < BATCH; i++)
        speedy_buf_free(&batch->value[i]);
    free(batch);
    free(due);
    producer = NULL;
    rc = NULL;
    db = NULL;
    batch = NULL;
    due = NULL;
}

const struct stockd_duty stockd_sweep_duty = {"sweep", sweep_open, sweep_run,
                                              sweep_close};
