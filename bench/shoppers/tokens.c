/*
 * The token file is mapped, not read: a million tokens cost an index of their
 * lines only. A user's id is cut out of the token's payload when it is needed;
 * nothing is verified here.
 */
#include "tokens.h"

#include "http.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct tokens {
    const char *map;
    size_t size;
    uint64_t *line; /* start of each line, and the end of the last */
    uint64_t count;
    bool users_given;
    uint64_t users_first;
};

static int tokens_index(struct tokens *t)
{
    uint64_t room = 0;
    size_t at = 0;

    while (at < t->size) {
        const char *end = memchr(t->map + at, '\n', t->size - at);
        size_t next = end ? (size_t)(end - t->map) + 1 : t->size + 1;
        if (next - at - 1 == 0 || next - at - 1 > TOKENS_TOKEN_MAX) {
            fprintf(stderr,
                    "shoppers: token %" PRIu64 " is empty or longer "
                    "than %d bytes\n",
                    t->count + 1, TOKENS_TOKEN_MAX);
            return -1;
        }
        if (t->count + 2 > room) {
            room = room == 0 ? 1024 : room * 2;
            uint64_t *line = realloc(t->line, room * sizeof(*line));
            if (line == NULL) {
                return -1;
            }
            t->line = line;
        }
        t->line[t->count++] = at;
        t->line[t->count] = next;
        at = next;
    }

    if (t->count == 0) {
        fputs("shoppers: the token file is empty\n", stderr);
        return -1;
    }
    return 0;
}

static int tokens_map(struct tokens *t, const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) != 0) {
        fprintf(stderr, "shoppers: %s: %s\n", path, strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }

    t->size = (size_t)st.st_size;
    if (t->size > 0) {
        void *map = mmap(NULL, t->size, PROT_READ, MAP_PRIVATE, fd, 0);
        t->map = map == MAP_FAILED ? NULL : map;
    }
    close(fd);
    if (t->map == NULL) {
        fprintf(stderr, "shoppers: %s: empty or cannot be mapped\n", path);
        return -1;
    }
    return tokens_index(t);
}

struct tokens *tokens_open(struct options *o)
{
    struct tokens *t = calloc(1, sizeof(*t));

    if (t == NULL) {
        return NULL;
    }
    t->users_given = o->users_given;
    t->users_first = o->users_first;

    if (o->tokens != NULL && tokens_map(t, o->tokens) != 0) {
        tokens_close(t);
        return NULL;
    }

    if (o->shoppers == 0) {
        o->shoppers = t->count         ? t->count
                      : o->users_given ? o->users_last - o->users_first + 1
                                       : 1;
    }
    if (o->users_given && o->shoppers > o->users_last - o->users_first + 1) {
        fputs("shoppers: --users names fewer users than --shoppers\n", stderr);
        tokens_close(t);
        return NULL;
    }
    if (t->count > 0 && o->sale != NULL && o->shoppers > t->count) {
        fputs("shoppers: fewer tokens than shoppers\n", stderr);
        tokens_close(t);
        return NULL;
    }
    return t;
}

void tokens_close(struct tokens *t)
{
    if (t == NULL) {
        return;
    }
    if (t->map != NULL) {
        munmap((void *)(uintptr_t)t->map, t->size);
    }
    free(t->line);
    free(t);
}

const char *tokens_get(const struct tokens *t, uint64_t shopper, size_t *len)
{
    if (t->count == 0) {
        return NULL;
    }

    uint64_t n = shopper % t->count;
    *len = (size_t)(t->line[n + 1] - t->line[n] - 1);
    if (t->map[t->line[n] + *len - 1] == '\r') {
        (*len)--;
    }
    return t->map + t->line[n];
}

static int base64url_value(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

static size_t base64url_decode(const char *in, size_t n, char *out, size_t size)
{
    unsigned bits = 0;
    unsigned have = 0;
    size_t len = 0;

    for (size_t i = 0; i < n && len < size; i++) {
        int v = base64url_value(in[i]);
        if (v < 0) {
            break;
        }
        bits = (bits << 6) | (unsigned)v;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[len++] = (char)((bits >> have) & 0xff);
        }
    }

    return len;
}

void tokens_user(const struct tokens *t, uint64_t shopper, char *user)
{
    char payload[2048];
    size_t len = 0;

    if (t->users_given) {
        snprintf(user, TOKENS_USER_MAX, "%" PRIu64, t->users_first + shopper);
        return;
    }

    const char *token = tokens_get(t, shopper, &len);
    const char *dot = token ? memchr(token, '.', len) : NULL;
    if (dot != NULL) {
        size_t n = base64url_decode(dot + 1, len - (size_t)(dot + 1 - token),
                                    payload, sizeof(payload));
        http_json_string(payload, n, "sub", user, TOKENS_USER_MAX);
        if (user[0] != '\0') {
            return;
        }
    }
    snprintf(user, TOKENS_USER_MAX, "%" PRIu64, shopper + 1);
}
