/*
 * Live stock as text: a probe's reply as parts of JSON, these parts as the
 * answer of a GET or as events.
 *
 * The id of an event is the hash of each part that a client has once it was
 * sent this event, 0 for one that it has not: an id means the same on every
 * worker and machine, and a client that comes back is sent what has changed.
 */

#include "ngx_http_speedy_stock.h"


#define NGX_HTTP_SPEEDY_STOCK_REPLY  200        /* variants of a sale */

#define NGX_HTTP_SPEEDY_EVENT_HEAD                                            \
    (sizeof("event: notice\nid: --\ndata: {\"sale_id\":\"\",\"variants\":,"   \
            "\"server_time\":\"\"}\n\n")                                      \
     + NGX_HTTP_SPEEDY_STOCK_NPARTS * 16 + SPEEDY_ID_MAX                      \
     + NGX_HTTP_SPEEDY_TIME_LEN)


typedef struct {
    redisReply                 *variant;
    int64_t                     left;
    int64_t                     cool;
} ngx_http_speedy_stock_line_t;


static int ngx_libc_cdecl ngx_http_speedy_stock_compare(const void *one,
    const void *two);
static u_char *ngx_http_speedy_stock_state(u_char *p, u_char *last,
    redisReply **e, int64_t now, ngx_uint_t left);
static u_char *ngx_http_speedy_stock_notice(u_char *p, u_char *last,
    redisReply *notice);
static u_char *ngx_http_speedy_stock_event(u_char *p,
    ngx_http_speedy_feed_t *feed, ngx_uint_t part, const uint64_t *have);
static int64_t ngx_http_speedy_stock_time(ngx_http_speedy_feed_t *feed);


ngx_int_t
ngx_http_speedy_stock_read(redisReply *reply, int64_t sent,
    ngx_http_speedy_stock_t *stock)
{
    u_char                        *p, *last, *start;
    int64_t                        now;
    size_t                         i, n;
    ngx_uint_t                     left, cooling;
    redisReply                    *list, **e;
    ngx_http_speedy_stock_line_t  *line;
    ngx_http_speedy_stock_line_t   lines[NGX_HTTP_SPEEDY_STOCK_REPLY];

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 10
        || !ngx_http_speedy_reply_is(reply->element[0], "OPEN")
        || reply->element[7]->type != REDIS_REPLY_ARRAY
        || reply->element[7]->elements > 4 * NGX_HTTP_SPEEDY_STOCK_REPLY)
    {
        return NGX_ERROR;
    }

    e = reply->element;
    list = e[7];
    now = ngx_http_speedy_reply_number(e[2]);
    n = 0;
    left = 0;

    for (i = 0; i + 3 < list->elements; i += 4) {
        if (list->element[i]->type != REDIS_REPLY_STRING
            || list->element[i]->len > SPEEDY_ID_MAX)
        {
            return NGX_ERROR;
        }

        lines[n].variant = list->element[i];
        lines[n].left = ngx_http_speedy_reply_number(list->element[i + 1]);
        lines[n].cool = ngx_http_speedy_reply_number(list->element[i + 3]);
        left |= (lines[n].left > 0);
        n++;
    }

    ngx_qsort(lines, n, sizeof(ngx_http_speedy_stock_line_t),
              ngx_http_speedy_stock_compare);

    stock->sent = sent;
    stock->offset = now - sent / 1000;
    stock->fenced = 0;
    stock->generation = 0;

    last = stock->text + NGX_HTTP_SPEEDY_STOCK_TEXT;
    p = ngx_http_speedy_stock_state(stock->text, last, e, now, left);
    stock->len[NGX_HTTP_SPEEDY_STOCK_STATE] = p - stock->text;

    start = p;
    p = ngx_slprintf(p, last, "[");

    for (i = 0; i < n; i++) {
        line = &lines[i];
        cooling = line->left > 0 && line->cool > 0 && now >= line->cool
                  && now - line->cool < 300;
        p = ngx_slprintf(p, last, "%s{\"variant\":\"%*s\",\"left\":%L,"
                         "\"sold_out\":%s,\"cooling\":%s}", i ? "," : "",
                         (size_t) line->variant->len, line->variant->str,
                         line->left, line->left > 0 ? "false" : "true",
                         cooling ? "true" : "false");
    }

    p = ngx_slprintf(p, last, "]");
    stock->len[NGX_HTTP_SPEEDY_STOCK_VARIANTS] = p - start;

    start = p;
    p = ngx_http_speedy_stock_notice(p, last, e[9]);
    if (p == NULL || p == last) {
        return NGX_ERROR;
    }

    stock->len[NGX_HTTP_SPEEDY_STOCK_NOTICE] = p - start;

    return NGX_OK;
}


static int ngx_libc_cdecl
ngx_http_speedy_stock_compare(const void *one, const void *two)
{
    const ngx_http_speedy_stock_line_t  *a = one, *b = two;

    return ngx_strcmp(a->variant->str, b->variant->str);
}


/* The words of GET /sales/{sale}, by Redis' clock. */

static u_char *
ngx_http_speedy_stock_state(u_char *p, u_char *last, redisReply **e,
    int64_t now, ngx_uint_t left)
{
    u_char       opens[NGX_HTTP_SPEEDY_TIME_LEN];
    u_char       closes[NGX_HTTP_SPEEDY_TIME_LEN];
    int64_t      opens_at, closes_at;
    const char  *word;

    opens_at = ngx_http_speedy_reply_number(e[4]);
    closes_at = ngx_http_speedy_reply_number(e[5]);

    if (closes_at > 0 && now >= closes_at) {
        word = "ended";
    } else if (ngx_http_speedy_reply_is(e[3], "PAUSED")) {
        word = "paused";
    } else if (!ngx_http_speedy_reply_is(e[3], "ACTIVE")) {
        word = "ended";
    } else if (now < opens_at) {
        word = "upcoming";
    } else {
        word = left ? "open" : "sold_out";
    }

    ngx_http_speedy_time_text(opens, opens_at);
    p = ngx_slprintf(p, last, "\"state\":\"%s\",\"opens_at\":\"%*s\","
                     "\"closes_at\":", word, sizeof(opens), opens);

    if (closes_at <= 0) {
        return ngx_slprintf(p, last, "null");
    }

    ngx_http_speedy_time_text(closes, closes_at);

    return ngx_slprintf(p, last, "\"%*s\"", sizeof(closes), closes);
}


static u_char *
ngx_http_speedy_stock_notice(u_char *p, u_char *last, redisReply *notice)
{
    size_t   more;
    u_char  *text;

    if (notice->type != REDIS_REPLY_STRING || notice->len == 0) {
        return ngx_slprintf(p, last, "null");
    }

    text = (u_char *) notice->str;
    more = ngx_escape_json(NULL, text, notice->len);

    if ((size_t) (last - p) < notice->len + more + 3) {
        return NULL;
    }

    *p++ = '"';
    p = (u_char *) ngx_escape_json(p, text, notice->len);
    *p++ = '"';

    return p;
}


ngx_int_t
ngx_http_speedy_stock_answer(ngx_http_speedy_feed_t *feed, ngx_pool_t *pool,
    ngx_str_t *body)
{
    u_char      *p, now[NGX_HTTP_SPEEDY_TIME_LEN];
    size_t       size;
    ngx_str_t   *part = feed->part;

    size = sizeof("{\"sale_id\":\"\",,\"server_time\":\"\",\"variants\":,"
                  "\"notice\":}")
           + SPEEDY_ID_MAX + NGX_HTTP_SPEEDY_TIME_LEN
           + part[0].len + part[1].len + part[2].len;

    p = ngx_pnalloc(pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_http_speedy_time_text(now, ngx_http_speedy_stock_time(feed));

    body->data = p;
    p = ngx_snprintf(p, size, "{\"sale_id\":\"%*s\",%V,\"server_time\":"
                     "\"%*s\",\"variants\":%V,\"notice\":%V}",
                     (size_t) feed->id.len, feed->id.data,
                     &part[NGX_HTTP_SPEEDY_STOCK_STATE], sizeof(now), now,
                     &part[NGX_HTTP_SPEEDY_STOCK_VARIANTS],
                     &part[NGX_HTTP_SPEEDY_STOCK_NOTICE]);
    body->len = p - body->data;

    return NGX_OK;
}


ngx_http_speedy_frame_t *
ngx_http_speedy_stock_frame(ngx_http_speedy_feed_t *feed, ngx_uint_t mask)
{
    u_char                   *p;
    size_t                    size;
    uint64_t                  have[NGX_HTTP_SPEEDY_STOCK_NPARTS];
    ngx_uint_t                i;
    ngx_http_speedy_frame_t  *frame;

    frame = feed->frames[mask];
    if (frame) {
        frame->refs++;
        return frame;
    }

    size = 0;

    for (i = 0; i < NGX_HTTP_SPEEDY_STOCK_NPARTS; i++) {
        have[i] = (mask & (1 << i)) ? 0 : feed->hash[i];
        size += NGX_HTTP_SPEEDY_EVENT_HEAD + feed->part[i].len;
    }

    frame = ngx_alloc(sizeof(ngx_http_speedy_frame_t) + size, ngx_cycle->log);
    if (frame == NULL) {
        return NULL;
    }

    p = frame->data;

    for (i = 0; i < NGX_HTTP_SPEEDY_STOCK_NPARTS; i++) {
        if (mask & (1 << i)) {
            have[i] = feed->hash[i];
            p = ngx_http_speedy_stock_event(p, feed, i, have);
        }
    }

    frame->len = p - frame->data;
    frame->refs = 2;        /* the feed's and the caller's */
    feed->frames[mask] = frame;

    return frame;
}


static u_char *
ngx_http_speedy_stock_event(u_char *p, ngx_http_speedy_feed_t *feed,
    ngx_uint_t part, const uint64_t *have)
{
    u_char  now[NGX_HTTP_SPEEDY_TIME_LEN];

    static const char  *names[] = { "state", "stock", "notice" };

    ngx_http_speedy_time_text(now, ngx_http_speedy_stock_time(feed));

    p = ngx_sprintf(p, "event: %s\nid: %016xL-%016xL-%016xL\n"
                    "data: {\"sale_id\":\"%*s\",", names[part], have[0],
                    have[1], have[2], (size_t) feed->id.len, feed->id.data);

    if (part == NGX_HTTP_SPEEDY_STOCK_VARIANTS) {
        p = ngx_sprintf(p, "\"variants\":");

    } else if (part == NGX_HTTP_SPEEDY_STOCK_NOTICE) {
        p = ngx_sprintf(p, "\"notice\":");
    }

    return ngx_sprintf(p, "%V,\"server_time\":\"%*s\"}\n\n",
                       &feed->part[part], sizeof(now), now);
}


void
ngx_http_speedy_stock_unref(ngx_http_speedy_frame_t *frame)
{
    if (frame && --frame->refs == 0) {
        ngx_free(frame);
    }
}


static int64_t
ngx_http_speedy_stock_time(ngx_http_speedy_feed_t *feed)
{
    return ngx_http_speedy_now() / 1000 + feed->offset;
}
