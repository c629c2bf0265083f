/*
 * What the commands of a sale share: a sale as MySQL and Redis know it.
 */
#ifndef SPEEDYCTL_SALE_H
#define SPEEDYCTL_SALE_H

#include "ctl.h"

#define SALE_VARIANTS_MAX 200

struct sale_variant {
    char id[SPEEDY_ID_MAX + 1];
    int64_t price, total, held, sold, withheld, epoch;
    int64_t left; /* in Redis; -1: not known (fenced, or Redis away) */
};

struct sale {
    char id[SPEEDY_ID_MAX + 1], product[SPEEDY_ID_MAX + 1];
    char state[12], restock[12], shipping[12];
    int64_t opens_at, closes_at, now; /* now: the database's clock */
    int64_t limit, hold_ms, version, created_at, archived_at;
    int variant_count;
    struct sale_variant variant[SALE_VARIANTS_MAX];
    /* Redis */
    bool redis_known; /* Redis answered */
    bool gate;        /* stands, in this incarnation and epoch */
    int64_t pend;
};

/* 0, or an exit code after a message. */
int sale_read(struct ctl *c, const char *id, struct sale *s);
/* Fills in gate, pend and left; Redis away leaves redis_known false. */
void sale_read_redis(struct ctl *c, struct sale *s);
/* As a person would say: upcoming, open, paused, ended, closed, archived. */
const char *sale_word(const struct sale *s);
const char *sale_gate_word(const struct sale *s);
/* Waits (at most wait_ms) until the gate stands. */
bool sale_wait_gate(struct ctl *c, struct sale *s, int64_t wait_ms);

/* The allowed moves of a sale's state. */
struct sale_move {
    const char *act, *from, *to, *who;
};
extern const struct sale_move sale_moves[];
extern const size_t sale_move_count;
/* NULL when the act does not start from this state. */
const struct sale_move *sale_move_find(const char *act, const char *from);

/* `10` or `270=10,280=5` into variants (id, total). 0 or -1. */
int sale_stock_parse(const char *text, struct sale *s);

#endif
