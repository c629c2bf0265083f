/*
 * ack.lua: the fence between "in Kafka" and "accepted". Orders whose reports
 * came in one turn of the event loop share one call a sale.
 */

#include "ngx_http_speedy.h"


#define NGX_HTTP_SPEEDY_ACKS  ((NGX_HTTP_SPEEDY_ARGS_MAX - 3) / 2)


typedef struct {
    ngx_uint_t                  n;
    ngx_uint_t                  text;       /* the script was sent whole */
    ngx_http_speedy_job_t      *jobs[1];
} ngx_http_speedy_acks_t;


static void ngx_http_speedy_ack_collect(ngx_event_t *ev);
static void ngx_http_speedy_ack_send(ngx_http_speedy_acks_t *acks);
static void ngx_http_speedy_ack_done(void *data, redisReply *reply);


static ngx_queue_t  ngx_http_speedy_acks;           /* delivered, not sent */
static ngx_event_t  ngx_http_speedy_ack_event;      /* posted once a turn */


void
ngx_http_speedy_ack_init_worker(ngx_cycle_t *cycle)
{
    ngx_queue_init(&ngx_http_speedy_acks);

    ngx_http_speedy_ack_event.handler = ngx_http_speedy_ack_collect;
    ngx_http_speedy_ack_event.log = cycle->log;
}


void
ngx_http_speedy_ack(ngx_http_speedy_job_t *job)
{
    job->pending = 1;
    ngx_queue_insert_tail(&ngx_http_speedy_acks, &job->queue);
    ngx_post_event(&ngx_http_speedy_ack_event, &ngx_posted_events);
}


/* Once a turn: the delivered orders, sale by sale. */

static void
ngx_http_speedy_ack_collect(ngx_event_t *ev)
{
    ngx_uint_t               n;
    ngx_queue_t             *q, *next;
    ngx_http_speedy_id_t    *sale;
    ngx_http_speedy_job_t   *job, *first;
    ngx_http_speedy_acks_t  *acks;

    while (!ngx_queue_empty(&ngx_http_speedy_acks)) {

        first = ngx_queue_data(ngx_queue_head(&ngx_http_speedy_acks),
                               ngx_http_speedy_job_t, queue);
        sale = &first->sale;
        n = 0;

        for (q = ngx_queue_head(&ngx_http_speedy_acks);
             q != ngx_queue_sentinel(&ngx_http_speedy_acks) && n < NGX_HTTP_SPEEDY_ACKS;
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

        for (q = ngx_queue_head(&ngx_http_speedy_acks); acks->n < n; q = next) {
            next = ngx_queue_next(q);
            job = ngx_queue_data(q, ngx_http_speedy_job_t, queue);

            if (ngx_http_speedy_id_equal(&job->sale, sale)) {
                ngx_queue_remove(q);
                acks->jobs[acks->n++] = job;
            }
        }

        ngx_http_speedy_ack_send(acks);
    }
}


static void
ngx_http_speedy_ack_send(ngx_http_speedy_acks_t *acks)
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
                                     n, argv, len, ngx_http_speedy_ack_done,
                                     acks)
        != NGX_OK)
    {
        ngx_http_speedy_ack_done(acks, NULL);
    }
}


static void
ngx_http_speedy_ack_done(void *data, redisReply *reply)
{
    ngx_uint_t               i, accepted;
    ngx_http_speedy_job_t   *job;
    ngx_http_speedy_acks_t  *acks = data;

    if (ngx_http_speedy_redis_noscript(reply) && !acks->text) {
        acks->text = 1;
        ngx_http_speedy_ack_send(acks);
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
