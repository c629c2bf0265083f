/*
 * POST /api/v1/sessions {email, password} → 201.
 *
 * Of an address that nobody has, of a wrong password and of an ended account
 * the answer, the statements and the work are the same. Only who knows the
 * password is told that an account is blocked.
 */
#include <stdio.h>
#include <string.h>

#include "../common/log.h"
#include "../common/stores.h"
#include "body.h"
#include "email.h"
#include "hasher.h"
#include "sessions.h"
#include "throttle.h"
#include "userd.h"

#define TRIES 3

struct login {
    struct speedy_db *db;
    const char *password, *agent;
    char email[USERD_EMAIL_MAX + 1];
    unsigned char subject[USERD_SUBJECT];
    /* the account, "" when there is none */
    char user[USERD_SESSION_OWNER], hash[USERD_HASH_SIZE], state[11];
    char renewed[USERD_HASH_SIZE]; /* a hash of today's cost, or "" */
    struct userd_session s;
};

static int on_user(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct login *l = data;

    (void)cols;
    snprintf(l->user, sizeof(l->user), "%s", (const char *)col[0].bytes);
    snprintf(l->state, sizeof(l->state), "%s", (const char *)col[1].bytes);
    snprintf(l->hash, sizeof(l->hash), "%s",
             col[2].kind == SPEEDY_DB_NULL ? "" : (const char *)col[2].bytes);
    return 1;
}

static int user_find(struct login *l)
{
    unsigned char index[SPEEDY_BLIND_INDEX];
    int rc;

    speedy_blind_index("email", l->email, index);
    l->user[0] = l->hash[0] = l->state[0] = '\0';
    rc = speedy_db_query(l->db,
                         "SELECT id, state, password_hash FROM users"
                         " WHERE email_index = ?",
                         DB_ARGS(DB_BYTES(index, sizeof(index))), on_user, l);
    return rc;
}

static void credentials_invalid(struct speedy_request *r)
{
    speedy_problem(r, 401, "credentials_invalid",
                   "The address or the password is wrong.");
}

static void later(struct speedy_request *r, long seconds)
{
    speedy_problem_retry(r, 429, "login_later",
                         "Too many wrong passwords. Try again later.", seconds);
}

/*
 * Opens the session if the account is still as it was when the password was
 * judged. enum speedy_db_status; REFUSED when it is not.
 */
static int open_once(struct login *l)
{
    struct login now = {0};
    int rc = speedy_db_begin(l->db);

    if (rc == SPEEDY_DB_OK)
        rc = speedy_db_query(l->db,
                             "SELECT id, state, password_hash FROM users"
                             " WHERE id = ? FOR UPDATE",
                             DB_ARGS(DB_TEXT(l->user)), on_user, &now);
    if (rc == SPEEDY_DB_OK &&
        (strcmp(now.state, "ACTIVE") != 0 || strcmp(now.hash, l->hash) != 0))
        rc = SPEEDY_DB_REFUSED;
    if (rc == SPEEDY_DB_OK && l->renewed[0] != '\0')
        rc = speedy_db_exec(
            l->db, "UPDATE users SET password_hash = ? WHERE id = ?",
            DB_ARGS(DB_TEXT(l->renewed), DB_TEXT(l->user)), NULL);
    if (rc == SPEEDY_DB_OK)
        rc = userd_session_open(l->db, &userd_shopper_sessions, l->user, "USER",
                                l->agent, &l->s);
    if (rc == SPEEDY_DB_OK)
        return speedy_db_commit(l->db);
    speedy_db_rollback(l->db);
    return rc;
}

static void open_session(struct speedy_request *r, struct login *l)
{
    int rc = SPEEDY_DB_RETRY;

    for (int i = 0; i < TRIES && rc == SPEEDY_DB_RETRY; i++)
        rc = open_once(l);
    if (rc == SPEEDY_DB_REFUSED) {
        credentials_invalid(r);
    } else if (rc != SPEEDY_DB_OK) {
        userd_unavailable(r);
    } else {
        userd_throttle_clear(l->db, l->subject);
        userd_session_answer(r, &l->s, 201);
    }
}

/* The password was judged: l->db is ours again. */
static void judged(struct speedy_request *r, struct login *l,
                   enum userd_hash_result result)
{
    switch (result) {
    case USERD_HASH_OK:
        if (strcmp(l->state, "ACTIVE") == 0) {
            open_session(r, l);
            return;
        }
        userd_throttle_clear(l->db, l->subject);
        speedy_problem(r, 403, "account_blocked", "This account is blocked.");
        return;
    case USERD_HASH_NO:
        credentials_invalid(r);
        return;
    case USERD_HASH_BUSY:
        userd_throttle_return(l->db, l->subject);
        userd_busy(r);
        return;
    case USERD_HASH_FAILED:
        userd_throttle_return(l->db, l->subject);
        userd_unavailable(r);
        return;
    }
}

/* 0: l is filled and the try is counted; -1: answered. */
static int prepare(struct speedy_request *r, struct login *l)
{
    struct speedy_stores *stores = speedy_stores_take();
    long seconds = 0;
    int rc = SPEEDY_DB_RETRY;

    if (stores != NULL) {
        l->db = stores->db;
        rc = userd_throttle_take(l->db, l->subject, &seconds);
        if (rc == 1)
            rc = user_find(l) == SPEEDY_DB_OK ? 1 : SPEEDY_DB_RETRY;
        speedy_stores_give(stores);
    }
    if (rc == 1)
        return 0;
    if (rc == 0)
        later(r, seconds);
    else
        userd_unavailable(r);
    return -1;
}

/* No connection is held while the password waits for its turn. */
static void login(struct speedy_request *r, struct login *l)
{
    enum userd_hash_result result;
    struct speedy_stores *stores;
    bool stale = false;

    if (prepare(r, l) != 0)
        return;
    result = userd_verify_password(l->password,
                                   l->hash[0] == '\0' ? NULL : l->hash, &stale);
    if (stale && userd_hash_password(l->password, l->renewed) != USERD_HASH_OK)
        l->renewed[0] = '\0';
    stores = speedy_stores_take();
    if (stores == NULL) {
        userd_unavailable(r);
        return;
    }
    l->db = stores->db;
    judged(r, l, result);
    speedy_stores_give(stores);
}

void userd_login_post(struct speedy_request *r, void *data)
{
    struct userd_field fields[] = {
        {"email", SPEEDY_JSON_TEXT, USERD_REQUIRED, "email_invalid", NULL},
        {"password", SPEEDY_JSON_TEXT, USERD_REQUIRED, NULL, NULL},
        {NULL, SPEEDY_JSON_NULL, NULL, NULL, NULL},
    };
    struct login l = {0};
    struct userd_errors errors;
    const char *email;

    (void)data;
    if (!userd_no_query(r) || !userd_origin_allowed(r) ||
        userd_body_read(r, &errors, fields) != 0)
        return;
    email = userd_field_text(&fields[0]);
    if (email != NULL && userd_email_normalise(email, l.email) != 0)
        userd_error_add(&errors, "/email", "email_invalid");
    if (userd_refused(r, &errors))
        return;
    userd_throttle_subject("login", l.email, l.subject);
    l.password = userd_field_text(&fields[1]);
    l.agent = speedy_request_header(r, "User-Agent");
    login(r, &l);
    explicit_bzero(&l, sizeof(l));
}
