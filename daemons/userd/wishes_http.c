/*
 * The routes of wishes. A page holds no connection to MySQL while productd is
 * asked, so that a slow neighbour does not take them from everybody.
 */
#include "wishes.h"

#include <stdio.h>
#include <string.h>

#include "../common/crypto.h"
#include "../common/seal.h"
#include "../common/stores.h"
#include "../shop/event.h"
#include "admin.h"
#include "body.h"
#include "me.h"
#include "userd.h"

/* A position and a keyed digest of it and its user: no other list's cursor,
 * and none that was made up, is taken for one. */
#define POSITION_BYTES 8
#define CURSOR_BYTES 16

static void not_found(struct speedy_request *r)
{
    speedy_problem(r, 404, "product_not_found", "There is no such product.");
}

/* rc: a status < 0, or a verdict of wishes.c. */
static void refuse(struct speedy_request *r, long rc)
{
    if (rc == USERD_WISH_TOO_MANY)
        speedy_problem(r, 409, "too_many_wishes",
                       "There are 200 wishes: delete one first.");
    else
        userd_me_refuse(r, rc == USERD_WISH_GONE ? 0 : SPEEDY_DB_RETRY);
}

/* --- the list --- */

struct page {
    struct userd_wish wish[USERD_PAGE_MOST + 1];
    size_t count;
    bool more;
};

static void cursor_make(const char *user, int64_t position,
                        unsigned char out[CURSOR_BYTES])
{
    unsigned char digest[SPEEDY_BLIND_INDEX];
    char text[SPEEDY_ID_MAX + 32];

    snprintf(text, sizeof(text), "%s %lld", user, (long long)position);
    speedy_blind_index("wishes-cursor", text, digest);
    for (int i = 0; i < POSITION_BYTES; i++)
        out[i] = (unsigned char)((uint64_t)position >> (56 - 8 * i));
    memcpy(out + POSITION_BYTES, digest, CURSOR_BYTES - POSITION_BYTES);
}

/* The limit; -1 after answering 400. */
static int page_asked(struct speedy_request *r, int64_t *before)
{
    static const char *const names[] = {"cursor", "limit", NULL};
    unsigned char given[CURSOR_BYTES], right[CURSOR_BYTES];
    int limit = userd_page_asked(r, names, given, sizeof(given));
    uint64_t position = 0;

    *before = INT64_MAX;
    if (limit < 0 || speedy_request_query(r, "cursor") == NULL)
        return limit;
    for (int i = 0; i < POSITION_BYTES; i++)
        position = position << 8 | given[i];
    *before = (int64_t)position;
    cursor_make(r->user, *before, right);
    if (speedy_equal(given, right, sizeof(right)))
        return limit;
    speedy_problem(r, 400, "invalid_cursor",
                   "cursor is the next_cursor of the page before.");
    return -1;
}

/* The number of rows, or what refuse() takes. */
static long page_read(struct speedy_request *r, int64_t before, int limit,
                      struct page *page)
{
    struct speedy_stores *s = speedy_stores_take();
    long n;

    if (s == NULL)
        return SPEEDY_DB_RETRY;
    n = userd_wishes_read(s->db, r->user, before, (size_t)limit + 1,
                          page->wish);
    speedy_stores_give(s);
    if (n < 0 || n == USERD_WISH_GONE)
        return n;
    page->more = n > limit;
    page->count = page->more ? (size_t)limit : (size_t)n;
    return 0;
}

static int products_read(struct speedy_request *r, const struct page *page,
                         struct userd_products *products)
{
    char ids[USERD_PAGE_MOST][SPEEDY_ID_MAX + 1];

    *products = (struct userd_products){NULL, NULL};
    if (page->count == 0)
        return 0;
    for (size_t i = 0; i < page->count; i++)
        memcpy(ids[i], page->wish[i].product, sizeof(ids[i]));
    return userd_products_read(r, (const char(*)[SPEEDY_ID_MAX + 1]) ids,
                               page->count, products);
}

/* Without its closing brace. */
static void wish_write(struct speedy_buf *out, const struct userd_wish *w)
{
    speedy_buf_printf(out, "{\"product_id\":\"%s\",\"notify\":%s,", w->product,
                      w->notify ? "true" : "false");
    userd_time_member(out, "created_at", w->created_at);
}

static void page_write(struct speedy_request *r, const struct page *page,
                       const struct userd_products *products, bool known)
{
    unsigned char last[CURSOR_BYTES];

    speedy_buf_printf(&r->out, "{\"products_unavailable\":%s,\"data\":[",
                      known ? "false" : "true");
    for (size_t i = 0; i < page->count; i++) {
        const struct userd_wish *w = &page->wish[i];
        const struct speedy_json *product =
            known ? userd_product_find(products, w->product) : NULL;

        if (i > 0)
            speedy_buf_printf(&r->out, ",");
        wish_write(&r->out, w);
        if (product != NULL) {
            speedy_buf_printf(&r->out, ",\"product\":");
            userd_json_copy(&r->out, product);
        } else if (known) {
            speedy_buf_printf(&r->out, ",\"gone\":true");
        }
        speedy_buf_printf(&r->out, "}");
    }
    if (page->more)
        cursor_make(r->user, page->wish[page->count - 1].id, last);
    userd_page_end(r, page->more ? last : NULL, sizeof(last));
    userd_no_store(r);
}

void userd_wishes_get(struct speedy_request *r, void *data)
{
    struct userd_products products;
    struct page page;
    int64_t before;
    int limit = page_asked(r, &before), known;
    long rc;

    (void)data;
    if (limit < 0)
        return;
    rc = page_read(r, before, limit, &page);
    if (rc != 0) {
        refuse(r, rc);
        return;
    }
    known = products_read(r, &page, &products);
    page_write(r, &page, &products, known == 0);
    userd_products_free(&products);
}

/* --- one wish --- */

/* {notify}: 1, 0, -1 when it is not said (no body at all says nothing). The
 * body was answered: -2. */
static int notify_asked(struct speedy_request *r)
{
    struct userd_field f[] = {{.name = "notify", .type = SPEEDY_JSON_BOOL},
                              {.name = NULL}};
    struct userd_errors e;

    if (r->body_len == 0)
        return -1;
    if (userd_body_read(r, &e, f) != 0 || userd_refused(r, &e))
        return -2;
    return f[0].value == NULL ? -1 : speedy_json_bool(f[0].value, false);
}

/* Whether productd says that there is no such product. */
static bool is_gone(struct speedy_request *r)
{
    char id[1][SPEEDY_ID_MAX + 1];
    struct userd_products p;
    bool gone;

    snprintf(id[0], sizeof(id[0]), "%s", r->id);
    gone = userd_products_read(r, (const char(*)[SPEEDY_ID_MAX + 1]) id, 1,
                               &p) == 0 &&
           userd_product_find(&p, r->id) == NULL;
    userd_products_free(&p);
    return gone;
}

/* 1, 0 or a status < 0. */
static int known(struct speedy_request *r)
{
    struct speedy_stores *s = speedy_stores_take();
    int rc = SPEEDY_DB_RETRY;

    if (s != NULL) {
        rc = userd_wish_known(s->db, r->user, r->id);
        speedy_stores_give(s);
    }
    return rc;
}

static int put_run(struct userd_wish_put *put)
{
    struct speedy_stores *s = speedy_stores_take();
    int rc = SPEEDY_DB_RETRY;

    if (s != NULL) {
        rc = userd_wish_put(s->db, put);
        speedy_stores_give(s);
    }
    return rc;
}

void userd_wishes_put(struct speedy_request *r, void *data)
{
    struct userd_wish_put put = {.user = r->user, .product = r->id};
    int rc;

    (void)data;
    if (!userd_no_query(r))
        return;
    put.notify = notify_asked(r);
    if (put.notify < -1)
        return;
    if (!speedy_id_valid(r->id, strlen(r->id))) {
        not_found(r);
        return;
    }
    rc = known(r);
    if (rc == 0 && is_gone(r)) {
        not_found(r);
        return;
    }
    if (rc >= 0)
        rc = put_run(&put);
    if (rc != SPEEDY_DB_OK) {
        refuse(r, rc);
        return;
    }
    r->status = put.created ? 201 : 200;
    wish_write(&r->out, &put.wish);
    speedy_buf_printf(&r->out, "}\n");
    userd_no_store(r);
}

void userd_wishes_delete_one(struct speedy_request *r, void *data)
{
    struct speedy_stores *s;
    int rc = SPEEDY_DB_RETRY;

    (void)data;
    if (!userd_no_query(r))
        return;
    if (!speedy_id_valid(r->id, strlen(r->id))) {
        not_found(r);
        return;
    }
    s = speedy_stores_take();
    if (s != NULL) {
        rc = userd_wish_delete(s->db, r->user, r->id);
        speedy_stores_give(s);
    }
    if (rc == SPEEDY_DB_OK)
        userd_no_content(r);
    else
        refuse(r, rc);
}
