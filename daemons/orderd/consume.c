/*
 * One thread reads all partitions that are held and writes them in batches
 * that span partitions: with twelve of them and a calm shop, a transaction a
 * partition would be twelve times the commits. A turn never waits for Kafka;
 * when there is nothing to read it pauses for IDLE_MS, in which the next
 * batch gathers.
 *
 * A batch that could not be written is kept and tried again: the order of a
 * partition is the order of its offsets, nothing overtakes.
 */
#include "consume.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "../common/failpoint.h"
#include "../common/log.h"
#include "../common/loop.h"
#include "apply.h"
#include "metrics.h"
#include "reading.h"

#define IDLE_MS 10
#define LOOK_MS 5000 /* metadata, lag, the group's mark */
#define BROKER_MS 1000
#define BACKOFF_MOST_MS 2000

static struct {
    struct orderd_source source;
    struct orderd_reading reading[ORDERD_PARTITIONS_MAX];
    int count;
    struct orderd_claim claim[ORDERD_PARTITIONS_MAX];
    struct orderd_cursor cursor[ORDERD_PARTITIONS_MAX];
    struct orderd_apply apply;
    struct orderd_item *items;
    rd_kafka_message_t *message[ORDERD_BATCH_MAX];
    size_t messages;
    int first; /* where the next filling begins */
    long backoff;
    int64_t look_at;
    atomic_int_fast64_t answered;
} all;

int orderd_consume_init(const char *topic, int instance, struct speedy_db *db,
                        struct speedy_consumer *kc)
{
    all.source.topic = topic;
    all.source.db = db;
    all.source.kc = kc;
    all.items = calloc(ORDERD_BATCH_MAX, sizeof(*all.items));
    if (all.items == NULL)
        return -1;
    if (orderd_apply_init(&all.apply, db, topic, instance) != 0)
        return -1;
    all.apply.cursors = all.cursor;
    return 0;
}

int64_t orderd_consume_answered(void)
{
    return atomic_load(&all.answered);
}

static void messages_free(void)
{
    for (size_t i = 0; i < all.messages; i++)
        rd_kafka_message_destroy(all.message[i]);
    all.messages = 0;
}

void orderd_consume_free(void)
{
    messages_free();
    for (int i = 0; i < all.count; i++)
        orderd_reading_close(&all.source, &all.reading[i]);
    orderd_apply_free(&all.apply);
    free(all.items);
    all.items = NULL;
}

static struct orderd_cursor *cursor_find(int partition)
{
    for (size_t i = 0; i < all.apply.cursor_count; i++) {
        if (all.cursor[i].partition == partition)
            return &all.cursor[i];
    }
    return NULL;
}

/* Takes a partition out of the batch; its cursor goes with it. */
static void forget(int partition)
{
    struct orderd_cursor *cursor = cursor_find(partition);

    orderd_apply_forget(&all.apply, partition);
    if (cursor != NULL)
        *cursor = all.cursor[--all.apply.cursor_count];
}

static struct orderd_reading *reading_find(int partition)
{
    for (int i = 0; i < all.count; i++) {
        if (all.reading[i].partition == partition)
            return &all.reading[i];
    }
    return NULL;
}

static void drop(struct orderd_reading *p)
{
    forget(p->partition);
    orderd_reading_close(&all.source, p);
    *p = all.reading[--all.count];
}

static const struct orderd_claim *claim_find(int n, int partition)
{
    for (int i = 0; i < n; i++) {
        if (all.claim[i].partition == partition)
            return &all.claim[i];
    }
    return NULL;
}

static void open_one(struct orderd_reading *p)
{
    struct orderd_cursor *cursor;
    int rc = orderd_reading_open(&all.source, p);

    if (rc < 0)
        orderd_partitions_lost(p->partition, p->lease.token);
    if (rc <= 0)
        return;
    cursor = &all.cursor[all.apply.cursor_count++];
    cursor->partition = p->partition;
    cursor->next = p->next;
    cursor->token = p->lease.token;
}

/* What is no longer held is dropped, what is new is opened. */
static void follow_leases(void)
{
    int n = orderd_partitions_held(all.claim);

    for (int i = all.count - 1; i >= 0; i--) {
        const struct orderd_claim *c =
            claim_find(n, all.reading[i].partition);

        if (c == NULL || c->lease.token != all.reading[i].lease.token)
            drop(&all.reading[i]);
    }
    for (int i = 0; i < n; i++) {
        struct orderd_reading *p = reading_find(all.claim[i].partition);

        if (p == NULL) {
            p = &all.reading[all.count++];
            memset(p, 0, sizeof(*p));
            p->partition = all.claim[i].partition;
            p->lease = all.claim[i].lease;
        }
        if (!p->open && speedy_now_boot() >= p->retry_at &&
            !speedy_stopping())
            open_one(p);
    }
}

/* Reads what is there of one partition into the batch. */
static void fill_from(struct orderd_reading *p)
{
    rd_kafka_message_t **m = &all.message[all.messages];
    rd_kafka_resp_err_t error;
    int64_t next = cursor_find(p->partition)->next;
    long n = speedy_consumer_read(all.source.kc, all.source.topic,
                                  p->partition, m,
                                  ORDERD_BATCH_MAX - all.messages, 0, &error);
    long kept = 0;

    for (long i = 0; i < n; i++) {
        if (error != RD_KAFKA_RESP_ERR_NO_ERROR || m[i]->offset < next) {
            rd_kafka_message_destroy(m[i]);
            continue;
        }
        m[kept] = m[i];
        orderd_item_parse(&all.items[all.messages + (size_t)kept],
                          p->partition, m[kept]->offset, m[kept]->key,
                          m[kept]->key_len, m[kept]->payload, m[kept]->len);
        next = m[kept++]->offset + 1;
    }
    all.messages += (size_t)kept;
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    orderd_reading_stop(&all.source, p);
    forget(p->partition);
}

static void fill(void)
{
    messages_free();
    for (int i = 0; i < all.count && all.messages < ORDERD_BATCH_MAX; i++) {
        struct orderd_reading *p = &all.reading[(all.first + i) % all.count];

        if (p->open)
            fill_from(p);
    }
    all.first++;
    orderd_apply_set(&all.apply, all.items, all.messages);
    if (all.messages > 0)
        speedy_failpoint("orderd.after_fetch");
}

/* A partition left the batch: for good, or until its next attempt. */
static void part(enum orderd_result why)
{
    int partition = all.apply.culprit;
    struct orderd_reading *p = reading_find(partition);

    if (p == NULL) {
        forget(partition);
        return;
    }
    if (why == ORDERD_ZOMBIE) {
        orderd_partitions_lost(partition, p->lease.token);
        drop(p);
        return;
    }
    orderd_reading_stop(&all.source, p);
    forget(partition);
}

static long write_batch(void)
{
    int64_t begun = speedy_now_boot();
    size_t before = all.apply.count;
    enum orderd_result rc = orderd_apply(&all.apply);

    if (all.apply.count < before)
        orderd_metrics_batch(before - all.apply.count,
                             speedy_now_boot() - begun);
    if (rc == ORDERD_DONE) {
        all.backoff = 0;
        return 0;
    }
    if (rc == ORDERD_ZOMBIE || rc == ORDERD_NEWER_EPOCH) {
        part(rc);
        return 0;
    }
    orderd_metrics_retry();
    if (rc == ORDERD_FAILED)
        speedy_log(SPEEDY_ALARM, "a batch cannot be written",
                   "records=%zu first_partition=%d first_offset=%lld",
                   all.apply.count, all.apply.items[0].partition,
                   (long long)all.apply.items[0].offset);
    all.backoff = all.backoff == 0 ? 20 : all.backoff * 2;
    if (all.backoff > BACKOFF_MOST_MS)
        all.backoff = BACKOFF_MOST_MS;
    return speedy_jitter(all.backoff);
}

/* Metadata, lag and the group's mark, now and then. */
static void look_around(void)
{
    int64_t lag = 0, low, high;
    int stopped = 0, known;

    if (speedy_now_boot() < all.look_at)
        return;
    known = speedy_consumer_partitions(all.source.kc, all.source.topic,
                                       BROKER_MS);
    all.look_at = speedy_now_boot() + (known > 0 ? LOOK_MS : 500);
    if (known > 0) {
        atomic_store(&all.answered, speedy_now_boot());
        orderd_partitions_known(known);
    } else {
        speedy_log(SPEEDY_WARN, "topic cannot be looked at", "topic=%s",
                   all.source.topic);
    }
    for (int i = 0; i < all.count && known > 0; i++) {
        const struct orderd_cursor *c = cursor_find(all.reading[i].partition);

        stopped += all.reading[i].stopped;
        if (c == NULL)
            continue;
        if (speedy_consumer_watermarks(all.source.kc, all.source.topic,
                                       c->partition, BROKER_MS, &low,
                                       &high) != 0)
            break;
        lag += high > c->next ? high - c->next : 0;
        speedy_consumer_commit(all.source.kc, all.source.topic, c->partition,
                               c->next);
    }
    orderd_metrics_partitions(all.count, stopped, lag);
}

long orderd_consume_turn(void *data)
{
    (void)data;
    follow_leases();
    look_around();
    if (all.apply.count == 0)
        fill();
    if (all.apply.count == 0)
        return IDLE_MS;
    return write_batch();
}
