/*
 * What the commands of a sale share.
 */
#ifndef SPEEDYCTL_SALE_H
#define SPEEDYCTL_SALE_H

#include "../shop/sale.h"
#include "../shop/sale_acts.h"
#include "ctl.h"

/* 0, or an exit code after a message. */
int sale_read(struct ctl *c, const char *id, struct speedy_sale *s);
/* Redis away leaves redis_known false. */
void sale_read_redis(struct ctl *c, struct speedy_sale *s);
const char *sale_gate_word(const struct speedy_sale *s);
/* Waits (at most wait_ms) until the gate stands. */
bool sale_wait_gate(struct ctl *c, struct speedy_sale *s, int64_t wait_ms);

/* Words the result of an act on the sale; the exit code. */
int sale_act_told(const struct ctl *c, int result, const char *id,
                  const struct speedy_sale *s);

/* `10` or `270=10,280=5` into variants (id, total). 0 or -1. */
int sale_stock_parse(const char *text, struct speedy_sale *s);

#endif
