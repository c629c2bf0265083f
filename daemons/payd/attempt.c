/*
 * An attempt under way. Its steps are jobs of the workers; between them it
 * waits for an order that is not in MySQL yet, or for KakaoPay.
 *
 * The row is NEW before ready is called: when this process dies, or no reply
 * comes, the row is taken up by the same key, or revoked by another one; an
 * unanswered tid dies unpaid, since nobody has its URLs.
 */
#include "attempt.h"

#include <stdlib.h>
#include <string.h>

#include "../common/crypto.h"
#include "../common/failpoint.h"
#include "../common/log.h"
#include "../common/loop.h"
#include "address.h"
#include "attempt_rows.h"
#include "cookie.h"
#include "task.h"

#define AGAIN_MS 100
#define RETRY_SECONDS 2
#define SEOUL_MIN 540

/* --- the answer --- */

static void refuse(struct speedy_request *r, int verdict)
{
    switch (verdict) {
    case PAYD_A_UNKNOWN:
        speedy_problem(r, 404, "order_unknown", "There is no such order.");
        break;
    case PAYD_A_NOT_READY:
        speedy_problem_retry(r, 409, "order_not_ready",
                             "The order is not ready to be paid yet.", 1);
        break;
    case PAYD_A_NO_ADDRESS:
        speedy_problem(r, 404, "address_not_found",
                       "There is no such address.");
        break;
    case PAYD_A_KEY_REUSED:
        speedy_problem(r, 422, "key_reused",
                       "This Idempotency-Key was sent with another body.");
        break;
    case PAYD_A_BUSY:
        speedy_problem_retry(r, 409, "payment_in_progress",
                             "A payment of this order is under way.", 1);
        break;
    case PAYD_A_OVER:
        speedy_problem(r, 409, "payment_over",
                       "This attempt is over: begin another one.");
        break;
    case PAYD_A_PAID:
        speedy_problem(r, 409, "order_paid", "The order is paid.");
        break;
    case PAYD_A_ENDED:
        speedy_problem(r, 409, "order_ended",
                       "The order cannot be paid any more.");
        break;
    case PAYD_A_NO_DELIVERY:
        speedy_problem(r, 409, "no_delivery",
                       "Nothing is sent to this postcode.");
        break;
    case PAYD_A_KAKAO:
        speedy_problem_retry(r, 503, "payment_unavailable",
                             "KakaoPay does not answer as it should.",
                             RETRY_SECONDS);
        break;
    default:
        speedy_problem_retry(r, 503, "unavailable",
                             "This cannot be answered now.", 1);
    }
}

static void member(struct speedy_buf *out, const char *name, const char *text)
{
    speedy_buf_printf(out, ",\"%s\":", name);
    speedy_buf_json(out, text);
}

static void show(struct speedy_request *r, const struct payd_attempt *a)
{
    char id[37];

    speedy_uuid_text(a->t.p.id, id);
    r->status = 201;
    speedy_buf_printf(&r->out, "{\"payment_id\":\"%s\",\"order_id\":\"%s\"", id,
                      a->t.p.order_text);
    member(&r->out, "state", a->t.p.state);
    member(&r->out, "pc_url", a->pc);
    member(&r->out, "mobile_url", a->mobile);
    member(&r->out, "app_url", a->app);
    speedy_buf_printf(&r->out,
                      ",\"amount\":%lld,\"shipping_fee\":%lld,"
                      "\"total_amount\":%lld,\"currency\":\"KRW\"",
                      (long long)a->t.p.goods, (long long)a->t.p.shipping,
                      (long long)a->t.p.total);
    speedy_buf_printf(&r->out, ",\"pay_by\":");
    speedy_buf_time(&r->out, a->pay_by, SEOUL_MIN);
    speedy_buf_printf(&r->out, ",\"seconds_left\":%lld}\n",
                      (long long)(a->left_ms > 0 ? a->left_ms / 1000 : 0));
    speedy_buf_printf(&r->headers, "Cache-Control: no-store\n");
    payd_cookie_set(r, a->user);
    if (a->replayed)
        speedy_buf_printf(&r->headers, "Idempotent-Replayed: true\n");
}

static void attempt_free(struct payd_attempt *a)
{
    explicit_bzero(a, sizeof(*a));
    free(a);
}

static void answer(struct payd_attempt *a, int rc)
{
    struct speedy_request *r = a->r;

    if (rc == SPEEDY_DB_OK)
        show(r, a);
    else
        refuse(r, rc);
    attempt_free(a);
    speedy_request_finish(r);
}

/* --- the steps --- */

static void after_ready(struct payd_job *job, struct speedy_db *db)
{
    struct payd_attempt *a = (struct payd_attempt *)job;
    int rc;

    speedy_failpoint("payd_after_ready");
    payd_task_judge(&a->t, db, NULL);
    explicit_bzero(a->callback, sizeof(a->callback));
    if (a->t.reply.outcome != PAYD_DONE) {
        speedy_log(SPEEDY_WARN, "ready failed", "order=%s outcome=%s code=%d",
                   a->t.p.order_text, payd_outcome_name(a->t.reply.outcome),
                   a->t.reply.error_code);
        payd_attempt_ready_failed(db, a);
        answer(a, PAYD_A_KAKAO);
        return;
    }
    rc = speedy_db_run(db, payd_attempt_store, a);
    if (rc == SPEEDY_DB_OK)
        rc = payd_attempt_shown(db, a);
    answer(a, rc);
}

static void nonce_make(struct payd_attempt *a)
{
    unsigned char nonce[32];
    char text[44];

    speedy_random(nonce, sizeof(nonce));
    speedy_base64url(nonce, sizeof(nonce), text);
    speedy_sha256(text, strlen(text), a->nonce_hash);
    snprintf(a->callback, sizeof(a->callback), "%s/pay/kakaopay/%s",
             payd_settings.shop_url, text);
    explicit_bzero(nonce, sizeof(nonce));
    explicit_bzero(text, sizeof(text));
}

static void begin(struct payd_job *job, struct speedy_db *db)
{
    struct payd_attempt *a = (struct payd_attempt *)job;
    int rc;

    nonce_make(a);
    rc = speedy_db_run(db, payd_attempt_open, a);
    if (rc == PAYD_A_NEEDS_ADDRESS) {
        rc = payd_address_read(a->user, a->address, a->r->request_id, &a->to);
        a->has_address = rc == SPEEDY_DB_OK;
        if (rc == SPEEDY_DB_OK)
            rc = speedy_db_run(db, payd_attempt_open, a);
    }
    if (rc == PAYD_A_NOT_READY && speedy_now_boot() < a->give_up &&
        payd_job_push(&a->t.job, AGAIN_MS))
        return;
    if (rc == PAYD_A_REPLAY) {
        a->replayed = true;
        answer(a, payd_attempt_shown(db, a));
        return;
    }
    if (rc != SPEEDY_DB_OK) {
        answer(a, rc);
        return;
    }
    a->t.ask.kind = PAYD_READY;
    a->t.ask.item = a->item;
    a->t.ask.callback = a->callback;
    speedy_failpoint("payd_before_ready");
    payd_task_ask(&a->t, after_ready);
}

/* --- the request --- */

static int key_valid(const char *key)
{
    size_t len = key == NULL ? 0 : strlen(key);

    if (len < 1 || len > SPEEDY_IDEMPOTENCY_KEY_MAX)
        return 0;
    for (size_t i = 0; i < len; i++) {
        if (key[i] < 0x21 || key[i] > 0x7e)
            return 0;
    }
    return 1;
}

static void digest(const char *what, const char *user, const char *text,
                   unsigned char out[16])
{
    struct speedy_buf all = {0};
    unsigned char sum[32];

    speedy_buf_add(&all, what, strlen(what) + 1);
    speedy_buf_add(&all, user, strlen(user) + 1);
    speedy_buf_add(&all, text, strlen(text));
    speedy_sha256(all.data, all.len, sum);
    memcpy(out, sum, 16);
    speedy_buf_free(&all);
}

/* 0, or -1 after answering. */
static int take(struct speedy_request *r, struct payd_attempt *a)
{
    static const char *const names[] = {"address_id", NULL};
    static const char *const none[] = {NULL};
    static const struct speedy_field wrong = {"/address_id", "invalid"};
    const char *key = speedy_request_header(r, "Idempotency-Key"), *address;
    const struct speedy_json *body;
    char text[37];

    if (speedy_request_unknown_query(r, none) != NULL) {
        speedy_problem(r, 400, "unknown_parameter",
                       "No parameter is known here.");
        return -1;
    }
    if (!key_valid(key)) {
        speedy_problem(r, 400,
                       key == NULL ? "idempotency_key_missing"
                                   : "idempotency_key_invalid",
                       "An Idempotency-Key of 1 to 255 visible ASCII"
                       " characters is needed.");
        return -1;
    }
    if (speedy_uuid_parse(r->id, strlen(r->id), a->order) != 0) {
        refuse(r, PAYD_A_UNKNOWN);
        return -1;
    }
    body = speedy_body_parse(r, names);
    if (body == NULL)
        return -1;
    address = speedy_json_text(speedy_json_get(body, "address_id"));
    if (address == NULL ||
        speedy_uuid_parse(address, strlen(address), a->address) != 0) {
        speedy_problem_fields(r, 400, "invalid_request",
                              "address_id is the id of an address of yours.",
                              &wrong, 1);
        return -1;
    }
    speedy_uuid_text(a->address, text);
    snprintf(a->user, sizeof(a->user), "%s", r->user);
    digest("speedy-payment-key", a->user, key, a->key_digest);
    digest("speedy-payment-body", a->user, text, a->body_digest);
    return 0;
}

void payd_attempt_post(struct speedy_request *r, void *data)
{
    struct payd_attempt *a = calloc(1, sizeof(*a));

    (void)data;
    if (a == NULL || speedy_stopping()) {
        free(a);
        refuse(r, SPEEDY_DB_RETRY);
        return;
    }
    if (take(r, a) != 0) {
        free(a);
        return;
    }
    a->give_up = speedy_now_boot() + payd_settings.order_wait;
    a->t.job.run = begin;
    a->r = speedy_request_later(r);
    if (a->r == NULL) {
        free(a);
        refuse(r, SPEEDY_DB_RETRY);
    } else if (!payd_job_push(&a->t.job, 0)) {
        answer(a, SPEEDY_DB_RETRY);
    }
}
