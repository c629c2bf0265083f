/*
 * Sessions: a login on one device, kept alive by refresh tokens that are used
 * once each, named as `sid` in every access token. Shoppers' and operators'
 * sessions differ by their kind alone.
 *
 * Whoever opens or ends an owner's sessions has that owner's row locked in
 * the same transaction: a password change and a login at one moment do not
 * miss each other.
 *
 * What ends a session is in force everywhere within a second; see ended.h
 * for what to call after the commit.
 */
#ifndef USERD_SESSIONS_H
#define USERD_SESSIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/db.h"
#include "../common/http_server.h"
#include "device.h"

#define USERD_SESSION_ID 24    /* s and 22 characters, and a NUL */
#define USERD_SESSION_OWNER 41 /* and its NUL */
#define USERD_SESSION_ROLE 11
#define USERD_REFRESH_BYTES 32
#define USERD_REFRESH_TEXT 44 /* base64url, and a NUL */

struct userd_session_settings {
    char *alg, *kid, *key, *issuer, *audience;
    char *origins;         /* words, besides shop_url */
    long token_life;       /* of access tokens */
    long life, staff_life; /* of sessions */
    long refresh_grace;
    long most; /* sessions of one owner */
    long login_tries, login_delay, login_delay_most;
};
extern struct userd_session_settings userd_session_settings;
/* clang-format off */
#define USERD_SESSION_SETTINGS                                                \
    {"userd", "token_alg", SPEEDY_CONF_TEXT,                                  \
     &userd_session_settings.alg, "HS256", 0, 0},                             \
    {"userd", "token_kid", SPEEDY_CONF_TEXT,                                  \
     &userd_session_settings.kid, "k1", 0, 0},                                \
    {"userd", "token_key", SPEEDY_CONF_TEXT,                                  \
     &userd_session_settings.key, "jwt-current", 0, 0},                       \
    {"userd", "token_issuer", SPEEDY_CONF_TEXT,                               \
     &userd_session_settings.issuer, "speedy", 0, 0},                         \
    {"userd", "token_audience", SPEEDY_CONF_TEXT,                             \
     &userd_session_settings.audience, "speedy", 0, 0},                       \
    {"userd", "token_ttl", SPEEDY_CONF_MSEC,                                  \
     &userd_session_settings.token_life, "15m", 1000, 900000},                \
    {"userd", "session_life", SPEEDY_CONF_MSEC,                               \
     &userd_session_settings.life, "720h", 60000, 31536000000},               \
    {"userd", "staff_session_life", SPEEDY_CONF_MSEC,                         \
     &userd_session_settings.staff_life, "12h", 60000, 86400000},             \
    {"userd", "refresh_grace", SPEEDY_CONF_MSEC,                              \
     &userd_session_settings.refresh_grace, "10s", 1000, 60000},              \
    {"userd", "sessions_most", SPEEDY_CONF_INT,                               \
     &userd_session_settings.most, "20", 1, 100},                             \
    {"userd", "origins", SPEEDY_CONF_TEXT,                                    \
     &userd_session_settings.origins, "", 0, 0},                              \
    {"userd", "login_tries", SPEEDY_CONF_INT,                                 \
     &userd_session_settings.login_tries, "5", 1, 100},                       \
    {"userd", "login_delay", SPEEDY_CONF_MSEC,                                \
     &userd_session_settings.login_delay, "5s", 100, 900000},                 \
    {"userd", "login_delay_most", SPEEDY_CONF_MSEC,                           \
     &userd_session_settings.login_delay_most, "15m", 100, 86400000}
/* clang-format on */

struct userd_session_kind {
    const char *name;          /* USER or STAFF, as in the table */
    const char *cookie, *path; /* of the refresh token */
    const long *life;          /* setting, ms */
    /* finds a row (owner's id, role) while the owner may have sessions */
    const char *owner_sql;
};
extern const struct userd_session_kind userd_shopper_sessions,
    userd_staff_sessions;

/* A session as it is answered; wiped by userd_session_answer. */
struct userd_session {
    const struct userd_session_kind *kind;
    char id[USERD_SESSION_ID + 18]; /* of a table's 40 characters */
    char owner[USERD_SESSION_OWNER], role[USERD_SESSION_ROLE];
    unsigned char refresh[USERD_REFRESH_BYTES];
    int64_t seconds; /* left of its life */
    long pushed_out; /* older sessions that were ended for it */
};

/*
 * Loads the keys (<secrets>/refresh-key and the one that signs) and starts
 * the duties of sessions: the signing key read anew, ended sessions into
 * Redis, old rows deleted. 0, or -1 after logging.
 */
int userd_sessions_start(void);
/* After the duties have ended. */
void userd_sessions_stop(void);

/*
 * Opens a session for an owner who proved who he is, within the caller's
 * transaction, and ends his oldest beyond the most. role: USER or a staff
 * role. agent: the User-Agent header or NULL. enum speedy_db_status.
 */
int userd_session_open(struct speedy_db *db,
                       const struct userd_session_kind *kind, const char *owner,
                       const char *role, const char *agent,
                       struct userd_session *s);
/*
 * After the commit: answers with status {access_token, token_type,
 * expires_in, session_id} and the cookie of the refresh token.
 */
void userd_session_answer(struct speedy_request *r, struct userd_session *s,
                          int status);

/*
 * Ends every session of this owner (a user's or staff id) within the caller's
 * transaction. reason: 1-20 of [a-z_]. enum speedy_db_status. After the
 * commit call userd_ended_publish().
 */
int userd_sessions_end_all(struct speedy_db *db, const char *owner,
                           const char *reason);
/* One session. enum speedy_db_status. */
int userd_session_end(struct speedy_db *db, const char *id, const char *reason);

/*
 * Routes; data of each is its kind. Refresh is for anyone (the cookie says
 * who), the others act on the caller's own.
 */
void userd_refresh_post(struct speedy_request *r, void *kind);
void userd_sessions_get(struct speedy_request *r, void *kind);
void userd_sessions_delete_all(struct speedy_request *r, void *kind);
void userd_sessions_delete_current(struct speedy_request *r, void *kind);
void userd_sessions_delete_one(struct speedy_request *r, void *kind);
/* POST /api/v1/sessions, PUT /api/v1/users/me/password */
void userd_login_post(struct speedy_request *r, void *data);
void userd_password_put(struct speedy_request *r, void *data);

/* --- between the files of sessions --- */

/* What tells one refresh token from another in the table. */
void userd_refresh_hash(const unsigned char token[USERD_REFRESH_BYTES],
                        unsigned char hash[32]);
/* The token that follows a token. */
void userd_refresh_successor(const unsigned char token[USERD_REFRESH_BYTES],
                             const unsigned char salt[32],
                             unsigned char next[USERD_REFRESH_BYTES]);
/* A row of refresh_tokens. enum speedy_db_status. */
int userd_refresh_insert(struct speedy_db *db, const struct userd_session *s);

/* Set-Cookie; the token, or none: the browser forgets it. */
void userd_cookie_set(struct speedy_request *r, const struct userd_session *s);
void userd_cookie_clear(struct speedy_request *r,
                        const struct userd_session_kind *kind);
/*
 * A browser says where a request comes from; another site's may carry the
 * cookie without its owner knowing. False when it was answered 403.
 */
bool userd_origin_allowed(struct speedy_request *r);

/* Duty: deletes a little of what is of no use. */
long userd_sessions_clean(void *db);

#endif
