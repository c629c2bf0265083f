/*
 * The outbox: a record for Kafka is written in the transaction of its cause
 * and sent afterwards, at least once, by whichever relay comes first.
 */
#ifndef SPEEDY_OUTBOX_H
#define SPEEDY_OUTBOX_H

#include <stddef.h>

#include "db.h"
#include "kafka.h"

/* Within the caller's transaction. enum speedy_db_status. */
int speedy_outbox_add(struct speedy_db *db, const char *topic, const void *key,
                      size_t key_len, const void *value, size_t value_len);

/*
 * A duty (speedy_duty_start): takes rows in small batches (FOR UPDATE SKIP
 * LOCKED, so any number of relays may run), produces them with acks=all and
 * deletes those that were acknowledged, in one transaction. db and producer
 * are this duty's alone. Metrics: speedy_outbox_rows, speedy_outbox_age_seconds
 * (oldest row), speedy_outbox_sent_total.
 */
struct speedy_outbox_relay {
    struct speedy_db *db;
    struct speedy_producer *producer;
};
long speedy_outbox_turn(void *relay);

#endif
