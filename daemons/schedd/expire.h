/*
 * Holds that end: orders not paid for by their deadline become EXPIRED, and
 * their units go back to the stock or, by the sale's restock policy, are
 * withheld. Any number of instances may run: each takes rows that no other
 * has locked.
 */
#ifndef SCHEDD_EXPIRE_H
#define SCHEDD_EXPIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/db.h"
#include "../shop/names.h"

#define SCHEDD_BATCH_MAX 128
#define SCHEDD_ASIDE_MAX 64

struct schedd_due {
    unsigned char id[16];
    char sale[SPEEDY_ID_MAX + 1], variant[SPEEDY_ID_MAX + 1];
    char state[24];
    int64_t version, units, withheld, late;
    bool withhold; /* the sale's policy is not `immediate` */
    int64_t epoch; /* the variant's, read under its lock */
};

struct schedd_expire {
    struct speedy_db *db;
    char actor[64]; /* schedd:<instance> */
    struct schedd_due due[SCHEDD_BATCH_MAX];
    size_t count;
    /* a batch was refused: this many orders go one by one */
    size_t singles;
    /* rows that were refused alone, and until when (boot time) */
    struct {
        unsigned char id[16];
        int64_t until;
    } aside[SCHEDD_ASIDE_MAX];
    size_t aside_count;
};

/* db is borrowed. */
void schedd_expire_init(struct schedd_expire *x, struct speedy_db *db,
                        int instance);
/*
 * One small batch in one transaction. Returns how many orders were moved or
 * put aside (0: nothing is due), or -1 when it must be tried again.
 */
int schedd_expire_batch(struct schedd_expire *x);

/* Duty: batches until nothing is due. data: struct schedd_expire. */
long schedd_expire_turn(void *data);
/* Boot time, ms, of MySQL's last answer; 0: none yet. */
int64_t schedd_expire_answered(void);
void schedd_expire_metrics(void);

#endif
