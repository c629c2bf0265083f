/*
 * Whose browser is it? A payment that is begun leaves a cookie behind, a keyed
 * digest of the user, for the callbacks alone. A browser that brings another
 * user's is refused; one that brings none (an app's) is not.
 */
#ifndef PAYD_COOKIE_H
#define PAYD_COOKIE_H

#include <stdbool.h>

#include "../common/http_server.h"

void payd_cookie_set(struct speedy_request *r, const char *user);
/* Whether the request brings the cookie of somebody else. */
bool payd_cookie_foreign(struct speedy_request *r, const char *user);

#endif
