/*
 * The control socket's lines: `MODE [arguments] [NAME]`. Without the name of a
 * pair a mode is set for every pair. Answers: `ok …` or `error why`.
 */
#include "proxy.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONTROL_WORDS 8

static const char *const names[] = {
    [MODE_PASS] = "pass",
    [MODE_LATENCY] = "latency",
    [MODE_BANDWIDTH] = "bandwidth",
    [MODE_BLACKHOLE] = "blackhole",
    [MODE_RESET] = "reset",
    [MODE_CLOSE] = "close",
    [MODE_HALFCLOSE] = "halfclose",
    [MODE_SLICER] = "slicer",
    [MODE_LIMIT_DATA] = "limit_data",
    [MODE_DROP_REPLY] = "drop_reply",
};

static bool control_number(const char *word, uint64_t *n)
{
    char *end;

    errno = 0;
    unsigned long long v = strtoull(word, &end, 10);
    if (errno != 0 || end == word || *end != '\0' || word[0] == '-') {
        return false;
    }
    *n = v;
    return true;
}

static int control_hex(struct mode *m, const char *hex)
{
    size_t len = strlen(hex);

    if (len % 2 != 0 || len / 2 > PROXY_MATCH_MAX) {
        return -1;
    }
    for (size_t i = 0; i < len / 2; i++) {
        unsigned byte;
        if (sscanf(hex + 2 * i, "%2x", &byte) != 1) {
            return -1;
        }
        m->match[i] = (unsigned char)byte;
    }
    m->match_len = len / 2;
    return 0;
}

/* TEXT, hex:0a0b, or kafka:API (0 is Produce, 1 Fetch). */
static int control_match(struct mode *m, const char *text)
{
    uint64_t api;

    if (strncmp(text, "kafka:", 6) == 0) {
        if (!control_number(text + 6, &api) || api > 32767) {
            return -1;
        }
        m->match_kafka = true;
        m->kafka_api = (int)api;
        return 0;
    }
    if (strncmp(text, "hex:", 4) == 0) {
        return control_hex(m, text + 4);
    }
    m->match_len = strlen(text);
    if (m->match_len == 0 || m->match_len > PROXY_MATCH_MAX) {
        return -1;
    }
    memcpy(m->match, text, m->match_len);
    return 0;
}

static const char *control_drop_reply(struct mode *m, char **word, unsigned n)
{
    unsigned i = 1;
    uint64_t count;

    m->count = 1;
    if (i < n && strcmp(word[i], "all") == 0) {
        m->count = -1;
        i++;
    } else if (i < n && control_number(word[i], &count)) {
        m->count = (int64_t)count;
        i++;
    }
    if (i < n && strcmp(word[i], "match") == 0) {
        if (i + 1 >= n || control_match(m, word[i + 1]) != 0) {
            return "match needs TEXT, hex:BYTES or kafka:API";
        }
        i += 2;
    }
    return i == n ? NULL : "drop_reply [COUNT|all] [match TEXT] [NAME]";
}

/* NULL and *m set, or what is wrong. n words, the pair's name taken away. */
static const char *control_mode(struct mode *m, char **word, unsigned n)
{
    unsigned kinds = sizeof(names) / sizeof(names[0]);
    unsigned kind = 0;

    memset(m, 0, sizeof(*m));
    while (kind < kinds && strcmp(names[kind], word[0]) != 0) {
        kind++;
    }
    if (kind == kinds) {
        return "unknown mode";
    }
    m->kind = (enum mode_kind)kind;

    switch (m->kind) {
    case MODE_DROP_REPLY:
        return control_drop_reply(m, word, n);
    case MODE_SLICER:
        m->gap_us = 50;
        if (n == 3) {
            if (!control_number(word[2], &m->gap_us)) {
                return "slicer BYTES [MICROSECONDS] [NAME]";
            }
            n--;
        }
        /* fall through */
    case MODE_LATENCY:
    case MODE_BANDWIDTH:
    case MODE_LIMIT_DATA:
        if (n != 2 || !control_number(word[1], &m->n)) {
            return "needs one number";
        }
        return m->n > 0 || m->kind == MODE_LATENCY || m->kind == MODE_LIMIT_DATA
                   ? NULL
                   : "needs a number above 0";
    default:
        return n == 1 ? NULL : "unknown pair or argument";
    }
}

static void control_stats(const struct proxy *px, const struct pair *only,
                          char *out, size_t size)
{
    size_t n = (size_t)snprintf(out, size, "ok {");

    for (unsigned i = 0; i < px->npairs && n < size; i++) {
        const struct pair *p = &px->pairs[i];
        if (only != NULL && p != only) {
            continue;
        }
        n += (size_t)snprintf(
            out + n, size - n,
            "%s\"%s\":{\"mode\":\"%s\",\"left\":%" PRId64 ",\"open\":%" PRIu64
            ",\"total\":%" PRIu64 ",\"up\":%" PRIu64 ",\"down\":%" PRIu64
            ",\"dropped\":%" PRIu64 "}",
            n > 4 ? "," : "", p->name, names[p->mode.kind], p->mode.count,
            p->open, p->total, p->bytes_up, p->bytes_down, p->dropped);
    }
    if (n < size) {
        snprintf(out + n, size - n, "}\n");
    }
}

void control_line(struct proxy *px, char *line, char *out, size_t size)
{
    char *word[CONTROL_WORDS];
    unsigned n = 0;
    struct pair *only = NULL;
    struct mode mode;
    char *save;

    for (char *w = strtok_r(line, " \t\r\n", &save); w != NULL;
         w = strtok_r(NULL, " \t\r\n", &save)) {
        if (n == CONTROL_WORDS) {
            snprintf(out, size, "error too many words\n");
            return;
        }
        word[n++] = w;
    }
    for (unsigned i = 0; n > 1 && i < px->npairs; i++) {
        if (strcmp(px->pairs[i].name, word[n - 1]) == 0 &&
            strcmp(word[n - 2], "match") != 0) {
            only = &px->pairs[i];
            n--;
            break;
        }
    }
    if (n == 0) {
        snprintf(out, size, "error empty line\n");
        return;
    }
    if (n == 1 && strcmp(word[0], "stats") == 0) {
        control_stats(px, only, out, size);
        return;
    }

    const char *why = control_mode(&mode, word, n);
    if (why != NULL) {
        snprintf(out, size, "error %s\n", why);
        return;
    }
    for (unsigned i = 0; i < px->npairs; i++) {
        struct pair *p = &px->pairs[i];
        if (only == NULL || p == only) {
            p->mode = mode;
            link_mode_set(px, p);
        }
    }
    snprintf(out, size, "ok\n");
}
