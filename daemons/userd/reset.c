/*
 * A forgotten password. The new one is judged by its rules first, so that a
 * bad one costs no try; then the code; and only who sent the right one makes
 * the hasher work.
 */
#include "reset.h"

#include <string.h>

#include "../common/stores.h"
#include "../shop/mail.h"
#include "ended.h"
#include "fields.h"
#include "hasher.h"
#include "password_rules.h"
#include "people.h"
#include "sessions.h"
#include "throttle.h"
#include "userd.h"
#include "verification.h"

#define NOBODY 100 /* a positive verdict: the account is gone */

struct reset {
    struct userd_verification v;
    char hash[USERD_HASH_SIZE];
    const char *request_id;
    bool counted; /* the code's try: a link has none */
};

void userd_reset_post(struct speedy_request *r, void *data)
{
    (void)data;
    userd_verification_ask(r, USERD_RESET);
}

/* 1: the row is this account's, with the password it is to have; 0: nobody's
 * (ended, or the address is another's by now); else a status. */
static int account_set(struct speedy_db *db, const struct reset *reset)
{
    long changed;
    int rc = speedy_db_exec(
        db,
        "UPDATE users SET password_hash = ?, version = version + 1,"
        " updated_at = CURRENT_TIMESTAMP(3)"
        " WHERE id = ? AND email_index = ? AND state <> 'ENDED'",
        DB_ARGS(DB_TEXT(reset->hash), DB_TEXT(reset->v.user_id),
                DB_BYTES(reset->v.email_index, sizeof(reset->v.email_index))),
        &changed);

    return rc == SPEEDY_DB_OK ? changed == 1 : rc;
}

static int is_done(struct speedy_db *db, const struct reset *reset)
{
    int64_t n;

    return speedy_db_number(
        db, "SELECT 1 FROM users WHERE id = ? AND password_hash = ?",
        DB_ARGS(DB_TEXT(reset->v.user_id), DB_TEXT(reset->hash)), &n);
}

static int reset_run(struct speedy_db *db, void *data, int attempt)
{
    struct reset *reset = data;
    struct speedy_mail m = {
        .kind = "password_changed",
        .user_id = reset->v.user_id,
        .request_id = reset->request_id,
    };
    int rc = attempt > 0 ? is_done(db, reset) : 0;

    if (rc != 0)
        return rc == 1 ? SPEEDY_DB_OK : rc;
    rc = account_set(db, reset);
    if (rc <= 0)
        return rc == 0 ? NOBODY : rc;
    rc = userd_code_confirm(db, &reset->v, NULL);
    if (rc == 0)
        rc = userd_resets_void(db, reset->v.user_id);
    if (rc == 0)
        rc = userd_sessions_end_all(db, reset->v.user_id, "password_reset");
    return rc == 0 ? speedy_mail_queue(db, &m) : rc;
}

/* Who can read the mail does not wait for others' wrong guesses. */
static void failures_forget(struct speedy_db *db, const struct reset *reset)
{
    unsigned char subject[USERD_SUBJECT];
    struct userd_mailbox m;

    if (userd_mailbox_read(db, reset->v.id, false, &m) == 1) {
        userd_throttle_subject("login", m.email, subject);
        userd_throttle_clear(db, subject);
    }
    userd_throttle_subject("password", reset->v.user_id, subject);
    userd_throttle_clear(db, subject);
    explicit_bzero(&m, sizeof(m));
}

/* After the code was right. */
static void reset_apply(struct speedy_request *r, struct speedy_db *db,
                        struct reset *reset)
{
    int rc = speedy_db_run(db, reset_run, reset);

    if (rc == SPEEDY_DB_OK) {
        failures_forget(db, reset);
        userd_no_content(r);
        return;
    }
    userd_sent_refuse(r, rc == NOBODY ? USERD_CODE_WRONG : rc);
}

static enum userd_hash_result
hash_make(struct speedy_request *r, const char *password, struct reset *reset)
{
    enum userd_hash_result result = userd_hash_password(password, reset->hash);

    if (result == USERD_HASH_BUSY)
        userd_busy(r);
    else if (result != USERD_HASH_OK)
        userd_unavailable(r);
    return result;
}

static void reset_judged(struct speedy_request *r, const char *password,
                         struct reset *reset, int rc)
{
    struct speedy_stores *s;
    bool hashed;

    if (rc != USERD_CODE_RIGHT || reset->v.user_id[0] == '\0') {
        userd_sent_refuse(r, rc != USERD_CODE_RIGHT ? rc : USERD_CODE_WRONG);
        return;
    }
    hashed = hash_make(r, password, reset) == USERD_HASH_OK;
    s = speedy_stores_take();
    if (s == NULL) {
        userd_unavailable(r);
        return;
    }
    if (hashed)
        reset_apply(r, s->db, reset);
    else if (reset->counted)
        userd_code_return(s->db, &reset->v);
    speedy_stores_give(s);
    if (r->status == 204)
        userd_ended_publish();
}

void userd_reset_confirm(struct speedy_request *r, void *data)
{
    struct userd_field f[] = {
        {.name = "email",
         .type = SPEEDY_JSON_TEXT,
         .with_nul = "email_invalid"},
        {.name = "code", .type = SPEEDY_JSON_TEXT, .with_nul = "code_invalid"},
        {.name = "link", .type = SPEEDY_JSON_TEXT, .with_nul = "code_invalid"},
        {.name = "password",
         .type = SPEEDY_JSON_TEXT,
         .absent = USERD_REQUIRED,
         .with_nul = USERD_PASSWORD_WITH_NUL},
        {.name = NULL},
    };
    struct reset reset = {.request_id = r->request_id};
    char email[USERD_EMAIL_MAX + 1];
    struct userd_errors e;
    struct userd_sent sent;
    struct speedy_stores *s;
    int rc = SPEEDY_DB_RETRY;

    (void)data;
    if (!userd_no_query(r) || userd_body_read(r, &e, f) != 0)
        return;
    userd_sent_take(&e, &f[0], &f[1], &f[2], email, &sent);
    userd_password_take(&e, &f[3], email);
    if (userd_refused(r, &e))
        return;
    reset.counted = sent.link == NULL;
    s = speedy_stores_take();
    if (s != NULL) {
        rc = userd_sent_judge(s->db, USERD_RESET, &sent, &reset.v);
        speedy_stores_give(s);
    }
    reset_judged(r, userd_field_text(&f[3]), &reset, rc);
    explicit_bzero(reset.hash, sizeof(reset.hash));
}
