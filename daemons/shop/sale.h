/*
 * A sale as MySQL and Redis know it, and the one table of allowed moves of
 * its state.
 */
#ifndef SPEEDY_SALE_H
#define SPEEDY_SALE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/db.h"
#include "../common/redis.h"
#include "names.h"

#define SPEEDY_VARIANTS_MAX 200
#define SPEEDY_STOCK_MAX 100000000
#define SPEEDY_LIMIT_MAX 1000000
#define SPEEDY_PRICE_MAX 1000000000
#define SPEEDY_NOTICE_MAX 500 /* characters */
#define SPEEDY_HOLD_MIN_MS 1000
#define SPEEDY_HOLD_MAX_MS 86400000

struct speedy_sale_variant {
    char id[SPEEDY_ID_MAX + 1];
    int64_t price, total, held, sold, withheld, epoch;
    int64_t left; /* in Redis; -1: not known (fenced, or Redis away) */
};

struct speedy_sale {
    char id[SPEEDY_ID_MAX + 1], product[SPEEDY_ID_MAX + 1];
    char state[12], restock[12], shipping[12];
    char notice[SPEEDY_NOTICE_MAX * 4 + 1];
    int64_t opens_at, closes_at, now; /* now: the database's clock */
    int64_t limit, hold_ms, version, created_at, archived_at, closed_at;
    int variant_count;
    struct speedy_sale_variant variant[SPEEDY_VARIANTS_MAX];
    /* Redis */
    bool redis_known; /* Redis answered */
    bool gate;        /* stands, in this incarnation and epoch */
    int64_t pend;
};

/* The columns that speedy_sale_take() expects, of `sales` (no alias). */
extern const char speedy_sale_columns[];
#define SPEEDY_SALE_COLUMN_COUNT 15
void speedy_sale_take(struct speedy_sale *s, const struct speedy_db_value *col);

/* 1, 0 when there is no such sale, else enum speedy_db_status. */
int speedy_sale_read(struct speedy_db *db, const char *id,
                     struct speedy_sale *s);
/* Fills in gate, pend and left; Redis away leaves redis_known false. */
void speedy_sale_read_redis(struct speedy_redis *rc, struct speedy_sale *s);
/* As a person would say: upcoming, open, paused, ended, closed, archived. */
const char *speedy_sale_word(const struct speedy_sale *s);
bool speedy_sale_has_variant(const struct speedy_sale *s, const char *id);

/* The allowed moves of a sale's state. */
struct speedy_sale_move {
    const char *act, *from, *to, *who;
};
extern const struct speedy_sale_move speedy_sale_moves[];
extern const size_t speedy_sale_move_count;
/* NULL when the act does not start from this state. */
const struct speedy_sale_move *speedy_sale_move_find(const char *act,
                                                     const char *from);

#endif
