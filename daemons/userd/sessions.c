/*
 * Opening, ending and answering sessions.
 *
 * The successor of a refresh token is a keyed digest of the token and of a
 * salt in its row: whoever lost the answer is given the same one again, and
 * neither stands anywhere.
 */
#include "sessions.h"

#include <stdio.h>
#include <string.h>

#include "../common/crypto.h"
#include "../common/log.h"
#include "../common/loop.h"
#include "../shop/staff.h"
#include "ended.h"
#include "tokens.h"
#include "userd.h"

#define SUCCESSOR "refresh"

struct userd_session_settings userd_session_settings;

const struct userd_session_kind userd_shopper_sessions = {
    .name = "USER",
    .cookie = "speedy_refresh",
    .path = "/api/v1/sessions",
    .life = &userd_session_settings.life,
    .owner_sql = "SELECT 1 FROM users WHERE id = ? AND state = 'ACTIVE'"
                 " AND ? = 'USER'",
};
const struct userd_session_kind userd_staff_sessions = {
    .name = "STAFF",
    .cookie = "speedy_staff_refresh",
    .path = "/admin/sessions",
    .life = &userd_session_settings.staff_life,
    .owner_sql = "SELECT 1 FROM staff WHERE id = ? AND state = 'ACTIVE'"
                 " AND role = ?",
};

static unsigned char refresh_key[SPEEDY_SECRET_KEY];
static struct {
    struct userd_ended *ended;
    struct speedy_db *clean;
} duties;

int userd_sessions_start(void)
{
    if (speedy_secret_key("refresh-key", refresh_key) != 0 ||
        userd_tokens_load() != 0)
        return -1;
    duties.ended = userd_ended_new();
    duties.clean = speedy_db_new("userd");
    if (duties.ended == NULL || duties.clean == NULL)
        return -1;
    if (speedy_duty_start("signing-key", userd_tokens_turn, NULL) != 0 ||
        speedy_duty_start("ended", userd_ended_turn, duties.ended) != 0)
        return -1;
    return speedy_duty_start("clean-sessions", userd_sessions_clean,
                             duties.clean);
}

void userd_sessions_stop(void)
{
    userd_ended_free(duties.ended);
    speedy_db_free(duties.clean);
    userd_tokens_free();
    explicit_bzero(refresh_key, sizeof(refresh_key));
}

void userd_refresh_hash(const unsigned char token[USERD_REFRESH_BYTES],
                        unsigned char hash[32])
{
    speedy_sha256(token, USERD_REFRESH_BYTES, hash);
}

void userd_refresh_successor(const unsigned char token[USERD_REFRESH_BYTES],
                             const unsigned char salt[32],
                             unsigned char next[USERD_REFRESH_BYTES])
{
    unsigned char text[sizeof(SUCCESSOR) - 1 + USERD_REFRESH_BYTES + 32];

    memcpy(text, SUCCESSOR, sizeof(SUCCESSOR) - 1);
    memcpy(text + sizeof(SUCCESSOR) - 1, token, USERD_REFRESH_BYTES);
    memcpy(text + sizeof(SUCCESSOR) - 1 + USERD_REFRESH_BYTES, salt, 32);
    speedy_hmac_sha256(refresh_key, sizeof(refresh_key), text, sizeof(text),
                       next);
    explicit_bzero(text, sizeof(text));
}

int userd_refresh_insert(struct speedy_db *db, const struct userd_session *s)
{
    unsigned char hash[32], salt[32];

    userd_refresh_hash(s->refresh, hash);
    speedy_random(salt, sizeof(salt));
    return speedy_db_exec(
        db,
        "INSERT INTO refresh_tokens (token_hash, session_id, salt, expires_at)"
        " SELECT ?, id, ?, expires_at FROM sessions WHERE id = ?",
        DB_ARGS(DB_BYTES(hash, sizeof(hash)), DB_BYTES(salt, sizeof(salt)),
                DB_TEXT(s->id)),
        NULL);
}

struct surplus {
    struct speedy_db *db;
    int rc;
    long ended;
};

static int on_surplus(void *data, const struct speedy_db_value *col,
                      size_t cols)
{
    struct surplus *x = data;

    (void)cols;
    x->rc = userd_session_end(x->db, col[0].bytes, "too_many");
    x->ended++;
    return x->rc != SPEEDY_DB_OK;
}

/* Those that were not used for the longest time give way to the new one. */
static int surplus_end(struct speedy_db *db, struct userd_session *s)
{
    struct surplus x = {.db = db};
    int rc;

    rc = speedy_db_query(
        db,
        "SELECT id FROM sessions WHERE owner_id = ? AND ended_at IS NULL"
        " AND expires_at > NOW(3) AND id <> ? ORDER BY seen_at DESC, id DESC"
        " LIMIT 1000 OFFSET ?",
        DB_ARGS(DB_TEXT(s->owner), DB_TEXT(s->id),
                DB_INT(userd_session_settings.most - 1)),
        on_surplus, &x);
    s->pushed_out = x.ended;
    return rc != SPEEDY_DB_OK ? rc : x.rc;
}

int userd_session_open(struct speedy_db *db,
                       const struct userd_session_kind *kind, const char *owner,
                       const char *role, const char *agent,
                       struct userd_session *s)
{
    char device[USERD_DEVICE_SIZE];
    unsigned char noise[16];
    int rc;

    memset(s, 0, sizeof(*s));
    s->kind = kind;
    s->seconds = *kind->life / 1000;
    snprintf(s->owner, sizeof(s->owner), "%s", owner);
    snprintf(s->role, sizeof(s->role), "%s", role);
    speedy_random(noise, sizeof(noise));
    s->id[0] = 's';
    speedy_base64url(noise, sizeof(noise), s->id + 1);
    speedy_random(s->refresh, sizeof(s->refresh));
    userd_device_label(agent, device);
    rc = speedy_db_exec(
        db,
        "INSERT INTO sessions (id, kind, owner_id, role, device, created_at,"
        " seen_at, expires_at) VALUES (?, ?, ?, ?, ?, NOW(3), NOW(3),"
        " NOW(3) + INTERVAL ? SECOND)",
        DB_ARGS(DB_TEXT(s->id), DB_TEXT(kind->name), DB_TEXT(s->owner),
                DB_TEXT(s->role), DB_TEXT(device), DB_INT(s->seconds)),
        NULL);
    if (rc == SPEEDY_DB_OK)
        rc = userd_refresh_insert(db, s);
    if (rc == SPEEDY_DB_OK)
        rc = surplus_end(db, s);
    return rc;
}

void userd_session_answer(struct speedy_request *r, struct userd_session *s,
                          int status)
{
    if (s->pushed_out > 0)
        userd_ended_publish();
    r->status = status;
    speedy_buf_printf(&r->out, "{\"access_token\":\"");
    userd_token_sign(s->owner, s->id, s->role, &r->out);
    speedy_buf_printf(&r->out,
                      "\",\"token_type\":\"Bearer\",\"expires_in\":%ld,"
                      "\"session_id\":\"%s\"}\n",
                      userd_session_settings.token_life / 1000, s->id);
    userd_cookie_set(r, s);
    userd_no_store(r);
    explicit_bzero(s->refresh, sizeof(s->refresh));
}

int userd_session_end(struct speedy_db *db, const char *id, const char *reason)
{
    return speedy_db_exec(db,
                          "UPDATE sessions SET ended_at = NOW(3),"
                          " end_reason = ? WHERE id = ? AND ended_at IS NULL",
                          DB_ARGS(DB_TEXT(reason), DB_TEXT(id)), NULL);
}

int userd_sessions_end_all(struct speedy_db *db, const char *owner,
                           const char *reason)
{
    return speedy_sessions_end_of(db, owner, reason, NULL);
}
