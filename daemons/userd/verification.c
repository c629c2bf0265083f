/*
 * Asking for a code, and confirming it.
 */
#include "verification.h"

#include <stdio.h>
#include <string.h>

#include "../common/crypto.h"
#include "../common/stores.h"
#include "../shop/mail.h"
#include "email.h"
#include "fields.h"
#include "userd.h"

#define HOUR_MS 3600000
#define LATER 1 /* a positive verdict of ask(): a limit is reached */

struct ask {
    struct userd_verification v;
    const char *purpose, *request_id;
    char email[USERD_EMAIL_MAX + 1];
    char language[3]; /* "" when nothing was said */
    /* of the address' limits, in ms */
    int64_t count, youngest, oldest;
    long wait;
};

/* --- one request for a code, in one transaction --- */

static int lock(struct speedy_db *db, const struct ask *a)
{
    return speedy_db_exec(
        db,
        "INSERT INTO verification_locks (email_index,"
        " purpose) VALUES (?, ?) ON DUPLICATE KEY UPDATE"
        " asked_at = CURRENT_TIMESTAMP(3)",
        DB_ARGS(DB_BYTES(a->v.email_index, sizeof(a->v.email_index)),
                DB_TEXT(a->purpose)),
        NULL);
}

static int on_limits(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct ask *a = data;

    (void)cols;
    a->count = col[0].number;
    a->youngest = col[1].number;
    a->oldest = col[2].number;
    return 1;
}

static int limits_read(struct speedy_db *db, struct ask *a)
{
    return speedy_db_query(
        db,
        "SELECT COUNT(*),"
        " CAST(COALESCE(MIN(TIMESTAMPDIFF(MICROSECOND, created_at,"
        " CURRENT_TIMESTAMP(3))), 0) DIV 1000 AS SIGNED),"
        " CAST(COALESCE(MAX(TIMESTAMPDIFF(MICROSECOND, created_at,"
        " CURRENT_TIMESTAMP(3))), 0) DIV 1000 AS SIGNED)"
        " FROM verifications WHERE email_index = ? AND purpose = ?"
        " AND created_at > CURRENT_TIMESTAMP(3) - INTERVAL 1 HOUR",
        DB_ARGS(DB_BYTES(a->v.email_index, sizeof(a->v.email_index)),
                DB_TEXT(a->purpose)),
        on_limits, a);
}

/* Whether it is too early; a->wait is set then. */
static bool is_limited(struct ask *a)
{
    if (a->count > 0 && a->youngest < userd_settings.code_pause)
        a->wait = userd_settings.code_pause - (long)a->youngest;
    else if (a->count >= userd_settings.codes_an_hour)
        a->wait = HOUR_MS - (long)a->oldest;
    else
        return false;
    return true;
}

static int on_account(void *data, const struct speedy_db_value *col,
                      size_t cols)
{
    struct ask *a = data;

    (void)cols;
    snprintf(a->v.user_id, sizeof(a->v.user_id), "%s",
             (const char *)col[0].bytes);
    if (a->language[0] == '\0')
        snprintf(a->language, sizeof(a->language), "%.2s",
                 (const char *)col[1].bytes);
    return 1;
}

int userd_verification_insert(struct speedy_db *db,
                              const struct userd_verification *v,
                              const char *purpose, const char *email,
                              const char *language)
{
    struct speedy_seal_place place = {"verifications", "sealed_email", v->id,
                                      sizeof(v->id)};
    unsigned char wrapped[SPEEDY_WRAPPED_KEY];
    unsigned char sealed[USERD_EMAIL_MAX + SPEEDY_SEAL_EXTRA];
    struct speedy_data_key key;
    size_t len;

    speedy_data_key_new(&key, "verifications", v->id, sizeof(v->id), wrapped);
    len = speedy_seal(&key, &place, email, strlen(email), sealed);
    speedy_data_key_wipe(&key);
    return speedy_db_exec(
        db,
        "INSERT INTO verifications (id, purpose, email_index, sealed_email,"
        " data_key, master_key, user_id, language)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        DB_ARGS(DB_BYTES(v->id, sizeof(v->id)), DB_TEXT(purpose),
                DB_BYTES(v->email_index, sizeof(v->email_index)),
                DB_BYTES(sealed, len), DB_BYTES(wrapped, sizeof(wrapped)),
                DB_TEXT(speedy_seal_master()),
                v->user_id[0] != '\0' ? DB_TEXT(v->user_id) : DB_NULL,
                DB_TEXT(language)),
        NULL);
}

static int mail(struct speedy_db *db, const struct ask *a)
{
    bool known = a->v.user_id[0] != '\0';
    bool reset = strcmp(a->purpose, USERD_RESET) == 0;
    struct speedy_mail m = {
        .kind = reset   ? "reset"
                : known ? "signup_known"
                        : "verify",
        .verification_id = a->v.id,
        .useful_ms = userd_settings.proof_life,
        .request_id = a->request_id,
    };

    return reset && !known ? speedy_mail_drop(db, &m)
                           : speedy_mail_queue(db, &m);
}

static int ask(struct speedy_db *db, void *data, int attempt)
{
    struct ask *a = data;
    int64_t done;
    int rc;

    if (attempt > 0) {
        rc = speedy_db_number(db, "SELECT 1 FROM verifications WHERE id = ?",
                              DB_ARGS(DB_BYTES(a->v.id, sizeof(a->v.id))),
                              &done);
        if (rc != 0)
            return rc == 1 ? SPEEDY_DB_OK : rc;
    }
    rc = lock(db, a);
    if (rc == SPEEDY_DB_OK)
        rc = limits_read(db, a);
    if (rc != SPEEDY_DB_OK)
        return rc;
    if (is_limited(a))
        return LATER;
    rc = speedy_db_query(
        db, "SELECT id, language FROM users WHERE email_index = ?",
        DB_ARGS(DB_BYTES(a->v.email_index, sizeof(a->v.email_index))),
        on_account, a);
    if (rc != SPEEDY_DB_OK)
        return rc;
    if (a->language[0] == '\0')
        memcpy(a->language, "ko", 3);
    rc =
        userd_verification_insert(db, &a->v, a->purpose, a->email, a->language);
    return rc == SPEEDY_DB_OK ? mail(db, a) : rc;
}

static void ask_run(struct speedy_request *r, struct ask *a)
{
    struct speedy_stores *s = speedy_stores_take();
    int rc = SPEEDY_DB_RETRY;

    speedy_uuid7(a->v.id);
    speedy_blind_index("email", a->email, a->v.email_index);
    a->request_id = r->request_id;
    if (s != NULL) {
        rc = speedy_db_run(s->db, ask, a);
        speedy_stores_give(s);
    }
    if (rc == LATER) {
        speedy_problem_retry(r, 429, "too_many_requests",
                             "A code was asked for a moment ago.",
                             (a->wait + 999) / 1000);
    } else if (rc != SPEEDY_DB_OK) {
        userd_unavailable(r);
    } else {
        r->status = 202;
        speedy_buf_printf(&r->out, "{}\n");
    }
}

void userd_verification_ask(struct speedy_request *r, const char *purpose)
{
    struct userd_field f[] = {
        {.name = "email",
         .type = SPEEDY_JSON_TEXT,
         .absent = USERD_REQUIRED,
         .with_nul = "email_invalid"},
        {.name = "language", .type = SPEEDY_JSON_TEXT},
        {.name = NULL},
    };
    struct ask a = {.purpose = purpose};
    struct userd_errors e;

    if (!userd_no_query(r) || userd_body_read(r, &e, f) != 0)
        return;
    userd_email_take(&e, &f[0], a.email);
    userd_language_take(&e, &f[1], a.language);
    if (!userd_refused(r, &e))
        ask_run(r, &a);
}

void userd_verification_post(struct speedy_request *r, void *data)
{
    (void)data;
    userd_verification_ask(r, USERD_SIGNUP);
}

/* --- what was sent to prove it --- */

void userd_sent_take(struct userd_errors *e, const struct userd_field *email,
                     const struct userd_field *code,
                     const struct userd_field *link, char *email_out,
                     struct userd_sent *sent)
{
    email_out[0] = '\0';
    sent->link = userd_field_text(link);
    if (sent->link != NULL) {
        if (email->value != NULL)
            userd_error_add(e, "/email", USERD_INVALID);
        if (code->value != NULL)
            userd_error_add(e, "/code", USERD_INVALID);
        return;
    }
    if (e->count > 0)
        return;
    if (email->value == NULL)
        userd_error_add(e, "/email", USERD_REQUIRED);
    if (code->value == NULL)
        userd_error_add(e, "/code", USERD_REQUIRED);
    userd_email_take(e, email, email_out);
    if (code->value != NULL &&
        userd_code_normalise(userd_field_text(code), sent->code) != 0)
        userd_error_add(e, "/code", "code_invalid");
    if (email_out[0] != '\0')
        speedy_blind_index("email", email_out, sent->email_index);
}

int userd_sent_judge(struct speedy_db *db, const char *purpose,
                     const struct userd_sent *sent,
                     struct userd_verification *v)
{
    return sent->link != NULL ? userd_link_judge(db, purpose, sent->link, v)
                              : userd_code_judge(db, purpose, sent->email_index,
                                                 sent->code, v);
}

void userd_sent_refuse(struct speedy_request *r, int verdict)
{
    switch (verdict) {
    case USERD_CODE_WRONG:
        speedy_problem(r, 400, "code_invalid",
                       "It is not the code of the newest mail.");
        break;
    case USERD_CODE_EXPIRED:
        speedy_problem(r, 400, "code_expired", "The code is too old.");
        break;
    case USERD_CODE_USED:
        speedy_problem(r, 409, "code_used", "The code was used before.");
        break;
    case USERD_CODE_NO_TRIES:
        speedy_problem(r, 400, "code_tries_exceeded",
                       "Too many wrong codes: ask for another one.");
        break;
    default:
        userd_unavailable(r);
    }
}

/* --- confirming --- */

/* The proof's text on success. */
static int confirm(struct speedy_db *db, const struct userd_sent *sent,
                   char proof[USERD_TOKEN_SIZE])
{
    unsigned char token[USERD_TOKEN], hash[32];
    struct userd_verification v;
    int rc = userd_sent_judge(db, USERD_SIGNUP, sent, &v);

    if (rc != USERD_CODE_RIGHT)
        return rc;
    speedy_random(token, sizeof(token));
    speedy_sha256(token, sizeof(token), hash);
    speedy_base64url(token, sizeof(token), proof);
    return userd_code_confirm(db, &v, hash);
}

void userd_verification_confirm(struct speedy_request *r, void *data)
{
    struct userd_field f[] = {
        {.name = "email",
         .type = SPEEDY_JSON_TEXT,
         .with_nul = "email_invalid"},
        {.name = "code", .type = SPEEDY_JSON_TEXT, .with_nul = "code_invalid"},
        {.name = "link", .type = SPEEDY_JSON_TEXT, .with_nul = "code_invalid"},
        {.name = NULL},
    };
    char email[USERD_EMAIL_MAX + 1], proof[USERD_TOKEN_SIZE];
    struct userd_errors e;
    struct userd_sent sent;
    struct speedy_stores *s;
    int rc = SPEEDY_DB_RETRY;

    (void)data;
    if (!userd_no_query(r) || userd_body_read(r, &e, f) != 0)
        return;
    userd_sent_take(&e, &f[0], &f[1], &f[2], email, &sent);
    if (userd_refused(r, &e))
        return;
    s = speedy_stores_take();
    if (s != NULL) {
        rc = confirm(s->db, &sent, proof);
        speedy_stores_give(s);
    }
    if (rc != USERD_CODE_RIGHT) {
        userd_sent_refuse(r, rc);
        return;
    }
    userd_no_store(r);
    r->status = 200;
    speedy_buf_printf(&r->out, "{\"verification\":\"%s\",\"expires_in\":%ld}\n",
                      proof, userd_settings.proof_life / 1000);
}
