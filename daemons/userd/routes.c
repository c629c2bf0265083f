/*
 * The table of routes: for `anyone`, for shoppers, or for staff of a rank. Of
 * two that fit, the first is taken: a fixed word stands before a `*`.
 */
#include "routes.h"

#include "sessions.h"

#define SHOPPER (void *)&userd_shopper_sessions

const struct speedy_route userd_routes[] = {
    /* login.c, refresh.c, sessions_http.c, password.c */
    {"POST", "/api/v1/sessions", userd_login_post, NULL, true, NULL},
    {"POST", "/api/v1/sessions/refresh", userd_refresh_post, SHOPPER, true,
     NULL},
    {"GET", "/api/v1/sessions", userd_sessions_get, SHOPPER, false, NULL},
    {"DELETE", "/api/v1/sessions", userd_sessions_delete_all, SHOPPER, false,
     NULL},
    {"DELETE", "/api/v1/sessions/current", userd_sessions_delete_current,
     SHOPPER, false, NULL},
    {"DELETE", "/api/v1/sessions/*", userd_sessions_delete_one, SHOPPER, false,
     NULL},
    {"PUT", "/api/v1/users/me/password", userd_password_put, NULL, false, NULL},
    {.method = NULL},
};
