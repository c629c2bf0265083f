/*
 * faultproxy: a proxy between two of our processes that breaks connections in
 * the ways networks and servers do, by order of a test.
 *
 *   faultproxy --control unix:PATH --pair NAME=LISTEN,TO [--pair …]
 *   faultproxy --control unix:PATH --listen ADDR --to ADDR     (pair "main")
 *
 * An address is HOST:PORT, PORT (on 127.0.0.1) or unix:PATH. "ready" is written
 * to stdout when it listens; SIGTERM and SIGINT end it.
 *
 * The control socket takes lines `MODE [arguments] [NAME]`, for one pair or for
 * all, and answers each with `ok` or `error why`. A mode stands until the next
 * one and acts on connections that stand and on new ones:
 *   pass                   forward
 *   latency MS             each way, each chunk that much later
 *   bandwidth B            bytes a second, each way
 *   blackhole              take connections, read and send nothing
 *   reset                  RST for all, and for each new one at once
 *   close                  the same with an orderly end
 *   halfclose              the client sees the end, the server still listens
 *   slicer N [US]          at most N bytes a write, US (50) microseconds apart
 *   limit_data N           cut a connection after N bytes to the client
 *   drop_reply [COUNT|all] [match TEXT|hex:BYTES|kafka:API]
 *                          forward the request, cut before its answer; COUNT
 *                          connections (1). match: only when the bytes from the
 *                          client hold TEXT, or a Kafka request of that API
 *                          (0 Produce). On a connection with requests in
 *                          flight, answers to earlier ones are lost as well.
 *   stats                  ok {"NAME":{"mode","left","open","total","up",
 *                          "down","dropped"}}
 *
 * Kafka: clients go to the address that the broker advertises, so the proxy
 * listens on a port of its own and the broker has a second listener for it:
 *   listeners=PLAIN://127.0.0.1:B,PROXIED://127.0.0.1:C
 *   advertised.listeners=PLAIN://127.0.0.1:B,PROXIED://127.0.0.1:P
 * with the proxy as P -> C. Clients that bootstrap from P stay with P.
 *
 * address.c  addresses       link.c  connections and what a mode does to them
 * control.c  the lines       main.c  options, epoll, operators
 */
#include "proxy.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

struct operator
{
    struct watch w; /* first: epoll hands it back */
    size_t len;
    char line[1024];
};

static volatile sig_atomic_t stop;

static void on_signal(int signo)
{
    (void)signo;
    stop = 1;
}

uint64_t proxy_now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

int watch_set(struct proxy *px, struct watch *w, uint32_t interest)
{
    struct epoll_event ev = {.events = interest, .data.ptr = w};

    if (w->interest == (interest | EPOLLERR)) {
        return 0;
    }
    int op = w->interest == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    w->interest = interest | EPOLLERR; /* never 0 again: it is added */
    return epoll_ctl(px->epfd, op, w->fd, &ev);
}

static int pair_add(struct proxy *px, const char *name, const char *from,
                    const char *to)
{
    if (px->npairs == PROXY_PAIRS_MAX) {
        fputs("faultproxy: too many pairs\n", stderr);
        return -1;
    }
    struct pair *p = &px->pairs[px->npairs];
    snprintf(p->name, sizeof(p->name), "%s", name);
    if (address_parse(&p->from, from) != 0 || address_parse(&p->to, to) != 0) {
        fprintf(stderr, "faultproxy: pair %s: bad address\n", name);
        return -1;
    }
    p->listener.kind = WATCH_LISTENER;
    p->listener.fd = address_listen(&p->from);
    if (p->listener.fd < 0) {
        fprintf(stderr, "faultproxy: %s: %s\n", from, strerror(errno));
        return -1;
    }
    px->npairs++;
    return watch_set(px, &p->listener, EPOLLIN);
}

/* NAME=LISTEN,TO */
static int pair_option(struct proxy *px, char *text)
{
    char *from = strchr(text, '=');
    char *to = from != NULL ? strchr(from, ',') : NULL;

    if (to == NULL) {
        fputs("faultproxy: --pair needs NAME=LISTEN,TO\n", stderr);
        return -1;
    }
    *from++ = '\0';
    *to++ = '\0';
    return pair_add(px, text, from, to);
}

static int control_open(struct proxy *px, const char *text)
{
    struct address a;

    if (address_parse(&a, text) != 0) {
        fputs("faultproxy: --control needs unix:PATH\n", stderr);
        return -1;
    }
    px->control.kind = WATCH_CONTROL;
    px->control.fd = address_listen(&a);
    if (px->control.fd < 0) {
        fprintf(stderr, "faultproxy: %s: %s\n", text, strerror(errno));
        return -1;
    }
    return watch_set(px, &px->control, EPOLLIN);
}

static int options(struct proxy *px, int argc, char **argv)
{
    static const struct option table[] = {
        {"listen", 1, NULL, 'l'},  {"to", 1, NULL, 't'},
        {"control", 1, NULL, 'c'}, {"pair", 1, NULL, 'p'},
        {NULL, 0, NULL, 0},
    };
    const char *from = NULL;
    const char *to = NULL;
    int c;

    while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
        int rc = 0;
        switch (c) {
        case 'l':
            from = optarg;
            break;
        case 't':
            to = optarg;
            break;
        case 'c':
            rc = control_open(px, optarg);
            break;
        case 'p':
            rc = pair_option(px, optarg);
            break;
        default:
            rc = -1;
        }
        if (rc != 0) {
            return -1;
        }
    }
    if (from != NULL && to != NULL && pair_add(px, "main", from, to) != 0) {
        return -1;
    }
    if (px->npairs == 0 || px->control.fd <= 0 || optind < argc ||
        (from == NULL) != (to == NULL)) {
        fputs("usage: faultproxy --control unix:PATH --pair NAME=LISTEN,TO "
              "[--pair ...]\n"
              "       faultproxy --control unix:PATH --listen ADDR --to ADDR\n",
              stderr);
        return -1;
    }
    return 0;
}

static void operator_accept(struct proxy *px)
{
    int fd = accept4(px->control.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct operator* op = fd<0 ? NULL : calloc(1, sizeof(*op));

    if (op == NULL) {
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    op->w.kind = WATCH_OPERATOR;
    op->w.fd = fd;
    if (watch_set(px, &op->w, EPOLLIN) != 0) {
        close(fd);
        free(op);
    }
}

static void operator_event(struct proxy *px, struct watch *w)
{
    struct operator* op =(struct operator*) w;
    char out[8192];
    char *end;

    ssize_t n =
        recv(op->w.fd, op->line + op->len, sizeof(op->line) - 1 - op->len, 0);
    if (n <= 0) {
        if (n < 0 && errno == EAGAIN) {
            return;
        }
        close(op->w.fd);
        free(op);
        return;
    }
    op->len += (size_t)n;
    op->line[op->len] = '\0';

    while ((end = strchr(op->line, '\n')) != NULL) {
        size_t used = (size_t)(end - op->line) + 1;
        *end = '\0';
        control_line(px, op->line, out, sizeof(out));
        send(op->w.fd, out, strlen(out), MSG_NOSIGNAL);
        op->len -= used;
        memmove(op->line, op->line + used, op->len + 1);
    }
    if (op->len == sizeof(op->line) - 1) {
        op->len = 0;
    }
}

static void dispatch(struct proxy *px, struct watch *w, uint32_t events)
{
    switch (w->kind) {
    case WATCH_LISTENER:
        link_accept(px, (struct pair *)w);
        break;
    case WATCH_CONTROL:
        operator_accept(px);
        break;
    case WATCH_OPERATOR:
        operator_event(px, w);
        break;
    case WATCH_END:
        link_event(px, w, events);
        break;
    }
}

static void run(struct proxy *px)
{
    struct epoll_event events[256];

    while (!stop) {
        uint64_t next = links_tick(px);
        uint64_t now = proxy_now_us();
        uint64_t wait = next > now + 1000000 ? 1000000
                        : next > now         ? next - now
                                             : 0;
        struct timespec ts = {
            .tv_sec = (time_t)(wait / 1000000),
            .tv_nsec = (long)(wait % 1000000) * 1000,
        };
        int n = epoll_pwait2(px->epfd, events, 256, &ts, NULL);
        for (int i = 0; i < n; i++) {
            dispatch(px, events[i].data.ptr, events[i].events);
        }
        links_reap(px);
    }
}

int main(int argc, char **argv)
{
    static struct proxy px;
    struct sigaction sa;
    struct rlimit rl;

    memset(&sa, 0, sizeof(sa));
    sa.sa_handler = on_signal;
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
        rl.rlim_cur = rl.rlim_max;
        setrlimit(RLIMIT_NOFILE, &rl);
    }

    px.epfd = epoll_create1(EPOLL_CLOEXEC);
    if (px.epfd < 0 || options(&px, argc, argv) != 0) {
        return 2;
    }
    puts("ready");
    fflush(stdout);
    run(&px);
    return 0;
}
