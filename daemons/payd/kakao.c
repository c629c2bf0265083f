/*
 * Requests. The two generations differ in path and encoding; fields are the
 * same. Numbers are sent as numbers.
 */
#include "kakao.h"

#include <stdio.h>
#include <string.h>

static const char *const kinds[] = {"ready", "approve", "inquiry", "cancel"};

const char *payd_kind_name(enum payd_kind kind)
{
    return kinds[kind];
}

const char *payd_kakao_path(const struct payd_ask *ask)
{
    static const char *const open_api[] = {
        "/online/v1/payment/ready", "/online/v1/payment/approve",
        "/online/v1/payment/order", "/online/v1/payment/cancel"};
    static const char *const legacy[] = {
        "/v1/payment/ready", "/v1/payment/approve", "/v1/payment/order",
        "/v1/payment/cancel"};

    return ask->legacy ? legacy[ask->kind] : open_api[ask->kind];
}

/* A form or an object under way. */
struct writer {
    struct speedy_buf *out;
    bool form;
    int count;
};

static void form_value(struct speedy_buf *out, const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        unsigned char b = (unsigned char)*c;

        if ((b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') ||
            (b >= '0' && b <= '9') || strchr("-._~", b) != NULL)
            speedy_buf_add(out, c, 1);
        else
            speedy_buf_printf(out, "%%%02X", b);
    }
}

static void name(struct writer *w, const char *field)
{
    if (w->form)
        speedy_buf_printf(w->out, "%s%s=", w->count++ > 0 ? "&" : "", field);
    else
        speedy_buf_printf(w->out, "%s\"%s\":", w->count++ > 0 ? "," : "{",
                          field);
}

static void text(struct writer *w, const char *field, const char *value)
{
    name(w, field);
    if (w->form)
        form_value(w->out, value);
    else
        speedy_buf_json(w->out, value);
}

static void number(struct writer *w, const char *field, int64_t value)
{
    name(w, field);
    speedy_buf_printf(w->out, "%lld", (long long)value);
}

static void address(struct writer *w, const char *field, const char *callback,
                    const char *what)
{
    char url[256];

    snprintf(url, sizeof(url), "%s/%s", callback, what);
    text(w, field, url);
}

static void ready(struct writer *w, const struct payd_ask *ask)
{
    const struct payd_payment *p = ask->p;

    text(w, "partner_order_id", p->order_text);
    text(w, "partner_user_id", p->user);
    text(w, "item_name", ask->item);
    number(w, "quantity", p->quantity);
    number(w, "total_amount", p->total);
    number(w, "tax_free_amount", p->tax_free);
    number(w, "vat_amount", p->vat);
    address(w, "approval_url", ask->callback, "approve");
    address(w, "cancel_url", ask->callback, "cancel");
    address(w, "fail_url", ask->callback, "fail");
}

void payd_kakao_write(const struct payd_ask *ask, struct speedy_buf *out)
{
    struct writer w = {out, ask->legacy, 0};
    const struct payd_payment *p = ask->p;

    text(&w, "cid", p->cid);
    if (ask->kind == PAYD_READY) {
        ready(&w, ask);
    } else {
        text(&w, "tid", p->tid);
    }
    if (ask->kind == PAYD_APPROVE) {
        text(&w, "partner_order_id", p->order_text);
        text(&w, "partner_user_id", p->user);
        text(&w, "pg_token", ask->pg_token);
        number(&w, "total_amount", p->total);
    }
    if (ask->kind == PAYD_CANCEL) {
        number(&w, "cancel_amount", ask->amount);
        number(&w, "cancel_tax_free_amount", ask->tax_free);
        number(&w, "cancel_vat_amount", ask->vat);
        number(&w, "cancel_available_amount", ask->available);
    }
    if (!ask->legacy)
        speedy_buf_printf(out, "}");
}

int64_t payd_vat(int64_t total, int64_t tax_free)
{
    return (2 * (total - tax_free) + 11) / 22;
}
