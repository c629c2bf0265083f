/*
 * Mailed codes and links.
 */
#include "codes.h"

#include <stdio.h>
#include <string.h>

#include "../common/conf.h"
#include "../common/crypto.h"
#include "userd.h"

#define CODES_MOST 5 /* of one verification: its mail may be written again */
#define CODE_NUMBERS 1000000

static unsigned char code_key[SPEEDY_SECRET_KEY];

int userd_code_key_load(void)
{
    return speedy_secret_key("code-key", code_key);
}

void userd_code_key_wipe(void)
{
    explicit_bzero(code_key, sizeof(code_key));
}

static void code_mac(const char *code,
                     const unsigned char email_index[SPEEDY_BLIND_INDEX],
                     const char *purpose, unsigned char mac[32])
{
    char text[USERD_CODE_SIZE + 2 * SPEEDY_BLIND_INDEX + 16];
    char hex[2 * SPEEDY_BLIND_INDEX + 1];
    int n;

    speedy_hex(email_index, SPEEDY_BLIND_INDEX, hex);
    n = snprintf(text, sizeof(text), "%s|%s|%s", code, hex, purpose);
    speedy_hmac_sha256(code_key, sizeof(code_key), text, (size_t)n, mac);
    explicit_bzero(text, sizeof(text));
}

/* --- a new code --- */

static int code_insert(struct speedy_db *db, const struct userd_verification *v,
                       int64_t n, const unsigned char mac[32],
                       const unsigned char link_hash[32])
{
    int rc = speedy_db_exec(
        db,
        "INSERT INTO verification_codes (verification_id, n, code_mac,"
        " link_hash) VALUES (?, ?, ?, ?)",
        DB_ARGS(DB_BYTES(v->id, sizeof(v->id)), DB_INT(n), DB_BYTES(mac, 32),
                DB_BYTES(link_hash, 32)),
        NULL);

    if (rc != SPEEDY_DB_OK)
        return rc;
    rc = speedy_db_exec(
        db,
        "DELETE FROM verification_codes WHERE verification_id = ? AND n <= ?",
        DB_ARGS(DB_BYTES(v->id, sizeof(v->id)), DB_INT(n - CODES_MOST)), NULL);
    if (rc != SPEEDY_DB_OK)
        return rc;
    return speedy_db_exec(db,
                          "UPDATE verifications SET expires_at ="
                          " CURRENT_TIMESTAMP(3) + INTERVAL ? MICROSECOND"
                          " WHERE id = ?",
                          DB_ARGS(DB_INT(userd_settings.code_life * 1000),
                                  DB_BYTES(v->id, sizeof(v->id))),
                          NULL);
}

int userd_code_make(struct speedy_db *db, const struct userd_verification *v,
                    const char *purpose, char code[USERD_CODE_SIZE],
                    char link[USERD_TOKEN_SIZE])
{
    unsigned char token[USERD_TOKEN], mac[32], hash[32];
    int64_t n = 0;
    int rc =
        speedy_db_number(db,
                         "SELECT COALESCE(MAX(n), 0) FROM verification_codes"
                         " WHERE verification_id = ?",
                         DB_ARGS(DB_BYTES(v->id, sizeof(v->id))), &n);

    if (rc < 0)
        return rc;
    snprintf(code, USERD_CODE_SIZE, "%06u",
             (unsigned)(speedy_random_below(CODE_NUMBERS) % CODE_NUMBERS));
    code_mac(code, v->email_index, purpose, mac);
    speedy_random(token, sizeof(token));
    speedy_base64url(token, sizeof(token), link);
    speedy_sha256(token, sizeof(token), hash);
    explicit_bzero(token, sizeof(token));
    return code_insert(db, v, n + 1, mac, hash);
}

/* --- judging --- */

struct found {
    struct userd_verification *v;
    const unsigned char *mac; /* of the code that was sent */
    bool there, confirmed, match, alive;
};

static void verification_take(struct found *f,
                              const struct speedy_db_value *col)
{
    f->there = true;
    memcpy(f->v->id, col[0].bytes, sizeof(f->v->id));
    memcpy(f->v->email_index, col[1].bytes, sizeof(f->v->email_index));
    snprintf(f->v->user_id, sizeof(f->v->user_id), "%s",
             col[2].kind == SPEEDY_DB_NULL ? "" : (const char *)col[2].bytes);
    f->confirmed = col[3].number != 0;
}

static int on_verification(void *data, const struct speedy_db_value *col,
                           size_t cols)
{
    (void)cols;
    verification_take(data, col);
    return 1;
}

/* Every code is compared, whatever the others said. */
static int on_code(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct found *f = data;
    bool same = speedy_equal(col[0].bytes, f->mac, 32);

    (void)cols;
    f->match |= same;
    f->alive |= same && col[1].number != 0;
    return 0;
}

static int newest(struct speedy_db *db, const char *purpose,
                  const unsigned char email_index[SPEEDY_BLIND_INDEX],
                  struct found *f)
{
    return speedy_db_query(
        db,
        "SELECT id, email_index, user_id, confirmed_at IS NOT NULL"
        " FROM verifications WHERE email_index = ? AND purpose = ?"
        " ORDER BY created_at DESC, id DESC LIMIT 1",
        DB_ARGS(DB_BYTES(email_index, SPEEDY_BLIND_INDEX), DB_TEXT(purpose)),
        on_verification, f);
}

/* 1: judge it; 0: no try is left; else a status. */
static int try_take(struct speedy_db *db, const unsigned char id[16])
{
    long taken;
    int rc = speedy_db_exec(
        db,
        "UPDATE verifications SET tries = tries + 1"
        " WHERE id = ? AND tries < ?",
        DB_ARGS(DB_BYTES(id, 16), DB_INT(userd_settings.code_tries)), &taken);

    return rc == SPEEDY_DB_OK ? taken == 1 : rc;
}

static int verdict(const struct found *f)
{
    if (!f->match)
        return USERD_CODE_WRONG;
    if (f->confirmed)
        return USERD_CODE_USED;
    return f->alive ? USERD_CODE_RIGHT : USERD_CODE_EXPIRED;
}

int userd_code_judge(struct speedy_db *db, const char *purpose,
                     const unsigned char email_index[SPEEDY_BLIND_INDEX],
                     const char *code, struct userd_verification *v)
{
    unsigned char mac[32];
    struct found f = {.v = v, .mac = mac};
    int rc;

    code_mac(code, email_index, purpose, mac);
    rc = newest(db, purpose, email_index, &f);
    if (rc != SPEEDY_DB_OK)
        return rc;
    if (!f.there)
        return USERD_CODE_WRONG;
    rc = try_take(db, v->id);
    if (rc <= 0)
        return rc == 0 ? USERD_CODE_NO_TRIES : rc;
    rc = speedy_db_query(db,
                         "SELECT code_mac, created_at + INTERVAL ? MICROSECOND"
                         " > CURRENT_TIMESTAMP(3) FROM verification_codes"
                         " WHERE verification_id = ?",
                         DB_ARGS(DB_INT(userd_settings.code_life * 1000),
                                 DB_BYTES(v->id, sizeof(v->id))),
                         on_code, &f);
    return rc == SPEEDY_DB_OK ? verdict(&f) : rc;
}

static int on_link(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct found *f = data;

    (void)cols;
    verification_take(f, col);
    f->match = true;
    f->alive = col[4].number != 0;
    return 1;
}

int userd_link_judge(struct speedy_db *db, const char *purpose,
                     const char *link, struct userd_verification *v)
{
    unsigned char token[USERD_TOKEN], hash[32];
    struct found f = {.v = v};
    int rc;

    if (speedy_unbase64url(link, strlen(link), token, sizeof(token)) !=
        sizeof(token))
        return USERD_CODE_WRONG;
    speedy_sha256(token, sizeof(token), hash);
    rc = speedy_db_query(
        db,
        "SELECT v.id, v.email_index, v.user_id, v.confirmed_at IS NOT NULL,"
        " c.created_at + INTERVAL ? MICROSECOND > CURRENT_TIMESTAMP(3)"
        " FROM verification_codes c"
        " JOIN verifications v ON v.id = c.verification_id"
        " WHERE c.link_hash = ? AND v.purpose = ?",
        DB_ARGS(DB_INT(userd_settings.code_life * 1000),
                DB_BYTES(hash, sizeof(hash)), DB_TEXT(purpose)),
        on_link, &f);
    return rc == SPEEDY_DB_OK ? verdict(&f) : rc;
}

void userd_code_return(struct speedy_db *db, const struct userd_verification *v)
{
    speedy_db_exec(db,
                   "UPDATE verifications SET tries = tries - 1"
                   " WHERE id = ? AND tries > 0",
                   DB_ARGS(DB_BYTES(v->id, sizeof(v->id))), NULL);
}

int userd_code_confirm(struct speedy_db *db, const struct userd_verification *v,
                       const unsigned char hash[32])
{
    long changed;
    int rc = speedy_db_exec(
        db,
        "UPDATE verifications SET confirmed_at = CURRENT_TIMESTAMP(3),"
        " used_at = IF(? IS NULL, CURRENT_TIMESTAMP(3), NULL),"
        " proof_hash = ?, proof_expires_at ="
        " CURRENT_TIMESTAMP(3) + INTERVAL ? MICROSECOND"
        " WHERE id = ? AND confirmed_at IS NULL",
        DB_ARGS(hash == NULL ? DB_NULL : DB_BYTES(hash, 32),
                hash == NULL ? DB_NULL : DB_BYTES(hash, 32),
                DB_INT(userd_settings.proof_life * 1000),
                DB_BYTES(v->id, sizeof(v->id))),
        &changed);

    if (rc != SPEEDY_DB_OK)
        return rc;
    return changed == 1 ? USERD_CODE_RIGHT : USERD_CODE_USED;
}

int userd_resets_void(struct speedy_db *db, const char *user_id)
{
    return speedy_db_exec(
        db,
        "UPDATE verifications v JOIN users u ON u.email_index = v.email_index"
        " SET v.confirmed_at = CURRENT_TIMESTAMP(3),"
        " v.used_at = CURRENT_TIMESTAMP(3)"
        " WHERE u.id = ? AND v.purpose = 'reset' AND v.confirmed_at IS NULL",
        DB_ARGS(DB_TEXT(user_id)), NULL);
}
