/*
 * HTTP/1.1 responses by lines: memchr finds a line's end; a line that lies
 * whole in the received bytes is read in place and only one that is cut by a
 * packet's end is copied. Lines longer than HTTP_LINE_MAX are cut (none of the
 * headers that matter is that long). Bodies are counted, their first
 * HTTP_BODY_MAX - 1 bytes kept where asked. 1xx responses are skipped.
 */
#include "http.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int http_line(struct http_response *res, const char *line, size_t len);
static int http_headers_end(struct http_response *res);
static void http_body(struct http_response *res, const char *p, size_t n);

void http_response_init(struct http_response *res, bool keep_body, bool head)
{
    res->state = HTTP_STATUS_LINE;
    res->status = 0;
    res->retry_after = -1;
    res->replayed = false;
    res->close = false;
    res->until_eof = true;
    res->chunked = false;
    res->head = head;
    res->keep_body = keep_body;
    res->left = 0;
    res->line_len = 0;
    res->body_len = 0;
}

/* One line out of p, with the rest of an earlier packet's in front of it. */
static int http_feed_line(struct http_response *res, const char *p, size_t n,
                          size_t *used)
{
    const char *end = memchr(p, '\n', n);
    size_t part = end == NULL ? n : (size_t)(end - p);
    const char *line = p;
    size_t len = part;

    *used = end == NULL ? n : part + 1;

    if (res->line_len > 0 || end == NULL) {
        size_t room = HTTP_LINE_MAX - 1 - res->line_len;
        size_t copy = part < room ? part : room;
        memcpy(res->line + res->line_len, p, copy);
        res->line_len += copy;
        line = res->line;
        len = res->line_len;
    }
    if (end == NULL) {
        return 0;
    }

    res->line_len = 0;
    if (len > 0 && line[len - 1] == '\r') {
        len--;
    }
    return http_line(res, line, len);
}

int http_response_feed(struct http_response *res, const char *p, size_t n,
                       size_t *used)
{
    size_t at = 0;

    while (at < n && res->state != HTTP_DONE) {
        size_t took = 0;

        if (res->state == HTTP_BODY || res->state == HTTP_CHUNK_DATA) {
            took = n - at;
            if (!res->until_eof && took > res->left) {
                took = (size_t)res->left;
            }
            http_body(res, p + at, took);
            at += took;
            if (res->until_eof) {
                continue;
            }
            res->left -= took;
            if (res->left == 0) {
                res->state =
                    res->state == HTTP_BODY ? HTTP_DONE : HTTP_CHUNK_END;
            }
            continue;
        }

        if (http_feed_line(res, p + at, n - at, &took) != 0) {
            return -1;
        }
        at += took;
    }

    *used = at;
    return res->state == HTTP_DONE;
}

static bool http_header_is(const char *line, size_t len, const char *name,
                           size_t name_len, const char **value)
{
    if (len <= name_len || line[name_len] != ':' ||
        strncasecmp(line, name, name_len) != 0) {
        return false;
    }

    const char *v = line + name_len + 1;
    while (v < line + len && (*v == ' ' || *v == '\t')) {
        v++;
    }
    *value = v;
    return true;
}

static uint64_t http_number(const char *p, const char *end, unsigned base)
{
    uint64_t n = 0;

    for (; p < end; p++) {
        unsigned digit;
        if (*p >= '0' && *p <= '9') {
            digit = (unsigned)(*p - '0');
        } else if (base == 16 && (*p | 32) >= 'a' && (*p | 32) <= 'f') {
            digit = (unsigned)((*p | 32) - 'a' + 10);
        } else {
            break;
        }
        n = n * base + digit;
    }

    return n;
}

static void http_header(struct http_response *res, const char *line, size_t len)
{
    const char *end = line + len;
    const char *v;

    switch (line[0] | 32) {
    case 'c':
        if (http_header_is(line, len, "Content-Length", 14, &v)) {
            res->left = http_number(v, end, 10);
            res->until_eof = false;
        } else if (http_header_is(line, len, "Connection", 10, &v)) {
            res->close = end - v >= 5 && strncasecmp(v, "close", 5) == 0;
        }
        break;
    case 't':
        if (http_header_is(line, len, "Transfer-Encoding", 17, &v)) {
            res->chunked = true;
        }
        break;
    case 'r':
        if (http_header_is(line, len, "Retry-After", 11, &v)) {
            res->retry_after = (int)http_number(v, end, 10);
        }
        break;
    case 'i':
        if (http_header_is(line, len, "Idempotent-Replayed", 19, &v)) {
            res->replayed = v < end && *v == 't';
        }
        break;
    default:
        break;
    }
}

static int http_line(struct http_response *res, const char *line, size_t len)
{
    switch (res->state) {
    case HTTP_STATUS_LINE:
        if (len < 12 || memcmp(line, "HTTP/1.", 7) != 0) {
            return -1;
        }
        res->status = (int)http_number(line + 9, line + 12, 10);
        res->close = line[7] == '0';
        res->state = HTTP_HEADERS;
        return res->status >= 100 ? 0 : -1;

    case HTTP_HEADERS:
        if (len > 0) {
            http_header(res, line, len);
            return 0;
        }
        return http_headers_end(res);

    case HTTP_CHUNK_SIZE:
        res->left = http_number(line, line + len, 16);
        res->state = res->left > 0 ? HTTP_CHUNK_DATA : HTTP_TRAILERS;
        return 0;

    case HTTP_CHUNK_END:
        res->state = HTTP_CHUNK_SIZE;
        return len == 0 ? 0 : -1;

    case HTTP_TRAILERS:
        if (len == 0) {
            res->state = HTTP_DONE;
        }
        return 0;

    default:
        return -1;
    }
}

static int http_headers_end(struct http_response *res)
{
    if (res->status < 200) {
        http_response_init(res, res->keep_body, res->head);
        return 0;
    }

    if (res->head || res->status == 204 || res->status == 304) {
        res->until_eof = false;
        res->state = HTTP_DONE;
        return 0;
    }

    if (res->chunked) {
        res->until_eof = false;
        res->state = HTTP_CHUNK_SIZE;
        return 0;
    }

    if (res->until_eof) {
        res->close = true;
        res->state = HTTP_BODY;
        return 0;
    }

    res->state = res->left > 0 ? HTTP_BODY : HTTP_DONE;
    return 0;
}

static void http_body(struct http_response *res, const char *p, size_t n)
{
    size_t room = HTTP_BODY_MAX - 1 - res->body_len;

    if (!res->keep_body) {
        return;
    }
    if (n > room) {
        n = room;
    }
    memcpy(res->body + res->body_len, p, n);
    res->body_len += n;
}

void http_json_string(const char *json, size_t n, const char *name, char *value,
                      size_t size)
{
    const char *end = json + n;
    size_t len = strlen(name);
    const char *p = json;

    value[0] = '\0';

    while ((p = memmem(p, (size_t)(end - p), name, len)) != NULL) {
        const char *v = p + len;
        bool quoted = p > json && p[-1] == '"' && v < end && *v == '"';
        p = v;
        if (!quoted) {
            continue;
        }
        v++;
        while (v < end && (*v == ' ' || *v == ':')) {
            v++;
        }
        if (v >= end || *v != '"') {
            return;
        }
        const char *stop = memchr(v + 1, '"', (size_t)(end - v - 1));
        if (stop == NULL) {
            return;
        }
        size_t vl = (size_t)(stop - v - 1);
        if (vl >= size) {
            vl = size - 1;
        }
        memcpy(value, v + 1, vl);
        value[vl] = '\0';
        return;
    }
}
