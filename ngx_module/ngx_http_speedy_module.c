/*
 * ngx_http_speedy_module: the hot path of a flash sale inside nginx.
 *
 * Here stands only what nginx calls: the module's tables, its phases, and the
 * start and end of a worker. The directives are in ngx_http_speedy_conf.c
 * (and explained in docs/directives.md), a purchase begins in
 * ngx_http_speedy_purchase.c.
 *
 * Everything that lives (connection, producer, token cache) is made in
 * init_process of a worker: threads do not survive a fork, and the cache
 * manager's processes leave without exit_process. Redis or Kafka being down
 * never keeps a worker from starting.
 */

#include "ngx_http_speedy.h"


static ngx_int_t ngx_http_speedy_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_speedy_postconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_speedy_init_process(ngx_cycle_t *cycle);
static void ngx_http_speedy_exit_process(ngx_cycle_t *cycle);

static ngx_int_t ngx_http_speedy_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


typedef enum {
    NGX_HTTP_SPEEDY_VAR_USER,
    NGX_HTTP_SPEEDY_VAR_ROLE,
    NGX_HTTP_SPEEDY_VAR_SESSION,
    NGX_HTTP_SPEEDY_VAR_BEARER,
    NGX_HTTP_SPEEDY_VAR_SALE,
    NGX_HTTP_SPEEDY_VAR_VARIANT,
    NGX_HTTP_SPEEDY_VAR_QUANTITY,
    NGX_HTTP_SPEEDY_VAR_ORDER,
    NGX_HTTP_SPEEDY_VAR_CODE,
    NGX_HTTP_SPEEDY_VAR_KEY_DIGEST,
    NGX_HTTP_SPEEDY_VAR_BODY_DIGEST
} ngx_http_speedy_variable_e;


static struct {
    ngx_str_t                   name;
    ngx_http_speedy_variable_e  what;
} ngx_http_speedy_variables[] = {
    { ngx_string("speedy_user"), NGX_HTTP_SPEEDY_VAR_USER },
    { ngx_string("speedy_role"), NGX_HTTP_SPEEDY_VAR_ROLE },
    { ngx_string("speedy_session"), NGX_HTTP_SPEEDY_VAR_SESSION },
    { ngx_string("speedy_bearer"), NGX_HTTP_SPEEDY_VAR_BEARER },
    { ngx_string("speedy_sale_id"), NGX_HTTP_SPEEDY_VAR_SALE },
    { ngx_string("speedy_variant"), NGX_HTTP_SPEEDY_VAR_VARIANT },
    { ngx_string("speedy_quantity"), NGX_HTTP_SPEEDY_VAR_QUANTITY },
    { ngx_string("speedy_order_id"), NGX_HTTP_SPEEDY_VAR_ORDER },
    { ngx_string("speedy_code"), NGX_HTTP_SPEEDY_VAR_CODE },
    { ngx_string("speedy_key_digest"), NGX_HTTP_SPEEDY_VAR_KEY_DIGEST },
    { ngx_string("speedy_body_digest"), NGX_HTTP_SPEEDY_VAR_BODY_DIGEST },
    { ngx_null_string, 0 }
};


static ngx_http_module_t  ngx_http_speedy_module_ctx = {
    ngx_http_speedy_preconfiguration,      /* preconfiguration */
    ngx_http_speedy_postconfiguration,     /* postconfiguration */

    ngx_http_speedy_create_main_conf,      /* create main configuration */
    NULL,                                  /* init main configuration */

    ngx_http_speedy_create_srv_conf,       /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_speedy_create_loc_conf,       /* create location configuration */
    ngx_http_speedy_merge_loc_conf         /* merge location configuration */
};


ngx_module_t  ngx_http_speedy_module = {
    NGX_MODULE_V1,
    &ngx_http_speedy_module_ctx,           /* module context */
    ngx_http_speedy_commands,              /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_speedy_init_process,          /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_speedy_exit_process,          /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_http_speedy_preconfiguration(ngx_conf_t *cf)
{
    ngx_uint_t            i;
    ngx_http_variable_t  *var;

    for (i = 0; ngx_http_speedy_variables[i].name.len; i++) {
        var = ngx_http_add_variable(cf, &ngx_http_speedy_variables[i].name,
                                    NGX_HTTP_VAR_NOCACHEABLE);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = ngx_http_speedy_variable;
        var->data = ngx_http_speedy_variables[i].what;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_speedy_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    if (ngx_http_speedy_conf_check(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_speedy_access_handler;

    return NGX_OK;
}


static ngx_int_t
ngx_http_speedy_init_process(ngx_cycle_t *cycle)
{
    ngx_http_speedy_main_conf_t  *smcf;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    smcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_speedy_module);
    if (smcf == NULL) {
        return NGX_OK;
    }

    if (smcf->zone) {
        ngx_http_speedy_zone_init_worker(smcf->zone);
    }

    if (ngx_http_speedy_jwt_init_worker(smcf->jwt, cycle->log) != NGX_OK) {
        return NGX_ERROR;
    }

    if (smcf->purchases.nelts == 0 && smcf->sessions == 0
        && smcf->stock_place.file == NULL)
    {
        return NGX_OK;
    }

    if (ngx_http_speedy_job_init_worker(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    if (smcf->purchases.nelts
        && ngx_http_speedy_kafka_init(cycle, smcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_speedy_sessions_init(cycle, smcf) != NGX_OK
        || ngx_http_speedy_stock_init(cycle, smcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_speedy_redis_init(cycle, smcf);
}


/*
 * Redis first: its callbacks store results that nobody will act upon. Then
 * Kafka, which flushes for a bounded time; what stays undelivered is in
 * Redis' `pend`, and stockd produces it.
 */

static void
ngx_http_speedy_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_speedy_redis_exit();
    ngx_http_speedy_sessions_exit();
    ngx_http_speedy_stock_exit();
    ngx_http_speedy_kafka_exit();
    ngx_http_speedy_job_exit_worker();
    ngx_http_speedy_zone_exit_worker();
}


static ngx_int_t
ngx_http_speedy_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    u_char                      *p;
    const u_char                *digest;
    const ngx_str_t             *role;
    ngx_http_speedy_ctx_t       *ctx;
    ngx_http_speedy_loc_conf_t  *slcf;

    slcf = ngx_http_get_module_loc_conf(r, ngx_http_speedy_module);

    /* limits are checked before the access phase, and may want the user */

    if (data == NGX_HTTP_SPEEDY_VAR_BEARER) {
        ctx = ngx_http_speedy_bearer(r);

    } else if (data <= NGX_HTTP_SPEEDY_VAR_SESSION
               && slcf->auth != NGX_HTTP_SPEEDY_ROLE_NONE)
    {
        ctx = ngx_http_speedy_authenticate(r);

    } else {
        ctx = ngx_http_speedy_ctx_get(r);
    }

    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
    v->len = 0;
    v->data = (u_char *) "";

    if (ctx == NULL) {
        return NGX_OK;
    }

    switch (data) {

    case NGX_HTTP_SPEEDY_VAR_USER:
        v->len = ctx->who.user.len;
        v->data = ctx->who.user.data;
        break;

    case NGX_HTTP_SPEEDY_VAR_ROLE:
        role = ngx_http_speedy_role_name(ctx->who.role);
        v->len = role->len;
        v->data = role->data;
        break;

    case NGX_HTTP_SPEEDY_VAR_SESSION:
        v->len = ctx->who.session.len;
        v->data = ctx->who.session.data;
        break;

    case NGX_HTTP_SPEEDY_VAR_BEARER:
        v->len = ctx->bearer.len;
        v->data = ctx->bearer.data;
        break;

    case NGX_HTTP_SPEEDY_VAR_SALE:
        v->len = ctx->sale.len;
        v->data = ctx->sale.data;
        break;

    case NGX_HTTP_SPEEDY_VAR_VARIANT:
        v->len = ctx->variant.len;
        v->data = ctx->variant.data;
        break;

    case NGX_HTTP_SPEEDY_VAR_QUANTITY:
        p = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
        if (p == NULL) {
            return NGX_ERROR;
        }

        v->len = ngx_sprintf(p, "%ui", ctx->quantity) - p;
        v->data = p;
        break;

    case NGX_HTTP_SPEEDY_VAR_ORDER:
        if (ctx->order) {
            v->len = NGX_HTTP_SPEEDY_UUID_LEN;
            v->data = ctx->order_text;
        }
        break;

    case NGX_HTTP_SPEEDY_VAR_CODE:
        if (ctx->code != NGX_HTTP_SPEEDY_CODE_NONE) {
            v->data = (u_char *) ngx_http_speedy_code_text(ctx->code);
            v->len = ngx_strlen(v->data);
        }
        break;

    default: /* the digests */
        if (ngx_http_speedy_digests(ctx) != NGX_OK) {
            return NGX_OK;
        }

        p = ngx_pnalloc(r->pool, SPEEDY_DIGEST_LEN * 2);
        if (p == NULL) {
            return NGX_ERROR;
        }

        digest = (data == NGX_HTTP_SPEEDY_VAR_KEY_DIGEST) ? ctx->key_digest
                                                          : ctx->body_digest;
        ngx_hex_dump(p, (u_char *) digest, SPEEDY_DIGEST_LEN);
        v->len = SPEEDY_DIGEST_LEN * 2;
        v->data = p;
        break;
    }

    return NGX_OK;
}
