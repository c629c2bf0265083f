/*
 * speedy_status: the zone's counters and each worker's gauges, in Prometheus'
 * text format.
 */

#include "ngx_http_speedy.h"


#define NGX_HTTP_SPEEDY_METRICS_SIZE  98304


static u_char *ngx_http_speedy_metrics_text(u_char *p, u_char *last);


static ngx_str_t  ngx_http_speedy_metrics_type =
    ngx_string("text/plain; version=0.0.4; charset=utf-8");


#define NGX_HTTP_SPEEDY_COUNTER_TEXT(name, metric, help)  { metric, help },

static const struct {
    const char  *metric;
    const char  *help;
} ngx_http_speedy_counter_texts[] = {
    NGX_HTTP_SPEEDY_COUNTERS(NGX_HTTP_SPEEDY_COUNTER_TEXT)
};


static const struct {
    const char  *name;
    const char  *help;
    size_t       offset;
} ngx_http_speedy_gauge_texts[] = {
    { "redis_up", "1: the worker's Redis connection is ready",
      offsetof(ngx_http_speedy_gauges_t, redis_ready) },
    { "redis_waiting", "Commands whose reply is awaited",
      offsetof(ngx_http_speedy_gauges_t, redis_waiting) },
    { "kafka_up", "1: the worker has a producer",
      offsetof(ngx_http_speedy_gauges_t, kafka_ready) },
    { "kafka_waiting", "Events whose report is awaited",
      offsetof(ngx_http_speedy_gauges_t, kafka_waiting) },
    { "purchases_in_flight", "Purchases under way",
      offsetof(ngx_http_speedy_gauges_t, jobs) },
    { "sessions_known", "1: it is known which sessions have ended",
      offsetof(ngx_http_speedy_gauges_t, sessions_known) },
    { "sessions_ended", "Ended sessions whose tokens may still live",
      offsetof(ngx_http_speedy_gauges_t, sessions_ended) },
    { "stock_streams", "Streams of live stock",
      offsetof(ngx_http_speedy_gauges_t, stock_streams) },
    { "stock_sales", "Sales that are watched or were a second ago",
      offsetof(ngx_http_speedy_gauges_t, stock_sales) }
};


ngx_int_t
ngx_http_speedy_status_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;
    ngx_str_t  body;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    body.data = ngx_pnalloc(r->pool, NGX_HTTP_SPEEDY_METRICS_SIZE);
    if (body.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_speedy_zone_gauges();

    body.len = ngx_http_speedy_metrics_text(body.data,
                                            body.data
                                            + NGX_HTTP_SPEEDY_METRICS_SIZE)
               - body.data;

    return ngx_http_speedy_answer_send(r, NGX_HTTP_OK,
                                       &ngx_http_speedy_metrics_type, &body);
}


static u_char *
ngx_http_speedy_metrics_text(u_char *p, u_char *last)
{
    u_char                    *base;
    ngx_uint_t                 i, k;
    const char                *help;
    ngx_http_speedy_gauges_t  *g;

    p = ngx_slprintf(p, last, "# HELP speedy_answers_total Answers by code\n"
                     "# TYPE speedy_answers_total counter\n");

    for (i = 0; i < NGX_HTTP_SPEEDY_NCODES; i++) {
        p = ngx_slprintf(p, last, "speedy_answers_total{code=\"%s\"} %uA\n",
                         ngx_http_speedy_code_text(i),
                         ngx_http_speedy_zone_codes()[i]);
    }

    for (i = 0; i < NGX_HTTP_SPEEDY_NCOUNTERS; i++) {
        help = ngx_http_speedy_counter_texts[i].help;

        if (help) {
            base = (u_char *) ngx_http_speedy_counter_texts[i].metric;
            k = strcspn((char *) base, "{");
            p = ngx_slprintf(p, last, "# HELP speedy_%*s %s\n"
                             "# TYPE speedy_%*s counter\n",
                             (size_t) k, base, help, (size_t) k, base);
        }

        p = ngx_slprintf(p, last, "speedy_%s %uA\n",
                         ngx_http_speedy_counter_texts[i].metric,
                         ngx_http_speedy_zone_counters()[i]);
    }

    for (k = 0; k < sizeof(ngx_http_speedy_gauge_texts)
                    / sizeof(ngx_http_speedy_gauge_texts[0]); k++)
    {
        p = ngx_slprintf(p, last, "# HELP speedy_%s %s\n"
                         "# TYPE speedy_%s gauge\n",
                         ngx_http_speedy_gauge_texts[k].name,
                         ngx_http_speedy_gauge_texts[k].help,
                         ngx_http_speedy_gauge_texts[k].name);

        for (i = 0; i < NGX_HTTP_SPEEDY_WORKERS; i++) {
            g = &ngx_http_speedy_zone_workers()[i];

            if (g->pid) {
                p = ngx_slprintf(p, last, "speedy_%s{pid=\"%P\"} %ui\n",
                                 ngx_http_speedy_gauge_texts[k].name, g->pid,
                                 *(ngx_uint_t *)
                                     ((u_char *) g
                                      + ngx_http_speedy_gauge_texts[k].offset));
            }
        }
    }

    return p;
}
