/*
 * Client logs: one JSON object a line for every answer that a client saw.
 * A record of fixed size is kept for each (user, key), found by the key's
 * digest as orders.key_digest holds it; so memory grows with the number of
 * purchases, not of answers.
 *
 * Judging rests on when a request was *sent*, where the log tells it: an
 * order reserved before that must have been seen by the answer.
 */
#include "audit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/crypto.h"
#include "../shop/event.h"

#define LINE_MAX_BYTES 65536

struct record {
    unsigned char key[SPEEDY_DIGEST_LEN];
    unsigned char order[16];
    int64_t refused_at; /* sending of the last sold_out or limit_reached */
    bool used, accepted, found, two_orders;
};

struct client_log {
    struct record *at;
    size_t size, count; /* size: a power of two */
    long lines, bad, without_id, status[6];
    long accepted, sold_out, limit, in_doubt;
};

struct client_log *client_log_new(void)
{
    struct client_log *log = calloc(1, sizeof(*log));

    if (log == NULL)
        abort();
    log->size = 1024;
    log->at = calloc(log->size, sizeof(*log->at));
    if (log->at == NULL)
        abort();
    return log;
}

void client_log_free(struct client_log *log)
{
    if (log == NULL)
        return;
    free(log->at);
    free(log);
}

static struct record *slot(struct record *at, size_t size,
                           const unsigned char *key)
{
    uint64_t hash;
    size_t i;

    memcpy(&hash, key, sizeof(hash)); /* a digest is as good as a hash */
    for (i = hash & (size - 1); at[i].used; i = (i + 1) & (size - 1)) {
        if (memcmp(at[i].key, key, SPEEDY_DIGEST_LEN) == 0)
            break;
    }
    return &at[i];
}

static void grow(struct client_log *log)
{
    size_t size = log->size * 2;
    struct record *at = calloc(size, sizeof(*at));

    if (at == NULL)
        abort();
    for (size_t i = 0; i < log->size; i++) {
        if (log->at[i].used)
            *slot(at, size, log->at[i].key) = log->at[i];
    }
    free(log->at);
    log->at = at;
    log->size = size;
}

static struct record *record_of(struct client_log *log,
                                const unsigned char *key)
{
    struct record *r;

    if (log->count * 4 >= log->size * 3)
        grow(log);
    r = slot(log->at, log->size, key);
    if (!r->used) {
        r->used = true;
        memcpy(r->key, key, SPEEDY_DIGEST_LEN);
        log->count++;
    }
    return r;
}

static const char *text(const struct speedy_json *o, const char *name)
{
    const char *t = speedy_json_text(speedy_json_get(o, name));

    return t != NULL ? t : "";
}

static int64_t stamp(const struct speedy_json *o, const char *name)
{
    int64_t ms = -1;

    speedy_json_int(speedy_json_get(o, name), 0, INT64_MAX, &ms);
    return ms;
}

static void accepted(struct client_log *log, struct record *r, const char *id)
{
    unsigned char order[16];

    log->accepted++;
    if (speedy_uuid_parse(id, strlen(id), order) != 0) {
        log->without_id++;
        return;
    }
    if (r->accepted && memcmp(r->order, order, 16) != 0)
        r->two_orders = true;
    r->accepted = true;
    memcpy(r->order, order, 16);
}

static int take(struct client_log *log, const struct speedy_json *o)
{
    const char *user = text(o, "user"), *key = text(o, "key");
    const char *code = text(o, "code");
    unsigned char digest[SPEEDY_DIGEST_LEN];
    int64_t status, sent = stamp(o, "sent");
    struct record *r;

    if (*user == '\0' || *key == '\0' || strlen(user) > SPEEDY_ID_MAX ||
        strlen(key) > SPEEDY_IDEMPOTENCY_KEY_MAX ||
        speedy_json_int(speedy_json_get(o, "status"), 0, 599, &status) != 0)
        return -1;
    if (sent < 0)
        sent = stamp(o, "time");
    log->status[status / 100]++;
    speedy_key_digest(user, key, strlen(key), digest);
    r = record_of(log, digest);
    if (status == 202)
        accepted(log, r, text(o, "order_id"));
    if (strcmp(code, "in_doubt") == 0)
        log->in_doubt++;
    if (strcmp(code, "sold_out") == 0)
        log->sold_out++;
    else if (strcmp(code, "limit_reached") == 0)
        log->limit++;
    else
        return 0;
    if (sent > r->refused_at)
        r->refused_at = sent;
    return 0;
}

static void line(struct client_log *log, const char *data, size_t len)
{
    enum speedy_json_error error;
    struct speedy_json *o =
        speedy_json_parse(data, len, LINE_MAX_BYTES, 4, &error);

    log->lines++;
    if (o == NULL || take(log, o) != 0)
        log->bad++;
    speedy_json_free(o);
}

int client_log_read(struct client_log *log, const char *path)
{
    FILE *f = fopen(path, "re");
    char *data = NULL;
    size_t size = 0;
    ssize_t n;
    int code;

    if (f == NULL) {
        fprintf(stderr, "speedyctl: %s: %s\n", path, strerror(errno));
        return -1;
    }
    while ((n = getline(&data, &size, f)) > 0) {
        /* a client that was killed leaves half a line at its end */
        if (data[n - 1] == '\n')
            line(log, data, (size_t)n - 1);
    }
    code = ferror(f) ? -1 : 0;
    free(data);
    fclose(f);
    return code;
}

void client_log_reset(struct client_log *log)
{
    for (size_t i = 0; i < log->size; i++)
        log->at[i].found = false;
}

const char *client_log_order(struct client_log *log,
                             const struct client_order *o)
{
    struct record *r = slot(log->at, log->size, o->key_digest);
    bool rejected = strcmp(o->state, "REJECTED") == 0;
    bool mine;

    if (!r->used)
        return NULL;
    mine = r->accepted && memcmp(r->order, o->id, 16) == 0;
    if (mine && rejected)
        return "a client was sent 202 for it, it is REJECTED";
    if (mine)
        r->found = true;
    if (!rejected && r->refused_at > o->reserved_at)
        return "its client was told sold_out or limit_reached after it was "
               "reserved";
    return NULL;
}

void client_log_figures(const struct client_log *log, struct speedy_buf *out)
{
    speedy_buf_printf(out,
                      "answers=%ld keys=%zu 202=%ld 4xx=%ld sold_out=%ld "
                      "limit_reached=%ld 5xx=%ld in_doubt=%ld none=%ld",
                      log->lines, log->count, log->accepted, log->status[4],
                      log->sold_out, log->limit, log->status[5], log->in_doubt,
                      log->status[0]);
}

int64_t client_log_lost(const struct client_log *log, struct audit_line *l)
{
    int64_t lost = 0;
    char id[37];

    if (log->bad > 0)
        audit_broken(l, "%ld lines of the client log cannot be read", log->bad);
    if (log->without_id > 0)
        audit_broken(l, "%ld answers 202 without an order id", log->without_id);
    for (size_t i = 0; i < log->size; i++) {
        const struct record *r = &log->at[i];

        if (!r->used || !r->accepted)
            continue;
        speedy_uuid_text(r->order, id);
        if (r->two_orders)
            audit_broken(l,
                         "one key was answered 202 with two orders, one is "
                         "%s",
                         id);
        if (r->found)
            continue;
        lost++;
        audit_broken(l,
                     "order %s: a client was sent 202, it is no live order "
                     "of that key in MySQL",
                     id);
    }
    return lost;
}
