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
 * Closing is bounded: 2.0.2 may wait for ever for a broker.
 *
 * librdkafka's own log lines go through ours, at most one a second of each
 * severity: a broker that is away would fill the disk otherwise.
 */
#include "kafka.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "kafka_private.h"
#include "log.h"
#include "loop.h"

#define TOPICS_MAX 8
#define PARTITIONS_MAX 256
#define FLUSH_MS 1000

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
    pthread_mutex_t lock; /* of the table below; partitions have a thread */
    struct topic {
        rd_kafka_topic_t *handle;
        char name[128];
        /* what the broker said of a partition for good, and if it is logged */
        rd_kafka_resp_err_t final[PARTITIONS_MAX];
        bool logged[PARTITIONS_MAX];
    } * topic[TOPICS_MAX];
    size_t topics;
};

/* What the protocol fixes, or speedy.conf says elsewhere. */
static const char *const fixed_properties[] = {"bootstrap.servers",
                                               "metadata.broker.list",
                                               "client.id",
                                               "acks",
                                               "request.required.acks",
                                               "enable.idempotence",
                                               "transactional.id",
                                               "message.timeout.ms",
                                               "delivery.timeout.ms",
                                               "auto.offset.reset",
                                               "enable.auto.commit",
                                               "auto.commit.enable",
                                               "enable.auto.offset.store",
                                               "enable.partition.eof",
                                               "group.id",
                                               "log.queue",
                                               "enabled_events",
                                               NULL};

int speedy_kafka_property_check(const char *name, const char *value,
                                char *error, size_t size)
{
    rd_kafka_conf_t *conf;
    rd_kafka_conf_res_t result;

    for (size_t i = 0; fixed_properties[i] != NULL; i++) {
        if (strcmp(name, fixed_properties[i]) == 0) {
            snprintf(error, size,
                     "speedy sets this property itself; remove the line");
            return -1;
        }
    }
    conf = rd_kafka_conf_new();
    result = rd_kafka_conf_set(conf, name, value, error, size);
    rd_kafka_conf_destroy(conf);
    return result == RD_KAFKA_CONF_OK ? 0 : -1;
}

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
rd_kafka_conf_t *speedy_kafka_conf_new(const char *client_id,
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
    for (size_t i = 0; i < speedy_conf.kafka.count; i++)
        bad |= set(conf, speedy_conf.kafka.at[i].key,
                   speedy_conf.kafka.at[i].value);
    if (bad == 0)
        return conf;
    rd_kafka_conf_destroy(conf);
    return NULL;
}

rd_kafka_t *speedy_kafka_handle_new(rd_kafka_type_t type, rd_kafka_conf_t *conf)
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
    conf = speedy_kafka_conf_new(p->client_id, own);
    if (conf == NULL)
        return -1;
    rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    p->rk = speedy_kafka_handle_new(RD_KAFKA_PRODUCER, conf);
    return p->rk == NULL ? -1 : 0;
}

static void producer_destroy(void *rk)
{
    rd_kafka_flush(rk, FLUSH_MS);
    /* Reports of the purged messages free their records. */
    rd_kafka_purge(rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_flush(rk, FLUSH_MS);
    rd_kafka_destroy(rk);
}

static void producer_close(struct speedy_producer *p)
{
    if (p->rk != NULL)
        speedy_bounded("kafka producer", producer_destroy, p->rk,
                       SPEEDY_KAFKA_CLOSE_MS);
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

/* Queues one message. Its record, or NULL with *why. */
static struct record *enqueue(struct speedy_producer *p,
                              struct speedy_message *m, size_t *open,
                              rd_kafka_resp_err_t *why)
{
    struct record *record = calloc(1, sizeof(*record));

    if (record == NULL)
        abort();
    record->message = m;
    record->open = open;
    *why = rd_kafka_producev(p->rk, RD_KAFKA_V_TOPIC(m->topic),
                             RD_KAFKA_V_PARTITION(m->partition),
                             RD_KAFKA_V_KEY(m->key, m->key_len),
                             RD_KAFKA_V_VALUE((void *)m->value, m->value_len),
                             RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                             RD_KAFKA_V_OPAQUE(record), RD_KAFKA_V_END);
    if (*why == RD_KAFKA_RESP_ERR_NO_ERROR) {
        ++*open;
        return record;
    }
    free(record);
    return NULL;
}

static void await_reports(struct speedy_producer *p, const size_t *open,
                          int64_t until)
{
    while (*open > 0) {
        int64_t left = until - speedy_now_boot();

        if (left <= 0)
            break;
        rd_kafka_poll(p->rk, left < 100 ? (int)left : 100);
    }
}

size_t speedy_producer_send(struct speedy_producer *p, struct speedy_message *m,
                            size_t n, long timeout_ms)
{
    int64_t until = speedy_now_boot() + timeout_ms;
    rd_kafka_resp_err_t why, refused = RD_KAFKA_RESP_ERR_NO_ERROR;
    struct record **records;
    size_t open = 0, delivered = 0;

    for (size_t i = 0; i < n; i++) {
        m[i].delivered = 0;
        m[i].written_partition = -1;
        m[i].offset = -1;
    }
    if (n == 0 || producer_heal(p) != 0)
        return 0;
    records = calloc(n, sizeof(*records));
    if (records == NULL)
        abort();
    for (size_t i = 0; i < n; i++) {
        records[i] = enqueue(p, &m[i], &open, &why);
        if (why != RD_KAFKA_RESP_ERR_NO_ERROR)
            refused = why;
    }
    await_reports(p, &open, until);
    for (size_t i = 0; i < n; i++) {
        delivered += m[i].delivered != 0;
        if (records[i] == NULL)
            continue;
        if (records[i]->reported)
            free(records[i]);
        else
            records[i]->message = NULL; /* its report will free it */
    }
    free(records);
    if (delivered < n)
        speedy_log(SPEEDY_WARN, "kafka: messages not acknowledged",
                   "topic=%s messages=%zu acknowledged=%zu error=%s",
                   m[0].topic, n, delivered,
                   refused != RD_KAFKA_RESP_ERR_NO_ERROR
                       ? rd_kafka_err2name(refused)
                       : "none");
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
    return speedy_consumer_new_marking(client_id, NULL);
}

struct speedy_consumer *speedy_consumer_new_marking(const char *client_id,
                                                    const char *group)
{
    const char *const own[][2] = {{"enable.auto.commit", "false"},
                                  {"enable.auto.offset.store", "false"},
                                  {"auto.offset.reset", "error"},
                                  {"fetch.wait.max.ms", "50"},
                                  {"fetch.min.bytes", "65536"},
                                  {"fetch.error.backoff.ms", "100"},
                                  {"queued.max.messages.kbytes", "16384"},
                                  {"enable.partition.eof", "false"},
                                  {group == NULL ? NULL : "group.id", group},
                                  {NULL, NULL}};
    struct speedy_consumer *c = calloc(1, sizeof(*c));
    rd_kafka_conf_t *conf;

    if (c == NULL)
        abort();
    conf = speedy_kafka_conf_new(client_id, own);
    if (conf != NULL)
        c->rk = speedy_kafka_handle_new(RD_KAFKA_CONSUMER, conf);
    if (c->rk == NULL) {
        free(c);
        return NULL;
    }
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

static void consumer_destroy(void *data)
{
    struct speedy_consumer *c = data;

    for (size_t i = 0; i < c->topics; i++) {
        rd_kafka_topic_destroy(c->topic[i]->handle);
        free(c->topic[i]);
    }
    rd_kafka_destroy_flags(c->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

void speedy_consumer_free(struct speedy_consumer *c)
{
    if (c != NULL)
        speedy_bounded("kafka consumer", consumer_destroy, c,
                       SPEEDY_KAFKA_CLOSE_MS);
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

/* Entries stay until the end: what is found may be used without the lock. */
static struct topic *topic_find(struct speedy_consumer *c, const char *topic)
{
    struct topic *found = NULL;

    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < c->topics && found == NULL; i++) {
        if (strcmp(c->topic[i]->name, topic) == 0)
            found = c->topic[i];
    }
    pthread_mutex_unlock(&c->lock);
    return found;
}

static struct topic *topic_open(struct speedy_consumer *c, const char *topic)
{
    struct topic *t = topic_find(c, topic);

    if (t != NULL || strlen(topic) >= sizeof(t->name))
        return t;
    t = calloc(1, sizeof(*t));
    if (t == NULL)
        abort();
    snprintf(t->name, sizeof(t->name), "%s", topic);
    t->handle = rd_kafka_topic_new(c->rk, topic, NULL);
    pthread_mutex_lock(&c->lock);
    if (t->handle != NULL && c->topics < TOPICS_MAX) {
        c->topic[c->topics++] = t;
        pthread_mutex_unlock(&c->lock);
        /* another thread may have been first: its entry is the one used */
        return topic_find(c, topic);
    }
    pthread_mutex_unlock(&c->lock);
    if (t->handle != NULL)
        rd_kafka_topic_destroy(t->handle);
    free(t);
    return NULL;
}

int speedy_consumer_start(struct speedy_consumer *c, const char *topic,
                          int partition, int64_t next)
{
    struct topic *t = topic_open(c, topic);
    const char *why = "too many topics, or no such partition";

    if (t != NULL && partition >= 0 && partition < PARTITIONS_MAX) {
        t->final[partition] = RD_KAFKA_RESP_ERR_NO_ERROR;
        t->logged[partition] = false;
        if (rd_kafka_consume_start(t->handle, partition, next) == 0)
            return 0;
        why = rd_kafka_err2str(rd_kafka_last_error());
    }
    speedy_log(SPEEDY_ERROR, "kafka partition not started",
               "topic=%s partition=%d next=%lld error=%s", topic, partition,
               (long long)next, why);
    return -1;
}

int speedy_consumer_stop(struct speedy_consumer *c, const char *topic,
                         int partition)
{
    struct topic *t = topic_find(c, topic);

    if (t == NULL)
        return -1;
    return rd_kafka_consume_stop(t->handle, partition);
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

/* Keeps the messages at the front of out, and what was final. */
static long sort_out(struct topic *t, int partition, rd_kafka_message_t **out,
                     ssize_t n)
{
    long got = 0;

    for (ssize_t i = 0; i < n; i++) {
        if (out[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            out[got++] = out[i];
            continue;
        }
        if (is_final(out[i]->err))
            t->final[partition] = out[i]->err;
        rd_kafka_message_destroy(out[i]);
    }
    return got;
}

long speedy_consumer_read(struct speedy_consumer *c, const char *topic,
                          int partition, rd_kafka_message_t **out, size_t max,
                          long timeout_ms, rd_kafka_resp_err_t *error)
{
    struct topic *t = topic_find(c, topic);
    long got = 0;

    *error = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (t == NULL || partition < 0 || partition >= PARTITIONS_MAX) {
        *error = RD_KAFKA_RESP_ERR__INVALID_ARG;
        return -1;
    }
    rd_kafka_poll(c->rk, 0);
    if (t->final[partition] == RD_KAFKA_RESP_ERR_NO_ERROR)
        got = sort_out(t, partition, out,
                       rd_kafka_consume_batch(t->handle, partition,
                                              (int)timeout_ms, out, max));
    /* messages that came before the error are read first */
    if (got > 0 || t->final[partition] == RD_KAFKA_RESP_ERR_NO_ERROR)
        return got;
    *error = t->final[partition];
    if (!t->logged[partition])
        speedy_log(SPEEDY_ALARM, "kafka partition cannot be read",
                   "topic=%s partition=%d error=%s", topic, partition,
                   rd_kafka_err2name(*error));
    t->logged[partition] = true;
    return -1;
}

static rd_kafka_topic_partition_list_t *one(const char *topic, int partition,
                                            int64_t offset)
{
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new(1);

    rd_kafka_topic_partition_list_add(list, topic, partition)->offset = offset;
    return list;
}

int speedy_consumer_commit(struct speedy_consumer *c, const char *topic,
                           int partition, int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = one(topic, partition, offset);
    rd_kafka_resp_err_t err = rd_kafka_commit(c->rk, list, 1);

    rd_kafka_topic_partition_list_destroy(list);
    return err == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : -1;
}

int speedy_consumer_committed(struct speedy_consumer *c, const char *topic,
                              int partition, long timeout_ms, int64_t *offset)
{
    rd_kafka_topic_partition_list_t *list = one(topic, partition, -1);
    rd_kafka_resp_err_t err = rd_kafka_committed(c->rk, list, (int)timeout_ms);
    int rc = -1;

    if (err == RD_KAFKA_RESP_ERR_NO_ERROR &&
        list->elems[0].err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        *offset = list->elems[0].offset < 0 ? -1 : list->elems[0].offset;
        rc = 0;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return rc;
}
