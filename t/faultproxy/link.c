/*
 * A link is one client's connection and the one to the server made for it,
 * with a queue of chunks in each direction. A mode acts in three places: on
 * what is read (blackhole), on what is queued (drop_reply's search), and on
 * when and how much of a queue is written (latency, bandwidth, slicer,
 * limit_data). Queues are bounded: a full one stops the reading.
 *
 * drop_reply must let the server do what was asked and lose only its answer.
 * So when the first byte of an answer comes after the request was seen, what
 * the client has sent until then is still forwarded, the client is cut, and
 * the connection to the server is drained until it was silent for 200 ms (2 s
 * at most) before it is closed: closing it with unread bytes would send a
 * reset that may overtake the request.
 */
#include "proxy.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define LINK_DRAIN_QUIET_US 200000
#define LINK_DRAIN_MAX_US 2000000

struct chunk {
    struct chunk *next;
    uint64_t due_us;
    size_t at;
    size_t len;
    unsigned char data[];
};

struct side {
    struct watch w; /* first: epoll hands it back */
    struct link *link;
    struct side *peer;
    struct chunk *first; /* read here, to be written to the peer */
    struct chunk *last;
    size_t queued;
    uint64_t next_us; /* bandwidth, slicer: nothing is written before */
    bool eof;         /* the other end closed its sending half */
    bool shut;        /* the peer was told */
    bool gone;        /* hung up; what it sent is still being delivered */
    bool blocked;     /* the peer's socket takes no more */
};

struct link {
    struct pair *pair;
    struct link *next;
    struct link *prev;
    struct side client;
    struct side server;
    bool connected;
    bool dead;
    bool armed; /* drop_reply: the request was seen */
    uint64_t limit_left;
    uint64_t drain_us; /* since when the server is drained; 0: it is not */
    uint64_t quiet_us;
    size_t tail_len; /* the end of what was searched, for a split match */
    unsigned char tail[PROXY_MATCH_MAX];
    uint64_t frame_left; /* Kafka frames from the client, counted from the */
    size_t frame_head;   /* start of the connection */
    unsigned char frame[6];
    struct link *next_dead;
};

static void link_pump(struct proxy *px, struct side *s, uint64_t now);

static void link_close(struct proxy *px, struct link *l, bool reset)
{
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    struct side *sides[] = {&l->client, &l->server};

    if (l->dead) {
        return;
    }
    for (int i = 0; i < 2; i++) {
        struct side *s = sides[i];
        if (s->w.fd >= 0) {
            if (reset) {
                setsockopt(s->w.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
            }
            close(s->w.fd);
            s->w.fd = -1;
        }
        while (s->first != NULL) {
            struct chunk *c = s->first;
            s->first = c->next;
            free(c);
        }
    }
    if (l->prev != NULL) {
        l->prev->next = l->next;
    } else {
        l->pair->links = l->next;
    }
    if (l->next != NULL) {
        l->next->prev = l->prev;
    }
    l->pair->open--;
    l->dead = true;
    l->next_dead = px->dead;
    px->dead = l;
}

void links_reap(struct proxy *px)
{
    while (px->dead != NULL) {
        struct link *l = px->dead;
        px->dead = l->next_dead;
        free(l);
    }
}

static void side_init(struct side *s, struct link *l, struct side *peer, int fd)
{
    int one = 1;

    s->w.kind = WATCH_END;
    s->w.fd = fd;
    s->link = l;
    s->peer = peer;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* What epoll should tell of s, by its queues and its pair's mode. */
static void side_interest(struct proxy *px, struct side *s)
{
    struct link *l = s->link;
    uint32_t want = 0;

    if (s->w.fd < 0 || s->gone) {
        return;
    }
    if (l->pair->mode.kind != MODE_BLACKHOLE || l->drain_us > 0) {
        if (!s->eof && s->queued < PROXY_QUEUE_MAX && l->connected) {
            want |= EPOLLIN;
        }
    }
    if (s->peer->blocked || (s == &l->server && !l->connected)) {
        want |= EPOLLOUT;
    }
    if (watch_set(px, &s->w, want) != 0) {
        link_close(px, l, true);
    }
}

static void link_interest(struct proxy *px, struct link *l)
{
    if (!l->dead) {
        side_interest(px, &l->client);
    }
    if (!l->dead) {
        side_interest(px, &l->server);
    }
}

/* The mode's effect on a connection that stands or was just taken. */
static void link_apply(struct proxy *px, struct link *l)
{
    switch (l->pair->mode.kind) {
    case MODE_RESET:
        link_close(px, l, true);
        break;
    case MODE_CLOSE:
        link_close(px, l, false);
        break;
    case MODE_HALFCLOSE:
        shutdown(l->client.w.fd, SHUT_WR);
        l->server.shut = true;
        break;
    case MODE_LIMIT_DATA:
        l->limit_left = l->pair->mode.n;
        break;
    default:
        break;
    }
}

void link_accept(struct proxy *px, struct pair *pair)
{
    int fd =
        accept4(pair->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        return;
    }

    struct link *l = calloc(1, sizeof(*l));
    int up = socket(pair->to.ss.ss_family,
                    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l == NULL || up < 0) {
        free(l);
        close(fd);
        if (up >= 0) {
            close(up);
        }
        return;
    }

    l->pair = pair;
    l->next = pair->links;
    if (l->next != NULL) {
        l->next->prev = l;
    }
    pair->links = l;
    pair->open++;
    pair->total++;
    side_init(&l->client, l, &l->server, fd);
    side_init(&l->server, l, &l->client, up);

    link_apply(px, l);
    if (l->dead) {
        return;
    }
    int rc = connect(up, (struct sockaddr *)&pair->to.ss, pair->to.len);
    if (rc != 0 && errno != EINPROGRESS) {
        link_close(px, l, true);
        return;
    }
    l->connected = rc == 0;
    link_interest(px, l);
}

static void link_refused_or_connected(struct proxy *px, struct link *l,
                                      uint32_t events)
{
    if (events & (EPOLLERR | EPOLLHUP)) {
        link_close(px, l, true);
        return;
    }
    l->connected = true;
    link_interest(px, l);
}

/* Follows Kafka's framing: true when a request of this kind began in p. */
static bool link_match_kafka(struct link *l, const unsigned char *p, size_t n,
                             int api)
{
    bool found = false;

    while (n > 0) {
        if (l->frame_left > 0) {
            size_t skip = n < l->frame_left ? n : (size_t)l->frame_left;
            l->frame_left -= skip;
            p += skip;
            n -= skip;
            continue;
        }
        l->frame[l->frame_head++] = *p++;
        n--;
        if (l->frame_head == sizeof(l->frame)) {
            uint32_t len = (uint32_t)l->frame[0] << 24 |
                           (uint32_t)l->frame[1] << 16 |
                           (uint32_t)l->frame[2] << 8 | l->frame[3];
            l->frame_left = len > 2 ? len - 2 : 0;
            l->frame_head = 0;
            found |= (l->frame[4] << 8 | l->frame[5]) == api;
        }
    }
    return found;
}

static bool link_match_text(struct link *l, const unsigned char *p, size_t n,
                            const struct mode *m)
{
    unsigned char seam[2 * PROXY_MATCH_MAX];
    size_t keep = m->match_len - 1;
    size_t head = n < keep ? n : keep;

    memcpy(seam, l->tail, l->tail_len);
    memcpy(seam + l->tail_len, p, head);
    bool found = memmem(seam, l->tail_len + head, m->match, m->match_len) ||
                 memmem(p, n, m->match, m->match_len);

    if (n >= keep) {
        memcpy(l->tail, p + n - keep, keep);
        l->tail_len = keep;
    } else {
        size_t all = l->tail_len + head;
        size_t drop = all > keep ? all - keep : 0;
        memcpy(l->tail, seam + drop, all - drop);
        l->tail_len = all - drop;
    }
    return found;
}

/* Looks at what the client asks; l->armed when its answer is to be lost. */
static void link_inspect(struct link *l, const unsigned char *p, size_t n)
{
    struct mode *m = &l->pair->mode;
    bool kafka = link_match_kafka(l, p, n, m->kafka_api);
    bool found;

    if (m->kind != MODE_DROP_REPLY || l->armed || m->count == 0) {
        return;
    }
    if (m->match_kafka) {
        found = kafka;
    } else if (m->match_len > 0) {
        found = link_match_text(l, p, n, m);
    } else {
        found = n > 0;
    }
    if (!found) {
        return;
    }
    l->armed = true;
    if (m->count > 0) {
        m->count--;
    }
}

/* 1: bytes were queued, 0: none now, -1: the socket has failed. */
static int side_read(struct side *s, uint64_t now)
{
    struct link *l = s->link;
    struct chunk *c = malloc(sizeof(*c) + PROXY_CHUNK);

    if (c == NULL) {
        return -1;
    }
    ssize_t n = recv(s->w.fd, c->data, PROXY_CHUNK, 0);
    if (n <= 0) {
        free(c);
        if (n < 0) {
            return errno == EAGAIN || errno == EINTR ? 0 : -1;
        }
        s->eof = true;
        return 0;
    }

    c->next = NULL;
    c->at = 0;
    c->len = (size_t)n;
    c->due_us = now;
    if (l->pair->mode.kind == MODE_LATENCY) {
        c->due_us += l->pair->mode.n * 1000;
    }
    if (s == &l->client) {
        link_inspect(l, c->data, c->len);
    }
    if (s->first == NULL) {
        s->first = c;
    } else {
        s->last->next = c;
    }
    s->last = c;
    s->queued += c->len;
    return 1;
}

static void side_discard(struct side *s)
{
    while (s->first != NULL) {
        struct chunk *c = s->first;
        s->first = c->next;
        free(c);
    }
    s->last = NULL;
    s->queued = 0;
}

/* The answer has begun: lose it, but let the server finish its work. */
static void link_drop(struct proxy *px, struct link *l, uint64_t now)
{
    while (side_read(&l->client, now) == 1) {
        link_pump(px, &l->client, now);
        if (l->dead) {
            return;
        }
    }
    link_pump(px, &l->client, now);
    if (l->dead) {
        return;
    }
    l->pair->dropped++;
    side_discard(&l->server);
    close(l->client.w.fd);
    l->client.w.fd = -1;
    l->client.eof = true;
    l->drain_us = now;
    l->quiet_us = now;
}

static void link_drain(struct proxy *px, struct link *l, uint64_t now)
{
    for (;;) {
        int rc = side_read(&l->server, now);
        if (rc < 0 || l->server.eof) {
            link_close(px, l, false);
            return;
        }
        if (rc == 0) {
            return;
        }
        side_discard(&l->server);
        l->quiet_us = now;
    }
}

/* How much of n bytes read at s the mode lets through now. */
static size_t link_allow(struct side *s, size_t n)
{
    const struct mode *m = &s->link->pair->mode;

    if (m->kind == MODE_SLICER && n > m->n) {
        return (size_t)m->n;
    }
    if (m->kind == MODE_BANDWIDTH) {
        size_t piece = (size_t)(m->n / 100); /* 10 ms worth */
        piece = piece > 0 ? piece : 1;
        return n < piece ? n : piece;
    }
    if (m->kind == MODE_LIMIT_DATA && s == &s->link->server &&
        n > s->link->limit_left) {
        return (size_t)s->link->limit_left;
    }
    return n;
}

static void link_written(struct side *s, size_t n, uint64_t now)
{
    struct link *l = s->link;
    const struct mode *m = &l->pair->mode;

    if (s == &l->client) {
        l->pair->bytes_up += n;
    } else {
        l->pair->bytes_down += n;
        l->limit_left -= m->kind == MODE_LIMIT_DATA ? n : 0;
    }
    if (m->kind == MODE_SLICER) {
        s->next_us = now + m->gap_us;
    } else if (m->kind == MODE_BANDWIDTH) {
        uint64_t base = s->next_us > now ? s->next_us : now;
        s->next_us = base + n * 1000000 / m->n;
    }

    struct chunk *c = s->first;
    c->at += n;
    s->queued -= n;
    if (c->at == c->len) {
        s->first = c->next;
        free(c);
    }
}

/* Writes what was read at s to its peer, as far as mode and socket allow. */
static void link_pump(struct proxy *px, struct side *s, uint64_t now)
{
    struct link *l = s->link;
    const struct mode *m = &l->pair->mode;

    s->blocked = false;
    while (s->first != NULL && s->first->due_us <= now && s->next_us <= now &&
           m->kind != MODE_BLACKHOLE) {
        struct chunk *c = s->first;

        if (s->shut) { /* half closed: the rest goes nowhere */
            side_discard(s);
            break;
        }
        size_t n = link_allow(s, c->len - c->at);
        ssize_t w =
            n > 0 ? send(s->peer->w.fd, c->data + c->at, n, MSG_NOSIGNAL) : 0;
        if (w < 0 && errno == EAGAIN) {
            s->blocked = true;
            return;
        }
        if (w < 0) {
            link_close(px, l, true);
            return;
        }
        if (w > 0) {
            link_written(s, (size_t)w, now);
        }
        if (m->kind == MODE_LIMIT_DATA && l->limit_left == 0) {
            link_close(px, l, false);
            return;
        }
    }

    if (l->drain_us > 0) {
        return;
    }
    if (s->gone && s->first == NULL) {
        link_close(px, l, false);
        return;
    }
    if (s->eof && s->first == NULL && !s->shut) {
        shutdown(s->peer->w.fd, SHUT_WR);
        s->shut = true;
    }
    if (l->client.eof && l->server.eof && l->client.first == NULL &&
        l->server.first == NULL) {
        link_close(px, l, false);
    }
}

static void link_read(struct proxy *px, struct side *s, uint64_t now)
{
    struct link *l = s->link;

    if (l->drain_us > 0) {
        link_drain(px, l, now);
        return;
    }
    for (int turn = 0; turn < 8 && s->queued < PROXY_QUEUE_MAX; turn++) {
        int rc = side_read(s, now);
        if (rc < 0) {
            link_close(px, l, true);
            return;
        }
        if (rc == 0) {
            break;
        }
        if (s == &l->server && l->armed) {
            link_drop(px, l, now);
            return;
        }
    }
    link_pump(px, s, now);
}

void link_event(struct proxy *px, struct watch *w, uint32_t events)
{
    struct side *s = (struct side *)w;
    struct link *l = s->link;
    uint64_t now = proxy_now_us();

    if (l->dead || s->w.fd < 0) {
        return;
    }
    if (!l->connected) {
        if (s == &l->server) {
            link_refused_or_connected(px, l, events);
        } else if (events & (EPOLLERR | EPOLLHUP)) {
            link_close(px, l, true);
        }
        return;
    }
    if ((events & EPOLLHUP) && s->eof && s->first != NULL) {
        s->gone = true;
        epoll_ctl(px->epfd, EPOLL_CTL_DEL, s->w.fd, NULL);
        return;
    }
    if ((events & EPOLLERR) ||
        ((events & EPOLLHUP) && !(s->w.interest & EPOLLIN))) {
        link_close(px, l, true);
        return;
    }
    if (events & EPOLLOUT) {
        link_pump(px, s->peer, now);
    }
    if (!l->dead && (events & (EPOLLIN | EPOLLHUP))) {
        link_read(px, s, now);
    }
    link_interest(px, l);
}

void link_mode_set(struct proxy *px, struct pair *pair)
{
    struct link *next;
    uint64_t now = proxy_now_us();

    for (struct link *l = pair->links; l != NULL; l = next) {
        next = l->next;
        struct side *sides[] = {&l->client, &l->server};
        for (int i = 0; i < 2; i++) {
            for (struct chunk *c = sides[i]->first; c; c = c->next) {
                c->due_us = now;
            }
            sides[i]->next_us = 0;
        }
        l->armed = false;
        l->tail_len = 0;
        if (l->drain_us > 0) {
            continue;
        }
        link_apply(px, l);
        link_interest(px, l);
    }
}

static uint64_t link_tick(struct proxy *px, struct link *l, uint64_t now)
{
    struct side *sides[] = {&l->client, &l->server};
    uint64_t next = UINT64_MAX;

    if (l->drain_us > 0) {
        uint64_t end = l->quiet_us + LINK_DRAIN_QUIET_US;
        if (end > l->drain_us + LINK_DRAIN_MAX_US) {
            end = l->drain_us + LINK_DRAIN_MAX_US;
        }
        if (end > now) {
            return end;
        }
        link_close(px, l, false);
        return UINT64_MAX;
    }
    if (!l->connected || l->pair->mode.kind == MODE_BLACKHOLE) {
        return UINT64_MAX;
    }

    for (int i = 0; i < 2 && !l->dead; i++) {
        struct side *s = sides[i];
        if (s->first == NULL || s->blocked) {
            continue;
        }
        link_pump(px, s, now);
        if (!l->dead && s->first != NULL && !s->blocked) {
            uint64_t at =
                s->first->due_us > s->next_us ? s->first->due_us : s->next_us;
            next = at < next ? at : next;
        }
    }
    link_interest(px, l);
    return next;
}

uint64_t links_tick(struct proxy *px)
{
    uint64_t now = proxy_now_us();
    uint64_t next = UINT64_MAX;
    struct link *after;

    for (unsigned i = 0; i < px->npairs; i++) {
        for (struct link *l = px->pairs[i].links; l != NULL; l = after) {
            after = l->next;
            uint64_t at = link_tick(px, l, now);
            next = at < next ? at : next;
        }
    }
    return next;
}
