/*
 * Taking a partition over: its stored offset gets the token of our lease, so
 * that no batch of an earlier holder can be committed any more.
 */
#ifndef ORDERD_OFFSETS_H
#define ORDERD_OFFSETS_H

#include "../common/lease.h"

enum orderd_taking {
    ORDERD_TAKEN,
    ORDERD_TAKE_LOST,  /* the lease is not ours any more */
    ORDERD_TAKE_RETRY, /* MySQL did not answer */
    ORDERD_TAKE_ABSENT /* no row: see orderd_offset_create */
};

/* *next: the first offset that is not in MySQL. */
enum orderd_taking orderd_offset_take(struct speedy_db *db, const char *topic,
                                      int partition,
                                      const struct speedy_lease *lease,
                                      int64_t *next);
/* For a partition that nobody has ever read: the row, at offset 0. */
enum orderd_taking orderd_offset_create(struct speedy_db *db, const char *topic,
                                        int partition,
                                        const struct speedy_lease *lease);

#endif
