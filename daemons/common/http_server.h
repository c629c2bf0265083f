/*
 * The daemons' HTTP, over libmicrohttpd on a unix socket
 * (<http.directory>/<role>_<instance>.sock, 0660). Connections are spread
 * over a bounded pool of threads (a handler that waits lets its thread's
 * other connections wait); bodies, headers and time are bounded. /healthz
 * (the process lives), /readyz (it can serve) and /metrics are added for
 * every daemon.
 *
 * Identity comes only from X-Speedy-User and X-Speedy-Role, which nginx sets
 * from the checked token; the socket is reachable for nginx alone.
 */
#ifndef SPEEDY_HTTP_SERVER_H
#define SPEEDY_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "json.h"

struct speedy_request {
    const char *method, *path;
    const char *user, *role; /* "" when there is none */
    const char *request_id;  /* X-Request-Id, checked, or made here */
    const char *id;          /* what `*` of the route's path matched, or "" */
    const char *body;
    size_t body_len;
    void *inner; /* of http_server.c */
    /* the answer, filled in by the handler */
    int status;
    const char *content_type; /* application/json by default */
    struct speedy_buf out;
    struct speedy_buf headers; /* `Name: value\n` lines to add */
};

/* NULL when absent. Both valid until the handler returns. */
const char *speedy_request_header(struct speedy_request *r, const char *name);
const char *speedy_request_query(struct speedy_request *r, const char *name);
/* First query parameter that is not among the names (NULL-ended), or NULL. */
const char *speedy_request_unknown_query(struct speedy_request *r,
                                         const char *const *names);

/* Answers with RFC 9457 problem+json: {type,title,status,code,request_id}. */
void speedy_problem(struct speedy_request *r, int status, const char *code,
                    const char *title);

struct speedy_route {
    const char *method, *path; /* `*` stands for one path segment */
    void (*handle)(struct speedy_request *r, void *data);
    void *data;
    bool anyone; /* without X-Speedy-User too (else 401 is answered) */
};

/* ready: called for /readyz, any thread; NULL reason means ready. */
struct speedy_http {
    const char *role;
    int instance;
    const struct speedy_route *routes; /* ended by a NULL method */
    const char *(*not_ready)(void);
    size_t max_body; /* bytes; more is answered 413 */
    unsigned threads;
};
/* Handlers run on the pool's threads. 0, or -1 after logging. */
int speedy_http_start(const struct speedy_http *conf);
/* Waits for running handlers (bounded), removes the socket. */
void speedy_http_stop(void);

#endif
