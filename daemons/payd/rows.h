/*
 * Rows of `payments`, `payment_calls`, `order_recipients`. All within the
 * caller's transaction; enum speedy_db_status unless said otherwise.
 */
#ifndef PAYD_ROWS_H
#define PAYD_ROWS_H

#include "calls.h"
#include "kakao.h"
#include "payd.h"

/* Locks the row. 1 found, 0 not, or a status. */
int payd_payment_lock(struct speedy_db *db, const unsigned char id[16],
                      struct payd_payment *p);
/* Without a lock. */
int payd_payment_read(struct speedy_db *db, const unsigned char id[16],
                      struct payd_payment *p);
/* By the digest of its nonce. */
int payd_payment_find(struct speedy_db *db, const unsigned char hash[32],
                      struct payd_payment *p);

/* An outcome for the log of calls; by itself, outside a transaction. */
void payd_call_log(struct speedy_db *db, const struct payd_ask *ask,
                   const struct payd_call *call, const struct payd_reply *reply,
                   const unsigned char *refund);

/*
 * The next inquiry after the i-th one: at inquiry_first, doubled each time up
 * to inquiry_most, and not later than just after the end of the tid.
 */
long payd_inquiry_pause(int64_t inquiries);

struct payd_recipient {
    char recipient[256], phone[64], postcode[16], line1[512], line2[512];
};
/* Seals it under a new key of the order's. */
int payd_recipient_put(struct speedy_db *db, const unsigned char order[16],
                       const struct payd_recipient *to);

/* What a parcel to this postcode costs. 1, 0 when no row holds it, or a
 * status. */
int payd_shipping_fee(struct speedy_db *db, const char *postcode, int64_t *fee);

#endif
