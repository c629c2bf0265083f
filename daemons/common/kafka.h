/*
 * Kafka for the daemons: a producer that waits for delivery reports, and a
 * consumer with manual assignment whose offsets live in MySQL. Nothing is
 * committed to the group, except as a marker for backups (kafka_offsets).
 */
#ifndef SPEEDY_KAFKA_H
#define SPEEDY_KAFKA_H

#include <stddef.h>
#include <stdint.h>
#include <librdkafka/rdkafka.h>

/*
 * Whether speedy.conf may set this librdkafka property: 0, or -1 with a text
 * that says why not (unknown, bad value, or one that the protocol fixes).
 */
int speedy_kafka_property_check(const char *name, const char *value,
                                char *error, size_t size);

struct speedy_producer;

/*
 * acks=all, no idempotence, message time-out as given; properties of
 * `kafka.*` in speedy.conf on top. NULL after logging.
 */
struct speedy_producer *speedy_producer_new(const char *client_id,
                                            long message_timeout_ms);
void speedy_producer_free(struct speedy_producer *p); /* bounded */

struct speedy_message {
    const char *topic;
    int partition; /* RD_KAFKA_PARTITION_UA: by key */
    const void *key, *value;
    size_t key_len, value_len;
    /* set by send: */
    int delivered; /* 1 acknowledged, 0 not known to be */
    int written_partition;
    int64_t offset;
};
/*
 * Sends all and waits for their reports, at most timeout_ms. Returns the
 * number delivered. A fatal error rebuilds the producer. One thread a
 * producer.
 */
size_t speedy_producer_send(struct speedy_producer *p, struct speedy_message *m,
                            size_t n, long timeout_ms);
/* Number of partitions of a topic, or -1 (unknown topic, no broker). */
int speedy_producer_partitions(struct speedy_producer *p, const char *topic,
                               long timeout_ms);

struct speedy_consumer;
/* auto.offset.reset=error; properties as above. NULL after logging. */
struct speedy_consumer *speedy_consumer_new(const char *client_id);
/* As above; `group` is where speedy_consumer_commit leaves its marks. */
struct speedy_consumer *speedy_consumer_new_marking(const char *client_id,
                                                    const char *group);
void speedy_consumer_free(struct speedy_consumer *c); /* bounded */
int speedy_consumer_partitions(struct speedy_consumer *c, const char *topic,
                               long timeout_ms);
/* First and end offset by the broker. 0 or -1. */
int speedy_consumer_watermarks(struct speedy_consumer *c, const char *topic,
                               int partition, long timeout_ms, int64_t *low,
                               int64_t *high);
/* Starts (from `next`) and ends the reading of one partition. 0 or -1. */
int speedy_consumer_start(struct speedy_consumer *c, const char *topic,
                          int partition, int64_t next);
int speedy_consumer_stop(struct speedy_consumer *c, const char *topic,
                         int partition);
/*
 * Up to max messages of one started partition, waiting timeout_ms for the
 * first. Returns how many; -1 when the broker said something final about
 * this partition (offset out of range, unknown topic): logged as an alarm,
 * *error is set. The caller destroys each message.
 */
long speedy_consumer_read(struct speedy_consumer *c, const char *topic,
                          int partition, rd_kafka_message_t **out, size_t max,
                          long timeout_ms, rd_kafka_resp_err_t *error);

/*
 * The group's mark for a partition: the offset that was stored in MySQL some
 * time ago. Nothing is read from there; a mark ahead of MySQL tells that a
 * backup was restored. commit only sends; committed waits, *offset is -1 when
 * there is no mark. 0 or -1.
 */
int speedy_consumer_commit(struct speedy_consumer *c, const char *topic,
                           int partition, int64_t offset);
int speedy_consumer_committed(struct speedy_consumer *c, const char *topic,
                              int partition, long timeout_ms, int64_t *offset);

/*
 * A member of a consumer group, for topics whose records are hints: read at
 * least once as long as the process lives, offsets are committed now and then
 * by librdkafka. What must not be lost is consumed with offsets in MySQL.
 */
struct speedy_group;
/* Texts are copied. NULL after logging. */
struct speedy_group *speedy_group_new(const char *client_id, const char *group,
                                      const char *topic);
void speedy_group_free(struct speedy_group *g); /* bounded */
/*
 * The next record, which the caller destroys; NULL after timeout_ms, or when
 * the broker complained (logged). One thread.
 */
rd_kafka_message_t *speedy_group_read(struct speedy_group *g, long timeout_ms);

#endif
