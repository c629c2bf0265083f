/*
 * A purchase after its request was checked: reserve → produce → ack.
 *
 * Replies and reports only store what they say and post the job's event; the
 * event's handler goes on, and it alone finalizes requests. A job whose
 * client has gone (r is NULL) is carried on all the same, for its stock is
 * taken: stock is never given back here, whatever fails. What stays half done
 * stands in Redis' `pend`, and stockd carries it on.
 *
 * The states: START → RESERVE (→ LOOKUP) → PRODUCE → ACK. What is asked of
 * Redis and what it answers is in ngx_http_speedy_reserve.c and _ack.c.
 */

#include "ngx_http_speedy.h"


#define NGX_HTTP_SPEEDY_JOBS_CHUNK  64
#define NGX_HTTP_SPEEDY_EVENT_MAX   1024


static ngx_http_speedy_job_t *ngx_http_speedy_job_get(void);
static void ngx_http_speedy_job_end(ngx_http_speedy_job_t *job);
static void ngx_http_speedy_job_cleanup(void *data);
static void ngx_http_speedy_job_trace(ngx_http_request_t *r,
    ngx_http_speedy_job_t *job);
static void ngx_http_speedy_job_go_on(ngx_event_t *ev);
static void ngx_http_speedy_job_late(ngx_event_t *ev);
static void ngx_http_speedy_job_answer(ngx_http_speedy_job_t *job);

static void ngx_http_speedy_job_produce(ngx_http_speedy_job_t *job);
#if (SPEEDY_BUG_RELEASE_ON_FAILED_PRODUCE)
static void ngx_http_speedy_job_give_back(ngx_http_speedy_job_t *job);
#endif


static struct {
    ngx_queue_t                 spare;
    ngx_queue_t                 start;      /* before Redis is connected */
    ngx_array_t                 chunks;
    ngx_uint_t                  n;          /* jobs under way */
} jobs;

static ngx_connection_t  ngx_http_speedy_job_dummy;


ngx_int_t
ngx_http_speedy_job_init_worker(ngx_cycle_t *cycle)
{
    ngx_queue_init(&jobs.spare);
    ngx_queue_init(&jobs.start);

    ngx_http_speedy_job_dummy.fd = (ngx_socket_t) -1;
    ngx_http_speedy_ack_init_worker(cycle);

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
    job->user = ctx->who.user;
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

    } else if (ngx_http_speedy_reserve(job) != NGX_OK) {
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

        if (job->r == NULL || ngx_http_speedy_reserve(job) != NGX_OK) {
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


void
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
            ngx_http_speedy_reserve_lookup(job);
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
    ngx_http_speedy_ack(job);
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
