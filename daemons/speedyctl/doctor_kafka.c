/*
 * Kafka as it is configured: brokers, partitions, replication, and what a
 * majority must acknowledge. Asked by an admin client of its own.
 */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/conf.h"
#include "doctor.h"

#define TIMEOUT 5000

static rd_kafka_t *client(void)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char error[256];
    rd_kafka_t *rk;

    rd_kafka_conf_set(conf, "bootstrap.servers", speedy_conf.kafka_brokers,
                      error, sizeof(error));
    rd_kafka_conf_set(conf, "log_level", "0", error, sizeof(error));
    for (size_t i = 0; i < speedy_conf.kafka.count; i++)
        rd_kafka_conf_set(conf, speedy_conf.kafka.at[i].key,
                          speedy_conf.kafka.at[i].value, error, sizeof(error));
    rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error));
    if (rk == NULL)
        rd_kafka_conf_destroy(conf);
    return rk;
}

static void say_insync(struct doctor *d, const char *value, int replicas)
{
    char found[96];

    snprintf(found, sizeof(found), "%s of %d", value, replicas);
    if (replicas >= 3 && atoi(value) < 2)
        doctor_say(d, DOCTOR_WARN, "kafka min.insync.replicas", found,
                   "set it to 2 on the topic: acks=all with 1 can acknowledge "
                   "a single copy");
    else
        doctor_say(d, DOCTOR_OK, "kafka min.insync.replicas", found, NULL);
}

static void judge_config(struct doctor *d, rd_kafka_event_t *event,
                         int replicas)
{
    size_t n = 0, m = 0;
    const rd_kafka_ConfigResource_t **r =
        rd_kafka_DescribeConfigs_result_resources(
            rd_kafka_event_DescribeConfigs_result(event), &n);
    const rd_kafka_ConfigEntry_t **e;

    if (n != 1)
        return;
    e = rd_kafka_ConfigResource_configs(r[0], &m);
    for (size_t i = 0; i < m; i++) {
        const char *name = rd_kafka_ConfigEntry_name(e[i]);
        const char *value = rd_kafka_ConfigEntry_value(e[i]);

        if (value == NULL)
            continue;
        if (strcmp(name, "min.insync.replicas") == 0)
            say_insync(d, value, replicas);
        if (strcmp(name, "unclean.leader.election.enable") == 0)
            doctor_say(d, strcmp(value, "false") == 0 ? DOCTOR_OK : DOCTOR_FAIL,
                       "kafka unclean leader election", value,
                       "set unclean.leader.election.enable=false: it loses "
                       "acknowledged records");
        if (strcmp(name, "cleanup.policy") == 0)
            doctor_say(d,
                       strcmp(value, "delete") == 0 ? DOCTOR_OK : DOCTOR_FAIL,
                       "kafka cleanup policy", value,
                       "set cleanup.policy=delete on the topic");
    }
}

static void topic_config(struct doctor *d, rd_kafka_t *rk, int replicas)
{
    rd_kafka_ConfigResource_t *res = rd_kafka_ConfigResource_new(
        RD_KAFKA_RESOURCE_TOPIC, speedy_conf.kafka_orders_topic);
    rd_kafka_queue_t *q = rd_kafka_queue_new(rk);
    rd_kafka_AdminOptions_t *o =
        rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    char error[128];
    rd_kafka_event_t *event;

    rd_kafka_AdminOptions_set_request_timeout(o, TIMEOUT, error, sizeof(error));
    rd_kafka_DescribeConfigs(rk, &res, 1, o, q);
    event = rd_kafka_queue_poll(q, TIMEOUT + 1000);
    if (event != NULL && rd_kafka_event_error(event) == 0)
        judge_config(d, event, replicas);
    else
        doctor_say(d, DOCTOR_WARN, "kafka topic's configuration", "not told",
                   "let this client describe configurations, or look yourself "
                   "(min.insync.replicas, unclean.leader.election.enable)");
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(o);
    rd_kafka_queue_destroy(q);
    rd_kafka_ConfigResource_destroy(res);
}

/* Replicas of the topic, or -1 when there is no use in asking on. */
static int topic_metadata(struct doctor *d, rd_kafka_t *rk)
{
    const struct rd_kafka_metadata *md = NULL;
    rd_kafka_topic_t *t =
        rd_kafka_topic_new(rk, speedy_conf.kafka_orders_topic, NULL);
    char found[160];
    int replicas = -1;

    if (t == NULL || rd_kafka_metadata(rk, 0, t, &md, TIMEOUT) != 0) {
        doctor_say(d, DOCTOR_FAIL, "kafka", speedy_conf.kafka_brokers,
                   "no answer: check [kafka] brokers and that a broker runs");
    } else {
        snprintf(found, sizeof(found), "%d broker%s at %.100s", md->broker_cnt,
                 md->broker_cnt == 1 ? "" : "s", speedy_conf.kafka_brokers);
        doctor_say(d, md->broker_cnt >= 3 ? DOCTOR_OK : DOCTOR_WARN, "kafka",
                   found, "production has 3 brokers or more");
        if (md->topic_cnt == 1 && md->topics[0].err == 0 &&
            md->topics[0].partition_cnt > 0) {
            replicas = md->topics[0].partitions[0].replica_cnt;
            snprintf(found, sizeof(found), "%s: %d partitions, %d replica%s",
                     speedy_conf.kafka_orders_topic,
                     md->topics[0].partition_cnt, replicas,
                     replicas == 1 ? "" : "s");
            doctor_say(d, replicas >= 3 ? DOCTOR_OK : DOCTOR_WARN,
                       "kafka topic", found,
                       "production has 3 replicas and min.insync.replicas 2");
        } else {
            doctor_say(d, DOCTOR_FAIL, "kafka topic",
                       speedy_conf.kafka_orders_topic,
                       "it does not exist: create it with 12 partitions");
        }
    }
    if (md != NULL)
        rd_kafka_metadata_destroy(md);
    if (t != NULL)
        rd_kafka_topic_destroy(t);
    return replicas;
}

void doctor_kafka(struct doctor *d)
{
    rd_kafka_t *rk = client();
    int replicas;

    if (rk == NULL) {
        doctor_say(d, DOCTOR_FAIL, "kafka", "no client",
                   "check [kafka]: a property may be wrong");
        return;
    }
    replicas = topic_metadata(d, rk);
    if (replicas > 0)
        topic_config(d, rk, replicas);
    rd_kafka_destroy(rk);
}
