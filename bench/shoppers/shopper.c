/*
 * The shoppers: who begins when, what an answer means to a real client, and
 * when it tries again.
 *
 * A purchase is final on any answer that is not a "come again" (429, 502, 503,
 * 504, no answer, or a code named by --retry-code). Until then it is tried
 * again with the same key, at the next gateway, after Retry-After (or a backoff
 * of 100 ms doubled up to 5 s) with up to a quarter (half) of jitter, and is
 * given up after --give-up. After the final answer it may send the same key
 * again and must be told the same order, or buy once more with a new key.
 *
 * In the steady mode a purchase is due at its place in the schedule whether or
 * not the servers keep up; latency counts from then, so that a stalled server
 * is not excused by the requests it kept from being sent.
 */
#include "shopper.h"

#include "gateway.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>

#define SHOPPER_BATCH 256
#define SHOPPER_BACKOFF_NS 100000000ULL
#define SHOPPER_BACKOFF_MAX_NS 5000000000ULL
#define SHOPPER_LOG_FLUSH_NS 50000000ULL
#define SHOPPER_RESERVED_FDS 32

struct shopping {
    const struct options *o;
    const struct tokens *tokens;
    struct clientlog *log;
    struct tally *tally;
    struct gateways *gateways;
    struct purchase *free;
    struct purchase **heap; /* by wake_ns */
    uint64_t heap_len;
    uint64_t heap_room;
    uint64_t active;
    uint64_t started;
    uint64_t total;
    uint64_t serial;
    uint64_t next_due; /* steady */
    uint64_t stop_at;
    uint64_t hold_until; /* closed: a gateway refuses connections */
    uint64_t random;
    uint64_t weights;
    uint16_t *units; /* accepted, of each shopper */
    char prefix[32];
    size_t head_len;
    char head[20480]; /* request line and headers common to all */
    char request[SHOPPER_REQUEST_MAX];
};

static uint64_t shopping_random(struct shopping *s)
{
    uint64_t z = (s->random += 0x9e3779b97f4a7c15ULL);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

static double shopping_share(struct shopping *s)
{
    return (double)(shopping_random(s) >> 11) / 9007199254740992.0;
}

/* The part of a request that is the same for every shopper, without Host. */
static void shopping_head(struct shopping *s)
{
    const struct options *o = s->o;
    size_t n = 0;

    for (unsigned i = 0; i < o->nheaders; i++) {
        n += (size_t)snprintf(s->head + n, sizeof(s->head) - n, "%s\r\n",
                              o->headers[i]);
    }
    if (o->raw_path == NULL || o->raw_body != NULL) {
        n += (size_t)snprintf(s->head + n, sizeof(s->head) - n,
                              "Content-Type: application/json\r\n");
    }
    s->head_len = n;
}

struct shopping *shopping_new(const struct options *o, const struct tokens *t,
                              struct clientlog *log, struct tally *tally)
{
    struct shopping *s = calloc(1, sizeof(*s));

    if (s == NULL) {
        return NULL;
    }
    s->o = o;
    s->tokens = t;
    s->log = log;
    s->tally = tally;
    s->random = o->seed;
    if (o->seed == 0 &&
        getrandom(&s->random, sizeof(s->random), 0) != sizeof(s->random)) {
        s->random = (uint64_t)time(NULL);
    }
    if (o->key_prefix != NULL) {
        snprintf(s->prefix, sizeof(s->prefix), "%s", o->key_prefix);
    } else {
        snprintf(s->prefix, sizeof(s->prefix), "s%08" PRIx32,
                 (uint32_t)shopping_random(s));
    }
    for (unsigned i = 0; i < o->nvariants; i++) {
        s->weights += o->variants[i].weight;
    }
    s->units = calloc(o->shoppers, sizeof(*s->units));
    if (s->units == NULL) {
        free(s);
        return NULL;
    }
    shopping_head(s);
    return s;
}

void shopping_free(struct shopping *s)
{
    if (s == NULL) {
        return;
    }
    while (s->free != NULL) {
        struct purchase *p = s->free;
        s->free = p->next;
        free(p);
    }
    gateways_free(s->gateways);
    free(s->heap);
    free(s->units);
    free(s);
}

static size_t put(char *out, const char *text, size_t len)
{
    memcpy(out, text, len);
    return len;
}

/* The body of a plain request, `{n}` in it replaced by the serial. */
static size_t plain_body(const struct options *o, uint64_t serial, char *out,
                         size_t size)
{
    const char *at = strstr(o->raw_body, "{n}");
    int n;

    if (at == NULL) {
        n = snprintf(out, size, "%s", o->raw_body);
    } else {
        n = snprintf(out, size, "%.*s%" PRIu64 "%s", (int)(at - o->raw_body),
                     o->raw_body, serial, at + 3);
    }
    return n < 0 || (size_t)n >= size ? 0 : (size_t)n;
}

const char *shopping_request(struct shopping *s, struct purchase *p,
                             size_t *len)
{
    const struct options *o = s->o;
    const char *host = o->urls[p->gateway].host;
    char *r = s->request;
    char body[4096 + 24];
    size_t n;
    size_t token_len = 0;
    const char *token = tokens_get(s->tokens, p->shopper, &token_len);
    const char *content = o->raw_body != NULL ? body : NULL;
    size_t content_len =
        content ? plain_body(o, p->serial, body, sizeof(body)) : 0;

    if (o->raw_path != NULL) {
        n = (size_t)snprintf(r, 8192, "%s %s HTTP/1.1\r\nHost: %s\r\n",
                             o->raw_method, o->raw_path, host);
    } else {
        n = (size_t)snprintf(
            r, 8192,
            "POST /api/v1/sales/%s/orders HTTP/1.1\r\nHost: %s\r\n"
            "Idempotency-Key: %s-%" PRIu64 "\r\n",
            o->sale, host, s->prefix, p->serial);
        content = body;
        content_len = (size_t)snprintf(body, sizeof(body),
                                       "{\"variant\":\"%s\",\"quantity\":%u}",
                                       o->variants[p->variant].id, o->quantity);
    }
    n += put(r + n, s->head, s->head_len);
    if (token != NULL) {
        n += put(r + n, "Authorization: Bearer ", 22);
        n += put(r + n, token, token_len);
        n += put(r + n, "\r\n", 2);
    }
    if (content != NULL || (o->raw_method && o->raw_method[0] == 'P')) {
        n +=
            (size_t)snprintf(r + n, 48, "Content-Length: %zu\r\n", content_len);
    }
    n += put(r + n, "\r\n", 2);
    if (content != NULL) {
        n += put(r + n, content, content_len);
    }

    *len = n;
    return r;
}

static void heap_push(struct shopping *s, struct purchase *p)
{
    uint64_t i = s->heap_len++;

    while (i > 0 && s->heap[(i - 1) / 2]->wake_ns > p->wake_ns) {
        s->heap[i] = s->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    s->heap[i] = p;
}

static struct purchase *heap_pop(struct shopping *s)
{
    struct purchase *top = s->heap[0];
    struct purchase *p = s->heap[--s->heap_len];
    uint64_t i = 0;

    for (;;) {
        uint64_t child = 2 * i + 1;
        if (child >= s->heap_len) {
            break;
        }
        if (child + 1 < s->heap_len &&
            s->heap[child + 1]->wake_ns < s->heap[child]->wake_ns) {
            child++;
        }
        if (p->wake_ns <= s->heap[child]->wake_ns) {
            break;
        }
        s->heap[i] = s->heap[child];
        i = child;
    }
    s->heap[i] = p;
    return top;
}

/* A new key for p, due at `due`. */
static void purchase_key(struct shopping *s, struct purchase *p, uint64_t due)
{
    p->serial = ++s->serial;
    p->due_ns = due;
    p->first_due_ns = due;
    p->attempt = 0;
    p->accepted = false;
    p->order_id[0] = '\0';
    p->gateway = (unsigned)(p->serial % s->o->nurls);
    p->variant = (unsigned)(p->serial % s->o->nvariants);
    if (s->o->weighted && s->weights > 0) {
        uint64_t at = shopping_random(s) % s->weights;
        p->variant = 0;
        while (at >= s->o->variants[p->variant].weight) {
            at -= s->o->variants[p->variant++].weight;
        }
    }
}

/* Begins a purchase; false when there is no room for one more. */
static bool purchase_start(struct shopping *s, uint64_t due)
{
    struct purchase *p = s->free;

    if (s->active >= s->o->max_active) {
        return false;
    }
    if (s->active >= s->heap_room) {
        uint64_t room = s->heap_room ? s->heap_room * 2 : 1024;
        struct purchase **heap = realloc(s->heap, room * sizeof(*heap));
        if (heap == NULL) {
            return false;
        }
        s->heap = heap;
        s->heap_room = room;
    }
    if (p != NULL) {
        s->free = p->next;
    } else {
        p = calloc(1, sizeof(*p));
        if (p == NULL) {
            return false;
        }
    }

    p->shopper = s->started % s->o->shoppers;
    p->phase = PHASE_FIRST;
    s->started++;
    s->active++;
    s->tally->purchases++;
    purchase_key(s, p, due);
    gateways_submit(s->gateways, p);
    return true;
}

static void purchase_end(struct shopping *s, struct purchase *p)
{
    s->active--;
    p->next = s->free;
    s->free = p;
}

static void shopping_violation(struct shopping *s, const struct purchase *p,
                               const struct answer *a, const char *what)
{
    if (s->tally->violations++ < 10) {
        fprintf(stderr,
                "shoppers: broken: %s: key %s-%" PRIu64 " had order %s, now "
                "%d %s %s\n",
                what, s->prefix, p->serial, p->order_id, a->status, a->code,
                a->order_id);
    }
}

static bool answer_is_final(const struct shopping *s, const struct answer *a)
{
    if (!s->o->retry) {
        return true;
    }
    for (unsigned i = 0; i < s->o->nretry_codes; i++) {
        if (strcmp(s->o->retry_codes[i], a->code) == 0) {
            return false;
        }
    }
    return a->status != 0 && a->status != 429 &&
           (a->status < 502 || a->status > 504);
}

/* What was promised to this key must hold in every later answer. */
static void answer_check(struct shopping *s, struct purchase *p,
                         const struct answer *a)
{
    if (s->o->raw_path != NULL) {
        return;
    }

    if (a->status == 202) {
        if (p->accepted && strcmp(p->order_id, a->order_id) != 0) {
            shopping_violation(s, p, a, "another order for the same key");
        }
        if (!p->accepted) {
            p->accepted = true;
            memcpy(p->order_id, a->order_id, sizeof(p->order_id));
            s->units[p->shopper] =
                (uint16_t)(s->units[p->shopper] + s->o->quantity);
            if (s->o->limit > 0 && s->units[p->shopper] > s->o->limit) {
                shopping_violation(s, p, a, "more units than the limit");
            }
        }
        return;
    }

    if (p->accepted && (strcmp(a->code, "sold_out") == 0 ||
                        strcmp(a->code, "limit_reached") == 0)) {
        shopping_violation(s, p, a, "an accepted order is denied");
    }
}

static void answer_log(struct shopping *s, const struct purchase *p,
                       const struct answer *a, uint64_t latency_us)
{
    struct timespec ts;
    char user[TOKENS_USER_MAX];
    char key[SHOPPER_KEY_MAX];

    if (s->log == NULL) {
        return;
    }
    clock_gettime(CLOCK_REALTIME, &ts);
    tokens_user(s->tokens, p->shopper, user);
    snprintf(key, sizeof(key), "%s-%" PRIu64, s->prefix, p->serial);

    struct clientlog_line line = {
        .time_ms = (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000,
        .sent_ms = p->sent_ms,
        .user = user,
        .key = key,
        .status = a->status,
        .code = a->code,
        .order_id = a->order_id,
        .attempt = p->attempt,
        .url = s->o->urls[p->gateway].url,
        .latency_us = latency_us,
    };
    clientlog_add(s->log, &line);
}

static void purchase_retry(struct shopping *s, struct purchase *p,
                           const struct answer *a, uint64_t now)
{
    unsigned shift = p->attempt < 7 ? p->attempt - 1 : 6;
    uint64_t delay = SHOPPER_BACKOFF_NS << shift;
    double jitter = 0.5 * shopping_share(s);

    if (delay > SHOPPER_BACKOFF_MAX_NS) {
        delay = SHOPPER_BACKOFF_MAX_NS;
    }
    delay = (uint64_t)((double)delay * (0.75 + jitter));
    if (a->retry_after >= 0) {
        delay = (uint64_t)((double)a->retry_after * 1e9 * (1 + jitter / 2));
        delay += (uint64_t)(jitter * 1e7);
    }

    s->tally->retries++;
    p->gateway = (p->gateway + 1) % s->o->nurls;
    p->wake_ns = now + delay;
    if (s->o->retry_every_ns > 0) {
        uint64_t every = s->o->retry_every_ns;
        uint64_t knocks = (now - p->first_due_ns) / every + 1;
        p->wake_ns = p->first_due_ns + knocks * every;
    }
    p->due_ns = p->wake_ns;
    heap_push(s, p);
}

/* After the final answer of a key: again, once more, or done. */
static void purchase_next(struct shopping *s, struct purchase *p, uint64_t now)
{
    const struct options *o = s->o;

    if (p->phase == PHASE_FIRST && o->repeat_same > 0 &&
        shopping_share(s) < o->repeat_same) {
        s->tally->repeat_same++;
        p->phase = PHASE_SAME;
        p->due_ns = now;
        p->first_due_ns = now;
        p->gateway = (p->gateway + 1) % o->nurls;
        gateways_submit(s->gateways, p);
        return;
    }
    if (p->phase != PHASE_NEW && o->repeat_new > 0 &&
        shopping_share(s) < o->repeat_new) {
        s->tally->repeat_new++;
        p->phase = PHASE_NEW;
        purchase_key(s, p, now);
        gateways_submit(s->gateways, p);
        return;
    }
    purchase_end(s, p);
}

void shopping_answer(struct shopping *s, struct purchase *p,
                     const struct answer *a, uint64_t now)
{
    struct tally *t = s->tally;
    uint64_t latency_us = now > p->due_ns ? (now - p->due_ns) / 1000 : 0;

    p->attempt++;
    tally_answer(t, a->status, a->code);
    histogram_add(&t->latency, latency_us);
    if (a->status == 202) {
        histogram_add(&t->accepted, latency_us);
        t->last_202_ns = now;
        t->replays += a->replayed;
    }
    answer_log(s, p, a, latency_us);
    answer_check(s, p, a);
    t->end_ns = now;

    if (answer_is_final(s, a)) {
        tally_final(t, a->status, a->code);
    } else if (now - p->first_due_ns < s->o->give_up_ns) {
        purchase_retry(s, p, a, now);
        return;
    } else {
        tally_final(t, a->status, "gave_up");
    }

    if (a->status == 0) {
        s->hold_until = now + 10000000;
    }
    histogram_add(&t->final, (now - p->first_due_ns) / 1000);
    purchase_next(s, p, now);
}

/* Begins what is due. Returns when the next one will be. */
static uint64_t shopping_arrivals(struct shopping *s, uint64_t now)
{
    const struct options *o = s->o;

    if (now >= s->stop_at || s->started >= s->total) {
        return UINT64_MAX;
    }

    if (o->arrival == ARRIVAL_STEADY) {
        while (s->next_due <= now && s->started < s->total) {
            if (!purchase_start(s, s->next_due)) {
                s->tally->dropped++;
                s->started++;
            }
            s->next_due = s->tally->start_ns +
                          (uint64_t)((double)s->started / o->rate * 1e9);
        }
        return s->next_due;
    }

    if (o->arrival == ARRIVAL_INSTANT) {
        while (s->started < s->total && purchase_start(s, s->tally->start_ns)) {
        }
        return UINT64_MAX;
    }

    if (now < s->hold_until) {
        return s->hold_until;
    }
    while (s->active < o->connections && s->started < s->total &&
           purchase_start(s, now)) {
    }
    return UINT64_MAX;
}

static bool shopping_done(const struct shopping *s, uint64_t now)
{
    bool over = now >= s->stop_at || s->started >= s->total;

    return over &&
           (s->active == 0 || (s->o->raw_path != NULL && now >= s->stop_at));
}

static void shopping_loop(struct shopping *s, volatile const int *stop)
{
    uint64_t flush_at = 0;

    while (!*stop) {
        uint64_t now = gateways_now();
        if (shopping_done(s, now)) {
            break;
        }

        uint64_t until = shopping_arrivals(s, now);
        while (s->heap_len > 0 && s->heap[0]->wake_ns <= now) {
            gateways_submit(s->gateways, heap_pop(s));
        }
        if (s->heap_len > 0 && s->heap[0]->wake_ns < until) {
            until = s->heap[0]->wake_ns;
        }
        uint64_t more = gateways_dispatch(s->gateways, now, SHOPPER_BATCH);
        if (more < until) {
            until = more;
        }
        if (s->stop_at > now && s->stop_at < until) {
            until = s->stop_at;
        }
        if (now >= flush_at) {
            flush_at = now + SHOPPER_LOG_FLUSH_NS;
            if (s->log != NULL) {
                clientlog_flush(s->log);
            }
        }
        /* Bounded, so that a signal between test and wait is not lost. */
        gateways_wait(s->gateways, until < flush_at ? until : flush_at);
    }
}

/* How many connections the arrival asks for, within the limit of files. */
static uint64_t shopping_connections(const struct shopping *s)
{
    struct rlimit rl;
    uint64_t wanted = s->o->connections;

    if (wanted == 0) {
        wanted = s->o->arrival == ARRIVAL_INSTANT ? s->o->shoppers : 20000;
    }

    getrlimit(RLIMIT_NOFILE, &rl);
    rl.rlim_cur = rl.rlim_max;
    setrlimit(RLIMIT_NOFILE, &rl);
    getrlimit(RLIMIT_NOFILE, &rl);
    if (wanted + SHOPPER_RESERVED_FDS > rl.rlim_cur) {
        uint64_t can = rl.rlim_cur - SHOPPER_RESERVED_FDS;
        if (s->o->connections > 0 || s->o->arrival == ARRIVAL_INSTANT) {
            fprintf(stderr,
                    "shoppers: open files are limited to %" PRIu64 ": %" PRIu64
                    " connections serve the %" PRIu64 " wanted\n",
                    (uint64_t)rl.rlim_cur, can, wanted);
        }
        wanted = can;
    }
    return wanted;
}

/* Waits for --start-at with the connections open, as shoppers do. */
static void shopping_prepare(struct shopping *s, uint64_t n,
                             volatile const int *stop)
{
    struct timespec ts;
    uint64_t now = gateways_now();
    uint64_t start = now;
    uint64_t opened_by = now + s->o->timeout_ns;

    if (s->o->start_at_ms > 0) {
        clock_gettime(CLOCK_REALTIME, &ts);
        int64_t wait = s->o->start_at_ms -
                       ((int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000);
        start = wait > 0 ? now + (uint64_t)wait * 1000000 : now;
    }

    if (s->o->arrival != ARRIVAL_STEADY || s->o->connections > 0) {
        uint64_t want = n < s->total ? n : s->total;
        while (want > 0 && !*stop) {
            uint64_t some = want < SHOPPER_BATCH ? want : SHOPPER_BATCH;
            gateways_open(s->gateways, some);
            want -= some;
            while (gateways_connecting(s->gateways) > 0 && !*stop &&
                   gateways_now() < opened_by) {
                gateways_wait(s->gateways, gateways_now() + 10000000);
            }
        }
    }
    while (gateways_now() < start && !*stop) {
        uint64_t tick = gateways_now() + 100000000;
        gateways_wait(s->gateways, start < tick ? start : tick);
    }
}

int shopping_run(struct shopping *s, volatile const int *stop)
{
    const struct options *o = s->o;
    uint64_t n = shopping_connections(s);

    s->total = o->requests                     ? o->requests
               : o->arrival == ARRIVAL_INSTANT ? o->shoppers
               : o->duration_ns                ? UINT64_MAX
                                               : o->shoppers;
    s->gateways = gateways_new(o, s, s->tally, n);
    if (s->gateways == NULL) {
        return -1;
    }

    shopping_prepare(s, n, stop);
    s->tally->start_ns = gateways_now();
    s->tally->end_ns = s->tally->start_ns;
    s->next_due = s->tally->start_ns;
    s->stop_at =
        o->duration_ns ? s->tally->start_ns + o->duration_ns : UINT64_MAX;
    shopping_loop(s, stop);
    if (o->raw_path == NULL) {
        s->tally->unfinished = s->active;
    }
    return 0;
}
