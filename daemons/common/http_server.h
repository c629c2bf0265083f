/*
 * The daemons' HTTP, over libmicrohttpd on a unix socket
 * (<http.directory>/<role>_<instance>.sock, 0660). Connections are spread
 * over a bounded pool of threads, where a handler that waits lets its thread's
 * other connections wait; a daemon whose handlers wait has a thread for each
 * connection instead. Connections, bodies, headers and time are bounded.
 * /healthz (the process lives), /readyz (it can serve) and /metrics are added
 * for every daemon.
 *
 * Identity comes only from X-Speedy-User, X-Speedy-Role and X-Speedy-Session,
 * which nginx sets from the checked token; the socket is reachable for nginx
 * and the other daemons alone. A value that no token may hold counts as none.
 */
#ifndef SPEEDY_HTTP_SERVER_H
#define SPEEDY_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "json.h"

struct speedy_request {
    const char *method, *path;
    const char *user, *role, *session; /* "" when there is none */
    const char *request_id;            /* X-Request-Id, checked, or made here */
    /* what the first and the second `*` of the route's path matched, or "" */
    const char *id, *id2;
    const char *body;
    size_t body_len;
    void *inner; /* of http_server.c */
    /* the answer, filled in by the handler */
    int status;
    const char *content_type; /* application/json by default */
    struct speedy_buf out;
    struct speedy_buf headers; /* `Name: value\n` lines to add */
};

/* NULL when absent. All valid until the handler returns. */
const char *speedy_request_header(struct speedy_request *r, const char *name);
const char *speedy_request_query(struct speedy_request *r, const char *name);
/* All of them, as the client sent them; NULL without. */
const char *speedy_request_cookies(struct speedy_request *r);
/* As it was sent; NULL too when two of this name are there. */
const char *speedy_request_cookie(struct speedy_request *r, const char *name);
/* First query parameter that is not among the names (NULL-ended), or NULL. */
const char *speedy_request_unknown_query(struct speedy_request *r,
                                         const char *const *names);
/*
 * Milliseconds left to answer: what the caller gave by X-Speedy-Timeout (60 s
 * at the most, 10 s when it said nothing) less the time since. 0: it is over.
 */
long speedy_request_budget(struct speedy_request *r);

/*
 * A handler that waits for somebody else need not hold its thread: it takes
 * the request along, returns, and any thread answers later, exactly once. The
 * request is the caller's between the two calls, and nobody's after the
 * second; what it points to stays valid until then. Only where `later` of
 * struct speedy_http was set. NULL without memory: answer at once.
 */
struct speedy_request *speedy_request_later(struct speedy_request *r);
void speedy_request_finish(struct speedy_request *later);

/* Answers with RFC 9457 problem+json: {type,title,status,code,request_id}. */
void speedy_problem(struct speedy_request *r, int status, const char *code,
                    const char *title);
/* With Retry-After (429, 503); seconds at least 1. */
void speedy_problem_retry(struct speedy_request *r, int status,
                          const char *code, const char *title, long seconds);
/* With errors: [{pointer, code}]. The texts are copied. */
struct speedy_field {
    const char *pointer; /* RFC 6901: "/email", "" is the whole body */
    const char *code;
};
void speedy_problem_fields(struct speedy_request *r, int status,
                           const char *code, const char *title,
                           const struct speedy_field *fields, size_t count);

/*
 * The body as an object whose members are all among names (NULL-ended); it
 * belongs to the request. NULL after answering 415 unsupported_media_type or
 * 400 invalid_json, duplicate_field, unknown_field, invalid_request.
 */
const struct speedy_json *speedy_body_parse(struct speedy_request *r,
                                            const char *const *names);
/*
 * The same check for an object within, which stands at this pointer. 1, or 0
 * after answering 400 unknown_field.
 */
int speedy_object_known(struct speedy_request *r, const char *at,
                        const struct speedy_json *o, const char *const *names);

/*
 * Who may call: anyone at all; or shoppers, that is a user of role USER; or,
 * where role names one, staff of this rank or a higher one. Else 401
 * token_missing or 403 role_required is answered. Of two routes that fit, the
 * first of the table is taken.
 */
struct speedy_route {
    const char *method, *path; /* `*` stands for one path segment */
    void (*handle)(struct speedy_request *r, void *data);
    void *data;
    bool anyone;
    const char *role;
};
/* VIEWER 1, CS 2, OPERATOR 3, OWNER 4; anything else 0. */
int speedy_staff_rank(const char *role);

/* ready: called for /readyz, any thread; NULL reason means ready. */
struct speedy_http {
    const char *role;
    int instance;
    const struct speedy_route *routes; /* ended by a NULL method */
    const char *(*not_ready)(void);
    size_t max_body;      /* bytes; more is answered 413 */
    unsigned threads;     /* of the pool; 0: one for each connection */
    unsigned connections; /* open at most; 0: 1024 with a pool, 512 without;
                             more are closed */
    bool later; /* handlers may call speedy_request_later: pools only */
};
/* Handlers run on its threads. 0, or -1 after logging. */
int speedy_http_start(const struct speedy_http *conf);
/* Waits for running handlers and for requests that are answered later
 * (bounded), removes the socket. */
void speedy_http_stop(void);

#endif
