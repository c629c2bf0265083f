/*
 * Rows to JSON. A cursor is an order's id in base64url: it only ever narrows
 * a list of the caller's own orders, so it needs no signature, but it must be
 * well formed.
 */
#include "order.h"

#include <string.h>

#include "../common/crypto.h"

#define COLUMNS 14

static int take(const struct speedy_db_value *v, char *out, size_t size)
{
    if (v->kind != SPEEDY_DB_BYTES || v->len >= size)
        return -1;
    memcpy(out, v->bytes, v->len);
    out[v->len] = '\0';
    return 0;
}

static int take_raw(const struct speedy_db_value *v, unsigned char *out)
{
    if (v->kind != SPEEDY_DB_BYTES || v->len != 16)
        return -1;
    memcpy(out, v->bytes, 16);
    return 0;
}

int orderd_order_take(struct orderd_order *o, const struct speedy_db_value *col,
                      size_t cols)
{
    int64_t *numbers[] = {&o->quantity,    &o->price,  &o->seq,
                          &o->reserved_at, &o->pay_by, &o->created_at,
                          &o->updated_at};
    int bad = 0;

    memset(o, 0, sizeof(*o));
    if (cols != COLUMNS)
        return -1;
    bad |= take_raw(&col[0], o->id);
    bad |= take(&col[1], o->sale, sizeof(o->sale));
    bad |= take(&col[2], o->variant, sizeof(o->variant));
    bad |= take(&col[3], o->user, sizeof(o->user));
    bad |= take(&col[4], o->state, sizeof(o->state));
    bad |= take(&col[5], o->reason, sizeof(o->reason));
    bad |= take_raw(&col[6], o->body_digest);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        bad |= col[7 + i].kind != SPEEDY_DB_INT;
        *numbers[i] = col[7 + i].number;
    }
    return bad ? -1 : 0;
}

static void member_time(struct speedy_buf *out, const char *name, int64_t ms)
{
    speedy_buf_printf(out, ",\"%s\":", name);
    speedy_buf_time(out, ms, ORDERD_OFFSET_MIN);
}

void orderd_order_write(struct speedy_buf *out, const struct orderd_order *o)
{
    char id[37];

    speedy_uuid_text(o->id, id);
    speedy_buf_printf(
        out,
        "\"order_id\":\"%s\",\"state\":\"%s\",\"sale_id\":\"%s\","
        "\"variant\":\"%s\",\"quantity\":%lld,\"unit_price\":%lld,"
        "\"amount\":%lld,\"currency\":\"" SPEEDY_CURRENCY "\",\"seq\":%lld",
        id, o->state, o->sale, o->variant, (long long)o->quantity,
        (long long)o->price, (long long)(o->quantity * o->price),
        (long long)o->seq);
    if (o->reason[0] != '\0')
        speedy_buf_printf(out, ",\"reason\":\"%s\"", o->reason);
    member_time(out, "reserved_at", o->reserved_at);
    member_time(out, "pay_by", o->pay_by);
    if (o->created_at == 0)
        return;
    member_time(out, "created_at", o->created_at);
    member_time(out, "updated_at", o->updated_at);
}

void orderd_cursor_text(const unsigned char id[16], char *out)
{
    speedy_base64url(id, 16, out);
}

int orderd_cursor_parse(const char *text, unsigned char id[16])
{
    size_t len = strlen(text);

    if (len != 22 || speedy_unbase64url(text, len, id, 16) != 16)
        return -1;
    return (id[6] >> 4) == 7 && (id[8] >> 6) == 2 ? 0 : -1;
}
