/*
 * One turn is one transaction: rows locked, sent, deleted, committed. A relay
 * that dies in between has its locks taken away and its rows sent again by
 * the next. Other relays pass over locked rows, and nobody waits.
 */
#include "outbox.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "loop.h"
#include "metrics.h"

#define BATCH 64
#define TOPIC_BYTES 101
#define IDLE_MS 250     /* what a new row waits at most */
#define RETRY_MS 1000   /* nothing went out */
#define MEASURE_MS 1000 /* between two looks at rows and age */

struct row {
    int64_t id;
    char topic[TOPIC_BYTES];
    unsigned char key[SPEEDY_OUTBOX_KEY], value[SPEEDY_OUTBOX_VALUE];
};

struct batch {
    struct row row[BATCH];
    struct speedy_message message[BATCH];
    size_t count;
};

static struct speedy_metric rows = {
    .name = "speedy_outbox_rows",
    .help = "Records that Kafka has not acknowledged yet",
    .type = SPEEDY_GAUGE,
};
static struct speedy_metric age = {
    .name = "speedy_outbox_age_seconds",
    .help = "Age of the oldest of them",
    .type = SPEEDY_GAUGE,
};
static struct speedy_metric sent = {
    .name = "speedy_outbox_sent_total",
    .help = "Records that Kafka acknowledged",
    .type = SPEEDY_COUNTER,
};
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void metrics_register(void)
{
    speedy_metric_register(&rows);
    speedy_metric_register(&age);
    speedy_metric_register(&sent);
}

void speedy_outbox_metrics(void)
{
    pthread_once(&once, metrics_register);
}

int speedy_outbox_add(struct speedy_db *db, const char *topic, const void *key,
                      size_t key_len, const void *value, size_t value_len)
{
    return speedy_db_exec(db,
                          "INSERT INTO outbox (topic, record_key, record_value)"
                          " VALUES (?, ?, ?)",
                          DB_ARGS(DB_TEXT(topic), DB_BYTES(key, key_len),
                                  DB_BYTES(value, value_len)),
                          NULL);
}

/* --- one turn --- */

static int on_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct batch *b = data;
    struct row *row = &b->row[b->count];
    struct speedy_message *m = &b->message[b->count];

    (void)cols;
    if (col[1].len >= sizeof(row->topic) || col[2].len > sizeof(row->key) ||
        col[3].len > sizeof(row->value))
        return 0; /* no such row fits the table */
    row->id = col[0].number;
    memcpy(row->topic, col[1].bytes, col[1].len + 1);
    memcpy(row->key, col[2].bytes, col[2].len);
    memcpy(row->value, col[3].bytes, col[3].len);
    *m = (struct speedy_message){.topic = row->topic,
                                 .partition = RD_KAFKA_PARTITION_UA,
                                 .key = row->key,
                                 .key_len = col[2].len,
                                 .value = row->value,
                                 .value_len = col[3].len};
    b->count++;
    return 0;
}

static int rows_lock(struct speedy_outbox_relay *o, struct batch *b)
{
    b->count = 0;
    return speedy_db_query(
        o->db,
        "SELECT id, topic, record_key, record_value FROM outbox"
        " WHERE id > ? ORDER BY id LIMIT ? FOR UPDATE SKIP LOCKED",
        DB_ARGS(DB_INT(o->after), DB_INT(BATCH)), on_row, b);
}

/*
 * Deletes what was acknowledged: one by one, because a list of ids may be
 * looked for by reading the table, which waits for other relays' rows.
 */
static int rows_delete(struct speedy_db *db, const struct batch *b)
{
    for (size_t i = 0; i < b->count; i++) {
        int rc = SPEEDY_DB_OK;

        if (b->message[i].delivered)
            rc = speedy_db_exec(db, "DELETE FROM outbox WHERE id = ?",
                                DB_ARGS(DB_INT(b->row[i].id)), NULL);
        if (rc != SPEEDY_DB_OK)
            return rc;
    }
    return SPEEDY_DB_OK;
}

/* One line an outage, and one when it is over. */
static void tell(struct speedy_outbox_relay *o, const struct batch *b,
                 size_t delivered)
{
    if (delivered < b->count && !o->away)
        speedy_log(SPEEDY_WARN, "outbox records wait for Kafka",
                   "failed=%zu topic=%s", b->count - delivered,
                   b->row[0].topic);
    else if (delivered == b->count && o->away)
        speedy_log(SPEEDY_INFO, "outbox records go out again", "");
    o->away = delivered < b->count;
}

/* Number acknowledged and deleted, or -1; *more: there may be others. */
static long relay(struct speedy_outbox_relay *o, struct batch *b, bool *more)
{
    size_t delivered;

    *more = false;
    if (speedy_db_begin(o->db) != SPEEDY_DB_OK)
        return -1;
    if (rows_lock(o, b) != SPEEDY_DB_OK) {
        speedy_db_rollback(o->db);
        return -1;
    }
    *more = b->count == BATCH || o->after > 0;
    if (b->count == 0) {
        speedy_db_rollback(o->db);
        o->after = 0;
        return 0;
    }
    delivered = speedy_producer_send(o->producer, b->message, b->count,
                                     SPEEDY_OUTBOX_SEND_MS);
    tell(o, b, delivered);
    /* the rows that failed come again after those behind them */
    o->after =
        delivered < b->count && b->count == BATCH ? b->row[b->count - 1].id : 0;
    if (delivered == 0) {
        speedy_db_rollback(o->db);
        return -1;
    }
    if (rows_delete(o->db, b) != SPEEDY_DB_OK ||
        speedy_db_commit(o->db) != SPEEDY_DB_OK) {
        speedy_db_rollback(o->db);
        return -1;
    }
    speedy_metric_add(&sent, (int64_t)delivered);
    return (long)delivered;
}

static void measure(struct speedy_outbox_relay *o)
{
    int64_t n = 0, oldest = 0;

    if (speedy_now_boot() - o->measured < MEASURE_MS)
        return;
    o->measured = speedy_now_boot();
    if (speedy_db_number(o->db, "SELECT COUNT(*) FROM outbox", DB_NONE, &n) < 0)
        return;
    if (speedy_db_number(o->db,
                         "SELECT TIMESTAMPDIFF(SECOND, MIN(created_at),"
                         " CURRENT_TIMESTAMP(3)) FROM outbox",
                         DB_NONE, &oldest) < 0)
        return;
    speedy_metric_set(&rows, n);
    speedy_metric_set(&age, oldest > 0 ? oldest : 0);
}

long speedy_outbox_turn(void *data)
{
    struct speedy_outbox_relay *o = data;
    struct batch *b;
    bool more;
    long n;

    speedy_outbox_metrics();
    if (speedy_db_ready(o->db) != 0)
        return speedy_jitter(RETRY_MS);
    b = malloc(sizeof(*b));
    if (b == NULL)
        abort();
    n = relay(o, b, &more);
    free(b);
    measure(o);
    if (n < 0)
        return speedy_jitter(RETRY_MS);
    return more ? 0 : IDLE_MS;
}
