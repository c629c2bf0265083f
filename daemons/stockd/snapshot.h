/*
 * The snapshot of a rebuild: one sale's orders as one short transaction of
 * MySQL saw them, kept in memory (about 150 bytes an order) until they are
 * staged in Redis. Reading first and staging after the commit keeps the
 * variants' rows locked for the reading alone: orderd and schedd wait for
 * them meanwhile.
 */
#ifndef SPEEDY_STOCKD_SNAPSHOT_H
#define SPEEDY_STOCKD_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/db.h"
#include "../common/lease.h"
#include "../shop/names.h"

struct stockd_order {
    unsigned char id[16];
    unsigned char key_digest[SPEEDY_DIGEST_LEN];
    unsigned char body_digest[SPEEDY_DIGEST_LEN];
    char user[SPEEDY_ID_MAX + 1];
    int variant;   /* index into variants */
    int64_t units; /* live + withheld; 0: only its key is kept */
    int64_t price, epoch, reserved_at, pay_by, seq;
};

struct stockd_stock {
    char variant[SPEEDY_ID_MAX + 1];
    int64_t total, held, sold, withheld, epoch;
    int64_t counted; /* units of the orders read */
};

struct stockd_snapshot {
    int64_t epoch; /* the sale's new one */
    struct stockd_stock *variants;
    size_t variant_count, variant_size;
    struct stockd_order **orders; /* by seq once finished */
    size_t count, size;
    struct stockd_block *blocks; /* memory of the orders */
    int64_t max_seq;             /* rejected orders included */
    size_t entries; /* orders with units: what the ledger will hold */
    size_t users;   /* distinct users of all orders */
    bool failed;    /* memory, or an order of an unknown variant */
};

enum stockd_snapshot_result {
    STOCKD_SNAPSHOT_OK,
    STOCKD_SNAPSHOT_RETRY,      /* MySQL failed, or unknown: start over */
    STOCKD_SNAPSHOT_LEASE_LOST, /* the lease is another's */
    STOCKD_SNAPSHOT_DIFFERS     /* columns and orders disagree: alarm */
};

/*
 * Runs the transaction. OK: the epoch is raised, older `lower` intents are
 * void, and *s is filled and finished. The caller frees *s in every case.
 */
enum stockd_snapshot_result
stockd_snapshot_take(struct stockd_snapshot *s, struct speedy_db *db,
                     const struct speedy_lease *lease, const char *sale);
void stockd_snapshot_free(struct stockd_snapshot *s);

/* The parts without a database. */
int stockd_snapshot_variant(struct stockd_snapshot *s,
                            const struct stockd_stock *v);
/* Adds one order (copied); -1: memory, or no such variant. */
int stockd_snapshot_add(struct stockd_snapshot *s, const struct stockd_order *o,
                        const char *variant);
/* Sorts by seq, counts entries and users. */
int stockd_snapshot_finish(struct stockd_snapshot *s);
/* The variant whose columns differ from its orders' sum, or NULL. */
const struct stockd_stock *
stockd_snapshot_differs(const struct stockd_snapshot *s);
/* So that seq_base + length of log goes on above every seq given out. */
int64_t stockd_snapshot_seq_base(const struct stockd_snapshot *s);

#endif
