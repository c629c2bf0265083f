/*
 * Connections of the HTTP threads: a small bounded pool, one set a running
 * request.
 */
#ifndef ORDERD_STORES_H
#define ORDERD_STORES_H

#include "../common/db.h"
#include "../common/redis.h"

struct orderd_stores {
    struct speedy_db *db;
    struct speedy_redis *rc;
    struct orderd_stores *next;
};

/* 0, or -1 when a secret cannot be read. */
int orderd_stores_init(int count);
void orderd_stores_free(void);
/* Waits a second at the most; NULL when all are busy. */
struct orderd_stores *orderd_stores_take(void);
void orderd_stores_give(struct orderd_stores *s);

#endif
