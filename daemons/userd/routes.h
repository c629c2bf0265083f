/*
 * All of userd's routes, in one table; the handlers stand in the files that
 * their comment in routes.c names.
 */
#ifndef USERD_ROUTES_H
#define USERD_ROUTES_H

#include "../common/http_server.h"

extern const struct speedy_route userd_routes[];

#endif
