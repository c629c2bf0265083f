/*
 * The clients of event streams.
 *
 * All streams of a feed are sent the same bytes: a frame holds the events of
 * the parts that a client has not, is made once a version, and is held by
 * reference until each has taken it. What a stream costs besides its request
 * is the structure below. Its socket's buffer is kept small, so that a reader
 * that is slow has little under way.
 *
 * A reader whose last frame is not all taken is sent nothing: when it has
 * taken it, it gets what is newest then, and never knows of what was between.
 * One that has not taken a frame in send_timeout is dropped.
 *
 * Streams of a feed stand in order of freshness, all streams of the worker in
 * order of silence: both are worked from the head, so a round can stop at any
 * place.
 */

#include "ngx_http_speedy_stock.h"


#define NGX_HTTP_SPEEDY_STREAM_BEAT    15000    /* ms */
#define NGX_HTTP_SPEEDY_STREAM_SNDBUF  16384
#define NGX_HTTP_SPEEDY_STREAM_RETRY   3000     /* ms, at most */
#define NGX_HTTP_SPEEDY_STREAM_MASK                                           \
    ((1 << NGX_HTTP_SPEEDY_STOCK_NPARTS) - 1)


typedef struct {
    ngx_queue_t                 queue;      /* of its feed */
    ngx_queue_t                 beat;       /* of the worker */
    ngx_http_request_t         *r;
    ngx_http_speedy_feed_t     *feed;       /* NULL: it is over */
    ngx_http_speedy_frame_t    *frame;      /* under way */
    ngx_uint_t                  version;    /* of the feed, judged last */
    ngx_msec_t                  said;
    uint64_t                    have[NGX_HTTP_SPEEDY_STOCK_NPARTS];
    ngx_buf_t                   body;
    ngx_buf_t                   hint;
    u_char                      text[sizeof("retry: 3000\n\n")];
} ngx_http_speedy_stream_t;


static void ngx_http_speedy_stream_last_id(ngx_http_request_t *r,
    uint64_t *have);
static void ngx_http_speedy_stream_retry(ngx_http_speedy_stream_t *s,
    ngx_uint_t least);
static ngx_int_t ngx_http_speedy_stream_news(ngx_http_speedy_stream_t *s,
    ngx_buf_t *first);
static ngx_int_t ngx_http_speedy_stream_send(ngx_http_speedy_stream_t *s,
    ngx_chain_t *out);
static ngx_uint_t ngx_http_speedy_stream_pending(ngx_http_speedy_stream_t *s);
static void ngx_http_speedy_stream_write(ngx_http_request_t *r);
static void ngx_http_speedy_stream_close(ngx_http_speedy_stream_t *s,
    ngx_int_t rc);
static void ngx_http_speedy_stream_end(ngx_http_speedy_stream_t *s);
static void ngx_http_speedy_stream_leave(ngx_http_speedy_stream_t *s);
static void ngx_http_speedy_stream_cleanup(void *data);


static ngx_queue_t  ngx_http_speedy_beats;
static u_char       ngx_http_speedy_beat[] = ":\n\n";
static ngx_str_t    ngx_http_speedy_stream_type =
    ngx_string("text/event-stream");
static ngx_str_t    ngx_http_speedy_stream_no = ngx_string("no");


void
ngx_http_speedy_stream_init(void)
{
    ngx_queue_init(&ngx_http_speedy_beats);
}


ngx_int_t
ngx_http_speedy_stream_open(ngx_http_request_t *r,
    ngx_http_speedy_feed_t *feed)
{
    int                        size;
    ngx_int_t                  rc;
    ngx_connection_t          *c;
    ngx_http_cleanup_t        *cln;
    ngx_http_speedy_stream_t  *s;

    c = r->connection;

    r->keepalive = 0;
    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_type = ngx_http_speedy_stream_type;
    r->headers_out.content_type_len = ngx_http_speedy_stream_type.len;
    r->headers_out.content_type_lowcase = NULL;
    ngx_http_clear_content_length(r);

#if (NGX_HTTP_GZIP)
    r->gzip_tested = 1;
    r->gzip_ok = 0;
#endif

    if (ngx_http_speedy_header_add(r, "X-Accel-Buffering",
                                   &ngx_http_speedy_stream_no)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_send_header(r);
    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    cln = ngx_http_cleanup_add(r, sizeof(ngx_http_speedy_stream_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    s = cln->data;
    ngx_memzero(s, sizeof(ngx_http_speedy_stream_t));
    cln->handler = ngx_http_speedy_stream_cleanup;

    s->r = r;
    s->feed = feed;
    ngx_queue_insert_tail(&feed->streams, &s->queue);
    ngx_queue_insert_tail(&ngx_http_speedy_beats, &s->beat);
    ngx_http_speedy_stock_park(1);
    ngx_http_speedy_stock_stream_count(1);
    ngx_http_speedy_count(NGX_HTTP_SPEEDY_COUNT_STOCK_STREAMS);

    if (r->stream == NULL) {
        size = NGX_HTTP_SPEEDY_STREAM_SNDBUF;
        (void) setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, (const void *) &size,
                          sizeof(int));
    }

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_speedy_stream_write;
    c->log->action = "streaming live stock";

    if (c->read->ready) {
        ngx_post_event(c->read, &ngx_posted_events);

    } else if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    /* for a connection that is cut, be it by a worker's death */

    ngx_http_speedy_stream_retry(s, 500);
    ngx_http_speedy_stream_last_id(r, s->have);

    if (ngx_http_speedy_stream_news(s, &s->hint) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_DONE;
}


/* What a client that comes back has; what is no id of ours has nothing. */

static void
ngx_http_speedy_stream_last_id(ngx_http_request_t *r, uint64_t *have)
{
    u_char           *p;
    uint64_t          id[NGX_HTTP_SPEEDY_STOCK_NPARTS];
    ngx_int_t         digit;
    ngx_uint_t        n, i, k;
    ngx_table_elt_t  *h;
    ngx_list_part_t  *part;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (n = 0; n < part->nelts; n++) {
            if (h[n].key.len != sizeof("last-event-id") - 1
                || ngx_strncmp(h[n].lowcase_key, "last-event-id",
                               h[n].key.len)
                   != 0
                || h[n].value.len != NGX_HTTP_SPEEDY_STOCK_NPARTS * 17 - 1)
            {
                continue;
            }

            p = h[n].value.data;

            for (i = 0; i < NGX_HTTP_SPEEDY_STOCK_NPARTS; i++, p++) {
                id[i] = 0;

                for (k = 0; k < 16; k++) {
                    digit = ngx_hextoi(p++, 1);
                    if (digit == NGX_ERROR) {
                        return;
                    }

                    id[i] = id[i] * 16 + digit;
                }
            }

            ngx_memcpy(have, id, sizeof(id));
            return;
        }
    }
}


static void
ngx_http_speedy_stream_retry(ngx_http_speedy_stream_t *s, ngx_uint_t least)
{
    ngx_uint_t  ms;

    ms = least + ngx_random() % (NGX_HTTP_SPEEDY_STREAM_RETRY + 1 - least);

    ngx_memzero(&s->hint, sizeof(ngx_buf_t));
    s->hint.pos = s->text;
    s->hint.last = ngx_sprintf(s->text, "retry: %ui\n\n", ms);
    s->hint.memory = 1;
    s->hint.flush = 1;
}


/* Sends `first` (or nothing), and what of the feed the client has not. */

static ngx_int_t
ngx_http_speedy_stream_news(ngx_http_speedy_stream_t *s, ngx_buf_t *first)
{
    ngx_uint_t                i, n, mask;
    ngx_chain_t               out[2];
    ngx_http_speedy_feed_t   *feed = s->feed;
    ngx_http_speedy_frame_t  *frame;

    s->version = feed->version;
    ngx_queue_remove(&s->queue);
    ngx_queue_insert_tail(&feed->streams, &s->queue);

    mask = 0;
    n = 0;

    for (i = 0; i < NGX_HTTP_SPEEDY_STOCK_NPARTS; i++) {
        if (s->have[i] != feed->hash[i]) {
            mask |= 1 << i;
            n++;
        }
    }

    out[0].buf = first;
    out[0].next = NULL;
    out[1].buf = &s->body;
    out[1].next = NULL;

    if (mask == 0) {
        return first ? ngx_http_speedy_stream_send(s, &out[0]) : NGX_OK;
    }

    frame = ngx_http_speedy_stock_frame(feed, mask);
    if (frame == NULL) {
        return NGX_ERROR;
    }

    s->frame = frame;
    ngx_memcpy(s->have, feed->hash, sizeof(s->have));
    ngx_http_speedy_count_add(NGX_HTTP_SPEEDY_COUNT_STOCK_EVENTS, n);

    ngx_memzero(&s->body, sizeof(ngx_buf_t));
    s->body.pos = frame->data;
    s->body.last = frame->data + frame->len;
    s->body.memory = 1;
    s->body.flush = 1;

    if (first == NULL) {
        return ngx_http_speedy_stream_send(s, &out[1]);
    }

    out[0].next = &out[1];

    return ngx_http_speedy_stream_send(s, &out[0]);
}


/* NGX_ERROR: the connection is no more, and the stream is to be closed. */

static ngx_int_t
ngx_http_speedy_stream_send(ngx_http_speedy_stream_t *s, ngx_chain_t *out)
{
    ngx_event_t               *wev;
    ngx_http_request_t        *r = s->r;
    ngx_http_core_loc_conf_t  *clcf;

    s->said = ngx_current_msec;
    ngx_queue_remove(&s->beat);
    ngx_queue_insert_tail(&ngx_http_speedy_beats, &s->beat);

    if (ngx_http_output_filter(r, out) == NGX_ERROR || r->connection->error) {
        return NGX_ERROR;
    }

    wev = r->connection->write;

    if (!ngx_http_speedy_stream_pending(s)) {
        ngx_http_speedy_stock_unref(s->frame);
        s->frame = NULL;

        if (wev->timer_set) {
            ngx_del_timer(wev);
        }

        return NGX_OK;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    /* it has this long for all of it, however slowly it reads */

    if (!wev->timer_set) {
        ngx_add_timer(wev, clcf->send_timeout);
    }

    return ngx_handle_write_event(wev, clcf->send_lowat);
}


static ngx_uint_t
ngx_http_speedy_stream_pending(ngx_http_speedy_stream_t *s)
{
    return s->body.pos != s->body.last || s->hint.pos != s->hint.last
           || s->r->buffered || s->r->connection->buffered;
}


static void
ngx_http_speedy_stream_write(ngx_http_request_t *r)
{
    ngx_connection_t          *c;
    ngx_http_cleanup_t        *cln;
    ngx_http_speedy_stream_t  *s;

    c = r->connection;
    s = NULL;

    for (cln = r->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_speedy_stream_cleanup) {
            s = cln->data;
            break;
        }
    }

    if (s == NULL || s->feed == NULL) {
        return;
    }

    if (c->write->timedout) {
        ngx_log_error(NGX_LOG_INFO, c->log, NGX_ETIMEDOUT,
                      "speedy: a reader of live stock is too slow");
        ngx_http_speedy_count(NGX_HTTP_SPEEDY_COUNT_STOCK_DROPPED);
        c->timedout = 1;
        ngx_http_speedy_stream_close(s, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    if (c->error) {
        ngx_http_speedy_stream_close(s, NGX_ERROR);
        return;
    }

    if (!ngx_http_speedy_stream_pending(s)) {
        return;
    }

    if (ngx_http_speedy_stream_send(s, NULL) != NGX_OK
        || (!ngx_http_speedy_stream_pending(s)
            && ngx_http_speedy_stream_news(s, NULL) != NGX_OK))
    {
        ngx_http_speedy_stream_close(s, NGX_ERROR);
    }
}


ngx_int_t
ngx_http_speedy_stream_feed(ngx_http_speedy_feed_t *feed, ngx_uint_t *budget)
{
    ngx_connection_t          *c;
    ngx_http_speedy_stream_t  *s;

    while (!ngx_queue_empty(&feed->streams)) {
        s = ngx_queue_data(ngx_queue_head(&feed->streams),
                           ngx_http_speedy_stream_t, queue);

        if (s->version == feed->version) {
            break;
        }

        if (*budget == 0) {
            return NGX_AGAIN;
        }

        (*budget)--;

        if (ngx_http_speedy_stream_pending(s)) {

            /* it gets the newest once it has taken what is under way */

            s->version = feed->version;
            ngx_queue_remove(&s->queue);
            ngx_queue_insert_tail(&feed->streams, &s->queue);
            ngx_http_speedy_count(NGX_HTTP_SPEEDY_COUNT_STOCK_SKIPPED);
            continue;
        }

        c = s->r->connection;

        if (ngx_http_speedy_stream_news(s, NULL) != NGX_OK) {
            ngx_http_speedy_stream_close(s, NGX_ERROR);
            ngx_http_run_posted_requests(c);
        }
    }

    feed->dirty = 0;

    return NGX_OK;
}


ngx_int_t
ngx_http_speedy_stream_beat(ngx_uint_t *budget)
{
    ngx_chain_t                out;
    ngx_connection_t          *c;
    ngx_http_speedy_stream_t  *s;

    while (!ngx_queue_empty(&ngx_http_speedy_beats)) {
        s = ngx_queue_data(ngx_queue_head(&ngx_http_speedy_beats),
                           ngx_http_speedy_stream_t, beat);

        if (ngx_current_msec - s->said < NGX_HTTP_SPEEDY_STREAM_BEAT) {
            break;
        }

        if (*budget == 0) {
            return NGX_AGAIN;
        }

        (*budget)--;

        if (ngx_http_speedy_stream_pending(s)) {
            s->said = ngx_current_msec;     /* its time-out judges it */
            ngx_queue_remove(&s->beat);
            ngx_queue_insert_tail(&ngx_http_speedy_beats, &s->beat);
            continue;
        }

        c = s->r->connection;

        ngx_memzero(&s->hint, sizeof(ngx_buf_t));
        s->hint.pos = ngx_http_speedy_beat;
        s->hint.last = ngx_http_speedy_beat + sizeof(ngx_http_speedy_beat) - 1;
        s->hint.memory = 1;
        s->hint.flush = 1;

        out.buf = &s->hint;
        out.next = NULL;

        if (ngx_http_speedy_stream_send(s, &out) != NGX_OK) {
            ngx_http_speedy_stream_close(s, NGX_ERROR);
            ngx_http_run_posted_requests(c);
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_speedy_stream_end_all(ngx_uint_t *budget)
{
    while (!ngx_queue_empty(&ngx_http_speedy_beats)) {
        if (*budget == 0) {
            return NGX_AGAIN;
        }

        (*budget)--;

        ngx_http_speedy_stream_end(
            ngx_queue_data(ngx_queue_head(&ngx_http_speedy_beats),
                           ngx_http_speedy_stream_t, beat));
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_speedy_stream_end_feed(ngx_http_speedy_feed_t *feed,
    ngx_uint_t *budget)
{
    while (!ngx_queue_empty(&feed->streams)) {
        if (*budget == 0) {
            return NGX_AGAIN;
        }

        (*budget)--;

        ngx_http_speedy_stream_end(
            ngx_queue_data(ngx_queue_head(&feed->streams),
                           ngx_http_speedy_stream_t, queue));
    }

    return NGX_OK;
}


/* With a hint when to come back, so that not all come at once. */

static void
ngx_http_speedy_stream_end(ngx_http_speedy_stream_t *s)
{
    ngx_int_t            rc;
    ngx_chain_t          out;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = s->r;
    c = r->connection;

    if (ngx_http_speedy_stream_pending(s)) {
        ngx_http_speedy_stream_close(s, NGX_ERROR);

    } else {
        ngx_http_speedy_stream_leave(s);
        ngx_http_speedy_stream_retry(s, 0);
        s->hint.last_buf = 1;

        out.buf = &s->hint;
        out.next = NULL;

        rc = ngx_http_output_filter(r, &out);
        ngx_http_finalize_request(r, rc);
    }

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_speedy_stream_close(ngx_http_speedy_stream_t *s, ngx_int_t rc)
{
    ngx_http_speedy_stream_leave(s);
    ngx_http_finalize_request(s->r, rc);
}


static void
ngx_http_speedy_stream_leave(ngx_http_speedy_stream_t *s)
{
    if (s->feed) {
        s->feed = NULL;
        ngx_queue_remove(&s->queue);
        ngx_queue_remove(&s->beat);
        ngx_http_speedy_stock_park(-1);
        ngx_http_speedy_stock_stream_count(-1);
    }
}


/* The request ends: nothing is under way any more. */

static void
ngx_http_speedy_stream_cleanup(void *data)
{
    ngx_http_speedy_stream_t  *s = data;

    ngx_http_speedy_stream_leave(s);
    ngx_http_speedy_stock_unref(s->frame);
    s->frame = NULL;
}
