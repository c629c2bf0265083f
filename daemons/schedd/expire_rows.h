/*
 * The statements of one expiry batch, in the order in which they run. All
 * return enum speedy_db_status; rows are x->due[0..count).
 */
#ifndef SCHEDD_EXPIRE_ROWS_H
#define SCHEDD_EXPIRE_ROWS_H

#include "expire.h"

/* 1 when something is due, 0 when not; without a lock. */
int schedd_rows_any(struct schedd_expire *x);
/* Locks at most `limit` due orders that nobody else has locked. */
int schedd_rows_lock(struct schedd_expire *x, size_t limit);
/* Reads each sale's restock policy. due is sorted by (sale, variant). */
int schedd_rows_policy(struct schedd_expire *x);
/* The conditional move of the orders. */
int schedd_rows_move(struct schedd_expire *x);
/* held (and withheld) of each variant; its epoch, under the lock. */
int schedd_rows_units(struct schedd_expire *x);
/* order_events and release_outbox. */
int schedd_rows_history(struct schedd_expire *x);

#endif
