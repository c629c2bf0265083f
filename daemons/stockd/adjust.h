/*
 * Stock changes: the decision about one row of stock_adjustments.
 */
#ifndef SPEEDY_STOCKD_ADJUST_H
#define SPEEDY_STOCKD_ADJUST_H

#include <stdbool.h>
#include <stdint.h>

enum stockd_adjust_step {
    STOCKD_ADJUST_RAISE,  /* run raise, then DONE */
    STOCKD_ADJUST_LOWER,  /* take, transaction, drop */
    STOCKD_ADJUST_DROP,   /* the total is lowered: drop, then DONE */
    STOCKD_ADJUST_UNTAKE, /* refused: what was taken goes back */
    STOCKD_ADJUST_DONE,   /* nothing to do in Redis: DONE */
    STOCKD_ADJUST_REFUSE, /* nothing is to be done in Redis: REFUSED */
    STOCKD_ADJUST_VOID    /* an intent of a ledger that is gone */
};

enum stockd_adjust_state {
    STOCKD_ADJUST_OPEN,
    STOCKD_ADJUST_LOWERED,
    STOCKD_ADJUST_REFUSED /* without done_at: the untake is still to come */
};

enum stockd_adjust_step stockd_adjust_decide(bool raise,
                                             enum stockd_adjust_state state,
                                             bool archived, int64_t epoch,
                                             int64_t variant_epoch);

#endif
