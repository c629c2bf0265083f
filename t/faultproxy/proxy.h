/*
 * Types shared by the parts of faultproxy. One thread owns everything; see
 * main.c for what the program is for.
 */
#ifndef FAULTPROXY_PROXY_H
#define FAULTPROXY_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define PROXY_PAIRS_MAX 16
#define PROXY_MATCH_MAX 256
#define PROXY_CHUNK 16384
#define PROXY_QUEUE_MAX (1024 * 1024)

enum mode_kind {
    MODE_PASS,
    MODE_LATENCY,
    MODE_BANDWIDTH,
    MODE_BLACKHOLE,
    MODE_RESET,
    MODE_CLOSE,
    MODE_HALFCLOSE,
    MODE_SLICER,
    MODE_LIMIT_DATA,
    MODE_DROP_REPLY
};

struct mode {
    enum mode_kind kind;
    uint64_t n;      /* ms, bytes a second, bytes */
    uint64_t gap_us; /* slicer: between two slices */
    int64_t count;   /* drop_reply: connections still to cut, -1: all */
    bool match_kafka;
    int kafka_api;
    size_t match_len; /* 0: whatever is asked */
    unsigned char match[PROXY_MATCH_MAX];
};

struct address {
    struct sockaddr_storage ss;
    socklen_t len;
};

/* The first member of all that epoll may report. */
enum watch_kind { WATCH_LISTENER, WATCH_CONTROL, WATCH_OPERATOR, WATCH_END };
struct watch {
    enum watch_kind kind;
    int fd;
    uint32_t interest;
};

struct pair {
    struct watch listener;
    char name[32];
    struct address from;
    struct address to;
    struct mode mode;
    struct link *links;
    uint64_t open;
    uint64_t total;
    uint64_t bytes_up;   /* client to server, forwarded */
    uint64_t bytes_down; /* server to client, forwarded */
    uint64_t dropped;    /* replies cut by drop_reply */
};

struct proxy {
    int epfd;
    struct pair pairs[PROXY_PAIRS_MAX];
    unsigned npairs;
    struct watch control;
    struct link *dead; /* freed at the end of a turn */
};

uint64_t proxy_now_us(void);

/* Sets what epoll reports for w; adds it at the first call. */
int watch_set(struct proxy *px, struct watch *w, uint32_t interest);

/* address.c: "HOST:PORT", "PORT" (loopback) or "unix:PATH". 0 or -1. */
int address_parse(struct address *a, const char *text);
int address_listen(const struct address *a);

/* link.c */
void link_accept(struct proxy *px, struct pair *pair);
void link_event(struct proxy *px, struct watch *w, uint32_t events);
void link_mode_set(struct proxy *px, struct pair *pair);
/* Moves what time has made due; the time (us) of the next, or UINT64_MAX. */
uint64_t links_tick(struct proxy *px);
void links_reap(struct proxy *px);

/* control.c: one line of an operator in, its answer into `out`. */
void control_line(struct proxy *px, char *line, char *out, size_t size);

#endif
