/*
 * One epoll, edge-triggered, each descriptor registered once for its life. A
 * connection carries one request at a time and is kept; a gateway has a queue
 * of attempts that wait for a connection, a stack of idle connections (the
 * warmest first) and a bound on how many it may open. An attempt's failure is
 * handed up like an answer, with status 0.
 *
 * Nothing here calls back while an attempt is being sent: failures of connect
 * and send are put on a list and handed up from gateways_wait, so that neither
 * a retry nor the next purchase recurses.
 */
#include "gateway.h"

#include "http.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define GATEWAY_EVENTS 512
#define GATEWAY_READ 65536

enum conn_state { CONN_FREE, CONN_CONNECTING, CONN_IDLE, CONN_BUSY };

struct conn {
    int fd;
    enum conn_state state;
    unsigned gateway;
    bool answered; /* bytes of the answer came */
    const char *failed;
    struct purchase *p;
    uint64_t since;     /* of connect or send */
    struct conn *next;  /* idle stack, free list or list of failures */
    struct conn *older; /* in the list of those with a time limit */
    struct conn *newer;
    char *tx; /* what the socket did not take, or NULL */
    size_t tx_at;
    size_t tx_len;
    struct http_response res;
};

struct gateway {
    const struct target *target;
    struct purchase *first; /* queue */
    struct purchase *last;
    struct conn *idle;
    uint64_t open;
    uint64_t max;
};

struct gateways {
    const struct options *o;
    struct shopping *s;
    struct tally *tally;
    int epfd;
    struct gateway gw[OPTIONS_URLS_MAX];
    struct conn *conns;
    uint64_t nconns;
    struct conn *free;
    struct conn *failures;
    struct conn *oldest;
    struct conn *newest;
    uint64_t connecting;
    uint64_t established;
    uint64_t pace_ns; /* --max-rps: not before */
    bool head;
    char buffer[GATEWAY_READ];
};

static void conn_open(struct gateways *g, struct gateway *gw,
                      struct purchase *p, uint64_t now);
static void conn_send(struct gateways *g, struct conn *c, struct purchase *p,
                      uint64_t now);
static void conn_close(struct gateways *g, struct conn *c);

uint64_t gateways_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

static int64_t gateways_wall_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

struct gateways *gateways_new(const struct options *o, struct shopping *s,
                              struct tally *tally, uint64_t connections)
{
    struct gateways *g = calloc(1, sizeof(*g));

    if (g == NULL) {
        return NULL;
    }
    if (connections < o->nurls) {
        connections = o->nurls;
    }
    g->o = o;
    g->s = s;
    g->tally = tally;
    g->head = o->raw_method != NULL && strcmp(o->raw_method, "HEAD") == 0;
    g->epfd = epoll_create1(EPOLL_CLOEXEC);
    g->nconns = connections;
    g->conns = calloc(connections, sizeof(*g->conns));
    if (g->epfd < 0 || g->conns == NULL) {
        fprintf(stderr, "shoppers: %s\n", strerror(errno));
        gateways_free(g);
        return NULL;
    }

    for (uint64_t i = 0; i < connections; i++) {
        g->conns[i].fd = -1;
        g->conns[i].next = g->free;
        g->free = &g->conns[i];
    }
    for (unsigned i = 0; i < o->nurls; i++) {
        g->gw[i].target = &o->urls[i];
        g->gw[i].max =
            connections / o->nurls + (i < connections % o->nurls ? 1 : 0);
    }
    return g;
}

void gateways_free(struct gateways *g)
{
    if (g == NULL) {
        return;
    }
    for (uint64_t i = 0; g->conns != NULL && i < g->nconns; i++) {
        if (g->conns[i].fd >= 0) {
            close(g->conns[i].fd);
        }
        free(g->conns[i].tx);
    }
    free(g->conns);
    if (g->epfd >= 0) {
        close(g->epfd);
    }
    free(g);
}

void gateways_open(struct gateways *g, uint64_t n)
{
    uint64_t now = gateways_now();

    for (unsigned i = 0; n > 0 && g->free != NULL; i = (i + 1) % g->o->nurls) {
        conn_open(g, &g->gw[i], NULL, now);
        n--;
    }
}

uint64_t gateways_ready(const struct gateways *g)
{
    return g->established;
}

uint64_t gateways_connecting(const struct gateways *g)
{
    return g->connecting;
}

void gateways_submit(struct gateways *g, struct purchase *p)
{
    struct gateway *gw = &g->gw[p->gateway];

    p->next = NULL;
    if (gw->first == NULL) {
        gw->first = p;
    } else {
        gw->last->next = p;
    }
    gw->last = p;
}

uint64_t gateways_dispatch(struct gateways *g, uint64_t now, unsigned batch)
{
    for (unsigned i = 0; i < g->o->nurls; i++) {
        struct gateway *gw = &g->gw[i];

        while (gw->first != NULL && (gw->idle != NULL || gw->open < gw->max)) {
            if (g->o->max_rps > 0 && g->pace_ns > now) {
                return g->pace_ns;
            }
            if (batch-- == 0) {
                return 0;
            }
            if (g->o->max_rps > 0) {
                if (g->pace_ns + 10000000 < now) {
                    g->pace_ns = now;
                }
                g->pace_ns += (uint64_t)(1e9 / g->o->max_rps);
            }

            struct purchase *p = gw->first;
            gw->first = p->next;
            struct conn *c = gw->idle;
            if (c == NULL) {
                conn_open(g, gw, p, now);
                continue;
            }
            gw->idle = c->next;
            conn_send(g, c, p, now);
        }
    }

    return g->failures != NULL ? 0 : UINT64_MAX;
}

static void conn_limit_start(struct gateways *g, struct conn *c, uint64_t now)
{
    c->since = now;
    c->newer = NULL;
    c->older = g->newest;
    if (g->newest != NULL) {
        g->newest->newer = c;
    } else {
        g->oldest = c;
    }
    g->newest = c;
}

static void conn_limit_end(struct gateways *g, struct conn *c)
{
    if (c->older != NULL) {
        c->older->newer = c->newer;
    } else {
        g->oldest = c->newer;
    }
    if (c->newer != NULL) {
        c->newer->older = c->older;
    } else {
        g->newest = c->older;
    }
}

static void conn_failed(struct gateways *g, struct conn *c, const char *why)
{
    if (c->failed == NULL) {
        c->failed = why;
        c->next = g->failures;
        g->failures = c;
    }
}

static void conn_open(struct gateways *g, struct gateway *gw,
                      struct purchase *p, uint64_t now)
{
    const struct target *t = gw->target;
    struct conn *c = g->free;
    int one = 1;

    g->free = c->next;
    c->gateway = (unsigned)(gw - g->gw);
    c->p = p;
    c->failed = NULL;
    c->state = CONN_CONNECTING;
    c->fd = socket(t->addr.ss_family,
                   SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    gw->open++;
    g->connecting++;
    g->tally->connects++;
    conn_limit_start(g, c, now);
    if (p != NULL) {
        p->sent_ms = gateways_wall_ms();
    }

    if (c->fd < 0) {
        conn_failed(g, c, "connect");
        return;
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));

    struct epoll_event ev = {
        .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
        .data.ptr = c,
    };
    int rc = connect(c->fd, (const struct sockaddr *)&t->addr, t->addrlen);
    if ((rc != 0 && errno != EINPROGRESS) ||
        epoll_ctl(g->epfd, EPOLL_CTL_ADD, c->fd, &ev) != 0) {
        conn_failed(g, c, "connect");
    }
}

static void conn_close(struct gateways *g, struct conn *c)
{
    if (c->fd >= 0) {
        close(c->fd);
        c->fd = -1;
    }
    if (c->state == CONN_CONNECTING) {
        g->connecting--;
    } else {
        g->established--;
    }
    if (c->state != CONN_IDLE) {
        conn_limit_end(g, c);
    }
    free(c->tx);
    c->tx = NULL;
    c->p = NULL;
    c->failed = NULL;
    c->state = CONN_FREE;
    g->gw[c->gateway].open--;
    c->next = g->free;
    g->free = c;
}

static void conn_idle(struct gateways *g, struct conn *c)
{
    c->state = CONN_IDLE;
    c->p = NULL;
    c->next = g->gw[c->gateway].idle;
    g->gw[c->gateway].idle = c;
}

/* Rare, so it may search: a gateway closed a connection that was idle. */
static void conn_idle_closed(struct gateways *g, struct conn *c)
{
    struct conn **at = &g->gw[c->gateway].idle;

    while (*at != c) {
        at = &(*at)->next;
    }
    *at = c->next;
    conn_close(g, c);
}

static void conn_send(struct gateways *g, struct conn *c, struct purchase *p,
                      uint64_t now)
{
    size_t len;
    const char *request = shopping_request(g->s, p, &len);

    c->p = p;
    c->state = CONN_BUSY;
    c->answered = false;
    http_response_init(&c->res, g->o->raw_path == NULL, g->head);
    conn_limit_start(g, c, now);
    p->sent_ms = gateways_wall_ms();
    g->tally->sent++;

    ssize_t n = send(c->fd, request, len, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) {
        conn_failed(g, c, "reset");
        return;
    }
    if (n == (ssize_t)len) {
        return;
    }

    size_t sent = n < 0 ? 0 : (size_t)n;
    c->tx_len = len - sent;
    c->tx_at = 0;
    c->tx = malloc(c->tx_len);
    if (c->tx == NULL) {
        conn_failed(g, c, "reset");
        return;
    }
    memcpy(c->tx, request + sent, c->tx_len);
}

static void conn_flush(struct gateways *g, struct conn *c)
{
    ssize_t n =
        send(c->fd, c->tx + c->tx_at, c->tx_len - c->tx_at, MSG_NOSIGNAL);

    if (n < 0) {
        if (errno != EAGAIN) {
            conn_failed(g, c, "reset");
        }
        return;
    }
    c->tx_at += (size_t)n;
    if (c->tx_at == c->tx_len) {
        free(c->tx);
        c->tx = NULL;
    }
}

/* No answer will come on c: close it and tell the purchase. */
static void conn_fail(struct gateways *g, struct conn *c, const char *why,
                      uint64_t now)
{
    struct purchase *p = c->p;
    struct answer a = {.status = 0, .retry_after = -1};

    snprintf(a.code, sizeof(a.code), "%s", why);
    conn_close(g, c);
    if (p != NULL) {
        shopping_answer(g->s, p, &a, now);
    }
}

static void conn_complete(struct gateways *g, struct conn *c, bool more,
                          uint64_t now)
{
    struct http_response *res = &c->res;
    struct purchase *p = c->p;
    struct answer a;

    a.status = res->status;
    a.retry_after = res->retry_after;
    a.replayed = res->replayed;
    a.code[0] = '\0';
    a.order_id[0] = '\0';
    if (res->body_len > 0) {
        http_json_string(res->body, res->body_len, "code", a.code,
                         sizeof(a.code));
        http_json_string(res->body, res->body_len, "order_id", a.order_id,
                         sizeof(a.order_id));
    }

    if (res->close || more || c->tx != NULL) {
        conn_close(g, c);
    } else {
        conn_limit_end(g, c);
        conn_idle(g, c);
    }
    shopping_answer(g->s, p, &a, now);
}

static void conn_eof(struct gateways *g, struct conn *c, uint64_t now)
{
    if (c->res.state == HTTP_BODY && c->res.until_eof) {
        conn_complete(g, c, true, now);
        return;
    }
    conn_fail(g, c, "reset", now);
}

static void conn_read(struct gateways *g, struct conn *c, uint64_t now)
{
    for (;;) {
        ssize_t n = recv(c->fd, g->buffer, sizeof(g->buffer), 0);
        size_t used = 0;

        if (n < 0 && errno == EAGAIN) {
            return;
        }
        if (n <= 0) {
            conn_eof(g, c, now);
            return;
        }

        c->answered = true;
        int rc = http_response_feed(&c->res, g->buffer, (size_t)n, &used);
        if (rc < 0) {
            conn_fail(g, c, "protocol", now);
            return;
        }
        if (rc == 1) {
            conn_complete(g, c, used < (size_t)n, now);
            return;
        }
        /* A short read has emptied the socket; the end comes as an event. */
        if ((size_t)n < sizeof(g->buffer) && !c->res.until_eof) {
            return;
        }
    }
}

static void conn_connected(struct gateways *g, struct conn *c, uint32_t events,
                           uint64_t now)
{
    struct purchase *p = c->p;

    if (events & (EPOLLERR | EPOLLHUP)) {
        conn_fail(g, c, "connect", now);
        return;
    }

    conn_limit_end(g, c);
    g->connecting--;
    g->established++;
    if (g->established > g->tally->connections_max) {
        g->tally->connections_max = g->established;
    }
    if (p == NULL) {
        conn_idle(g, c);
        return;
    }
    conn_send(g, c, p, now);
}

static void conn_event(struct gateways *g, struct conn *c, uint32_t events,
                       uint64_t now)
{
    if (c->state == CONN_FREE || c->failed != NULL) {
        return;
    }

    if (c->state == CONN_CONNECTING) {
        if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) {
            conn_connected(g, c, events, now);
        }
        return;
    }

    if (c->state == CONN_IDLE) {
        if (events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) {
            conn_idle_closed(g, c);
        }
        return;
    }

    if (c->tx != NULL && (events & EPOLLOUT)) {
        conn_flush(g, c);
        if (c->failed != NULL) {
            return;
        }
    }
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
        conn_read(g, c, now);
    }
    /* An answer and the end came together: nothing more will be told. */
    if ((events & (EPOLLRDHUP | EPOLLHUP)) && c->state == CONN_BUSY &&
        c->failed == NULL) {
        conn_read(g, c, now);
    } else if ((events & EPOLLRDHUP) && c->state == CONN_IDLE) {
        conn_idle_closed(g, c);
    }
}

static void gateways_failures(struct gateways *g, uint64_t now)
{
    struct conn *c = g->failures;

    g->failures = NULL;
    while (c != NULL) {
        struct conn *next = c->next;
        const char *why = c->failed;
        conn_fail(g, c, why, now);
        c = next;
    }

    while (g->oldest != NULL && g->oldest->since + g->o->timeout_ns <= now) {
        conn_fail(g, g->oldest, "timeout", now);
    }
}

void gateways_wait(struct gateways *g, uint64_t until)
{
    struct epoll_event events[GATEWAY_EVENTS];
    uint64_t now = gateways_now();
    struct timespec ts = {0, 0};

    if (g->oldest != NULL && g->oldest->since + g->o->timeout_ns < until) {
        until = g->oldest->since + g->o->timeout_ns;
    }
    if (g->failures == NULL && until > now) {
        ts.tv_sec = (time_t)((until - now) / 1000000000ULL);
        ts.tv_nsec = (long)((until - now) % 1000000000ULL);
    }

    int n = epoll_pwait2(g->epfd, events, GATEWAY_EVENTS, &ts, NULL);
    if (n < 0 && errno == ENOSYS) {
        int ms = (int)(ts.tv_sec * 1000 + (ts.tv_nsec + 999999) / 1000000);
        n = epoll_wait(g->epfd, events, GATEWAY_EVENTS, ms);
    }

    now = gateways_now();
    for (int i = 0; i < n; i++) {
        conn_event(g, events[i].data.ptr, events[i].events, now);
    }
    gateways_failures(g, now);
}
