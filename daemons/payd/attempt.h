/*
 * POST /api/v1/orders/{id}/payment {address_id}: an attempt to pay an order.
 * The amount is fixed, KakaoPay is asked for a tid, the tid is stored, and
 * then the shopper is told where to pay. The same Idempotency-Key is told the
 * same attempt; another one revokes the attempt before it, as long as no
 * approve of that may be under way.
 */
#ifndef PAYD_ATTEMPT_H
#define PAYD_ATTEMPT_H

#include "payd.h"

void payd_attempt_post(struct speedy_request *r, void *data);

#endif
