/*
 * /api/v1/users/me/addresses: where a shopper's parcels go, at most 20, one
 * of them the default while there are any: the first one is it by itself, a
 * new default takes its place, and when it is deleted the oldest one becomes
 * it. Changes lock the user's row first.
 */
#ifndef USERD_ADDRESSES_H
#define USERD_ADDRESSES_H

#include "../common/http_server.h"

#define USERD_ADDRESSES_MOST 20

void userd_addresses_get(struct speedy_request *r, void *data);
void userd_addresses_post(struct speedy_request *r, void *data);
void userd_addresses_patch(struct speedy_request *r, void *data);
void userd_addresses_delete(struct speedy_request *r, void *data);

#endif
