/*
 * POST and PATCH /admin/sales: a sale is made, and changed before it opens.
 */
#include <stdio.h>
#include <string.h>

#include "../common/crypto.h"
#include "../shop/event.h"
#include "../shop/text.h"
#include "admin.h"
#include "sales_http.h"

static const char *const restocks[] = {"immediate", "hold", "random", NULL};
static const char *const shippings[] = {"scheduled", "manual", NULL};

/* --- members --- */

/* The object at variants[i], and its id; NULL after answering. */
static const struct speedy_json *variant_at(struct productd_admin *a, size_t i,
                                            const char *const *names,
                                            const char **id)
{
    const struct speedy_json *list = speedy_json_get(a->body, "variants");
    const struct speedy_json *v = speedy_json_at(list, i);
    char at[40];

    snprintf(at, sizeof(at), "/variants/%zu", i);
    *id = speedy_json_text(speedy_json_get(v, "variant"));
    if (*id == NULL || !speedy_id_valid(*id, strlen(*id))) {
        productd_bad(a->r, at, "variant_invalid",
                     "A variant is an id of 1-40 of [A-Za-z0-9_-].");
        return NULL;
    }
    return speedy_object_known(a->r, at, v, names) ? v : NULL;
}

/* 0, or -1 after answering; *out stays when the member is absent. */
static int variant_number(struct productd_admin *a, size_t i,
                          const struct speedy_json *v, const char *name,
                          int64_t min, int64_t max, const char *code,
                          int64_t *out)
{
    const struct speedy_json *n = speedy_json_get(v, name);
    char at[60], title[80];

    if (n == NULL || speedy_json_int(n, min, max, out) == 0)
        return 0;
    snprintf(at, sizeof(at), "/variants/%zu/%s", i, name);
    snprintf(title, sizeof(title), "This is a whole number from %lld to %lld.",
             (long long)min, (long long)max);
    return productd_bad(a->r, at, code, title);
}

static int too_many(struct productd_admin *a)
{
    const struct speedy_json *list = speedy_json_get(a->body, "variants");

    if (speedy_json_type(list) == SPEEDY_JSON_ARRAY &&
        speedy_json_count(list) >= 1 &&
        speedy_json_count(list) <= SPEEDY_VARIANTS_MAX)
        return 0;
    return productd_bad(a->r, "/variants", "variants_invalid",
                        "variants is a list of 1-200 objects.");
}

/* stock and price of a sale without variants: its one is `default`. */
static int single_take(struct productd_admin *a, struct speedy_sale *s)
{
    struct speedy_sale_variant *v = &s->variant[0];

    s->variant_count = 1;
    snprintf(v->id, sizeof(v->id), "default");
    v->total = -1;
    if (productd_take_number(a, "stock", 0, SPEEDY_STOCK_MAX, "stock_invalid",
                             &v->total) != 0 ||
        productd_take_number(a, "price", 1, SPEEDY_PRICE_MAX, "price_invalid",
                             &v->price) != 0)
        return -1;
    if (v->total >= 0)
        return 0;
    return productd_bad(a->r, "/stock", "stock_invalid",
                        "stock or variants is needed.");
}

static int variant_take(struct productd_admin *a, size_t i,
                        struct speedy_sale *s)
{
    static const char *const names[] = {"variant", "stock", "price", NULL};
    struct speedy_sale_variant *v = &s->variant[i];
    const char *id;
    const struct speedy_json *o = variant_at(a, i, names, &id);
    char at[40];

    v->total = -1;
    if (o == NULL ||
        variant_number(a, i, o, "stock", 0, SPEEDY_STOCK_MAX, "stock_invalid",
                       &v->total) != 0 ||
        variant_number(a, i, o, "price", 1, SPEEDY_PRICE_MAX, "price_invalid",
                       &v->price) != 0)
        return -1;
    snprintf(at, sizeof(at), "/variants/%zu", i);
    if (v->total < 0)
        return productd_bad(a->r, at, "stock_invalid", "stock is needed.");
    if (speedy_sale_has_variant(s, id))
        return productd_bad(a->r, at, "variant_invalid",
                            "A variant stands twice.");
    snprintf(v->id, sizeof(v->id), "%s", id);
    s->variant_count++;
    return 0;
}

static int variants_take(struct productd_admin *a, struct speedy_sale *s)
{
    size_t n = speedy_json_count(speedy_json_get(a->body, "variants"));

    if (speedy_json_get(a->body, "variants") == NULL)
        return single_take(a, s);
    if (speedy_json_get(a->body, "stock") != NULL ||
        speedy_json_get(a->body, "price") != NULL)
        return productd_bad(a->r, "/variants", "variants_invalid",
                            "Either variants, or stock and price.");
    if (too_many(a) != 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (variant_take(a, i, s) != 0)
            return -1;
    }
    return 0;
}

/* What create and change share. */
struct terms {
    int64_t opens_at, closes_at, limit, hold;
    const char *restock, *shipping, *notice;
};

static int terms_take(struct productd_admin *a, bool now, struct terms *t)
{
    if (productd_take_time(a, "opens_at", now, "opens_at_invalid",
                           &t->opens_at) != 0 ||
        productd_take_number(a, "limit", 1, SPEEDY_LIMIT_MAX, "limit_invalid",
                             &t->limit) != 0 ||
        productd_take_number(a, "hold_seconds", 1, SPEEDY_HOLD_MAX_MS / 1000,
                             "hold_invalid", &t->hold) != 0 ||
        productd_take_word(a, "restock", restocks, "restock_invalid",
                           &t->restock) != 0 ||
        productd_take_word(a, "shipping", shippings, "shipping_invalid",
                           &t->shipping) != 0 ||
        productd_take_text(a, "notice", 0, SPEEDY_NOTICE_MAX, true,
                           "notice_invalid", &t->notice) != 0)
        return -1;
    if (speedy_json_type(speedy_json_get(a->body, "closes_at")) ==
            SPEEDY_JSON_NULL &&
        speedy_json_get(a->body, "closes_at") != NULL)
        return 0; /* open end */
    return productd_take_time(a, "closes_at", false, "closes_at_invalid",
                              &t->closes_at);
}

/* --- answers --- */

/* The sale as it is now, read again; more: further members. */
static void sale_told(struct productd_admin *a, const char *id, int status,
                      const char *more)
{
    struct speedy_sale s;

    if (speedy_sale_read(a->stores->db, id, &s) != 1) {
        productd_unavailable(a->r);
        return;
    }
    speedy_sale_read_redis(a->stores->rc, &s);
    productd_sale_write_staff(&a->r->out, &s);
    speedy_buf_printf(&a->r->out, "%s}\n", more);
    productd_private(a->r, status, s.version);
}

/* --- create --- */

static void id_make(char out[SPEEDY_ID_MAX + 1])
{
    unsigned char raw[12];

    speedy_random(raw, sizeof(raw));
    out[0] = 's';
    speedy_base64url(raw, sizeof(raw), out + 1);
}

static void create(struct productd_admin *a)
{
    struct terms t = {.opens_at = -1,
                      .limit = 1,
                      .hold = 600,
                      .restock = "immediate",
                      .shipping = "scheduled",
                      .notice = ""};
    struct speedy_sale s = {0};
    const char *id = NULL, *product = NULL;
    bool opened_now = false;

    if (productd_take_id(a, "id", false, "id_invalid", &id) != 0 ||
        productd_take_id(a, "product", true, "product_invalid", &product) !=
            0 ||
        terms_take(a, true, &t) != 0 || variants_take(a, &s) != 0)
        return;
    if (id != NULL)
        snprintf(s.id, sizeof(s.id), "%s", id);
    else
        id_make(s.id);
    snprintf(s.product, sizeof(s.product), "%s", product);
    snprintf(s.restock, sizeof(s.restock), "%s", t.restock);
    snprintf(s.shipping, sizeof(s.shipping), "%s", t.shipping);
    snprintf(s.notice, sizeof(s.notice), "%s", t.notice);
    s.opens_at = t.opens_at;
    s.closes_at = t.closes_at;
    s.limit = t.limit;
    s.hold_ms = t.hold * 1000;
    if (productd_admin_result(a, speedy_sale_create(&a->act, &s, &opened_now),
                              &s) != 0)
        return;
    speedy_buf_printf(&a->r->headers, "Location: /admin/sales/%s\n", s.id);
    /* a time that had passed was asked for, and it is told */
    sale_told(a, s.id, 201,
              opened_now && t.opens_at > 0 ? ",\"opened_now\":true"
                                           : ",\"opened_now\":false");
}

void productd_admin_sale_create(struct speedy_request *r, void *data)
{
    static const char *const names[] = {
        "id",       "product",   "variants", "stock",        "price",
        "opens_at", "closes_at", "limit",    "hold_seconds", "restock",
        "shipping", "notice",    "reason",   "version",      NULL};
    struct productd_admin a;

    (void)data;
    if (productd_admin_begin(&a, r, names))
        create(&a);
    productd_admin_end(&a);
}

/* --- change --- */

static int prices_take(struct productd_admin *a, struct speedy_sale_change *c)
{
    static const char *const names[] = {"variant", "price", NULL};
    const struct speedy_json *list = speedy_json_get(a->body, "variants");

    if (list == NULL)
        return 0;
    if (too_many(a) != 0)
        return -1;
    for (size_t i = 0; i < speedy_json_count(list); i++) {
        const struct speedy_json *v =
            variant_at(a, i, names, &c->price[i].variant);

        c->price[i].price = 0;
        if (v == NULL ||
            variant_number(a, i, v, "price", 1, SPEEDY_PRICE_MAX,
                           "price_invalid", &c->price[i].price) != 0)
            return -1;
        if (c->price[i].price == 0)
            return productd_bad(a->r, "/variants", "price_invalid",
                                "A price is needed.");
        c->price_count++;
    }
    return 0;
}

static void change(struct productd_admin *a)
{
    struct terms t = {0};
    struct speedy_sale_change c = {.id = a->r->id};
    struct speedy_sale s = {0};

    if (!productd_admin_versioned(a) || terms_take(a, false, &t) != 0 ||
        prices_take(a, &c) != 0)
        return;
    c.opens_at = t.opens_at;
    c.closes_given = speedy_json_get(a->body, "closes_at") != NULL;
    c.closes_at = t.closes_at;
    c.limit = t.limit;
    c.hold_ms = t.hold * 1000;
    c.restock = t.restock;
    c.shipping = t.shipping;
    c.notice = t.notice;
    if (productd_admin_result(a, speedy_sale_change(&a->act, &c, &s), &s) == 0)
        sale_told(a, c.id, 200, "");
}

void productd_admin_sale_change(struct speedy_request *r, void *data)
{
    static const char *const names[] = {"opens_at",     "closes_at", "limit",
                                        "hold_seconds", "restock",   "shipping",
                                        "notice",       "variants",  "reason",
                                        "version",      NULL};
    struct productd_admin a;

    (void)data;
    if (productd_admin_begin(&a, r, names))
        change(&a);
    productd_admin_end(&a);
}
