/*
 * A payment's whole state as one line of JSON. The journal holds a line for
 * each change; the last one of a tid counts.
 */
#include "sandbox.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES (4u << 20)

static void amount_write(struct speedy_buf *b, const char *name,
                         const struct amount *a)
{
    speedy_buf_printf(b,
                      ",\"%s\":[%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64
                      ",%" PRId64 ",%" PRId64 "]",
                      name, a->total, a->tax_free, a->vat, a->point,
                      a->discount, a->green_deposit);
}

static void text_write(struct speedy_buf *b, const char *name, const char *text)
{
    if (text == NULL)
        return;
    speedy_buf_printf(b, ",\"%s\":", name);
    speedy_buf_json(b, text);
}

static void int_write(struct speedy_buf *b, const char *name, int64_t n)
{
    speedy_buf_printf(b, ",\"%s\":%" PRId64, name, n);
}

static void actions_write(struct speedy_buf *b, const struct payment *p)
{
    speedy_buf_printf(b, ",\"actions\":[");
    for (size_t i = 0; i < p->actions; i++) {
        const struct action *a = &p->action[i];

        speedy_buf_printf(b, "%s{\"aid\":\"%s\",\"cancel\":%s",
                          i > 0 ? "," : "", a->aid,
                          a->cancel ? "true" : "false");
        int_write(b, "at", a->at);
        amount_write(b, "amount", &a->amount);
        text_write(b, "payload", a->payload);
        speedy_buf_add(b, "}", 1);
    }
    speedy_buf_add(b, "]", 1);
}

void snapshot_write(struct speedy_buf *b, const struct payment *p)
{
    speedy_buf_printf(b, "{\"tid\":\"%s\",\"page\":\"%s\"", p->tid, p->page);
    text_write(b, "pg_token", p->pg_token);
    text_write(b, "cid", p->cid);
    text_write(b, "order_id", p->order_id);
    text_write(b, "user_id", p->user_id);
    text_write(b, "item_name", p->item_name);
    text_write(b, "item_code", p->item_code);
    text_write(b, "approval_url", p->approval_url);
    text_write(b, "cancel_url", p->cancel_url);
    text_write(b, "fail_url", p->fail_url);
    int_write(b, "gen", p->gen);
    int_write(b, "key", p->key);
    int_write(b, "quantity", p->quantity);
    int_write(b, "created_at", p->created_at);
    int_write(b, "approved_at", p->approved_at);
    int_write(b, "canceled_at", p->canceled_at);
    int_write(b, "status", p->status);
    int_write(b, "wanted", p->wanted);
    int_write(b, "method", p->method);
    int_write(b, "install_month", p->install_month);
    int_write(b, "no_partial", p->no_partial);
    int_write(b, "refusal", p->refusal.code);
    text_write(b, "extra_code", p->refusal.extra_code);
    text_write(b, "extra_message", p->refusal.extra_message);
    amount_write(b, "amount", &p->amount);
    amount_write(b, "canceled", &p->canceled);
    actions_write(b, p);
    speedy_buf_printf(b, ",\"calls\":[");
    for (int i = 0; i < OP_COUNT; i++)
        speedy_buf_printf(b, "%s%" PRId64, i > 0 ? "," : "", p->calls[i]);
    speedy_buf_printf(b, "]}\n");
}

static int64_t number(const struct speedy_json *v)
{
    int64_t n = 0;

    speedy_json_int(v, INT64_MIN, INT64_MAX, &n);
    return n;
}

static int64_t int_read(const struct speedy_json *o, const char *name)
{
    return number(speedy_json_get(o, name));
}

static char *text_read(const struct speedy_json *o, const char *name)
{
    const char *text = speedy_json_text(speedy_json_get(o, name));

    return text != NULL ? strdup(text) : NULL;
}

static void fixed_read(const struct speedy_json *o, const char *name, char *out,
                       size_t size)
{
    const char *text = speedy_json_text(speedy_json_get(o, name));
    size_t len = text != NULL ? strlen(text) : 0;

    len = len < size ? len : size - 1;
    if (len > 0)
        memcpy(out, text, len);
    out[len] = '\0';
}

static struct amount amount_read(const struct speedy_json *o, const char *name)
{
    const struct speedy_json *v = speedy_json_get(o, name);

    return (struct amount){
        .total = number(speedy_json_at(v, 0)),
        .tax_free = number(speedy_json_at(v, 1)),
        .vat = number(speedy_json_at(v, 2)),
        .point = number(speedy_json_at(v, 3)),
        .discount = number(speedy_json_at(v, 4)),
        .green_deposit = number(speedy_json_at(v, 5)),
    };
}

static void changing_read(struct payment *p, const struct speedy_json *o)
{
    const struct speedy_json *list = speedy_json_get(o, "actions");
    const struct speedy_json *calls = speedy_json_get(o, "calls");

    fixed_read(o, "pg_token", p->pg_token, sizeof(p->pg_token));
    p->approved_at = int_read(o, "approved_at");
    p->canceled_at = int_read(o, "canceled_at");
    p->status = (enum status)int_read(o, "status");
    p->method = (enum method)int_read(o, "method");
    p->no_partial = int_read(o, "no_partial") != 0;
    p->refusal.code = (int)int_read(o, "refusal");
    fixed_read(o, "extra_code", p->refusal.extra_code,
               sizeof(p->refusal.extra_code));
    fixed_read(o, "extra_message", p->refusal.extra_message,
               sizeof(p->refusal.extra_message));
    p->amount = amount_read(o, "amount");
    p->canceled = amount_read(o, "canceled");
    for (size_t i = p->actions; i < speedy_json_count(list); i++) {
        const struct speedy_json *v = speedy_json_at(list, i);
        struct amount a = amount_read(v, "amount");
        struct action *at = ledger_action(
            p, speedy_json_bool(speedy_json_get(v, "cancel"), false), &a,
            speedy_json_text(speedy_json_get(v, "payload")));

        at->at = int_read(v, "at");
        fixed_read(v, "aid", at->aid, sizeof(at->aid));
    }
    for (int i = 0; i < OP_COUNT; i++)
        p->calls[i] = number(speedy_json_at(calls, (size_t)i));
}

static struct payment *fixed_part_read(const struct speedy_json *o)
{
    struct payment *p = ledger_new();

    fixed_read(o, "tid", p->tid, sizeof(p->tid));
    fixed_read(o, "page", p->page, sizeof(p->page));
    fixed_read(o, "cid", p->cid, sizeof(p->cid));
    p->order_id = text_read(o, "order_id");
    p->user_id = text_read(o, "user_id");
    p->item_name = text_read(o, "item_name");
    p->item_code = text_read(o, "item_code");
    p->approval_url = text_read(o, "approval_url");
    p->cancel_url = text_read(o, "cancel_url");
    p->fail_url = text_read(o, "fail_url");
    p->gen = (enum generation)int_read(o, "gen");
    p->key = (int)int_read(o, "key");
    p->quantity = int_read(o, "quantity");
    p->created_at = int_read(o, "created_at");
    p->wanted = (enum method)int_read(o, "wanted");
    p->install_month = (int)int_read(o, "install_month");
    ledger_add(p);
    return p;
}

int snapshot_read(const char *line, size_t len)
{
    enum speedy_json_error error;
    struct speedy_json *o =
        speedy_json_parse(line, len, LINE_MAX_BYTES, 8, &error);
    const char *tid = speedy_json_text(speedy_json_get(o, "tid")), *why;
    const struct speedy_json *s = speedy_json_get(o, "settings");
    struct payment *p;
    int rc = o != NULL ? 0 : -1;

    if (tid != NULL) {
        p = ledger_by_tid(tid);
        changing_read(p != NULL ? p : fixed_part_read(o), o);
    } else if (s != NULL) {
        clock_offset_set(int_read(o, "clock_offset"));
        rc = settings_read(s, &why);
    }
    speedy_json_free(o);
    return rc;
}
