/*
 * A small shop that is wholly true: five orders in MySQL, their ledger in
 * Redis, their records in Kafka, a client log. Tests break one thing of it
 * and look at what the auditor says.
 *
 *   order 1  u1, key k1, 1 of a, PENDING_PAYMENT      a: total 10, left 7
 *   order 2  u2, key k2, 2 of a, PAID                 b: total 5, left 4
 *   order 3  u3, key k3, 1 of b, EXPIRED
 *   order 4  u4, key k4, 1 of b, CANCELLED, its unit withheld
 *   order 5  u5, key k5, 1 of b, REJECTED: STALE_EPOCH
 * Kafka: partition 0 has the five, partition 1 a bad record and a marker.
 */
#ifndef SPEEDYCTL_AUDIT_RIG_H
#define SPEEDYCTL_AUDIT_RIG_H

#include "../../../daemons/speedyctl/audit.h"

#define RIG_SALE "s1"
/* An order's id: in SQL, and as text (its last digit is the number). */
#define RIG_ID(n) "0x0190c0de00007000800000000000000" #n
#define RIG_TEXT(n) "0190c0de-0000-7000-8000-00000000000" #n

int rig_audit_start(void **state);
int rig_audit_stop(void **state);
/* Everything as above again. */
void rig_audit_good(void);
/* Runs the audit (waiting wait_ms for quiescence). */
void rig_audit_run(long wait_ms);
/* The line of that name, as the last run left it. */
const struct audit_line *rig_audit_line(const char *name);
extern struct audit rig_audit;

/* A command to Redis; words ended by NULL. Binary order ids by "%1".."%9". */
void rig_redis(const char *first, ...) __attribute__((sentinel));
/* Replaces the client log (NULL: none is given). */
void rig_client_log(const char *text);
/* The time at which orders are reserved, Unix milliseconds. */
extern int64_t rig_reserved_at;

#endif
