/*
 * The one UPDATE of an order that payd knows, and its units.
 */
#include "moves.h"

#include <string.h>

#include "../common/log.h"
#include "../shop/act.h"
#include "../shop/states.h"

struct reading {
    struct payd_order *o;
    int found;
};

static int on_order(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct reading *reading = data;
    struct payd_order *o = reading->o;

    (void)cols;
    payd_text(&col[0], o->sale, sizeof(o->sale));
    payd_text(&col[1], o->variant, sizeof(o->variant));
    payd_text(&col[2], o->user, sizeof(o->user));
    payd_text(&col[3], o->state, sizeof(o->state));
    o->quantity = col[4].number;
    o->unit_price = col[5].number;
    o->version = col[6].number;
    o->live = col[7].number;
    o->withheld = col[8].number;
    o->pay_by = col[9].number;
    reading->found = 1;
    return 1;
}

int payd_order_lock(struct speedy_db *db, const unsigned char id[16],
                    struct payd_order *o)
{
    struct reading reading = {o, 0};
    int rc;

    memset(o, 0, sizeof(*o));
    memcpy(o->id, id, 16);
    rc = speedy_db_query(db,
                         "SELECT sale_id, variant, user_id, state, quantity,"
                         " unit_price, version, units_live, units_withheld,"
                         " " SPEEDY_MS("pay_by") " FROM orders WHERE id = ?"
                                                 " FOR UPDATE",
                         DB_ARGS(DB_BYTES(id, 16)), on_order, &reading);
    return rc == SPEEDY_DB_OK ? reading.found : rc;
}

int payd_order_in_time(struct speedy_db *db, const struct payd_order *o)
{
    int64_t in_time = 0;
    int rc =
        speedy_db_number(db, "SELECT pay_by > NOW(3) FROM orders WHERE id = ?",
                         DB_ARGS(DB_BYTES(o->id, 16)), &in_time);

    return rc == 1 ? in_time != 0 : rc;
}

int payd_order_move(struct speedy_db *db, struct payd_order *o, const char *to,
                    const char *actor, const char *reason, bool in_time)
{
    char from[sizeof(o->state)];
    long moved = 0;
    int rc;

    memcpy(from, o->state, sizeof(from));
    if (speedy_move_find(from, to, actor) == NULL)
        return SPEEDY_DB_REFUSED;
    rc = speedy_db_exec(
        db,
        "UPDATE orders SET state = ?, version = version + 1,"
        " units_live = ?, units_withheld = ?, updated_at = CURRENT_TIMESTAMP(3)"
        " WHERE id = ? AND state = ? AND version = ?"
        " AND (? = 0 OR pay_by > NOW(3))",
        DB_ARGS(DB_TEXT(to), DB_INT(o->live), DB_INT(o->withheld),
                DB_BYTES(o->id, 16), DB_TEXT(from), DB_INT(o->version),
                DB_INT(in_time)),
        &moved);
    if (rc != SPEEDY_DB_OK || moved != 1)
        return rc;
    o->version++;
    memset(o->state, 0, sizeof(o->state));
    memcpy(o->state, to, strlen(to));
    rc = speedy_db_exec(db,
                        "INSERT INTO order_events (order_id, version,"
                        " from_state, to_state, actor, reason)"
                        " VALUES (?, ?, ?, ?, ?, ?)",
                        DB_ARGS(DB_BYTES(o->id, 16), DB_INT(o->version),
                                DB_TEXT(from), DB_TEXT(to), DB_TEXT(actor),
                                DB_TEXT(reason)),
                        NULL);
    return rc == SPEEDY_DB_OK ? 1 : rc;
}
