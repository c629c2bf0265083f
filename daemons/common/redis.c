/*
 * hiredis, synchronously: connect, AUTH, run_id; then calls with one time-out.
 * After any failure the connection is dropped and, for a moment that grows
 * with jitter up to a second, calls fail at once instead of knocking.
 */
#include "redis.h"

#include <errno.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "crypto.h"
#include "log.h"
#include "loop.h"

#define PASSWORD_MAX 512
#define BACKOFF_FIRST_MS 20
#define BACKOFF_MAX_MS 1000

struct speedy_redis {
    redisContext *c;
    char *password; /* NULL: no AUTH */
    char run_id[41];
    int64_t retry_at; /* boot time before which nobody knocks */
    long backoff;
    bool complained;       /* one line an outage */
    int64_t complained_at; /* of a script's error */
};

struct speedy_redis *speedy_redis_new(void)
{
    struct speedy_redis *rc = calloc(1, sizeof(*rc));
    const char *file = speedy_conf.redis_password_file;

    if (rc == NULL)
        return NULL;
    if (file != NULL && file[0] != '\0') {
        rc->password = speedy_secret_read(file, PASSWORD_MAX, NULL);
        if (rc->password == NULL) {
            free(rc);
            return NULL;
        }
    }
    return rc;
}

void speedy_redis_free(struct speedy_redis *rc)
{
    if (rc == NULL)
        return;
    if (rc->c != NULL)
        redisFree(rc->c);
    speedy_secret_free(rc->password);
    free(rc);
}

void speedy_redis_drop(struct speedy_redis *rc)
{
    if (rc->c != NULL)
        redisFree(rc->c);
    rc->c = NULL;
    rc->run_id[0] = '\0';
}

const char *speedy_redis_run_id(const struct speedy_redis *rc)
{
    return rc->run_id;
}

/* hiredis names a time-out by the errno of a non-blocking read. */
static const char *reason(const redisContext *c)
{
    if (c->err == REDIS_ERR_IO && errno == EAGAIN)
        return "time-out";
    return c->errstr;
}

/*
 * Servers that cannot do their work at this address: the next connection may
 * find another one there, or the same one healed.
 */
static bool is_unfit(const redisReply *r)
{
    static const char *const words[] = {"LOADING", "NOAUTH", "READONLY",
                                        "MASTERDOWN", NULL};

    for (size_t i = 0; r->type == REDIS_REPLY_ERROR && words[i] != NULL; i++) {
        if (strncmp(r->str, words[i], strlen(words[i])) == 0)
            return true;
    }
    return false;
}

/* Drops the connection, says so once an outage, and sets the back-off. */
static void fail(struct speedy_redis *rc, const char *step, const char *why)
{
    if (!rc->complained)
        speedy_log(SPEEDY_WARN, "redis is away", "step=%s error=%s", step, why);
    rc->complained = true;
    speedy_redis_drop(rc);
    rc->backoff = rc->backoff == 0 ? BACKOFF_FIRST_MS : rc->backoff * 2;
    if (rc->backoff > BACKOFF_MAX_MS)
        rc->backoff = BACKOFF_MAX_MS;
    rc->retry_at = speedy_now_boot() + speedy_jitter(rc->backoff);
}

static redisContext *dial(void)
{
    struct timeval timeout = {
        .tv_sec = speedy_conf.redis_timeout / 1000,
        .tv_usec = speedy_conf.redis_timeout % 1000 * 1000,
    };
    const char *path = speedy_conf.redis_socket;
    redisContext *c;

    if (path != NULL && path[0] != '\0')
        c = redisConnectUnixWithTimeout(path, timeout);
    else
        c = redisConnectWithTimeout(speedy_conf.redis_host,
                                    (int)speedy_conf.redis_port, timeout);
    if (c != NULL && c->err == 0)
        redisSetTimeout(c, timeout);
    return c;
}

static int authenticate(struct speedy_redis *rc)
{
    redisReply *reply;
    const char *user = speedy_conf.redis_user;
    int ok;

    if (rc->password == NULL)
        return 0;
    if (user != NULL && user[0] != '\0')
        reply = redisCommand(rc->c, "AUTH %s %s", user, rc->password);
    else
        reply = redisCommand(rc->c, "AUTH %s", rc->password);
    ok = reply != NULL && reply->type == REDIS_REPLY_STATUS;
    if (reply != NULL)
        freeReplyObject(reply);
    return ok ? 0 : -1;
}

static int run_id_read(struct speedy_redis *rc)
{
    redisReply *reply = redisCommand(rc->c, "INFO server");
    const char *at;
    int ok = -1;

    if (reply == NULL)
        return -1;
    if (reply->type == REDIS_REPLY_STRING) {
        at = strstr(reply->str, "run_id:");
        if (at != NULL && strspn(at + 7, "0123456789abcdef") >= 40) {
            memcpy(rc->run_id, at + 7, 40);
            rc->run_id[40] = '\0';
            ok = 0;
        }
    }
    freeReplyObject(reply);
    return ok;
}

int speedy_redis_ready(struct speedy_redis *rc)
{
    if (rc->c != NULL)
        return 0;
    if (speedy_now_boot() < rc->retry_at)
        return -1;
    rc->c = dial();
    if (rc->c == NULL || rc->c->err != 0) {
        fail(rc, "connect", rc->c == NULL ? "memory" : reason(rc->c));
        return -1;
    }
    if (authenticate(rc) != 0) {
        fail(rc, "auth", "refused");
        return -1;
    }
    if (run_id_read(rc) != 0) {
        fail(rc, "info", "no run_id (loading?)");
        return -1;
    }
    if (rc->complained)
        speedy_log(SPEEDY_INFO, "redis is back", "run_id=%s", rc->run_id);
    rc->complained = false;
    rc->backoff = 0;
    return 0;
}

void speedy_args_reset(struct speedy_args *a)
{
    for (size_t i = 0; i < a->owned_count; i++)
        free(a->owned[i]);
    a->owned_count = 0;
    a->count = 0;
}

void speedy_args_free(struct speedy_args *a)
{
    speedy_args_reset(a);
    free(a->owned);
    free(a->at);
    free(a->len);
    memset(a, 0, sizeof(*a));
}

/* Memory that is gone here is gone for good: the daemon is started again. */
static void *grow(void *p, size_t n)
{
    p = realloc(p, n);
    if (p == NULL)
        abort();
    return p;
}

void speedy_args_add(struct speedy_args *a, const void *data, size_t len)
{
    if (a->count == a->size) {
        a->size = a->size == 0 ? 32 : a->size * 2;
        a->at = grow(a->at, a->size * sizeof(*a->at));
        a->len = grow(a->len, a->size * sizeof(*a->len));
    }
    a->at[a->count] = data;
    a->len[a->count++] = len;
}

void speedy_args_text(struct speedy_args *a, const char *text)
{
    speedy_args_add(a, text, strlen(text));
}

void speedy_args_int(struct speedy_args *a, int64_t n)
{
    char *text = grow(NULL, 24);
    int len = snprintf(text, 24, "%lld", (long long)n);

    if (a->owned_count == a->owned_size) {
        a->owned_size = a->owned_size == 0 ? 32 : a->owned_size * 2;
        a->owned = grow(a->owned, a->owned_size * sizeof(*a->owned));
    }
    a->owned[a->owned_count++] = text;
    speedy_args_add(a, text, (size_t)len);
}

redisReply *speedy_redis_command(struct speedy_redis *rc,
                                 const struct speedy_args *a)
{
    redisReply *reply;

    if (speedy_redis_ready(rc) != 0)
        return NULL;
    reply = redisCommandArgv(rc->c, (int)a->count, a->at, a->len);
    if (reply == NULL) {
        fail(rc, a->at[0], reason(rc->c));
    } else if (is_unfit(reply)) {
        fail(rc, a->at[0], reply->str);
        freeReplyObject(reply);
        reply = NULL;
    }
    return reply;
}

/* Scripts are shared by all threads; each has a connection of its own. */
static void script_digest(struct speedy_script *script)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    unsigned char sum[SHA_DIGEST_LENGTH];

    pthread_mutex_lock(&lock);
    if (script->sha[0] == '\0') {
        SHA1((const unsigned char *)script->text, strlen(script->text), sum);
        speedy_hex(sum, sizeof(sum), script->sha);
    }
    pthread_mutex_unlock(&lock);
}

/* EVALSHA or EVAL in front of keys and arguments, appended to the output. */
static int script_append(struct speedy_redis *rc, const char *command,
                         const char *body, size_t keys,
                         const struct speedy_args *a)
{
    struct speedy_args all = {0};
    int result;

    speedy_args_text(&all, command);
    speedy_args_text(&all, body);
    speedy_args_int(&all, (int64_t)keys);
    for (size_t i = 0; i < a->count; i++)
        speedy_args_add(&all, a->at[i], a->len[i]);
    result = redisAppendCommandArgv(rc->c, (int)all.count, all.at, all.len);
    speedy_args_free(&all);
    return result == REDIS_OK ? 0 : -1;
}

static bool is_noscript(const redisReply *r)
{
    return r->type == REDIS_REPLY_ERROR && strncmp(r->str, "NOSCRIPT", 8) == 0;
}

/* One line a second: a batch of thousands may fail for one reason. */
static void script_complain(struct speedy_redis *rc,
                            const struct speedy_script *script, const char *why)
{
    int64_t now = speedy_now_boot();

    if (rc->complained_at != 0 && now - rc->complained_at < 1000)
        return;
    rc->complained_at = now;
    speedy_log(SPEEDY_ERROR, "redis script failed", "script=%s error=%s",
               script->name, why);
}

/* Reads one reply; an error reply is logged and becomes NULL. -1: lost. */
static int reply_read(struct speedy_redis *rc, struct speedy_script *script,
                      redisReply **out, bool *noscript)
{
    void *reply = NULL;
    bool unfit;

    *out = NULL;
    if (redisGetReply(rc->c, &reply) != REDIS_OK || reply == NULL) {
        fail(rc, script->name, reason(rc->c));
        return -1;
    }
    *out = reply;
    *noscript = is_noscript(*out);
    if ((*out)->type != REDIS_REPLY_ERROR)
        return 0;
    unfit = is_unfit(*out);
    if (unfit)
        fail(rc, script->name, (*out)->str);
    else if (!*noscript)
        script_complain(rc, script, (*out)->str);
    freeReplyObject(*out);
    *out = NULL;
    return unfit ? -1 : 0;
}

static int scripts_round(struct speedy_redis *rc, struct speedy_script *script,
                         size_t keys, const struct speedy_args *a, size_t n,
                         redisReply **replies, bool *again, bool by_text)
{
    for (size_t i = 0; i < n; i++) {
        if (!again[i])
            continue;
        /* the first call by text makes the digest known to the next */
        if (script_append(rc, by_text ? "EVAL" : "EVALSHA",
                          by_text ? script->text : script->sha, keys,
                          &a[i]) != 0) {
            fail(rc, script->name, reason(rc->c));
            return -1;
        }
        by_text = false;
    }
    for (size_t i = 0; i < n; i++) {
        if (!again[i])
            continue;
        if (reply_read(rc, script, &replies[i], &again[i]) != 0)
            return -1;
    }
    return 0;
}

int speedy_redis_scripts(struct speedy_redis *rc, struct speedy_script *script,
                         size_t keys, const struct speedy_args *a, size_t n,
                         redisReply **replies)
{
    bool *again;
    bool any = false;

    memset(replies, 0, n * sizeof(*replies));
    if (speedy_redis_ready(rc) != 0)
        return -1;
    script_digest(script);
    again = grow(NULL, n * sizeof(*again) + 1);
    for (size_t i = 0; i < n; i++)
        again[i] = true;
    if (scripts_round(rc, script, keys, a, n, replies, again, false) != 0)
        goto lost;
    for (size_t i = 0; i < n; i++)
        any |= again[i];
    if (any && scripts_round(rc, script, keys, a, n, replies, again, true) != 0)
        goto lost;
    free(again);
    return 0;

lost:
    for (size_t i = 0; i < n; i++) {
        if (replies[i] != NULL)
            freeReplyObject(replies[i]);
        replies[i] = NULL;
    }
    free(again);
    return -1;
}

redisReply *speedy_redis_script(struct speedy_redis *rc,
                                struct speedy_script *script, size_t keys,
                                const struct speedy_args *a)
{
    redisReply *reply;

    if (speedy_redis_scripts(rc, script, keys, a, 1, &reply) != 0)
        return NULL;
    return reply;
}
