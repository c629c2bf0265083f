/*
 * Moves of an order that money makes: the conditional UPDATE, its row of
 * order_events, units and mail, in the caller's transaction. Rows are locked
 * in the order: the order, its payment, its variant.
 */
#ifndef PAYD_MOVES_H
#define PAYD_MOVES_H

#include "../shop/names.h"
#include "kakao.h"
#include "payd.h"

struct payd_order {
    unsigned char id[16];
    char sale[SPEEDY_ID_MAX + 1], variant[SPEEDY_ID_MAX + 1];
    char user[SPEEDY_ID_MAX + 1], state[24];
    int64_t quantity, unit_price, version, live, withheld;
    int64_t pay_by; /* Unix ms */
};

/* Locks the row. 1 found, 0 not, or enum speedy_db_status. */
int payd_order_lock(struct speedy_db *db, const unsigned char id[16],
                    struct payd_order *o);
/*
 * Moves a locked order by the table of moves; in_time: only while its deadline
 * has not passed, by the database's clock at this statement. 1 moved, 0 it was
 * too late, or a status (REFUSED: the table has no such move).
 */
int payd_order_move(struct speedy_db *db, struct payd_order *o, const char *to,
                    const char *actor, const char *reason, bool in_time);
/* 1 when the deadline of this (locked) order has not passed, 0 or a status. */
int payd_order_in_time(struct speedy_db *db, const struct payd_order *o);

/* What became of a payment that was asked about. */
enum payd_settled {
    PAYD_S_PAID = 1, /* it is paid, by this or before */
    PAYD_S_NOT_PAID, /* for good */
    PAYD_S_OPEN,     /* asked again later */
    PAYD_S_LATE,     /* paid, but the order could not take it: goes back */
    PAYD_S_GONE      /* there was nothing to settle */
};
const char *payd_settled_name(enum payd_settled s);

/*
 * What an approve or an inquiry said is written down: a transaction of its
 * own, which may be run by any number for the same payment. enum payd_settled
 * or enum speedy_db_status.
 */
int payd_settle(struct speedy_db *db, const struct payd_ask *ask,
                const struct payd_reply *reply, const char *actor);

#endif
