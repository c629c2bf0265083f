/*
 * Money that goes back. A row of `refunds` is settled by asking KakaoPay how
 * much can still be cancelled, and cancelling with that figure along, which
 * makes it refuse a second time; a cancel whose outcome is unknown is asked
 * about, never simply repeated.
 */
#ifndef PAYD_REFUND_H
#define PAYD_REFUND_H

#include "payd.h"

/*
 * In the caller's transaction, with the payment locked: all that can be
 * cancelled of it goes back, once. 1, 0 when that was asked for before, or
 * enum speedy_db_status.
 */
int payd_refund_late(struct speedy_db *db, const struct payd_payment *p,
                     int64_t amount, const char *actor);

/* Duty: takes refunds that are due; data: a connection of its own. */
long payd_refund_turn(void *data);

#endif
