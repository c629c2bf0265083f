/*
 * The body of a purchase: exactly {"variant": "270", "quantity": 1}, members
 * in any order. Everything else is refused by name, because a client that
 * sends more believes that it means something.
 *
 * yajl allocates from an arena of the worker: parsing is synchronous and the
 * body at most 4 KiB, so the arena is free again when the call returns.
 */

#include "ngx_http_speedy.h"

#include <yajl/yajl_parse.h>


#define NGX_HTTP_SPEEDY_ARENA  65536
#define NGX_HTTP_SPEEDY_NAME_MAX  64


typedef enum {
    NGX_HTTP_SPEEDY_MEMBER_NONE,
    NGX_HTTP_SPEEDY_MEMBER_VARIANT,
    NGX_HTTP_SPEEDY_MEMBER_QUANTITY
} ngx_http_speedy_member_e;


typedef struct {
    ngx_http_speedy_ctx_t      *ctx;
    ngx_http_speedy_code_e      code;
    ngx_http_speedy_member_e    member;
    const char                 *why;        /* errors[0].code */
    u_char                      name[NGX_HTTP_SPEEDY_NAME_MAX];
    size_t                      name_len;
    unsigned                    in_map:1;
    unsigned                    variant:1;
    unsigned                    quantity:1;
} ngx_http_speedy_body_t;


static int ngx_http_speedy_body_null(void *data);
static int ngx_http_speedy_body_boolean(void *data, int value);
static int ngx_http_speedy_body_number(void *data, const char *text,
    size_t len);
static int ngx_http_speedy_body_string(void *data, const unsigned char *text,
    size_t len);
static int ngx_http_speedy_body_start_map(void *data);
static int ngx_http_speedy_body_key(void *data, const unsigned char *text,
    size_t len);
static int ngx_http_speedy_body_end_map(void *data);
static int ngx_http_speedy_body_start_array(void *data);

static int ngx_http_speedy_body_refuse(ngx_http_speedy_body_t *b,
    ngx_http_speedy_code_e code, const char *name, const char *why);
static int ngx_http_speedy_body_wrong_type(ngx_http_speedy_body_t *b);
static ngx_int_t ngx_http_speedy_body_extra(ngx_http_request_t *r,
    ngx_http_speedy_body_t *b, ngx_str_t *extra);

static void *ngx_http_speedy_arena_malloc(void *data, size_t size);
static void *ngx_http_speedy_arena_realloc(void *data, void *p, size_t size);
static void ngx_http_speedy_arena_free(void *data, void *p);


static yajl_callbacks  ngx_http_speedy_body_callbacks = {
    ngx_http_speedy_body_null,
    ngx_http_speedy_body_boolean,
    NULL,
    NULL,
    ngx_http_speedy_body_number,
    ngx_http_speedy_body_string,
    ngx_http_speedy_body_start_map,
    ngx_http_speedy_body_key,
    ngx_http_speedy_body_end_map,
    ngx_http_speedy_body_start_array,
    NULL
};


/* Each block is preceded by its size, for realloc. */

static u_char  ngx_http_speedy_arena[NGX_HTTP_SPEEDY_ARENA]
    __attribute__((aligned(16)));
static size_t  ngx_http_speedy_arena_used;

static yajl_alloc_funcs  ngx_http_speedy_arena_funcs = {
    ngx_http_speedy_arena_malloc,
    ngx_http_speedy_arena_realloc,
    ngx_http_speedy_arena_free,
    NULL
};


ngx_http_speedy_code_e
ngx_http_speedy_body_parse(ngx_http_request_t *r, u_char *text, size_t len,
    ngx_http_speedy_ctx_t *ctx, ngx_str_t *extra)
{
    yajl_handle             h;
    yajl_status             status;
    ngx_http_speedy_body_t  b;

    ngx_str_null(extra);

    ngx_memzero(&b, sizeof(ngx_http_speedy_body_t));
    b.ctx = ctx;
    b.code = NGX_HTTP_SPEEDY_CODE_NONE;

    ngx_http_speedy_arena_used = 0;

    h = yajl_alloc(&ngx_http_speedy_body_callbacks,
                   &ngx_http_speedy_arena_funcs, &b);
    if (h == NULL) {
        return NGX_HTTP_SPEEDY_INTERNAL;
    }

    status = yajl_parse(h, text, len);
    if (status == yajl_status_ok) {
        status = yajl_complete_parse(h);
    }

    yajl_free(h);

    if (b.code == NGX_HTTP_SPEEDY_CODE_NONE) {
        if (status != yajl_status_ok || !b.in_map) {
            return NGX_HTTP_SPEEDY_INVALID_JSON;
        }

        if (!b.variant) {
            ngx_http_speedy_body_refuse(&b, NGX_HTTP_SPEEDY_INVALID_VARIANT,
                                        "variant", "required");
        } else if (!b.quantity) {
            ngx_http_speedy_body_refuse(&b, NGX_HTTP_SPEEDY_INVALID_QUANTITY,
                                        "quantity", "required");
        } else {
            return NGX_HTTP_SPEEDY_CODE_NONE;
        }
    }

    if (b.why && ngx_http_speedy_body_extra(r, &b, extra) != NGX_OK) {
        return NGX_HTTP_SPEEDY_INTERNAL;
    }

    return b.code;
}


static int
ngx_http_speedy_body_null(void *data)
{
    return ngx_http_speedy_body_wrong_type(data);
}


static int
ngx_http_speedy_body_boolean(void *data, int value)
{
    return ngx_http_speedy_body_wrong_type(data);
}


static int
ngx_http_speedy_body_number(void *data, const char *text, size_t len)
{
    ngx_int_t                n;
    ngx_http_speedy_body_t  *b = data;

    if (b->member != NGX_HTTP_SPEEDY_MEMBER_QUANTITY) {
        return ngx_http_speedy_body_wrong_type(b);
    }

    /* "-1", "1.0", "1e3" and what does not fit are all no count of units. */

    n = ngx_atoi((u_char *) text, len);

    if (n < 1 || n > NGX_HTTP_SPEEDY_QUANTITY_MAX) {
        return ngx_http_speedy_body_refuse(b, NGX_HTTP_SPEEDY_INVALID_QUANTITY,
                                           "quantity", "out_of_range");
    }

    b->ctx->quantity = n;

    return 1;
}


static int
ngx_http_speedy_body_string(void *data, const unsigned char *text, size_t len)
{
    ngx_http_speedy_body_t  *b = data;

    if (b->member != NGX_HTTP_SPEEDY_MEMBER_VARIANT) {
        return ngx_http_speedy_body_wrong_type(b);
    }

    if (ngx_http_speedy_id_set(&b->ctx->variant, text, len) != NGX_OK) {
        return ngx_http_speedy_body_refuse(b, NGX_HTTP_SPEEDY_INVALID_VARIANT,
                                           "variant", "not_an_id");
    }

    return 1;
}


static int
ngx_http_speedy_body_start_map(void *data)
{
    ngx_http_speedy_body_t  *b = data;

    if (b->in_map) {
        return ngx_http_speedy_body_wrong_type(b);
    }

    b->in_map = 1;

    return 1;
}


static int
ngx_http_speedy_body_key(void *data, const unsigned char *text, size_t len)
{
    ngx_http_speedy_body_t  *b = data;

    if (len == 7 && ngx_memcmp(text, "variant", 7) == 0) {
        if (b->variant) {
            return ngx_http_speedy_body_refuse(b,
                                               NGX_HTTP_SPEEDY_DUPLICATE_FIELD,
                                               "variant", "duplicate");
        }

        b->variant = 1;
        b->member = NGX_HTTP_SPEEDY_MEMBER_VARIANT;

        return 1;
    }

    if (len == 8 && ngx_memcmp(text, "quantity", 8) == 0) {
        if (b->quantity) {
            return ngx_http_speedy_body_refuse(b,
                                               NGX_HTTP_SPEEDY_DUPLICATE_FIELD,
                                               "quantity", "duplicate");
        }

        b->quantity = 1;
        b->member = NGX_HTTP_SPEEDY_MEMBER_QUANTITY;

        return 1;
    }

    b->name_len = ngx_min(len, NGX_HTTP_SPEEDY_NAME_MAX);
    ngx_memcpy(b->name, text, b->name_len);
    b->code = NGX_HTTP_SPEEDY_UNKNOWN_FIELD;
    b->why = "unknown";

    return 0;
}


static int
ngx_http_speedy_body_end_map(void *data)
{
    return 1;
}


static int
ngx_http_speedy_body_start_array(void *data)
{
    return ngx_http_speedy_body_wrong_type(data);
}


static int
ngx_http_speedy_body_refuse(ngx_http_speedy_body_t *b,
    ngx_http_speedy_code_e code, const char *name, const char *why)
{
    b->code = code;
    b->why = why;
    b->name_len = ngx_strlen(name);
    ngx_memcpy(b->name, name, b->name_len);

    return 0;
}


static int
ngx_http_speedy_body_wrong_type(ngx_http_speedy_body_t *b)
{
    switch (b->member) {

    case NGX_HTTP_SPEEDY_MEMBER_VARIANT:
        return ngx_http_speedy_body_refuse(b, NGX_HTTP_SPEEDY_INVALID_VARIANT,
                                           "variant", "not_a_string");

    case NGX_HTTP_SPEEDY_MEMBER_QUANTITY:
        return ngx_http_speedy_body_refuse(b, NGX_HTTP_SPEEDY_INVALID_QUANTITY,
                                           "quantity", "not_a_number");

    default: /* the body itself is no object */
        b->code = NGX_HTTP_SPEEDY_INVALID_JSON;
        return 0;
    }
}


/*
 * `,"errors":[{"pointer":"/name","code":"why"}]`. Of a client's own name only
 * what needs no escaping is repeated.
 */

static ngx_int_t
ngx_http_speedy_body_extra(ngx_http_request_t *r, ngx_http_speedy_body_t *b,
    ngx_str_t *extra)
{
    u_char  *p;
    size_t   i;

    for (i = 0; i < b->name_len; i++) {
        if (b->name[i] < 0x20 || b->name[i] >= 0x7f
            || b->name[i] == '"' || b->name[i] == '\\'
            || b->name[i] == '/' || b->name[i] == '~')
        {
            b->name[i] = '?';
        }
    }

    p = ngx_pnalloc(r->pool, sizeof(",\"errors\":[{\"pointer\":\"/\","
                                    "\"code\":\"\"}]")
                             + NGX_HTTP_SPEEDY_NAME_MAX + ngx_strlen(b->why));
    if (p == NULL) {
        return NGX_ERROR;
    }

    extra->data = p;
    extra->len = ngx_sprintf(p, ",\"errors\":[{\"pointer\":\"/%*s\","
                             "\"code\":\"%s\"}]", b->name_len, b->name, b->why)
                 - p;

    return NGX_OK;
}


static void *
ngx_http_speedy_arena_malloc(void *data, size_t size)
{
    u_char  *p;
    size_t   total;

    total = ngx_align(size, 16) + 16;

    if (NGX_HTTP_SPEEDY_ARENA - ngx_http_speedy_arena_used < total) {

        /* yajl does not look whether it got memory: leave the arena. */

        return malloc(size);
    }

    p = ngx_http_speedy_arena + ngx_http_speedy_arena_used;
    ngx_http_speedy_arena_used += total;
    *(size_t *) p = size;

    return p + 16;
}


static void *
ngx_http_speedy_arena_realloc(void *data, void *p, size_t size)
{
    void    *fresh;
    size_t   old;
    u_char  *block = p;

    if (p == NULL) {
        return ngx_http_speedy_arena_malloc(data, size);
    }

    if (block < ngx_http_speedy_arena
        || block >= ngx_http_speedy_arena + NGX_HTTP_SPEEDY_ARENA)
    {
        return realloc(p, size);
    }

    old = *(size_t *) (block - 16);

    fresh = ngx_http_speedy_arena_malloc(data, size);
    if (fresh) {
        ngx_memcpy(fresh, p, ngx_min(old, size));
    }

    return fresh;
}


static void
ngx_http_speedy_arena_free(void *data, void *p)
{
    u_char  *block = p;

    if (block < ngx_http_speedy_arena
        || block >= ngx_http_speedy_arena + NGX_HTTP_SPEEDY_ARENA)
    {
        free(p);
    }
}
