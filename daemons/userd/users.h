/*
 * Signing up: POST /api/v1/users. Impossible without a confirmed and unused
 * verification of that very address, which is used up by the same transaction
 * that writes the account. Only who has proven an address learns that it is
 * taken.
 */
#ifndef USERD_USERS_H
#define USERD_USERS_H

#include "../common/http_server.h"

void userd_users_post(struct speedy_request *r, void *data);

#endif
