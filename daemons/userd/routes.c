/*
 * The table of routes: for `anyone`, for shoppers, or for staff of a rank. Of
 * two that fit, the first is taken: a fixed word stands before a `*`.
 */
#include "routes.h"

#include "address_http.h"
#include "addresses.h"
#include "admin.h"
#include "keys_http.h"
#include "mails_http.h"
#include "me.h"
#include "reset.h"
#include "sessions.h"
#include "users.h"
#include "verification.h"
#include "wishes.h"

#define SHOPPER (void *)&userd_shopper_sessions
#define STAFF (void *)&userd_staff_sessions

const struct speedy_route userd_routes[] = {
    /* verification.c, users.c, reset.c */
    {"POST", "/api/v1/email-verifications", userd_verification_post, NULL, true,
     NULL},
    {"POST", "/api/v1/email-verifications/confirm", userd_verification_confirm,
     NULL, true, NULL},
    {"POST", "/api/v1/users", userd_users_post, NULL, true, NULL},
    {"POST", "/api/v1/password-resets", userd_reset_post, NULL, true, NULL},
    {"POST", "/api/v1/password-resets/confirm", userd_reset_confirm, NULL, true,
     NULL},
    /* me.c, leave.c, addresses.c */
    {"GET", "/api/v1/users/me", userd_me_get, NULL, false, NULL},
    {"PATCH", "/api/v1/users/me", userd_me_patch, NULL, false, NULL},
    {"DELETE", "/api/v1/users/me", userd_me_delete, NULL, false, NULL},
    {"GET", "/api/v1/users/me/addresses", userd_addresses_get, NULL, false,
     NULL},
    {"POST", "/api/v1/users/me/addresses", userd_addresses_post, NULL, false,
     NULL},
    {"PATCH", "/api/v1/users/me/addresses/*", userd_addresses_patch, NULL,
     false, NULL},
    {"DELETE", "/api/v1/users/me/addresses/*", userd_addresses_delete, NULL,
     false, NULL},
    /* wishes_http.c */
    {"GET", "/api/v1/users/me/wishes", userd_wishes_get, NULL, false, NULL},
    {"PUT", "/api/v1/users/me/wishes/*", userd_wishes_put, NULL, false, NULL},
    {"DELETE", "/api/v1/users/me/wishes/*", userd_wishes_delete_one, NULL,
     false, NULL},
    /* keys_http.c, mails_http.c: for speedyctl and maild, never led to by
       nginx */
    {"GET", "/internal/master-keys/*", userd_master_key_get, NULL, true, NULL},
    {"POST", "/internal/mails/*/render", userd_mail_render, NULL, true, NULL},
    /* address_http.c: for payd */
    {"GET", "/internal/users/*/addresses/*", userd_address_internal, NULL, true,
     NULL},
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
    /* staff.c, and the admin_… files: each of them inside userd_admin */
    {"POST", "/admin/sessions", userd_staff_login, NULL, true, NULL},
    {"POST", "/admin/sessions/refresh", userd_refresh_post, STAFF, true, NULL},
    {"DELETE", "/admin/sessions/current", userd_sessions_delete_current, STAFF,
     false, "VIEWER"},
    {"GET", "/admin/staff", userd_admin, &userd_admin_staff_list, false,
     "OWNER"},
    {"POST", "/admin/staff", userd_admin, &userd_admin_staff_add, false,
     "OWNER"},
    {"PATCH", "/admin/staff/*", userd_admin, &userd_admin_staff_change, false,
     "OWNER"},
    {"GET", "/admin/users", userd_admin, &userd_admin_users_find, false,
     "VIEWER"},
    {"GET", "/admin/users/*", userd_admin, &userd_admin_users_show, false,
     "CS"},
    {"POST", "/admin/users/*/block", userd_admin, &userd_admin_users_block,
     false, "OPERATOR"},
    {"POST", "/admin/users/*/unblock", userd_admin, &userd_admin_users_unblock,
     false, "OPERATOR"},
    {"GET", "/admin/audit-log", userd_admin, &userd_admin_audit_list, false,
     "OPERATOR"},
    {"GET", "/admin/mails", userd_admin, &userd_admin_mails_list, false,
     "VIEWER"},
    {"POST", "/admin/mails/*/retry", userd_admin, &userd_admin_mails_retry,
     false, "OPERATOR"},
    {.method = NULL},
};
