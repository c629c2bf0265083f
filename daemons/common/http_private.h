/* What http_server.c and http_request.c share: one request under way. */
#ifndef SPEEDY_HTTP_PRIVATE_H
#define SPEEDY_HTTP_PRIVATE_H

#include <microhttpd.h>

#include "http_server.h"

#define SPEEDY_SEGMENT_MAX 200

/* Decoded texts that live until the answer is sent. */
struct speedy_decoded {
    struct speedy_decoded *next;
    char text[];
};

/* What one request gathers between MHD's calls. */
struct speedy_exchange {
    struct MHD_Connection *connection;
    struct speedy_buf body;
    size_t too_large; /* bytes thrown away */
    int64_t arrived;  /* its headers, by speedy_now_boot */
    struct speedy_decoded *decoded;
    struct speedy_json *json;
    char request_id[65], user[41], role[41], session[41];
    char id[2][SPEEDY_SEGMENT_MAX + 1];
    struct speedy_request *later; /* its own copy, once it was taken along */
};

/* Frees what the functions of http_request.c made, and the body: wiped, it may
 * hold a password. */
void speedy_exchange_free(struct speedy_exchange *x);

#endif
