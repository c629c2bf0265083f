/*
 * POST and PATCH /admin/products, and a product's images.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "../common/crypto.h"
#include "../shop/product.h"
#include "../shop/text.h"
#include "admin.h"
#include "image.h"

#define OPTIONS_MOST 10
#define VALUES_MOST 100
#define OPTION_TEXT 40 /* characters */

/* --- members --- */

static int category_take(struct productd_admin *a, struct speedy_product *p)
{
    const char *text = speedy_json_text(speedy_json_get(a->body, "category"));

    if (text != NULL && *text == '\0') {
        p->category = "";
        return 0;
    }
    return productd_take_id(a, "category", false, "category_invalid",
                            &p->category);
}

/* One {"name", "values"} into out; false when it is none. */
static bool option_write(struct speedy_buf *out, const struct speedy_json *o)
{
    const char *name = speedy_json_text(speedy_json_get(o, "name"));
    const struct speedy_json *values = speedy_json_get(o, "values");
    size_t n = speedy_json_count(values);

    if (name == NULL || !speedy_text_valid(name, 1, OPTION_TEXT, false) ||
        speedy_json_type(values) != SPEEDY_JSON_ARRAY || n == 0 ||
        n > VALUES_MOST)
        return false;
    speedy_buf_printf(out, "{\"name\":");
    speedy_buf_json(out, name);
    for (size_t i = 0; i < n; i++) {
        const char *value = speedy_json_text(speedy_json_at(values, i));

        if (value == NULL || !speedy_text_valid(value, 1, OPTION_TEXT, false))
            return false;
        speedy_buf_printf(out, i == 0 ? ",\"values\":[" : ",");
        speedy_buf_json(out, value);
    }
    speedy_buf_printf(out, "]}");
    return true;
}

/* Written anew from what was read, so that only our own JSON is stored. */
static int options_take(struct productd_admin *a, struct speedy_product *p,
                        struct speedy_buf *out)
{
    static const char *const names[] = {"name", "values", NULL};
    const struct speedy_json *v = speedy_json_get(a->body, "options");
    bool fits = speedy_json_type(v) == SPEEDY_JSON_ARRAY &&
                speedy_json_count(v) <= OPTIONS_MOST;

    if (v == NULL)
        return 0;
    speedy_buf_printf(out, "[");
    for (size_t i = 0; fits && i < speedy_json_count(v); i++) {
        const struct speedy_json *o = speedy_json_at(v, i);

        if (!speedy_object_known(a->r, "/options", o, names))
            return -1;
        if (i > 0)
            speedy_buf_printf(out, ",");
        fits =
            speedy_json_type(o) == SPEEDY_JSON_OBJECT && option_write(out, o);
    }
    speedy_buf_printf(out, "]");
    if (!fits || out->len > SPEEDY_OPTIONS_MAX)
        return productd_bad(a->r, "/options", "options_invalid",
                            "options is a list of {name, values}.");
    p->options = out->data;
    return 0;
}

static int images_take(struct productd_admin *a, struct speedy_product *p)
{
    const struct speedy_json *v = speedy_json_get(a->body, "images");
    unsigned char raw[32];

    p->image_count = -1;
    if (v == NULL)
        return 0;
    if (speedy_json_type(v) != SPEEDY_JSON_ARRAY ||
        speedy_json_count(v) > SPEEDY_IMAGES_MAX)
        return productd_bad(a->r, "/images", "images_invalid",
                            "images is a list of at most 10 hashes.");
    p->image_count = (int)speedy_json_count(v);
    for (int i = 0; i < p->image_count; i++) {
        const char *hash = speedy_json_text(speedy_json_at(v, (size_t)i));

        if (hash == NULL ||
            speedy_unhex(hash, strlen(hash), raw, sizeof(raw)) != 0)
            return productd_bad(a->r, "/images", "images_invalid",
                                "A hash has 64 hex digits.");
        p->images[i] = hash;
    }
    return 0;
}

static int members_take(struct productd_admin *a, struct speedy_product *p,
                        struct speedy_buf *options)
{
    const struct speedy_json *hidden = speedy_json_get(a->body, "hidden");

    if (productd_take_text(a, "name", 1, SPEEDY_NAME_MAX, false, "name_invalid",
                           &p->name) != 0 ||
        productd_take_number(a, "price", 1, SPEEDY_PRICE_MAX, "price_invalid",
                             &p->price) != 0 ||
        productd_take_text(a, "description", 0, SPEEDY_DESCRIPTION_MAX, true,
                           "description_invalid", &p->description) != 0 ||
        category_take(a, p) != 0 || options_take(a, p, options) != 0 ||
        images_take(a, p) != 0)
        return -1;
    if (hidden == NULL)
        return 0;
    if (speedy_json_type(hidden) != SPEEDY_JSON_BOOL)
        return productd_bad(a->r, "/hidden", "hidden_invalid",
                            "hidden is true or false.");
    p->state = speedy_json_bool(hidden, false) ? "HIDDEN" : "SHOWN";
    return 0;
}

static void told(struct productd_admin *a, const struct speedy_product *p,
                 int status)
{
    speedy_buf_printf(&a->r->out, "{\"id\":\"%s\",\"version\":%lld}\n", p->id,
                      (long long)p->version);
    productd_private(a->r, status, p->version);
}

/* --- handlers --- */

static void add(struct productd_admin *a)
{
    struct speedy_product p = {.image_count = -1};
    struct speedy_buf options = {0};

    if (productd_take_id(a, "id", true, "id_invalid", &p.id) == 0 &&
        members_take(a, &p, &options) == 0) {
        if (p.name == NULL)
            productd_bad(a->r, "/name", "name_invalid", "A name is needed.");
        else if (p.price == 0)
            productd_bad(a->r, "/price", "price_invalid", "A price is needed.");
        else if (productd_admin_result(a, speedy_product_add(&a->act, &p),
                                       NULL) == 0) {
            speedy_buf_printf(&a->r->headers, "Location: /admin/products/%s\n",
                              p.id);
            told(a, &p, 201);
        }
    }
    speedy_buf_free(&options);
}

void productd_admin_product_add(struct speedy_request *r, void *data)
{
    static const char *const names[] = {
        "id",      "name",   "price",  "description", "category",
        "options", "hidden", "reason", "version",     NULL};
    struct productd_admin a;

    (void)data;
    if (productd_admin_begin(&a, r, names))
        add(&a);
    productd_admin_end(&a);
}

static void change(struct productd_admin *a)
{
    struct speedy_product p = {.id = a->r->id};
    struct speedy_buf options = {0};

    if (productd_admin_versioned(a) && members_take(a, &p, &options) == 0 &&
        productd_admin_result(a, speedy_product_change(&a->act, &p), NULL) == 0)
        told(a, &p, 200);
    speedy_buf_free(&options);
}

void productd_admin_product_change(struct speedy_request *r, void *data)
{
    static const char *const names[] = {
        "name",   "price",  "description", "category", "options",
        "hidden", "images", "reason",      "version",  NULL};
    struct productd_admin a;

    (void)data;
    if (productd_admin_begin(&a, r, names))
        change(&a);
    productd_admin_end(&a);
}

static bool type_is_image(struct speedy_request *r)
{
    static const char *const types[] = {"image/png", "image/jpeg",
                                        "image/webp"};
    const char *type = speedy_request_header(r, "Content-Type");

    for (size_t i = 0; type != NULL && i < 3; i++) {
        if (strcasecmp(type, types[i]) == 0)
            return true;
    }
    speedy_problem(r, 415, "unsupported_media_type",
                   "An image is image/png, image/jpeg or image/webp.");
    return false;
}

static bool image_fits(struct speedy_request *r,
                       struct productd_image_facts *facts)
{
    switch (productd_image_look(r->body, r->body_len, facts)) {
    case PRODUCTD_IMAGE_OK:
        return true;
    case PRODUCTD_IMAGE_TYPE:
        productd_bad(r, "", "image_type",
                     "The content is no PNG, JPEG or WebP.");
        break;
    case PRODUCTD_IMAGE_DAMAGED:
        productd_bad(r, "", "image_damaged", "The image is damaged or cut.");
        break;
    case PRODUCTD_IMAGE_SIZE:
        productd_bad(r, "", "image_dimensions",
                     "An image has at most 10,000 x 10,000 pixels.");
        break;
    }
    return false;
}

static void image_add(struct productd_admin *a,
                      const struct productd_image_facts *facts)
{
    struct speedy_image image = {.type = facts->type,
                                 .bytes = (int64_t)a->r->body_len,
                                 .width = facts->width,
                                 .height = facts->height};
    int64_t version = 0;

    if (productd_image_store(productd_settings.images, a->r->body,
                             a->r->body_len, facts->type, image.hash) != 0) {
        speedy_problem_retry(a->r, 503, "unavailable",
                             "The image cannot be stored now.", 5);
        return;
    }
    if (productd_admin_result(
            a, speedy_product_image(&a->act, a->r->id, &image, &version),
            NULL) != 0)
        return;
    speedy_buf_printf(&a->r->out,
                      "{\"hash\":\"%s\",\"url\":\"/images/%s.%s\",\"width\":"
                      "%lld,\"height\":%lld,\"bytes\":%lld,\"version\":%lld}\n",
                      image.hash, image.hash, image.type,
                      (long long)image.width, (long long)image.height,
                      (long long)image.bytes, (long long)version);
    speedy_buf_printf(&a->r->headers, "Location: /images/%s.%s\n", image.hash,
                      image.type);
    productd_private(a->r, 201, version);
}

void productd_admin_product_image(struct speedy_request *r, void *data)
{
    struct productd_image_facts facts;
    struct productd_admin a;

    (void)data;
    if (!type_is_image(r) || !image_fits(r, &facts))
        return;
    if (productd_admin_begin_raw(&a, r))
        image_add(&a, &facts);
    productd_admin_end(&a);
}
