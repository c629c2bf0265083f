/*
 * GET /internal/users/{id}/addresses/{id}: an address in plain, for the daemon
 * that copies it to an order. nginx leads nobody here.
 */
#ifndef USERD_ADDRESS_HTTP_H
#define USERD_ADDRESS_HTTP_H

#include "../common/http_server.h"

void userd_address_internal(struct speedy_request *r, void *data);

#endif
