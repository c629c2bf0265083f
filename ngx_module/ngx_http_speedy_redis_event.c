/*
 * hiredis' async context on nginx's event loop.
 *
 * Ownership: the descriptor is hiredis', which closes it in redisFree(). The
 * cleanup hook takes it out of epoll and gives the nginx connection back
 * without closing: a second close() of the number could hit a broker's socket
 * that a librdkafka thread opened in between.
 *
 * Reads are level-triggered. hiredis reads 16 KiB a call, so a turn reads more
 * than once: in a rush a turn serves hundreds of clients before it comes back
 * here, and replies that wait in the socket would look late. Writes are
 * posted: all commands of one turn of the loop leave in one write(), and the
 * descriptor is in epoll for writing only while it connects or is full.
 */

#include "ngx_http_speedy.h"

#include <hiredis/async.h>

#include <sys/ioctl.h>


#define NGX_HTTP_SPEEDY_READS  64       /* a turn: 1 MiB */


typedef struct {
    redisAsyncContext          *ac;
    ngx_connection_t           *c;
    ngx_uint_t                 *gone;       /* set when freed within a call */
    unsigned                    writing:1;
} ngx_http_speedy_redis_event_t;


static void ngx_http_speedy_redis_event_read(ngx_event_t *rev);
static void ngx_http_speedy_redis_event_write(ngx_event_t *wev);

static void ngx_http_speedy_redis_event_add_read(void *data);
static void ngx_http_speedy_redis_event_del_read(void *data);
static void ngx_http_speedy_redis_event_add_write(void *data);
static void ngx_http_speedy_redis_event_del_write(void *data);
static void ngx_http_speedy_redis_event_cleanup(void *data);


ngx_int_t
ngx_http_speedy_redis_event_attach(redisAsyncContext *ac, ngx_log_t *log)
{
    ngx_connection_t               *c;
    ngx_http_speedy_redis_event_t  *e;

    e = ngx_calloc(sizeof(ngx_http_speedy_redis_event_t), log);
    if (e == NULL) {
        return NGX_ERROR;
    }

    c = ngx_get_connection(ac->c.fd, log);
    if (c == NULL) {
        ngx_free(e);
        return NGX_ERROR;
    }

    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
    c->log = log;
    c->read->log = log;
    c->write->log = log;
    c->read->handler = ngx_http_speedy_redis_event_read;
    c->write->handler = ngx_http_speedy_redis_event_write;
    c->data = e;

    e->ac = ac;
    e->c = c;

    ac->ev.data = e;
    ac->ev.addRead = ngx_http_speedy_redis_event_add_read;
    ac->ev.delRead = ngx_http_speedy_redis_event_del_read;
    ac->ev.addWrite = ngx_http_speedy_redis_event_add_write;
    ac->ev.delWrite = ngx_http_speedy_redis_event_del_write;
    ac->ev.cleanup = ngx_http_speedy_redis_event_cleanup;

    return NGX_OK;
}


static void
ngx_http_speedy_redis_event_read(ngx_event_t *rev)
{
    ngx_uint_t                      i, gone;
    ngx_connection_t               *c = rev->data;
    redisAsyncContext              *ac;
    ngx_http_speedy_redis_event_t  *e = c->data;

    gone = 0;
    e->gone = &gone;
    ac = e->ac;

    for (i = 0; i < NGX_HTTP_SPEEDY_READS; i++) {
        redisAsyncHandleRead(ac);

        /* e, and the context, may be gone now */

        if (gone) {
            return;
        }

        if (!ngx_http_speedy_redis_event_waiting(ac)) {
            break;
        }
    }

    e->gone = NULL;
}


ngx_uint_t
ngx_http_speedy_redis_event_waiting(redisAsyncContext *ac)
{
    int  n;

    return ioctl(ac->c.fd, FIONREAD, &n) == 0 && n > 0;
}


static void
ngx_http_speedy_redis_event_write(ngx_event_t *wev)
{
    ngx_uint_t                      gone;
    ngx_connection_t               *c = wev->data;
    ngx_http_speedy_redis_event_t  *e = c->data;

    gone = 0;
    e->gone = &gone;
    e->writing = 1;

    redisAsyncHandleWrite(e->ac);

    if (gone) {
        return;
    }

    e->gone = NULL;
    e->writing = 0;
}


static void
ngx_http_speedy_redis_event_add_read(void *data)
{
    ngx_http_speedy_redis_event_t  *e = data;

    if (!e->c->read->active
        && ngx_add_event(e->c->read, NGX_READ_EVENT, NGX_LEVEL_EVENT)
           != NGX_OK)
    {
        ngx_log_error(NGX_LOG_ERR, e->c->log, 0,
                      "speedy: the Redis connection cannot be watched");
    }
}


static void
ngx_http_speedy_redis_event_del_read(void *data)
{
    ngx_http_speedy_redis_event_t  *e = data;

    if (e->c->read->active) {
        (void) ngx_del_event(e->c->read, NGX_READ_EVENT, 0);
    }
}


static void
ngx_http_speedy_redis_event_add_write(void *data)
{
    ngx_event_t                    *wev;
    ngx_http_speedy_redis_event_t  *e = data;

    wev = e->c->write;

    if (wev->active) {
        return;
    }

    if ((e->ac->c.flags & REDIS_CONNECTED) && !e->writing) {
        ngx_post_event(wev, &ngx_posted_events);
        return;
    }

    /* it connects, or the socket's buffer is full */

    if (ngx_add_event(wev, NGX_WRITE_EVENT, NGX_LEVEL_EVENT) != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, e->c->log, 0,
                      "speedy: the Redis connection cannot be watched");
    }
}


static void
ngx_http_speedy_redis_event_del_write(void *data)
{
    ngx_http_speedy_redis_event_t  *e = data;

    if (e->c->write->active) {
        (void) ngx_del_event(e->c->write, NGX_WRITE_EVENT, 0);
    }
}


static void
ngx_http_speedy_redis_event_cleanup(void *data)
{
    ngx_connection_t               *c;
    ngx_http_speedy_redis_event_t  *e = data;

    c = e->c;

    if (e->gone) {
        *e->gone = 1;
    }

    if (c->read->active || c->write->active) {
        (void) ngx_del_conn(c, 0);
    }

    if (c->read->posted) {
        ngx_delete_posted_event(c->read);
    }

    if (c->write->posted) {
        ngx_delete_posted_event(c->write);
    }

    c->read->closed = 1;
    c->write->closed = 1;

    /* the number is needed to leave the cycle's table, and only then is -1 */

    ngx_free_connection(c);
    c->fd = (ngx_socket_t) -1;

    ngx_free(e);
}
