/*
 * GET …/sales/{id}/stock and …/stock/stream: the requests, and the feeds.
 *
 * A worker has one feed for each sale that it watches: what is shown of it,
 * the streams, and the requests that wait for a look. While there are feeds
 * one timer of 100 ms runs: each feed reads its slot in the zone, and looks
 * in Redis when the zone says that it is this worker's turn. Nothing is asked
 * while nobody watches: a feed ends a second after its last use.
 *
 * A reply only changes the feed and posts `work`, which answers who waits and
 * writes to streams, at most BUDGET of them in one turn of the loop, so that
 * ten thousand readers do not stand before a purchase.
 *
 * The timer is cancelable unless requests are parked. A worker that leaves
 * gets its tick within 100 ms, and ends every stream.
 */

#include "ngx_http_speedy_stock.h"


#define NGX_HTTP_SPEEDY_STOCK_TICK     100      /* ms */
#define NGX_HTTP_SPEEDY_STOCK_LINGER   1000000
#define NGX_HTTP_SPEEDY_STOCK_WAIT     3000000
#define NGX_HTTP_SPEEDY_STOCK_FEEDS    1024
#define NGX_HTTP_SPEEDY_STOCK_BUCKETS  256
#define NGX_HTTP_SPEEDY_STOCK_BUDGET   64


typedef struct {
    ngx_queue_t                 queue;
    ngx_http_request_t         *r;
    ngx_http_speedy_feed_t     *feed;       /* NULL: no longer waits */
    int64_t                     since;
    ngx_uint_t                  stream;
} ngx_http_speedy_waiter_t;


static struct {
    ngx_event_t                 tick;
    ngx_event_t                 work;       /* posted */
    ngx_queue_t                 feeds;
    ngx_queue_t                 buckets[NGX_HTTP_SPEEDY_STOCK_BUCKETS];
    ngx_uint_t                  nfeeds;
    ngx_int_t                   parked;
    ngx_uint_t                  streams;    /* and those who wait for one */
    ngx_uint_t                  streams_max;
    unsigned                    on:1;
} st;


static ngx_int_t ngx_http_speedy_stock_begin(ngx_http_request_t *r,
    ngx_uint_t stream);
static ngx_int_t ngx_http_speedy_stock_wait(ngx_http_request_t *r,
    ngx_http_speedy_feed_t *feed, ngx_uint_t stream);
static void ngx_http_speedy_stock_gone(void *data);
static ngx_int_t ngx_http_speedy_stock_tell(ngx_http_request_t *r,
    ngx_http_speedy_feed_t *feed, ngx_uint_t stream);
static ngx_http_speedy_feed_t *ngx_http_speedy_feed_get(
    ngx_http_speedy_id_t *id);
static void ngx_http_speedy_feed_free(ngx_http_speedy_feed_t *feed);
static void ngx_http_speedy_feed_step(ngx_http_speedy_feed_t *feed);
static ngx_uint_t ngx_http_speedy_feed_fresh(ngx_http_speedy_feed_t *feed);
static void ngx_http_speedy_feed_show(ngx_http_speedy_feed_t *feed);
static void ngx_http_speedy_feed_changed(ngx_http_speedy_feed_t *feed,
    ngx_uint_t part);
static void ngx_http_speedy_feed_answer(ngx_http_speedy_feed_t *feed,
    int64_t late);
static void ngx_http_speedy_stock_tick(ngx_event_t *ev);
static void ngx_http_speedy_stock_work(ngx_event_t *ev);
static ngx_queue_t *ngx_http_speedy_feed_bucket(ngx_http_speedy_id_t *id);


static ngx_http_speedy_stock_t  ngx_http_speedy_seen;
static ngx_str_t  ngx_http_speedy_stock_type = ngx_string("application/json");
static ngx_str_t  ngx_http_speedy_stock_no_store = ngx_string("no-store");
static ngx_str_t  ngx_http_speedy_stock_unavailable =
    ngx_string("\"state\":\"unavailable\",\"opens_at\":null,"
               "\"closes_at\":null");


ngx_int_t
ngx_http_speedy_stock_init(ngx_cycle_t *cycle,
    ngx_http_speedy_main_conf_t *smcf)
{
    ngx_uint_t               i;
    static ngx_connection_t  dummy;

    if (smcf->stock_place.file == NULL) {
        return NGX_OK;
    }

    ngx_queue_init(&st.feeds);

    for (i = 0; i < NGX_HTTP_SPEEDY_STOCK_BUCKETS; i++) {
        ngx_queue_init(&st.buckets[i]);
    }

    /* by default a quarter of the connections is left to the others */

    st.streams_max = smcf->stock_streams_max
                     ? smcf->stock_streams_max
                     : ngx_max(cycle->connection_n * 3 / 4, 1);

    dummy.fd = (ngx_socket_t) -1;
    st.tick.handler = ngx_http_speedy_stock_tick;
    st.tick.log = cycle->log;
    st.tick.data = &dummy;      /* the debug log reads its descriptor */
    st.tick.cancelable = 1;
    st.work.handler = ngx_http_speedy_stock_work;
    st.work.log = cycle->log;
    st.work.data = &dummy;
    st.on = 1;

    ngx_http_speedy_stream_init();

    return NGX_OK;
}


void
ngx_http_speedy_stock_exit(void)
{
    if (!st.on) {
        return;
    }

    if (st.tick.timer_set) {
        ngx_del_timer(&st.tick);
    }

    if (st.work.posted) {
        ngx_delete_posted_event(&st.work);
    }

    while (!ngx_queue_empty(&st.feeds)) {
        ngx_http_speedy_feed_free(ngx_queue_data(ngx_queue_head(&st.feeds),
                                                 ngx_http_speedy_feed_t,
                                                 queue));
    }
}


ngx_uint_t
ngx_http_speedy_stock_streams(void)
{
    return st.streams;
}


ngx_uint_t
ngx_http_speedy_stock_sales(void)
{
    return st.nfeeds;
}


void
ngx_http_speedy_stock_park(ngx_int_t n)
{
    st.parked += n;
    st.tick.cancelable = (st.parked == 0);
}


void
ngx_http_speedy_stock_later(void)
{
    ngx_post_event(&st.work, &ngx_posted_events);
}


ngx_int_t
ngx_http_speedy_stock_handler(ngx_http_request_t *r)
{
    return ngx_http_speedy_stock_begin(r, 0);
}


ngx_int_t
ngx_http_speedy_stock_stream_handler(ngx_http_request_t *r)
{
    return ngx_http_speedy_stock_begin(r, 1);
}


static ngx_int_t
ngx_http_speedy_stock_begin(ngx_http_request_t *r, ngx_uint_t stream)
{
    ngx_int_t                   rc;
    ngx_http_speedy_id_t        id;
    ngx_http_speedy_feed_t     *feed;
    ngx_http_speedy_problem_t   p;

    ngx_memzero(&p, sizeof(ngx_http_speedy_problem_t));

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        ngx_str_set(&p.allow, "GET, HEAD");
        return ngx_http_speedy_problem_send(r,
                                        NGX_HTTP_SPEEDY_METHOD_NOT_ALLOWED,
                                        &p);
    }

    if (ngx_http_speedy_uri_sale(r, stream ? "/stock/stream" : "/stock", &id)
        != NGX_OK)
    {
        return ngx_http_speedy_problem_send(r, NGX_HTTP_SPEEDY_SALE_NOT_FOUND,
                                            NULL);
    }

    feed = NULL;

    if (stream && st.streams >= st.streams_max) {
        ngx_http_speedy_count(NGX_HTTP_SPEEDY_COUNT_STOCK_REFUSED);

    } else {
        feed = ngx_http_speedy_feed_get(&id);
    }

    if (feed == NULL) {
        p.retry_after = 1 + ngx_random() % 5;
        return ngx_http_speedy_problem_send(r, NGX_HTTP_SPEEDY_UNAVAILABLE,
                                            &p);
    }

    feed->used = ngx_http_speedy_now();
    ngx_http_speedy_feed_step(feed);

    if (!ngx_http_speedy_feed_fresh(feed)) {
        return ngx_http_speedy_stock_wait(r, feed, stream);
    }

    rc = ngx_http_speedy_stock_tell(r, feed, stream);

    if (rc == NGX_DONE) {
        r->main->count++;
    }

    return rc;
}


static ngx_int_t
ngx_http_speedy_stock_wait(ngx_http_request_t *r,
    ngx_http_speedy_feed_t *feed, ngx_uint_t stream)
{
    ngx_http_cleanup_t        *cln;
    ngx_http_speedy_waiter_t  *w;

    cln = ngx_http_cleanup_add(r, sizeof(ngx_http_speedy_waiter_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    r->write_event_handler = ngx_http_request_empty_handler;
    r->read_event_handler = ngx_http_test_reading;

    if (r->connection->read->ready) {
        ngx_post_event(r->connection->read, &ngx_posted_events);

    } else if (ngx_handle_read_event(r->connection->read, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    w = cln->data;
    w->r = r;
    w->feed = feed;
    w->stream = stream;
    w->since = ngx_http_speedy_now();
    ngx_queue_insert_tail(&feed->waiters, &w->queue);

    cln->handler = ngx_http_speedy_stock_gone;
    ngx_http_speedy_stock_park(1);
    st.streams += stream;
    r->main->count++;

    return NGX_DONE;
}


/* The wait is over, one way or another. */

static void
ngx_http_speedy_stock_gone(void *data)
{
    ngx_http_speedy_waiter_t  *w = data;

    if (w->feed) {
        ngx_queue_remove(&w->queue);
        w->feed = NULL;
        st.streams -= w->stream;
        ngx_http_speedy_stock_park(-1);
    }
}


/* What is known of the sale, to this request; for finalize_request. */

static ngx_int_t
ngx_http_speedy_stock_tell(ngx_http_request_t *r,
    ngx_http_speedy_feed_t *feed, ngx_uint_t stream)
{
    ngx_str_t                   body;
    ngx_http_speedy_code_e      code;
    ngx_http_speedy_problem_t   p;

    ngx_memzero(&p, sizeof(ngx_http_speedy_problem_t));

    if (ngx_http_speedy_header_add(r, "Cache-Control",
                                   &ngx_http_speedy_stock_no_store)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (feed->result == NGX_HTTP_SPEEDY_FEED_LIVE
        && ngx_http_speedy_feed_fresh(feed))
    {
        if (stream) {
            return ngx_http_speedy_stream_open(r, feed);
        }

        if (ngx_http_speedy_stock_answer(feed, r->pool, &body) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ngx_http_speedy_count(NGX_HTTP_SPEEDY_COUNT_STOCK_READS);

        return ngx_http_speedy_answer_send(r, NGX_HTTP_OK,
                                           &ngx_http_speedy_stock_type, &body);
    }

    switch (feed->result) {

    case NGX_HTTP_SPEEDY_FEED_ABSENT:
        code = NGX_HTTP_SPEEDY_SALE_NOT_FOUND;
        break;

    case NGX_HTTP_SPEEDY_FEED_ARCHIVED:
        code = NGX_HTTP_SPEEDY_SALE_CLOSED;
        break;

    default:
        code = NGX_HTTP_SPEEDY_UNAVAILABLE;
        p.retry_after = 1;
        break;
    }

    return ngx_http_speedy_problem_send(r, code, &p);
}


void
ngx_http_speedy_stock_stream_count(ngx_int_t n)
{
    st.streams += n;
}


ngx_http_speedy_feed_t *
ngx_http_speedy_feed_find(ngx_http_speedy_id_t *id)
{
    ngx_queue_t             *q, *bucket;
    ngx_http_speedy_feed_t  *feed;

    bucket = ngx_http_speedy_feed_bucket(id);

    for (q = ngx_queue_head(bucket);
         q != ngx_queue_sentinel(bucket);
         q = ngx_queue_next(q))
    {
        feed = ngx_queue_data(q, ngx_http_speedy_feed_t, bucket);

        if (ngx_http_speedy_id_equal(&feed->id, id)) {
            return feed;
        }
    }

    return NULL;
}


static ngx_queue_t *
ngx_http_speedy_feed_bucket(ngx_http_speedy_id_t *id)
{
    return &st.buckets[ngx_http_speedy_zone_hash(id->data, id->len)
                       % NGX_HTTP_SPEEDY_STOCK_BUCKETS];
}


static ngx_http_speedy_feed_t *
ngx_http_speedy_feed_get(ngx_http_speedy_id_t *id)
{
    ngx_http_speedy_feed_t  *feed;

    feed = ngx_http_speedy_feed_find(id);
    if (feed) {
        return feed;
    }

    if (st.nfeeds >= NGX_HTTP_SPEEDY_STOCK_FEEDS) {
        return NULL;
    }

    feed = ngx_calloc(sizeof(ngx_http_speedy_feed_t), ngx_cycle->log);
    if (feed == NULL) {
        return NULL;
    }

    feed->id = *id;
    ngx_queue_init(&feed->streams);
    ngx_queue_init(&feed->waiters);
    ngx_queue_insert_tail(&st.feeds, &feed->queue);
    ngx_queue_insert_tail(ngx_http_speedy_feed_bucket(id), &feed->bucket);
    st.nfeeds++;

    if (!st.tick.timer_set) {
        ngx_add_timer(&st.tick, NGX_HTTP_SPEEDY_STOCK_TICK);
    }

    return feed;
}


/* Nobody is left in it. */

static void
ngx_http_speedy_feed_free(ngx_http_speedy_feed_t *feed)
{
    ngx_uint_t  i;

    for (i = 0; i < 1 << NGX_HTTP_SPEEDY_STOCK_NPARTS; i++) {
        ngx_http_speedy_stock_unref(feed->frames[i]);
    }

    if (feed->text) {
        ngx_free(feed->text);
    }

    ngx_queue_remove(&feed->queue);
    ngx_queue_remove(&feed->bucket);
    ngx_free(feed);
    st.nfeeds--;
}


static ngx_uint_t
ngx_http_speedy_feed_fresh(ngx_http_speedy_feed_t *feed)
{
    return feed->judged
           && ngx_http_speedy_now() - feed->judged
              < NGX_HTTP_SPEEDY_STOCK_FRESH;
}


/* Reads the zone; looks in Redis when it is time, and nobody else does. */

static void
ngx_http_speedy_feed_step(ngx_http_speedy_feed_t *feed)
{
    uint64_t                  claim;
    ngx_int_t                 rc;
    ngx_http_speedy_stock_t  *seen = &ngx_http_speedy_seen;

    claim = 0;
    rc = ngx_http_speedy_stock_zone_read(&feed->id, feed->generation, seen,
                                         feed->asking ? NULL : &claim);

    if (rc == NGX_OK) {
        ngx_http_speedy_feed_take(feed, seen);

    } else if (rc == NGX_AGAIN && seen->sent > feed->judged) {
        feed->judged = seen->sent;
        feed->offset = seen->offset;
        feed->result = seen->fenced ? NGX_HTTP_SPEEDY_FEED_FENCED
                                    : NGX_HTTP_SPEEDY_FEED_LIVE;
        feed->news = ngx_http_speedy_feed_fresh(feed);
        ngx_http_speedy_feed_show(feed);
    }

    if (rc == NGX_DECLINED && !feed->asking
        && ngx_http_speedy_now() - feed->asked >= NGX_HTTP_SPEEDY_STOCK_PERIOD)
    {
        ngx_http_speedy_stock_look(feed, 0);

    } else if (claim) {
        ngx_http_speedy_stock_look(feed, claim);
    }
}


void
ngx_http_speedy_feed_take(ngx_http_speedy_feed_t *feed,
    ngx_http_speedy_stock_t *stock)
{
    u_char      *text, *p;
    size_t       size;
    ngx_uint_t   i;

    if (stock->sent < feed->judged) {
        return;     /* an older look, overtaken */
    }

    feed->judged = stock->sent;
    feed->offset = stock->offset;

    /* what the zone had kept may be old: a look is under way then */

    feed->news = ngx_http_speedy_feed_fresh(feed);
    ngx_http_speedy_stock_later();

    if (stock->generation && stock->generation == feed->generation) {
        feed->result = NGX_HTTP_SPEEDY_FEED_LIVE;   /* our own look */
        ngx_http_speedy_feed_show(feed);
        return;
    }

    size = stock->len[0] + stock->len[1] + stock->len[2];
    text = ngx_alloc(size, ngx_cycle->log);
    if (text == NULL) {
        return;     /* the next look tries again */
    }

    feed->generation = stock->generation;
    feed->result = stock->fenced ? NGX_HTTP_SPEEDY_FEED_FENCED
                                 : NGX_HTTP_SPEEDY_FEED_LIVE;

    if (feed->text) {
        ngx_free(feed->text);
    }

    ngx_memcpy(text, stock->text, size);
    feed->text = text;
    p = text;

    feed->state.data = p;
    feed->state.len = stock->len[NGX_HTTP_SPEEDY_STOCK_STATE];
    p += feed->state.len;
    ngx_http_speedy_feed_show(feed);

    for (i = 1; i < NGX_HTTP_SPEEDY_STOCK_NPARTS; i++) {
        feed->part[i].data = p;
        feed->part[i].len = stock->len[i];
        p += stock->len[i];
        ngx_http_speedy_feed_changed(feed, i);
    }
}


void
ngx_http_speedy_feed_judge(ngx_http_speedy_feed_t *feed,
    ngx_http_speedy_feed_result_e result, int64_t asked)
{
    if (asked < feed->judged) {
        return;
    }

    feed->judged = asked;
    feed->result = result;
    feed->news = 1;
    ngx_http_speedy_feed_show(feed);
    ngx_http_speedy_stock_later();
}


void
ngx_http_speedy_feed_fail(ngx_http_speedy_feed_t *feed)
{
    if (ngx_http_speedy_redis_starting()) {
        return;     /* the next tick tries again */
    }

    feed->news = 1;
    ngx_http_speedy_stock_later();
}


/* Watchers are told when nothing is known of the sale, and when it is. */

static void
ngx_http_speedy_feed_show(ngx_http_speedy_feed_t *feed)
{
    if (feed->text == NULL) {
        return;
    }

    if (feed->result == NGX_HTTP_SPEEDY_FEED_LIVE
        && ngx_http_speedy_now() - feed->judged
           < NGX_HTTP_SPEEDY_STOCK_STALE)
    {
        feed->part[NGX_HTTP_SPEEDY_STOCK_STATE] = feed->state;

    } else {
        feed->part[NGX_HTTP_SPEEDY_STOCK_STATE] =
            ngx_http_speedy_stock_unavailable;
    }

    ngx_http_speedy_feed_changed(feed, NGX_HTTP_SPEEDY_STOCK_STATE);
}


static void
ngx_http_speedy_feed_changed(ngx_http_speedy_feed_t *feed, ngx_uint_t part)
{
    uint64_t       hash;
    ngx_uint_t     i;
    static u_char  nokey[16];

    hash = ngx_http_speedy_siphash(nokey, feed->part[part].data,
                                   feed->part[part].len);
    hash = hash ? hash : 1;

    if (hash == feed->hash[part]) {
        return;
    }

    feed->hash[part] = hash;
    feed->version++;
    feed->dirty = 1;

    for (i = 0; i < 1 << NGX_HTTP_SPEEDY_STOCK_NPARTS; i++) {
        ngx_http_speedy_stock_unref(feed->frames[i]);
        feed->frames[i] = NULL;
    }

    ngx_http_speedy_stock_later();
}


/* Who has waited since before `late` is told what is known, be it nothing. */

static void
ngx_http_speedy_feed_answer(ngx_http_speedy_feed_t *feed, int64_t late)
{
    ngx_int_t                  rc;
    ngx_queue_t               *q;
    ngx_connection_t          *c;
    ngx_http_request_t        *r;
    ngx_http_speedy_waiter_t  *w;

    while (!ngx_queue_empty(&feed->waiters)) {
        q = ngx_queue_head(&feed->waiters);
        w = ngx_queue_data(q, ngx_http_speedy_waiter_t, queue);

        if (w->since > late) {
            return;
        }

        ngx_http_speedy_stock_gone(w);

        r = w->r;
        c = r->connection;
        rc = ngx_http_speedy_stock_tell(r, feed, w->stream);

        if (rc != NGX_DONE) {
            ngx_http_finalize_request(r, rc);
        }

        ngx_http_run_posted_requests(c);
    }
}


static void
ngx_http_speedy_stock_tick(ngx_event_t *ev)
{
    int64_t                  now;
    ngx_queue_t             *q, *next;
    ngx_http_speedy_feed_t  *feed;

    now = ngx_http_speedy_now();

    for (q = ngx_queue_head(&st.feeds);
         q != ngx_queue_sentinel(&st.feeds);
         q = next)
    {
        next = ngx_queue_next(q);
        feed = ngx_queue_data(q, ngx_http_speedy_feed_t, queue);

        ngx_http_speedy_feed_answer(feed, now - NGX_HTTP_SPEEDY_STOCK_WAIT);

        if (!ngx_queue_empty(&feed->streams)
            || !ngx_queue_empty(&feed->waiters))
        {
            feed->used = now;

        } else if (!feed->asking
                   && now - feed->used >= NGX_HTTP_SPEEDY_STOCK_LINGER)
        {
            ngx_http_speedy_feed_free(feed);
            continue;

        } else {
            continue;       /* nobody watches */
        }

        if (!ngx_exiting || !ngx_queue_empty(&feed->waiters)) {
            ngx_http_speedy_feed_step(feed);
            ngx_http_speedy_feed_show(feed);
        }
    }

    if (!ngx_queue_empty(&st.feeds)) {
        ngx_http_speedy_stock_later();
        ngx_add_timer(ev, NGX_HTTP_SPEEDY_STOCK_TICK);
    }
}


static void
ngx_http_speedy_stock_work(ngx_event_t *ev)
{
    ngx_int_t                rc;
    ngx_uint_t               budget;
    ngx_queue_t             *q, *next;
    ngx_http_speedy_feed_t  *feed;

    rc = NGX_OK;
    budget = NGX_HTTP_SPEEDY_STOCK_BUDGET;

    for (q = ngx_queue_head(&st.feeds);
         q != ngx_queue_sentinel(&st.feeds) && rc == NGX_OK;
         q = next)
    {
        next = ngx_queue_next(q);
        feed = ngx_queue_data(q, ngx_http_speedy_feed_t, queue);

        if (feed->news) {
            feed->news = 0;
            ngx_http_speedy_feed_answer(feed, ngx_http_speedy_now());
        }

        if (feed->result == NGX_HTTP_SPEEDY_FEED_ARCHIVED
            || feed->result == NGX_HTTP_SPEEDY_FEED_ABSENT)
        {
            rc = ngx_http_speedy_stream_end_feed(feed, &budget);

            /* who asks for what is no sale takes no room from others */

            if (rc == NGX_OK && !feed->asking
                && ngx_queue_empty(&feed->waiters))
            {
                ngx_http_speedy_feed_free(feed);
            }

        } else if (!ngx_exiting && feed->dirty) {
            rc = ngx_http_speedy_stream_feed(feed, &budget);
        }
    }

    if (rc == NGX_OK) {
        rc = ngx_exiting ? ngx_http_speedy_stream_end_all(&budget)
                         : ngx_http_speedy_stream_beat(&budget);
    }

    if (rc == NGX_AGAIN) {
        ngx_post_event(ev, &ngx_posted_next_events);
    }
}
