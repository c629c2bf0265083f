/*
 * The internal client over libcurl's easy handles. A call takes a handle from
 * the callee's pool, asks the breaker, and makes one or more attempts; the
 * callee's mutex guards pool, breaker, retry budget and what is known of its
 * instances, never while something is sent.
 *
 * libcurl sends a request again by itself, POST too, when a connection that
 * it kept turns out to be dead: calls that must not be sent twice therefore
 * always get a new connection.
 */
#include "http_client.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "breaker.h"
#include "conf.h"
#include "log.h"
#include "loop.h"
#include "metrics.h"

#define CONNECTIONS 32
#define INSTANCES_MOST 16
#define ATTEMPTS_MOST 3
#define AVOID_MS 1000 /* an instance that failed comes last */
#define PAUSE_MS 20   /* before the first retry; doubled */
#define PATH_BYTES 200
#define LABEL_BYTES 80
#define HEADER_BYTES 200

#define RESULTS 4
static const char *const result_names[RESULTS] = {"answered", "refused",
                                                  "timeout", "failed"};

/* Of a callee, kept until the process ends. */
struct callee_metrics {
    struct callee_metrics *next;
    char callee[40];
    char labels[RESULTS + 1][LABEL_BYTES];
    struct speedy_metric calls[RESULTS], seconds, retries, breaker;
};

struct speedy_client {
    const char *callee;
    int instances;
    struct callee_metrics *metrics;
    pthread_mutex_t lock;
    pthread_cond_t given_back;
    CURL *idle[CONNECTIONS];
    int idle_count, made; /* made: idle or in use */
    struct speedy_breaker breaker;
    struct speedy_retries retries;
    int next;                            /* instance, from 0 */
    int64_t avoid_until[INSTANCES_MOST]; /* by speedy_now_boot */
};

/* How one attempt ended. */
enum attempt {
    ATTEMPT_ANSWERED,
    ATTEMPT_NOT_SENT, /* nobody to connect to */
    ATTEMPT_TIMEOUT,
    ATTEMPT_BROKEN,
    ATTEMPT_TOO_LARGE
};

/* A call under way. */
struct progress {
    struct speedy_client *c;
    struct speedy_call *call;
    CURL *curl;
    int64_t until; /* of its budget */
    bool trial, too_large;
    int instance;
};

/* --- making and freeing --- */

static void metric_set_up(struct speedy_metric *m, const char *name,
                          const char *help, enum speedy_metric_type type,
                          const char *labels)
{
    m->name = name;
    m->help = help;
    m->type = type;
    m->labels = labels;
    speedy_metric_register(m);
}

static void metrics_set_up(struct callee_metrics *m)
{
    for (int i = 0; i < RESULTS; i++) {
        snprintf(m->labels[i], LABEL_BYTES, "callee=\"%s\",result=\"%s\"",
                 m->callee, result_names[i]);
        metric_set_up(&m->calls[i], "speedy_client_calls_total",
                      "Calls to other daemons", SPEEDY_COUNTER, m->labels[i]);
    }
    snprintf(m->labels[RESULTS], LABEL_BYTES, "callee=\"%s\"", m->callee);
    metric_set_up(&m->seconds, "speedy_client_seconds",
                  "Time of calls to other daemons, retries included",
                  SPEEDY_HISTOGRAM, m->labels[RESULTS]);
    metric_set_up(&m->retries, "speedy_client_retries_total",
                  "Calls to other daemons sent again", SPEEDY_COUNTER,
                  m->labels[RESULTS]);
    metric_set_up(&m->breaker, "speedy_client_breaker_state",
                  "0 closed, 1 half-open, 2 open", SPEEDY_GAUGE,
                  m->labels[RESULTS]);
}

/* Registered metrics stay: a second client of the callee counts on. */
static struct callee_metrics *metrics_of(const char *callee)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static struct callee_metrics *all;
    struct callee_metrics *m;

    pthread_mutex_lock(&lock);
    for (m = all; m != NULL && strcmp(m->callee, callee) != 0; m = m->next)
        ;
    if (m == NULL)
        m = calloc(1, sizeof(*m));
    if (m != NULL && m->callee[0] == '\0') {
        snprintf(m->callee, sizeof(m->callee), "%s", callee);
        m->next = all;
        all = m;
        metrics_set_up(m);
    }
    pthread_mutex_unlock(&lock);
    return m;
}

static void curl_start(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        speedy_log(SPEEDY_ALARM, "libcurl does not start", "");
        abort();
    }
}

struct speedy_client *speedy_client_new(const char *callee, int instances)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct speedy_client *c = calloc(1, sizeof(*c));

    pthread_once(&once, curl_start);
    if (c == NULL)
        return NULL;
    c->metrics = metrics_of(callee);
    if (c->metrics == NULL) {
        free(c);
        return NULL;
    }
    c->callee = callee;
    c->instances = instances < 1                ? 1
                   : instances < INSTANCES_MOST ? instances
                                                : INSTANCES_MOST;
    pthread_mutex_init(&c->lock, NULL);
    speedy_cond_init(&c->given_back);
    return c;
}

void speedy_client_free(struct speedy_client *c)
{
    if (c == NULL)
        return;
    for (int i = 0; i < c->idle_count; i++)
        curl_easy_cleanup(c->idle[i]);
    pthread_cond_destroy(&c->given_back);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* --- the pool --- */

static void handle_give(struct speedy_client *c, CURL *curl)
{
    pthread_mutex_lock(&c->lock);
    c->idle[c->idle_count++] = curl;
    pthread_cond_signal(&c->given_back);
    pthread_mutex_unlock(&c->lock);
}

/* Waits at most ms for a free one; NULL when there is none. */
static CURL *handle_take(struct speedy_client *c, long ms)
{
    CURL *curl = NULL;
    struct timespec until = speedy_deadline(ms);
    bool make;
    int rc = 0;

    pthread_mutex_lock(&c->lock);
    while (rc == 0 && c->idle_count == 0 && c->made == CONNECTIONS)
        rc = pthread_cond_timedwait(&c->given_back, &c->lock, &until);
    if (c->idle_count > 0)
        curl = c->idle[--c->idle_count];
    make = curl == NULL && c->made < CONNECTIONS;
    c->made += make;
    pthread_mutex_unlock(&c->lock);
    if (!make)
        return curl;
    curl = curl_easy_init();
    if (curl == NULL)
        abort();
    return curl;
}

/* --- one attempt --- */

static size_t on_body(char *data, size_t size, size_t n, void *user)
{
    struct progress *p = user;
    struct speedy_buf *out = &p->call->out;

    if (out->len + size * n > p->call->max_answer) {
        p->too_large = true;
        return 0;
    }
    speedy_buf_add(out, data, size * n);
    return size * n;
}

/* Nothing that could end the line that it stands in. */
static bool is_plain(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text <= ' ' || *text == 0x7f)
            return false;
    }
    return true;
}

static struct curl_slist *header_add(struct curl_slist *list, const char *name,
                                     const char *value)
{
    char line[HEADER_BYTES];
    struct curl_slist *grown;

    if (value == NULL || value[0] == '\0' || !is_plain(value) ||
        snprintf(line, sizeof(line), "%s: %s", name, value) >=
            (int)sizeof(line))
        return list;
    grown = curl_slist_append(list, line);
    if (grown == NULL)
        abort();
    return grown;
}

static struct curl_slist *headers_make(const struct speedy_call *call, long ms)
{
    char timeout[24];
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");

    if (list == NULL)
        abort();
    snprintf(timeout, sizeof(timeout), "%ld", ms);
    list = header_add(list, "X-Speedy-Timeout", timeout);
    list = header_add(list, "X-Request-Id", call->request_id);
    list = header_add(list, "X-Speedy-User", call->user);
    list = header_add(list, "X-Speedy-Role", call->role);
    if (call->body != NULL)
        list = header_add(list, "Content-Type", "application/json");
    return list;
}

/* Where to, and within which bounds. */
static void target_set(struct progress *p, long ms)
{
    char path[PATH_BYTES];
    struct speedy_buf url = {0};

    snprintf(path, sizeof(path), "%s/%s_%d.sock", speedy_conf.http_directory,
             p->c->callee, p->instance + 1);
    speedy_buf_printf(&url, "http://%s%s", p->c->callee, p->call->path);
    curl_easy_setopt(p->curl, CURLOPT_UNIX_SOCKET_PATH, path);
    curl_easy_setopt(p->curl, CURLOPT_URL, url.data);
    speedy_buf_free(&url);
    curl_easy_setopt(p->curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(p->curl, CURLOPT_PROXY, "");
    curl_easy_setopt(p->curl, CURLOPT_PROTOCOLS_STR, "http");
    curl_easy_setopt(p->curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(p->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(p->curl, CURLOPT_TIMEOUT_MS, ms);
    curl_easy_setopt(p->curl, CURLOPT_CONNECTTIMEOUT_MS, ms);
    curl_easy_setopt(p->curl, CURLOPT_MAXCONNECTS, (long)p->c->instances);
    if (!p->call->idempotent)
        curl_easy_setopt(p->curl, CURLOPT_FRESH_CONNECT, 1L);
}

static void request_set(struct progress *p)
{
    const struct speedy_call *call = p->call;

    if (call->body != NULL) {
        curl_easy_setopt(p->curl, CURLOPT_POSTFIELDSIZE_LARGE,
                         (curl_off_t)call->body_len);
        curl_easy_setopt(p->curl, CURLOPT_POSTFIELDS, call->body);
    } else if (strcmp(call->method, "POST") == 0) {
        curl_easy_setopt(p->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)0);
        curl_easy_setopt(p->curl, CURLOPT_POSTFIELDS, "");
    }
    if (strcmp(call->method, "HEAD") == 0)
        curl_easy_setopt(p->curl, CURLOPT_NOBODY, 1L);
    else
        curl_easy_setopt(p->curl, CURLOPT_CUSTOMREQUEST, call->method);
    curl_easy_setopt(p->curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(p->curl, CURLOPT_WRITEDATA, p);
}

static enum attempt attempt_make(struct progress *p, long ms)
{
    struct curl_slist *headers = headers_make(p->call, ms);
    CURLcode code;
    long status = 0;

    p->call->out.len = 0;
    p->call->status = 0;
    p->too_large = false;
    curl_easy_reset(p->curl); /* connections stay */
    target_set(p, ms);
    request_set(p);
    curl_easy_setopt(p->curl, CURLOPT_HTTPHEADER, headers);
    code = curl_easy_perform(p->curl);
    curl_slist_free_all(headers);
    if (code == CURLE_OK) {
        curl_easy_getinfo(p->curl, CURLINFO_RESPONSE_CODE, &status);
        p->call->status = (int)status;
        return ATTEMPT_ANSWERED;
    }
    if (code == CURLE_COULDNT_CONNECT)
        return ATTEMPT_NOT_SENT;
    if (code == CURLE_OPERATION_TIMEDOUT)
        return ATTEMPT_TIMEOUT;
    speedy_log(SPEEDY_DEBUG, "a call broke", "callee=%s error=\"%s\"",
               p->c->callee, curl_easy_strerror(code));
    return p->too_large ? ATTEMPT_TOO_LARGE : ATTEMPT_BROKEN;
}

/* --- a call --- */

static bool is_good(enum attempt how, int status)
{
    return how == ATTEMPT_TOO_LARGE ||
           (how == ATTEMPT_ANSWERED && (status < 502 || status > 504));
}

/* The next instance in turn that did not fail just now, else the next. */
static int instance_choose(struct speedy_client *c)
{
    int64_t now = speedy_now_boot();
    int chosen;

    pthread_mutex_lock(&c->lock);
    chosen = c->next;
    for (int i = 0; i < c->instances; i++) {
        int n = (c->next + i) % c->instances;

        if (c->avoid_until[n] <= now) {
            chosen = n;
            break;
        }
    }
    c->next = (chosen + 1) % c->instances;
    pthread_mutex_unlock(&c->lock);
    return chosen;
}

static void instance_judge(struct speedy_client *c, int instance, bool good)
{
    pthread_mutex_lock(&c->lock);
    c->avoid_until[instance] = good ? 0 : speedy_now_boot() + AVOID_MS;
    pthread_mutex_unlock(&c->lock);
}

static bool retry_allowed(struct progress *p, int attempts)
{
    bool allowed;

    if (!p->call->idempotent || p->trial || attempts >= ATTEMPTS_MOST)
        return false;
    pthread_mutex_lock(&p->c->lock);
    allowed = speedy_retries_take(&p->c->retries);
    pthread_mutex_unlock(&p->c->lock);
    if (allowed)
        speedy_metric_add(&p->c->metrics->retries, 1);
    return allowed;
}

/* What one attempt may take of the rest of the budget. */
static long share(const struct progress *p, int attempts, long left)
{
    bool others = p->c->instances > 1 && p->call->idempotent && !p->trial;

    return others && attempts == 1 && left > 10 ? left * 6 / 10 : left;
}

/* Whether there is time for a pause and another attempt, and leave for it. */
static bool again(struct progress *p, int attempts)
{
    long pause = speedy_jitter(PAUSE_MS << (attempts - 1));

    if (p->until - speedy_now_boot() <= pause || !retry_allowed(p, attempts))
        return false;
    speedy_pause(pause);
    return true;
}

/* Attempts until one is good or nothing more may be tried. */
static enum attempt attempts_make(struct progress *p)
{
    enum attempt how, sent = ATTEMPT_NOT_SENT;
    int attempts = 1, unsent = 0;

    for (;;) {
        int64_t left = p->until - speedy_now_boot();

        if (left <= 0)
            return sent == ATTEMPT_ANSWERED ? sent : ATTEMPT_TIMEOUT;
        p->instance = instance_choose(p->c);
        how = attempt_make(p, share(p, attempts, (long)left));
        instance_judge(p->c, p->instance, is_good(how, p->call->status));
        if (is_good(how, p->call->status))
            return how;
        if (how != ATTEMPT_NOT_SENT)
            sent = how;
        else if (++unsent < p->c->instances)
            continue;
        if (!again(p, attempts))
            /* an attempt before this one may have had its effect */
            return how == ATTEMPT_NOT_SENT && sent != how ? ATTEMPT_BROKEN
                                                          : how;
        attempts++;
        unsent = 0;
    }
}

static enum speedy_call_result result_of(enum attempt how)
{
    switch (how) {
    case ATTEMPT_ANSWERED:
        return SPEEDY_CALL_ANSWERED;
    case ATTEMPT_NOT_SENT:
        return SPEEDY_CALL_REFUSED;
    case ATTEMPT_TIMEOUT:
        return SPEEDY_CALL_TIMEOUT;
    default:
        return SPEEDY_CALL_FAILED;
    }
}

/* Shows the breaker's state, and tells when it opens and closes. */
static void breaker_show(struct speedy_client *c,
                         enum speedy_breaker_state before)
{
    enum speedy_breaker_state state = c->breaker.state;

    if (state == before)
        return;
    speedy_metric_set(&c->metrics->breaker, state);
    if (state == SPEEDY_BREAKER_OPEN)
        speedy_log(SPEEDY_WARN, "calls are held back", "callee=%s ms=%ld",
                   c->callee, c->breaker.pause_ms);
    else if (state == SPEEDY_BREAKER_CLOSED)
        speedy_log(SPEEDY_INFO, "calls go out again", "callee=%s", c->callee);
}

/* A ticket, or 0. */
static unsigned long breaker_ask(struct progress *p)
{
    struct speedy_client *c = p->c;
    enum speedy_breaker_state before;
    unsigned long ticket;

    pthread_mutex_lock(&c->lock);
    before = c->breaker.state;
    ticket = speedy_breaker_ask(&c->breaker, speedy_now_boot());
    p->trial = c->breaker.state == SPEEDY_BREAKER_HALF_OPEN;
    if (ticket != 0)
        speedy_retries_earn(&c->retries);
    breaker_show(c, before);
    pthread_mutex_unlock(&c->lock);
    return ticket;
}

static void breaker_tell(struct speedy_client *c, unsigned long ticket,
                         bool good)
{
    enum speedy_breaker_state before;

    pthread_mutex_lock(&c->lock);
    before = c->breaker.state;
    speedy_breaker_done(&c->breaker, ticket, speedy_now_boot(), good);
    breaker_show(c, before);
    pthread_mutex_unlock(&c->lock);
}

static enum speedy_call_result call_make(struct progress *p)
{
    struct speedy_call *call = p->call;
    enum attempt how;
    unsigned long ticket;

    if (call->timeout_ms < 1)
        return SPEEDY_CALL_REFUSED;
    if (!is_plain(call->path) || call->path[0] != '/' ||
        !is_plain(call->method)) {
        speedy_log(SPEEDY_ERROR, "a call to a malformed path", "callee=%s",
                   p->c->callee);
        return SPEEDY_CALL_REFUSED;
    }
    ticket = breaker_ask(p);
    if (ticket == 0)
        return SPEEDY_CALL_REFUSED;
    p->curl = handle_take(p->c, call->timeout_ms / 4);
    if (p->curl == NULL) {
        pthread_mutex_lock(&p->c->lock);
        speedy_breaker_unused(&p->c->breaker, ticket);
        pthread_mutex_unlock(&p->c->lock);
        return SPEEDY_CALL_REFUSED;
    }
    how = attempts_make(p);
    handle_give(p->c, p->curl);
    breaker_tell(p->c, ticket, is_good(how, call->status));
    return result_of(how);
}

enum speedy_call_result speedy_client_call(struct speedy_client *c,
                                           struct speedy_call *call)
{
    int64_t began = speedy_now_boot();
    struct progress p = {
        .c = c, .call = call, .until = began + call->timeout_ms};
    enum speedy_call_result result;

    call->status = 0;
    call->out.len = 0;
    result = call_make(&p);
    if (result != SPEEDY_CALL_ANSWERED)
        call->out.len = 0;
    speedy_buf_add(&call->out, "", 0);
    speedy_metric_add(&c->metrics->calls[result], 1);
    if (result != SPEEDY_CALL_REFUSED)
        speedy_metric_observe(&c->metrics->seconds, speedy_now_boot() - began);
    return result;
}
