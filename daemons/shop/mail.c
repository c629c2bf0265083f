/* Rows of `mails` with their records in the outbox. */
#include "mail.h"

#include <stdio.h>
#include <string.h>

#include "../common/crypto.h"
#include "../common/json.h"
#include "../common/outbox.h"

#define RECORD_BYTES 64
#define RECORD_MOST 200

int speedy_mail_announce(struct speedy_db *db, const unsigned char id[16])
{
    char text[37], value[RECORD_BYTES];
    int n;

    speedy_uuid_text(id, text);
    n = snprintf(value, sizeof(value), "{\"v\":1,\"mail_id\":\"%s\"}", text);
    return speedy_outbox_add(db, SPEEDY_MAIL_TOPIC, text, strlen(text), value,
                             (size_t)n);
}

static struct speedy_db_value text_or_null(const char *text)
{
    return text != NULL ? DB_TEXT(text) : DB_NULL;
}

static int queue(struct speedy_db *db, struct speedy_mail *m, const char *state)
{
    struct speedy_db_value verification = DB_NULL;
    int rc;

    if (m->verification_id != NULL)
        verification = DB_BYTES(m->verification_id, 16);
    speedy_uuid7(m->id);
    m->told = false;
    rc = speedy_db_exec(
        db,
        "INSERT INTO mails (id, kind, user_id, verification_id, params,"
        " once_key, state, expires_at, request_id, ended_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?,"
        " IF(? > 0, CURRENT_TIMESTAMP(3) + INTERVAL ? MICROSECOND, NULL), ?,"
        " IF(? = 'DROPPED', CURRENT_TIMESTAMP(3), NULL))",
        DB_ARGS(DB_BYTES(m->id, sizeof(m->id)), DB_TEXT(m->kind),
                text_or_null(m->user_id), verification,
                DB_TEXT(m->params != NULL ? m->params : "{}"),
                text_or_null(m->once_key), DB_TEXT(state), DB_INT(m->useful_ms),
                DB_INT(m->useful_ms * 1000),
                DB_TEXT(m->request_id != NULL ? m->request_id : ""),
                DB_TEXT(state)),
        NULL);
    if (rc == SPEEDY_DB_DUPLICATE && m->once_key != NULL) {
        m->told = true;
        return SPEEDY_DB_OK;
    }
    return rc == SPEEDY_DB_OK ? speedy_mail_announce(db, m->id) : rc;
}

int speedy_mail_queue(struct speedy_db *db, struct speedy_mail *m)
{
    return queue(db, m, "QUEUED");
}

int speedy_mail_drop(struct speedy_db *db, struct speedy_mail *m)
{
    return queue(db, m, "DROPPED");
}

int speedy_mail_record_parse(const void *value, size_t len,
                             unsigned char id[16])
{
    enum speedy_json_error why;
    struct speedy_json *o = speedy_json_parse(value, len, RECORD_MOST, 2, &why);
    const char *text = speedy_json_text(speedy_json_get(o, "mail_id"));
    int64_t version;
    int rc = -1;

    if (text != NULL &&
        speedy_json_int(speedy_json_get(o, "v"), 1, 1, &version) == 0)
        rc = speedy_uuid_parse(text, strlen(text), id);
    speedy_json_free(o);
    return rc;
}
