/*
 * The log barrier: a marker in every partition, and the wait until orderd's
 * stored offsets have passed each of them. Everything that was in Kafka
 * before the markers is then in MySQL. End offsets told by the broker may be
 * stale; a marker's own offset is not.
 */
#ifndef SPEEDY_STOCKD_BARRIER_H
#define SPEEDY_STOCKD_BARRIER_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/db.h"
#include "../common/kafka.h"

struct stockd_barrier {
    int parts;
    int64_t *offset; /* of the marker in each partition */
};

/*
 * Sends the markers and waits for all their reports, at most timeout_ms.
 * 0, or -1: no barrier (one line is logged by the caller).
 */
int stockd_barrier_mark(struct stockd_barrier *b, struct speedy_producer *p,
                        const char *text, long timeout_ms);
/* 1 passed, 0 not yet, -1 MySQL did not answer. */
int stockd_barrier_passed(const struct stockd_barrier *b, struct speedy_db *db);
void stockd_barrier_free(struct stockd_barrier *b);

/* Pure: of `next` (the stored offsets; -1: none), those still behind. */
int stockd_barrier_behind(const struct stockd_barrier *b, const int64_t *next);

#endif
