/*
 * A purchase after its request was checked: reserve → produce → ack.
 *
 * Replies and reports only store what they say and post the job's event; the
 * event's handler goes on, and it alone finalizes requests. A job whose
 * client has gone (r is NULL) is carried on all the same, for its stock is
 * taken: stock is never given back here, whatever fails. What stays half done
 * stands in Redis' `pend`, and stockd carries it on.
 *
 * Orders whose reports came in one turn of the event loop share one call of
 * ack.lua a sale.
 */

#include "ngx_http_speedy.h"


#define NGX_HTTP_SPEEDY_JOBS_CHUNK  64
#define NGX_HTTP_SPEEDY_ACKS        ((NGX_HTTP_SPEEDY_ARGS_MAX - 3) / 2)
#define NGX_HTTP_SPEEDY_EVENT_MAX   1024


typedef struct {
    ngx_uint_t                  n;
    ngx_uint_t                  text;
    ngx_http_speedy_job_t      *jobs[1];
} ngx_http_speedy_acks_t;


static ngx_http_speedy_job_t *ngx_http_speedy_job_get(void);
static void ngx_http_speedy_job_end(ngx_http_speedy_job_t *job);
static void ngx_http_speedy_job_cleanup(void *data);
static void ngx_http_speedy_job_trace(ngx_http_request_t *r,
    ngx_http_speedy_job_t *job);
static void ngx_http_speedy_job_outcome(ngx_http_speedy_job_t *job,
    ngx_http_speedy_code_e code);
static void ngx_http_speedy_job_go_on(ngx_event_t *ev);
static void ngx_http_speedy_job_late(ngx_event_t *ev);
static void ngx_http_speedy_job_answer(ngx_http_speedy_job_t *job);

static ngx_int_t ngx_http_speedy_job_reserve(ngx_http_speedy_job_t *job);
static void ngx_http_speedy_job_reserved(void *data, redisReply *reply);
static ngx_uint_t ngx_http_speedy_job_took(ngx_http_speedy_job_t *job,
    redisReply *reply);
static ngx_uint_t ngx_http_speedy_job_known(ngx_http_speedy_job_t *job,
    redisReply *reply);
static void ngx_http_speedy_job_refused(ngx_http_speedy_job_t *job,
    redisReply *reply);
static void ngx_http_speedy_job_lookup(ngx_http_speedy_job_t *job);
static void ngx_http_speedy_job_looked_up(void *data, redisReply *reply);
static void ngx_http_speedy_job_produce(ngx_http_speedy_job_t *job);
static void ngx_http_speedy_job_ack(ngx_event_t *ev);
static void ngx_http_speedy_job_ack_send(ngx_http_speedy_acks_t *acks);
static void ngx_http_speedy_job_acked(void *data, redisReply *reply);
#if (SPEEDY_BUG_RELEASE_ON_FAILED_PRODUCE)
static void ngx_http_speedy_job_give_back(ngx_http_speedy_job_t *job);
#endif


static struct {
    ngx_queue_t                 spare;
    ngx_queue_t                 start;      /* before Redis is connected */
    ngx_queue_t                 acks;       /* delivered, ack not yet sent */
    ngx_event_t                 ack;        /* posted once a turn */
    ngx_array_t                 chunks;
    ngx_uint_t                  n;          /* jobs under way */
} jobs;

static ngx_connection_t  ngx_http_speedy_job_dummy;


ngx_int_t
ngx_http_speedy_job_init_worker(ngx_cycle_t *cycle)
{
    ngx_queue_init(&jobs.spare);
    ngx_queue_init(&jobs.start);
    ngx_queue_init(&jobs.acks);

    ngx_http_speedy_job_dummy.fd = (ngx_socket_t) -1;
    jobs.ack.handler = ngx_http_speedy_job_ack;
    jobs.ack.log = cycle->log;
    jobs.ack.data = &ngx_http_speedy_job_dummy;

    return ngx_array_init(&jobs.chunks, cycle->pool, 16, sizeof(void *));
}


/* After Redis and Kafka: nothing refers to a job any more. */

void
ngx_http_speedy_job_exit_worker(void)
{
    void        **chunk;
    ngx_uint_t    i;

    chunk = jobs.chunks.elts;

    for (i = 0; i < jobs.chunks.nelts; i++) {
        ngx_free(chunk[i]);
    }

    jobs.chunks.nelts = 0;
}


ngx_uint_t
ngx_http_speedy_job_count(void)
{
    return jobs.n;
}


static ngx_http_speedy_job_t *
ngx_http_speedy_job_get(void)
{
    void                  **place;
    ngx_uint_t              i;
    ngx_queue_t            *q;
    ngx_http_speedy_job_t  *job;

    if (ngx_queue_empty(&jobs.spare)) {
        place = ngx_array_push(&jobs.chunks);
        if (place == NULL) {
            return NULL;
        }

        job = ngx_alloc(NGX_HTTP_SPEEDY_JOBS_CHUNK
                        * sizeof(ngx_http_speedy_job_t), ngx_cycle->log);
        if (job == NULL) {
            jobs.chunks.nelts--;
            return NULL;
        }

        *place = job;

        for (i = 0; i < NGX_HTTP_SPEEDY_JOBS_CHUNK; i++) {
            ngx_queue_insert_tail(&jobs.spare, &job[i].queue);
        }
    }

    q = ngx_queue_head(&jobs.spare);
    ngx_queue_remove(q);
    jobs.n++;

    job = ngx_queue_data(q, ngx_http_speedy_job_t, queue);
    ngx_memzero(job, sizeof(ngx_http_speedy_job_t));

    job->event.handler = ngx_http_speedy_job_go_on;
    job->event.log = ngx_cycle->log;
    job->event.data = job;

    /* the debug log takes a timer's data for a connection */

    job->timer.handler = ngx_http_speedy_job_late;
    job->timer.log = ngx_cycle->log;
    job->timer.data = &ngx_http_speedy_job_dummy;

    job->outcome = NGX_HTTP_SPEEDY_CODE_NONE;

    return job;
}


static void
ngx_http_speedy_job_end(ngx_http_speedy_job_t *job)
{
    if (job->event.posted) {
        ngx_delete_posted_event(&job->event);
    }

    if (job->timer.timer_set) {
        ngx_del_timer(&job->timer);
    }

    ngx_queue_insert_head(&jobs.spare, &job->queue);
    jobs.n--;
}


ngx_int_t
ngx_http_speedy_job_start(ngx_http_request_t *r, ngx_http_speedy_ctx_t *ctx,
    ngx_http_speedy_code_e *code)
{
    ngx_str_t               id;
    ngx_http_cleanup_t     *cln;
    ngx_http_speedy_job_t  *job;

    *code = NGX_HTTP_SPEEDY_INTERNAL;

    if (!ngx_http_speedy_redis_ready() && !ngx_http_speedy_redis_starting()) {
        *code = NGX_HTTP_SPEEDY_UNAVAILABLE;
        return NGX_DECLINED;
    }

    if (ngx_http_speedy_digests(ctx) != NGX_OK) {
        return NGX_DECLINED;
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_DECLINED;
    }

    job = ngx_http_speedy_job_get();
    if (job == NULL) {
        return NGX_DECLINED;
    }

    if (ngx_http_speedy_uuid(job->order) != NGX_OK) {
        ngx_http_speedy_job_end(job);
        return NGX_DECLINED;
    }

    job->slcf = ngx_http_get_module_loc_conf(r, ngx_http_speedy_module);
    job->smcf = ngx_http_get_module_main_conf(r, ngx_http_speedy_module);
    job->sale = ctx->sale;
    job->variant = ctx->variant;
    job->user = ctx->user;
    job->quantity = ctx->quantity;
    ngx_memcpy(job->key_digest, ctx->key_digest, SPEEDY_DIGEST_LEN);
    ngx_memcpy(job->body_digest, ctx->body_digest, SPEEDY_DIGEST_LEN);

    ngx_http_speedy_request_id(r, &id);
    ngx_memset(job->request_id, '0', sizeof(job->request_id));
    ngx_memcpy(job->request_id, id.data,
               ngx_min(id.len, sizeof(job->request_id)));
    ngx_http_speedy_job_trace(r, job);

    if (!ngx_http_speedy_redis_ready()) {

        /*
         * A worker just started, by a reload say: its connection is ready in
         * a moment, and is tried for speedy_redis_connect_timeout at most.
         */

        ngx_queue_insert_tail(&jobs.start, &job->queue);
        ngx_add_timer(&job->timer, job->smcf->redis_connect_timeout * 2);
        job->pending = 1;

    } else if (ngx_http_speedy_job_reserve(job) != NGX_OK) {
        ngx_http_speedy_job_end(job);
        *code = NGX_HTTP_SPEEDY_UNAVAILABLE;
        return NGX_DECLINED;
    }

    job->r = r;
    ctx->job = job;
    cln->handler = ngx_http_speedy_job_cleanup;
    cln->data = ctx;

    return NGX_DONE;
}


void
ngx_http_speedy_job_started(void)
{
    ngx_queue_t            *q;
    ngx_http_speedy_job_t  *job;

    while (!ngx_queue_empty(&jobs.start)) {
        q = ngx_queue_head(&jobs.start);
        ngx_queue_remove(q);

        job = ngx_queue_data(q, ngx_http_speedy_job_t, queue);
        job->pending = 0;

        if (job->timer.timer_set) {
            ngx_del_timer(&job->timer);
        }

        /* nothing was sent for it: a client that went has no order */

        if (job->r == NULL || ngx_http_speedy_job_reserve(job) != NGX_OK) {
            ngx_http_speedy_job_outcome(job, NGX_HTTP_SPEEDY_UNAVAILABLE);
        }
    }
}


/* The request ends before its job: the job goes on without it. */

static void
ngx_http_speedy_job_cleanup(void *data)
{
    ngx_http_speedy_ctx_t  *ctx = data;

    if (ctx->job) {
        ctx->job->r = NULL;
        ctx->job->slcf = NULL;
        ctx->job = NULL;
    }
}


/* A W3C traceparent goes along when it is well formed. */

static void
ngx_http_speedy_job_trace(ngx_http_request_t *r, ngx_http_speedy_job_t *job)
{
    u_char            ch;
    size_t            k;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len == sizeof("traceparent") - 1
            && h[i].value.len == sizeof(job->traceparent)
            && ngx_strncmp(h[i].lowcase_key, "traceparent", h[i].key.len) == 0)
        {
            break;
        }
    }

    for (k = 0; k < sizeof(job->traceparent); k++) {
        ch = h[i].value.data[k];

        if (!((ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'f')
              || ch == '-'))
        {
            return;
        }
    }

    ngx_memcpy(job->traceparent, h[i].value.data, sizeof(job->traceparent));
    job->traced = 1;
}


static void
ngx_http_speedy_job_outcome(ngx_http_speedy_job_t *job,
    ngx_http_speedy_code_e code)
{
    job->outcome = code;
    ngx_post_event(&job->event, &ngx_posted_events);
}


/* Posted by a reply or a report. */

static void
ngx_http_speedy_job_go_on(ngx_event_t *ev)
{
    ngx_http_speedy_job_t  *job = ev->data;

    if (job->outcome == NGX_HTTP_SPEEDY_CODE_NONE) {

        switch (job->state) {

        case NGX_HTTP_SPEEDY_JOB_LOOKUP:
            ngx_http_speedy_job_lookup(job);
            break;

        case NGX_HTTP_SPEEDY_JOB_PRODUCE:
            ngx_http_speedy_job_produce(job);
            break;

        default:
            break;
        }
    }

    if (job->outcome != NGX_HTTP_SPEEDY_CODE_NONE) {
        ngx_http_speedy_job_answer(job);

        if (!job->pending) {
            ngx_http_speedy_job_end(job);
        }
    }
}


/*
 * The client's wait is over. Before the reserve that is the end; afterwards
 * the job goes on.
 */

static void
ngx_http_speedy_job_late(ngx_event_t *ev)
{
    ngx_http_speedy_job_t  *job;

    job = (ngx_http_speedy_job_t *)
              ((u_char *) ev - offsetof(ngx_http_speedy_job_t, timer));

    if (job->state == NGX_HTTP_SPEEDY_JOB_START) {
        ngx_queue_remove(&job->queue);
        job->pending = 0;
        job->outcome = NGX_HTTP_SPEEDY_UNAVAILABLE;
        ngx_http_speedy_job_answer(job);
        ngx_http_speedy_job_end(job);
        return;
    }

    if (job->r == NULL) {
        return;
    }

    ngx_http_speedy_count(NGX_HTTP_SPEEDY_COUNT_KAFKA_LATE);

    job->outcome = NGX_HTTP_SPEEDY_IN_DOUBT;
    ngx_http_speedy_job_answer(job);

    /* the report is still awaited, then the order is acknowledged */

    job->outcome = NGX_HTTP_SPEEDY_CODE_NONE;
}


static void
ngx_http_speedy_job_answer(ngx_http_speedy_job_t *job)
{
    ngx_int_t               rc;
    ngx_connection_t       *c;
    ngx_http_request_t     *r;
    ngx_http_speedy_ctx_t  *ctx;

    r = job->r;
    if (r == NULL) {
        return;
    }

    c = r->connection;
    ngx_http_set_log_request(c->log, r);

    rc = ngx_http_speedy_purchase_answer(job);

    /* from here on the request is nginx's alone */

    ctx = ngx_http_speedy_ctx_get(r);
    ctx->job = NULL;
    job->r = NULL;
    job->slcf = NULL;

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_speedy_job_reserve(ngx_http_speedy_job_t *job)
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
                                     ngx_http_speedy_job_reserved, job)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    job->state = NGX_HTTP_SPEEDY_JOB_RESERVE;
    job->pending = 1;

    return NGX_OK;
}


static void
ngx_http_speedy_job_reserved(void *data, redisReply *reply)
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

        if (ngx_http_speedy_job_reserve(job) != NGX_OK) {
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
         && ngx_http_speedy_job_took(job, reply))
        || (ngx_http_speedy_reply_is(code, "PENDING")
            && ngx_http_speedy_job_known(job, reply)))
    {
        job->state = NGX_HTTP_SPEEDY_JOB_PRODUCE;
        ngx_post_event(&job->event, &ngx_posted_events);
        return;
    }

    if (ngx_http_speedy_reply_is(code, "REPLAY")
        && ngx_http_speedy_job_known(job, reply))
    {
        ngx_http_speedy_job_outcome(job, NGX_HTTP_SPEEDY_REPLAYED);
        return;
    }

    ngx_http_speedy_job_refused(job, reply);
}


static ngx_uint_t
ngx_http_speedy_job_took(ngx_http_speedy_job_t *job, redisReply *reply)
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
ngx_http_speedy_job_known(ngx_http_speedy_job_t *job, redisReply *reply)
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
ngx_http_speedy_job_refused(ngx_http_speedy_job_t *job, redisReply *reply)
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

static void
ngx_http_speedy_job_lookup(ngx_http_speedy_job_t *job)
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
                                      ngx_http_speedy_job_looked_up, job)
        != NGX_OK)
    {
        job->outcome = NGX_HTTP_SPEEDY_UNAVAILABLE;
        return;
    }

    job->pending = 1;
}


static void
ngx_http_speedy_job_looked_up(void *data, redisReply *reply)
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


/* The event: its exact form is daemons/shop/event.c's. */

static void
ngx_http_speedy_job_produce(ngx_http_speedy_job_t *job)
{
    u_char  *p;
    u_char   order[NGX_HTTP_SPEEDY_UUID_LEN];
    u_char   key[SPEEDY_DIGEST_LEN * 2], body[SPEEDY_DIGEST_LEN * 2];
    u_char   value[NGX_HTTP_SPEEDY_EVENT_MAX];

    ngx_http_speedy_uuid_text(order, job->order);
    ngx_hex_dump(key, job->key_digest, SPEEDY_DIGEST_LEN);
    ngx_hex_dump(body, job->body_digest, SPEEDY_DIGEST_LEN);

#if (SPEEDY_BUG_NO_KEY_DIGEST_IN_EVENT)
    /* for the tests: a retry after a rebuild must then buy twice */
    ngx_hex_dump(key, job->order, SPEEDY_DIGEST_LEN);
#endif

    p = ngx_snprintf(value, sizeof(value),
                     "{\"v\":1,\"order_id\":\"%*s\",\"sale_id\":\"%*s\","
                     "\"variant\":\"%*s\",\"user_id\":\"%*s\","
                     "\"quantity\":%L,\"unit_price\":%L,"
                     "\"currency\":\"" SPEEDY_CURRENCY "\",\"epoch\":%L,"
                     "\"seq\":%L,\"key_digest\":\"%*s\","
                     "\"body_digest\":\"%*s\",\"reserved_at\":%L,"
                     "\"pay_by\":%L,\"request_id\":\"%*s\","
                     "\"traceparent\":\"%*s\"}",
                     sizeof(order), order,
                     (size_t) job->sale.len, job->sale.data,
                     (size_t) job->variant.len, job->variant.data,
                     (size_t) job->user.len, job->user.data,
                     job->quantity, job->price, job->epoch, job->seq,
                     sizeof(key), key, sizeof(body), body,
                     job->reserved_at, job->pay_by,
                     sizeof(job->request_id), job->request_id,
                     job->traced ? sizeof(job->traceparent) : (size_t) 0,
                     job->traceparent);

    if (ngx_http_speedy_kafka_produce(job, order, sizeof(order), value,
                                      p - value)
        != NGX_OK)
    {
        job->outcome = NGX_HTTP_SPEEDY_IN_DOUBT;
#if (SPEEDY_BUG_RELEASE_ON_FAILED_PRODUCE)
        ngx_http_speedy_job_give_back(job);
#endif
        return;
    }

    job->pending = 1;

    if (job->r) {
        ngx_add_timer(&job->timer, job->smcf->kafka_timeout);
    }
}


void
ngx_http_speedy_job_reported(ngx_http_speedy_job_t *job, ngx_uint_t delivered)
{
    job->pending = 0;

    if (job->timer.timer_set) {
        ngx_del_timer(&job->timer);
    }

    if (!delivered) {
#if (SPEEDY_BUG_RELEASE_ON_FAILED_PRODUCE)
        ngx_http_speedy_job_give_back(job);
#endif
        ngx_http_speedy_job_outcome(job, NGX_HTTP_SPEEDY_IN_DOUBT);
        return;
    }

#if (SPEEDY_BUG_ACK_SKIPPED)
    /* for the tests: 202 without the gate's word */
    ngx_http_speedy_job_outcome(job, job->replayed ? NGX_HTTP_SPEEDY_REPLAYED
                                                   : NGX_HTTP_SPEEDY_ACCEPTED);
    return;
#endif

    job->state = NGX_HTTP_SPEEDY_JOB_ACK;
    job->pending = 1;
    ngx_queue_insert_tail(&jobs.acks, &job->queue);
    ngx_post_event(&jobs.ack, &ngx_posted_events);
}


/* Once a turn: the delivered orders, sale by sale. */

static void
ngx_http_speedy_job_ack(ngx_event_t *ev)
{
    ngx_uint_t               n;
    ngx_queue_t             *q, *next;
    ngx_http_speedy_id_t    *sale;
    ngx_http_speedy_job_t   *job, *first;
    ngx_http_speedy_acks_t  *acks;

    while (!ngx_queue_empty(&jobs.acks)) {

        first = ngx_queue_data(ngx_queue_head(&jobs.acks),
                               ngx_http_speedy_job_t, queue);
        sale = &first->sale;
        n = 0;

        for (q = ngx_queue_head(&jobs.acks);
             q != ngx_queue_sentinel(&jobs.acks) && n < NGX_HTTP_SPEEDY_ACKS;
             q = ngx_queue_next(q))
        {
            job = ngx_queue_data(q, ngx_http_speedy_job_t, queue);
            n += ngx_http_speedy_id_equal(&job->sale, sale);
        }

        acks = ngx_alloc(sizeof(ngx_http_speedy_acks_t)
                         + n * sizeof(ngx_http_speedy_job_t *),
                         ngx_cycle->log);

        if (acks == NULL) {
            ngx_queue_remove(&first->queue);
            first->pending = 0;
            ngx_http_speedy_job_outcome(first, NGX_HTTP_SPEEDY_IN_DOUBT);
            continue;
        }

        acks->n = 0;
        acks->text = 0;

        for (q = ngx_queue_head(&jobs.acks); acks->n < n; q = next) {
            next = ngx_queue_next(q);
            job = ngx_queue_data(q, ngx_http_speedy_job_t, queue);

            if (ngx_http_speedy_id_equal(&job->sale, sale)) {
                ngx_queue_remove(q);
                acks->jobs[acks->n++] = job;
            }
        }

        ngx_http_speedy_job_ack_send(acks);
    }
}


static void
ngx_http_speedy_job_ack_send(ngx_http_speedy_acks_t *acks)
{
    u_char                  keys[2][NGX_HTTP_SPEEDY_KEY_LEN];
    u_char                  epochs[NGX_HTTP_SPEEDY_ACKS][NGX_INT64_LEN];
    size_t                  len[NGX_HTTP_SPEEDY_ARGS_MAX];
    ngx_uint_t              i, n;
    const char             *argv[NGX_HTTP_SPEEDY_ARGS_MAX];
    ngx_http_speedy_job_t  *job;

    job = acks->jobs[0];

    argv[0] = (char *) keys[0];
    len[0] = ngx_http_speedy_redis_key(keys[0], &job->sale, SPEEDY_KEY_GATE);
    argv[1] = (char *) keys[1];
    len[1] = ngx_http_speedy_redis_key(keys[1], &job->sale, SPEEDY_KEY_PEND);
    argv[2] = (const char *) ngx_http_speedy_redis_run_id();
    len[2] = NGX_HTTP_SPEEDY_RUN_ID_LEN;
    n = 3;

    for (i = 0; i < acks->n; i++) {
        job = acks->jobs[i];
        argv[n] = (char *) epochs[i];
        len[n++] = ngx_sprintf(epochs[i], "%L", job->epoch) - epochs[i];
        argv[n] = (char *) job->order;
        len[n++] = NGX_HTTP_SPEEDY_ORDER_LEN;
    }

    ngx_http_speedy_count(NGX_HTTP_SPEEDY_COUNT_ACKS);

    if (ngx_http_speedy_redis_script(NGX_HTTP_SPEEDY_SCRIPT_ACK, acks->text, 2,
                                     n, argv, len, ngx_http_speedy_job_acked,
                                     acks)
        != NGX_OK)
    {
        ngx_http_speedy_job_acked(acks, NULL);
    }
}


static void
ngx_http_speedy_job_acked(void *data, redisReply *reply)
{
    ngx_uint_t               i, accepted;
    ngx_http_speedy_job_t   *job;
    ngx_http_speedy_acks_t  *acks = data;

    if (ngx_http_speedy_redis_noscript(reply) && !acks->text) {
        acks->text = 1;
        ngx_http_speedy_job_ack_send(acks);
        return;
    }

    if (reply && (reply->type != REDIS_REPLY_ARRAY
                  || reply->elements != acks->n))
    {
        ngx_http_speedy_redis_error(reply, "ack");
        reply = NULL;
    }

    for (i = 0; i < acks->n; i++) {
        job = acks->jobs[i];
        job->pending = 0;

        accepted = reply && reply->element[i]->type == REDIS_REPLY_INTEGER
                   && reply->element[i]->integer == 1;

        if (!accepted) {
            ngx_http_speedy_job_outcome(job, NGX_HTTP_SPEEDY_IN_DOUBT);
        } else {
            ngx_http_speedy_job_outcome(job, job->replayed
                                             ? NGX_HTTP_SPEEDY_REPLAYED
                                             : NGX_HTTP_SPEEDY_ACCEPTED);
        }
    }

    ngx_free(acks);
}


#if (SPEEDY_BUG_RELEASE_ON_FAILED_PRODUCE)

static void
ngx_http_speedy_job_gave_back(void *data, redisReply *reply)
{
}


/* For the tests: what must never be done, giving stock back on a "failure". */

static void
ngx_http_speedy_job_give_back(ngx_http_speedy_job_t *job)
{
    u_char       key[NGX_HTTP_SPEEDY_KEY_LEN], n[NGX_INT64_LEN];
    size_t       len[4];
    const char  *argv[4];

    argv[0] = "HINCRBY";
    len[0] = 7;
    argv[1] = (char *) key;
    len[1] = ngx_http_speedy_redis_key(key, &job->sale, SPEEDY_KEY_STOCK);
    argv[2] = (char *) job->variant.data;
    len[2] = job->variant.len;
    argv[3] = (char *) n;
    len[3] = ngx_sprintf(n, "%L", job->quantity) - n;

    (void) ngx_http_speedy_redis_command(4, argv, len,
                                         ngx_http_speedy_job_gave_back, NULL);
}

#endif
