/*
 * The sales that are not archived, as MySQL told them last: an immutable
 * snapshot, swapped as a whole. While MySQL is away the last one stays.
 */
#ifndef SPEEDY_STOCKD_CATALOGUE_H
#define SPEEDY_STOCKD_CATALOGUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/db.h"
#include "../shop/names.h"
#include "../shop/sale.h"
#include "../shop/scripts.h"

struct stockd_variant {
    char name[SPEEDY_ID_MAX + 1];
    /* fields of the gate: price:<name>, held:<name> */
    char price_field[SPEEDY_ID_MAX + 8], held_field[SPEEDY_ID_MAX + 8];
    int64_t price, held;
};

struct stockd_sale {
    char id[SPEEDY_ID_MAX + 1];
    char state[12];
    int64_t opens_at, closes_at; /* Unix ms; closes_at 0: open end */
    int64_t limit, hold_ms;
    int64_t epoch; /* the highest of its variants */
    char notice[SPEEDY_NOTICE_MAX * 4 + 1];
    struct speedy_keys keys;
    struct stockd_variant *variants;
    size_t variant_count;
};

struct stockd_catalogue {
    atomic_int refs;
    struct stockd_sale *sales; /* ordered by id */
    size_t count;
    struct stockd_variant *variants; /* of all sales, in order */
};

/* The present one, or NULL (MySQL was never reached). Any thread. */
struct stockd_catalogue *stockd_catalogue_get(void);
void stockd_catalogue_put(struct stockd_catalogue *c);
const struct stockd_sale *
stockd_catalogue_find(const struct stockd_catalogue *c, const char *id);

/* Reads a new one by db. 0, or -1: the last one stays. */
int stockd_catalogue_read(struct speedy_db *db);

#endif
