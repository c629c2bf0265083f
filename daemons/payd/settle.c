/*
 * What came of an approve. The payment's row says whether it is still open;
 * whoever is second finds it settled and does nothing.
 *
 *   paid, every field agrees, order PAY_APPROVING   → PAID, held → sold, mail
 *   paid, but the order does not wait for it        → a refund, an alarm
 *   refused for good (an approve's own reply)       → PAY_FAILED
 *   anything else, tid alive                        → asked again later
 *   not paid, and the tid is dead                   → PAY_FAILED, and one more
 *                                                     look some time later
 */
#include <stdio.h>
#include <string.h>

#include "../common/crypto.h"
#include "../common/json.h"
#include "../common/log.h"
#include "../common/loop.h"
#include "../shop/mail.h"
#include "metrics.h"
#include "moves.h"
#include "refund.h"
#include "rows.h"

struct settling {
    const struct payd_ask *ask;
    const struct payd_reply *reply;
    const char *actor;
    struct payd_payment p;
    struct payd_order o;
    bool late_before; /* the refund stood there already */
};

const char *payd_settled_name(enum payd_settled s)
{
    static const char *const names[] = {"",     "paid", "not_paid",
                                        "open", "late", "gone"};

    return names[s];
}

static int on_product(void *data, const struct speedy_db_value *col,
                      size_t cols)
{
    (void)cols;
    speedy_buf_printf(data, "\"product\":");
    speedy_buf_json(data, col[0].bytes);
    return 1;
}

static int receipt(struct speedy_db *db, const struct settling *s)
{
    struct speedy_buf params = {0};
    char once[64];
    struct speedy_mail mail = {
        .kind = "order_paid", .user_id = s->p.user, .once_key = once};
    int rc;

    snprintf(once, sizeof(once), "order_paid:%s", s->p.order_text);
    speedy_buf_printf(&params,
                      "{\"order_id\":\"%s\",\"quantity\":%lld,"
                      "\"amount\":%lld,\"variant\":",
                      s->p.order_text, (long long)s->p.quantity,
                      (long long)s->p.total);
    speedy_buf_json(&params, s->o.variant);
    speedy_buf_printf(&params, ",");
    rc = speedy_db_query(db,
                         "SELECT p.name FROM sales s JOIN products p"
                         " ON p.id = s.product_id WHERE s.id = ?",
                         DB_ARGS(DB_TEXT(s->o.sale)), on_product, &params);
    speedy_buf_printf(&params, "}");
    mail.params = params.data;
    if (rc == SPEEDY_DB_OK)
        rc = speedy_mail_queue(db, &mail);
    speedy_buf_free(&params);
    return rc;
}

static int units_sold(struct speedy_db *db, const struct payd_order *o)
{
    long changed = 0;
    int rc = speedy_db_exec(
        db,
        "UPDATE sale_variants SET held = held - ?, sold = sold + ?"
        " WHERE sale_id = ? AND variant = ? AND held >= ?",
        DB_ARGS(DB_INT(o->live), DB_INT(o->live), DB_TEXT(o->sale),
                DB_TEXT(o->variant), DB_INT(o->live)),
        &changed);

    if (rc != SPEEDY_DB_OK || changed == 1)
        return rc;
    speedy_log(SPEEDY_ALARM, "units of a paid order are not held",
               "sale=%s variant=%s", o->sale, o->variant);
    return SPEEDY_DB_REFUSED;
}

static int paid(struct speedy_db *db, struct settling *s)
{
    long changed = 0;
    int rc = speedy_db_exec(
        db,
        "UPDATE payments SET state = 'PAID', aid = ?, next_at = NULL,"
        " error_code = NULL, error = '', ended_at = CURRENT_TIMESTAMP(3)"
        " WHERE id = ? AND state = 'APPROVING'",
        DB_ARGS(DB_TEXT(s->reply->aid), DB_BYTES(s->p.id, 16)), &changed);

    if (rc != SPEEDY_DB_OK)
        return rc;
    if (changed != 1)
        return SPEEDY_DB_RETRY;
    rc = payd_order_move(db, &s->o, "PAID", s->actor, "paid", false);
    if (rc == 1)
        rc = units_sold(db, &s->o);
    else if (rc == 0)
        rc = SPEEDY_DB_RETRY;
    if (rc == SPEEDY_DB_OK)
        rc = receipt(db, s);
    return rc;
}

/* next_at: one more look after the end of the tid, or none. */
static int fail_row(struct speedy_db *db, const struct settling *s)
{
    int64_t look = s->ask->kind == PAYD_INQUIRY ? payd_settings.late_look : 0;

    return speedy_db_exec(
        db,
        "UPDATE payments SET state = 'FAILED', live_order = NULL,"
        " error_code = ?, error = ?, ended_at = CURRENT_TIMESTAMP(3),"
        " next_at = IF(? > 0, NOW(3) + INTERVAL ? * 1000 MICROSECOND, NULL)"
        " WHERE id = ? AND state = 'APPROVING'",
        DB_ARGS(s->reply->error_code != 0 ? DB_INT(s->reply->error_code)
                                          : DB_NULL,
                DB_TEXT(s->reply->detail), DB_INT(look), DB_INT(look),
                DB_BYTES(s->p.id, 16)),
        NULL);
}

static int failed(struct speedy_db *db, struct settling *s, const char *reason)
{
    int rc = fail_row(db, s);

    if (rc != SPEEDY_DB_OK)
        return rc;
    if (strcmp(s->o.state, "PAY_APPROVING") != 0)
        return SPEEDY_DB_OK;
    rc = payd_order_move(db, &s->o, "PAY_FAILED", s->actor, reason, false);
    return rc == 1 ? SPEEDY_DB_OK : rc == 0 ? SPEEDY_DB_RETRY : rc;
}

static int ask_later(struct speedy_db *db, const struct settling *s)
{
    return speedy_db_exec(
        db,
        "UPDATE payments SET inquiries = inquiries + ?, error_code = ?,"
        " error = ?, next_at = LEAST(NOW(3) + INTERVAL ? * 1000 MICROSECOND,"
        " GREATEST(dead_at + INTERVAL 200000 MICROSECOND,"
        " NOW(3) + INTERVAL 200000 MICROSECOND))"
        " WHERE id = ? AND state = 'APPROVING'",
        DB_ARGS(
            DB_INT(s->ask->kind == PAYD_INQUIRY),
            s->reply->error_code != 0 ? DB_INT(s->reply->error_code) : DB_NULL,
            DB_TEXT(s->reply->detail),
            DB_INT(payd_inquiry_pause(s->p.inquiries)), DB_BYTES(s->p.id, 16)),
        NULL);
}

/* A tid that is dead is asked on as long as nobody answers, but not as often
 * as every 200 ms. */
static int ask_dead(struct speedy_db *db, const struct settling *s)
{
    return speedy_db_exec(
        db,
        "UPDATE payments SET inquiries = inquiries + 1, error_code = ?,"
        " error = ?, next_at = NOW(3) + INTERVAL ? * 1000 MICROSECOND"
        " WHERE id = ? AND state IN ('APPROVING', 'FAILED')",
        DB_ARGS(
            s->reply->error_code != 0 ? DB_INT(s->reply->error_code) : DB_NULL,
            DB_TEXT(s->reply->detail),
            DB_INT(payd_inquiry_pause(s->p.inquiries)), DB_BYTES(s->p.id, 16)),
        NULL);
}

static int no_more_looks(struct speedy_db *db, const struct settling *s)
{
    return speedy_db_exec(db,
                          "UPDATE payments SET next_at = NULL WHERE id = ?"
                          " AND state = 'FAILED'",
                          DB_ARGS(DB_BYTES(s->p.id, 16)), NULL);
}

/* Money that nothing can be given for. */
static int late(struct speedy_db *db, struct settling *s)
{
    int64_t amount =
        s->reply->available > 0 ? s->reply->available : s->reply->total;
    int rc = payd_refund_late(db, &s->p, amount, s->actor);

    if (rc < 0)
        return rc;
    s->late_before = rc == 0;
    if (strcmp(s->p.state, "APPROVING") == 0)
        return failed(db, s, "paid otherwise");
    return no_more_looks(db, s);
}

static void tell(const struct settling *s, int verdict)
{
    if (s->reply->outcome == PAYD_MISMATCH)
        speedy_log(SPEEDY_ALARM, "KakaoPay's reply is of another payment",
                   "order=%s kind=%s field=%s", s->p.order_text,
                   payd_kind_name(s->ask->kind), s->reply->detail);
    if (verdict == PAYD_S_LATE && !s->late_before)
        speedy_log(SPEEDY_ALARM, "money came that no order waits for",
                   "order=%s amount=%lld", s->p.order_text,
                   (long long)s->reply->total);
}

/* One that was open when its row was locked. */
static int open_settle(struct speedy_db *db, struct settling *s)
{
    const struct payd_reply *r = s->reply;
    bool inquiry = s->ask->kind == PAYD_INQUIRY;
    bool over = s->p.dead && inquiry;

    switch (r->outcome) {
    case PAYD_DONE:
        if (strcmp(s->o.state, "PAY_APPROVING") == 0)
            return paid(db, s) == SPEEDY_DB_OK ? PAYD_S_PAID : SPEEDY_DB_RETRY;
        return late(db, s) == SPEEDY_DB_OK ? PAYD_S_LATE : SPEEDY_DB_RETRY;
    case PAYD_REFUSED:
        if (inquiry)
            break;
        return failed(db, s, "declined") == SPEEDY_DB_OK ? PAYD_S_NOT_PAID
                                                         : SPEEDY_DB_RETRY;
    case PAYD_MISMATCH:
    case PAYD_PARTLY:
        /* our tid, but not our amount: it cannot become ours any more */
        if (over && r->available > 0)
            return late(db, s) == SPEEDY_DB_OK ? PAYD_S_LATE : SPEEDY_DB_RETRY;
        break;
    case PAYD_PENDING:
    case PAYD_FAILED:
    case PAYD_CANCELLED:
    case PAYD_NO_TID:
        if (over)
            return failed(db, s, "not paid") == SPEEDY_DB_OK ? PAYD_S_NOT_PAID
                                                             : SPEEDY_DB_RETRY;
        break;
    case PAYD_UNKNOWN:
        break;
    }
    return (s->p.dead ? ask_dead(db, s) : ask_later(db, s)) == SPEEDY_DB_OK
               ? PAYD_S_OPEN
               : SPEEDY_DB_RETRY;
}

/* One that was given up: the last look. */
static int closed_settle(struct speedy_db *db, struct settling *s)
{
    if (s->reply->outcome == PAYD_DONE ||
        ((s->reply->outcome == PAYD_PARTLY ||
          s->reply->outcome == PAYD_MISMATCH) &&
         s->reply->available > 0))
        return late(db, s) == SPEEDY_DB_OK ? PAYD_S_LATE : SPEEDY_DB_RETRY;
    if (s->ask->kind != PAYD_INQUIRY)
        return PAYD_S_GONE;
    if (s->reply->outcome == PAYD_UNKNOWN || s->reply->outcome == PAYD_MISMATCH)
        return ask_dead(db, s) == SPEEDY_DB_OK ? PAYD_S_OPEN : SPEEDY_DB_RETRY;
    return no_more_looks(db, s) == SPEEDY_DB_OK ? PAYD_S_NOT_PAID
                                                : SPEEDY_DB_RETRY;
}

/* A verdict is committed here: speedy_db_run takes a positive one for a
 * refusal. */
static int settle(struct speedy_db *db, struct settling *s)
{
    int rc = payd_order_lock(db, s->ask->p->order, &s->o), verdict;

    if (rc == 1)
        rc = payd_payment_lock(db, s->ask->p->id, &s->p);
    if (rc != 1)
        return rc < 0 ? rc : PAYD_S_GONE;
    if (strcmp(s->p.state, "PAID") == 0)
        return PAYD_S_PAID;
    if (strcmp(s->p.state, "APPROVING") == 0)
        verdict = open_settle(db, s);
    else if (strcmp(s->p.state, "FAILED") == 0)
        verdict = closed_settle(db, s);
    else
        return PAYD_S_GONE;
    if (verdict < 0)
        return verdict;
    rc = speedy_db_commit(db);
    return rc == SPEEDY_DB_OK ? verdict : rc;
}

int payd_settle(struct speedy_db *db, const struct payd_ask *ask,
                const struct payd_reply *reply, const char *actor)
{
    struct settling s = {.ask = ask, .reply = reply, .actor = actor};
    int rc = SPEEDY_DB_RETRY;

    for (int i = 0; i < 8 && rc == SPEEDY_DB_RETRY; i++) {
        if (i > 0)
            speedy_pause(speedy_jitter(20 << i));
        rc = speedy_db_begin(db);
        if (rc == SPEEDY_DB_OK)
            rc = settle(db, &s);
        if (rc < 0 || rc == PAYD_S_PAID || rc == PAYD_S_GONE)
            speedy_db_rollback(db); /* after a commit it does nothing */
    }
    tell(&s, rc);
    if (rc > 0)
        payd_metrics_settled(rc);
    return rc;
}
