/*
 * Wish lists: rows of `wishes`, and the products in them, which are
 * productd's and are asked for a page at once.
 *
 * A wish must not fail because productd is away. The list is then answered
 * without its products, and says so; and a new wish is taken as it comes: if
 * its product turns out not to exist, the list shows it as gone. Only when
 * productd answers that there is no such product is a wish refused.
 */
#ifndef USERD_WISHES_H
#define USERD_WISHES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/db.h"
#include "../common/http_client.h"
#include "../common/http_server.h"
#include "../shop/names.h"

#define USERD_WISHES_MOST 200
#define USERD_ANSWER_MS 800 /* of a list that waits for productd in vain */

struct userd_wishes_settings {
    long productd_instances;
    long notify_ahead; /* of a sale's opening */
    long notify_every; /* looks at what will open */
};
extern struct userd_wishes_settings userd_wishes_settings;
/* clang-format off */
#define USERD_WISHES_SETTINGS                                                 \
    {"userd", "productd_instances", SPEEDY_CONF_INT,                          \
     &userd_wishes_settings.productd_instances, "2", 1, 16},                  \
    {"userd", "notify_ahead", SPEEDY_CONF_MSEC,                               \
     &userd_wishes_settings.notify_ahead, "10m", 1000, 86400000},             \
    {"userd", "notify_every", SPEEDY_CONF_MSEC,                               \
     &userd_wishes_settings.notify_every, "30s", 250, 600000}
/* clang-format on */

/* --- wishes_products.c --- */

/* Before requests come. 0, or -1 without memory. */
int userd_wishes_start(void);
/* After the last request and the duty. */
void userd_wishes_stop(void);
/* The one client of productd; NULL before the start. */
struct speedy_client *userd_productd(void);

struct userd_products {
    struct speedy_json *json;
    const struct speedy_json *list;
};
/*
 * Asks for these products at once, within what r has left. 0, or -1: they
 * cannot be told now. The caller frees either.
 */
int userd_products_read(struct speedy_request *r,
                        const char (*ids)[SPEEDY_ID_MAX + 1], size_t count,
                        struct userd_products *p);
void userd_products_free(struct userd_products *p);
/* NULL: there is no such product (any more). */
const struct speedy_json *userd_product_find(const struct userd_products *p,
                                             const char *id);
/* Appends the value as productd wrote it. */
void userd_json_copy(struct speedy_buf *out, const struct speedy_json *v);

/* --- wishes.c --- */

struct userd_wish {
    int64_t id, created_at;
    char product[SPEEDY_ID_MAX + 1];
    bool notify;
};
/*
 * The newest `count` wishes older than `before`. Their number, or enum
 * speedy_db_status < 0; USERD_WISH_GONE: no such user.
 */
#define USERD_WISH_GONE 1001
long userd_wishes_read(struct speedy_db *db, const char *user, int64_t before,
                       size_t count, struct userd_wish *out);
/* 1 there is, 0 not, or a status < 0. */
int userd_wish_known(struct speedy_db *db, const char *user,
                     const char *product);

struct userd_wish_put {
    const char *user, *product;
    int notify; /* -1: not said */
    /* set: */
    struct userd_wish wish;
    bool created;
};
/* SPEEDY_DB_OK, a status < 0, USERD_WISH_GONE, or USERD_WISH_TOO_MANY. */
#define USERD_WISH_TOO_MANY 1002
int userd_wish_put(struct speedy_db *db, struct userd_wish_put *put);
int userd_wish_delete(struct speedy_db *db, const char *user,
                      const char *product);
/* All of them, in the transaction that ends the account. */
int userd_wishes_delete(struct speedy_db *db, const char *user);

/* --- wishes_http.c: GET, PUT, DELETE /api/v1/users/me/wishes --- */

void userd_wishes_get(struct speedy_request *r, void *data);
void userd_wishes_put(struct speedy_request *r, void *data);
void userd_wishes_delete_one(struct speedy_request *r, void *data);

#endif
