/*
 * One refund under way: inquiry, decision, cancel, decision. Between the two
 * decisions and the calls its row says where it stands, so that another
 * instance can take it up at any point.
 */
#include "refund.h"

#include <stdlib.h>
#include <string.h>

#include "../common/crypto.h"
#include "../common/failpoint.h"
#include "../common/log.h"
#include "../common/loop.h"
#include "metrics.h"
#include "refund_rows.h"
#include "rows.h"
#include "task.h"

#define PAGE 32
#define TURN_MS 500
#define CLAIM_SPARE_MS 10000

struct refunding {
    struct payd_task t;
    struct payd_refund f;
};

static void given_up(struct speedy_db *db, struct refunding *x, bool stuck)
{
    if (stuck)
        speedy_log(SPEEDY_ALARM, "a refund is stuck", "order=%s code=%d why=%s",
                   x->t.p.order_text, x->t.reply.error_code, x->t.reply.detail);
    payd_refund_later(db, &x->f, x->t.reply.error_code, x->t.reply.detail,
                      stuck);
    free(x);
}

static void done(struct speedy_db *db, struct refunding *x)
{
    int rc = payd_refund_done(db, &x->f);

    if (rc == SPEEDY_DB_OK)
        speedy_log(SPEEDY_INFO, "refunded", "order=%s amount=%lld kind=%s",
                   x->t.p.order_text, (long long)x->f.amount, x->f.kind);
    payd_metrics_refunded(rc == SPEEDY_DB_OK);
    free(x);
}

static void after_cancel(struct payd_job *job, struct speedy_db *db)
{
    struct refunding *x = (struct refunding *)job;

    speedy_failpoint("payd_after_cancel");
    payd_task_judge(&x->t, db, x->f.id);
    if (x->t.reply.outcome == PAYD_DONE) {
        done(db, x);
        return;
    }
    given_up(db, x,
             x->t.reply.outcome == PAYD_REFUSED &&
                 x->f.calls >= payd_settings.refund_tries);
}

static void cancel(struct speedy_db *db, struct refunding *x)
{
    int rc = payd_refund_begin(db, &x->f);

    if (rc != 1) {
        free(x); /* its time comes again */
        return;
    }
    x->t.ask.kind = PAYD_CANCEL;
    x->t.ask.amount = x->f.amount;
    x->t.ask.tax_free = x->f.tax_free;
    x->t.ask.vat = x->f.vat;
    x->t.ask.available = x->f.before;
    speedy_failpoint("payd_before_cancel");
    payd_task_ask(&x->t, after_cancel);
}

/* All that is left of it goes back, whatever it was. */
static void late_take(struct refunding *x, int64_t available)
{
    x->f.before = available;
    x->f.amount = available;
    x->f.tax_free = available == x->t.p.total ? x->t.p.tax_free : 0;
    x->f.vat = available == x->t.p.total ? x->t.p.vat : payd_vat(available, 0);
}

static void after_inquiry(struct payd_job *job, struct speedy_db *db)
{
    struct refunding *x = (struct refunding *)job;
    const struct payd_reply *r = &x->t.reply;
    bool late = strcmp(x->f.kind, "LATE") == 0;
    int64_t available;

    payd_task_judge(&x->t, db, x->f.id);
    available =
        r->outcome == PAYD_CANCELLED && r->available < 0 ? 0 : r->available;
    if (available < 0 ||
        (r->outcome != PAYD_DONE && r->outcome != PAYD_PARTLY &&
         r->outcome != PAYD_CANCELLED &&
         !(late && r->outcome == PAYD_MISMATCH))) {
        given_up(db, x, false);
        return;
    }
    if (x->f.before < 0 && late && available > 0)
        late_take(x, available);
    else if (x->f.before < 0)
        x->f.before = x->t.p.total - x->f.done;
    if (x->f.calls > 0 && available == x->f.before - x->f.amount)
        done(db, x);
    else if (available == x->f.before)
        cancel(db, x);
    else {
        x->f.calls++;
        given_up(db, x, true);
    }
}

static void start(struct payd_job *job, struct speedy_db *db)
{
    struct refunding *x = (struct refunding *)job;
    unsigned char id[16];
    int rc;

    memcpy(id, x->f.id, sizeof(id));
    rc = payd_refund_read(db, id, &x->f);

    if (rc == 1 && strcmp(x->f.state, "OPEN") == 0)
        rc = payd_payment_read(db, x->f.payment, &x->t.p);
    else
        rc = 0;
    if (rc != 1) {
        free(x);
        return;
    }
    x->t.ask.kind = PAYD_INQUIRY;
    payd_task_ask(&x->t, after_inquiry);
}

struct page {
    unsigned char id[PAGE][16];
    size_t count;
};

static int on_due(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct page *page = data;

    (void)cols;
    memcpy(page->id[page->count++], col[0].bytes, 16);
    return page->count == PAGE;
}

/* Rows that are due, and nobody's for the time that they may take. */
static int claim(struct speedy_db *db, void *data, int attempt)
{
    struct page *page = data;
    int rc;

    (void)attempt;
    page->count = 0;
    rc = speedy_db_query(
        db,
        "SELECT f.id FROM refunds f WHERE f.state = 'OPEN'"
        " AND f.next_at <= NOW(3) AND NOT EXISTS (SELECT 1 FROM refunds e"
        " WHERE e.payment_id = f.payment_id AND e.state = 'OPEN'"
        " AND e.id < f.id) ORDER BY f.next_at LIMIT 32 FOR UPDATE SKIP LOCKED",
        DB_NONE, on_due, page);
    for (size_t i = 0; rc == SPEEDY_DB_OK && i < page->count; i++)
        rc = speedy_db_exec(
            db,
            "UPDATE refunds SET next_at ="
            " NOW(3) + INTERVAL ? * 1000 MICROSECOND WHERE id = ?",
            DB_ARGS(DB_INT(payd_settings.inquiry_timeout +
                           payd_settings.cancel_timeout + CLAIM_SPARE_MS),
                    DB_BYTES(page->id[i], 16)),
            NULL);
    return rc;
}

long payd_refund_turn(void *data)
{
    struct page page = {.count = 0};

    if (speedy_db_run(data, claim, &page) != SPEEDY_DB_OK)
        return speedy_jitter(TURN_MS * 4);
    for (size_t i = 0; i < page.count; i++) {
        struct refunding *x = calloc(1, sizeof(*x));

        if (x == NULL)
            break;
        memcpy(x->f.id, page.id[i], 16);
        x->t.job.run = start;
        if (!payd_job_push(&x->t.job, 0))
            free(x);
    }
    return page.count == PAGE ? 0 : speedy_jitter(TURN_MS);
}
