/*
 * A look at a sale for those who watch it: probe.lua without a page of its
 * log. Without a gate the list of sales tells whether there is such a sale;
 * it is asked for once a second at the most. A look lives on its own: the
 * feed it was sent for may have gone when the reply comes.
 *
 * The purchase's probes are the same script: each one is a look, too, so that
 * a sale that is bought and watched costs Redis no more than one of both.
 */

#include "ngx_http_speedy_stock.h"


#define NGX_HTTP_SPEEDY_STOCK_LISTED  1000000


typedef struct {
    ngx_http_speedy_id_t        id;
    uint64_t                    claim;
    int64_t                     sent;
    u_char                      run_id[NGX_HTTP_SPEEDY_RUN_ID_LEN];
    ngx_uint_t                  text;
} ngx_http_speedy_look_t;


static ngx_int_t ngx_http_speedy_look_send(ngx_http_speedy_look_t *look);
static void ngx_http_speedy_look_done(void *data, redisReply *reply);
static ngx_int_t ngx_http_speedy_look_list(ngx_http_speedy_look_t *look);
static void ngx_http_speedy_look_listed(void *data, redisReply *reply);
static void ngx_http_speedy_look_failed(ngx_http_speedy_look_t *look);
static void ngx_http_speedy_look_end(ngx_http_speedy_look_t *look,
    ngx_http_speedy_feed_result_e result);


static ngx_http_speedy_stock_t  ngx_http_speedy_looked;


void
ngx_http_speedy_stock_look(ngx_http_speedy_feed_t *feed, uint64_t claim)
{
    ngx_http_speedy_look_t  *look;

    feed->asked = ngx_http_speedy_now();

    look = ngx_alloc(sizeof(ngx_http_speedy_look_t), ngx_cycle->log);
    if (look == NULL) {
        ngx_http_speedy_stock_zone_release(&feed->id, claim);
        ngx_http_speedy_feed_fail(feed);
        return;
    }

    look->id = feed->id;
    look->claim = claim;
    look->text = 0;
    feed->asking = 1;

    if (ngx_http_speedy_look_send(look) != NGX_OK) {
        ngx_http_speedy_look_failed(look);
    }
}


void
ngx_http_speedy_stock_probed(ngx_http_speedy_id_t *sale, int64_t sent,
    redisReply *reply)
{
    if (ngx_http_speedy_stock_zone_has(sale)
        && ngx_http_speedy_stock_read(reply, sent, &ngx_http_speedy_looked)
           == NGX_OK)
    {
        ngx_http_speedy_stock_zone_publish(sale, &ngx_http_speedy_looked, 0);
    }
}


static ngx_int_t
ngx_http_speedy_look_send(ngx_http_speedy_look_t *look)
{
    u_char       keys[3][NGX_HTTP_SPEEDY_KEY_LEN];
    size_t       len[6];
    ngx_uint_t   i;
    const char  *argv[6];

    static const char  *what[] = {
        SPEEDY_KEY_GATE, SPEEDY_KEY_STOCK, SPEEDY_KEY_LOG
    };

    for (i = 0; i < 3; i++) {
        argv[i] = (char *) keys[i];
        len[i] = ngx_http_speedy_redis_key(keys[i], &look->id, what[i]);
    }

    ngx_memcpy(look->run_id, ngx_http_speedy_redis_run_id(),
               NGX_HTTP_SPEEDY_RUN_ID_LEN);
    argv[3] = (char *) look->run_id;
    len[3] = NGX_HTTP_SPEEDY_RUN_ID_LEN;
    argv[4] = "0";
    len[4] = 1;
    argv[5] = "0";
    len[5] = 1;

    look->sent = ngx_http_speedy_now();

    if (ngx_http_speedy_redis_script(NGX_HTTP_SPEEDY_SCRIPT_PROBE, look->text,
                                     3, 6, argv, len,
                                     ngx_http_speedy_look_done, look)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_speedy_count(NGX_HTTP_SPEEDY_COUNT_STOCK_LOOKS);

    return NGX_OK;
}


static void
ngx_http_speedy_look_done(void *data, redisReply *reply)
{
    ngx_http_speedy_look_t  *look = data;
    ngx_http_speedy_feed_t  *feed;

    if (ngx_http_speedy_redis_noscript(reply) && !look->text) {
        look->text = 1;

        if (ngx_http_speedy_look_send(look) != NGX_OK) {
            ngx_http_speedy_look_failed(look);
        }

        return;
    }

    if (reply == NULL) {
        ngx_http_speedy_look_failed(look);
        return;
    }

    feed = ngx_http_speedy_feed_find(&look->id);

    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 1
        && ngx_http_speedy_reply_is(reply->element[0], "FENCED"))
    {
        ngx_http_speedy_stock_zone_fence(&look->id, look->sent);

        if (feed == NULL
            || look->sent - feed->listed < NGX_HTTP_SPEEDY_STOCK_LISTED)
        {
            ngx_http_speedy_look_end(look, NGX_HTTP_SPEEDY_FEED_FENCED);

        } else if (ngx_http_speedy_look_list(look) != NGX_OK) {
            ngx_http_speedy_look_failed(look);
        }

        return;
    }

    if (ngx_http_speedy_stock_read(reply, look->sent, &ngx_http_speedy_looked)
        != NGX_OK)
    {
        ngx_http_speedy_redis_error(reply, "a look at the stock");
        ngx_http_speedy_look_failed(look);
        return;
    }

    ngx_http_speedy_stock_zone_publish(&look->id, &ngx_http_speedy_looked, 1);

    if (feed) {
        feed->asking = 0;
        ngx_http_speedy_feed_take(feed, &ngx_http_speedy_looked);
    }

    ngx_free(look);
}


/* No gate: a sale that never was, one that is over, or one being rebuilt? */

static ngx_int_t
ngx_http_speedy_look_list(ngx_http_speedy_look_t *look)
{
    size_t       len[4];
    const char  *argv[4];

    argv[0] = "HMGET";
    len[0] = 5;
    argv[1] = SPEEDY_KEY_SALES;
    len[1] = sizeof(SPEEDY_KEY_SALES) - 1;
    argv[2] = SPEEDY_SALES_COMPLETE;
    len[2] = sizeof(SPEEDY_SALES_COMPLETE) - 1;
    argv[3] = (char *) look->id.data;
    len[3] = look->id.len;

    return ngx_http_speedy_redis_command(4, argv, len,
                                         ngx_http_speedy_look_listed, look);
}


static void
ngx_http_speedy_look_listed(void *data, redisReply *reply)
{
    redisReply                     *complete, *sale;
    ngx_http_speedy_look_t         *look = data;
    ngx_http_speedy_feed_t         *feed;
    ngx_http_speedy_feed_result_e   result;

    if (reply == NULL) {
        ngx_http_speedy_look_failed(look);
        return;
    }

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) {
        ngx_http_speedy_redis_error(reply, "HMGET " SPEEDY_KEY_SALES);
        ngx_http_speedy_look_failed(look);
        return;
    }

    complete = reply->element[0];
    sale = reply->element[1];
    result = NGX_HTTP_SPEEDY_FEED_FENCED;

    if (ngx_http_speedy_reply_is(sale, SPEEDY_SALE_LIVE)) {
        feed = ngx_http_speedy_feed_find(&look->id);
        if (feed) {
            feed->listed = look->sent;
        }

    } else if (complete->type != REDIS_REPLY_STRING
               || complete->len != NGX_HTTP_SPEEDY_RUN_ID_LEN
               || ngx_memcmp(complete->str, look->run_id,
                             NGX_HTTP_SPEEDY_RUN_ID_LEN)
                  != 0)
    {
        /* an absent sale proves nothing in a Redis not yet filled */

    } else if (sale->type == REDIS_REPLY_NIL) {
        result = NGX_HTTP_SPEEDY_FEED_ABSENT;

    } else if (ngx_http_speedy_reply_is(sale, SPEEDY_SALE_ARCHIVED)) {
        result = NGX_HTTP_SPEEDY_FEED_ARCHIVED;
    }

    ngx_http_speedy_look_end(look, result);
}


static void
ngx_http_speedy_look_failed(ngx_http_speedy_look_t *look)
{
    ngx_http_speedy_feed_t  *feed;

    ngx_http_speedy_stock_zone_release(&look->id, look->claim);

    feed = ngx_http_speedy_feed_find(&look->id);
    if (feed) {
        feed->asking = 0;
        ngx_http_speedy_feed_fail(feed);
    }

    ngx_free(look);
}


static void
ngx_http_speedy_look_end(ngx_http_speedy_look_t *look,
    ngx_http_speedy_feed_result_e result)
{
    ngx_http_speedy_feed_t  *feed;

    feed = ngx_http_speedy_feed_find(&look->id);
    if (feed) {
        feed->asking = 0;
        ngx_http_speedy_feed_judge(feed, result, look->sent);
    }

    ngx_free(look);
}
