/*
 * HTTP over libmicrohttpd, a thread for each connection: a call sleeps on its
 * thread for as long as a test ordered, and hundreds do so at once. Answers
 * that a fault breaks are broken here: no answer, an end, a reset, a trickle.
 */
#include "sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../daemons/common/log.h"
#include "../../daemons/common/loop.h"

#define BODY_MAX 2000000
#define CONNECTIONS 4096
#define IDLE_SECONDS 75
#define STACK_BYTES (256 * 1024)
#define SILENCE_MS 120000
#define BACKLOG 1024

static struct MHD_Daemon *servers[LISTEN_CONTROL + 1];
static enum listener kinds[] = {LISTEN_API, LISTEN_PAGES, LISTEN_CONTROL};
static char *pem[2]; /* GnuTLS reads them; kept for the server's life */

/* One request while it comes in and until its answer is out. */
struct request {
    struct speedy_buf body;
    struct api_call *api;
    bool answered;
};

const char *exchange_query(struct exchange *x, const char *name)
{
    return MHD_lookup_connection_value(x->connection, MHD_GET_ARGUMENT_KIND,
                                       name);
}

const char *exchange_header(struct exchange *x, const char *name)
{
    return MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
}

static int socket_of(struct exchange *x)
{
    return MHD_get_connection_info(x->connection,
                                   MHD_CONNECTION_INFO_CONNECTION_FD)
        ->connect_fd;
}

/* Nothing is said until the client gives up. */
static void wait_for_end(int fd)
{
    int64_t until = speedy_now_boot() + SILENCE_MS;
    struct pollfd p = {.fd = fd, .events = POLLRDHUP};

    while (speedy_now_boot() < until && !speedy_stopping()) {
        if (poll(&p, 1, 100) > 0)
            return;
    }
}

/* A connect to no address makes Linux send RST at once. */
static void reset(int fd)
{
    struct linger now = {.l_onoff = 1};
    struct sockaddr none = {.sa_family = AF_UNSPEC};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    if (connect(fd, &none, sizeof(none)) != 0)
        shutdown(fd, SHUT_RDWR);
}

/* Whether the fault broke the connection instead of an answer. */
static bool broken(struct exchange *x)
{
    int fd = socket_of(x);

    switch (x->api->fault.answer) {
    case ANSWER_SILENCE:
        wait_for_end(fd);
        return true;
    case ANSWER_CLOSE:
        shutdown(fd, SHUT_RDWR);
        return true;
    case ANSWER_RESET:
        reset(fd);
        return true;
    default:
        return false;
    }
}

struct trickle {
    char *data;
    size_t len;
    long pause_ms;
};

static ssize_t trickle_read(void *data, uint64_t pos, char *out, size_t max)
{
    struct trickle *t = data;

    if (pos >= t->len)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (max == 0 || speedy_pause(t->pause_ms))
        return MHD_CONTENT_READER_END_WITH_ERROR;
    *out = t->data[pos];
    return 1;
}

static void trickle_free(void *data)
{
    struct trickle *t = data;

    free(t->data);
    free(t);
}

static struct MHD_Response *response_slow(struct exchange *x)
{
    struct trickle *t = calloc(1, sizeof(*t));

    if (t == NULL)
        abort();
    t->len = x->out.len;
    t->data = malloc(t->len + 1);
    if (t->data == NULL)
        abort();
    memcpy(t->data, x->out.data, t->len);
    t->pause_ms = x->api->fault.slow_ms;
    return MHD_create_response_from_callback(t->len, 1, trickle_read, t,
                                             trickle_free);
}

static enum MHD_Result answer(struct exchange *x)
{
    bool slow = x->api != NULL && x->api->fault.answer == ANSWER_SLOW;
    struct MHD_Response *r =
        slow ? response_slow(x)
             : MHD_create_response_from_buffer(x->out.len, x->out.data,
                                               MHD_RESPMEM_MUST_COPY);
    enum MHD_Result rc;

    if (r == NULL)
        return MHD_NO;
    MHD_add_response_header(r, "Content-Type",
                            x->content_type != NULL
                                ? x->content_type
                                : "application/json;charset=UTF-8");
    MHD_add_response_header(r, "Cache-Control", "no-store");
    if (x->location != NULL)
        MHD_add_response_header(r, "Location", x->location);
    if (x->api != NULL && x->api->fault.late_ms > 0)
        MHD_add_response_header(r, "Connection", "close");
    rc = MHD_queue_response(x->connection, (unsigned)x->status, r);
    MHD_destroy_response(r);
    return rc;
}

static bool is_page(const char *path)
{
    return strncmp(path, "/mockup/", 8) == 0;
}

/* The API itself; false: the connection is to be ended. */
static bool api_handle(struct exchange *x, struct request *q)
{
    struct api_call *c = calloc(1, sizeof(*c));

    if (c == NULL)
        abort();
    if (strcmp(x->method, "POST") != 0 ||
        api_route(x->path, &c->gen, &c->op) != 0) {
        c->reply.gen = strncmp(x->path, "/v1/", 4) == 0 ? GEN_LEGACY : GEN_OPEN;
        reply_error(&c->reply, -404, "no such API", NULL, NULL);
    } else {
        q->api = c;
        x->api = c;
        api_call(c, exchange_header(x, "Authorization"),
                 exchange_header(x, "Content-Type"), x->body, x->body_len);
        if (broken(x))
            return false;
    }
    x->status = c->reply.http;
    speedy_buf_add(&x->out, c->reply.out.data, c->reply.out.len);
    if (q->api == NULL)
        api_finish(c);
    return true;
}

static enum MHD_Result handle(enum listener what, struct exchange *x,
                              struct request *q)
{
    enum MHD_Result rc = MHD_NO;
    bool good = true;

    q->answered = true;
    if (what == LISTEN_CONTROL)
        control_handle(x);
    else if (what == LISTEN_PAGES || is_page(x->path))
        pages_handle(x);
    else
        good = api_handle(x, q);
    if (good)
        rc = answer(x);
    free(x->location);
    speedy_buf_free(&x->out);
    return rc;
}

static enum MHD_Result on_access(void *data, struct MHD_Connection *connection,
                                 const char *url, const char *method,
                                 const char *version, const char *body,
                                 size_t *len, void **state)
{
    struct request *q = *state;
    struct exchange x = {
        .method = method, .path = url, .connection = connection};

    (void)version;
    if (q == NULL) {
        *state = calloc(1, sizeof(*q));
        return *state != NULL ? MHD_YES : MHD_NO;
    }
    if (*len > 0) {
        if (q->body.len + *len > BODY_MAX)
            return MHD_NO;
        speedy_buf_add(&q->body, body, *len);
        *len = 0;
        return MHD_YES;
    }
    if (q->answered)
        return MHD_NO;
    x.body = q->body.data != NULL ? q->body.data : "";
    x.body_len = q->body.len;
    return handle(*(enum listener *)data, &x, q);
}

/* The answer is out, or the connection is gone: what comes late comes now. */
static void on_completed(void *data, struct MHD_Connection *connection,
                         void **state, enum MHD_RequestTerminationCode why)
{
    struct request *q = *state;

    (void)data;
    (void)connection;
    (void)why;
    if (q == NULL)
        return;
    if (q->api != NULL)
        api_finish(q->api);
    speedy_buf_free(&q->body);
    free(q);
    *state = NULL;
}

static char *file_read(const char *path)
{
    struct speedy_buf b = {0};
    char part[4096];
    size_t n;
    FILE *in = fopen(path, "r");

    if (in == NULL) {
        speedy_log(SPEEDY_ERROR, "can not be read", "path=%s error=%s", path,
                   strerror(errno));
        return NULL;
    }
    while ((n = fread(part, 1, sizeof(part), in)) > 0)
        speedy_buf_add(&b, part, n);
    fclose(in);
    return b.data;
}

static int listen_on(const struct server_address *a)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)a->port)};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || inet_pton(AF_INET, a->host, &to.sin_addr) != 1 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        bind(fd, (struct sockaddr *)&to, sizeof(to)) != 0 ||
        listen(fd, BACKLOG) != 0) {
        speedy_log(SPEEDY_ERROR, "can not listen", "host=%s port=%d error=%s",
                   a->host, a->port, strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

int server_start(enum listener what, const struct server_address *a)
{
    unsigned flags = MHD_USE_THREAD_PER_CONNECTION |
                     MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL |
                     MHD_USE_ITC | (a->certificate != NULL ? MHD_USE_TLS : 0);
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, NULL},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, NULL},
        /* as KakaoPay's, which knows no 1.3 */
        {MHD_OPTION_HTTPS_PRIORITIES, 0, "NORMAL:-VERS-ALL:+VERS-TLS1.2"},
        {MHD_OPTION_END, 0, NULL},
    };
    int fd;

    if (a->certificate != NULL) {
        tls[0].ptr_value = pem[0] = file_read(a->certificate);
        tls[1].ptr_value = pem[1] = file_read(a->key);
        if (pem[0] == NULL || pem[1] == NULL)
            return -1;
    } else {
        tls[0].option = MHD_OPTION_END;
    }
    fd = listen_on(a);
    if (fd < 0)
        return -1;
    servers[what] = MHD_start_daemon(
        flags, 0, NULL, NULL, on_access, &kinds[what], MHD_OPTION_LISTEN_SOCKET,
        fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
        MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK_BYTES,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_ARRAY, tls,
        MHD_OPTION_END);
    if (servers[what] == NULL) {
        speedy_log(SPEEDY_ERROR, "the server did not start", "port=%d",
                   a->port);
        close(fd);
        return -1;
    }
    return 0;
}

void server_stop(void)
{
    for (int i = LISTEN_CONTROL; i >= LISTEN_API; i--) {
        if (servers[i] != NULL)
            MHD_stop_daemon(servers[i]);
    }
    free(pem[0]);
    free(pem[1]);
}
