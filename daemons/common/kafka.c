/*
 * librdkafka behind two small objects.
 *
 * Producer: one handle, polled by the thread that sends. Each message has a
 * record on the heap; when the caller's time is over the record is detached
 * from the caller's memory and freed by its report, which may come later.
 *
 * Consumer: the simple (legacy) consumer, which reads given partitions from
 * given offsets and knows of no group: who reads what is decided by leases in
 * MySQL, and so are the offsets.
 *
 * librdkafka's own log lines go through ours, at most one a second of each
 * severity: a broker that is away would fill the disk otherwise.
 */
#include "kafka.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "log.h"
#include "loop.h"

#define TOPICS_MAX 8
#define PARTITIONS_MAX 256
#define DESTROY_FLUSH_MS 1000

struct record {
    struct speedy_message *message; /* NULL: the sender left */
    size_t *open;                   /* the sender's count of open reports */
    int reported;                   /* the sender frees it, else the report */
};

struct speedy_producer {
    rd_kafka_t *rk;
    char client_id[64];
    long message_timeout_ms;
};

struct speedy_consumer {
    rd_kafka_t *rk;
    struct {
        rd_kafka_topic_t *handle;
        char name[128];
    } topic[TOPICS_MAX];
    size_t topics;
};

static void on_log(const rd_kafka_t *rk, int severity, const char *facility,
                   const char *text)
{
    static atomic_llong last[8];
    int64_t now = speedy_now_boot();
    long long before = atomic_load(&last[severity & 7]);

    (void)rk;
    if (before != 0 && now - before < 1000)
        return;
    atomic_store(&last[severity & 7], now);
    speedy_log(severity <= 3 ? SPEEDY_WARN : SPEEDY_DEBUG, "kafka client",
               "facility=%s text=\"%s\"", facility, text);
}

static void on_report(rd_kafka_t *rk, const rd_kafka_message_t *report,
                      void *opaque)
{
    struct record *record = report->_private;

    (void)rk;
    (void)opaque;
    if (record->message == NULL) {
        free(record);
        return;
    }
    record->reported = 1;
    record->message->delivered = report->err == RD_KAFKA_RESP_ERR_NO_ERROR;
    record->message->written_partition = report->partition;
    record->message->offset = report->offset;
    --*record->open;
}

static int set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char why[256];

    if (rd_kafka_conf_set(conf, name, value, why, sizeof(why)) ==
        RD_KAFKA_CONF_OK)
        return 0;
    speedy_log(SPEEDY_ERROR, "kafka property refused",
               "property=%s value=\"%s\" why=\"%s\"", name, value, why);
    return -1;
}

/* Brokers, the client's name, and speedy.conf's own `kafka.*`. */
static rd_kafka_conf_t *conf_new(const char *client_id,
                                 const char *const (*own)[2])
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    int bad = 0;

    rd_kafka_conf_set_log_cb(conf, on_log);
    bad |= set(conf, "bootstrap.servers", speedy_conf.kafka_brokers);
    bad |= set(conf, "client.id", client_id);
    bad |= set(conf, "socket.keepalive.enable", "true");
    bad |= set(conf, "reconnect.backoff.max.ms", "1000");
    for (; (*own)[0] != NULL; own++)
        bad |= set(conf, (*own)[0], (*own)[1]);
    for (size_t i = 0; i < speedy_conf.kafka.count; i++) {
        const char *name = speedy_conf.kafka.at[i].key;

        if (strncmp(name, "kafka.", 6) == 0)
            name += 6;
        bad |= set(conf, name, speedy_conf.kafka.at[i].value);
    }
    if (bad == 0)
        return conf;
    rd_kafka_conf_destroy(conf);
    return NULL;
}

static rd_kafka_t *handle_new(rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
    char why[256];
    rd_kafka_t *rk = rd_kafka_new(type, conf, why, sizeof(why));

    if (rk == NULL) {
        rd_kafka_conf_destroy(conf);
        speedy_log(SPEEDY_ERROR, "kafka client not made", "why=\"%s\"", why);
    }
    return rk;
}

static int producer_open(struct speedy_producer *p)
{
    char timeout[24];
    const char *const own[][2] = {{"acks", "all"},
                                  {"enable.idempotence", "false"},
                                  {"linger.ms", "1"},
                                  {"message.timeout.ms", timeout},
                                  {NULL, NULL}};
    rd_kafka_conf_t *conf;

    snprintf(timeout, sizeof(timeout), "%ld", p->message_timeout_ms);
    conf = conf_new(p->client_id, own);
    if (conf == NULL)
        return -1;
    rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    p->rk = handle_new(RD_KAFKA_PRODUCER, conf);
    return p->rk == NULL ? -1 : 0;
}

static void producer_close(struct speedy_producer *p)
{
    if (p->rk == NULL)
        return;
    rd_kafka_flush(p->rk, DESTROY_FLUSH_MS);
    rd_kafka_purge(p->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_flush(p->rk, DESTROY_FLUSH_MS);
    rd_kafka_destroy(p->rk);
    p->rk = NULL;
}

struct speedy_producer *speedy_producer_new(const char *client_id,
                                            long message_timeout_ms)
{
    struct speedy_producer *p = calloc(1, sizeof(*p));

    if (p == NULL)
        return NULL;
    snprintf(p->client_id, sizeof(p->client_id), "%s", client_id);
    p->message_timeout_ms = message_timeout_ms;
    if (producer_open(p) != 0) {
        free(p);
        return NULL;
    }
    return p;
}

void speedy_producer_free(struct speedy_producer *p)
{
    if (p == NULL)
        return;
    producer_close(p);
    free(p);
}

/* A fatal error does not heal: a new handle does. */
static int producer_heal(struct speedy_producer *p)
{
    char why[256];

    if (p->rk != NULL && rd_kafka_fatal_error(p->rk, why, sizeof(why)) == 0)
        return 0;
    if (p->rk != NULL)
        speedy_log(SPEEDY_ERROR, "kafka producer made anew", "why=\"%s\"", why);
    producer_close(p);
    return producer_open(p);
}

/* Queues one message; its report, or nobody, frees the record. */
static int enqueue(struct speedy_producer *p, struct speedy_message *m,
                   struct record *record)
{
    rd_kafka_resp_err_t err = rd_kafka_producev(
        p->rk, RD_KAFKA_V_TOPIC(m->topic), RD_KAFKA_V_PARTITION(m->partition),
        RD_KAFKA_V_KEY(m->key, m->key_len),
        RD_KAFKA_V_VALUE((void *)m->value, m->value_len),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_OPAQUE(record),
        RD_KAFKA_V_END);

    if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
        return 0;
    speedy_log(SPEEDY_WARN, "kafka refused a message", "topic=%s why=\"%s\"",
               m->topic, rd_kafka_err2str(err));
    return -1;
}

size_t speedy_producer_send(struct speedy_producer *p, struct speedy_message *m,
                            size_t n, long timeout_ms)
{
    struct record **records = calloc(n, sizeof(*records));
    int64_t until = speedy_now_boot() + timeout_ms;
    size_t open = 0, delivered = 0;

    for (size_t i = 0; i < n; i++) {
        m[i].delivered = 0;
        m[i].offset = -1;
    }
    if (records == NULL || producer_heal(p) != 0) {
        free(records);
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        struct record *record = malloc(sizeof(*record));

        if (record == NULL)
            break;
        record->message = &m[i];
        record->open = &open;
        if (enqueue(p, &m[i], record) != 0) {
            free(record);
            continue;
        }
        records[i] = record;
        open++;
    }
    while (open > 0 && speedy_now_boot() < until)
        rd_kafka_poll(p->rk, 50);
    for (size_t i = 0; i < n; i++) {
        delivered += m[i].delivered != 0;
        if (records[i] == NULL)
            continue;
        if (records[i]->reported)
            free(records[i]);
        else
            records[i]->message = NULL;
    }
    free(records);
    return delivered;
}

/* Partitions of a topic by the broker's metadata. */
static int partitions(rd_kafka_t *rk, const char *topic, long timeout_ms)
{
    const struct rd_kafka_metadata *meta;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(rk, topic, NULL);
    int count = -1;

    if (handle == NULL)
        return -1;
    if (rd_kafka_metadata(rk, 0, handle, &meta, (int)timeout_ms) ==
        RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (meta->topic_cnt == 1 && meta->topics[0].partition_cnt > 0)
            count = meta->topics[0].partition_cnt;
        rd_kafka_metadata_destroy(meta);
    }
    rd_kafka_topic_destroy(handle);
    return count;
}

int speedy_producer_partitions(struct speedy_producer *p, const char *topic,
                               long timeout_ms)
{
    if (producer_heal(p) != 0)
        return -1;
    return partitions(p->rk, topic, timeout_ms);
}

struct speedy_consumer *speedy_consumer_new(const char *client_id)
{
    const char *const own[][2] = {{"enable.auto.commit", "false"},
                                  {"enable.auto.offset.store", "false"},
                                  {"auto.offset.reset", "error"},
                                  {"fetch.wait.max.ms", "20"},
                                  {"fetch.error.backoff.ms", "100"},
                                  {"queued.max.messages.kbytes", "16384"},
                                  {"enable.partition.eof", "false"},
                                  {NULL, NULL}};
    struct speedy_consumer *c = calloc(1, sizeof(*c));
    rd_kafka_conf_t *conf;

    if (c == NULL)
        return NULL;
    conf = conf_new(client_id, own);
    if (conf != NULL)
        c->rk = handle_new(RD_KAFKA_CONSUMER, conf);
    if (c->rk == NULL) {
        free(c);
        return NULL;
    }
    return c;
}

void speedy_consumer_free(struct speedy_consumer *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->topics; i++)
        rd_kafka_topic_destroy(c->topic[i].handle);
    rd_kafka_destroy_flags(c->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    free(c);
}

int speedy_consumer_partitions(struct speedy_consumer *c, const char *topic,
                               long timeout_ms)
{
    return partitions(c->rk, topic, timeout_ms);
}

int speedy_consumer_watermarks(struct speedy_consumer *c, const char *topic,
                               int partition, long timeout_ms, int64_t *low,
                               int64_t *high)
{
    return rd_kafka_query_watermark_offsets(c->rk, topic, partition, low, high,
                                            (int)timeout_ms) ==
                   RD_KAFKA_RESP_ERR_NO_ERROR
               ? 0
               : -1;
}

static rd_kafka_topic_t *topic_find(struct speedy_consumer *c,
                                    const char *topic)
{
    for (size_t i = 0; i < c->topics; i++) {
        if (strcmp(c->topic[i].name, topic) == 0)
            return c->topic[i].handle;
    }
    return NULL;
}

static rd_kafka_topic_t *topic_open(struct speedy_consumer *c,
                                    const char *topic)
{
    rd_kafka_topic_t *handle = topic_find(c, topic);

    if (handle != NULL || c->topics == TOPICS_MAX)
        return handle;
    handle = rd_kafka_topic_new(c->rk, topic, NULL);
    if (handle == NULL)
        return NULL;
    snprintf(c->topic[c->topics].name, sizeof(c->topic[0].name), "%s", topic);
    c->topic[c->topics++].handle = handle;
    return handle;
}

int speedy_consumer_start(struct speedy_consumer *c, const char *topic,
                          int partition, int64_t next)
{
    rd_kafka_topic_t *handle = topic_open(c, topic);

    if (handle == NULL || partition < 0 || partition >= PARTITIONS_MAX)
        return -1;
    if (rd_kafka_consume_start(handle, partition, next) == 0)
        return 0;
    speedy_log(SPEEDY_ERROR, "kafka partition not started",
               "topic=%s partition=%d why=\"%s\"", topic, partition,
               rd_kafka_err2str(rd_kafka_last_error()));
    return -1;
}

int speedy_consumer_stop(struct speedy_consumer *c, const char *topic,
                         int partition)
{
    rd_kafka_topic_t *handle = topic_find(c, topic);

    if (handle == NULL)
        return -1;
    return rd_kafka_consume_stop(handle, partition);
}

/* What no amount of waiting mends. */
static int is_final(rd_kafka_resp_err_t err)
{
    return err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
           err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE ||
           err == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
           err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
           err == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION ||
           err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
}

long speedy_consumer_read(struct speedy_consumer *c, const char *topic,
                          int partition, rd_kafka_message_t **out, size_t max,
                          long timeout_ms, rd_kafka_resp_err_t *error)
{
    rd_kafka_topic_t *handle = topic_find(c, topic);
    long got = 0;
    ssize_t n;

    *error = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (handle == NULL)
        return -1;
    rd_kafka_poll(c->rk, 0);
    n = rd_kafka_consume_batch(handle, partition, (int)timeout_ms, out, max);
    for (ssize_t i = 0; i < n; i++) {
        if (out[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            out[got++] = out[i];
            continue;
        }
        if (is_final(out[i]->err))
            *error = out[i]->err;
        rd_kafka_message_destroy(out[i]);
    }
    if (got > 0 || *error == RD_KAFKA_RESP_ERR_NO_ERROR)
        return got;
    speedy_log(SPEEDY_ALARM, "kafka partition cannot be read",
               "topic=%s partition=%d why=\"%s\"", topic, partition,
               rd_kafka_err2str(*error));
    return -1;
}
