/*
 * Batches into MySQL: one transaction a batch, offsets included. See
 * docs/architecture.md, "The life of one purchase", for why each step stands
 * where it stands.
 */
#ifndef ORDERD_APPLY_H
#define ORDERD_APPLY_H

#include <stdbool.h>

#include "../common/db.h"
#include "batch.h"

/* What a partition's stored offset must be; token is of its lease. */
struct orderd_cursor {
    int partition;
    int64_t next, token;
    int64_t target; /* of apply.c: next after the transaction; -1 unchanged */
};

enum orderd_result {
    ORDERD_DONE,
    ORDERD_RETRY,       /* lost, deadlock, in doubt: call again, unchanged */
    ORDERD_ZOMBIE,      /* the stored offset of `culprit` is not ours */
    ORDERD_NEWER_EPOCH, /* `culprit` holds an epoch that MySQL never gave */
    ORDERD_FAILED       /* MySQL refused what nobody foresaw: logged */
};

struct orderd_apply {
    struct speedy_db *db;
    const char *topic;
    char actor[64]; /* orderd:<instance> */

    /*
     * The batch. apply() takes away from the front what was committed and
     * moves the cursors on, so that calling it again goes on with the rest.
     * Every partition of an item has a cursor.
     */
    struct orderd_item *items;
    size_t count;
    struct orderd_cursor *cursors;
    size_t cursor_count;
    int culprit; /* partition, after ZOMBIE and NEWER_EPOCH */

    /* of apply.c, between calls */
    size_t step;   /* records in the next transaction */
    bool alone;    /* the one record of the next transaction made trouble */
    int suspicion; /* transactions that must ask first what is known */
    bool in_doubt; /* a COMMIT was sent and not answered */
    int64_t now;   /* the database's clock in this transaction, ms */
    struct orderd_item *orders[ORDERD_BATCH_MAX];
    size_t order_count;
    struct orderd_rows *rows;
};

/* rows buffers are allocated here. db is borrowed. */
int orderd_apply_init(struct orderd_apply *a, struct speedy_db *db,
                      const char *topic, int instance);
void orderd_apply_free(struct orderd_apply *a);

/* Sets the batch (at most ORDERD_BATCH_MAX records). */
void orderd_apply_set(struct orderd_apply *a, struct orderd_item *items,
                      size_t count);
enum orderd_result orderd_apply(struct orderd_apply *a);
/* Takes a partition's records out of the batch. */
void orderd_apply_forget(struct orderd_apply *a, int partition);

#endif
