/*
 * GET /internal/master-keys/{id}: 204 when this process has loaded that master
 * key, else 404. speedyctl asks before it wraps a row with a key that a running
 * userd could not use. Ids are no secrets; the socket is the daemons' own.
 */
#ifndef USERD_KEYS_HTTP_H
#define USERD_KEYS_HTTP_H

#include "../common/http_server.h"

void userd_master_key_get(struct speedy_request *r, void *data);

#endif
