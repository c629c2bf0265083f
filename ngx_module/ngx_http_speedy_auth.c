/*
 * The access phase: `speedy_auth` asks for a token of a role, of a session
 * that has not ended. Identity is taken from the checked token only and kept
 * in the request's context, where the variables and the purchase read it.
 */

#include "ngx_http_speedy.h"


static ngx_http_speedy_code_e ngx_http_speedy_judge(ngx_http_request_t *r,
    ngx_http_speedy_identity_t *who);
static void ngx_http_speedy_ctx_cleanup(void *data);


static ngx_str_t  ngx_http_speedy_roles[] = {
    ngx_string(""),
    ngx_string("USER"),
    ngx_string("VIEWER"),
    ngx_string("CS"),
    ngx_string("OPERATOR"),
    ngx_string("OWNER")
};


ngx_int_t
ngx_http_speedy_access_handler(ngx_http_request_t *r)
{
    ngx_http_speedy_ctx_t       *ctx;
    ngx_http_speedy_code_e       code;
    ngx_http_speedy_problem_t    p;
    ngx_http_speedy_loc_conf_t  *slcf;

    slcf = ngx_http_get_module_loc_conf(r, ngx_http_speedy_module);

    if (slcf->auth == NGX_HTTP_SPEEDY_ROLE_NONE) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_speedy_authenticate(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    code = ctx->token;

    if (code == NGX_HTTP_SPEEDY_CODE_NONE
        && (slcf->auth == NGX_HTTP_SPEEDY_ROLE_USER
            ? ctx->who.role != NGX_HTTP_SPEEDY_ROLE_USER
            : ctx->who.role < slcf->auth))
    {
        code = NGX_HTTP_SPEEDY_ROLE_REQUIRED;
    }

    if (code == NGX_HTTP_SPEEDY_CODE_NONE) {
        return NGX_OK;
    }

    if (ngx_http_discard_request_body(r) != NGX_OK) {
        return NGX_HTTP_BAD_REQUEST;
    }

    ngx_memzero(&p, sizeof(ngx_http_speedy_problem_t));
    p.retry_after = (code == NGX_HTTP_SPEEDY_UNAVAILABLE) ? 1 : 0;

    ngx_http_finalize_request(r, ngx_http_speedy_problem_send(r, code, &p));

    return NGX_DONE;
}


/*
 * Once a request, in its access phase or when a limit before it asks for
 * $speedy_user.
 */

ngx_http_speedy_ctx_t *
ngx_http_speedy_authenticate(ngx_http_request_t *r)
{
    ngx_http_speedy_ctx_t  *ctx;

    ctx = ngx_http_speedy_ctx_get(r);
    if (ctx == NULL) {
        ctx = ngx_http_speedy_ctx_create(r);
        if (ctx == NULL) {
            return NULL;
        }
    }

    if (!ctx->authenticated) {
        ctx->token = ngx_http_speedy_judge(r, &ctx->who);
        ctx->authenticated = 1;
    }

    return ctx;
}


/*
 * Apart from `who`: a location that asks for no token gives its upstream no
 * identity, whatever the client sent.
 */

ngx_http_speedy_ctx_t *
ngx_http_speedy_bearer(ngx_http_request_t *r)
{
    ngx_http_speedy_ctx_t       *ctx;
    ngx_http_speedy_identity_t   who;

    ctx = ngx_http_speedy_ctx_get(r);
    if (ctx == NULL) {
        ctx = ngx_http_speedy_ctx_create(r);
        if (ctx == NULL) {
            return NULL;
        }
    }

    if (!ctx->bearer_known) {
        if (ctx->authenticated) {
            ctx->bearer = ctx->who.user;

        } else {
            (void) ngx_http_speedy_judge(r, &who);
            ctx->bearer = who.user;
        }

        ctx->bearer_known = 1;
    }

    return ctx;
}


/* `who` is nobody unless the code is CODE_NONE. */

static ngx_http_speedy_code_e
ngx_http_speedy_judge(ngx_http_request_t *r, ngx_http_speedy_identity_t *who)
{
    ngx_http_speedy_code_e        code;
    ngx_http_speedy_main_conf_t  *smcf;

    smcf = ngx_http_get_module_main_conf(r, ngx_http_speedy_module);

    ngx_memzero(who, sizeof(ngx_http_speedy_identity_t));

    code = ngx_http_speedy_jwt_check(smcf->jwt,
                                     r->headers_in.authorization
                                     ? &r->headers_in.authorization->value
                                     : NULL,
                                     who);

    if (code == NGX_HTTP_SPEEDY_CODE_NONE) {
        code = ngx_http_speedy_sessions_check(&who->session);
    }

    if (code != NGX_HTTP_SPEEDY_CODE_NONE) {
        ngx_memzero(who, sizeof(ngx_http_speedy_identity_t));
    }

    return code;
}


/*
 * An internal redirect (error_page, a named location) clears r->ctx; the log
 * and the archive's location still want it. The pool's cleanup list holds it.
 */

ngx_http_speedy_ctx_t *
ngx_http_speedy_ctx_get(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t     *cln;
    ngx_http_speedy_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_speedy_module);

    if (ctx || (!r->internal && !r->filter_finalize)) {
        return ctx;
    }

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_speedy_ctx_cleanup) {
            ngx_http_set_ctx(r, cln->data, ngx_http_speedy_module);
            return cln->data;
        }
    }

    return NULL;
}


ngx_http_speedy_ctx_t *
ngx_http_speedy_ctx_create(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t     *cln;
    ngx_http_speedy_ctx_t  *ctx;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_speedy_ctx_t));
    if (cln == NULL) {
        return NULL;
    }

    ctx = cln->data;
    ngx_memzero(ctx, sizeof(ngx_http_speedy_ctx_t));
    ctx->code = NGX_HTTP_SPEEDY_CODE_NONE;

    cln->handler = ngx_http_speedy_ctx_cleanup;
    ngx_http_set_ctx(r, ctx, ngx_http_speedy_module);

    return ctx;
}


/* Only the mark by which ctx_get finds the context. */

static void
ngx_http_speedy_ctx_cleanup(void *data)
{
}


const ngx_str_t *
ngx_http_speedy_role_name(ngx_uint_t role)
{
    return &ngx_http_speedy_roles[role];
}


ngx_uint_t
ngx_http_speedy_role_parse(const u_char *text, size_t len)
{
    ngx_uint_t  i;

    for (i = NGX_HTTP_SPEEDY_ROLE_USER; i <= NGX_HTTP_SPEEDY_ROLE_OWNER; i++) {
        if (ngx_http_speedy_roles[i].len == len
            && ngx_memcmp(ngx_http_speedy_roles[i].data, text, len) == 0)
        {
            return i;
        }
    }

    return NGX_HTTP_SPEEDY_ROLE_NONE;
}
