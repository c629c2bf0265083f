/*
 * What operators do to sales. Each is one transaction with its audit_log row
 * (act.h) and returns enum speedy_act_result or, below 0, enum
 * speedy_db_status. stockd brings it to the gate within a second.
 *
 * `s` is the sale as the act found it, for whoever words the result.
 */
#ifndef SPEEDY_SALE_ACTS_H
#define SPEEDY_SALE_ACTS_H

#include "act.h"
#include "sale.h"

/*
 * An opening that is nearer than this can no longer be moved: the gate may
 * open before it hears of the change.
 */
#define SPEEDY_SALE_LEAD_MS 2000

/*
 * Inserts the sale `s`: id, product, restock, shipping, notice, limit,
 * hold_ms, times, and of each variant id, total and price (0: the
 * product's). A sale whose opening has passed opens now: opens_at is set, and
 * *opened_now (may be NULL) says so; opens_at <= 0 asks for that.
 */
int speedy_sale_create(struct speedy_act *a, struct speedy_sale *s,
                       bool *opened_now);

/* A change before the opening: what is not given stays as it is. */
struct speedy_sale_change {
    const char *id;
    int64_t opens_at;  /* 0: as it is */
    bool closes_given; /* then closes_at 0: open end */
    int64_t closes_at;
    int64_t limit, hold_ms;         /* 0: as it is */
    const char *restock, *shipping; /* NULL: as it is */
    const char *notice;             /* NULL: as it is */
    int price_count;
    struct {
        const char *variant;
        int64_t price;
    } price[SPEEDY_VARIANTS_MAX];
};
int speedy_sale_change(struct speedy_act *a,
                       const struct speedy_sale_change *change,
                       struct speedy_sale *s);

/* pause, resume, close. *to is the state that it moved to. */
int speedy_sale_move(struct speedy_act *a, const char *id, const char *verb,
                     struct speedy_sale *s, const char **to);
int speedy_sale_postpone(struct speedy_act *a, const char *id, int64_t opens_at,
                         struct speedy_sale *s);
int speedy_sale_extend(struct speedy_act *a, const char *id, int64_t closes_at,
                       struct speedy_sale *s);
/* "" takes the notice away. */
int speedy_sale_notice(struct speedy_act *a, const char *id, const char *text,
                       struct speedy_sale *s);
/* Pauses every active sale. */
int speedy_sale_stop_all(struct speedy_act *a, long *paused);

/*
 * Adds or takes (units < 0) units of a variant. A raise is true in MySQL at
 * once and stockd adds the units to Redis; a lowering is an intent that
 * stockd may refuse, because the units may be held, sold or withheld by
 * then. *adjustment is its row, whose state speedy_sale_stock_state() tells.
 */
int speedy_sale_stock(struct speedy_act *a, const char *id, const char *variant,
                      int64_t units, struct speedy_sale *s,
                      int64_t *adjustment);
/*
 * Waits (at most wait_ms) while the adjustment is OPEN or LOWERED. 0 or enum
 * speedy_db_status.
 */
int speedy_sale_stock_state(struct speedy_db *db, int64_t adjustment,
                            int64_t wait_ms, char state[16]);

/*
 * Makes withheld units sellable again: of one variant or (NULL) of all, at
 * most `units`. Pages of orders, a transaction each; *released counts what
 * is done also when a later page is refused.
 */
int speedy_sale_release(struct speedy_act *a, const char *id,
                        const char *variant, int64_t units,
                        struct speedy_sale *s, int64_t *released);

/* Adds ms to the time to pay of every unpaid order. */
int speedy_sale_extend_holds(struct speedy_act *a, const char *id, int64_t ms,
                             struct speedy_sale *s, long *orders);

#endif
