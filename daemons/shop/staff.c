/*
 * Rows of `staff`. The sealed column is `sealed_totp`, its row the id's text.
 */
#include "staff.h"

#include <string.h>

#include "../common/crypto.h"

#define SEALED (SPEEDY_TOTP_SECRET + SPEEDY_SEAL_EXTRA)
#define ID_BYTES 12
#define GROUPS 4
#define GROUP 5

struct owners {
    const char *id; /* who is not counted */
    long others;
};

static struct speedy_seal_place place_of(const char *id);
static int owner_row(void *data, const struct speedy_db_value *col,
                     size_t cols);
static int key_row(void *data, const struct speedy_db_value *col, size_t cols);

bool speedy_staff_login_valid(const char *login)
{
    size_t len = strlen(login);

    return len >= 2 && len < SPEEDY_STAFF_LOGIN && login[0] >= 'a' &&
           login[0] <= 'z' &&
           strspn(login, "abcdefghijklmnopqrstuvwxyz0123456789._-") == len;
}

void speedy_staff_password_make(char out[SPEEDY_STAFF_PASSWORD])
{
    /* 32 signs that nobody takes for another: no 0 o 1 l */
    static const char signs[] = "abcdefghijkmnpqrstuvwxyz23456789";
    unsigned char raw[GROUPS * GROUP];

    speedy_random(raw, sizeof(raw));
    for (size_t i = 0; i < sizeof(raw); i++) {
        if (i > 0 && i % GROUP == 0)
            *out++ = '-';
        *out++ = signs[raw[i] & 31];
    }
    *out = '\0';
    explicit_bzero(raw, sizeof(raw));
}

int speedy_staff_insert(struct speedy_db *db, struct speedy_staff_new *s)
{
    unsigned char raw[ID_BYTES], wrapped[SPEEDY_WRAPPED_KEY], sealed[SEALED];
    struct speedy_seal_place at;
    struct speedy_data_key k;

    speedy_random(raw, sizeof(raw));
    s->id[0] = 't';
    speedy_base64url(raw, sizeof(raw), s->id + 1);
    at = place_of(s->id);
    speedy_random(s->totp, sizeof(s->totp));
    speedy_data_key_new(&k, at.table, at.row, at.row_len, wrapped);
    speedy_seal(&k, &at, s->totp, sizeof(s->totp), sealed);
    speedy_data_key_wipe(&k);
    return speedy_db_exec(
        db,
        "INSERT INTO staff (id, login, role, password_hash, sealed_totp,"
        " data_key, master_key) VALUES (?, ?, ?, ?, ?, ?, ?)",
        DB_ARGS(DB_TEXT(s->id), DB_TEXT(s->login), DB_TEXT(s->role),
                DB_TEXT(s->password_hash), DB_BYTES(sealed, sizeof(sealed)),
                DB_BYTES(wrapped, sizeof(wrapped)),
                DB_TEXT(speedy_seal_master())),
        NULL);
}

int speedy_staff_totp_open(const char *id, const struct speedy_db_value *sealed,
                           const struct speedy_db_value *data_key,
                           const char *master,
                           unsigned char totp[SPEEDY_TOTP_SECRET])
{
    const struct speedy_seal_place at = place_of(id);
    unsigned char plain[SPEEDY_TOTP_SECRET + 1];
    struct speedy_data_key k;
    long n = -1;

    if (sealed->kind != SPEEDY_DB_BYTES || sealed->len != SEALED)
        return -1;
    if (speedy_data_key_open(&k, at.table, at.row, at.row_len, master,
                             data_key->bytes, data_key->len) != 0)
        return -1;
    n = speedy_unseal(&k, &at, sealed->bytes, sealed->len, plain);
    if (n == SPEEDY_TOTP_SECRET)
        memcpy(totp, plain, SPEEDY_TOTP_SECRET);
    speedy_data_key_wipe(&k);
    explicit_bzero(plain, sizeof(plain));
    return n == SPEEDY_TOTP_SECRET ? 0 : -1;
}

/* The data key of a row, while it is read. */
struct row_key {
    const char *id;
    struct speedy_data_key key;
    int found; /* 1 opened, -1 it could not be */
};

int speedy_staff_renew(struct speedy_db *db, const char *id,
                       const char *password_hash,
                       unsigned char totp[SPEEDY_TOTP_SECRET])
{
    const struct speedy_seal_place at = place_of(id);
    struct row_key k = {.id = id};
    unsigned char sealed[SEALED];
    int n;

    n = speedy_db_query(
        db, "SELECT data_key, master_key FROM staff WHERE id = ? FOR UPDATE",
        DB_ARGS(DB_TEXT(id)), key_row, &k);
    if (n != SPEEDY_DB_OK)
        return n;
    if (k.found != 1)
        return k.found == 0 ? SPEEDY_DB_REFUSED : SPEEDY_DB_ERROR;
    speedy_random(totp, SPEEDY_TOTP_SECRET);
    speedy_seal(&k.key, &at, totp, SPEEDY_TOTP_SECRET, sealed);
    speedy_data_key_wipe(&k.key);
    return speedy_db_exec(
        db,
        "UPDATE staff SET sealed_totp = ?, version = version + 1,"
        " password_hash = COALESCE(?, password_hash) WHERE id = ?",
        DB_ARGS(DB_BYTES(sealed, sizeof(sealed)),
                password_hash != NULL ? DB_TEXT(password_hash) : DB_NULL,
                DB_TEXT(id)),
        NULL);
}

long speedy_staff_other_owners(struct speedy_db *db, const char *id)
{
    struct owners count = {id, 0};
    int n;

    n = speedy_db_query(db,
                        "SELECT id FROM staff WHERE role = 'OWNER' AND"
                        " state = 'ACTIVE' ORDER BY id FOR UPDATE",
                        DB_NONE, owner_row, &count);
    return n == SPEEDY_DB_OK ? count.others : n;
}

int speedy_sessions_end_of(struct speedy_db *db, const char *owner_id,
                           const char *end_reason, long *ended)
{
    return speedy_db_exec(
        db,
        "UPDATE sessions SET ended_at = UTC_TIMESTAMP(3), end_reason = ?"
        " WHERE owner_id = ? AND ended_at IS NULL",
        DB_ARGS(DB_TEXT(end_reason), DB_TEXT(owner_id)), ended);
}

static struct speedy_seal_place place_of(const char *id)
{
    return (struct speedy_seal_place){"staff", "sealed_totp", id, strlen(id)};
}

static int owner_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct owners *count = data;

    (void)cols;
    count->others += strcmp(col[0].bytes, count->id) != 0;
    return 0;
}

static int key_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct row_key *k = data;

    (void)cols;
    k->found = speedy_data_key_open(&k->key, "staff", k->id, strlen(k->id),
                                    col[1].bytes, col[0].bytes, col[0].len) == 0
                   ? 1
                   : -1;
    return 1;
}
