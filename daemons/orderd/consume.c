/*
 * One thread reads all partitions that are held and writes them in batches
 * that span partitions: with twelve of them and a calm shop, a transaction a
 * partition would be twelve times the commits. While one batch is written the
 * next is parsed (parser.c). A turn never waits for Kafka; when there is
 * nothing to read it pauses for IDLE_MS, in which the next batch gathers.
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
#include "parser.h"
#include "reading.h"

#define IDLE_MS 10
#define LOOK_MS 5000 /* metadata, lag, the group's mark */
#define LOOK_AGAIN_MS 500
#define COMPLAIN_MS 10000
#define BROKER_MS 1000
#define BACKOFF_MOST_MS 2000

static struct {
    struct orderd_source source;
    struct orderd_reading reading[ORDERD_PARTITIONS_MAX];
    int count;
    struct orderd_claim claim[ORDERD_PARTITIONS_MAX];
    struct orderd_cursor cursor[ORDERD_PARTITIONS_MAX];
    struct orderd_apply apply;
    /* being written; being read and parsed meanwhile */
    struct orderd_load *now, *ahead;
    struct orderd_load load[2];
    unsigned openings;
    long backoff;
    int64_t look_at, complain_at, lag;
    atomic_int_fast64_t answered;
} all;

int orderd_consume_init(const char *topic, int instance, struct speedy_db *db,
                        struct speedy_consumer *kc)
{
    all.source.topic = topic;
    all.source.db = db;
    all.source.kc = kc;
    for (int i = 0; i < 2; i++) {
        all.load[i].items =
            calloc(ORDERD_BATCH_MAX, sizeof(*all.load[i].items));
        if (all.load[i].items == NULL)
            return -1;
    }
    all.now = &all.load[0];
    all.ahead = &all.load[1];
    if (orderd_apply_init(&all.apply, db, topic, instance) != 0)
        return -1;
    all.apply.cursors = all.cursor;
    return 0;
}

int64_t orderd_consume_answered(void)
{
    return atomic_load(&all.answered);
}

static void load_free(struct orderd_load *load)
{
    for (size_t i = 0; i < load->count; i++)
        rd_kafka_message_destroy(load->message[i]);
    load->count = 0;
}

void orderd_consume_free(void)
{
    orderd_parser_wait();
    for (int i = 0; i < 2; i++) {
        load_free(&all.load[i]);
        free(all.load[i].items);
        all.load[i].items = NULL;
    }
    for (int i = 0; i < all.count; i++)
        orderd_reading_close(&all.source, &all.reading[i]);
    orderd_apply_free(&all.apply);
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
    p->opening = ++all.openings;
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
        const struct orderd_claim *c = claim_find(n, all.reading[i].partition);

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
        if (!p->open && speedy_now_boot() >= p->retry_at && !speedy_stopping())
            open_one(p);
    }
}

static int64_t stamp(const rd_kafka_message_t *m)
{
    rd_kafka_timestamp_type_t type;

    return rd_kafka_message_timestamp(m, &type);
}

/* The partition whose next record is the oldest; NULL: nothing to read. */
static struct orderd_reading *oldest(rd_kafka_message_t **found)
{
    struct orderd_reading *best = NULL;
    int64_t best_stamp = 0;

    for (int i = 0; i < all.count; i++) {
        struct orderd_reading *p = &all.reading[i];
        rd_kafka_message_t *m = orderd_reading_peek(&all.source, p);

        if (m == NULL || (best != NULL && stamp(m) >= best_stamp))
            continue;
        best = p;
        best_stamp = stamp(m);
        *found = m;
    }
    return best;
}

/*
 * The oldest records of all partitions: while we catch up, orders still go
 * into MySQL's indexes nearly in the order of their ids, which costs half of
 * what any other order does.
 */
static void fill_ahead(void)
{
    struct orderd_load *load = all.ahead;
    rd_kafka_message_t *m = NULL;

    load_free(load);
    for (int i = 0; i < all.count; i++)
        all.reading[i].dry = false;
    while (load->count < ORDERD_BATCH_MAX) {
        struct orderd_reading *p = oldest(&m);

        if (p == NULL)
            break;
        load->opening[load->count] = p->opening;
        load->message[load->count++] = m;
        orderd_reading_pop(p);
    }
    for (int i = 0; i < all.count; i++) {
        const struct orderd_reading *p = &all.reading[i];

        if (!p->open && cursor_find(p->partition) != NULL)
            forget(p->partition); /* stopped just now */
    }
    if (load->count > 0)
        orderd_parser_give(load);
}

/*
 * What was read ahead becomes the batch. Records of a partition that was
 * closed since are left out, even when it is open again: their forerunners
 * may have been left out too.
 */
static void adopt(void)
{
    struct orderd_load *load = all.ahead;
    size_t kept = 0;

    orderd_parser_wait();
    for (size_t i = 0; i < load->count; i++) {
        const struct orderd_reading *p = reading_find(load->items[i].partition);

        if (p != NULL && p->open && p->opening == load->opening[i])
            load->items[kept++] = load->items[i];
    }
    all.ahead = all.now;
    all.now = load;
    load_free(all.ahead);
    orderd_apply_set(&all.apply, load->items, kept);
    if (kept > 0)
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

/* The topic's partitions; complains now and then while there is no answer. */
static int look_at_topic(void)
{
    int known =
        speedy_consumer_partitions(all.source.kc, all.source.topic, BROKER_MS);

    all.look_at = speedy_now_boot() + (known > 0 ? LOOK_MS : LOOK_AGAIN_MS);
    if (known > 0) {
        atomic_store(&all.answered, speedy_now_boot());
        orderd_partitions_known(known);
        return known;
    }
    if (speedy_now_boot() >= all.complain_at) {
        speedy_log(SPEEDY_ALARM, "the topic does not answer", "topic=%s",
                   all.source.topic);
        all.complain_at = speedy_now_boot() + COMPLAIN_MS;
    }
    return -1;
}

/* Metadata, lag and the group's mark, now and then. */
static void look_around(void)
{
    int64_t low, high;

    if (speedy_now_boot() < all.look_at || look_at_topic() < 0)
        return;
    all.lag = 0;
    for (int i = 0; i < all.count; i++) {
        const struct orderd_cursor *c = cursor_find(all.reading[i].partition);

        if (c == NULL)
            continue;
        if (speedy_consumer_watermarks(all.source.kc, all.source.topic,
                                       c->partition, BROKER_MS, &low,
                                       &high) != 0)
            break;
        all.lag += high > c->next ? high - c->next : 0;
        speedy_consumer_commit(all.source.kc, all.source.topic, c->partition,
                               c->next);
    }
}

static void show_partitions(void)
{
    int stopped = 0;

    for (int i = 0; i < all.count; i++)
        stopped += all.reading[i].stopped;
    orderd_metrics_partitions(all.count, stopped, all.lag);
}

long orderd_consume_turn(void *data)
{
    (void)data;
    follow_leases();
    look_around();
    show_partitions();
    if (all.apply.count == 0)
        adopt();
    if (all.ahead->count == 0)
        fill_ahead();
    if (all.apply.count == 0)
        return all.ahead->count > 0 ? 0 : IDLE_MS;
    return write_batch();
}
