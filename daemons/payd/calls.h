/*
 * Calls to KakaoPay over libcurl, hundreds at a time on one thread. TLS is
 * verified, only the configured host is spoken to, no redirect is followed,
 * no proxy taken. A call that moves money has a connection of its own, made
 * for it: libcurl would send a request again when a kept connection turns out
 * to be dead.
 */
#ifndef PAYD_CALLS_H
#define PAYD_CALLS_H

#include <stdbool.h>
#include <stdint.h>

#include <curl/curl.h>

#include "../common/json.h"

#define PAYD_REPLY_MOST 16384

struct payd_call {
    const char *path;       /* kept by reference */
    struct speedy_buf body; /* freed by calls.c when it is done */
    bool fresh;             /* a connection of its own */
    long timeout_ms;
    void (*done)(struct payd_call *call); /* exactly once, on the loop */
    /* the outcome; reply is freed by the caller */
    bool whole; /* a reply came, from its first byte to its last */
    CURLcode code;
    long status;
    struct speedy_buf reply;
    bool too_large;
    int64_t began, ms;
    /* of calls.c */
    CURL *curl;
    struct payd_call *next, *before;
};

/* Reads the secret, starts the thread. 0, or -1 after logging. */
int payd_calls_start(void);
/* Any thread. After the stop, done() is called at once, with nothing sent. */
void payd_calls_submit(struct payd_call *call);
/* Waits for what is under way, at most ms; the rest ends unknown. */
void payd_calls_stop(long ms);
long payd_calls_running(void);

#endif
