/*
 * The consumer: reads the partitions that are held, hands batches to apply.c.
 */
#ifndef ORDERD_CONSUME_H
#define ORDERD_CONSUME_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/db.h"
#include "../common/kafka.h"

/* Made before the duty starts. db and kc are the consumer's own. 0 or -1. */
int orderd_consume_init(const char *topic, int instance, struct speedy_db *db,
                        struct speedy_consumer *kc);
void orderd_consume_free(void);
/* Duty: brings partitions up to date, one batch. */
long orderd_consume_turn(void *data);
/* Boot time, ms, of Kafka's last answer; 0: none yet. */
int64_t orderd_consume_answered(void);

#endif
