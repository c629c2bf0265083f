/*
 * Leases by rows of MySQL's table `leases`. A lease's token grows with each
 * change of holder; whoever writes elsewhere on the strength of a lease
 * passes the token along. No clock of another machine is believed: a lease
 * is free for the taking when the observer saw its row unchanged (same token
 * and beat) for the lease's time on its own CLOCK_BOOTTIME.
 */
#ifndef SPEEDY_LEASE_H
#define SPEEDY_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "db.h"

struct speedy_lease {
    char name[64];
    char owner[64];    /* role, instance, pid, random */
    long ttl_ms;       /* of silence, until others may take it */
    int64_t token;     /* ours while held */
    int64_t confirmed; /* boot time at which our last beat was *sent* */
    bool held;
    /* what this observer saw of the holder, and since when */
    int64_t seen_token, seen_beat, seen_at;
};

/* name identifies the row (inserted if absent). */
void speedy_lease_init(struct speedy_lease *l, const char *name,
                       const char *role, int instance, long ttl_ms);
/*
 * One step: beats when held, takes it when it is free. Call it at about
 * ttl/4. Held by another: held = false. MySQL away: what was held stays held
 * (the fencing token decides), `confirmed` ages. Returns 1 when the lease
 * was newly taken by this call, 0 otherwise, -1 when MySQL did not answer.
 */
int speedy_lease_step(struct speedy_lease *l, struct speedy_db *db);
/* Gives it up, so that another takes it at once. */
void speedy_lease_release(struct speedy_lease *l, struct speedy_db *db);
/*
 * Within a transaction: locks the row and compares. 1: it is still ours
 * until the transaction ends; 0: no more; < 0: speedy_db_status.
 */
int speedy_lease_lock(const struct speedy_lease *l, struct speedy_db *db);

#endif
