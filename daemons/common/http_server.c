/*
 * libmicrohttpd with its own epoll threads on a unix socket that we open
 * ourselves. A request is gathered (bounded), routed by a table, answered
 * once; the handler runs on the pool's thread and may block for as long as
 * its own time-outs allow.
 *
 * nginx speaks HTTP/1.1 with keep-alive to it; nobody else reaches the
 * socket, whose directory belongs to the shop.
 */
#include "http_private.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "conf.h"
#include "crypto.h"
#include "log.h"
#include "loop.h"
#include "metrics.h"

#define IDLE_SECONDS 75 /* longer than nginx keeps them: it closes first */
#define CONNECTIONS_MAX 1024
/* nginx lets 16 KiB in; each of 1,000 cookies takes 70 bytes more. */
#define HEADERS_MAX 131072
#define BACKLOG 1024
#define BODY_DRAIN_MAX 1048576
#define STOP_MS 5000
#define STEP_MS 10
#define CONNECTIONS_WAITING 512 /* a thread each */
#define STACK_BYTES 1048576
#define ID_CHARS                                                               \
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

static struct speedy_http conf;
static struct MHD_Daemon *server;
static atomic_long waiting; /* requests that are answered later */
static char socket_path[sizeof(((struct sockaddr_un *)0)->sun_path)];

static void healthz(struct speedy_request *r, void *data)
{
    (void)data;
    r->status = 200;
    speedy_buf_printf(&r->out, "{\"status\":\"ok\"}\n");
}

static void readyz(struct speedy_request *r, void *data)
{
    const char *reason = conf.not_ready == NULL ? NULL : conf.not_ready();

    (void)data;
    r->status = reason == NULL ? 200 : 503;
    speedy_buf_printf(&r->out, "{\"ready\":%s",
                      reason == NULL ? "true" : "false");
    if (reason != NULL) {
        speedy_buf_printf(&r->out, ",\"reason\":");
        speedy_buf_json(&r->out, reason);
    }
    speedy_buf_printf(&r->out, "}\n");
}

static void metrics(struct speedy_request *r, void *data)
{
    (void)data;
    r->status = 200;
    r->content_type = "text/plain; version=0.0.4; charset=utf-8";
    speedy_metrics_write(&r->out);
}

static const struct speedy_route every_daemon[] = {
    {.method = "GET", .path = "/healthz", .handle = healthz, .anyone = true},
    {.method = "GET", .path = "/readyz", .handle = readyz, .anyone = true},
    {.method = "GET", .path = "/metrics", .handle = metrics, .anyone = true},
    {0},
};

/*
 * Decodes one segment strictly: what a star stands for is an id, of printable
 * ASCII. 0, or -1 (bad escape, control, foreign byte, slash, length).
 */
static int segment_decode(const char *text, size_t len, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        int c = (unsigned char)text[i];

        if (c == '%') {
            if (i + 2 >= len || speedy_hex_digit(text[i + 1]) < 0 ||
                speedy_hex_digit(text[i + 2]) < 0)
                return -1;
            c = speedy_hex_digit(text[i + 1]) * 16 +
                speedy_hex_digit(text[i + 2]);
            i += 2;
        }
        if (c < 0x20 || c > 0x7e || c == '/' || n == SPEEDY_SEGMENT_MAX)
            return -1;
        out[n++] = (char)c;
    }
    out[n] = '\0';
    return n > 0 ? 0 : -1;
}

/*
 * 1: path fits the pattern; 0: it does not; -1: a segment is malformed. A
 * star stands for a whole segment; ids get what the first two matched.
 */
static int path_match(const char *pattern, const char *path,
                      char ids[2][SPEEDY_SEGMENT_MAX + 1])
{
    size_t stars = 0;

    ids[0][0] = ids[1][0] = '\0';
    for (;;) {
        if (*pattern == '*') {
            size_t len = strcspn(path, "/");

            if (len == 0 || stars == 2)
                return 0;
            if (segment_decode(path, len, ids[stars++]) != 0)
                return -1;
            pattern++;
            path += len;
        } else if (*pattern != *path) {
            return 0;
        } else if (*pattern == '\0') {
            return 1;
        } else {
            pattern++;
            path++;
        }
    }
}

/*
 * Finds the route, or answers 400, 404 or 405 and returns NULL. HEAD is
 * routed as GET: MHD leaves the body out.
 */
static const struct speedy_route *
route_find(struct speedy_request *r, char ids[2][SPEEDY_SEGMENT_MAX + 1])
{
    const struct speedy_route *tables[] = {every_daemon, conf.routes};
    const char *method = strcmp(r->method, "HEAD") == 0 ? "GET" : r->method;
    char allow[64] = "";

    for (size_t t = 0; t < 2; t++) {
        for (const struct speedy_route *p = tables[t];
             p != NULL && p->method != NULL; p++) {
            int match = path_match(p->path, r->path, ids);

            if (match < 0) {
                speedy_problem(r, 400, "invalid_request",
                               "The path is malformed.");
                return NULL;
            }
            if (match == 0)
                continue;
            if (strcmp(p->method, method) == 0)
                return p;
            if (strstr(allow, p->method) == NULL)
                snprintf(allow + strlen(allow), sizeof(allow) - strlen(allow),
                         "%s%s", allow[0] != '\0' ? ", " : "", p->method);
        }
    }
    if (allow[0] == '\0') {
        speedy_problem(r, 404, "not_found", "There is nothing at this path.");
        return NULL;
    }
    speedy_problem(r, 405, "method_not_allowed",
                   "The path does not know this method.");
    speedy_buf_printf(&r->headers, "Allow: %s\n", allow);
    return NULL;
}

static void request_id_take(struct speedy_exchange *x)
{
    const char *given = MHD_lookup_connection_value(
        x->connection, MHD_HEADER_KIND, "X-Request-Id");
    unsigned char made[16];
    size_t len = given == NULL ? 0 : strlen(given);

    if (len >= 8 && len <= 64 && strspn(given, ID_CHARS "_-") == len) {
        memcpy(x->request_id, given, len + 1);
        return;
    }
    speedy_random(made, sizeof(made));
    speedy_hex(made, sizeof(made), x->request_id);
}

/* Adds the handler's `Name: value` lines. */
static void headers_add(struct MHD_Response *response, char *lines)
{
    char *save = NULL;

    for (char *line = strtok_r(lines, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        char *value = strstr(line, ": ");

        if (value == NULL)
            continue;
        *value = '\0';
        MHD_add_response_header(response, line, value + 2);
    }
}

static enum MHD_Result answer_send(struct speedy_exchange *x,
                                   struct speedy_request *r)
{
    struct MHD_Response *response;
    enum MHD_Result result;

    if (r->out.data == NULL)
        speedy_buf_add(&r->out, "", 0);
    response = MHD_create_response_from_buffer(r->out.len, r->out.data,
                                               MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        speedy_buf_free(&r->out);
        speedy_buf_free(&r->headers);
        return MHD_NO;
    }
    if (r->out.len > 0)
        MHD_add_response_header(response, "Content-Type",
                                r->content_type != NULL ? r->content_type
                                                        : "application/json");
    MHD_add_response_header(response, "X-Request-Id", r->request_id);
    if (r->headers.data != NULL)
        headers_add(response, r->headers.data);
    r->out = (struct speedy_buf){0};
    result = MHD_queue_response(x->connection, (unsigned)r->status, response);
    MHD_destroy_response(response);
    speedy_buf_free(&r->headers);
    return result;
}

/*
 * Identity of the checked token, or "". What no token of ours may hold is
 * nobody: then the route's own rule refuses.
 */
static void identity_take(struct speedy_exchange *x, const char *name,
                          char out[41])
{
    const char *value =
        MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
    size_t len = value == NULL ? 0 : strlen(value);

    if (len < 41 && len > 0 && strspn(value, ID_CHARS "_-") == len)
        memcpy(out, value, len + 1);
}

int speedy_staff_rank(const char *role)
{
    static const char *const ranks[] = {"VIEWER", "CS", "OPERATOR", "OWNER"};

    for (int i = 0; i < 4; i++) {
        if (strcmp(role, ranks[i]) == 0)
            return i + 1;
    }
    return 0;
}

/* 1, or 0 after answering 401 or 403. */
static int may_pass(struct speedy_request *r, const struct speedy_route *route)
{
    if (route->anyone)
        return 1;
    if (r->user[0] == '\0') {
        speedy_problem(r, 401, "token_missing", "Who is asking?");
        return 0;
    }
    /* a rule with a role that does not exist lets nobody pass */
    if (route->role == NULL
            ? strcmp(r->role, "USER") == 0
            : speedy_staff_rank(route->role) > 0 &&
                  speedy_staff_rank(r->role) >= speedy_staff_rank(route->role))
        return 1;
    speedy_problem(r, 403, "role_required",
                   "This needs another role than the token's.");
    return 0;
}

static enum MHD_Result request_run(struct speedy_exchange *x,
                                   const char *method, const char *path)
{
    struct speedy_request r = {.method = method, .path = path, .inner = x};
    const struct speedy_route *route;

    request_id_take(x);
    identity_take(x, "X-Speedy-User", x->user);
    identity_take(x, "X-Speedy-Role", x->role);
    identity_take(x, "X-Speedy-Session", x->session);
    r.request_id = x->request_id;
    r.user = x->user;
    r.role = x->role;
    r.session = x->session;
    r.body = x->body.data == NULL ? "" : x->body.data;
    r.body_len = x->body.len;
    r.status = 500;
    route = route_find(&r, x->id);
    r.id = x->id[0];
    r.id2 = x->id[1];
    if (route != NULL && x->too_large > 0)
        speedy_problem(&r, 413, "too_large", "The body is too large.");
    else if (route != NULL && may_pass(&r, route))
        route->handle(&r, route->data);
    if (x->later != NULL)
        return MHD_YES;
    if (r.status == 500 && r.out.len == 0)
        speedy_problem(&r, 500, "internal_error",
                       "Something went wrong on our side.");
    return answer_send(x, &r);
}

struct speedy_request *speedy_request_later(struct speedy_request *r)
{
    struct speedy_exchange *x = r->inner;
    struct speedy_request *later = malloc(sizeof(*later));

    if (later == NULL)
        return NULL;
    *later = *r;
    x->later = later;
    atomic_fetch_add(&waiting, 1);
    MHD_suspend_connection(x->connection);
    return later;
}

/* MHD asks for the answer again on the connection's own thread. */
void speedy_request_finish(struct speedy_request *later)
{
    struct speedy_exchange *x = later->inner;

    if (later->status == 500 && later->out.len == 0)
        speedy_problem(later, 500, "internal_error",
                       "Something went wrong on our side.");
    MHD_resume_connection(x->connection);
    atomic_fetch_sub(&waiting, 1);
}

static enum MHD_Result on_access(void *data, struct MHD_Connection *connection,
                                 const char *path, const char *method,
                                 const char *version, const char *upload,
                                 size_t *upload_len, void **slot)
{
    struct speedy_exchange *x = *slot;

    (void)data;
    (void)version;
    if (x == NULL) {
        x = calloc(1, sizeof(*x));
        if (x == NULL)
            return MHD_NO;
        x->connection = connection;
        x->arrived = speedy_now_boot();
        *slot = x;
        return MHD_YES;
    }
    if (*upload_len > 0) {
        if (x->too_large || x->body.len + *upload_len > conf.max_body)
            x->too_large += *upload_len;
        else
            speedy_buf_add(&x->body, upload, *upload_len);
        *upload_len = 0;
        /* a body without an end is cut off instead of answered */
        return x->too_large > BODY_DRAIN_MAX ? MHD_NO : MHD_YES;
    }
    if (x->later != NULL)
        return answer_send(x, x->later);
    return request_run(x, method, path);
}

static void on_completed(void *data, struct MHD_Connection *connection,
                         void **slot, enum MHD_RequestTerminationCode why)
{
    struct speedy_exchange *x = *slot;

    (void)data;
    (void)connection;
    (void)why;
    if (x == NULL)
        return;
    if (x->later != NULL && x->later->out.data != NULL)
        speedy_buf_free(&x->later->out); /* nobody is there for it */
    if (x->later != NULL)
        speedy_buf_free(&x->later->headers);
    free(x->later);
    speedy_exchange_free(x);
    free(x);
    *slot = NULL;
}

/* Paths are matched as they were sent; segments are decoded strictly. */
static size_t keep_escapes(void *data, struct MHD_Connection *connection,
                           char *text)
{
    (void)data;
    (void)connection;
    return strlen(text);
}

/* What stands at the path: 0 nothing now, -1 somebody or an obstacle. */
static int path_clear(const struct sockaddr_un *a)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int refused;

    if (fd < 0)
        return -1;
    refused = connect(fd, (const struct sockaddr *)a, sizeof(*a)) != 0 &&
              errno == ECONNREFUSED;
    close(fd);
    if (access(socket_path, F_OK) != 0)
        return 0;
    if (refused)
        return unlink(socket_path);
    /* a full queue is an answer too */
    speedy_log(SPEEDY_ERROR, "another instance answers on the socket",
               "path=%s remedy=\"stop it, or choose another -i\"", socket_path);
    return -1;
}

/* A socket file of a dead predecessor is removed; a living one's is not. */
static int socket_open(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd;

    if (snprintf(a.sun_path, sizeof(a.sun_path), "%s/%s_%d.sock",
                 speedy_conf.http_directory, conf.role,
                 conf.instance) >= (int)sizeof(a.sun_path)) {
        speedy_log(SPEEDY_ERROR, "the socket's path is too long",
                   "directory=%s remedy=\"a shorter [http] directory\"",
                   speedy_conf.http_directory);
        return -1;
    }
    memcpy(socket_path, a.sun_path, sizeof(socket_path));
    if (path_clear(&a) != 0)
        return -1;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0 ||
        chmod(socket_path, 0660) != 0 || listen(fd, BACKLOG) != 0) {
        speedy_log(SPEEDY_ERROR, "socket not opened", "path=%s error=%s",
                   socket_path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

/* MHD wants the pool's size of pools only, and a stack's of threads. */
static struct MHD_Daemon *daemon_start(int fd)
{
    const struct MHD_OptionItem pool[] = {{MHD_OPTION_THREAD_POOL_SIZE,
                                           conf.threads > 1 ? conf.threads : 2,
                                           NULL},
                                          {MHD_OPTION_END, 0, NULL}};
    const struct MHD_OptionItem each[] = {
        {MHD_OPTION_THREAD_STACK_SIZE, STACK_BYTES, NULL},
        {MHD_OPTION_END, 0, NULL}};
    unsigned flags = conf.threads > 0 ? MHD_USE_EPOLL_INTERNAL_THREAD
                                      : MHD_USE_POLL_INTERNAL_THREAD |
                                            MHD_USE_THREAD_PER_CONNECTION;
    unsigned later = conf.later ? MHD_ALLOW_SUSPEND_RESUME : 0;
    unsigned most = conf.connections > 0 ? conf.connections
                    : conf.threads > 0   ? CONNECTIONS_MAX
                                         : CONNECTIONS_WAITING;

    return MHD_start_daemon(
        flags | later, 0, NULL, NULL, on_access, NULL, MHD_OPTION_LISTEN_SOCKET,
        fd, MHD_OPTION_ARRAY, conf.threads > 0 ? pool : each,
        MHD_OPTION_CONNECTION_LIMIT, most, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)IDLE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)HEADERS_MAX, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
        MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_END);
}

int speedy_http_start(const struct speedy_http *given)
{
    int fd;

    conf = *given;
    fd = socket_open();
    if (fd < 0)
        return -1;
    server = daemon_start(fd);
    if (server != NULL)
        return 0;
    speedy_log(SPEEDY_ERROR, "http server not started", "path=%s", socket_path);
    close(fd);
    unlink(socket_path);
    return -1;
}

static void stop(void *daemon)
{
    MHD_stop_daemon(daemon);
}

void speedy_http_stop(void)
{
    if (server == NULL)
        return;
    /* While we still listen: later it might be a successor's. */
    unlink(socket_path);
    for (long ms = 0; atomic_load(&waiting) > 0 && ms < STOP_MS; ms += STEP_MS)
        nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000L}, NULL);
    if (atomic_load(&waiting) > 0) {
        /* MHD takes a stop with such requests for a mistake and aborts */
        speedy_log(SPEEDY_ERROR, "requests are left without an answer",
                   "count=%ld", atomic_load(&waiting));
        return;
    }
    speedy_bounded("http server", stop, server, STOP_MS);
    server = NULL;
}
