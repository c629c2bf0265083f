/*
 * POST …/sessions/refresh: a refresh token for the next one and an access
 * token.
 *
 * The row of the session is locked first, so the tokens of one family are
 * judged one after the other. A token is used by one UPDATE that finds it
 * unused; found used, it is answered with the same successor for a few
 * seconds (a lost answer, two tabs), and after that it is taken for stolen:
 * the family ends.
 */
#include <stdio.h>
#include <string.h>

#include "../common/crypto.h"
#include "../common/log.h"
#include "../common/stores.h"
#include "ended.h"
#include "sessions.h"
#include "userd.h"

#define TRIES 3

enum verdict {
    RENEWED,
    INVALID, /* no such token */
    ENDED,   /* its session ended before, or is over */
    LOST,    /* its owner may have none: it ended by this */
    REUSED   /* and it ended by this */
};

struct refresh {
    struct speedy_db *db;
    const struct userd_session_kind *kind;
    unsigned char token[USERD_REFRESH_BYTES], hash[32], salt[32];
    struct userd_session s;
    bool found, alive;
    enum verdict verdict;
};

static int on_token(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct refresh *f = data;

    (void)cols;
    if (col[1].len != sizeof(f->salt))
        return 1;
    f->found = true;
    snprintf(f->s.id, sizeof(f->s.id), "%s", (const char *)col[0].bytes);
    memcpy(f->salt, col[1].bytes, sizeof(f->salt));
    return 1;
}

static int on_session(void *data, const struct speedy_db_value *col,
                      size_t cols)
{
    struct refresh *f = data;

    (void)cols;
    f->alive = col[2].number == 1;
    f->s.seconds = col[3].number;
    snprintf(f->s.owner, sizeof(f->s.owner), "%s", (const char *)col[0].bytes);
    snprintf(f->s.role, sizeof(f->s.role), "%s", (const char *)col[1].bytes);
    return 1;
}

static int session_lock(struct refresh *f)
{
    int rc;

    f->alive = false;
    f->s.owner[0] = '\0';
    rc = speedy_db_query(
        f->db,
        "SELECT owner_id, role, ended_at IS NULL AND expires_at > NOW(3),"
        " TIMESTAMPDIFF(SECOND, NOW(3), expires_at) FROM sessions"
        " WHERE id = ? AND kind = ? FOR UPDATE",
        DB_ARGS(DB_TEXT(f->s.id), DB_TEXT(f->kind->name)), on_session, f);
    if (rc == SPEEDY_DB_OK && f->s.owner[0] == '\0')
        f->found = false; /* an operator's token is none of a shopper's */
    return rc;
}

/* An owner who may not have sessions any more ends this one. */
static int owner_check(struct refresh *f)
{
    int64_t one;
    int rc = speedy_db_number(f->db, f->kind->owner_sql,
                              DB_ARGS(DB_TEXT(f->s.owner), DB_TEXT(f->s.role)),
                              &one);

    if (rc < 0)
        return rc;
    if (rc == 1)
        return SPEEDY_DB_OK;
    f->alive = false;
    f->verdict = LOST;
    return userd_session_end(f->db, f->s.id, "owner_ended");
}

/* First use: the successor's row. */
static int renew(struct refresh *f)
{
    int rc = userd_refresh_insert(f->db, &f->s);

    if (rc != SPEEDY_DB_OK)
        return rc;
    return speedy_db_exec(f->db,
                          "UPDATE sessions SET seen_at = NOW(3) WHERE id = ?",
                          DB_ARGS(DB_TEXT(f->s.id)), NULL);
}

static int used_before(struct refresh *f)
{
    int64_t fresh = 0;
    int rc;

    rc = speedy_db_number(
        f->db,
        "SELECT used_at >= NOW(3) - INTERVAL ? * 1000 MICROSECOND"
        " FROM refresh_tokens WHERE token_hash = ?",
        DB_ARGS(DB_INT(userd_session_settings.refresh_grace),
                DB_BYTES(f->hash, sizeof(f->hash))),
        &fresh);
    if (rc < 0)
        return rc;
    if (rc == 0)
        f->verdict = INVALID;
    else if (fresh != 1)
        f->verdict = REUSED;
    if (f->verdict != REUSED)
        return SPEEDY_DB_OK;
    return userd_session_end(f->db, f->s.id, "refresh_reused");
}

/* With the session locked and alive. */
static int token_use(struct refresh *f)
{
    long affected = 0;
    int rc;

    userd_refresh_successor(f->token, f->salt, f->s.refresh);
    rc = speedy_db_exec(f->db,
                        "UPDATE refresh_tokens SET used_at = NOW(3)"
                        " WHERE token_hash = ? AND used_at IS NULL",
                        DB_ARGS(DB_BYTES(f->hash, sizeof(f->hash))), &affected);
    if (rc != SPEEDY_DB_OK)
        return rc;
    f->verdict = RENEWED;
    return affected == 1 ? renew(f) : used_before(f);
}

/* enum speedy_db_status; OK: the verdict stands. */
static int refresh_run(struct refresh *f)
{
    int rc;

    f->found = false;
    rc = speedy_db_query(f->db,
                         "SELECT session_id, salt FROM refresh_tokens"
                         " WHERE token_hash = ?",
                         DB_ARGS(DB_BYTES(f->hash, sizeof(f->hash))), on_token,
                         f);
    f->verdict = INVALID;
    if (rc != SPEEDY_DB_OK || !f->found)
        return rc;
    rc = speedy_db_begin(f->db);
    if (rc == SPEEDY_DB_OK)
        rc = session_lock(f);
    if (rc == SPEEDY_DB_OK && f->found)
        f->verdict = ENDED;
    if (rc == SPEEDY_DB_OK && f->found && f->alive)
        rc = owner_check(f);
    if (rc == SPEEDY_DB_OK && f->found && f->alive)
        rc = token_use(f);
    if (rc == SPEEDY_DB_OK)
        return speedy_db_commit(f->db);
    speedy_db_rollback(f->db);
    return rc;
}

static void refuse(struct speedy_request *r, const struct refresh *f,
                   const char *code, const char *title)
{
    speedy_problem(r, 401, code, title);
    userd_cookie_clear(r, f->kind);
}

static void answer(struct speedy_request *r, struct refresh *f)
{
    switch (f->verdict) {
    case RENEWED:
        userd_session_answer(r, &f->s, 200);
        break;
    case INVALID:
        refuse(r, f, "refresh_invalid", "Log in again.");
        break;
    case LOST:
        userd_ended_publish();
        /* fall through */
    case ENDED:
        refuse(r, f, "session_ended", "This session has ended. Log in again.");
        break;
    case REUSED:
        speedy_log(SPEEDY_WARN, "a refresh token was used again",
                   "session=%s owner=%s request_id=%s", f->s.id, f->s.owner,
                   r->request_id);
        userd_ended_publish();
        refuse(r, f, "refresh_reused",
               "This session was used from two places and has ended.");
        break;
    }
}

/* The token of the cookie: 0, or -1 when there is none that could be one. */
static int token_read(struct speedy_request *r, struct refresh *f)
{
    const char *text = speedy_request_cookie(r, f->kind->cookie);

    return text != NULL &&
                   speedy_unbase64url(text, strlen(text), f->token,
                                      sizeof(f->token)) == sizeof(f->token)
               ? 0
               : -1;
}

static bool body_empty(struct speedy_request *r)
{
    static const char *const none[] = {NULL};

    return r->body_len == 0 || speedy_body_parse(r, none) != NULL;
}

void userd_refresh_post(struct speedy_request *r, void *kind)
{
    struct refresh f = {.kind = kind};
    struct speedy_stores *stores;
    int rc = SPEEDY_DB_RETRY;

    if (!userd_no_query(r) || !userd_origin_allowed(r) || !body_empty(r))
        return;
    f.s.kind = kind;
    if (token_read(r, &f) != 0) {
        f.verdict = INVALID;
        answer(r, &f);
        return;
    }
    userd_refresh_hash(f.token, f.hash);
    stores = speedy_stores_take();
    if (stores == NULL) {
        userd_unavailable(r);
        return;
    }
    f.db = stores->db;
    for (int i = 0; i < TRIES && rc == SPEEDY_DB_RETRY; i++)
        rc = refresh_run(&f);
    speedy_stores_give(stores);
    if (rc == SPEEDY_DB_OK)
        answer(r, &f);
    else
        userd_unavailable(r);
    explicit_bzero(&f, sizeof(f));
}
