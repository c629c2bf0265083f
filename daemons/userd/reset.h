/*
 * A forgotten password: POST /api/v1/password-resets {email} asks for a code,
 * …/confirm {email, code, password} or {link, password} uses it.
 */
#ifndef USERD_RESET_H
#define USERD_RESET_H

#include "../common/http_server.h"

void userd_reset_post(struct speedy_request *r, void *data);
void userd_reset_confirm(struct speedy_request *r, void *data);

#endif
