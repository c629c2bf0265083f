/* The client log: one JSON object a line for every answer a client saw. */
#ifndef SHOPPERS_CLIENTLOG_H
#define SHOPPERS_CLIENTLOG_H

#include <stdint.h>

struct clientlog;

struct clientlog_line {
    int64_t time_ms; /* when the answer came */
    int64_t sent_ms;
    const char *user;
    const char *key;
    int status; /* 0: no answer; code says reset, timeout or connect */
    const char *code;
    const char *order_id;
    unsigned attempt; /* from 1, within one key */
    const char *url;
    uint64_t latency_us;
};

/* NULL after a message on stderr. */
struct clientlog *clientlog_open(const char *path);

void clientlog_add(struct clientlog *log, const struct clientlog_line *line);
void clientlog_flush(struct clientlog *log);

/* 0, or -1 when a line could not be written (told on stderr). */
int clientlog_close(struct clientlog *log);

#endif
