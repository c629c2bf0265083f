/*
 * An approve: one transaction takes the order to PAY_APPROVING, and only when
 * it is committed KakaoPay is asked. From then on the row is the reconciler's
 * as soon as the call's time is over, whatever happens to this process.
 */
#include "callback.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/crypto.h"
#include "../common/failpoint.h"
#include "../common/log.h"
#include "../common/loop.h"
#include "moves.h"
#include "cookie.h"
#include "page.h"
#include "rows.h"
#include "task.h"

#define NONCE_LENGTH 43
#define TOKEN_MOST 128
#define CLAIM_SPARE_MS 3000
#define URL_CHARS                                                              \
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

enum verdict {
    GO_ON = 0,
    REFUSE = 1, /* nobody's, revoked, or another user's browser */
    LOOK,       /* approved before, or too late: the order tells */
};

struct coming {
    struct payd_task t;
    struct speedy_request *r;
    unsigned char hash[32];
    char pg_token[TOKEN_MOST + 1];
    bool approves;
};

static void coming_free(struct coming *c)
{
    explicit_bzero(c, sizeof(*c));
    free(c);
}

static void answer(struct coming *c, int rc)
{
    struct speedy_request *r = c->r;

    if (rc == REFUSE)
        payd_page_refuse(r);
    else if (rc < 0)
        payd_page_unavailable(r);
    else
        payd_page_go(r, c->t.p.order_text);
    coming_free(c);
    speedy_request_finish(r);
}

static void after_approve(struct payd_job *job, struct speedy_db *db)
{
    struct coming *c = (struct coming *)job;
    int rc;

    explicit_bzero(c->pg_token, sizeof(c->pg_token));
    speedy_failpoint("payd_after_approve");
    payd_task_judge(&c->t, db, NULL);
    rc = payd_settle(db, &c->t.ask, &c->t.reply, payd_actor);
    speedy_log(SPEEDY_INFO, "approve", "order=%s outcome=%s code=%d result=%s",
               c->t.p.order_text, payd_outcome_name(c->t.reply.outcome),
               c->t.reply.error_code,
               rc > 0 ? payd_settled_name((enum payd_settled)rc) : "none");
    /* what is not written down now will be, by the reconciler */
    answer(c, LOOK);
}

static int approving_row(struct speedy_db *db, const struct coming *c)
{
    long changed = 0;
    int rc = speedy_db_exec(
        db,
        "UPDATE payments SET state = 'APPROVING', approve_at = NOW(3),"
        " next_at = NOW(3) + INTERVAL ? * 1000 MICROSECOND"
        " WHERE id = ? AND state = 'READY'",
        DB_ARGS(DB_INT(payd_settings.approve_timeout + CLAIM_SPARE_MS),
                DB_BYTES(c->t.p.id, 16)),
        &changed);

    if (rc != SPEEDY_DB_OK)
        return rc;
    return changed == 1 ? SPEEDY_DB_OK : SPEEDY_DB_RETRY;
}

static int approving(struct speedy_db *db, void *data, int attempt)
{
    struct coming *c = data;
    struct payd_payment now = {.quantity = 0};
    struct payd_order o = {.quantity = 0};
    int rc = payd_order_lock(db, c->t.p.order, &o);

    if (rc == 1)
        rc = payd_payment_lock(db, c->t.p.id, &now);
    if (rc != 1)
        return rc < 0 ? rc : SPEEDY_DB_ERROR;
    c->t.p = now;
    /* a COMMIT whose reply was lost: approve has not been called yet */
    if (attempt > 0 && strcmp(now.state, "APPROVING") == 0 &&
        now.inquiries == 0)
        return SPEEDY_DB_OK;
    if (strcmp(now.state, "REVOKED") == 0 || strcmp(now.state, "NEW") == 0)
        return REFUSE;
    if (strcmp(now.state, "READY") != 0 || strcmp(o.state, "PAY_READY") != 0)
        return LOOK;
    if (now.dead)
        return LOOK;
    rc = approving_row(db, c);
    if (rc != SPEEDY_DB_OK)
        return rc;
    rc = payd_order_move(db, &o, "PAY_APPROVING", payd_actor, "approve begins",
                         true);
    return rc == 1 ? SPEEDY_DB_OK : rc == 0 ? LOOK : rc;
}

static void arrive(struct payd_job *job, struct speedy_db *db)
{
    struct coming *c = (struct coming *)job;
    int rc = payd_payment_find(db, c->hash, &c->t.p);

    if (rc == 1 && payd_cookie_foreign(c->r, c->t.p.user)) {
        speedy_log(SPEEDY_WARN, "a payment of another user's browser",
                   "order=%s", c->t.p.order_text);
        rc = 0;
    }
    if (rc != 1) {
        answer(c, rc < 0 ? rc : REFUSE);
        return;
    }
    if (!c->approves) {
        answer(c, strcmp(c->t.p.state, "REVOKED") == 0 ? REFUSE : LOOK);
        return;
    }
#ifndef SPEEDY_BUG_APPROVE_BEFORE_COMMIT
    rc = speedy_db_run(db, approving, c);
    if (rc != SPEEDY_DB_OK) {
        answer(c, rc);
        return;
    }
#endif
    speedy_failpoint("payd_before_approve");
    c->t.ask.kind = PAYD_APPROVE;
    c->t.ask.pg_token = c->pg_token;
    payd_task_ask(&c->t, after_approve);
}

static int text_valid(const char *text, size_t min, size_t max)
{
    size_t len = text == NULL ? 0 : strlen(text);

    return len >= min && len <= max && strspn(text, URL_CHARS) == len;
}

static void come(struct speedy_request *r, bool approves)
{
    const char *token = speedy_request_query(r, "pg_token");
    struct coming *c;

    if (!text_valid(r->id, NONCE_LENGTH, NONCE_LENGTH) ||
        strcmp(r->method, "GET") != 0 ||
        (approves && !text_valid(token, 1, TOKEN_MOST))) {
        payd_page_refuse(r);
        return;
    }
    c = speedy_stopping() ? NULL : calloc(1, sizeof(*c));
    if (c == NULL) {
        payd_page_unavailable(r);
        return;
    }
    c->approves = approves;
    speedy_sha256(r->id, NONCE_LENGTH, c->hash);
    if (approves)
        snprintf(c->pg_token, sizeof(c->pg_token), "%s", token);
    c->t.job.run = arrive;
    c->r = speedy_request_later(r);
    if (c->r == NULL) {
        coming_free(c);
        payd_page_unavailable(r);
    } else if (!payd_job_push(&c->t.job, 0)) {
        answer(c, SPEEDY_DB_RETRY);
    }
}

void payd_callback_approve(struct speedy_request *r, void *data)
{
    (void)data;
    come(r, true);
}

void payd_callback_hint(struct speedy_request *r, void *data)
{
    (void)data;
    come(r, false);
}
