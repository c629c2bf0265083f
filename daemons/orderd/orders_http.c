/*
 * GET /api/v1/orders and /api/v1/orders/{id}, for the owner alone: another's
 * order looks like one that does not exist.
 *
 * An order that MySQL does not know is looked for in the ledgers, and then in
 * MySQL once more: it may have arrived, ended and left the ledger in between.
 */
#include "orders_http.h"

#include <stdlib.h>
#include <string.h>

#include "../common/crypto.h"
#include "../common/stores.h"
#include "../shop/event.h"
#include "lookup.h"
#include "order.h"

#define LIMIT_DEFAULT 20
#define LIMIT_MOST 100

const struct speedy_route orderd_routes[] = {
    {.method = "GET", .path = "/api/v1/orders", .handle = orderd_http_list},
    {.method = "GET", .path = "/api/v1/orders/*", .handle = orderd_http_show},
    {.method = "POST",
     .path = "/internal/replays",
     .handle = orderd_http_replay},
    {0},
};

void orderd_http_unavailable(struct speedy_request *r, const char *title)
{
    speedy_problem_retry(r, 503, "unavailable", title, 1);
}

static void unknown(struct speedy_request *r)
{
    speedy_problem(r, 404, "order_unknown",
                   "No such order. If a purchase gave you this id, send the"
                   " purchase again with the same Idempotency-Key.");
}

/* --- the list --- */

struct page {
    struct speedy_buf *out;
    int limit, count;
    unsigned char last[16];
};

static int on_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct page *page = data;
    struct orderd_order o;

    page->count++;
    if (page->count > page->limit)
        return 1; /* there is a next page */
    if (orderd_order_take(&o, col, cols) != 0)
        return 0;
    speedy_buf_printf(page->out, page->count > 1 ? ",{" : "{");
    orderd_order_write(page->out, &o);
    speedy_buf_printf(page->out, "}");
    memcpy(page->last, o.id, sizeof(page->last));
    return 0;
}

/* 0, or -1 after answering 400. */
static int page_asked(struct speedy_request *r, struct page *page,
                      unsigned char before[16])
{
    static const char *const names[] = {"limit", "cursor", NULL};
    const char *limit = speedy_request_query(r, "limit");
    const char *cursor = speedy_request_query(r, "cursor");
    char *end;

    if (speedy_request_unknown_query(r, names) != NULL) {
        speedy_problem(r, 400, "unknown_parameter",
                       "Only limit and cursor are known here.");
        return -1;
    }
    page->limit = LIMIT_DEFAULT;
    if (limit != NULL) {
        long n = strtol(limit, &end, 10);

        if (*end != '\0' || strspn(limit, "0123456789") != strlen(limit) ||
            n < 1 || n > LIMIT_MOST) {
            speedy_problem(r, 400, "invalid_limit",
                           "limit is a number from 1 to 100.");
            return -1;
        }
        page->limit = (int)n;
    }
    memset(before, 0xff, 16);
    if (cursor != NULL && orderd_cursor_parse(cursor, before) != 0) {
        speedy_problem(r, 400, "invalid_cursor",
                       "cursor is the next_cursor of the page before.");
        return -1;
    }
    return 0;
}

void orderd_http_list(struct speedy_request *r, void *data)
{
    struct page page = {.out = &r->out};
    struct speedy_stores *s;
    unsigned char before[16];
    char cursor[25];
    int rc = SPEEDY_DB_RETRY;

    (void)data;
    if (page_asked(r, &page, before) != 0)
        return;
    s = speedy_stores_take();
    if (s != NULL) {
        speedy_buf_printf(&r->out, "{\"data\":[");
        rc = speedy_db_query(
            s->db,
            "SELECT " ORDERD_ORDER_COLUMNS " FROM orders"
            " WHERE user_id = ? AND id < ? ORDER BY id DESC LIMIT ?",
            DB_ARGS(DB_TEXT(r->user), DB_BYTES(before, sizeof(before)),
                    DB_INT(page.limit + 1)),
            on_row, &page);
        speedy_stores_give(s);
    }
    if (rc != SPEEDY_DB_OK) {
        orderd_http_unavailable(r, "The orders cannot be read now.");
        return;
    }
    r->status = 200;
    if (page.count > page.limit) {
        orderd_cursor_text(page.last, cursor);
        speedy_buf_printf(
            &r->out, "],\"has_more\":true,\"next_cursor\":\"%s\"}\n", cursor);
    } else {
        speedy_buf_printf(&r->out,
                          "],\"has_more\":false,\"next_cursor\":null}\n");
    }
}

/* --- one order --- */

static int on_order(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct orderd_order *o = data;

    if (orderd_order_take(o, col, cols) != 0)
        memset(o, 0, sizeof(*o));
    return 1;
}

/* 1 found, 0 not, < 0 MySQL did not answer. */
static int read_order(struct speedy_db *db, const unsigned char id[16],
                      struct orderd_order *o)
{
    int rc;

    memset(o, 0, sizeof(*o));
    rc = speedy_db_query(
        db, "SELECT " ORDERD_ORDER_COLUMNS " FROM orders WHERE id = ?",
        DB_ARGS(DB_BYTES(id, 16)), on_order, o);
    if (rc != SPEEDY_DB_OK)
        return rc;
    return o->state[0] != '\0';
}

static int on_event(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct speedy_buf *out = data;
    const char *actor = col[3].bytes;

    (void)cols;
    speedy_buf_printf(out, "%s{\"version\":%lld,\"from\":",
                      out->data[out->len - 1] == '[' ? "" : ",",
                      (long long)col[0].number);
    speedy_buf_json(out, col[1].bytes);
    speedy_buf_printf(out, ",\"to\":");
    speedy_buf_json(out, col[2].bytes);
    /* The role only: who of the staff it was is not the shopper's. */
    speedy_buf_printf(out, ",\"actor\":\"%.*s\",\"reason\":",
                      (int)strcspn(actor, ":"), actor);
    speedy_buf_json(out, col[4].bytes);
    speedy_buf_printf(out, ",\"at\":");
    speedy_buf_time(out, col[5].number, ORDERD_OFFSET_MIN);
    speedy_buf_printf(out, "}");
    return 0;
}

static void show(struct speedy_request *r, struct speedy_db *db,
                 const struct orderd_order *o)
{
    int rc;

    speedy_buf_printf(&r->out, "{");
    orderd_order_write(&r->out, o);
    speedy_buf_printf(&r->out, ",\"events\":[");
    rc = speedy_db_query(
        db,
        "SELECT version, from_state, to_state, actor, reason,"
        " CAST(UNIX_TIMESTAMP(at) * 1000 AS SIGNED)"
        " FROM order_events WHERE order_id = ? ORDER BY version",
        DB_ARGS(DB_BYTES(o->id, 16)), on_event, &r->out);
    if (rc != SPEEDY_DB_OK) {
        orderd_http_unavailable(r, "The order cannot be read now.");
        return;
    }
    r->status = 200;
    speedy_buf_printf(&r->out, "]}\n");
}

static void show_found(struct speedy_request *r, const unsigned char id[16],
                       const struct orderd_found *found)
{
    struct orderd_order o = {0};

    memcpy(o.id, id, sizeof(o.id));
    memcpy(o.sale, found->sale, sizeof(o.sale));
    memcpy(o.variant, found->variant, sizeof(o.variant));
    memcpy(o.state, found->state, sizeof(found->state));
    o.quantity = found->quantity;
    o.price = found->price;
    o.seq = found->seq;
    o.reserved_at = found->reserved_at;
    o.pay_by = found->pay_by;
    r->status = 200;
    speedy_buf_printf(&r->out, "{");
    orderd_order_write(&r->out, &o);
    speedy_buf_printf(&r->out, ",\"events\":[]}\n");
}

static void find(struct speedy_request *r, struct speedy_stores *s,
                 const unsigned char id[16])
{
    struct orderd_found found = {0};
    struct orderd_order o;
    int rc = read_order(s->db, id, &o), ledger;

    if (rc == 0) {
        ledger = orderd_lookup(s->rc, id, &found);
        if (ledger > 0 && strcmp(found.user, r->user) == 0) {
            show_found(r, id, &found);
            return;
        }
        rc = read_order(s->db, id, &o);
        if (rc == 0 && ledger < 0) {
            orderd_http_unavailable(r, "Whether there is such an order cannot"
                                       " be said now.");
            return;
        }
    }
    if (rc < 0)
        orderd_http_unavailable(r, "The order cannot be read now.");
    else if (rc == 0 || strcmp(o.user, r->user) != 0)
        unknown(r);
    else
        show(r, s->db, &o);
}

void orderd_http_show(struct speedy_request *r, void *data)
{
    static const char *const names[] = {NULL};
    struct speedy_stores *s;
    unsigned char id[16];

    (void)data;
    if (speedy_request_unknown_query(r, names) != NULL) {
        speedy_problem(r, 400, "unknown_parameter",
                       "No parameter is known here.");
        return;
    }
    if (speedy_uuid_parse(r->id, strlen(r->id), id) != 0) {
        unknown(r);
        return;
    }
    s = speedy_stores_take();
    if (s == NULL) {
        orderd_http_unavailable(r, "Too many requests at once.");
        return;
    }
    find(r, s, id);
    speedy_stores_give(s);
}
