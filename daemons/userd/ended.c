/*
 * One thread publishes for all requests: those that wait while it is at work
 * are covered by its next look, all by one query and one script.
 *
 * A row may become visible some time after its ended_at, which is the start
 * of a statement: each look goes back to the one before it and OVERLAP more.
 * To write a session twice changes nothing.
 */
#include "ended.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../common/crypto.h"
#include "../common/db.h"
#include "../common/log.h"
#include "../common/loop.h"
#include "../common/metrics.h"
#include "../shop/scripts.h"
#include "sessions.h"

#define LOOK_MS 500
#define WAIT_MS 500
#define AGAIN_MS 100 /* after a failure */
#define OVERLAP_MS 10000
#define WHOLE_MS 60000
#define CHUNK 500 /* members a script */
/* The longest life of an access token, a gateway's leeway, and a margin. */
#define KEEP_MS (15 * 60000 + 60000)
#define SCORE_MS (KEEP_MS + 60000)

struct member {
    char id[41];
    int64_t until;
};

struct userd_ended {
    struct speedy_db *db;
    struct speedy_redis *rc;
    int64_t looked, whole; /* boot time of the last good ones, 0: none */
    struct member *at;
    size_t count, size;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    uint64_t wanted, taken, finished;
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct speedy_metric m_published = {
    .name = "speedy_userd_ended_published_total",
    .help = "Changes of the list of ended sessions in Redis.",
    .type = SPEEDY_COUNTER,
    .labels = "",
};
static struct speedy_metric m_loads = {
    .name = "speedy_userd_ended_loads_total",
    .help = "Times the list was found missing in Redis and written whole.",
    .type = SPEEDY_COUNTER,
    .labels = "",
};
static struct speedy_metric m_failures = {
    .name = "speedy_userd_ended_failures_total",
    .help = "Looks at ended sessions that MySQL or Redis did not answer.",
    .type = SPEEDY_COUNTER,
    .labels = "",
};
static struct speedy_metric m_wait = {
    .name = "speedy_userd_ended_wait_seconds",
    .help = "Time until an ended session was in Redis, or given up.",
    .type = SPEEDY_HISTOGRAM,
    .labels = "",
};

static void init_once(void)
{
    speedy_cond_init(&queue.wake);
    speedy_cond_init(&queue.done);
    speedy_metric_register(&m_published);
    speedy_metric_register(&m_loads);
    speedy_metric_register(&m_failures);
    speedy_metric_register(&m_wait);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;

void userd_ended_publish(void)
{
    struct timespec until = speedy_deadline(WAIT_MS);
    int64_t began = speedy_now_boot();
    uint64_t ticket;
    int rc = 0;

    pthread_once(&once, init_once);
    pthread_mutex_lock(&queue.lock);
    ticket = ++queue.wanted;
    pthread_cond_signal(&queue.wake);
    while (queue.finished < ticket && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&queue.done, &queue.lock, &until);
    pthread_mutex_unlock(&queue.lock);
    speedy_metric_observe(&m_wait, speedy_now_boot() - began);
}

struct userd_ended *userd_ended_new(void)
{
    struct userd_ended *e = calloc(1, sizeof(*e));

    pthread_once(&once, init_once);
    if (e == NULL)
        return NULL;
    e->db = speedy_db_new("userd");
    e->rc = speedy_redis_new();
    if (e->db != NULL && e->rc != NULL)
        return e;
    userd_ended_free(e);
    return NULL;
}

void userd_ended_free(struct userd_ended *e)
{
    if (e == NULL)
        return;
    speedy_db_free(e->db);
    speedy_redis_free(e->rc);
    free(e->at);
    free(e);
}

static int on_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct userd_ended *e = data;
    struct member *m;

    (void)cols;
    if (e->count == e->size) {
        size_t size = e->size == 0 ? 64 : e->size * 2;
        struct member *at = realloc(e->at, size * sizeof(*at));

        if (at == NULL)
            abort();
        e->at = at;
        e->size = size;
    }
    m = &e->at[e->count++];
    memcpy(m->id, col[0].bytes, col[0].len + 1);
    m->until = col[1].number + SCORE_MS;
    return 0;
}

/* Those that ended in the last ms milliseconds. 0 or -1. */
static int read_rows(struct userd_ended *e, int64_t ms)
{
    e->count = 0;
    return speedy_db_query(
               e->db,
               "SELECT id, CAST(UNIX_TIMESTAMP(ended_at) * 1000 AS SIGNED)"
               " FROM sessions WHERE ended_at >= NOW(3) - INTERVAL ? * 1000"
               " MICROSECOND",
               DB_ARGS(DB_INT(ms)), on_row, e) == SPEEDY_DB_OK
               ? 0
               : -1;
}

/* 1: the list stands whole; 0: it does not; -1: Redis did not answer. */
static int script(struct userd_ended *e, const char *run_id, const char *mode,
                  size_t from, size_t to)
{
    unsigned char noise[8];
    char version[17];
    struct speedy_args a = {0};
    redisReply *reply;
    int whole = -1;

    speedy_random(noise, sizeof(noise));
    speedy_hex(noise, sizeof(noise), version);
    speedy_args_text(&a, SPEEDY_KEY_SESSIONS_ENDED);
    speedy_args_text(&a, SPEEDY_KEY_SESSIONS_LOADED);
    speedy_args_text(&a, SPEEDY_KEY_SESSIONS_VERSION);
    speedy_args_text(&a, run_id);
    speedy_args_text(&a, mode);
    speedy_args_text(&a, version);
    for (size_t i = from; i < to; i++) {
        speedy_args_int(&a, e->at[i].until);
        speedy_args_text(&a, e->at[i].id);
    }
    reply = speedy_redis_script(e->rc, &speedy_script_sessions, 3, &a);
    speedy_args_free(&a);
    if (reply != NULL && reply->type == REDIS_REPLY_ARRAY &&
        reply->elements == 2) {
        whole = reply->element[0]->integer == 1;
        if (reply->element[1]->integer > 0)
            speedy_metric_add(&m_published, 1);
    }
    if (reply != NULL)
        freeReplyObject(reply);
    return whole;
}

/* Writes what was read; the last script says `mode`. As script(). */
static int write_rows(struct userd_ended *e, const char *run_id,
                      const char *mode)
{
    size_t at = 0;

    for (; e->count - at > CHUNK; at += CHUNK) {
        if (script(e, run_id, "part", at, at + CHUNK) < 0)
            return -1;
    }
    return script(e, run_id, mode, at, e->count);
}

static int look(struct userd_ended *e)
{
    int64_t now = speedy_now_boot();
    char run_id[41];
    int whole = 0;

    if (speedy_redis_ready(e->rc) != 0)
        return -1;
    /* Of another Redis that answers in between, this one's run_id would not
     * be the list's proof: gateways compare. */
    memcpy(run_id, speedy_redis_run_id(e->rc), sizeof(run_id));
    if (e->whole != 0 && now - e->whole < WHOLE_MS) {
        if (read_rows(e, now - e->looked + OVERLAP_MS) != 0)
            return -1;
        whole = write_rows(e, run_id, "part");
        if (whole < 0)
            return -1;
    }
    if (whole == 0) {
        bool lost = e->whole == 0 || now - e->whole < WHOLE_MS;

        if (read_rows(e, KEEP_MS) != 0 || write_rows(e, run_id, "whole") < 0)
            return -1;
        e->whole = now;
        if (lost) {
            speedy_metric_add(&m_loads, 1);
            speedy_log(SPEEDY_INFO, "ended sessions written whole",
                       "sessions=%zu run_id=%s", e->count, run_id);
        }
    }
    e->looked = now;
    return 0;
}

long userd_ended_turn(void *ended)
{
    struct userd_ended *e = ended;
    struct timespec until = speedy_deadline(e->whole == 0 ? 0 : LOOK_MS);
    uint64_t covers;
    int rc = 0;

    pthread_mutex_lock(&queue.lock);
    while (queue.taken == queue.wanted && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&queue.wake, &queue.lock, &until);
    covers = queue.taken = queue.wanted;
    pthread_mutex_unlock(&queue.lock);
    if (look(e) != 0) {
        speedy_metric_add(&m_failures, 1);
        return AGAIN_MS;
    }
    pthread_mutex_lock(&queue.lock);
    queue.finished = covers;
    pthread_cond_broadcast(&queue.done);
    pthread_mutex_unlock(&queue.lock);
    return 0;
}
