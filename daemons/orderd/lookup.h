/*
 * An order that MySQL does not know (yet), looked for in the ledgers of the
 * live sales.
 */
#ifndef ORDERD_LOOKUP_H
#define ORDERD_LOOKUP_H

#include <stdint.h>

#include "../common/redis.h"
#include "../shop/names.h"

struct orderd_found {
    char state[12]; /* ACCEPTED or IN_DOUBT */
    char sale[SPEEDY_ID_MAX + 1], variant[SPEEDY_ID_MAX + 1];
    char user[SPEEDY_ID_MAX + 1];
    int64_t quantity, price, reserved_at, pay_by, seq;
};

/*
 * 1: found. 0: in no ledger, and every live sale's ledger is whole in this
 * Redis: an order that is not in MySQL either, asked again after this call,
 * does not exist. -1: Redis is away, or cannot prove that.
 */
int orderd_lookup(struct speedy_redis *rc, const unsigned char id[16],
                  struct orderd_found *found);

#endif
