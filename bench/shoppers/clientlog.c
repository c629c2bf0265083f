/*
 * Lines are gathered in one buffer and written when it is full or when the
 * loop flushes (20 times a second), so that a test may follow the file. A
 * failed write is told once and makes the tool fail at its end: an auditor
 * must not trust a log with holes.
 */
#include "clientlog.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLIENTLOG_BUFFER 65536
#define CLIENTLOG_LINE 2048

struct clientlog {
    int fd;
    bool failed;
    size_t len;
    char buffer[CLIENTLOG_BUFFER];
};

struct clientlog *clientlog_open(const char *path)
{
    struct clientlog *log = calloc(1, sizeof(*log));

    if (log == NULL) {
        return NULL;
    }
    log->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (log->fd < 0) {
        fprintf(stderr, "shoppers: %s: %s\n", path, strerror(errno));
        free(log);
        return NULL;
    }
    return log;
}

void clientlog_flush(struct clientlog *log)
{
    size_t at = 0;

    while (at < log->len) {
        ssize_t n = write(log->fd, log->buffer + at, log->len - at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            if (!log->failed) {
                fprintf(stderr, "shoppers: client log: %s\n", strerror(errno));
            }
            log->failed = true;
            break;
        }
        at += (size_t)n;
    }
    log->len = 0;
}

/* What a server sent may hold anything: keep a line a line of JSON. */
static void clientlog_text(char *out, size_t size, const char *in)
{
    size_t n = 0;

    for (; *in != '\0' && n + 1 < size; in++) {
        unsigned char c = (unsigned char)*in;
        out[n++] = c < 0x20 || c >= 0x7f || c == '"' || c == '\\' ? '?' : *in;
    }
    out[n] = '\0';
}

void clientlog_add(struct clientlog *log, const struct clientlog_line *line)
{
    char user[80];
    char code[80];
    char order_id[80];

    clientlog_text(user, sizeof(user), line->user);
    clientlog_text(code, sizeof(code), line->code);
    clientlog_text(order_id, sizeof(order_id), line->order_id);

    if (log->len + CLIENTLOG_LINE > CLIENTLOG_BUFFER) {
        clientlog_flush(log);
    }
    int n = snprintf(
        log->buffer + log->len, CLIENTLOG_LINE,
        "{\"time\":%" PRId64 ",\"sent\":%" PRId64 ",\"user\":\"%s\","
        "\"key\":\"%s\",\"status\":%d,\"code\":\"%s\",\"order_id\":\"%s\","
        "\"attempt\":%u,\"url\":\"%.300s\",\"latency_us\":%" PRIu64 "}\n",
        line->time_ms, line->sent_ms, user, line->key, line->status, code,
        order_id, line->attempt, line->url, line->latency_us);
    if (n > 0 && n < CLIENTLOG_LINE) {
        log->len += (size_t)n;
    }
}

int clientlog_close(struct clientlog *log)
{
    clientlog_flush(log);
    bool failed = log->failed;
    if (close(log->fd) != 0 && !failed) {
        fprintf(stderr, "shoppers: client log: %s\n", strerror(errno));
        failed = true;
    }
    free(log);
    return failed ? -1 : 0;
}
