/*
 * The outbox: a record for Kafka is written in the transaction of its cause
 * and sent afterwards, at least once, by whichever relay comes first. Records
 * keep no order.
 */
#ifndef SPEEDY_OUTBOX_H
#define SPEEDY_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "db.h"
#include "kafka.h"

#define SPEEDY_OUTBOX_KEY 100    /* bytes, at most */
#define SPEEDY_OUTBOX_VALUE 4000 /* bytes, at most */

/* Within the caller's transaction. enum speedy_db_status. */
int speedy_outbox_add(struct speedy_db *db, const char *topic, const void *key,
                      size_t key_len, const void *value, size_t value_len);

/*
 * A duty (speedy_duty_start): takes rows in small batches (FOR UPDATE SKIP
 * LOCKED, so any number of relays may run), produces them with acks=all and
 * deletes those that were acknowledged, in one transaction. db and producer
 * (its message time-out at most SPEEDY_OUTBOX_SEND_MS) are this duty's alone;
 * the rest starts as zero. A record that no broker takes (an unknown topic)
 * does not hold up the others.
 *
 * Metrics: speedy_outbox_rows, speedy_outbox_age_seconds (oldest row),
 * speedy_outbox_sent_total.
 */
#define SPEEDY_OUTBOX_SEND_MS 5000
struct speedy_outbox_relay {
    struct speedy_db *db;
    struct speedy_producer *producer;
    /* of outbox.c: */
    int64_t after;    /* this id failed: look at the rows behind it first */
    int64_t measured; /* speedy_now_boot of the last look at the gauges */
    bool away;        /* an outage was logged */
};
long speedy_outbox_turn(void *relay);
/* Shows the metrics before the first turn; optional. */
void speedy_outbox_metrics(void);

#endif
