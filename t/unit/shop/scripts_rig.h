/*
 * What the tests of the Lua scripts share: one sale in a private Redis, and
 * each script as a C function. Codes and words come back as static text.
 */
#ifndef SCRIPTS_RIG_H
#define SCRIPTS_RIG_H

#include <stdint.h>

#include "../../../daemons/shop/scripts.h"

#define RIG_SALE "s1"
#define RIG_TOKEN 7
#define RIG_NONCE "nonce-1"

extern struct speedy_redis *rig;
extern struct speedy_keys rig_keys;

int rig_start(void **state);
int rig_stop(void **state);
/* Empties Redis and waits for nothing. */
void rig_flush(void);

/* An order id and digests made of one number, for readable tests. */
void rig_id(unsigned n, unsigned char out[16]);

/* fence + (stage nothing) + load + renew: sale open, `stock` of variant v. */
void rig_open(int64_t epoch, int64_t limit, int64_t stock);
const char *rig_fence(int64_t token, const char *nonce);
const char *rig_load(int64_t token, const char *nonce, int64_t epoch,
                     int64_t staged, int64_t users, int64_t stock);
void rig_stage(const char *nonce, unsigned order, const char *user,
               int64_t units, int64_t epoch, unsigned key);
const char *rig_renew(int64_t token, int64_t epoch, int64_t limit,
                      const char *state, int64_t opens_at, int64_t closes_at);
const char *rig_claim(int64_t token);

/* reserve: the whole reply is kept until the next call. */
struct rig_reply {
    const char *code;
    int64_t number[8]; /* elements 1.. as integers (0 when not a number) */
    unsigned char id[16];
    int has_id; /* element 1, or for LIMIT element 3, is an order id */
};
struct rig_reply rig_reserve(const char *user, int64_t quantity, unsigned order,
                             unsigned key, unsigned body);
int rig_ack(int64_t epoch, unsigned order);
const char *rig_release(int64_t token, unsigned order, int64_t target,
                        int64_t epoch);
const char *rig_adjust(const char *operation, const char *id, int64_t units,
                       int64_t epoch);

int64_t rig_stock(void);
/* Units in the ledger, entries in pend, users that differ, by snapshot.lua. */
struct rig_sums {
    int64_t left, ledger, entries, pend, orphans, differ;
};
struct rig_sums rig_snapshot(void);
/* One command with text arguments; its integer reply. */
int64_t rig_number(const char *command, const char *key, const char *arg);
void rig_set(const char *key, const char *field, const char *value);

#endif
