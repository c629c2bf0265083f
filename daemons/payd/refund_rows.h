/* Rows of `refunds`, and what a refund that is done means for its order. */
#ifndef PAYD_REFUND_ROWS_H
#define PAYD_REFUND_ROWS_H

#include "payd.h"

struct payd_refund {
    unsigned char id[16], payment[16];
    char kind[11], state[11];
    int64_t quantity, amount, tax_free, vat, calls;
    int64_t before; /* -1: not set yet */
    int64_t done;   /* of this payment, by other refunds */
};

/* 1 found, 0 not, or enum speedy_db_status. */
int payd_refund_read(struct speedy_db *db, const unsigned char id[16],
                     struct payd_refund *f);
/*
 * A call is about to be made: the figures it will be sent, and its number.
 * 1; 0 when somebody else is at it; or a status.
 */
int payd_refund_begin(struct speedy_db *db, struct payd_refund *f);
/* Asked again later; stuck: never, an operator must look. */
int payd_refund_later(struct speedy_db *db, const struct payd_refund *f,
                      int error_code, const char *error, bool stuck);
/* The money is back: the order moves, units come back, the shopper is told. */
int payd_refund_done(struct speedy_db *db, const struct payd_refund *f);

#endif
