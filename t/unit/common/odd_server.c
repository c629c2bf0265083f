/* One thread accepts, one more serves each connection; all end with stop. */
#include "odd_server.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "servers.h"

#define KINDS 8
#define REQUEST_BYTES 16384
#define CONNECTIONS_MOST 4096

struct odd_server {
    char path[100];
    int fd;
    atomic_int mode, connections;
    atomic_bool stop;
    pthread_t acceptor, thread[CONNECTIONS_MOST];
    int threads;
    pthread_mutex_t lock;
    struct {
        char method[12];
        int requests;
    } seen[KINDS];
    char head[REQUEST_BYTES];
};

struct connection {
    struct odd_server *s;
    int fd;
};

static void note(struct odd_server *s, const char *request)
{
    size_t len = strcspn(request, " ");

    pthread_mutex_lock(&s->lock);
    snprintf(s->head, sizeof(s->head), "%s", request);
    for (int i = 0; i < KINDS; i++) {
        if (s->seen[i].method[0] == '\0')
            snprintf(s->seen[i].method, sizeof(s->seen[i].method), "%.*s",
                     (int)len, request);
        if (strlen(s->seen[i].method) == len &&
            strncmp(s->seen[i].method, request, len) == 0) {
            s->seen[i].requests++;
            break;
        }
    }
    pthread_mutex_unlock(&s->lock);
}

/* True once there is something to read; false at the stop. */
static bool wait_for(struct odd_server *s, int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    while (!atomic_load(&s->stop)) {
        if (poll(&p, 1, 20) > 0)
            return true;
    }
    return false;
}

/* One request with its body, NUL-ended. Its body, or NULL. */
static char *request_read(struct odd_server *s, int fd, char *in)
{
    size_t n = 0;

    while (n < REQUEST_BYTES - 1 && wait_for(s, fd)) {
        ssize_t got = read(fd, in + n, REQUEST_BYTES - 1 - n);
        char *end, *length;

        if (got <= 0)
            return NULL;
        n += (size_t)got;
        in[n] = '\0';
        end = strstr(in, "\r\n\r\n");
        if (end == NULL)
            continue;
        length = strcasestr(in, "\r\nContent-Length:");
        if (length == NULL || length > end ||
            n - (size_t)(end + 4 - in) >= (size_t)atol(length + 17))
            return end + 4;
    }
    return NULL;
}

static void say(int fd, const char *text)
{
    if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
        return;
}

static void answer(int fd, const char *status, const char *body)
{
    char text[REQUEST_BYTES + 200];

    snprintf(text, sizeof(text),
             "HTTP/1.1 %s\r\nContent-Length: %zu\r\n"
             "Content-Type: application/json\r\n\r\n%s",
             status, strlen(body), body);
    say(fd, text);
}

static void endless(struct odd_server *s, int fd)
{
    char block[4096];

    say(fd, "HTTP/1.1 200 OK\r\n\r\n");
    memset(block, 'x', sizeof(block));
    while (!atomic_load(&s->stop) &&
           send(fd, block, sizeof(block), MSG_NOSIGNAL) > 0)
        ;
}

/* False: the connection is over. */
static bool serve(struct odd_server *s, int fd, const char *body, int number)
{
    switch ((enum odd_mode)atomic_load(&s->mode)) {
    case ODD_TIRED:
        if (number > 1)
            return false;
        /* fall through */
    case ODD_OK:
        answer(fd, "200 OK", body[0] != '\0' ? body : "ok");
        return true;
    case ODD_UNAVAILABLE:
        answer(fd, "503 Service Unavailable", "{}");
        return true;
    case ODD_ERROR:
        answer(fd, "500 Internal Server Error", "{}");
        return true;
    case ODD_STALL:
        while (!atomic_load(&s->stop)) {
            char byte;

            if (wait_for(s, fd) && read(fd, &byte, 1) <= 0)
                break;
        }
        return false;
    case ODD_TORN:
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n1234567890");
        return false;
    case ODD_GARBAGE:
        say(fd, "\x16\x03\x01 what?\r\n\r\n");
        return false;
    case ODD_ENDLESS:
        endless(s, fd);
        return false;
    default:
        return false;
    }
}

static void *connection_run(void *data)
{
    struct connection *c = data;
    char *in = malloc(REQUEST_BYTES);
    int number = 0;
    char *body;

    do {
        body = request_read(c->s, c->fd, in);
        if (body != NULL)
            note(c->s, in);
    } while (body != NULL && serve(c->s, c->fd, body, ++number));
    close(c->fd);
    free(in);
    free(c);
    return NULL;
}

static void *accept_run(void *data)
{
    struct odd_server *s = data;

    while (wait_for(s, s->fd)) {
        struct connection *c = malloc(sizeof(*c));

        *c = (struct connection){s, accept(s->fd, NULL, NULL)};
        if (c->fd < 0 || s->threads == CONNECTIONS_MOST)
            abort();
        atomic_fetch_add(&s->connections, 1);
        pthread_create(&s->thread[s->threads++], NULL, connection_run, c);
    }
    return NULL;
}

struct odd_server *odd_start(const char *role, int instance)
{
    struct odd_server *s = calloc(1, sizeof(*s));
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    snprintf(s->path, sizeof(s->path), "%s/%s_%d.sock", servers_dir(), role,
             instance);
    unlink(s->path);
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", s->path);
    pthread_mutex_init(&s->lock, NULL);
    s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(s->fd, (struct sockaddr *)&a, sizeof(a)) != 0 ||
        listen(s->fd, 128) != 0) {
        perror(s->path);
        abort();
    }
    pthread_create(&s->acceptor, NULL, accept_run, s);
    return s;
}

void odd_stop(struct odd_server *s)
{
    if (s == NULL)
        return;
    unlink(s->path);
    atomic_store(&s->stop, true);
    pthread_join(s->acceptor, NULL);
    for (int i = 0; i < s->threads; i++)
        pthread_join(s->thread[i], NULL);
    close(s->fd);
    free(s);
}

void odd_set(struct odd_server *s, enum odd_mode mode)
{
    atomic_store(&s->mode, mode);
}

int odd_requests(struct odd_server *s, const char *method)
{
    int n = 0;

    pthread_mutex_lock(&s->lock);
    for (int i = 0; i < KINDS; i++) {
        if (strcmp(s->seen[i].method, method) == 0)
            n = s->seen[i].requests;
    }
    pthread_mutex_unlock(&s->lock);
    return n;
}

int odd_connections(struct odd_server *s)
{
    return atomic_load(&s->connections);
}

void odd_reset(struct odd_server *s)
{
    pthread_mutex_lock(&s->lock);
    memset(s->seen, 0, sizeof(s->seen));
    s->head[0] = '\0';
    atomic_store(&s->connections, 0);
    pthread_mutex_unlock(&s->lock);
}

const char *odd_head(struct odd_server *s)
{
    return s->head;
}
