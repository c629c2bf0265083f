/*
 * Ended sessions: a token whose `sid` is among them is refused, however good
 * it is otherwise.
 *
 * userd keeps the list in Redis. Each worker asks for it every
 * `speedy_sessions` on its one connection (ended.lua: one atomic look) and is
 * sent the whole of it only when it has changed; in between a request costs
 * one look-up in the worker's own table of 64-bit hashes under the zone's
 * random key. A collision would end a session that lives: 1 in 2^64 for each
 * pair.
 *
 * Fail closed: a look is good only when the list stands whole in this very
 * incarnation of Redis (`loaded` is the connection's run_id). Without one for
 * speedy_sessions_max_age nobody is let in. Until then the last list serves,
 * so that a Redis that is restarted costs nobody anything.
 *
 * Each worker also leaves its list in the zone. A worker that has just
 * started, by a reload or after a crash, begins with that one, and its own
 * first look reads the whole list.
 */

#include "ngx_http_speedy.h"


#define NGX_HTTP_SPEEDY_ENDED_FIRST  64
#define NGX_HTTP_SPEEDY_STATE_MAX    64


static struct {
    ngx_msec_t                  interval;   /* 0: off */
    int64_t                     max_age;    /* microseconds */
    ngx_event_t                 timer;

    int64_t                     checked;    /* the last good look was sent */
    uint64_t                   *table;      /* open addressing, 0 is free */
    ngx_uint_t                  size;       /* a power of two */
    ngx_uint_t                  n;

    u_char                      state[NGX_HTTP_SPEEDY_STATE_MAX];
    size_t                      state_len;  /* 0: send all */

    int64_t                     sent;       /* of the look under way */
    u_char                      run_id[NGX_HTTP_SPEEDY_RUN_ID_LEN];
    unsigned                    asking:1;
    unsigned                    text:1;     /* the script was sent whole */
} sessions;


static void ngx_http_speedy_sessions_tick(ngx_event_t *ev);
static void ngx_http_speedy_sessions_ask(void);
static void ngx_http_speedy_sessions_done(void *data, redisReply *reply);
static ngx_int_t ngx_http_speedy_sessions_read(redisReply *reply);
static ngx_int_t ngx_http_speedy_sessions_take(redisReply *list);
static ngx_int_t ngx_http_speedy_sessions_room(ngx_uint_t n);
static void ngx_http_speedy_sessions_add(uint64_t hash);
static void ngx_http_speedy_sessions_leave(ngx_uint_t fresh);
static ngx_uint_t ngx_http_speedy_sessions_leave_list(ngx_slab_pool_t *pool,
    ngx_http_speedy_ended_t *ended);
static void ngx_http_speedy_sessions_mend(ngx_http_speedy_ended_t *ended);
static void ngx_http_speedy_sessions_inherit(void);


static time_t  ngx_http_speedy_sessions_logged;


ngx_int_t
ngx_http_speedy_sessions_init(ngx_cycle_t *cycle,
    ngx_http_speedy_main_conf_t *smcf)
{
    static ngx_connection_t  dummy;

    sessions.interval = smcf->sessions;

    if (sessions.interval == 0) {
        return NGX_OK;
    }

    sessions.max_age = (int64_t) smcf->sessions_max_age * 1000;

    if (ngx_http_speedy_sessions_room(0) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_speedy_sessions_inherit();

    dummy.fd = (ngx_socket_t) -1;
    sessions.timer.handler = ngx_http_speedy_sessions_tick;
    sessions.timer.log = cycle->log;
    sessions.timer.data = &dummy;   /* the debug log reads its descriptor */
    sessions.timer.cancelable = 1;
    ngx_add_timer(&sessions.timer, sessions.interval);

    return NGX_OK;
}


void
ngx_http_speedy_sessions_exit(void)
{
    if (sessions.timer.timer_set) {
        ngx_del_timer(&sessions.timer);
    }

    if (sessions.table) {
        ngx_free(sessions.table);
        sessions.table = NULL;
    }
}


ngx_http_speedy_code_e
ngx_http_speedy_sessions_check(ngx_http_speedy_id_t *session)
{
    uint64_t    hash;
    ngx_uint_t  i;

    if (sessions.interval == 0) {
        return NGX_HTTP_SPEEDY_CODE_NONE;
    }

    if (!ngx_http_speedy_sessions_known()) {
        return NGX_HTTP_SPEEDY_UNAVAILABLE;
    }

    if (sessions.n == 0) {
        return NGX_HTTP_SPEEDY_CODE_NONE;
    }

    hash = ngx_http_speedy_zone_hash(session->data, session->len);

    for (i = hash & (sessions.size - 1);
         sessions.table[i];
         i = (i + 1) & (sessions.size - 1))
    {
        if (sessions.table[i] == hash) {
            return NGX_HTTP_SPEEDY_SESSION_ENDED;
        }
    }

    return NGX_HTTP_SPEEDY_CODE_NONE;
}


ngx_uint_t
ngx_http_speedy_sessions_known(void)
{
    return sessions.interval && sessions.checked
           && ngx_http_speedy_now() - sessions.checked < sessions.max_age;
}


ngx_uint_t
ngx_http_speedy_sessions_count(void)
{
    return sessions.n;
}


static void
ngx_http_speedy_sessions_tick(ngx_event_t *ev)
{
    if (ngx_exiting) {
        return;
    }

    ngx_add_timer(ev, sessions.interval);
    ngx_http_speedy_sessions_ask();
}


void
ngx_http_speedy_sessions_connected(void)
{
    if (sessions.interval) {
        sessions.state_len = 0;     /* a version means nothing elsewhere */
        ngx_http_speedy_sessions_ask();
    }
}


/* One look at a time; while Redis is away there is none. */

static void
ngx_http_speedy_sessions_ask(void)
{
    size_t       len[4];
    const char  *argv[4];

    if (sessions.asking || !ngx_http_speedy_redis_ready()) {
        return;
    }

    argv[0] = SPEEDY_KEY_SESSIONS_LOADED;
    len[0] = sizeof(SPEEDY_KEY_SESSIONS_LOADED) - 1;
    argv[1] = SPEEDY_KEY_SESSIONS_VERSION;
    len[1] = sizeof(SPEEDY_KEY_SESSIONS_VERSION) - 1;
    argv[2] = SPEEDY_KEY_SESSIONS_ENDED;
    len[2] = sizeof(SPEEDY_KEY_SESSIONS_ENDED) - 1;
    argv[3] = (char *) sessions.state;
    len[3] = sessions.state_len;

    ngx_memcpy(sessions.run_id, ngx_http_speedy_redis_run_id(),
               NGX_HTTP_SPEEDY_RUN_ID_LEN);

    /* the age of what the reply tells counts from before it was sent */

    sessions.sent = ngx_http_speedy_now();

    if (ngx_http_speedy_redis_script(NGX_HTTP_SPEEDY_SCRIPT_ENDED,
                                     sessions.text, 3, 4, argv, len,
                                     ngx_http_speedy_sessions_done, NULL)
        == NGX_OK)
    {
        sessions.asking = 1;
    }
}


static void
ngx_http_speedy_sessions_done(void *data, redisReply *reply)
{
    sessions.asking = 0;

    if (reply == NULL) {
        return;
    }

    if (ngx_http_speedy_redis_noscript(reply) && !sessions.text) {
        sessions.text = 1;
        ngx_http_speedy_sessions_ask();
        return;
    }

    sessions.text = 0;

    switch (ngx_http_speedy_sessions_read(reply)) {

    case NGX_OK:
        sessions.checked = sessions.sent;
        ngx_http_speedy_count(NGX_HTTP_SPEEDY_COUNT_SESSIONS_POLLS);
        ngx_http_speedy_sessions_leave(reply->elements == 3);
        return;

    case NGX_ERROR:
        ngx_http_speedy_redis_error(reply, "ended sessions");
        break;

    default: /* userd has not written them yet */
        break;
    }

    sessions.state_len = 0;
}


static ngx_int_t
ngx_http_speedy_sessions_read(redisReply *reply)
{
    redisReply  *loaded, *state;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 2
        || reply->elements > 3
        || reply->element[0]->type != REDIS_REPLY_STRING
        || reply->element[1]->type != REDIS_REPLY_STRING)
    {
        return NGX_ERROR;
    }

    loaded = reply->element[0];
    state = reply->element[1];

    if (loaded->len != NGX_HTTP_SPEEDY_RUN_ID_LEN
        || ngx_memcmp(loaded->str, sessions.run_id, loaded->len) != 0)
    {
        return NGX_DECLINED;
    }

    if (reply->elements == 2) {
        return NGX_OK;
    }

    if (ngx_http_speedy_sessions_take(reply->element[2]) != NGX_OK) {
        return NGX_ERROR;
    }

    /* one too long to keep is asked for whole each time */

    sessions.state_len = 0;

    if ((size_t) state->len <= sizeof(sessions.state)) {
        ngx_memcpy(sessions.state, state->str, state->len);
        sessions.state_len = state->len;
    }

    return NGX_OK;
}


/* The whole list in place of the old one; NGX_ERROR leaves that as it was. */

static ngx_int_t
ngx_http_speedy_sessions_take(redisReply *list)
{
    size_t       i;
    redisReply  *id;

    if (list->type != REDIS_REPLY_ARRAY) {
        return NGX_ERROR;
    }

    for (i = 0; i < list->elements; i++) {
        if (list->element[i]->type != REDIS_REPLY_STRING) {
            return NGX_ERROR;
        }
    }

    if (ngx_http_speedy_sessions_room(list->elements) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < list->elements; i++) {
        id = list->element[i];
        ngx_http_speedy_sessions_add(
            ngx_http_speedy_zone_hash((u_char *) id->str, id->len));
    }

    ngx_http_speedy_count(NGX_HTTP_SPEEDY_COUNT_SESSIONS_LOADS);

    return NGX_OK;
}


/* An empty table for n; it is at most half full, so each search ends. */

static ngx_int_t
ngx_http_speedy_sessions_room(ngx_uint_t n)
{
    uint64_t    *fresh;
    ngx_uint_t   size;

    for (size = NGX_HTTP_SPEEDY_ENDED_FIRST; size < n * 2; size *= 2) {
        /* void */
    }

    if (sessions.table == NULL || sessions.size != size) {
        fresh = ngx_alloc(size * sizeof(uint64_t), ngx_cycle->log);
        if (fresh == NULL) {
            return NGX_ERROR;
        }

        if (sessions.table) {
            ngx_free(sessions.table);
        }

        sessions.table = fresh;
        sessions.size = size;
    }

    ngx_memzero(sessions.table, size * sizeof(uint64_t));
    sessions.n = 0;

    return NGX_OK;
}


static void
ngx_http_speedy_sessions_add(uint64_t hash)
{
    ngx_uint_t  i;

    for (i = hash & (sessions.size - 1);
         sessions.table[i];
         i = (i + 1) & (sessions.size - 1))
    {
        if (sessions.table[i] == hash) {
            return;
        }
    }

    sessions.table[i] = hash;
    sessions.n++;
}


/*
 * Into the zone, for those who come: that the list is good still, and itself
 * when it was read anew. An older look than the one that left its list there
 * leaves none.
 */

static void
ngx_http_speedy_sessions_leave(ngx_uint_t fresh)
{
    ngx_uint_t                fits;
    ngx_slab_pool_t          *pool = ngx_http_speedy_zone_pool();
    ngx_http_speedy_ended_t  *ended = ngx_http_speedy_zone_ended();

    fits = 1;

    ngx_shmtx_lock(&pool->mutex);

    ngx_http_speedy_sessions_mend(ended);
    ended->writing = 1;

    if ((fresh || ended->checked == 0) && ended->listed < sessions.sent) {
        fits = ngx_http_speedy_sessions_leave_list(pool, ended);
    }

    if (fits && ended->listed && ended->checked < sessions.checked) {
        ended->checked = sessions.checked;
    }

    ended->writing = 0;

    ngx_shmtx_unlock(&pool->mutex);

    if (!fits && ngx_http_speedy_log_allowed(&ngx_http_speedy_sessions_logged))
    {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "speedy: %ui ended sessions do not fit "
                      "\"speedy_zone\": after a reload tokens are refused "
                      "until Redis has answered; make the zone larger",
                      sessions.n);
    }
}


/* The lock is held. False: there is no room, and the zone knows nothing. */

static ngx_uint_t
ngx_http_speedy_sessions_leave_list(ngx_slab_pool_t *pool,
    ngx_http_speedy_ended_t *ended)
{
    void        *old;
    ngx_uint_t   i, n;

    if (ended->room < sessions.n) {
        old = ended->hashes;
        ended->hashes = NULL;
        ended->room = 0;

        if (old) {
            ngx_slab_free_locked(pool, old);
        }

        ended->hashes = ngx_slab_alloc_locked(pool, sessions.size / 2
                                                    * sizeof(uint64_t));
        if (ended->hashes == NULL) {
            ended->n = 0;
            ended->checked = 0;
            ended->listed = 0;
            return 0;
        }

        ended->room = sessions.size / 2;
    }

    n = 0;

    for (i = 0; i < sessions.size && n < sessions.n; i++) {
        if (sessions.table[i]) {
            ended->hashes[n++] = sessions.table[i];
        }
    }

    ended->n = n;
    ended->listed = sessions.sent;

    return 1;
}


/* The lock is held. A writer that died left nothing that may be used. */

static void
ngx_http_speedy_sessions_mend(ngx_http_speedy_ended_t *ended)
{
    if (ended->writing) {
        ngx_memzero(ended, sizeof(ngx_http_speedy_ended_t));
    }
}


static void
ngx_http_speedy_sessions_inherit(void)
{
    ngx_uint_t                i;
    ngx_slab_pool_t          *pool = ngx_http_speedy_zone_pool();
    ngx_http_speedy_ended_t  *ended = ngx_http_speedy_zone_ended();

    ngx_shmtx_lock(&pool->mutex);

    ngx_http_speedy_sessions_mend(ended);

    if (ended->checked && ngx_http_speedy_sessions_room(ended->n) == NGX_OK) {
        for (i = 0; i < ended->n; i++) {
            ngx_http_speedy_sessions_add(ended->hashes[i]);
        }

        sessions.checked = ended->checked;
    }

    ngx_shmtx_unlock(&pool->mutex);
}
