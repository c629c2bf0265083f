/*
 * The JSON of answers. Every field passes through here by its name (that of a
 * nested one as amount.total), so that a fault can make any of them untrue or
 * leave it out. Errors have the names of their generation.
 */
#include "sandbox.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define KST_SECONDS 32400

int http_of_code(int code)
{
    switch (code) {
    case -400:
    case -401:
    case -403:
    case -404:
    case -429:
    case -500:
    case -503:
        return -code;
    case -780:
    case -781:
    case -782:
        return settings.failed_status;
    default:
        return 400;
    }
}

void reply_error(struct reply *r, int code, const char *message,
                 const char *extra_code, const char *extra_message)
{
    bool open_api = r->gen == GEN_OPEN;

    r->http = http_of_code(code);
    r->code = code;
    r->out.len = 0;
    speedy_buf_printf(&r->out,
                      "{\"%s\":%d,\"%s\":", open_api ? "error_code" : "code",
                      code, open_api ? "error_message" : "msg");
    speedy_buf_json(&r->out, message);
    if (extra_code != NULL && extra_code[0] != '\0') {
        speedy_buf_printf(&r->out, ",\"extras\":{\"method_result_code\":");
        speedy_buf_json(&r->out, extra_code);
        speedy_buf_printf(&r->out, ",\"method_result_message\":");
        speedy_buf_json(&r->out, extra_message != NULL ? extra_message : "");
        speedy_buf_add(&r->out, "}", 1);
    }
    speedy_buf_add(&r->out, "}", 1);
}

static void comma(struct reply *r)
{
    if (r->comma)
        speedy_buf_add(&r->out, ",", 1);
    r->comma = true;
}

/* Writes the name; false when the field is left out, or its lie is written. */
static bool name_write(struct reply *r, const char *in, const char *name,
                       bool *lie)
{
    char full[64];

    snprintf(full, sizeof(full), "%s%s%s", in, in[0] != '\0' ? "." : "", name);
    *lie = false;
    if (r->fault != NULL && strcmp(r->fault->missing, full) == 0)
        return false;
    comma(r);
    speedy_buf_printf(&r->out, "\"%s\":", name);
    if (r->fault == NULL || strcmp(r->fault->wrong, full) != 0)
        return true;
    *lie = true;
    if (r->fault->value == NULL)
        return true;
    speedy_buf_printf(&r->out, "%s", r->fault->value);
    return false;
}

void reply_begin(struct reply *r, const char *name)
{
    if (name != NULL) {
        comma(r);
        speedy_buf_printf(&r->out, "\"%s\":", name);
    }
    speedy_buf_add(&r->out, "{", 1);
    r->comma = false;
}

void reply_end(struct reply *r)
{
    speedy_buf_add(&r->out, "}", 1);
    r->comma = true;
}

/* A text that differs, and is no shorter: as if it were somebody else's. */
static void text_lie(struct reply *r, const char *text)
{
    char other[512];
    size_t len = strlen(text);

    snprintf(other, sizeof(other), "%s%s", text, len == 0 ? "x" : "");
    len = strlen(other);
    other[len - 1] = other[len - 1] == '0' ? '1' : '0';
    speedy_buf_json(&r->out, other);
}

void reply_text(struct reply *r, const char *in, const char *name,
                const char *text)
{
    bool lie;

    if (text == NULL || !name_write(r, in, name, &lie))
        return;
    if (lie)
        text_lie(r, text);
    else
        speedy_buf_json(&r->out, text);
}

void reply_int(struct reply *r, const char *in, const char *name, int64_t n)
{
    bool lie;

    if (name_write(r, in, name, &lie))
        speedy_buf_printf(&r->out, "%" PRId64, lie ? n + 1 : n);
}

void reply_time(struct reply *r, const char *in, const char *name, int64_t ms)
{
    time_t seconds = (time_t)(ms / 1000) + KST_SECONDS;
    struct tm t;
    char text[32];

    if (ms == 0)
        return;
    gmtime_r(&seconds, &t);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &t);
    reply_text(r, in, name, text);
}

void reply_amount(struct reply *r, const char *name, const struct amount *a)
{
    if (r->fault != NULL && strcmp(r->fault->missing, name) == 0)
        return;
    reply_begin(r, name);
    reply_int(r, name, "total", a->total);
    reply_int(r, name, "tax_free", a->tax_free);
    reply_int(r, name, "vat", a->vat);
    reply_int(r, name, "point", a->point);
    reply_int(r, name, "discount", a->discount);
    reply_int(r, name, "green_deposit", a->green_deposit);
    reply_end(r);
}

void reply_head(struct reply *r, const struct payment *p)
{
    reply_text(r, "", "tid", p->tid);
    reply_text(r, "", "cid", p->cid);
    reply_text(r, "", "partner_order_id", p->order_id);
    reply_text(r, "", "partner_user_id", p->user_id);
    if (p->method != METHOD_NONE)
        reply_text(r, "", "payment_method_type", method_names[p->method]);
}

void reply_goods(struct reply *r, const struct payment *p)
{
    reply_text(r, "", "item_name", p->item_name);
    reply_text(r, "", "item_code", p->item_code);
    reply_int(r, "", "quantity", p->quantity);
    reply_time(r, "", "created_at", p->created_at);
    reply_time(r, "", "approved_at", p->approved_at);
    reply_time(r, "", "canceled_at", p->canceled_at);
}
