/*
 * Which partitions this instance reads: one lease a partition
 * (`orderd:<topic>:<n>`) and one a living instance (`orderd:instance:<n>`).
 * Each instance aims at ceil(partitions / living instances): it gives up what
 * it holds beyond that, and takes what is free below it.
 *
 * The duty `leases` owns the leases; the consumer reads snapshots of what is
 * held. Correctness does not hang on it: a batch of a lost partition fails
 * at its offset's compare-and-set.
 */
#ifndef ORDERD_PARTITIONS_H
#define ORDERD_PARTITIONS_H

#include "../common/lease.h"

#define ORDERD_PARTITIONS_MAX 256

struct orderd_claim {
    int partition;
    struct speedy_lease lease; /* a copy: name, owner and token count */
};

/* db is the leases' own connection. */
void orderd_partitions_init(const char *topic, int instance,
                            struct speedy_db *db);
/* The broker's number of partitions; it may grow. Consumer's thread. */
void orderd_partitions_known(int count);
/* What is held now; out has room for ORDERD_PARTITIONS_MAX. Any thread. */
int orderd_partitions_held(struct orderd_claim *out);
/* The consumer found that somebody younger writes there. */
void orderd_partitions_lost(int partition, int64_t token);

/* Duty: one step of every lease. */
long orderd_leases_turn(void *data);
/* After the duties have ended: others may take over at once. */
void orderd_leases_release(void);
/* Boot time, ms, of MySQL's last answer to the leases; 0: none yet. */
int64_t orderd_leases_answered(void);

/* ceil(partitions / living), living at least 1. */
int orderd_share(int partitions, int living);

#endif
