/* SQL of refunds. */
#include "refund_rows.h"

#include <stdio.h>
#include <string.h>

#include "../common/crypto.h"
#include "../common/json.h"
#include "../common/log.h"
#include "../shop/mail.h"
#include "moves.h"
#include "refund.h"
#include "rows.h"

int payd_refund_late(struct speedy_db *db, const struct payd_payment *p,
                     int64_t amount, const char *actor)
{
    unsigned char id[16];
    char once[64];
    int rc;

    speedy_uuid7(id);
    snprintf(once, sizeof(once), "late:");
    speedy_uuid_text(p->id, once + 5);
    rc = speedy_db_exec(
        db,
        "INSERT INTO refunds (id, order_id, payment_id, kind, quantity, amount,"
        " tax_free_amount, vat_amount, once_key, actor, reason)"
        " VALUES (?, ?, ?, 'LATE', 0, ?, ?, ?, ?, ?, 'late money')",
        DB_ARGS(DB_BYTES(id, 16), DB_BYTES(p->order, 16), DB_BYTES(p->id, 16),
                DB_INT(amount), DB_INT(amount == p->total ? p->tax_free : 0),
                DB_INT(amount == p->total ? p->vat : payd_vat(amount, 0)),
                DB_TEXT(once), DB_TEXT(actor)),
        NULL);
    if (rc == SPEEDY_DB_DUPLICATE)
        return 0;
    return rc == SPEEDY_DB_OK ? 1 : rc;
}

struct reading {
    struct payd_refund *f;
    int found;
};

static int on_refund(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct reading *reading = data;
    struct payd_refund *f = reading->f;

    (void)cols;
    memcpy(f->payment, col[0].bytes, 16);
    payd_text(&col[1], f->kind, sizeof(f->kind));
    payd_text(&col[2], f->state, sizeof(f->state));
    f->quantity = col[3].number;
    f->amount = col[4].number;
    f->tax_free = col[5].number;
    f->vat = col[6].number;
    f->calls = col[7].number;
    f->before = col[8].kind == SPEEDY_DB_NULL ? -1 : col[8].number;
    f->done = col[9].number;
    reading->found = 1;
    return 1;
}

int payd_refund_read(struct speedy_db *db, const unsigned char id[16],
                     struct payd_refund *f)
{
    struct reading reading = {f, 0};
    int rc;

    memset(f, 0, sizeof(*f));
    memcpy(f->id, id, 16);
    rc = speedy_db_query(
        db,
        "SELECT f.payment_id, f.kind, f.state, f.quantity, f.amount,"
        " f.tax_free_amount, f.vat_amount, f.calls, f.available_before,"
        " (SELECT CAST(COALESCE(SUM(d.amount), 0) AS SIGNED) FROM refunds d"
        " WHERE d.payment_id = f.payment_id AND d.state = 'DONE')"
        " FROM refunds f WHERE f.id = ?",
        DB_ARGS(DB_BYTES(id, 16)), on_refund, &reading);
    return rc == SPEEDY_DB_OK ? reading.found : rc;
}

int payd_refund_begin(struct speedy_db *db, struct payd_refund *f)
{
    long changed = 0;
    int rc = speedy_db_exec(
        db,
        "UPDATE refunds SET calls = calls + 1, available_before = ?,"
        " amount = ?, tax_free_amount = ?, vat_amount = ?"
        " WHERE id = ? AND state = 'OPEN' AND calls = ?",
        DB_ARGS(DB_INT(f->before), DB_INT(f->amount), DB_INT(f->tax_free),
                DB_INT(f->vat), DB_BYTES(f->id, 16), DB_INT(f->calls)),
        &changed);

    if (rc != SPEEDY_DB_OK || changed != 1)
        return rc;
    f->calls++;
    return 1;
}

int payd_refund_later(struct speedy_db *db, const struct payd_refund *f,
                      int error_code, const char *error, bool stuck)
{
    return speedy_db_exec(
        db,
        "UPDATE refunds SET state = IF(? <> 0, 'STUCK', state),"
        " error_code = ?, error = ?,"
        " next_at = IF(? <> 0, NULL, NOW(3) + INTERVAL ? * 1000 MICROSECOND)"
        " WHERE id = ? AND state = 'OPEN'",
        DB_ARGS(DB_INT(stuck), error_code != 0 ? DB_INT(error_code) : DB_NULL,
                DB_TEXT(error), DB_INT(stuck),
                DB_INT(payd_inquiry_pause(f->calls)), DB_BYTES(f->id, 16)),
        NULL);
}

/* --- the order --- */

struct ending {
    const struct payd_refund *f;
    struct payd_payment p;
    struct payd_order o;
};

/* n of the order's units are sold no more: back to the stock, or withheld. */
static int units_back(struct speedy_db *db, struct payd_order *o, int64_t n)
{
    int64_t withhold = 0, epoch = 0;
    long changed = 0;
    int rc = speedy_db_number(db,
                              "SELECT restock <> 'immediate' FROM sales"
                              " WHERE id = ?",
                              DB_ARGS(DB_TEXT(o->sale)), &withhold);

    if (rc != 1)
        return rc < 0 ? rc : SPEEDY_DB_REFUSED;
    o->live -= n;
    o->withheld += withhold ? n : 0;
    rc = speedy_db_exec(
        db,
        "UPDATE sale_variants SET sold = sold - ?, withheld = withheld + ?"
        " WHERE sale_id = ? AND variant = ? AND sold >= ?",
        DB_ARGS(DB_INT(n), DB_INT(withhold ? n : 0), DB_TEXT(o->sale),
                DB_TEXT(o->variant), DB_INT(n)),
        &changed);
    if (rc != SPEEDY_DB_OK || withhold)
        return rc;
    if (changed != 1)
        return SPEEDY_DB_REFUSED;
    rc = speedy_db_number(
        db, "SELECT epoch FROM sale_variants WHERE sale_id = ? AND variant = ?",
        DB_ARGS(DB_TEXT(o->sale), DB_TEXT(o->variant)), &epoch);
    if (rc != 1)
        return rc < 0 ? rc : SPEEDY_DB_REFUSED;
    return speedy_db_exec(db,
                          "INSERT INTO release_outbox (sale_id, order_id,"
                          " target, epoch) VALUES (?, ?, ?, ?)",
                          DB_ARGS(DB_TEXT(o->sale), DB_BYTES(o->id, 16),
                                  DB_INT(o->live + o->withheld), DB_INT(epoch)),
                          NULL);
}

static int on_product(void *data, const struct speedy_db_value *col,
                      size_t cols)
{
    (void)cols;
    speedy_buf_json(data, col[0].bytes);
    return 1;
}

static int tell(struct speedy_db *db, const struct ending *e)
{
    struct speedy_buf params = {0};
    char once[64] = "refund:";
    struct speedy_mail mail = {.kind = strcmp(e->f->kind, "RETURN") == 0
                                           ? "order_returned"
                                           : "order_cancelled",
                               .user_id = e->p.user,
                               .once_key = once};
    int rc;

    speedy_uuid_text(e->f->id, once + 7);
    speedy_buf_printf(&params,
                      "{\"order_id\":\"%s\",\"quantity\":%lld,"
                      "\"amount\":%lld,\"variant\":",
                      e->p.order_text, (long long)e->f->quantity,
                      (long long)e->f->amount);
    speedy_buf_json(&params, e->o.variant);
    speedy_buf_printf(&params, ",\"product\":");
    rc = speedy_db_query(db,
                         "SELECT p.name FROM sales s JOIN products p"
                         " ON p.id = s.product_id WHERE s.id = ?",
                         DB_ARGS(DB_TEXT(e->o.sale)), on_product, &params);
    speedy_buf_printf(&params, "}");
    mail.params = params.data;
    if (rc == SPEEDY_DB_OK)
        rc = speedy_mail_queue(db, &mail);
    speedy_buf_free(&params);
    return rc;
}

static int order_end(struct speedy_db *db, struct ending *e)
{
    bool whole = e->o.live == e->f->quantity;
    int rc = units_back(db, &e->o, e->f->quantity);

    if (rc != SPEEDY_DB_OK)
        return rc;
    if (whole && strcmp(e->o.state, "REFUNDING") == 0) {
        rc = payd_order_move(db, &e->o,
                             strcmp(e->f->kind, "RETURN") == 0 ? "RETURNED"
                                                               : "CANCELLED",
                             payd_actor, "refunded", false);
        if (rc != 1)
            return rc < 0 ? rc : SPEEDY_DB_RETRY;
    } else {
        /* a part of it: the order goes on with the rest */
        rc =
            speedy_db_exec(db,
                           "UPDATE orders SET units_live = ?, units_withheld"
                           " = ?, updated_at = CURRENT_TIMESTAMP(3)"
                           " WHERE id = ? AND version = ?",
                           DB_ARGS(DB_INT(e->o.live), DB_INT(e->o.withheld),
                                   DB_BYTES(e->o.id, 16), DB_INT(e->o.version)),
                           NULL);
        if (rc != SPEEDY_DB_OK)
            return rc;
    }
    return tell(db, e);
}

static int end(struct speedy_db *db, void *data, int attempt)
{
    struct ending *e = data;
    long changed = 0;
    int rc = payd_payment_read(db, e->f->payment, &e->p);

    (void)attempt;
    if (rc == 1)
        rc = payd_order_lock(db, e->p.order, &e->o);
    if (rc != 1)
        return rc < 0 ? rc : SPEEDY_DB_ERROR;
    rc = speedy_db_exec(db,
                        "UPDATE refunds SET state = 'DONE', next_at = NULL,"
                        " error_code = NULL, error = '',"
                        " done_at = CURRENT_TIMESTAMP(3)"
                        " WHERE id = ? AND state = 'OPEN'",
                        DB_ARGS(DB_BYTES(e->f->id, 16)), &changed);
    if (rc != SPEEDY_DB_OK || changed == 0)
        return rc; /* or somebody else did it */
    return e->f->quantity > 0 ? order_end(db, e) : SPEEDY_DB_OK;
}

int payd_refund_done(struct speedy_db *db, const struct payd_refund *f)
{
    struct ending e = {.f = f};

    return speedy_db_run(db, end, &e);
}
