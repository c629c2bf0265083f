/*
 * One call of the API: who calls, what he wants, which fault stands in the
 * way; then the time it takes, the effect, and the answer. An approve or a
 * cancel claims its payment for as long as it is under way: a second one
 * meanwhile is told -785.
 */
#include "sandbox.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../daemons/common/crypto.h"
#include "../../daemons/common/loop.h"

#define NOTES 8192
#define DAY_MS 86400000
#define KST_MS 32400000

/* What was called, for tests that ask how often and by whom. */
struct note {
    int64_t at, ms;
    enum operation op;
    enum generation gen;
    int code, fault;
    char tid[TID_LEN + 1];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct note notes[NOTES];
static uint64_t noted;
static int64_t quota_day;
static long quota_used;
static atomic_long in_flight, in_flight_most;

int api_route(const char *path, enum generation *gen, enum operation *op)
{
    static const char *const prefix[] = {
        [GEN_OPEN] = "/online/v1/payment/",
        [GEN_LEGACY] = "/v1/payment/",
    };
    int found;

    for (int g = GEN_OPEN; g <= GEN_LEGACY; g++) {
        size_t len = strlen(prefix[g]);

        if (strncmp(path, prefix[g], len) != 0)
            continue;
        found = name_find(operation_names, OP_COUNT, path + len);
        if (found < 0)
            return -1;
        *gen = (enum generation)g;
        *op = (enum operation)found;
        return 0;
    }
    return -1;
}

static bool key_is(const char *authorization, const char *scheme,
                   const char *key)
{
    size_t len = strlen(scheme), n = strlen(key);

    return n > 0 && strncmp(authorization, scheme, len) == 0 &&
           strlen(authorization) == len + n &&
           speedy_equal(authorization + len, key, n);
}

/* 0 and c->key, or an error code. */
static int authorize(struct api_call *c, const char *authorization)
{
    if (authorization == NULL || authorization[0] == '\0')
        return c->gen == GEN_OPEN ? -400 : -401;
    if (c->gen == GEN_LEGACY) {
        c->key = 2;
        return key_is(authorization, "KakaoAK ", merchant.admin_key) ? 0 : -401;
    }
    c->key = 0;
    if (key_is(authorization, "SECRET_KEY ", merchant.secret_key))
        return 0;
    c->key = 1;
    if (key_is(authorization, "SECRET_KEY ", merchant.dev_key) ||
        key_is(authorization, "DEV_SECRET_KEY ", merchant.dev_key))
        return 0;
    return -401;
}

static bool over_quota(void)
{
    int64_t day = (clock_now() + KST_MS) / DAY_MS;
    bool over;

    pthread_mutex_lock(&lock);
    if (day != quota_day)
        quota_used = 0;
    quota_day = day;
    over = settings.quota > 0 && quota_used >= settings.quota;
    quota_used += !over;
    pthread_mutex_unlock(&lock);
    return over;
}

static int gate(struct api_call *c, const char *authorization)
{
    int code = authorize(c, authorization);

    if (settings.maintenance)
        return -503;
    if (code != 0)
        return code;
    if (!settings.enabled)
        return -403;
    return over_quota() ? -429 : 0;
}

static const char *gate_message(int code)
{
    switch (code) {
    case -400:
        return "Authorization header is missing";
    case -401:
        return "wrong key";
    case -403:
        return "online payment is not enabled for this application";
    case -429:
        return "over the quota of the day";
    default:
        return "service is under maintenance";
    }
}

/* The CID is one of ours and its secret, when it has one, is right. */
static int cid_check(const struct params *f)
{
    const char *cid = param_text(f, "cid");
    const char *secret = param_text(f, "cid_secret");

    for (size_t i = 0; i < merchant.cids; i++) {
        if (strcmp(merchant.cid[i], cid) != 0)
            continue;
        return strcmp(merchant.cid_secret[i], secret != NULL ? secret : "") == 0
                   ? 0
                   : -733;
    }
    return -731;
}

static bool type_is_right(const struct api_call *c, const char *content_type)
{
    const char *want = c->gen == GEN_OPEN ? "application/json"
                                          : "application/x-www-form-urlencoded";
    size_t len = strlen(want);

    return content_type != NULL && strncasecmp(content_type, want, len) == 0 &&
           (content_type[len] == '\0' || content_type[len] == ';');
}

/* 0, or -1 and the answer is written. */
static int read_request(struct api_call *c, const char *content_type,
                        const char *body, size_t len)
{
    int code;

    if (!type_is_right(c, content_type)) {
        reply_error(&c->reply, -2, "invalid param(Content-Type is wrong)", NULL,
                    NULL);
        return -1;
    }
    if (params_read(&c->params, c->gen, c->op, body, len) != 0) {
        reply_error(&c->reply, -2, c->params.wrong, NULL, NULL);
        return -1;
    }
    code = cid_check(&c->params);
    if (code != 0) {
        reply_error(&c->reply, code,
                    code == -731 ? "cid is wrong" : "cid_secret is wrong", NULL,
                    NULL);
        return -1;
    }
    if (c->op != OP_READY)
        snprintf(c->tid, sizeof(c->tid), "%s", param_text(&c->params, "tid"));
    return 0;
}

/* Lock held. The payment is there, ours and free: 0, or an error code. */
static int claim(struct api_call *c)
{
    struct payment *p = ledger_by_tid(c->tid);

    if (p == NULL)
        return -721;
    p->calls[c->op]++;
    if (p->key != c->key)
        return -730;
    if (strcmp(p->cid, param_text(&c->params, "cid")) != 0)
        return -731;
    if (c->op == OP_ORDER)
        return 0;
    if (p->busy)
        return -785;
    p->busy = c->claimed = true;
    return 0;
}

static const char *claim_message(int code)
{
    switch (code) {
    case -721:
        return "tid does not exist";
    case -730:
        return "application is another one";
    case -731:
        return "cid is wrong";
    default:
        return "the same request is being processed";
    }
}

static void settle(struct api_call *c)
{
    struct payment *p;
    uint64_t record;

    ledger_lock();
    p = ledger_by_tid(c->tid);
    if (c->op == OP_READY) {
        ready_do(c);
        p = ledger_by_tid(c->tid);
    } else if (p == NULL) {
        reply_error(&c->reply, -721, claim_message(-721), NULL, NULL);
    } else if (c->op == OP_APPROVE) {
        approve_do(c, p);
    } else if (c->op == OP_CANCEL) {
        cancel_do(c, p);
    } else {
        order_do(c, p);
    }
    record = p != NULL ? p->record : 0;
    ledger_unlock();
    journal_sync(record);
    c->settled = true;
}

static void unclaim(struct api_call *c)
{
    struct payment *p;

    if (!c->claimed)
        return;
    ledger_lock();
    p = ledger_by_tid(c->tid);
    if (p != NULL)
        p->busy = false;
    ledger_unlock();
    c->claimed = false;
}

/* What the fault says instead of the truth. */
static void answer_shape(struct api_call *c)
{
    struct fault *f = &c->fault;
    struct reply *r = &c->reply;

    if (f->answer == ANSWER_REFUSE) {
        reply_error(r, f->code, "ordered by a test", f->extra_code,
                    f->extra_message);
        if (f->status != 0)
            r->http = f->status;
    } else if (f->answer == ANSWER_STATUS) {
        r->http = f->status;
        r->out.len = 0;
        speedy_buf_printf(&r->out, "%s",
                          f->body != NULL ? f->body : "<html>error</html>");
    } else if (f->late_ms > 0 && r->out.len == 0) {
        reply_error(r, -500, "internal error", NULL, NULL);
    }
}

static void call_run(struct api_call *c)
{
    const char *order = param_text(&c->params, "partner_order_id");
    struct payment *p;
    int code = 0;

    ledger_lock();
    p = ledger_by_tid(c->tid);
    order = order != NULL ? order : p != NULL ? p->order_id : "";
    fault_take(c->op, c->tid, order, &c->fault);
    if (c->op != OP_READY)
        code = claim(c);
    ledger_unlock();
    c->reply.fault = &c->fault;

    speedy_pause(settings.response_ms + c->fault.before_ms);
    if (code != 0)
        reply_error(&c->reply, code, claim_message(code), NULL, NULL);
    else if (c->fault.effect && c->fault.late_ms == 0)
        settle(c);
    if (code != 0 || c->fault.late_ms == 0 || !c->fault.effect)
        unclaim(c);
    answer_shape(c);
    speedy_pause(c->fault.after_ms);
}

static void note_add(const struct api_call *c, int64_t began)
{
    struct note *n;

    pthread_mutex_lock(&lock);
    n = &notes[noted++ % NOTES];
    *n = (struct note){.at = clock_now(),
                       .ms = speedy_now_boot() - began,
                       .op = c->op,
                       .gen = c->gen,
                       .code = c->reply.code,
                       .fault = c->fault.id};
    memcpy(n->tid, c->tid, sizeof(n->tid));
    pthread_mutex_unlock(&lock);
}

void api_call(struct api_call *c, const char *authorization,
              const char *content_type, const char *body, size_t len)
{
    int64_t began = speedy_now_boot();
    long now = atomic_fetch_add(&in_flight, 1) + 1;
    long most = atomic_load(&in_flight_most);
    int code;

    while (now > most &&
           !atomic_compare_exchange_weak(&in_flight_most, &most, now))
        ;
    c->reply.http = 200;
    c->arrived = clock_now();
    c->reply.gen = c->gen;
    c->fault.effect = true;
    code = gate(c, authorization);
    if (code != 0)
        reply_error(&c->reply, code, gate_message(code), NULL, NULL);
    else if (read_request(c, content_type, body, len) == 0)
        call_run(c);
    atomic_fetch_sub(&in_flight, 1);
    note_add(c, began);
}

void api_finish(struct api_call *c)
{
    if (c->claimed || (c->fault.late_ms > 0 && c->fault.effect && !c->settled &&
                       c->op == OP_READY)) {
        c->reply.out.len = 0;
        if (!speedy_pause(c->fault.late_ms))
            settle(c);
        unclaim(c);
    }
    params_free(&c->params);
    fault_free(&c->fault);
    speedy_buf_free(&c->reply.out);
    free(c);
}

void api_calls_write(struct speedy_buf *b, const char *tid)
{
    bool comma = false;

    pthread_mutex_lock(&lock);
    speedy_buf_printf(b, "[");
    for (uint64_t i = noted > NOTES ? noted - NOTES : 0; i < noted; i++) {
        const struct note *n = &notes[i % NOTES];

        if (tid != NULL && strcmp(tid, n->tid) != 0)
            continue;
        speedy_buf_printf(
            b,
            "%s{\"at\":%" PRId64 ",\"operation\":\"%s\",\"api\":\"%s\","
            "\"tid\":\"%s\",\"code\":%d,\"ms\":%" PRId64 ",\"fault\":%d}",
            comma ? "," : "", n->at, operation_names[n->op],
            n->gen == GEN_OPEN ? "open" : "legacy", n->tid, n->code, n->ms,
            n->fault);
        comma = true;
    }
    speedy_buf_printf(b, "]\n");
    pthread_mutex_unlock(&lock);
}

void api_numbers_write(struct speedy_buf *b)
{
    pthread_mutex_lock(&lock);
    speedy_buf_printf(b,
                      "\"calls\":%" PRIu64 ",\"in_flight\":%ld,"
                      "\"in_flight_most\":%ld",
                      noted, atomic_load(&in_flight),
                      atomic_load(&in_flight_most));
    pthread_mutex_unlock(&lock);
}
