/*
 * One partition as the consumer sees it: closed, open, or stopped with an
 * alarm that repeats until somebody mends the cause. Consumer's thread only.
 */
#ifndef ORDERD_READING_H
#define ORDERD_READING_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/kafka.h"
#include "partitions.h"

#define ORDERD_WAITING_MAX 64

struct orderd_reading {
    int partition;
    struct speedy_lease lease; /* identity and token */
    bool open;                 /* started in the client */
    bool stopped;              /* by an alarm */
    int64_t retry_at;          /* boot time of the next attempt to open */
    int64_t next;              /* first offset not in MySQL, at opening */
    int64_t read;              /* first offset not yet read */
    /* read, not yet in a batch */
    rd_kafka_message_t *waiting[ORDERD_WAITING_MAX];
    long waiting_count, waiting_at;
    bool dry;            /* nothing more to read in this round */
    unsigned opening;    /* tells records of two openings apart */
    int64_t doubt_since; /* the group's offset could not be read */
};

struct orderd_source {
    const char *topic;
    struct speedy_db *db;
    struct speedy_consumer *kc;
};

/*
 * Takes the stored offset over and starts reading from there. 1 when open, 0
 * when not (retry_at is set), -1 when the lease is not ours any more.
 */
int orderd_reading_open(struct orderd_source *source, struct orderd_reading *p);
/*
 * The next record, or NULL when there is none now (`dry`; whoever begins a
 * round of reading sets it back) or the partition had to be stopped. It stays
 * the partition's until it is popped; then it is the caller's to destroy.
 */
rd_kafka_message_t *orderd_reading_peek(struct orderd_source *source,
                                        struct orderd_reading *p);
void orderd_reading_pop(struct orderd_reading *p);

void orderd_reading_close(struct orderd_source *source,
                          struct orderd_reading *p);
/* Stops it until the next attempt; whoever calls has logged the alarm. */
void orderd_reading_stop(struct orderd_source *source,
                         struct orderd_reading *p);

#endif
