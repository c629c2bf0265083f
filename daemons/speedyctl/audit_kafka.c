/*
 * Kafka against MySQL: I6, every retained record that orderd has passed is
 * an order or a dead letter, and I7, the stored offsets make sense. Records
 * are streamed in batches; memory does not grow with the topic.
 */
#include "audit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/conf.h"
#include "../common/crypto.h"
#include "../shop/event.h"

#define BATCH 512
#define READ_TIMEOUT 5000

struct record {
    unsigned char id[16];
    int64_t offset;
    bool order, found;
};

struct batch {
    struct audit *a;
    struct audit_line *l;
    int partition;
    size_t count;
    long records, orders, markers;
    struct record at[BATCH];
};

static int by_id(const void *x, const void *y)
{
    const struct record *a = x, *b = y;

    if (a->order != b->order)
        return a->order ? -1 : 1;
    return memcmp(a->id, b->id, 16);
}

static int order_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct batch *b = data;
    size_t low = 0, high = b->count;

    (void)cols;
    while (low < high) { /* the first that is not less */
        size_t mid = (low + high) / 2;

        if (b->at[mid].order && memcmp(b->at[mid].id, col[0].bytes, 16) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    for (; low < b->count && b->at[low].order &&
           memcmp(b->at[low].id, col[0].bytes, 16) == 0;
         low++)
        b->at[low].found = true;
    return 0;
}

/* What is no order must be a dead letter, by its place in the topic. */
static void judge_letter(struct batch *b, const struct record *r)
{
    int64_t n = 0;
    char id[37];
    int status = speedy_db_number(
        b->a->c->db,
        "SELECT COUNT(*) FROM dead_letters WHERE topic = ? AND part = ? AND "
        "offset_at = ?",
        DB_ARGS(DB_TEXT(speedy_conf.kafka_orders_topic), DB_INT(b->partition),
                DB_INT(r->offset)),
        &n);

    if (status != 1) {
        audit_unknown(b->l, "MySQL did not answer a query");
    } else if (n == 0 && r->order) {
        speedy_uuid_text(r->id, id);
        audit_broken(b->l, "record %d@%lld: order %s is not in MySQL",
                     b->partition, (long long)r->offset, id);
    } else if (n == 0) {
        audit_broken(b->l,
                     "record %d@%lld: cannot be read, and is no dead "
                     "letter",
                     b->partition, (long long)r->offset);
    }
}

static int flush(struct batch *b)
{
    struct speedy_db_value args[BATCH];
    size_t orders = 0;
    int n = 0;

    qsort(b->at, b->count, sizeof(b->at[0]), by_id);
    while (orders < b->count && b->at[orders].order)
        orders++;
    for (size_t i = 0; i < BATCH && orders > 0; i++)
        args[i] = DB_BYTES(b->at[i < orders ? i : orders - 1].id, 16);
    if (orders > 0)
        n = speedy_db_query_many(b->a->c->db,
                                 "SELECT id FROM orders WHERE id IN (", "?",
                                 BATCH, ")", args, BATCH, order_row, b);
    if (audit_db(b->l, n) != 0)
        return -1;
    for (size_t i = 0; i < b->count; i++) {
        if (!b->at[i].found)
            judge_letter(b, &b->at[i]);
    }
    b->orders += (long)orders;
    b->count = 0;
    return 0;
}

static int add(struct batch *b, const rd_kafka_message_t *m)
{
    struct speedy_event event;
    const char *error;
    struct record *r = &b->at[b->count];
    enum speedy_event_kind kind =
        speedy_event_parse(m->payload, m->len, &event, &error);

    b->records++;
    if (kind == SPEEDY_EVENT_MARKER) {
        b->markers++;
        return 0;
    }
    memset(r, 0, sizeof(*r));
    r->offset = m->offset;
    r->order = kind == SPEEDY_EVENT_ORDER;
    if (r->order)
        memcpy(r->id, event.order_id, 16);
    b->count++;
    return b->count == BATCH ? flush(b) : 0;
}

/* No more is asked for than is there: the rest would be waited for. */
static int read_some(struct batch *b, int64_t next, int64_t *at)
{
    rd_kafka_message_t *m[BATCH];
    rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;
    size_t most = next - *at < BATCH ? (size_t)(next - *at) : BATCH;
    long n = speedy_consumer_read(b->a->kafka, speedy_conf.kafka_orders_topic,
                                  b->partition, m, most, READ_TIMEOUT, &error);
    int code = n > 0 ? 0 : -1;

    if (n <= 0)
        audit_unknown(b->l, "Kafka did not deliver a partition's records");
    for (long i = 0; i < n; i++) {
        if (code == 0 && m[i]->offset < next)
            code = add(b, m[i]);
        if (m[i]->offset + 1 > *at)
            *at = m[i]->offset + 1;
        rd_kafka_message_destroy(m[i]);
    }
    return code;
}

static int read_partition(struct batch *b, int64_t low, int64_t next)
{
    const char *topic = speedy_conf.kafka_orders_topic;
    int64_t at = low;
    int code = 0;

    if (low >= next)
        return 0;
    if (speedy_consumer_start(b->a->kafka, topic, b->partition, low) != 0) {
        audit_unknown(b->l, "Kafka does not let a partition be read");
        return -1;
    }
    while (code == 0 && at < next)
        code = read_some(b, next, &at);
    speedy_consumer_stop(b->a->kafka, topic, b->partition);
    return code == 0 ? flush(b) : code;
}

static int open_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    (void)cols;
    audit_broken(data, "dead letter %lld is unresolved: %s",
                 (long long)col[0].number, (const char *)col[1].bytes);
    return 0;
}

void audit_records(struct audit *a, struct audit_line *l)
{
    static struct batch b; /* large */
    struct audit_offsets o;
    int64_t low = 0, high = 0;

    if (audit_db(l, speedy_db_query(a->c->db,
                                    "SELECT id, error FROM dead_letters WHERE "
                                    "resolved_at IS NULL ORDER BY id LIMIT "
                                    "1000",
                                    DB_NONE, open_row, l)) != 0)
        return;
    if (a->skip_kafka) {
        if (l->broken == 0)
            audit_skip(l, "--skip-kafka");
        return;
    }
    if (audit_kafka(a) == NULL) {
        audit_unknown(l, "Kafka does not answer");
        return;
    }
    if (audit_db(l, audit_offsets_read(a, &o)) != 0)
        return;
    memset(&b, 0, sizeof(b));
    b.a = a;
    b.l = l;
    for (int i = 0; i < a->partitions; i++) {
        b.partition = i;
        b.count = 0;
        if (speedy_consumer_watermarks(a->kafka, speedy_conf.kafka_orders_topic,
                                       i, READ_TIMEOUT, &low, &high) != 0) {
            audit_unknown(l, "Kafka does not tell a partition's offsets");
            return;
        }
        if (read_partition(&b, low, o.next[i]) != 0)
            return;
    }
    audit_figures(l, "records=%ld orders=%ld markers=%ld partitions=%d",
                  b.records, b.orders, b.markers, a->partitions);
}

void audit_offsets(struct audit *a, struct audit_line *l)
{
    struct audit_offsets o;
    int64_t low, high, sum = 0;

    if (audit_kafka(a) == NULL) {
        audit_unknown(l, "Kafka does not answer");
        return;
    }
    if (audit_db(l, audit_offsets_read(a, &o)) != 0)
        return;
    for (int i = 0; i < AUDIT_PARTITIONS_MAX; i++) {
        if (o.next[i] < 0)
            continue;
        sum += o.next[i];
        if (i >= a->partitions) {
            audit_broken(l, "partition %d is not in the topic", i);
            continue;
        }
        if (speedy_consumer_watermarks(a->kafka, speedy_conf.kafka_orders_topic,
                                       i, READ_TIMEOUT, &low, &high) != 0) {
            audit_unknown(l, "Kafka does not tell a partition's offsets");
            return;
        }
        if (o.next[i] > high)
            audit_broken(l, "partition %d: next %lld is beyond the end %lld", i,
                         (long long)o.next[i], (long long)high);
        if (o.next[i] < low)
            audit_broken(l,
                         "partition %d: next %lld, but records begin at "
                         "%lld: some were never read",
                         i, (long long)o.next[i], (long long)low);
        if (a->first_read && o.next[i] < a->first.next[i])
            audit_broken(l, "partition %d: next went back from %lld to %lld", i,
                         (long long)a->first.next[i], (long long)o.next[i]);
    }
    audit_figures(l, "partitions=%d next=%lld", a->partitions, (long long)sum);
}
