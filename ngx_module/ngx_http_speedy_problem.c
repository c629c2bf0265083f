/*
 * Answers: problem details (RFC 9457) with a stable `code`, and what all
 * answers share. The text of a problem up to its request_id is made by the
 * compiler, so that the answer most shoppers get costs two copies.
 */

#include "ngx_http_speedy.h"


static const struct {
    ngx_uint_t   status;
    const char  *code;
    ngx_str_t    text;
} ngx_http_speedy_problems[] = {

#define NGX_HTTP_SPEEDY_PROBLEM(name, status, code, title)                    \
    { status, code,                                                           \
      ngx_string("{\"type\":\"about:blank\",\"title\":\"" title               \
                 "\",\"status\":" #status ",\"code\":\"" code                 \
                 "\",\"request_id\":\"") },

    NGX_HTTP_SPEEDY_CODES(NGX_HTTP_SPEEDY_PROBLEM)
};


static ngx_str_t  ngx_http_speedy_problem_type =
    ngx_string("application/problem+json");
static ngx_str_t  ngx_http_speedy_challenge =
    ngx_string("Bearer realm=\"speedy\"");
static ngx_str_t  ngx_http_speedy_challenge_invalid =
    ngx_string("Bearer realm=\"speedy\", error=\"invalid_token\"");
static ngx_str_t  ngx_http_speedy_second = ngx_string("1");


ngx_int_t
ngx_http_speedy_problem_send(ngx_http_request_t *r,
    ngx_http_speedy_code_e code, ngx_http_speedy_problem_t *p)
{
    u_char                 *end;
    ngx_int_t               rc;
    ngx_str_t               id, body, number;
    const ngx_str_t        *text;
    ngx_http_speedy_ctx_t  *ctx;

    ngx_http_speedy_count_code(code);

    ctx = ngx_http_speedy_ctx_get(r);
    if (ctx) {
        ctx->code = code;
    }

    ngx_http_speedy_request_id(r, &id);
    text = &ngx_http_speedy_problems[code].text;

    body.data = ngx_pnalloc(r->pool, text->len + id.len + sizeof("\"}")
                                     + (p ? p->extra.len : 0));
    if (body.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    end = ngx_cpymem(body.data, text->data, text->len);
    end = ngx_cpymem(end, id.data, id.len);
    *end++ = '"';
    if (p && p->extra.len) {
        end = ngx_cpymem(end, p->extra.data, p->extra.len);
    }
    *end++ = '}';
    body.len = end - body.data;

    rc = NGX_OK;

    if (p && p->retry_after == 1) {
        rc = ngx_http_speedy_header_add(r, "Retry-After",
                                        &ngx_http_speedy_second);
    } else if (p && p->retry_after) {
        number.data = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
        if (number.data == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
        number.len = ngx_sprintf(number.data, "%ui", p->retry_after)
                     - number.data;
        rc = ngx_http_speedy_header_add(r, "Retry-After", &number);
    }

    if (rc == NGX_OK && p && p->allow.len) {
        rc = ngx_http_speedy_header_add(r, "Allow", &p->allow);
    }

    if (rc == NGX_OK && ngx_http_speedy_problems[code].status == 401) {
        rc = ngx_http_speedy_header_add(r, "WWW-Authenticate",
                                        code == NGX_HTTP_SPEEDY_TOKEN_MISSING
                                        ? &ngx_http_speedy_challenge
                                        : &ngx_http_speedy_challenge_invalid);
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_speedy_answer_send(r, ngx_http_speedy_problems[code].status,
                                       &ngx_http_speedy_problem_type, &body);
}


/* nginx's status, which error_page keeps here, and the code that tells it. */

static const struct {
    ngx_uint_t              status;
    ngx_http_speedy_code_e  code;
} ngx_http_speedy_problem_codes[] = {
    { 400, NGX_HTTP_SPEEDY_BAD_REQUEST },
    { 403, NGX_HTTP_SPEEDY_FORBIDDEN },
    { 404, NGX_HTTP_SPEEDY_NOT_FOUND },
    { 405, NGX_HTTP_SPEEDY_METHOD_NOT_ALLOWED },
    { 411, NGX_HTTP_SPEEDY_LENGTH_REQUIRED },
    { 413, NGX_HTTP_SPEEDY_TOO_LARGE },
    { 414, NGX_HTTP_SPEEDY_URI_TOO_LONG },
    { 415, NGX_HTTP_SPEEDY_UNSUPPORTED_MEDIA_TYPE },
    { 421, NGX_HTTP_SPEEDY_MISDIRECTED },
    { 429, NGX_HTTP_SPEEDY_TOO_MANY_REQUESTS },
    { 431, NGX_HTTP_SPEEDY_HEADERS_TOO_LARGE },
    { 494, NGX_HTTP_SPEEDY_HEADERS_TOO_LARGE },
    { 500, NGX_HTTP_SPEEDY_INTERNAL },
    { 501, NGX_HTTP_SPEEDY_NOT_IMPLEMENTED },
    { 502, NGX_HTTP_SPEEDY_UNAVAILABLE },
    { 503, NGX_HTTP_SPEEDY_UNAVAILABLE },
    { 504, NGX_HTTP_SPEEDY_UNAVAILABLE },
    { 505, NGX_HTTP_SPEEDY_HTTP_VERSION }
};


ngx_int_t
ngx_http_speedy_problem_handler(ngx_http_request_t *r)
{
    ngx_int_t                    n, rc;
    ngx_str_t                    seconds;
    ngx_uint_t                   i, status;
    ngx_http_speedy_code_e       code;
    ngx_http_speedy_problem_t    p;
    ngx_http_speedy_loc_conf_t  *slcf;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    /* one of 4xx that is not listed is a bad request; asked for itself: 404 */

    status = r->err_status ? r->err_status : NGX_HTTP_NOT_FOUND;
    code = (status < 500) ? NGX_HTTP_SPEEDY_BAD_REQUEST
                          : NGX_HTTP_SPEEDY_INTERNAL;

    for (i = 0; i < sizeof(ngx_http_speedy_problem_codes)
                    / sizeof(ngx_http_speedy_problem_codes[0]); i++)
    {
        if (ngx_http_speedy_problem_codes[i].status == status) {
            code = ngx_http_speedy_problem_codes[i].code;
            break;
        }
    }

    /* it would overrule the status of ours */

    r->err_status = 0;

    ngx_memzero(&p, sizeof(ngx_http_speedy_problem_t));

    if (code == NGX_HTTP_SPEEDY_TOO_MANY_REQUESTS
        || code == NGX_HTTP_SPEEDY_UNAVAILABLE)
    {
        p.retry_after = 1;
        slcf = ngx_http_get_module_loc_conf(r, ngx_http_speedy_module);

        if (code == NGX_HTTP_SPEEDY_TOO_MANY_REQUESTS && slcf->retry_after) {
            if (ngx_http_complex_value(r, slcf->retry_after, &seconds)
                != NGX_OK)
            {
                return NGX_ERROR;
            }

            n = ngx_atoi(seconds.data, seconds.len);
            p.retry_after = (n > 0) ? n : 1;
        }
    }

    return ngx_http_speedy_problem_send(r, code, &p);
}


ngx_int_t
ngx_http_speedy_answer_send(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, ngx_str_t *body)
{
    ngx_buf_t    *b;
    ngx_int_t     rc;
    ngx_chain_t   out;

    r->headers_out.status = status;
    r->headers_out.content_length_n = body->len;
    r->headers_out.content_type = *type;
    r->headers_out.content_type_len = type->len;
    r->headers_out.content_type_lowcase = NULL;

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_send_header(r);
    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b->pos = body->data;
    b->last = body->data + body->len;
    b->memory = 1;
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


ngx_int_t
ngx_http_speedy_header_add(ngx_http_request_t *r, const char *name,
    ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value = *value;
    h->lowcase_key = NULL;

    return NGX_OK;
}


const char *
ngx_http_speedy_code_text(ngx_http_speedy_code_e code)
{
    return ngx_http_speedy_problems[code].code;
}


/*
 * nginx's own $request_id, so that answer, log and upstream agree; when nobody
 * has asked for it yet it is made here, cheaper than nginx would.
 */

void
ngx_http_speedy_request_id(ngx_http_request_t *r, ngx_str_t *id)
{
    u_char                        random[16];
    ngx_http_variable_value_t    *v;
    ngx_http_speedy_main_conf_t  *smcf;

    smcf = ngx_http_get_module_main_conf(r, ngx_http_speedy_module);

    v = &r->variables[smcf->request_id];

    if (!v->valid && !v->not_found
        && ngx_http_speedy_random(random, sizeof(random)) == NGX_OK)
    {
        v->data = ngx_pnalloc(r->pool, sizeof(random) * 2);

        if (v->data) {
            ngx_hex_dump(v->data, random, sizeof(random));
            v->len = sizeof(random) * 2;
            v->valid = 1;
            v->no_cacheable = 0;
            v->not_found = 0;
        }
    }

    v = ngx_http_get_indexed_variable(r, smcf->request_id);

    if (v == NULL || v->not_found) {
        ngx_str_set(id, "");
        return;
    }

    id->len = v->len;
    id->data = v->data;
}
