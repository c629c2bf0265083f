/*
 * reserve.lua for a job: what is asked, and what each of its answers means.
 * Called back by Redis, these functions only store results and post the job's
 * event. A gate that is gone is followed by one look whether the sale exists.
 */

#include "ngx_http_speedy.h"


static void ngx_http_speedy_reserve_done(void *data, redisReply *reply);
static ngx_uint_t ngx_http_speedy_reserve_took(ngx_http_speedy_job_t *job,
    redisReply *reply);
static ngx_uint_t ngx_http_speedy_reserve_known(ngx_http_speedy_job_t *job,
    redisReply *reply);
static void ngx_http_speedy_reserve_refused(ngx_http_speedy_job_t *job,
    redisReply *reply);
static void ngx_http_speedy_reserve_looked_up(void *data, redisReply *reply);


ngx_int_t
ngx_http_speedy_reserve(ngx_http_speedy_job_t *job)
{
    u_char       keys[6][NGX_HTTP_SPEEDY_KEY_LEN];
    u_char       quantity[NGX_INT64_LEN];
    size_t       len[13];
    ngx_uint_t   i;
    const char  *argv[13];

    static const char  *what[] = {
        SPEEDY_KEY_GATE, SPEEDY_KEY_STOCK, SPEEDY_KEY_RESV, SPEEDY_KEY_USER,
        SPEEDY_KEY_PEND, SPEEDY_KEY_LOG
    };

    for (i = 0; i < 6; i++) {
        argv[i] = (char *) keys[i];
        len[i] = ngx_http_speedy_redis_key(keys[i], &job->sale, what[i]);
    }

    argv[6] = (const char *) ngx_http_speedy_redis_run_id();
    len[6] = NGX_HTTP_SPEEDY_RUN_ID_LEN;
    argv[7] = (char *) job->order;
    len[7] = NGX_HTTP_SPEEDY_ORDER_LEN;
    argv[8] = (char *) job->user.data;
    len[8] = job->user.len;
    argv[9] = (char *) job->variant.data;
    len[9] = job->variant.len;
    argv[10] = (char *) quantity;
    len[10] = ngx_sprintf(quantity, "%L", job->quantity) - quantity;
    argv[11] = (char *) job->key_digest;
    len[11] = SPEEDY_DIGEST_LEN;
    argv[12] = (char *) job->body_digest;
    len[12] = SPEEDY_DIGEST_LEN;

    if (ngx_http_speedy_redis_script(NGX_HTTP_SPEEDY_SCRIPT_RESERVE, job->text,
                                     6, 13, argv, len,
                                     ngx_http_speedy_reserve_done, job)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    job->state = NGX_HTTP_SPEEDY_JOB_RESERVE;
    job->pending = 1;

    return NGX_OK;
}


static void
ngx_http_speedy_reserve_done(void *data, redisReply *reply)
{
    redisReply             *code;
    ngx_http_speedy_job_t  *job = data;

    job->pending = 0;

    if (reply == NULL) {
        ngx_http_speedy_job_outcome(job, NGX_HTTP_SPEEDY_IN_DOUBT);
        return;
    }

    if (ngx_http_speedy_redis_noscript(reply) && !job->text) {
        job->text = 1;

        if (ngx_http_speedy_reserve(job) != NGX_OK) {
            ngx_http_speedy_job_outcome(job, NGX_HTTP_SPEEDY_UNAVAILABLE);
        }

        return;
    }

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0) {

        /* an error comes before the script's first write */

        ngx_http_speedy_redis_error(reply, "reserve");
        ngx_http_speedy_job_outcome(job, NGX_HTTP_SPEEDY_UNAVAILABLE);
        return;
    }

    code = reply->element[0];

    if (ngx_http_speedy_reply_is(code, "FENCED")) {
        job->state = NGX_HTTP_SPEEDY_JOB_LOOKUP;
        ngx_post_event(&job->event, &ngx_posted_events);
        return;
    }

    ngx_http_speedy_zone_watch(&job->sale,
                               ngx_http_speedy_reply_is(code, "SOLD_OUT")
                               || ngx_http_speedy_reply_is(code, "NOT_OPEN"));

    if ((ngx_http_speedy_reply_is(code, "RESERVED")
         && ngx_http_speedy_reserve_took(job, reply))
        || (ngx_http_speedy_reply_is(code, "PENDING")
            && ngx_http_speedy_reserve_known(job, reply)))
    {
        job->state = NGX_HTTP_SPEEDY_JOB_PRODUCE;
        ngx_post_event(&job->event, &ngx_posted_events);
        return;
    }

    if (ngx_http_speedy_reply_is(code, "REPLAY")
        && ngx_http_speedy_reserve_known(job, reply))
    {
        ngx_http_speedy_job_outcome(job, NGX_HTTP_SPEEDY_REPLAYED);
        return;
    }

    ngx_http_speedy_reserve_refused(job, reply);
}


static ngx_uint_t
ngx_http_speedy_reserve_took(ngx_http_speedy_job_t *job, redisReply *reply)
{
    if (reply->elements != 7) {
        return 0;
    }

    job->order_known = 1;
    job->seq = ngx_http_speedy_reply_number(reply->element[1]);
    job->price = ngx_http_speedy_reply_number(reply->element[2]);
    job->reserved_at = ngx_http_speedy_reply_number(reply->element[3]);
    job->pay_by = ngx_http_speedy_reply_number(reply->element[4]);
    job->epoch = ngx_http_speedy_reply_number(reply->element[5]);

    if (ngx_http_speedy_reply_number(reply->element[6]) == 0) {
        ngx_http_speedy_zone_watch(&job->sale, 1);
    }

    return 1;
}


/* The order of this key, from an earlier request. */

static ngx_uint_t
ngx_http_speedy_reserve_known(ngx_http_speedy_job_t *job, redisReply *reply)
{
    if (reply->elements != 8
        || reply->element[1]->type != REDIS_REPLY_STRING
        || reply->element[1]->len != NGX_HTTP_SPEEDY_ORDER_LEN)
    {
        return 0;
    }

    ngx_memcpy(job->order, reply->element[1]->str, NGX_HTTP_SPEEDY_ORDER_LEN);
    job->order_known = 1;
    job->replayed = 1;
    job->quantity = ngx_http_speedy_reply_number(reply->element[2]);
    job->price = ngx_http_speedy_reply_number(reply->element[3]);
    job->reserved_at = ngx_http_speedy_reply_number(reply->element[4]);
    job->pay_by = ngx_http_speedy_reply_number(reply->element[5]);
    job->epoch = ngx_http_speedy_reply_number(reply->element[6]);
    job->seq = ngx_http_speedy_reply_number(reply->element[7]);

    return 1;
}


static void
ngx_http_speedy_reserve_refused(ngx_http_speedy_job_t *job, redisReply *reply)
{
    redisReply              *order, **e;
    ngx_http_speedy_code_e   outcome;

    e = reply->element;
    order = NULL;

    if (ngx_http_speedy_reply_is(e[0], "NO_VARIANT")) {
        outcome = NGX_HTTP_SPEEDY_VARIANT_NOT_FOUND;

    } else if (ngx_http_speedy_reply_is(e[0], "NOT_OPEN")
               && reply->elements == 4)
    {
        job->now = ngx_http_speedy_reply_number(e[1]);
        job->opens_at = ngx_http_speedy_reply_number(e[2]);
        outcome = NGX_HTTP_SPEEDY_SALE_NOT_OPEN;

    } else if (ngx_http_speedy_reply_is(e[0], "PAUSED")) {
        outcome = NGX_HTTP_SPEEDY_SALE_PAUSED;

    } else if (ngx_http_speedy_reply_is(e[0], "CLOSED")) {
        outcome = NGX_HTTP_SPEEDY_SALE_CLOSED;

    } else if (ngx_http_speedy_reply_is(e[0], "LIMIT")
               && reply->elements == 4)
    {
        job->limit = ngx_http_speedy_reply_number(e[1]);
        order = e[3];

        /* nobody may ever have that many: the body is wrong */

        outcome = (job->quantity > job->limit)
                  ? NGX_HTTP_SPEEDY_INVALID_QUANTITY
                  : NGX_HTTP_SPEEDY_LIMIT_REACHED;

    } else if (ngx_http_speedy_reply_is(e[0], "SOLD_OUT")
               && reply->elements == 3)
    {
        job->left = ngx_http_speedy_reply_number(e[1]);
        job->holds = ngx_http_speedy_reply_number(e[2]);
        outcome = NGX_HTTP_SPEEDY_SOLD_OUT;

    } else if (ngx_http_speedy_reply_is(e[0], "COOLING")) {
        job->retry_after = 1;
        outcome = NGX_HTTP_SPEEDY_SOLD_OUT;

    } else if (ngx_http_speedy_reply_is(e[0], "KEY_REUSED")) {
        outcome = NGX_HTTP_SPEEDY_KEY_REUSED;

    } else if (ngx_http_speedy_reply_is(e[0], "ENDED")
               && reply->elements == 2)
    {
        order = e[1];
        outcome = NGX_HTTP_SPEEDY_ORDER_ENDED;

    } else {
        ngx_http_speedy_redis_error(reply, "reserve");
        outcome = NGX_HTTP_SPEEDY_IN_DOUBT;
    }

    if (order && order->type == REDIS_REPLY_STRING
        && order->len == NGX_HTTP_SPEEDY_ORDER_LEN)
    {
        ngx_memcpy(job->order, order->str, NGX_HTTP_SPEEDY_ORDER_LEN);
        job->order_known = 1;
    }

    ngx_http_speedy_job_outcome(job, outcome);
}


/* No gate: a sale that never was, one that is over, or one being rebuilt? */

void
ngx_http_speedy_reserve_lookup(ngx_http_speedy_job_t *job)
{
    size_t       len[4];
    const char  *argv[4];

    argv[0] = "HMGET";
    len[0] = 5;
    argv[1] = SPEEDY_KEY_SALES;
    len[1] = sizeof(SPEEDY_KEY_SALES) - 1;
    argv[2] = SPEEDY_SALES_COMPLETE;
    len[2] = sizeof(SPEEDY_SALES_COMPLETE) - 1;
    argv[3] = (char *) job->sale.data;
    len[3] = job->sale.len;

    if (ngx_http_speedy_redis_command(4, argv, len,
                                      ngx_http_speedy_reserve_looked_up, job)
        != NGX_OK)
    {
        job->outcome = NGX_HTTP_SPEEDY_UNAVAILABLE;
        return;
    }

    job->pending = 1;
}


static void
ngx_http_speedy_reserve_looked_up(void *data, redisReply *reply)
{
    redisReply              *complete, *sale;
    ngx_http_speedy_code_e   outcome;
    ngx_http_speedy_job_t   *job = data;

    job->pending = 0;
    outcome = NGX_HTTP_SPEEDY_UNAVAILABLE;

    if (reply == NULL) {
        /* void */

    } else if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) {
        ngx_http_speedy_redis_error(reply, "HMGET " SPEEDY_KEY_SALES);

    } else {
        complete = reply->element[0];
        sale = reply->element[1];

        if (ngx_http_speedy_reply_is(sale, SPEEDY_SALE_LIVE)) {
            outcome = NGX_HTTP_SPEEDY_SALE_FENCED;

        } else if (complete->type != REDIS_REPLY_STRING
                   || complete->len != NGX_HTTP_SPEEDY_RUN_ID_LEN
                   || ngx_memcmp(complete->str, ngx_http_speedy_redis_run_id(),
                                 NGX_HTTP_SPEEDY_RUN_ID_LEN)
                      != 0)
        {
            /* an absent sale proves nothing in a Redis not yet filled */

        } else if (sale->type == REDIS_REPLY_NIL) {
            outcome = NGX_HTTP_SPEEDY_SALE_NOT_FOUND;

        } else if (ngx_http_speedy_reply_is(sale, SPEEDY_SALE_ARCHIVED)) {
            job->archived = 1;
            outcome = NGX_HTTP_SPEEDY_SALE_CLOSED;
        }
    }

    ngx_http_speedy_job_outcome(job, outcome);
}
