/*
 * Live stock: what the files of it share.
 *
 *   stock        requests and feeds: one feed a worker for each watched sale
 *   stock_look   what a feed asks of Redis
 *   stock_text   a probe's reply as JSON
 *   stock_zone   the slots in shared memory: one look for all workers
 *   stock_stream the clients of event streams
 */
#ifndef NGX_HTTP_SPEEDY_STOCK_H
#define NGX_HTTP_SPEEDY_STOCK_H

#include "ngx_http_speedy.h"


/* 200 variants and a notice of 500 characters, all escaped. */
#define NGX_HTTP_SPEEDY_STOCK_TEXT   40960

/* microseconds */
#define NGX_HTTP_SPEEDY_STOCK_PERIOD 98000      /* 100 ms, by a timer of ms */
#define NGX_HTTP_SPEEDY_STOCK_FRESH  250000
#define NGX_HTTP_SPEEDY_STOCK_STALE  2000000    /* watchers are told */


typedef enum {
    NGX_HTTP_SPEEDY_STOCK_STATE = 0,
    NGX_HTTP_SPEEDY_STOCK_VARIANTS,
    NGX_HTTP_SPEEDY_STOCK_NOTICE,
    NGX_HTTP_SPEEDY_STOCK_NPARTS
} ngx_http_speedy_stock_part_e;


/* One look at a sale, between Redis, zone and feeds: parts of JSON. */

typedef struct {
    int64_t                     sent;       /* ngx_http_speedy_now */
    int64_t                     offset;     /* Redis ms ahead of `sent` / 1000 */
    uint64_t                    generation; /* of the zone; 0: none */
    ngx_uint_t                  fenced;     /* the parts are the last known */
    size_t                      len[NGX_HTTP_SPEEDY_STOCK_NPARTS];
    u_char                      text[NGX_HTTP_SPEEDY_STOCK_TEXT];
} ngx_http_speedy_stock_t;


/* Bytes sent to many: freed with its last reference. */

typedef struct {
    ngx_uint_t                  refs;
    size_t                      len;
    u_char                      data[];
} ngx_http_speedy_frame_t;


typedef enum {
    NGX_HTTP_SPEEDY_FEED_UNKNOWN = 0,
    NGX_HTTP_SPEEDY_FEED_LIVE,
    NGX_HTTP_SPEEDY_FEED_FENCED,
    NGX_HTTP_SPEEDY_FEED_ABSENT,
    NGX_HTTP_SPEEDY_FEED_ARCHIVED
} ngx_http_speedy_feed_result_e;


typedef struct {
    ngx_queue_t                 queue;      /* of all feeds */
    ngx_queue_t                 bucket;
    ngx_http_speedy_id_t        id;
    ngx_queue_t                 streams;    /* the least fresh first */
    ngx_queue_t                 waiters;

    ngx_http_speedy_feed_result_e  result;
    int64_t                     judged;     /* when that was asked; 0: never */
    int64_t                     offset;
    uint64_t                    generation;
    int64_t                     asked;      /* the last look of our own */
    int64_t                     listed;     /* when it was found among sales */
    int64_t                     used;

    ngx_uint_t                  version;    /* of what is shown */
    u_char                     *text;
    ngx_str_t                   state;      /* as it was looked at */
    ngx_str_t                   part[NGX_HTTP_SPEEDY_STOCK_NPARTS];
    uint64_t                    hash[NGX_HTTP_SPEEDY_STOCK_NPARTS];
    ngx_http_speedy_frame_t    *frames[1 << NGX_HTTP_SPEEDY_STOCK_NPARTS];

    unsigned                    asking:1;
    unsigned                    news:1;     /* for the waiters */
    unsigned                    dirty:1;    /* not all streams have it */
} ngx_http_speedy_feed_t;


/* stock.c: all of the worker */

ngx_http_speedy_feed_t *ngx_http_speedy_feed_find(ngx_http_speedy_id_t *id);

/* News of a look: stored, and posted for waiters and streams. */
void ngx_http_speedy_feed_take(ngx_http_speedy_feed_t *feed,
    ngx_http_speedy_stock_t *stock);
void ngx_http_speedy_feed_judge(ngx_http_speedy_feed_t *feed,
    ngx_http_speedy_feed_result_e result, int64_t asked);

/* The look failed: who waits is told so. */
void ngx_http_speedy_feed_fail(ngx_http_speedy_feed_t *feed);

/* How many requests are parked: the worker does not leave before them. */
void ngx_http_speedy_stock_park(ngx_int_t n);

void ngx_http_speedy_stock_stream_count(ngx_int_t n);

/* Posts what is to be done for waiters and streams. */
void ngx_http_speedy_stock_later(void);


/* stock_look.c */

/* One look at a time; `claim` of the zone, or 0. */
void ngx_http_speedy_stock_look(ngx_http_speedy_feed_t *feed, uint64_t claim);


/* stock_text.c */

/* NGX_ERROR: no reply of probe.lua, or it does not fit. */
ngx_int_t ngx_http_speedy_stock_read(redisReply *reply, int64_t sent,
    ngx_http_speedy_stock_t *stock);

/* The whole answer of a GET. NGX_ERROR: no memory. */
ngx_int_t ngx_http_speedy_stock_answer(ngx_http_speedy_feed_t *feed,
    ngx_pool_t *pool, ngx_str_t *body);

/*
 * The events of these parts, made once a version. The caller takes a
 * reference of its own. NULL: no memory.
 */
ngx_http_speedy_frame_t *ngx_http_speedy_stock_frame(
    ngx_http_speedy_feed_t *feed, ngx_uint_t mask);
void ngx_http_speedy_stock_unref(ngx_http_speedy_frame_t *frame);


/* stock_zone.c; the slots are a part of what zone.c holds */

#define NGX_HTTP_SPEEDY_STOCK_SLOTS  128

typedef struct {
    ngx_http_speedy_id_t        id;
    uint64_t                    hash;
    ngx_uint_t                  used;
    ngx_uint_t                  writing;

    int64_t                     touched;    /* last worker that watched */
    int64_t                     claimed;    /* last claim */
    uint64_t                    claim;      /* 0: nobody looks */

    int64_t                     sent;       /* of the last good look; 0: none */
    int64_t                     offset;
    uint64_t                    generation; /* changes with the text */
    ngx_uint_t                  fenced;
    size_t                      len[NGX_HTTP_SPEEDY_STOCK_NPARTS];
    u_char                     *text;
    size_t                      room;
} ngx_http_speedy_stock_slot_t;

typedef struct {
    uint64_t                    generations;
    uint64_t                    claims;
    ngx_http_speedy_stock_slot_t  slots[NGX_HTTP_SPEEDY_STOCK_SLOTS];
} ngx_http_speedy_stocks_t;

ngx_http_speedy_stocks_t *ngx_http_speedy_zone_stocks(void);

/*
 * NGX_OK: `stock` holds a look newer than `generation`; NGX_AGAIN: the same,
 * only its times were set; NGX_DECLINED: the zone has no slot for it. `claim`
 * (unless NULL) is set when it is on the caller to look now, and must be
 * ended by publish, fence or release.
 */
ngx_int_t ngx_http_speedy_stock_zone_read(ngx_http_speedy_id_t *id,
    uint64_t generation, ngx_http_speedy_stock_t *stock, uint64_t *claim);

/* `take`: make a slot when there is none. Sets stock->generation. */
void ngx_http_speedy_stock_zone_publish(ngx_http_speedy_id_t *id,
    ngx_http_speedy_stock_t *stock, ngx_uint_t take);
ngx_uint_t ngx_http_speedy_stock_zone_has(ngx_http_speedy_id_t *id);
void ngx_http_speedy_stock_zone_fence(ngx_http_speedy_id_t *id, int64_t sent);
void ngx_http_speedy_stock_zone_release(ngx_http_speedy_id_t *id,
    uint64_t claim);


/* stock_stream.c */

void ngx_http_speedy_stream_init(void);

/*
 * Starts the stream of a feed that is LIVE. NGX_DONE: the request is parked;
 * else for finalize_request.
 */
ngx_int_t ngx_http_speedy_stream_open(ngx_http_request_t *r,
    ngx_http_speedy_feed_t *feed);

/*
 * Brings streams of the feed to what it shows; each step costs one of
 * `budget`. NGX_AGAIN: the budget is spent.
 */
ngx_int_t ngx_http_speedy_stream_feed(ngx_http_speedy_feed_t *feed,
    ngx_uint_t *budget);

/* Heartbeats that are due, or the end of all streams. */
ngx_int_t ngx_http_speedy_stream_beat(ngx_uint_t *budget);
ngx_int_t ngx_http_speedy_stream_end_all(ngx_uint_t *budget);
ngx_int_t ngx_http_speedy_stream_end_feed(ngx_http_speedy_feed_t *feed,
    ngx_uint_t *budget);


#endif
