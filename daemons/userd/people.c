/*
 * Rows of people.
 */
#include "people.h"

#include <stdio.h>
#include <string.h>

#include "../common/log.h"
#include "consents.h"

#define SEOUL_MIN 540

/* A row that was read: what failed to open is not the database's fault. */
struct reading {
    void *into;
    bool there, bad;
};

/* Unseals one column; NULL gives "". Text longer than its place is bad. */
static int column(const struct speedy_data_key *key,
                  const struct speedy_seal_place *at,
                  const struct speedy_db_value *col, char *out, size_t size)
{
    out[0] = '\0';
    if (col->kind == SPEEDY_DB_NULL)
        return 0;
    if (col->len < SPEEDY_SEAL_EXTRA || col->len - SPEEDY_SEAL_EXTRA >= size)
        return -1;
    return speedy_unseal(key, at, col->bytes, col->len, out) < 0 ? -1 : 0;
}

static int user_open(struct userd_person *p, const struct speedy_db_value *col)
{
    struct speedy_seal_place at = {"users", "sealed_email", p->id,
                                   strlen(p->id)};

    if (speedy_data_key_open(&p->key, "users", p->id, strlen(p->id),
                             col[7].bytes, col[6].bytes, col[6].len) != 0 ||
        column(&p->key, &at, &col[3], p->email, sizeof(p->email)) != 0)
        return -1;
    at.column = "sealed_name";
    if (column(&p->key, &at, &col[4], p->name, sizeof(p->name)) != 0)
        return -1;
    at.column = "sealed_phone";
    return column(&p->key, &at, &col[5], p->phone, sizeof(p->phone));
}

static int on_user(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct reading *reading = data;
    struct userd_person *p = reading->into;

    (void)cols;
    reading->there = true;
    snprintf(p->id, sizeof(p->id), "%s", (const char *)col[0].bytes);
    snprintf(p->state, sizeof(p->state), "%s", (const char *)col[1].bytes);
    snprintf(p->language, sizeof(p->language), "%s",
             (const char *)col[2].bytes);
    p->version = col[8].number;
    p->created_at = col[9].number;
    reading->bad = user_open(p, col) != 0;
    return 1;
}

static int outcome(int rc, const struct reading *reading)
{
    if (rc != SPEEDY_DB_OK)
        return rc;
    if (!reading->there)
        return 0;
    return reading->bad ? SPEEDY_DB_ERROR : 1;
}

#define USER_COLUMNS                                                           \
    "SELECT id, state, language, sealed_email, sealed_name, sealed_phone,"     \
    " data_key, master_key, version,"                                          \
    " CAST(UNIX_TIMESTAMP(created_at) * 1000 AS SIGNED)"                       \
    " FROM users WHERE id = ? AND state <> 'ENDED'"

int userd_person_read(struct speedy_db *db, const char *id, bool lock,
                      struct userd_person *p)
{
    struct reading reading = {.into = p};
    int rc;

    memset(p, 0, sizeof(*p));
    rc = speedy_db_query(db, lock ? USER_COLUMNS " FOR UPDATE" : USER_COLUMNS,
                         DB_ARGS(DB_TEXT(id)), on_user, &reading);
    rc = outcome(rc, &reading);
    if (rc == SPEEDY_DB_ERROR && reading.bad)
        speedy_log(SPEEDY_ALARM, "a user's data cannot be read", "user=%s",
                   p->id);
    return rc;
}

void userd_person_wipe(struct userd_person *p)
{
    explicit_bzero(p, sizeof(*p));
}

void userd_person_seal(const struct userd_person *p,
                       struct userd_sealed_person *out)
{
    struct speedy_seal_place at = {"users", "sealed_email", p->id,
                                   strlen(p->id)};

    out->email_len =
        speedy_seal(&p->key, &at, p->email, strlen(p->email), out->email);
    at.column = "sealed_name";
    out->name_len =
        speedy_seal(&p->key, &at, p->name, strlen(p->name), out->name);
    at.column = "sealed_phone";
    out->phone_len =
        speedy_seal(&p->key, &at, p->phone, strlen(p->phone), out->phone);
}

int userd_person_write(struct speedy_db *db, const struct userd_person *p,
                       struct speedy_buf *out)
{
    int rc;

    speedy_buf_printf(out, "{\"id\":");
    speedy_buf_json(out, p->id);
    speedy_buf_printf(out, ",\"email\":");
    speedy_buf_json(out, p->email);
    speedy_buf_printf(out, ",\"name\":");
    speedy_buf_json(out, p->name);
    speedy_buf_printf(out, ",\"phone\":");
    speedy_buf_json(out, p->phone);
    speedy_buf_printf(out, ",\"language\":\"%s\",\"version\":%lld,",
                      p->language, (long long)p->version);
    speedy_buf_printf(out, "\"created_at\":");
    speedy_buf_time(out, p->created_at, SEOUL_MIN);
    speedy_buf_printf(out, ",\"consents\":");
    rc = userd_consents_write(db, p->id, out);
    speedy_buf_printf(out, "}\n");
    return rc;
}

/* --- verifications --- */

static int on_mailbox(void *data, const struct speedy_db_value *col,
                      size_t cols)
{
    struct reading *reading = data;
    struct userd_mailbox *m = reading->into;
    struct speedy_seal_place at = {"verifications", "sealed_email", m->v.id,
                                   sizeof(m->v.id)};
    struct speedy_data_key key;

    (void)cols;
    reading->there = true;
    memcpy(m->v.email_index, col[0].bytes, sizeof(m->v.email_index));
    snprintf(m->v.user_id, sizeof(m->v.user_id), "%s",
             col[1].kind == SPEEDY_DB_NULL ? "" : (const char *)col[1].bytes);
    snprintf(m->language, sizeof(m->language), "%s",
             (const char *)col[2].bytes);
    snprintf(m->purpose, sizeof(m->purpose), "%s", (const char *)col[3].bytes);
    m->confirmed = col[4].number != 0;
    reading->bad =
        speedy_data_key_open(&key, "verifications", m->v.id, sizeof(m->v.id),
                             col[7].bytes, col[6].bytes, col[6].len) != 0 ||
        column(&key, &at, &col[5], m->email, sizeof(m->email)) != 0;
    speedy_data_key_wipe(&key);
    return 1;
}

#define MAILBOX_COLUMNS                                                        \
    "SELECT email_index, user_id, language, purpose,"                          \
    " confirmed_at IS NOT NULL, sealed_email, data_key, master_key"            \
    " FROM verifications WHERE id = ?"

int userd_mailbox_read(struct speedy_db *db, const unsigned char id[16],
                       bool lock, struct userd_mailbox *m)
{
    struct reading reading = {.into = m};
    int rc;

    memset(m, 0, sizeof(*m));
    memcpy(m->v.id, id, sizeof(m->v.id));
    rc = speedy_db_query(db,
                         lock ? MAILBOX_COLUMNS " FOR UPDATE" : MAILBOX_COLUMNS,
                         DB_ARGS(DB_BYTES(id, 16)), on_mailbox, &reading);
    rc = outcome(rc, &reading);
    if (rc == SPEEDY_DB_ERROR && reading.bad)
        speedy_log(SPEEDY_ALARM, "a verification's address cannot be read", "");
    return rc;
}
