/*
 * The HTTP of orderd: a shopper's orders, and replays of archived sales.
 */
#ifndef ORDERD_ORDERS_HTTP_H
#define ORDERD_ORDERS_HTTP_H

#include "../common/http_server.h"

extern const struct speedy_route orderd_routes[];

/* GET /api/v1/orders, /api/v1/orders/{id} (orders_http.c). */
void orderd_http_list(struct speedy_request *r, void *data);
void orderd_http_show(struct speedy_request *r, void *data);
/* POST /internal/replays (replay_http.c). */
void orderd_http_replay(struct speedy_request *r, void *data);

/* 503 `unavailable` with Retry-After. */
void orderd_http_unavailable(struct speedy_request *r, const char *title);

#endif
