/*
 * Connections of a daemon's HTTP threads: a small bounded pool, one set a
 * running request. Each connects at its first use.
 */
#ifndef SPEEDY_STORES_H
#define SPEEDY_STORES_H

#include "db.h"
#include "redis.h"

struct speedy_stores {
    struct speedy_db *db;
    struct speedy_redis *rc;
    struct speedy_stores *next;
};

/* account: of MySQL. 0, or -1 when a secret cannot be read. */
int speedy_stores_init(const char *account, int count);
void speedy_stores_free(void);
/* Waits a second at the most; NULL when all are busy. */
struct speedy_stores *speedy_stores_take(void);
void speedy_stores_give(struct speedy_stores *s);

#endif
