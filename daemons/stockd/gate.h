/*
 * The gate of one sale: the arguments of renew.lua, for the gate's duty and
 * for the rebuild that opens a sale at once.
 */
#ifndef SPEEDY_STOCKD_GATE_H
#define SPEEDY_STOCKD_GATE_H

#include "../common/redis.h"
#include "catalogue.h"

#define STOCKD_RENEW_KEYS 3

/* Fills a (reset before); everything passed must live until the call. */
void stockd_gate_args(struct speedy_args *a, const struct stockd_sale *s,
                      int64_t token, const char *run_id, int64_t epoch);

#endif
