/*
 * Records of the next batch are parsed on a thread of their own, while the
 * consumer's thread waits for MySQL to take the batch before.
 */
#ifndef ORDERD_PARSER_H
#define ORDERD_PARSER_H

#include "../common/kafka.h"
#include "batch.h"

struct orderd_load {
    rd_kafka_message_t *message[ORDERD_BATCH_MAX];
    unsigned opening[ORDERD_BATCH_MAX]; /* of the message's partition */
    struct orderd_item *items;          /* item i is of message i */
    size_t count;
};

/* Hands a load over; one at a time. Consumer's thread. */
void orderd_parser_give(struct orderd_load *load);
/* Returns when the load is parsed: at once when none was given. */
void orderd_parser_wait(void);
/* Duty. */
long orderd_parser_turn(void *data);

#endif
