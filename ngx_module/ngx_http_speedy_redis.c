/*
 * The worker's one Redis connection: pipelined, made anew by one state
 * machine.
 *
 *     DOWN ──timer──► CONNECTING ──connected──► SETUP ──all replies──► READY
 *       ▲                 │                       │                      │
 *       └──── back-off with jitter ◄──────────────┴──────────────────────┘
 *
 * SETUP sends AUTH, INFO server (its run_id names this incarnation of Redis:
 * a connection cannot outlive it) and SCRIPT LOAD of our scripts. While the
 * connection is not READY commands are refused at once.
 *
 * Each command waits in a queue in order of sending, which is the order of
 * replies; one timer watches the oldest. A reply that does not come in time
 * ends the connection, for all behind it are late too: each handler is called
 * with NULL, which means "unknown", never "no". That timer is not cancelable:
 * a leaving worker waits for its replies, at most so long. The other timers
 * are.
 *
 * hiredis frees the context itself after the disconnect callback and after a
 * failed connect; we free it only from timers and posted events, detached
 * first, never inside a callback of it.
 */

#include "ngx_http_speedy.h"

#include <hiredis/async.h>

#include <speedy_lua.h>


#define NGX_HTTP_SPEEDY_BACKOFF_MIN  50
#define NGX_HTTP_SPEEDY_BACKOFF_MAX  1000


typedef enum {
    NGX_HTTP_SPEEDY_REDIS_DOWN = 0,
    NGX_HTTP_SPEEDY_REDIS_CONNECTING,
    NGX_HTTP_SPEEDY_REDIS_SETUP,
    NGX_HTTP_SPEEDY_REDIS_READY
} ngx_http_speedy_redis_state_e;


typedef struct {
    ngx_queue_t                 queue;
    ngx_msec_t                  deadline;
    ngx_http_speedy_reply_pt    handler;
    void                       *data;
} ngx_http_speedy_redis_op_t;


typedef struct {
    ngx_http_speedy_main_conf_t *smcf;
    redisAsyncContext          *ac;
    ngx_http_speedy_redis_state_e state;
    ngx_uint_t                  setup;      /* replies still awaited */

    ngx_event_t                 reconnect;
    ngx_event_t                 guard;      /* connecting and set-up */
    ngx_event_t                 watch;      /* the oldest command */
    ngx_event_t                 drop;       /* posted: end the connection */

    ngx_queue_t                 ops;        /* sent, oldest first */
    ngx_queue_t                 spare;
    ngx_uint_t                  nops;

    ngx_msec_t                  backoff;
    u_char                      run_id[NGX_HTTP_SPEEDY_RUN_ID_LEN];
    char                        sha[NGX_HTTP_SPEEDY_NSCRIPTS][40];
    unsigned                    tried:1;    /* the first attempt is over */
} ngx_http_speedy_redis_t;


static void ngx_http_speedy_redis_connect(ngx_event_t *ev);
static void ngx_http_speedy_redis_connected(const redisAsyncContext *ac,
    int status);
static void ngx_http_speedy_redis_disconnected(const redisAsyncContext *ac,
    int status);
static void ngx_http_speedy_redis_setup(void);
static void ngx_http_speedy_redis_setup_send(ngx_http_speedy_reply_pt handler,
    void *data, ngx_uint_t argc, const char **argv, const size_t *len);
static void ngx_http_speedy_redis_auth_done(void *data, redisReply *reply);
static void ngx_http_speedy_redis_info_done(void *data, redisReply *reply);
static void ngx_http_speedy_redis_load_done(void *data, redisReply *reply);
static void ngx_http_speedy_redis_setup_step(ngx_int_t rc);
static void ngx_http_speedy_redis_late_setup(ngx_event_t *ev);
static void ngx_http_speedy_redis_late_reply(ngx_event_t *ev);
static void ngx_http_speedy_redis_drop(ngx_event_t *ev);
static void ngx_http_speedy_redis_close(void);
static void ngx_http_speedy_redis_lost(void);
static ngx_int_t ngx_http_speedy_redis_send(ngx_uint_t argc,
    const char **argv, const size_t *len, ngx_http_speedy_reply_pt handler,
    void *data);
static void ngx_http_speedy_redis_done(redisAsyncContext *ac, void *reply,
    void *privdata);


static const ngx_str_t  ngx_http_speedy_scripts[] = {
    ngx_string(SPEEDY_LUA_RESERVE),
    ngx_string(SPEEDY_LUA_ACK),
    ngx_string(SPEEDY_LUA_PROBE),
    ngx_string(SPEEDY_LUA_ENDED)
};

static ngx_http_speedy_redis_t  rk;
static time_t                   ngx_http_speedy_redis_logged;
static time_t                   ngx_http_speedy_redis_error_logged;


ngx_int_t
ngx_http_speedy_redis_init(ngx_cycle_t *cycle,
    ngx_http_speedy_main_conf_t *smcf)
{
    ngx_uint_t                i;
    ngx_event_t              *ev[4];
    static ngx_connection_t   dummy;

    rk.smcf = smcf;
    rk.backoff = NGX_HTTP_SPEEDY_BACKOFF_MIN;
    ngx_queue_init(&rk.ops);
    ngx_queue_init(&rk.spare);

    ev[0] = &rk.reconnect;
    ev[1] = &rk.guard;
    ev[2] = &rk.watch;
    ev[3] = &rk.drop;

    for (i = 0; i < 4; i++) {
        ev[i]->log = cycle->log;
        ev[i]->data = &dummy;   /* the debug log reads a descriptor of it */
        ev[i]->cancelable = (i != 2);
    }

    dummy.fd = (ngx_socket_t) -1;

    rk.reconnect.handler = ngx_http_speedy_redis_connect;
    rk.guard.handler = ngx_http_speedy_redis_late_setup;
    rk.watch.handler = ngx_http_speedy_redis_late_reply;
    rk.drop.handler = ngx_http_speedy_redis_drop;

    ngx_http_speedy_redis_connect(&rk.reconnect);

    return NGX_OK;
}


void
ngx_http_speedy_redis_exit(void)
{
    ngx_queue_t  *q;

    if (rk.smcf == NULL) {
        return;
    }

    ngx_http_speedy_redis_close();

    while (!ngx_queue_empty(&rk.spare)) {
        q = ngx_queue_head(&rk.spare);
        ngx_queue_remove(q);
        ngx_free(ngx_queue_data(q, ngx_http_speedy_redis_op_t, queue));
    }
}


ngx_uint_t
ngx_http_speedy_redis_ready(void)
{
    return rk.state == NGX_HTTP_SPEEDY_REDIS_READY;
}


ngx_uint_t
ngx_http_speedy_redis_starting(void)
{
    return !rk.tried && rk.ac != NULL;
}


ngx_uint_t
ngx_http_speedy_redis_waiting(void)
{
    return rk.nops;
}


const u_char *
ngx_http_speedy_redis_run_id(void)
{
    return rk.run_id;
}


size_t
ngx_http_speedy_redis_key(u_char *p, const ngx_http_speedy_id_t *sale,
    const char *what)
{
    u_char  *start = p;

    p = ngx_cpymem(p, SPEEDY_KEY_PREFIX, sizeof(SPEEDY_KEY_PREFIX) - 1);
    p = ngx_cpymem(p, sale->data, sale->len);
    p = ngx_cpymem(p, what, ngx_strlen(what));

    return p - start;
}


ngx_int_t
ngx_http_speedy_redis_script(ngx_http_speedy_script_e script, ngx_uint_t text,
    ngx_uint_t nkeys, ngx_uint_t argc, const char **argv, const size_t *len,
    ngx_http_speedy_reply_pt handler, void *data)
{
    char         number[2];
    size_t       lens[NGX_HTTP_SPEEDY_ARGS_MAX + 3];
    ngx_uint_t   i;
    const char  *args[NGX_HTTP_SPEEDY_ARGS_MAX + 3];

    if (argc > NGX_HTTP_SPEEDY_ARGS_MAX || nkeys > 9) {
        return NGX_DECLINED;
    }

    if (text) {
        ngx_http_speedy_count(NGX_HTTP_SPEEDY_COUNT_REDIS_NOSCRIPT);
        args[0] = "EVAL";
        lens[0] = 4;
        args[1] = (const char *) ngx_http_speedy_scripts[script].data;
        lens[1] = ngx_http_speedy_scripts[script].len;

    } else {
        args[0] = "EVALSHA";
        lens[0] = 7;
        args[1] = rk.sha[script];
        lens[1] = 40;
    }

    number[0] = (char) ('0' + nkeys);
    args[2] = number;
    lens[2] = 1;

    for (i = 0; i < argc; i++) {
        args[3 + i] = argv[i];
        lens[3 + i] = len[i];
    }

    return ngx_http_speedy_redis_command(argc + 3, args, lens, handler, data);
}


ngx_int_t
ngx_http_speedy_redis_command(ngx_uint_t argc, const char **argv,
    const size_t *len, ngx_http_speedy_reply_pt handler, void *data)
{
    if (rk.state != NGX_HTTP_SPEEDY_REDIS_READY
        || rk.nops >= rk.smcf->redis_queue
        || ngx_http_speedy_redis_send(argc, argv, len, handler, data)
           != NGX_OK)
    {
        ngx_http_speedy_count(NGX_HTTP_SPEEDY_COUNT_REDIS_REFUSED);
        return NGX_DECLINED;
    }

    ngx_http_speedy_count(NGX_HTTP_SPEEDY_COUNT_REDIS_COMMANDS);

    return NGX_OK;
}


static ngx_int_t
ngx_http_speedy_redis_send(ngx_uint_t argc, const char **argv,
    const size_t *len, ngx_http_speedy_reply_pt handler, void *data)
{
    ngx_queue_t                 *q;
    ngx_http_speedy_redis_op_t  *op;

    if (rk.ac == NULL) {
        return NGX_DECLINED;
    }

    if (ngx_queue_empty(&rk.spare)) {
        op = ngx_alloc(sizeof(ngx_http_speedy_redis_op_t), ngx_cycle->log);
        if (op == NULL) {
            return NGX_DECLINED;
        }

    } else {
        q = ngx_queue_head(&rk.spare);
        ngx_queue_remove(q);
        op = ngx_queue_data(q, ngx_http_speedy_redis_op_t, queue);
    }

    op->handler = handler;
    op->data = data;
    op->deadline = ngx_current_msec + rk.smcf->redis_timeout;

    if (redisAsyncCommandArgv(rk.ac, ngx_http_speedy_redis_done, op, argc,
                              argv, len)
        != REDIS_OK)
    {
        ngx_queue_insert_head(&rk.spare, &op->queue);
        return NGX_DECLINED;
    }

    ngx_queue_insert_tail(&rk.ops, &op->queue);
    rk.nops++;

    if (!rk.watch.timer_set) {
        ngx_add_timer(&rk.watch, rk.smcf->redis_timeout);
    }

    return NGX_OK;
}


static void
ngx_http_speedy_redis_done(redisAsyncContext *ac, void *reply, void *privdata)
{
    void                        *data;
    ngx_http_speedy_reply_pt     handler;
    ngx_http_speedy_redis_op_t  *op = privdata;

    handler = op->handler;
    data = op->data;

    ngx_queue_remove(&op->queue);
    ngx_queue_insert_head(&rk.spare, &op->queue);
    rk.nops--;

    /* it is not cancelable: a worker without purchases leaves at once */

    if (rk.nops == 0 && rk.watch.timer_set) {
        ngx_del_timer(&rk.watch);
    }

    if (reply == NULL) {
        ngx_http_speedy_count(NGX_HTTP_SPEEDY_COUNT_REDIS_UNKNOWN);
    }

    handler(data, reply);
}


static void
ngx_http_speedy_redis_connect(ngx_event_t *ev)
{
    redisAsyncContext  *ac;

    if (rk.smcf->redis_port) {
        ac = redisAsyncConnect((char *) rk.smcf->redis_address.data,
                               (int) rk.smcf->redis_port);
    } else {
        ac = redisAsyncConnectUnix((char *) rk.smcf->redis_address.data);
    }

    if (ac == NULL || ac->err
        || ngx_http_speedy_redis_event_attach(ac, ngx_cycle->log) != NGX_OK)
    {
        if (ngx_http_speedy_log_allowed(&ngx_http_speedy_redis_logged)) {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "speedy: no connection to Redis at \"%V\": %s",
                          &rk.smcf->redis_address,
                          ac && ac->err ? ac->errstr : "no memory");
        }

        if (ac) {
            redisAsyncFree(ac);
        }

        ngx_http_speedy_redis_lost();
        return;
    }

    rk.ac = ac;
    rk.state = NGX_HTTP_SPEEDY_REDIS_CONNECTING;
    ac->data = &rk;

    ngx_add_timer(&rk.guard, rk.smcf->redis_connect_timeout);

    redisAsyncSetDisconnectCallback(ac, ngx_http_speedy_redis_disconnected);
    redisAsyncSetConnectCallback(ac, ngx_http_speedy_redis_connected);
}


static void
ngx_http_speedy_redis_connected(const redisAsyncContext *ac, int status)
{
    if (ac->data == NULL) {
        return;
    }

    if (status != REDIS_OK) {

        /* hiredis frees the context when this returns */

        if (ngx_http_speedy_log_allowed(&ngx_http_speedy_redis_logged)) {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "speedy: no connection to Redis at \"%V\": %s",
                          &rk.smcf->redis_address, ac->errstr);
        }

        ngx_http_speedy_redis_lost();
        return;
    }

    ngx_http_speedy_redis_setup();
}


static void
ngx_http_speedy_redis_disconnected(const redisAsyncContext *ac, int status)
{
    if (ac->data == NULL) {
        return;
    }

    if (ngx_http_speedy_log_allowed(&ngx_http_speedy_redis_logged)) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "speedy: lost the connection to Redis: %s",
                      status == REDIS_OK ? "closed" : ac->errstr);
    }

    ngx_http_speedy_redis_lost();
}


/* Called in the connect callback, where only sending is allowed. */

static void
ngx_http_speedy_redis_setup(void)
{
    size_t       len[3];
    uintptr_t    i;
    const char  *argv[3];

    rk.state = NGX_HTTP_SPEEDY_REDIS_SETUP;
    rk.setup = 0;

    if (rk.smcf->redis_port) {
        (void) redisEnableKeepAlive(&rk.ac->c);
    }

    if (rk.smcf->redis_password.len) {
        argv[0] = "AUTH";
        len[0] = 4;
        i = 1;

        if (rk.smcf->redis_user.len) {
            argv[i] = (char *) rk.smcf->redis_user.data;
            len[i++] = rk.smcf->redis_user.len;
        }

        argv[i] = (char *) rk.smcf->redis_password.data;
        len[i++] = rk.smcf->redis_password.len;

        ngx_http_speedy_redis_setup_send(ngx_http_speedy_redis_auth_done,
                                         NULL, i, argv, len);
    }

    argv[0] = "INFO";
    len[0] = 4;
    argv[1] = "server";
    len[1] = 6;
    ngx_http_speedy_redis_setup_send(ngx_http_speedy_redis_info_done, NULL, 2,
                                     argv, len);

    for (i = 0; i < NGX_HTTP_SPEEDY_NSCRIPTS; i++) {
        argv[0] = "SCRIPT";
        len[0] = 6;
        argv[1] = "LOAD";
        len[1] = 4;
        argv[2] = (char *) ngx_http_speedy_scripts[i].data;
        len[2] = ngx_http_speedy_scripts[i].len;
        ngx_http_speedy_redis_setup_send(ngx_http_speedy_redis_load_done,
                                         (void *) i, 3, argv, len);
    }
}


static void
ngx_http_speedy_redis_setup_send(ngx_http_speedy_reply_pt handler, void *data,
    ngx_uint_t argc, const char **argv, const size_t *len)
{
    if (ngx_http_speedy_redis_send(argc, argv, len, handler, data) == NGX_OK) {
        rk.setup++;
        return;
    }

    ngx_post_event(&rk.drop, &ngx_posted_events);
}


static void
ngx_http_speedy_redis_auth_done(void *data, redisReply *reply)
{
    if (reply == NULL) {
        return;
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        ngx_http_speedy_redis_error(reply, "AUTH");
        ngx_http_speedy_redis_setup_step(NGX_ERROR);
        return;
    }

    ngx_http_speedy_redis_setup_step(NGX_OK);
}


static void
ngx_http_speedy_redis_info_done(void *data, redisReply *reply)
{
    char  *p;

    if (reply == NULL) {
        return;
    }

    p = NULL;

    if (reply->type == REDIS_REPLY_STRING) {
        p = strstr(reply->str, "run_id:");
    }

    if (p == NULL || (size_t) (reply->str + reply->len - p)
                     < sizeof("run_id:") - 1 + NGX_HTTP_SPEEDY_RUN_ID_LEN)
    {
        ngx_http_speedy_redis_error(reply, "INFO server");
        ngx_http_speedy_redis_setup_step(NGX_ERROR);
        return;
    }

    ngx_memcpy(rk.run_id, p + sizeof("run_id:") - 1,
               NGX_HTTP_SPEEDY_RUN_ID_LEN);
    ngx_http_speedy_redis_setup_step(NGX_OK);
}


static void
ngx_http_speedy_redis_load_done(void *data, redisReply *reply)
{
    uintptr_t  script = (uintptr_t) data;

    if (reply == NULL) {
        return;
    }

    if (reply->type != REDIS_REPLY_STRING || reply->len != 40) {
        ngx_http_speedy_redis_error(reply, "SCRIPT LOAD");
        ngx_http_speedy_redis_setup_step(NGX_ERROR);
        return;
    }

    ngx_memcpy(rk.sha[script], reply->str, 40);
    ngx_http_speedy_redis_setup_step(NGX_OK);
}


static void
ngx_http_speedy_redis_setup_step(ngx_int_t rc)
{
    if (rk.state != NGX_HTTP_SPEEDY_REDIS_SETUP) {
        return;
    }

    if (rc != NGX_OK) {
        ngx_post_event(&rk.drop, &ngx_posted_events);
        return;
    }

    if (--rk.setup) {
        return;
    }

    rk.state = NGX_HTTP_SPEEDY_REDIS_READY;
    rk.tried = 1;
    rk.backoff = NGX_HTTP_SPEEDY_BACKOFF_MIN;

    if (rk.guard.timer_set) {
        ngx_del_timer(&rk.guard);
    }

    ngx_http_speedy_count(NGX_HTTP_SPEEDY_COUNT_REDIS_CONNECTS);
    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "speedy: connected to Redis, run_id %*s",
                  (size_t) NGX_HTTP_SPEEDY_RUN_ID_LEN, rk.run_id);

    ngx_http_speedy_sessions_connected();
    ngx_http_speedy_job_started();
}


static void
ngx_http_speedy_redis_late_setup(ngx_event_t *ev)
{
    if (ngx_http_speedy_log_allowed(&ngx_http_speedy_redis_logged)) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, NGX_ETIMEDOUT,
                      "speedy: Redis at \"%V\" did not answer in "
                      "speedy_redis_connect_timeout",
                      &rk.smcf->redis_address);
    }

    ngx_http_speedy_redis_drop(ev);
}


static void
ngx_http_speedy_redis_late_reply(ngx_event_t *ev)
{
    ngx_msec_int_t               left;
    ngx_http_speedy_redis_op_t  *op;

    if (ngx_queue_empty(&rk.ops)) {
        return;
    }

    op = ngx_queue_data(ngx_queue_head(&rk.ops), ngx_http_speedy_redis_op_t,
                        queue);
    left = (ngx_msec_int_t) (op->deadline - ngx_current_msec);

    if (left <= 0 && ngx_http_speedy_redis_event_waiting(rk.ac)) {

        /* Redis has answered: it is this loop that is late */

        left = 1;
    }

    if (left > 0) {
        ngx_add_timer(&rk.watch, left);
        return;
    }

    if (ngx_http_speedy_log_allowed(&ngx_http_speedy_redis_logged)) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, NGX_ETIMEDOUT,
                      "speedy: Redis did not answer in speedy_redis_timeout, "
                      "%ui commands are in doubt", rk.nops);
    }

    ngx_http_speedy_redis_drop(ev);
}


static void
ngx_http_speedy_redis_drop(ngx_event_t *ev)
{
    ngx_http_speedy_redis_close();
    ngx_http_speedy_redis_lost();
}


/*
 * Detached first: the callbacks that run inside redisAsyncFree must find
 * nothing to act upon but their own results.
 */

static void
ngx_http_speedy_redis_close(void)
{
    redisAsyncContext  *ac = rk.ac;

    rk.ac = NULL;
    rk.state = NGX_HTTP_SPEEDY_REDIS_DOWN;

    if (ac) {
        ac->data = NULL;
        redisAsyncFree(ac);
    }

    if (rk.guard.timer_set) {
        ngx_del_timer(&rk.guard);
    }

    if (rk.watch.timer_set) {
        ngx_del_timer(&rk.watch);
    }

    if (rk.reconnect.timer_set) {
        ngx_del_timer(&rk.reconnect);
    }

    if (rk.drop.posted) {
        ngx_delete_posted_event(&rk.drop);
    }
}


/* The one place that arranges the next attempt. */

static void
ngx_http_speedy_redis_lost(void)
{
    u_char      random;
    ngx_msec_t  wait;

    rk.ac = NULL;
    rk.state = NGX_HTTP_SPEEDY_REDIS_DOWN;

    if (!rk.tried) {
        rk.tried = 1;
        ngx_http_speedy_job_started();
    }

    if (rk.guard.timer_set) {
        ngx_del_timer(&rk.guard);
    }

    if (rk.watch.timer_set) {
        ngx_del_timer(&rk.watch);
    }

    if (rk.drop.posted) {
        ngx_delete_posted_event(&rk.drop);
    }

    if (ngx_exiting || ngx_terminate || rk.reconnect.timer_set) {
        return;
    }

    random = 128;
    (void) ngx_http_speedy_random(&random, 1);

    wait = rk.backoff / 2 + rk.backoff * random / 256;
    rk.backoff = ngx_min(rk.backoff * 2, NGX_HTTP_SPEEDY_BACKOFF_MAX);

    ngx_add_timer(&rk.reconnect, wait);
}


ngx_uint_t
ngx_http_speedy_redis_noscript(redisReply *reply)
{
    return reply && reply->type == REDIS_REPLY_ERROR
           && ngx_strncmp(reply->str, "NOSCRIPT", 8) == 0;
}


void
ngx_http_speedy_redis_error(redisReply *reply, const char *what)
{
    ngx_http_speedy_count(NGX_HTTP_SPEEDY_COUNT_REDIS_ERRORS);

    if (ngx_http_speedy_log_allowed(&ngx_http_speedy_redis_error_logged)) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "speedy: Redis answered %s with \"%s\"", what,
                      reply->type == REDIS_REPLY_ERROR ? reply->str
                                                       : "an unknown reply");
    }
}


int64_t
ngx_http_speedy_reply_number(redisReply *reply)
{
    off_t  n;

    if (reply->type == REDIS_REPLY_INTEGER) {
        return reply->integer;
    }

    if (reply->type != REDIS_REPLY_STRING) {
        return -1;
    }

    n = ngx_atoof((u_char *) reply->str, reply->len);

    return n == NGX_ERROR ? -1 : n;
}


ngx_uint_t
ngx_http_speedy_reply_is(redisReply *reply, const char *text)
{
    return (reply->type == REDIS_REPLY_STRING
            || reply->type == REDIS_REPLY_STATUS)
           && ngx_strcmp(reply->str, text) == 0;
}
