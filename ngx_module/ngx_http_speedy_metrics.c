/*
 * speedy_status: the zone's counters and each worker's gauges, in Prometheus'
 * text format.
 */

#include "ngx_http_speedy.h"


#define NGX_HTTP_SPEEDY_METRICS_SIZE  65536


static ngx_str_t  ngx_http_speedy_metrics_type =
    ngx_string("text/plain; version=0.0.4; charset=utf-8");


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

    body.len = ngx_http_speedy_zone_metrics(body.data,
                                            body.data
                                            + NGX_HTTP_SPEEDY_METRICS_SIZE)
               - body.data;

    return ngx_http_speedy_answer_send(r, NGX_HTTP_OK,
                                       &ngx_http_speedy_metrics_type, &body);
}
