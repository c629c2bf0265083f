/*
 * stockd's duties, run turn by turn on the test's thread, against a private
 * Redis, MariaDB and mock cluster. orderd's place is taken by stored offsets
 * far ahead, so that every barrier is passed at once (rig_offsets).
 */
#ifndef DUTY_RIG_H
#define DUTY_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "../../../daemons/shop/scripts.h"
#include "../../../daemons/common/loop.h"
#include "../../../daemons/stockd/stockd.h"

extern struct speedy_redis *rig_redis;

/* cmocka's group fixtures: servers up, duties open; all closed. */
int rig_start(void **state);
int rig_stop(void **state);

/* Lead; catalogue, gate, rebuild, gate. */
void rig_lead(void);
void rig_turn(void);
/* Turns until the sale's gate stands in Redis (bounded). */
bool rig_until_open(const char *sale);
void rig_offsets(int64_t next);

/* A new sale with `default` of that total; its id (kept until the next). */
const char *rig_sale(long total);
/* An order in MySQL with units in `held`. */
void rig_order(const char *sale, unsigned n, const char *user, long units,
               long seq);
void rig_order_id(unsigned n, unsigned char out[16]);

/* reserve.lua for quantity 1; its code. The order id is made of n. */
const char *rig_reserve(const char *sale, unsigned n, const char *user);

/* Numbers of Redis; -1 when absent. */
long rig_left(const char *sale);
long rig_number(const char *command, const char *key, const char *field);
const char *rig_text(const char *key, const char *field);
bool rig_gate(const char *sale);

#endif
