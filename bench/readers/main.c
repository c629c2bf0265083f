/*
 * readers: a crowd that watches a sale. Thousands of clients of one event
 * stream in one thread; each reads as EventSource does: it keeps the id of
 * its last event, and when its stream ends it comes back after the time that
 * the stream's last `retry` told, with Last-Event-ID.
 *
 *   readers --url http://127.0.0.1:8080 --path /api/v1/sales/s/stock/stream
 *           --readers 10000 --duration 30s [--json]
 *
 * A *change* is an event `stock` that every reader was sent while none was
 * away; its spread is the time from the first reader's event to the last's.
 * What is told: spreads, silences, how long readers were away after their
 * stream had ended, and how many do not know the newest at the end.
 *
 * Events are found line by line: nginx puts a whole event into a chunk, so
 * chunk sizes stand on lines of their own.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ID_MAX 64
#define LINE_MAX_KEPT 96
#define CHANGES_MAX 100000
#define CONNECTING_MAX 512
#define APART_MAX 10000
#define MS 1000000ULL

enum state { AWAY, CONNECTING, OPEN };

struct reader {
    int fd;
    enum state state;
    bool answered; /* this connection brought a status */
    bool stock;    /* the event being read is `stock` */
    unsigned opened, line_len;
    uint64_t due, ended, heard, news; /* ns; 0: never */
    unsigned retry_ms;
    char id[ID_MAX], line[LINE_MAX_KEPT];
};

struct change {
    char id[ID_MAX];
    uint64_t first, last;
    unsigned count;
    bool disturbed; /* somebody was away */
};

static struct {
    struct sockaddr_in addr;
    const char *host, *path;
    unsigned readers;
    uint64_t duration;
    bool json;
} o = {.readers = 1000, .duration = 10000 * MS};

static struct reader *readers;
static struct change *changes;
static unsigned nchanges, nopen, nconnecting, away_count, refused;
static uint64_t *away, events, bytes, silence, first_end, last_back;
static unsigned long reconnects, refusals[600];
static uint64_t apart[APART_MAX + 1]; /* events `stock` of a reader, by ms */
static bool crowd;                    /* all were there once */
static int ep;
static volatile sig_atomic_t stop;

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

static void on_signal(int signo)
{
    (void)signo;
    stop = 1;
}

/* --- the command line --- */

static int usage(void)
{
    fputs("usage: readers --url http://ADDRESS:PORT --path PATH\n"
          "               [--readers 1000] [--duration 10s] [--json]\n",
          stderr);
    return 2;
}

static bool url_parse(const char *url)
{
    static char host[128];
    char *colon;
    long port;

    if (strncmp(url, "http://", 7) != 0 || strlen(url + 7) >= sizeof(host))
        return false;
    snprintf(host, sizeof(host), "%s", url + 7);
    o.host = host;
    colon = strrchr(host, ':');
    if (colon == NULL)
        return false;
    port = strtol(colon + 1, NULL, 10);
    *colon = '\0';
    o.addr.sin_family = AF_INET;
    o.addr.sin_port = htons((uint16_t)port);
    return port > 0 && port < 65536 &&
           inet_pton(AF_INET, host, &o.addr.sin_addr) == 1;
}

static bool options_parse(int argc, char **argv)
{
    bool url = false;

    for (int i = 1; i < argc; i++) {
        const char *name = argv[i], *value = argv[i + 1];

        if (strcmp(name, "--json") == 0) {
            o.json = true;
            continue;
        }
        if (value == NULL)
            return false;
        i++;
        if (strcmp(name, "--url") == 0)
            url = url_parse(value);
        else if (strcmp(name, "--path") == 0)
            o.path = value;
        else if (strcmp(name, "--readers") == 0)
            o.readers = (unsigned)strtoul(value, NULL, 10);
        else if (strcmp(name, "--duration") == 0)
            o.duration = strtoull(value, NULL, 10) * 1000 * MS;
        else
            return false;
    }
    return url && o.path != NULL && o.readers > 0 && o.duration > 0;
}

/* --- connections --- */

static void reader_away(struct reader *r, uint64_t now)
{
    if (r->fd >= 0)
        close(r->fd);
    r->fd = -1;
    if (r->state == CONNECTING)
        nconnecting--;
    if (r->state == OPEN) {
        nopen--;
        r->ended = now;
        if (crowd && first_end == 0)
            first_end = now;
    }
    r->state = AWAY;
    r->due = now + r->retry_ms * MS;
}

static void reader_connect(struct reader *r, uint64_t now)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET,
                             .data.ptr = r};

    r->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (r->fd < 0) {
        perror("readers: socket");
        exit(1);
    }
    r->state = CONNECTING;
    r->answered = false;
    r->line_len = 0;
    nconnecting++;
    if ((connect(r->fd, (struct sockaddr *)&o.addr, sizeof(o.addr)) != 0 &&
         errno != EINPROGRESS) ||
        epoll_ctl(ep, EPOLL_CTL_ADD, r->fd, &ev) != 0)
        reader_away(r, now);
}

static void reader_ask(struct reader *r, uint64_t now)
{
    char head[512], last[ID_MAX + 32] = "";
    int n;

    if (r->id[0] != '\0')
        snprintf(last, sizeof(last), "Last-Event-ID: %s\r\n", r->id);
    n = snprintf(head, sizeof(head),
                 "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: "
                 "text/event-stream\r\n%s\r\n",
                 o.path, o.host, last);
    nconnecting--;
    nopen++;
    r->state = OPEN;
    if (n >= (int)sizeof(head) || write(r->fd, head, (size_t)n) != n)
        reader_away(r, now);
}

/* --- what is read --- */

static void change_seen(struct reader *r, uint64_t now)
{
    struct change *c = NULL;
    const char *id = r->id;
    uint64_t ms = (now - r->news) / MS;

    if (r->news != 0)
        apart[ms < APART_MAX ? ms : APART_MAX]++;
    r->news = now;

    for (unsigned i = nchanges; i > 0 && i + 64 > nchanges; i--) {
        if (strcmp(changes[i - 1].id, id) == 0) {
            c = &changes[i - 1];
            break;
        }
    }
    if (c == NULL) {
        if (nchanges == CHANGES_MAX)
            return;
        c = &changes[nchanges++];
        snprintf(c->id, sizeof(c->id), "%s", id);
        c->first = now;
    }
    c->last = now;
    c->count++;
    if (nopen < o.readers)
        c->disturbed = true;
}

static void reader_back(struct reader *r, uint64_t now)
{
    if (r->ended == 0 || !crowd)
        return;
    if (away_count < o.readers * 8)
        away[away_count++] = now - r->ended;
    reconnects++;
    last_back = now;
    r->ended = 0;
}

/* False: the answer is no stream. */
static bool reader_line(struct reader *r, uint64_t now)
{
    if (!r->answered) {
        int status = 0;

        r->answered = true;
        if (sscanf(r->line, "HTTP/1.1 %d", &status) == 1 && status != 200) {
            refused++;
            if (status > 0 && status < 600)
                refusals[status]++;
            return false;
        }
        r->opened++;
        reader_back(r, now);
    } else if (strncmp(r->line, "event: ", 7) == 0) {
        r->stock = strcmp(r->line + 7, "stock") == 0;
        events++;
    } else if (strncmp(r->line, "retry: ", 7) == 0) {
        r->retry_ms = (unsigned)strtoul(r->line + 7, NULL, 10);
    } else if (strncmp(r->line, "id: ", 4) == 0) {
        snprintf(r->id, sizeof(r->id), "%.*s", ID_MAX - 1, r->line + 4);
        if (r->stock && crowd)
            change_seen(r, now);
    }
    return true;
}

static bool reader_take(struct reader *r, const char *p, size_t n, uint64_t now)
{
    for (; n > 0; p++, n--) {
        if (*p != '\n') {
            if (r->line_len < LINE_MAX_KEPT - 1)
                r->line[r->line_len++] = *p;
            continue;
        }
        if (r->line_len > 0 && r->line[r->line_len - 1] == '\r')
            r->line_len--;
        r->line[r->line_len] = '\0';
        r->line_len = 0;
        if (!reader_line(r, now))
            return false;
    }
    return true;
}

static void reader_read(struct reader *r)
{
    static char buf[65536];

    for (;;) {
        ssize_t n = read(r->fd, buf, sizeof(buf));
        uint64_t now = now_ns();

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            reader_away(r, now);
            return;
        }
        bytes += (uint64_t)n;
        if (crowd && r->heard != 0 && now - r->heard > silence)
            silence = now - r->heard;
        r->heard = now;
        if (!reader_take(r, buf, (size_t)n, now)) {
            r->retry_ms = 1000;
            reader_away(r, now);
            return;
        }
    }
}

static void reader_event(struct reader *r, uint32_t what)
{
    if (r->state == CONNECTING && (what & (EPOLLOUT | EPOLLERR | EPOLLHUP))) {
        int error = 0;
        socklen_t len = sizeof(error);

        getsockopt(r->fd, SOL_SOCKET, SO_ERROR, &error, &len);
        if (error != 0) {
            reader_away(r, now_ns());
            return;
        }
        reader_ask(r, now_ns());
    }
    if (r->state == OPEN && (what & (EPOLLIN | EPOLLHUP | EPOLLRDHUP)))
        reader_read(r);
}

/* --- the run --- */

static void connect_due(uint64_t now)
{
    for (unsigned i = 0; i < o.readers && nconnecting < CONNECTING_MAX; i++) {
        if (readers[i].state == AWAY && readers[i].due <= now)
            reader_connect(&readers[i], now);
    }
}

static bool all_heard(void)
{
    for (unsigned i = 0; i < o.readers; i++) {
        if (readers[i].id[0] == '\0')
            return false;
    }
    return true;
}

static void run(void)
{
    static struct epoll_event ev[1024];
    uint64_t end = 0, begun = now_ns(), looked = 0;

    while (!stop) {
        uint64_t now = now_ns();
        int n;

        if (!crowd && nopen == o.readers && all_heard()) {
            crowd = true;
            end = now + o.duration;
            fprintf(stderr, "readers: %u are there after %.1f s\n", o.readers,
                    (double)(now - begun) / 1e9);
        }
        if ((crowd && now >= end) || (!crowd && now - begun > 60000 * MS))
            return;
        if (now - looked > 5 * MS) {
            looked = now;
            if (nopen + nconnecting < o.readers)
                connect_due(now);
        }
        n = epoll_wait(ep, ev, 1024, 5);
        for (int i = 0; i < n; i++)
            reader_event(ev[i].data.ptr, ev[i].events);
    }
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static double at(const uint64_t *sorted, unsigned n, double part)
{
    return n == 0 ? 0 : (double)sorted[(unsigned)((n - 1) * part)] / 1e6;
}

static unsigned apart_at(double part)
{
    uint64_t sum = 0, n = 0;

    for (unsigned i = 0; i <= APART_MAX; i++)
        sum += apart[i];
    for (unsigned i = 0; i <= APART_MAX; i++) {
        n += apart[i];
        if (n > 0 && (double)n >= (double)sum * part)
            return i;
    }
    return 0;
}

static int tell(void)
{
    uint64_t *spread = calloc(nchanges + 1, sizeof(*spread));
    unsigned n = 0, behind = 0, partial = 0;

    if (spread == NULL)
        return 1;
    for (unsigned i = 0; i < nchanges; i++) {
        if (changes[i].disturbed)
            continue;
        if (changes[i].count == o.readers)
            spread[n++] = changes[i].last - changes[i].first;
        else
            partial++;
    }
    for (unsigned i = 0; i < o.readers; i++) {
        if (strcmp(readers[i].id, readers[0].id) != 0 ||
            readers[i].state != OPEN)
            behind++;
    }
    qsort(spread, n, sizeof(*spread), by_value);
    qsort(away, away_count, sizeof(*away), by_value);
    printf(o.json
               ? "{\"readers\":%u,\"complete\":%s,\"changes\":%u,"
                 "\"changes_some_skipped\":%u,\"spread_ms\":{\"p50\":%.1f,"
                 "\"p99\":%.1f,\"max\":%.1f},\"apart_ms\":{\"p50\":%u,"
                 "\"p99\":%u},\"events\":%llu,\"bytes\":%llu,"
                 "\"longest_silence_ms\":%.0f,\"reconnects\":%lu,"
                 "\"away_ms\":{\"p50\":%.0f,\"p99\":%.0f,\"max\":%.0f},"
                 "\"all_back_ms\":%.0f,\"refused\":%u,\"behind\":%u}\n"
               : "readers %u (complete: %s), changes seen by all %u, by some "
                 "%u\nspread ms p50 %.1f p99 %.1f max %.1f\nevents of a "
                 "reader apart ms p50 %u p99 %u\nevents %llu, "
                 "bytes %llu, longest silence %.0f ms\nreconnects %lu, away "
                 "ms p50 %.0f p99 %.0f max %.0f, all back after %.0f ms\n"
                 "refused %u, behind at the end %u\n",
           o.readers, crowd ? "true" : "false", n, partial, at(spread, n, 0.5),
           at(spread, n, 0.99), at(spread, n, 1), apart_at(0.5), apart_at(0.99),
           (unsigned long long)events, (unsigned long long)bytes,
           (double)silence / 1e6, reconnects, at(away, away_count, 0.5),
           at(away, away_count, 0.99), at(away, away_count, 1),
           first_end && last_back > first_end
               ? (double)(last_back - first_end) / 1e6
               : 0,
           refused, behind);
    for (int i = 0; i < 600; i++) {
        if (refusals[i] > 0)
            fprintf(stderr, "readers: %lu were told %d\n", refusals[i], i);
    }
    free(spread);
    return crowd && behind == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct sigaction sa = {.sa_handler = on_signal};
    struct rlimit files;
    int status;

    if (!options_parse(argc, argv))
        return usage();
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);

    readers = calloc(o.readers, sizeof(*readers));
    changes = calloc(CHANGES_MAX, sizeof(*changes));
    away = calloc((size_t)o.readers * 8, sizeof(*away));
    ep = epoll_create1(EPOLL_CLOEXEC);
    if (readers == NULL || changes == NULL || away == NULL || ep < 0) {
        fputs("readers: out of memory\n", stderr);
        return 1;
    }
    for (unsigned i = 0; i < o.readers; i++) {
        readers[i].fd = -1;
        readers[i].retry_ms = 1000;
    }
    run();
    status = tell();
    free(readers);
    free(changes);
    free(away);
    return status;
}
