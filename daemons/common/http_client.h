/*
 * Calls from one daemon to another, over HTTP on unix sockets: the one
 * internal client. A *callee* is a role with n instances (sockets
 * <http.directory>/<role>_<i>.sock); calls go round among them, and past one
 * that failed a moment ago.
 *
 * - A call has one budget of time for everything, retries and back-off
 *   included; what is left of it travels along as X-Speedy-Timeout (ms), and
 *   a handler passes its own rest on (speedy_request_budget of
 *   http_server.h). Of several instances the first gets a part of it only.
 * - Only idempotent calls are sent again (at most twice, to another instance
 *   first), after a pause with jitter, and only while the callee's retry
 *   budget lasts: a tenth of its calls, so that retries never become the
 *   load. An instance that cannot be connected to was sent nothing: the next
 *   one is tried at once, whatever the call.
 * - A circuit breaker a callee (breaker.h): when half of the last 20 calls
 *   failed (no answer, time-out, 502-504), calls are refused at once for 1 s
 *   and longer; then one trial. 4xx and 500 are answers, not failures.
 * - Connections are kept and used again by idempotent calls; at most 32 are
 *   open at once, and a call waits for a free one a quarter of its budget.
 *
 * Metrics: speedy_client_calls_total{callee,result}, …_seconds (histogram),
 * …_retries_total, …_breaker_state (0 closed, 1 half-open, 2 open).
 * Safe on any thread; a call blocks its thread for its budget at the most.
 */
#ifndef SPEEDY_HTTP_CLIENT_H
#define SPEEDY_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "json.h"

struct speedy_client;

/*
 * The first one is made before threads start. The role's name is kept by
 * reference. NULL only without memory.
 */
struct speedy_client *speedy_client_new(const char *callee, int instances);
/* No call may be under way. */
void speedy_client_free(struct speedy_client *c);

enum speedy_call_result {
    SPEEDY_CALL_ANSWERED, /* status, body are set: any HTTP status */
    /* not sent: breaker open, no free connection, no instance there, or no
     * time left */
    SPEEDY_CALL_REFUSED,
    SPEEDY_CALL_TIMEOUT, /* outcome unknown */
    SPEEDY_CALL_FAILED   /* the connection broke, or the answer was no good:
                          * outcome unknown */
};

struct speedy_call {
    const char *method, *path; /* path with its query, encoded */
    const char *body;          /* JSON, or NULL */
    size_t body_len;
    const char *request_id;  /* passed on as X-Request-Id; may be NULL */
    const char *user, *role; /* on whose behalf; NULL: the daemon's own */
    long timeout_ms;         /* the budget, 1 or more */
    bool idempotent;         /* may be sent more than once */
    size_t max_answer;       /* bytes; more is FAILED */
    /* the answer */
    int status;
    struct speedy_buf out; /* freed by the caller: speedy_buf_free */
};

/* out is emptied first, so a struct may be used again. */
enum speedy_call_result speedy_client_call(struct speedy_client *c,
                                           struct speedy_call *call);

#endif
