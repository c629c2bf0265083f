/*
 * Do the units add up? MySQL's counters of each variant against its orders,
 * and with what is left in Redis: judged in one way by the auditor and by the
 * report of a sale.
 */
#ifndef SPEEDY_UNITS_CHECK_H
#define SPEEDY_UNITS_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/db.h"
#include "names.h"

/* A variant in MySQL, what its orders add up to, and Redis. */
struct speedy_units_variant {
    char sale[SPEEDY_ID_MAX + 1], id[SPEEDY_ID_MAX + 1];
    bool known; /* has its row in sale_variants */
    int64_t total, held, sold, withheld, epoch;
    int64_t orders_held, orders_sold, orders_withheld, orders;
    bool in_redis;
    int64_t left, ledger; /* set by the caller */
};

struct speedy_units_check {
    struct speedy_units_variant *variants;
    size_t variant_count, variant_size;
    /* each finding, in words */
    void (*broken)(void *data, const char *text);
    void *data;
    int64_t oversold, undersold; /* of speedy_units_sums() */
};

/*
 * Reads counters and orders by one statement, hence at one instant, of a sale
 * or ("") of all, and judges them. enum speedy_db_status; the caller frees
 * variants.
 */
int speedy_units_judge(struct speedy_db *db, const char *sale,
                       struct speedy_units_check *c);
struct speedy_units_variant *
speedy_units_find(const struct speedy_units_check *c, const char *sale,
                  const char *variant);
/*
 * Oversold: orders keep more than the total. Undersold: neither left in Redis
 * nor kept by orders (where in_redis is set).
 */
void speedy_units_sums(struct speedy_units_check *c);

#endif
