/*
 * The products of a page of wishes, by one call of productd: however many
 * there are. What is left of the caller's time bounds the call, less what
 * userd itself needs, so that the answer without products is in time too.
 */
#include "wishes.h"

#include <string.h>

#include "../common/log.h"
#include "../common/metrics.h"

#define RESERVE_MS 100 /* of that for userd's own part */
#define ANSWER_MOST 1048576
#define DEPTH_MOST 8

static struct speedy_client *productd;

static struct speedy_metric without = {
    .name = "speedy_userd_products_unavailable_total",
    .help = "Wish lists and wishes that were answered without productd",
    .type = SPEEDY_COUNTER,
    .labels = ""};

int userd_wishes_start(void)
{
    speedy_metric_register(&without);
    productd = speedy_client_new("productd",
                                 (int)userd_wishes_settings.productd_instances);
    return productd == NULL ? -1 : 0;
}

void userd_wishes_stop(void)
{
    speedy_client_free(productd);
    productd = NULL;
}

struct speedy_client *userd_productd(void)
{
    return productd;
}

static long budget(struct speedy_request *r)
{
    long left = speedy_request_budget(r);

    return (left < USERD_ANSWER_MS ? left : USERD_ANSWER_MS) - RESERVE_MS;
}

/* -1: no list of products. */
static int take(struct userd_products *p, const struct speedy_call *call)
{
    enum speedy_json_error why;

    p->json = speedy_json_parse(call->out.data, call->out.len, ANSWER_MOST,
                                DEPTH_MOST, &why);
    p->list = speedy_json_get(p->json, "data");
    if (p->list != NULL && speedy_json_type(p->list) == SPEEDY_JSON_ARRAY)
        return 0;
    speedy_log(SPEEDY_ERROR, "productd's answer cannot be used", "why=%d",
               (int)why);
    return -1;
}

int userd_products_read(struct speedy_request *r,
                        const char (*ids)[SPEEDY_ID_MAX + 1], size_t count,
                        struct userd_products *p)
{
    struct speedy_buf path = {0};
    struct speedy_call call = {.method = "GET",
                               .request_id = r->request_id,
                               .timeout_ms = budget(r),
                               .idempotent = true,
                               .max_answer = ANSWER_MOST};
    int rc = -1;

    *p = (struct userd_products){NULL, NULL};
    speedy_buf_printf(&path, "/internal/products?ids=");
    for (size_t i = 0; i < count; i++)
        speedy_buf_printf(&path, "%s%s", i > 0 ? "," : "", ids[i]);
    call.path = path.data;
    if (productd != NULL &&
        speedy_client_call(productd, &call) == SPEEDY_CALL_ANSWERED &&
        call.status == 200)
        rc = take(p, &call);
    if (rc != 0)
        speedy_metric_add(&without, 1);
    speedy_buf_free(&call.out);
    speedy_buf_free(&path);
    return rc;
}

void userd_products_free(struct userd_products *p)
{
    speedy_json_free(p->json);
    *p = (struct userd_products){NULL, NULL};
}

const struct speedy_json *userd_product_find(const struct userd_products *p,
                                             const char *id)
{
    for (size_t i = 0; i < speedy_json_count(p->list); i++) {
        const struct speedy_json *product = speedy_json_at(p->list, i);
        const char *found = speedy_json_text(speedy_json_get(product, "id"));

        if (found != NULL && strcmp(found, id) == 0)
            return product;
    }
    return NULL;
}

static void members_copy(struct speedy_buf *out, const struct speedy_json *v,
                         bool object)
{
    speedy_buf_printf(out, object ? "{" : "[");
    for (size_t i = 0; i < speedy_json_count(v); i++) {
        if (i > 0)
            speedy_buf_printf(out, ",");
        if (object) {
            speedy_buf_json(out, speedy_json_key(v, i));
            speedy_buf_printf(out, ":");
        }
        userd_json_copy(out, object ? speedy_json_get(v, speedy_json_key(v, i))
                                    : speedy_json_at(v, i));
    }
    speedy_buf_printf(out, object ? "}" : "]");
}

void userd_json_copy(struct speedy_buf *out, const struct speedy_json *v)
{
    int64_t n = 0;

    switch (speedy_json_type(v)) {
    case SPEEDY_JSON_OBJECT:
    case SPEEDY_JSON_ARRAY:
        members_copy(out, v, speedy_json_type(v) == SPEEDY_JSON_OBJECT);
        break;
    case SPEEDY_JSON_TEXT:
        speedy_buf_json(out, speedy_json_text(v));
        break;
    case SPEEDY_JSON_INT:
        speedy_json_int(v, INT64_MIN, INT64_MAX, &n);
        speedy_buf_printf(out, "%lld", (long long)n);
        break;
    case SPEEDY_JSON_BOOL:
        speedy_buf_printf(out, speedy_json_bool(v, false) ? "true" : "false");
        break;
    default:
        speedy_buf_printf(out, "null");
    }
}
