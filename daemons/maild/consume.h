/*
 * Topic speedy.mail. A record says that a mail is due, no more: the row is
 * the truth, and a scan finds what no record told of. So nothing depends on
 * the group's offsets: they are committed by librdkafka itself, a lost record
 * costs a moment, one read twice a look at the rows.
 */
#ifndef MAILD_CONSUME_H
#define MAILD_CONSUME_H

#include "../common/kafka.h"

/* Duty; data: struct speedy_group. Wakes the sender. */
long maild_consume_turn(void *group);

/* A record came, or nothing for ms. Returns at once when stopping. */
void maild_wake_wait(long ms);
/* Wakes whoever waits, or the next who will. */
void maild_wake(void);
/* Before any thread. 0 or -1. */
int maild_wake_init(void);

#endif
