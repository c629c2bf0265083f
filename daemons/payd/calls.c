/*
 * The loop: calls that were submitted are given to the multi handle, and each
 * one that ended is handed to its owner.
 */
#include "calls.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/log.h"
#include "../common/loop.h"
#include "payd.h"

#define CONNECT_MS 3000L
#define POLL_MS 1000
#define KEY_MOST 200

static struct {
    CURLM *multi;
    pthread_t thread;
    pthread_mutex_t lock;
    struct payd_call *submitted, **end;
    struct payd_call *running; /* the loop's own */
    struct curl_slist *headers;
    atomic_long count;
    atomic_bool stopping, ended;
    int64_t until;
} all = {.lock = PTHREAD_MUTEX_INITIALIZER};

static size_t on_reply(char *data, size_t size, size_t n, void *user)
{
    struct payd_call *call = user;

    if (call->reply.len + size * n > PAYD_REPLY_MOST) {
        call->too_large = true;
        return 0;
    }
    speedy_buf_add(&call->reply, data, size * n);
    return size * n;
}

static void set_tls(CURL *c)
{
    curl_easy_setopt(
        c, CURLOPT_PROTOCOLS_STR,
        strncmp(payd_settings.base_url, "https:", 6) == 0 ? "https" : "http");
    curl_easy_setopt(c, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
    if (payd_settings.ca_file != NULL)
        curl_easy_setopt(c, CURLOPT_CAINFO, payd_settings.ca_file);
}

static void set_call(CURL *c, struct payd_call *call)
{
    char url[512];

    snprintf(url, sizeof(url), "%s%s", payd_settings.base_url, call->path);
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, call->timeout_ms);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, all.headers);
    curl_easy_setopt(c, CURLOPT_POSTFIELDS, call->body.data);
    curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)call->body.len);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_reply);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(c, CURLOPT_PRIVATE, call);
    if (call->fresh) {
        curl_easy_setopt(c, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(c, CURLOPT_FORBID_REUSE, 1L);
    }
    set_tls(c);
}

/* Ends a call: what is not whole is unknown to its owner. */
static void finish(struct payd_call *call, CURLcode code)
{
    call->code = code;
    call->ms = speedy_now_boot() - call->began;
    if (call->curl != NULL) {
        curl_easy_getinfo(call->curl, CURLINFO_RESPONSE_CODE, &call->status);
        curl_easy_cleanup(call->curl);
    }
    call->curl = NULL;
    call->whole = code == CURLE_OK && !call->too_large;
    if (call->body.data != NULL)
        explicit_bzero(call->body.data, call->body.len);
    speedy_buf_free(&call->body);
    atomic_fetch_sub(&all.count, 1);
    call->done(call);
}

static void begin(struct payd_call *call)
{
    call->curl = curl_easy_init();
    if (call->curl == NULL) {
        finish(call, CURLE_OUT_OF_MEMORY);
        return;
    }
    set_call(call->curl, call);
    if (curl_multi_add_handle(all.multi, call->curl) != CURLM_OK) {
        finish(call, CURLE_FAILED_INIT);
        return;
    }
    call->before = NULL;
    call->next = all.running;
    if (all.running != NULL)
        all.running->before = call;
    all.running = call;
}

static void leave(struct payd_call *call, CURLcode code)
{
    curl_multi_remove_handle(all.multi, call->curl);
    if (call->before != NULL)
        call->before->next = call->next;
    else
        all.running = call->next;
    if (call->next != NULL)
        call->next->before = call->before;
    finish(call, code);
}

static struct payd_call *submitted_take(void)
{
    struct payd_call *list;

    pthread_mutex_lock(&all.lock);
    list = all.submitted;
    all.submitted = NULL;
    all.end = &all.submitted;
    pthread_mutex_unlock(&all.lock);
    return list;
}

static void begin_all(void)
{
    struct payd_call *list = submitted_take();

    while (list != NULL) {
        struct payd_call *call = list;

        list = call->next;
        begin(call);
    }
}

static void end_all(void)
{
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(all.multi, &left)) != NULL) {
        struct payd_call *call = NULL;
        CURLcode code = m->data.result;

        if (m->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&call);
        leave(call, code);
    }
}

static void *loop(void *data)
{
    int running;

    (void)data;
    for (;;) {
        begin_all();
        curl_multi_perform(all.multi, &running);
        end_all();
        if (atomic_load(&all.stopping) &&
            (atomic_load(&all.count) == 0 || speedy_now_boot() > all.until))
            break;
        curl_multi_poll(all.multi, NULL, 0,
                        atomic_load(&all.stopping) ? 50 : POLL_MS, NULL);
    }
    pthread_mutex_lock(&all.lock);
    atomic_store(&all.ended, true);
    pthread_mutex_unlock(&all.lock);
    begin_all();
    while (all.running != NULL)
        leave(all.running, CURLE_ABORTED_BY_CALLBACK);
    return NULL;
}

/* The secret stands in one header line, which is never logged. */
static int headers_make(void)
{
    bool legacy = strcmp(payd_settings.api, "legacy") == 0;
    char path[512], line[KEY_MOST + 64];
    char *key;

    snprintf(path, sizeof(path), "%s/kakaopay-key",
             speedy_conf.secrets_directory);
    key = speedy_secret_read(
        payd_settings.key_file != NULL ? payd_settings.key_file : path,
        KEY_MOST, NULL);
    if (key == NULL || strpbrk(key, "\r\n ") != NULL)
        return -1;
    snprintf(line, sizeof(line), "Authorization: %s %s",
             legacy ? "KakaoAK" : payd_settings.key_kind, key);
    speedy_secret_free(key);
    all.headers = curl_slist_append(NULL, line);
    explicit_bzero(line, sizeof(line));
    all.headers = curl_slist_append(
        all.headers,
        legacy ? "Content-Type: application/x-www-form-urlencoded;charset=utf-8"
               : "Content-Type: application/json");
    all.headers = curl_slist_append(all.headers, "Expect:");
    return all.headers != NULL ? 0 : -1;
}

int payd_calls_start(void)
{
    all.end = &all.submitted;
    if (headers_make() != 0)
        return -1;
    all.multi = curl_multi_init();
    if (all.multi == NULL)
        return -1;
    curl_multi_setopt(all.multi, CURLMOPT_MAX_TOTAL_CONNECTIONS,
                      payd_settings.connections);
    curl_multi_setopt(all.multi, CURLMOPT_MAXCONNECTS,
                      payd_settings.connections);
    curl_multi_setopt(all.multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
    if (pthread_create(&all.thread, NULL, loop, NULL) == 0)
        return 0;
    speedy_log(SPEEDY_ERROR, "the loop of calls was not started", "");
    return -1;
}

void payd_calls_submit(struct payd_call *call)
{
    bool late;

    call->began = speedy_now_boot();
    call->next = NULL;
    call->curl = NULL;
    call->whole = call->too_large = false;
    call->status = 0;
    call->reply = (struct speedy_buf){0};
    atomic_fetch_add(&all.count, 1);
    pthread_mutex_lock(&all.lock);
    late = atomic_load(&all.ended);
    if (!late) {
        *all.end = call;
        all.end = &call->next;
    }
    pthread_mutex_unlock(&all.lock);
    if (late)
        finish(call, CURLE_ABORTED_BY_CALLBACK);
    else
        curl_multi_wakeup(all.multi);
}

void payd_calls_stop(long ms)
{
    all.until = speedy_now_boot() + ms;
    atomic_store(&all.stopping, true);
    curl_multi_wakeup(all.multi);
    pthread_join(all.thread, NULL);
    curl_multi_cleanup(all.multi);
    for (struct curl_slist *h = all.headers; h != NULL; h = h->next)
        explicit_bzero(h->data, strlen(h->data));
    curl_slist_free_all(all.headers);
}

long payd_calls_running(void)
{
    return atomic_load(&all.count);
}
