/*
 * POST …/sales/{id}/orders: what can be judged without a store, then the
 * zone, then a job (ngx_http_speedy_job.c) that parks the request; and the
 * answers of both.
 */

#include "ngx_http_speedy.h"


static ngx_http_speedy_code_e ngx_http_speedy_purchase_key(
    ngx_http_request_t *r, ngx_str_t *key);
static ngx_http_speedy_code_e ngx_http_speedy_purchase_head(
    ngx_http_request_t *r);
static ngx_int_t ngx_http_speedy_purchase_refuse(ngx_http_request_t *r,
    ngx_http_speedy_code_e code);
static void ngx_http_speedy_purchase_body(ngx_http_request_t *r);
static ngx_int_t ngx_http_speedy_purchase_go(ngx_http_request_t *r);
static ngx_int_t ngx_http_speedy_purchase_text(ngx_http_request_t *r,
    u_char *buffer, u_char **text, size_t *len);
static ngx_int_t ngx_http_speedy_purchase_park(ngx_http_request_t *r);
static ngx_int_t ngx_http_speedy_purchase_accepted(
    ngx_http_speedy_job_t *job);
static ngx_int_t ngx_http_speedy_purchase_sold_out(ngx_http_request_t *r,
    int64_t left, int64_t holds, ngx_uint_t retry_after);
static ngx_int_t ngx_http_speedy_purchase_not_open(ngx_http_request_t *r,
    int64_t now, int64_t opens_at);


static ngx_str_t  ngx_http_speedy_json_type = ngx_string("application/json");
static ngx_str_t  ngx_http_speedy_true = ngx_string("true");


ngx_int_t
ngx_http_speedy_purchase_handler(ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    ngx_http_speedy_ctx_t      *ctx;
    ngx_http_speedy_code_e      code;
    ngx_http_speedy_problem_t   p;

    /* -t has seen that the location has speedy_auth; this is the belt */

    ctx = ngx_http_speedy_ctx_get(r);
    if (ctx == NULL || ctx->who.role != NGX_HTTP_SPEEDY_ROLE_USER) {
        return NGX_HTTP_FORBIDDEN;
    }

    if (r->method != NGX_HTTP_POST) {
        rc = ngx_http_discard_request_body(r);
        if (rc != NGX_OK) {
            return rc;
        }

        ngx_memzero(&p, sizeof(ngx_http_speedy_problem_t));
        ngx_str_set(&p.allow, "POST");

        return ngx_http_speedy_problem_send(r,
                                        NGX_HTTP_SPEEDY_METHOD_NOT_ALLOWED,
                                        &p);
    }

    if (ngx_http_speedy_uri_sale(r, "/orders", &ctx->sale) != NGX_OK) {
        return ngx_http_speedy_purchase_refuse(r,
                                               NGX_HTTP_SPEEDY_SALE_NOT_FOUND);
    }

    code = ngx_http_speedy_purchase_key(r, &ctx->key);
    if (code == NGX_HTTP_SPEEDY_CODE_NONE) {
        code = ngx_http_speedy_purchase_head(r);
    }

    if (code != NGX_HTTP_SPEEDY_CODE_NONE) {
        return ngx_http_speedy_purchase_refuse(r, code);
    }

    r->request_body_in_single_buf = 1;

    rc = ngx_http_read_client_request_body(r, ngx_http_speedy_purchase_body);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


/* What is no id cannot be a sale. */

ngx_int_t
ngx_http_speedy_uri_sale(ngx_http_request_t *r, const char *tail,
    ngx_http_speedy_id_t *sale)
{
    u_char  *p, *end;
    size_t   len = ngx_strlen(tail), head = sizeof("/sales/") - 1;

    if (r->uri.len < head + 1 + len) {
        return NGX_DECLINED;
    }

    end = r->uri.data + r->uri.len - len;
    if (ngx_memcmp(end, tail, len) != 0) {
        return NGX_DECLINED;
    }

    for (p = end; p > r->uri.data && p[-1] != '/'; p--) {
        /* void */
    }

    if ((size_t) (p - r->uri.data) < head
        || ngx_memcmp(p - head, "/sales/", head) != 0)
    {
        return NGX_DECLINED;
    }

    return ngx_http_speedy_id_set(sale, p, end - p);
}


static ngx_http_speedy_code_e
ngx_http_speedy_purchase_key(ngx_http_request_t *r, ngx_str_t *key)
{
    size_t            i;
    ngx_uint_t        n, found;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    found = 0;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (n = 0; n < part->nelts; n++) {
            if (h[n].key.len == sizeof("idempotency-key") - 1
                && ngx_strncmp(h[n].lowcase_key, "idempotency-key",
                               h[n].key.len)
                   == 0)
            {
                *key = h[n].value;
                found++;
            }
        }
    }

    if (found == 0) {
        return NGX_HTTP_SPEEDY_KEY_MISSING;
    }

    if (found > 1 || key->len == 0 || key->len > SPEEDY_IDEMPOTENCY_KEY_MAX) {
        return NGX_HTTP_SPEEDY_KEY_INVALID;
    }

    for (i = 0; i < key->len; i++) {
        if (key->data[i] < 0x21 || key->data[i] > 0x7e) {
            return NGX_HTTP_SPEEDY_KEY_INVALID;
        }
    }

    return NGX_HTTP_SPEEDY_CODE_NONE;
}


static ngx_http_speedy_code_e
ngx_http_speedy_purchase_head(ngx_http_request_t *r)
{
    size_t      len = sizeof("application/json") - 1;
    ngx_str_t  *type;

    if (r->headers_in.content_length_n <= 0 && !r->headers_in.chunked) {
        return NGX_HTTP_SPEEDY_LENGTH_REQUIRED;
    }

    if (r->headers_in.content_length_n > NGX_HTTP_SPEEDY_BODY_MAX) {
        return NGX_HTTP_SPEEDY_TOO_LARGE;
    }

    if (r->headers_in.content_type == NULL) {
        return NGX_HTTP_SPEEDY_UNSUPPORTED_MEDIA_TYPE;
    }

    type = &r->headers_in.content_type->value;

    if (type->len < len
        || ngx_strncasecmp(type->data, (u_char *) "application/json", len) != 0
        || (type->len > len && type->data[len] != ';'
            && type->data[len] != ' '))
    {
        return NGX_HTTP_SPEEDY_UNSUPPORTED_MEDIA_TYPE;
    }

    return NGX_HTTP_SPEEDY_CODE_NONE;
}


/* Before the body was read. */

static ngx_int_t
ngx_http_speedy_purchase_refuse(ngx_http_request_t *r,
    ngx_http_speedy_code_e code)
{
    ngx_int_t  rc;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_http_speedy_problem_send(r, code, NULL);
}


static void
ngx_http_speedy_purchase_body(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    rc = ngx_http_speedy_purchase_go(r);

    /* a parked request keeps the reference that reading the body took */

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }
}


static ngx_int_t
ngx_http_speedy_purchase_go(ngx_http_request_t *r)
{
    u_char                       buffer[NGX_HTTP_SPEEDY_BODY_MAX], *text;
    size_t                       len;
    ngx_http_speedy_ctx_t       *ctx;
    ngx_http_speedy_code_e       code;
    ngx_http_speedy_problem_t    p;
    ngx_http_speedy_zone_view_t  view;

    ctx = ngx_http_speedy_ctx_get(r);
    ngx_memzero(&p, sizeof(ngx_http_speedy_problem_t));

    if (ngx_http_speedy_purchase_text(r, buffer, &text, &len) != NGX_OK) {
        return ngx_http_speedy_problem_send(r, NGX_HTTP_SPEEDY_TOO_LARGE,
                                            NULL);
    }

    code = ngx_http_speedy_body_parse(r, text, len, ctx, &p.extra);
    if (code != NGX_HTTP_SPEEDY_CODE_NONE) {
        return ngx_http_speedy_problem_send(r, code, &p);
    }

    ngx_http_speedy_zone_ask(ctx, &view);

    if (view.claim.claim) {
        ngx_http_speedy_probe_start(&view.claim);
    }

    switch (view.answer) {

    case NGX_HTTP_SPEEDY_ZONE_IS_SOLD_OUT:
        ngx_http_speedy_count(NGX_HTTP_SPEEDY_COUNT_ZONE_SOLD_OUT);
        return ngx_http_speedy_purchase_sold_out(r, 0, view.holds, 0);

    case NGX_HTTP_SPEEDY_ZONE_IS_NOT_OPEN:
        ngx_http_speedy_count(NGX_HTTP_SPEEDY_COUNT_ZONE_NOT_OPEN);
        return ngx_http_speedy_purchase_not_open(r, view.now, view.opens_at);

    default:
        ngx_http_speedy_count(NGX_HTTP_SPEEDY_COUNT_ZONE_ASKED);
        break;
    }

    if (ngx_http_speedy_job_start(r, ctx, &code) != NGX_DONE) {
        p.retry_after = (code == NGX_HTTP_SPEEDY_UNAVAILABLE);
        return ngx_http_speedy_problem_send(r, code, &p);
    }

    return ngx_http_speedy_purchase_park(r);
}


/* The body as one piece: where it lies, or copied when it came in parts. */

static ngx_int_t
ngx_http_speedy_purchase_text(ngx_http_request_t *r, u_char *buffer,
    u_char **text, size_t *len)
{
    size_t        n, size;
    ngx_chain_t  *cl;

    *text = buffer;
    *len = 0;
    n = 0;

    if (r->request_body == NULL) {
        return NGX_OK;
    }

    for (cl = r->request_body->bufs; cl; cl = cl->next) {

        if (cl->buf->in_file) {
            return NGX_DECLINED;    /* client_body_buffer_size below 4k */
        }

        size = cl->buf->last - cl->buf->pos;

        if (size == 0) {
            continue;
        }

        if (n == 0 && cl->next == NULL && size <= NGX_HTTP_SPEEDY_BODY_MAX) {
            *text = cl->buf->pos;
            *len = size;
            return NGX_OK;
        }

        if (size > NGX_HTTP_SPEEDY_BODY_MAX - n) {
            return NGX_DECLINED;
        }

        ngx_memcpy(buffer + n, cl->buf->pos, size);
        n += size;
    }

    *len = n;

    return NGX_OK;
}


/* Nobody reads or writes for the client now, but it may go away. */

static ngx_int_t
ngx_http_speedy_purchase_park(ngx_http_request_t *r)
{
    r->write_event_handler = ngx_http_request_empty_handler;
    r->read_event_handler = ngx_http_test_reading;

    if (r->connection->read->ready) {
        ngx_post_event(r->connection->read, &ngx_posted_events);

    } else if (ngx_handle_read_event(r->connection->read, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_DONE;
}


ngx_int_t
ngx_http_speedy_purchase_answer(ngx_http_speedy_job_t *job)
{
    u_char                     *start, *end;
    ngx_http_request_t         *r;
    ngx_http_speedy_ctx_t      *ctx;
    ngx_http_speedy_problem_t   p;

    r = job->r;
    ctx = ngx_http_speedy_ctx_get(r);
    ngx_memzero(&p, sizeof(ngx_http_speedy_problem_t));

    if (job->order_known) {
        ngx_http_speedy_uuid_text(ctx->order_text, job->order);
        ctx->order = 1;
    }

    switch (job->outcome) {

    case NGX_HTTP_SPEEDY_ACCEPTED:
    case NGX_HTTP_SPEEDY_REPLAYED:
        return ngx_http_speedy_purchase_accepted(job);

    case NGX_HTTP_SPEEDY_SOLD_OUT:
        return ngx_http_speedy_purchase_sold_out(r, job->left, job->holds,
                                                 job->retry_after);

    case NGX_HTTP_SPEEDY_SALE_NOT_OPEN:
        return ngx_http_speedy_purchase_not_open(r, job->now, job->opens_at);

    case NGX_HTTP_SPEEDY_SALE_CLOSED:
        if (job->archived && job->slcf->archive.len) {
            (void) ngx_http_named_location(r, &job->slcf->archive);
            return NGX_DONE;
        }
        break;

    case NGX_HTTP_SPEEDY_IN_DOUBT:
    case NGX_HTTP_SPEEDY_SALE_FENCED:
    case NGX_HTTP_SPEEDY_UNAVAILABLE:
        p.retry_after = 1;
        break;

    default:
        break;
    }

    start = ngx_pnalloc(r->pool, sizeof(",\"limit\":,\"order_id\":\"\","
                                        "\"errors\":[{\"pointer\":\"/quantity"
                                        "\",\"code\":\"above_limit\"}]")
                                 + NGX_INT64_LEN + NGX_HTTP_SPEEDY_UUID_LEN);
    if (start == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    end = start;

    if (job->limit) {
        end = ngx_sprintf(end, ",\"limit\":%L", job->limit);
    }

    if (job->outcome == NGX_HTTP_SPEEDY_INVALID_QUANTITY) {
        end = ngx_sprintf(end, ",\"errors\":[{\"pointer\":\"/quantity\","
                          "\"code\":\"above_limit\"}]");

    } else if (job->order_known) {
        end = ngx_sprintf(end, ",\"order_id\":\"%*s\"",
                          (size_t) NGX_HTTP_SPEEDY_UUID_LEN, ctx->order_text);
    }

    p.extra.data = start;
    p.extra.len = end - start;

    return ngx_http_speedy_problem_send(r, job->outcome, &p);
}


static ngx_int_t
ngx_http_speedy_purchase_accepted(ngx_http_speedy_job_t *job)
{
    u_char                 *p, pay_by[NGX_HTTP_SPEEDY_TIME_LEN];
    ngx_str_t               body, location;
    ngx_http_request_t     *r;
    ngx_http_speedy_ctx_t  *ctx;

    r = job->r;
    ctx = ngx_http_speedy_ctx_get(r);
    ctx->code = job->outcome;
    ngx_http_speedy_count_code(job->outcome);

    p = ngx_pnalloc(r->pool, 512 + sizeof("/api/v1/orders/")
                             + NGX_HTTP_SPEEDY_UUID_LEN);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_speedy_time_text(pay_by, job->pay_by);

    body.data = p;
    p = ngx_snprintf(p, 512,
                     "{\"order_id\":\"%*s\",\"state\":\"ACCEPTED\","
                     "\"sale_id\":\"%*s\",\"variant\":\"%*s\","
                     "\"quantity\":%L,\"unit_price\":%L,\"amount\":%L,"
                     "\"currency\":\"" SPEEDY_CURRENCY "\",\"seq\":%L,"
                     "\"pay_by\":\"%*s\"}",
                     (size_t) NGX_HTTP_SPEEDY_UUID_LEN, ctx->order_text,
                     (size_t) job->sale.len, job->sale.data,
                     (size_t) job->variant.len, job->variant.data,
                     job->quantity, job->price, job->price * job->quantity,
                     job->seq, sizeof(pay_by), pay_by);
    body.len = p - body.data;

    location.data = p;
    p = ngx_cpymem(p, "/api/v1/orders/", sizeof("/api/v1/orders/") - 1);
    p = ngx_cpymem(p, ctx->order_text, NGX_HTTP_SPEEDY_UUID_LEN);
    location.len = p - location.data;

    if (ngx_http_speedy_header_add(r, "Location", &location) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (job->outcome == NGX_HTTP_SPEEDY_REPLAYED
        && ngx_http_speedy_header_add(r, "Idempotent-Replayed",
                                      &ngx_http_speedy_true)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_speedy_answer_send(r, NGX_HTTP_ACCEPTED,
                                       &ngx_http_speedy_json_type, &body);
}


static ngx_int_t
ngx_http_speedy_purchase_sold_out(ngx_http_request_t *r, int64_t left,
    int64_t holds, ngx_uint_t retry_after)
{
    u_char                     text[sizeof(",\"left\":,\"unpaid_holds\":")
                                    + 2 * NGX_INT64_LEN];
    ngx_http_speedy_problem_t  p;

    ngx_memzero(&p, sizeof(ngx_http_speedy_problem_t));
    p.retry_after = retry_after;

    if (!retry_after) {
        p.extra.data = text;
        p.extra.len = ngx_sprintf(text, ",\"left\":%L,\"unpaid_holds\":%L",
                                  left, holds)
                      - text;
    }

    return ngx_http_speedy_problem_send(r, NGX_HTTP_SPEEDY_SOLD_OUT, &p);
}


static ngx_int_t
ngx_http_speedy_purchase_not_open(ngx_http_request_t *r, int64_t now,
    int64_t opens_at)
{
    u_char                    *end;
    u_char                     text[sizeof(",\"opens_at\":\"\","
                                           "\"server_time\":\"\"")
                                    + 2 * NGX_HTTP_SPEEDY_TIME_LEN + 8];
    ngx_http_speedy_problem_t  p;

    ngx_memzero(&p, sizeof(ngx_http_speedy_problem_t));

    end = ngx_cpymem(text, ",\"opens_at\":\"", sizeof(",\"opens_at\":\"") - 1);
    end = ngx_http_speedy_time_text(end, opens_at);
    end = ngx_cpymem(end, "\",\"server_time\":\"",
                     sizeof("\",\"server_time\":\"") - 1);
    end = ngx_http_speedy_time_text(end, now);
    *end++ = '"';

    p.extra.data = text;
    p.extra.len = end - text;
    p.retry_after = (opens_at > now) ? (opens_at - now + 999) / 1000 : 1;

    return ngx_http_speedy_problem_send(r, NGX_HTTP_SPEEDY_SALE_NOT_OPEN, &p);
}
