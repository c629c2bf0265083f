/*
 * The probe of a sale: probe.lua's reply into the zone, page after page of
 * `log`, until it was read to its end. Whoever was handed the claim by the
 * zone sends; a probe lives on its own, no request waits for it.
 */

#include "ngx_http_speedy.h"


typedef struct {
    ngx_http_speedy_claim_t     claim;
    int64_t                     sent;
    u_char                      run_id[NGX_HTTP_SPEEDY_RUN_ID_LEN];
    ngx_uint_t                  text;
} ngx_http_speedy_probe_t;


static void ngx_http_speedy_probe_send(ngx_http_speedy_probe_t *probe);
static void ngx_http_speedy_probe_done(void *data, redisReply *reply);
static ngx_int_t ngx_http_speedy_probe_read(ngx_http_speedy_probe_t *probe,
    redisReply *reply);


void
ngx_http_speedy_probe_start(ngx_http_speedy_claim_t *claim)
{
    ngx_http_speedy_probe_t  *probe;

    probe = ngx_alloc(sizeof(ngx_http_speedy_probe_t), ngx_cycle->log);
    if (probe == NULL) {
        ngx_http_speedy_zone_release(claim, 0);
        return;
    }

    probe->claim = *claim;
    probe->text = 0;

    ngx_http_speedy_probe_send(probe);
}


static void
ngx_http_speedy_probe_send(ngx_http_speedy_probe_t *probe)
{
    u_char       keys[3][NGX_HTTP_SPEEDY_KEY_LEN];
    u_char       first[NGX_INT64_LEN], most[NGX_INT64_LEN];
    size_t       len[6];
    ngx_uint_t   i;
    const char  *argv[6];

    static const char  *what[] = {
        SPEEDY_KEY_GATE, SPEEDY_KEY_STOCK, SPEEDY_KEY_LOG
    };

    for (i = 0; i < 3; i++) {
        argv[i] = (char *) keys[i];
        len[i] = ngx_http_speedy_redis_key(keys[i], &probe->claim.sale,
                                           what[i]);
    }

    ngx_memcpy(probe->run_id, ngx_http_speedy_redis_run_id(),
               NGX_HTTP_SPEEDY_RUN_ID_LEN);
    argv[3] = (char *) probe->run_id;
    len[3] = NGX_HTTP_SPEEDY_RUN_ID_LEN;
    argv[4] = (char *) first;
    len[4] = ngx_sprintf(first, "%uL", probe->claim.first) - first;
    argv[5] = (char *) most;
    len[5] = ngx_sprintf(most, "%ui", probe->claim.most) - most;

    /* the age of what the reply tells counts from before it was sent */

    probe->sent = ngx_http_speedy_now();

    if (ngx_http_speedy_redis_script(NGX_HTTP_SPEEDY_SCRIPT_PROBE, probe->text,
                                     3, 6, argv, len,
                                     ngx_http_speedy_probe_done, probe)
        != NGX_OK)
    {
        ngx_http_speedy_zone_release(&probe->claim, 0);
        ngx_free(probe);
        return;
    }

    ngx_http_speedy_count(NGX_HTTP_SPEEDY_COUNT_ZONE_PROBES);
}


static void
ngx_http_speedy_probe_done(void *data, redisReply *reply)
{
    ngx_http_speedy_probe_t  *probe = data;

    if (ngx_http_speedy_redis_noscript(reply) && !probe->text) {
        probe->text = 1;
        ngx_http_speedy_probe_send(probe);
        return;
    }

    if (reply == NULL) {
        ngx_http_speedy_zone_release(&probe->claim, 0);

    } else if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 1
               && ngx_http_speedy_reply_is(reply->element[0], "FENCED"))
    {
        ngx_http_speedy_zone_release(&probe->claim, 1);

    } else {
        switch (ngx_http_speedy_probe_read(probe, reply)) {

        case NGX_AGAIN:
            probe->text = 0;
            ngx_http_speedy_probe_send(probe);
            return;

        case NGX_ERROR:
            ngx_http_speedy_redis_error(reply, "probe");
            ngx_http_speedy_zone_release(&probe->claim, 1);
            break;

        default:
            break;
        }
    }

    ngx_free(probe);
}


static ngx_int_t
ngx_http_speedy_probe_read(ngx_http_speedy_probe_t *probe, redisReply *reply)
{
    int64_t                          closes_at;
    uint64_t                         users[NGX_HTTP_SPEEDY_ZONE_PAGE];
    ngx_uint_t                       i, open;
    redisReply                     **e, *list;
    ngx_http_speedy_probed_t         probed;
    ngx_http_speedy_zone_variant_t   variants[NGX_HTTP_SPEEDY_ZONE_VARIANTS];

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 10
        || !ngx_http_speedy_reply_is(reply->element[0], "OPEN")
        || reply->element[7]->type != REDIS_REPLY_ARRAY
        || reply->element[8]->type != REDIS_REPLY_ARRAY
        || reply->element[8]->elements > NGX_HTTP_SPEEDY_ZONE_PAGE)
    {
        return NGX_ERROR;
    }

    e = reply->element;

    probed.run_id = probe->run_id;
    probed.sent = probe->sent;
    probed.epoch = ngx_http_speedy_reply_number(e[1]);
    probed.now = ngx_http_speedy_reply_number(e[2]);
    probed.opens_at = ngx_http_speedy_reply_number(e[4]);
    probed.log_len = ngx_http_speedy_reply_number(e[6]);
    probed.variants = variants;
    probed.nvariants = 0;
    probed.users = users;

    /* a paused or closed sale is not "sold out": Redis says what it is */

    closes_at = ngx_http_speedy_reply_number(e[5]);
    open = ngx_http_speedy_reply_is(e[3], "ACTIVE")
           && (closes_at <= 0 || probed.now < closes_at);

    list = e[7];

    for (i = 0; open && i + 3 < list->elements
                && probed.nvariants < NGX_HTTP_SPEEDY_ZONE_VARIANTS; i += 4)
    {
        if (list->element[i]->type == REDIS_REPLY_STRING
            && ngx_http_speedy_id_set(&variants[probed.nvariants].variant,
                                      (u_char *) list->element[i]->str,
                                      list->element[i]->len)
               == NGX_OK)
        {
            variants[probed.nvariants].left =
                ngx_http_speedy_reply_number(list->element[i + 1]);
            variants[probed.nvariants].holds =
                ngx_http_speedy_reply_number(list->element[i + 2]);
            probed.nvariants++;
        }
    }

    list = e[8];

    for (i = 0; i < list->elements; i++) {
        if (list->element[i]->type != REDIS_REPLY_STRING) {
            return NGX_ERROR;
        }

        users[i] = ngx_http_speedy_zone_hash((u_char *) list->element[i]->str,
                                             list->element[i]->len);
    }

    probed.nusers = list->elements;

    ngx_http_speedy_stock_probed(&probe->claim.sale, probe->sent, reply);

    return ngx_http_speedy_zone_probed(&probe->claim, &probed);
}
