/*
 * The board: every sale that is open or will be, with the units left of it,
 * at most a second old. It is what lists and searches say of a product's
 * sale, so that they need no question more.
 */
#ifndef PRODUCTD_BOARD_H
#define PRODUCTD_BOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "../common/json.h"
#include "../shop/names.h"

/* As shoppers see it, the most interesting first. */
enum productd_kind {
    PRODUCTD_OPEN,
    PRODUCTD_SOLD_OUT,
    PRODUCTD_UPCOMING,
    PRODUCTD_ENDED /* never on the board: it holds what is not over */
};
/* open, sold_out, upcoming, closed */
extern const char *const productd_kind_words[];

struct productd_board_variant {
    char id[SPEEDY_ID_MAX + 1];
    int64_t left; /* in Redis, else in MySQL */
};

struct productd_board_sale {
    char id[SPEEDY_ID_MAX + 1], product[SPEEDY_ID_MAX + 1];
    bool paused;
    enum productd_kind kind;
    int64_t opens_at, closes_at, epoch;
    bool from_redis;
    size_t variant_count;
    const struct productd_board_variant *variants;
};

struct productd_board {
    atomic_int refs;
    int64_t made; /* boot time */
    size_t count, variant_count;
    struct productd_board_sale *sales;             /* by id */
    const struct productd_board_sale **by_product; /* best first */
    struct productd_board_variant *variants;
    /* product ids of each kind, by commas; the last: of all */
    struct speedy_buf products[PRODUCTD_ENDED + 1];
};

/* 0, or -1 when a secret cannot be read. */
int productd_board_init(void);
void productd_board_free(void);

/*
 * The board, made anew when it is older than a second: by one caller, while
 * the others go on with the one before. NULL when MySQL never answered.
 */
struct productd_board *productd_board_get(void);
void productd_board_put(struct productd_board *b);

const struct productd_board_sale *
productd_board_sale_find(const struct productd_board *b, const char *id);
/* The product's open sale, else the next one; NULL when there is none. */
const struct productd_board_sale *
productd_board_product_find(const struct productd_board *b, const char *id);
/* Units left of a variant; -1 when the sale is not on the board. */
int64_t productd_board_left(const struct productd_board_sale *s,
                            const char *variant);

#endif
