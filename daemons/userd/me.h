/*
 * GET, PATCH, DELETE /api/v1/users/me.
 *
 * Ending an account (DELETE, which asks for the password once more) shreds
 * it: the data key goes, and with it whatever it sealed; addresses and mails'
 * way to the owner go too, orders keep their own copies. What remains is the
 * id with its consents. The last mail (`account_ended`: somebody else may
 * have done it) keeps its address in a verification of purpose `notice`, under
 * a key of its own and an index of nobody, for a day.
 */
#ifndef USERD_ME_H
#define USERD_ME_H

#include "../common/http_server.h"

void userd_me_get(struct speedy_request *r, void *data);
void userd_me_patch(struct speedy_request *r, void *data);
void userd_me_delete(struct speedy_request *r, void *data);

/* Answers for a user who is not there (0) or a status < 0 of MySQL. */
void userd_me_refuse(struct speedy_request *r, int rc);
/* A change that was made to another version than the present one: 409. */
void userd_version_conflict(struct speedy_request *r);

#endif
