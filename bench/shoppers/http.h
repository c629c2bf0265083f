/*
 * A streaming parser of HTTP/1.1 responses that keeps no more than a load tool
 * needs: status, Retry-After, Idempotent-Replayed, whether the connection may
 * be used again, and the first bytes of the body.
 */
#ifndef SHOPPERS_HTTP_H
#define SHOPPERS_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_LINE_MAX 256
#define HTTP_BODY_MAX 1024

enum http_state {
    HTTP_STATUS_LINE,
    HTTP_HEADERS,
    HTTP_BODY,
    HTTP_CHUNK_SIZE,
    HTTP_CHUNK_DATA,
    HTTP_CHUNK_END,
    HTTP_TRAILERS,
    HTTP_DONE
};

struct http_response {
    enum http_state state;
    int status;
    int retry_after; /* seconds, -1: none */
    bool replayed;
    bool close;     /* the connection ends with this response */
    bool until_eof; /* no length: the body ends with the connection */
    bool chunked;
    bool head; /* the answer of a HEAD request has no body */
    bool keep_body;
    uint64_t left; /* of the body or of the chunk */
    size_t line_len;
    size_t body_len;
    char line[HTTP_LINE_MAX];
    char body[HTTP_BODY_MAX];
};

void http_response_init(struct http_response *res, bool keep_body, bool head);

/*
 * Takes up to n bytes; *used is how many belong to this response. Returns 1
 * when the response is complete, 0 when more is needed, -1 when it is no HTTP.
 */
int http_response_feed(struct http_response *res, const char *p, size_t n,
                       size_t *used);

/* The string value of "name" in a flat JSON text, cut to size; "" if none. */
void http_json_string(const char *json, size_t n, const char *name, char *value,
                      size_t size);

#endif
