/*
 * A member of a consumer group, for topics whose records are hints: offsets
 * are stored as records are handed out and committed by librdkafka. The
 * assignor is an eager one: the cooperative ones of 2.0.2 may hang or crash
 * when they are closed.
 */
#include "kafka.h"

#include <stdlib.h>

#include "kafka_private.h"
#include "log.h"
#include "loop.h"

#define COMPLAIN_MS 10000

struct speedy_group {
    rd_kafka_t *rk;
    int64_t complain_at;
};

static int subscribe(rd_kafka_t *rk, const char *topic)
{
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new(1);
    rd_kafka_resp_err_t err;

    rd_kafka_topic_partition_list_add(list, topic, RD_KAFKA_PARTITION_UA);
    err = rd_kafka_subscribe(rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
        return 0;
    speedy_log(SPEEDY_ERROR, "kafka topic not subscribed to",
               "topic=%s error=%s", topic, rd_kafka_err2name(err));
    return -1;
}

struct speedy_group *speedy_group_new(const char *client_id, const char *group,
                                      const char *topic)
{
    const char *const own[][2] = {
        {"group.id", group},
        {"enable.auto.commit", "true"},
        {"enable.auto.offset.store", "true"},
        {"auto.offset.reset", "earliest"},
        {"partition.assignment.strategy", "range,roundrobin"},
        {"session.timeout.ms", "10000"},
        {"fetch.wait.max.ms", "500"},
        {"enable.partition.eof", "false"},
        {NULL, NULL}};
    struct speedy_group *g = calloc(1, sizeof(*g));
    rd_kafka_conf_t *conf;

    if (g == NULL)
        abort();
    conf = speedy_kafka_conf_new(client_id, own);
    if (conf != NULL)
        g->rk = speedy_kafka_handle_new(RD_KAFKA_CONSUMER, conf);
    if (g->rk == NULL) {
        free(g);
        return NULL;
    }
    rd_kafka_poll_set_consumer(g->rk);
    if (subscribe(g->rk, topic) == 0)
        return g;
    rd_kafka_destroy(g->rk);
    free(g);
    return NULL;
}

static void group_destroy(void *data)
{
    struct speedy_group *g = data;

    rd_kafka_consumer_close(g->rk);
    rd_kafka_destroy(g->rk);
    free(g);
}

void speedy_group_free(struct speedy_group *g)
{
    if (g != NULL)
        speedy_bounded("kafka group", group_destroy, g, SPEEDY_KAFKA_CLOSE_MS);
}

rd_kafka_message_t *speedy_group_read(struct speedy_group *g, long timeout_ms)
{
    rd_kafka_message_t *m = rd_kafka_consumer_poll(g->rk, (int)timeout_ms);

    if (m == NULL || m->err == RD_KAFKA_RESP_ERR_NO_ERROR)
        return m;
    if (speedy_now_boot() >= g->complain_at) {
        speedy_log(SPEEDY_WARN, "kafka group", "error=%s",
                   rd_kafka_err2name(m->err));
        g->complain_at = speedy_now_boot() + COMPLAIN_MS;
    }
    rd_kafka_message_destroy(m);
    return NULL;
}
