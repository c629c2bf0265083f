/*
 * Replies. Members that we do not know are passed over; those that we compare
 * must be there, of the right type, and equal. An error code decides by
 * itself, whatever the HTTP status: older copies of the documentation answer
 * 500 where newer ones answer 400.
 */
#include <stdio.h>
#include <string.h>

#include "calls.h"
#include "kakao.h"

#define DEPTH_MOST 8
#define AMOUNT_MOST (INT64_C(1) << 50)

const char *payd_outcome_name(enum payd_outcome outcome)
{
    static const char *const names[] = {"done",      "refused", "unknown",
                                        "mismatch",  "pending", "failed",
                                        "cancelled", "partly",  "no_tid"};

    return names[outcome];
}

/* Printable ASCII without quotes, of at most size - 1 bytes. 0 or -1. */
static int take(const struct speedy_json *v, char *out, size_t size)
{
    const char *text = speedy_json_text(v);
    size_t len = text == NULL ? 0 : strlen(text);

    if (len == 0 || len >= size)
        return -1;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < 0x21 || text[i] > 0x7e || strchr("\"'<>\\", text[i]))
            return -1;
    }
    memcpy(out, text, len + 1);
    return 0;
}

static void detail(struct payd_reply *out, const char *text)
{
    size_t n = 0;

    for (; text != NULL && *text != '\0' && n < sizeof(out->detail) - 1; text++)
        out->detail[n++] = *text > 0x20 && *text < 0x7f ? *text : '_';
    out->detail[n] = '\0';
}

/* --- errors --- */

/* What an approve that ended so has certainly not done, and never will. */
static bool approve_refused(int code, const char *why)
{
    if (code == -780)
        return why != NULL && strcmp(why, "USER_LOCKED") == 0;
    return code == -701 || (code <= -703 && code >= -708) || code == -721 ||
           (code <= -722 && code >= -726) || (code <= -730 && code >= -733) ||
           code == -761 || (code <= -797 && code >= -799) || code == -400 ||
           code == -401 || code == -403 || code == -404 || code == -429;
}

static enum payd_outcome error_judge(const struct payd_ask *ask, int code,
                                     const char *why)
{
    switch (ask->kind) {
    case PAYD_READY:
        return code == -500 || code == -503 ? PAYD_UNKNOWN : PAYD_REFUSED;
    case PAYD_APPROVE:
        return approve_refused(code, why) ? PAYD_REFUSED : PAYD_UNKNOWN;
    case PAYD_INQUIRY:
        return code == -721 ? PAYD_NO_TID : PAYD_UNKNOWN;
    default:
        if (code == -500 || code == -503 || code == -785 || code == -429 ||
            code == -781)
            return PAYD_UNKNOWN;
        return PAYD_REFUSED;
    }
}

/* 1 when the reply is an error, with its outcome set. */
static int error_take(const struct payd_ask *ask, const struct speedy_json *o,
                      struct payd_reply *out)
{
    const struct speedy_json *code =
        speedy_json_get(o, ask->legacy ? "code" : "error_code");
    const struct speedy_json *extras = speedy_json_get(o, "extras");
    const char *why =
        speedy_json_text(speedy_json_get(extras, "method_result_code"));
    int64_t n;

    if (code == NULL || speedy_json_int(code, -99999, 99999, &n) != 0)
        return 0;
    out->error_code = (int)n;
    detail(out, why);
    out->outcome = error_judge(ask, (int)n, why);
    return 1;
}

/* --- what must agree --- */

struct compare {
    const struct speedy_json *o;
    struct payd_reply *out;
    bool missing, differs;
};

static void differs(struct compare *c, const char *field)
{
    if (!c->differs)
        detail(c->out, field);
    c->differs = true;
}

static void same_text(struct compare *c, const char *field, const char *want)
{
    const struct speedy_json *v = speedy_json_get(c->o, field);
    const char *text = speedy_json_text(v);

    if (v == NULL)
        c->missing = true;
    else if (text == NULL || strcmp(text, want) != 0)
        differs(c, field);
}

static void same_number(struct compare *c, const struct speedy_json *o,
                        const char *field, int64_t want, bool must)
{
    const struct speedy_json *v = speedy_json_get(o, field);
    int64_t n;

    if (v == NULL)
        c->missing |= must;
    else if (speedy_json_int(v, 0, AMOUNT_MOST, &n) != 0 || n != want)
        differs(c, field);
}

static void same_names(struct compare *c, const struct payd_payment *p)
{
    same_text(c, "tid", p->tid);
    same_text(c, "cid", p->cid);
    same_text(c, "partner_order_id", p->order_text);
    same_text(c, "partner_user_id", p->user);
}

static void same_amount(struct compare *c, const struct payd_payment *p)
{
    const struct speedy_json *amount = speedy_json_get(c->o, "amount");

    same_number(c, amount, "total", p->total, true);
    same_number(c, amount, "tax_free", p->tax_free, true);
    same_number(c, amount, "vat", p->vat, false);
    same_number(c, c->o, "quantity", p->quantity, false);
}

static int64_t amount_of(const struct speedy_json *o, const char *field)
{
    int64_t n;

    if (speedy_json_int(speedy_json_get(speedy_json_get(o, field), "total"), 0,
                        AMOUNT_MOST, &n) != 0)
        return -1;
    return n;
}

static enum payd_outcome agreed(const struct compare *c)
{
    if (c->differs)
        return PAYD_MISMATCH;
    return c->missing ? PAYD_UNKNOWN : PAYD_DONE;
}

/* --- ready --- */

static bool host_allowed(const char *host, size_t len)
{
    static const char *const ours[] = {"kakaopay.com", "kakao.com"};

    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(ours[i]);

        if (len >= n && memcmp(host + len - n, ours[i], n) == 0 &&
            (len == n || host[len - n - 1] == '.'))
            return true;
    }
    return false;
}

static bool url_allowed(const char *url, const char *stand_in)
{
    size_t n = stand_in == NULL ? 0 : strlen(stand_in);
    const char *host = url + 8;

    if (n > 0 && strncmp(url, stand_in, n) == 0 && url[n] == '/')
        return true;
    if (strncmp(url, "https://", 8) != 0)
        return false;
    /* no port, no user: what stands before an @ is no host */
    n = strcspn(host, "/?#:@\\");
    return host[n] == '/' && host_allowed(host, n);
}

static void ready(const struct payd_ask *ask, const struct speedy_json *o,
                  const char *stand_in, struct payd_reply *out)
{
    (void)ask;
    if (take(speedy_json_get(o, "tid"), out->tid, sizeof(out->tid)) != 0 ||
        take(speedy_json_get(o, "next_redirect_pc_url"), out->pc,
             sizeof(out->pc)) != 0 ||
        take(speedy_json_get(o, "next_redirect_mobile_url"), out->mobile,
             sizeof(out->mobile)) != 0 ||
        take(speedy_json_get(o, "next_redirect_app_url"), out->app,
             sizeof(out->app)) != 0)
        return;
    if (!url_allowed(out->pc, stand_in) ||
        !url_allowed(out->mobile, stand_in) ||
        !url_allowed(out->app, stand_in)) {
        out->outcome = PAYD_MISMATCH;
        detail(out, "redirect");
        return;
    }
    out->outcome = PAYD_DONE;
}

/* --- approve, inquiry, cancel --- */

static void approve(const struct payd_ask *ask, const struct speedy_json *o,
                    struct payd_reply *out)
{
    struct compare c = {o, out, false, false};

    same_names(&c, ask->p);
    same_amount(&c, ask->p);
    c.missing |=
        take(speedy_json_get(o, "aid"), out->aid, sizeof(out->aid)) != 0;
    out->total = amount_of(o, "amount");
    out->outcome = agreed(&c);
}

/* aid of the last PAYMENT, and its amount. */
static int64_t actions_take(const struct speedy_json *o, struct payd_reply *out)
{
    const struct speedy_json *list =
        speedy_json_get(o, "payment_action_details");
    int64_t amount = -1;

    for (size_t i = 0; i < speedy_json_count(list); i++) {
        const struct speedy_json *a = speedy_json_at(list, i);
        const char *type =
            speedy_json_text(speedy_json_get(a, "payment_action_type"));

        if (type == NULL || strcmp(type, "PAYMENT") != 0)
            continue;
        if (take(speedy_json_get(a, "aid"), out->aid, sizeof(out->aid)) != 0)
            out->aid[0] = '\0';
        if (speedy_json_int(speedy_json_get(a, "amount"), 0, AMOUNT_MOST,
                            &amount) != 0)
            amount = -1;
    }
    return amount;
}

static enum payd_outcome status_judge(const char *status)
{
    static const struct {
        const char *name;
        enum payd_outcome outcome;
    } all[] = {{"READY", PAYD_PENDING},
               {"SEND_TMS", PAYD_PENDING},
               {"OPEN_PAYMENT", PAYD_PENDING},
               {"SELECT_METHOD", PAYD_PENDING},
               {"ARS_WAITING", PAYD_PENDING},
               {"AUTH_PASSWORD", PAYD_PENDING},
               {"SUCCESS_PAYMENT", PAYD_DONE},
               {"PART_CANCEL_PAYMENT", PAYD_PARTLY},
               {"CANCEL_PAYMENT", PAYD_CANCELLED},
               {"FAIL_AUTH_PASSWORD", PAYD_FAILED},
               {"QUIT_PAYMENT", PAYD_FAILED},
               {"FAIL_PAYMENT", PAYD_FAILED}};

    for (size_t i = 0; status != NULL && i < sizeof(all) / sizeof(all[0]);
         i++) {
        if (strcmp(all[i].name, status) == 0)
            return all[i].outcome;
    }
    return PAYD_UNKNOWN;
}

static void inquiry(const struct payd_ask *ask, const struct speedy_json *o,
                    struct payd_reply *out)
{
    const char *status = speedy_json_text(speedy_json_get(o, "status"));
    struct compare c = {o, out, false, false};
    enum payd_outcome says = status_judge(status);
    int64_t paid = actions_take(o, out);

    same_names(&c, ask->p);
    out->outcome = agreed(&c);
    if (out->outcome != PAYD_DONE)
        return;
    out->total = amount_of(o, "amount");
    out->available = amount_of(o, "cancel_available_amount");
    if (says == PAYD_DONE) {
        /* a reply without `amount` was seen: its action says how much */
        if (speedy_json_get(o, "amount") != NULL)
            same_amount(&c, ask->p);
        else if (paid >= 0 && paid != ask->p->total)
            differs(&c, "amount");
        if (out->total < 0)
            out->total = paid;
        c.missing |= out->total < 0 || out->aid[0] == '\0';
        says = agreed(&c);
    }
    if (out->detail[0] == '\0')
        detail(out, status);
    out->outcome = says;
}

static void cancel(const struct payd_ask *ask, const struct speedy_json *o,
                   struct payd_reply *out)
{
    const char *status = speedy_json_text(speedy_json_get(o, "status"));
    struct compare c = {o, out, false, false};
    int64_t left = ask->available - ask->amount;

    same_names(&c, ask->p);
    same_number(&c, speedy_json_get(o, "approved_cancel_amount"), "total",
                ask->amount, true);
    same_number(&c, speedy_json_get(o, "cancel_available_amount"), "total",
                left, true);
    out->available = amount_of(o, "cancel_available_amount");
    if (status == NULL)
        c.missing = true;
    else if (strcmp(status,
                    left == 0 ? "CANCEL_PAYMENT" : "PART_CANCEL_PAYMENT") != 0)
        differs(&c, "status");
    out->outcome = agreed(&c);
}

void payd_kakao_judge(const struct payd_ask *ask, bool whole, long status,
                      const char *body, size_t len, const char *stand_in,
                      struct payd_reply *out)
{
    enum speedy_json_error why;
    struct speedy_json *o;

    memset(out, 0, sizeof(*out));
    out->outcome = PAYD_UNKNOWN;
    out->total = out->available = -1;
    if (!whole || body == NULL)
        return;
    o = speedy_json_parse(body, len, PAYD_REPLY_MOST, DEPTH_MOST, &why);
    if (speedy_json_type(o) != SPEEDY_JSON_OBJECT || error_take(ask, o, out) ||
        status != 200) {
        speedy_json_free(o);
        return;
    }
    if (ask->kind == PAYD_READY)
        ready(ask, o, stand_in, out);
    else if (ask->kind == PAYD_APPROVE)
        approve(ask, o, out);
    else if (ask->kind == PAYD_INQUIRY)
        inquiry(ask, o, out);
    else
        cancel(ask, o, out);
    speedy_json_free(o);
}
