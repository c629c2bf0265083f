/*
 * Ending one's account.
 */
#include "me.h"

#include <stdio.h>
#include <string.h>

#include "../common/crypto.h"
#include "../common/stores.h"
#include "../shop/mail.h"
#include "ended.h"
#include "fields.h"
#include "hasher.h"
#include "people.h"
#include "sessions.h"
#include "throttle.h"
#include "userd.h"
#include "verification.h"
#include "wishes.h"

#define GONE 1    /* positive verdicts of leave() */
#define CHANGED 2 /* the password was changed since it was judged */

struct leave {
    const char *id, *password, *request_id;
    char hash[USERD_HASH_SIZE], now[USERD_HASH_SIZE];
    unsigned char subject[USERD_SUBJECT];
    struct userd_person p;
};

static int on_hash(void *data, const struct speedy_db_value *col, size_t cols)
{
    (void)cols;
    snprintf(data, USERD_HASH_SIZE, "%s", (const char *)col[0].bytes);
    return 1;
}

static int hash_read(struct speedy_db *db, const char *id,
                     char hash[USERD_HASH_SIZE])
{
    hash[0] = '\0';
    return speedy_db_query(db,
                           "SELECT password_hash FROM users WHERE id = ?"
                           " AND state <> 'ENDED'",
                           DB_ARGS(DB_TEXT(id)), on_hash, hash);
}

/* The mail keeps the address by a row of its own, which names nobody. */
static int farewell(struct speedy_db *db, const struct leave *l)
{
    struct userd_verification v = {.user_id = ""};
    struct speedy_mail m = {
        .kind = "account_ended",
        .verification_id = v.id,
        .request_id = l->request_id,
    };
    int rc;

    speedy_uuid7(v.id);
    speedy_random(v.email_index, sizeof(v.email_index));
    rc = userd_verification_insert(db, &v, USERD_NOTICE, l->p.email,
                                   l->p.language);
    return rc == SPEEDY_DB_OK ? speedy_mail_queue(db, &m) : rc;
}

/* Codes and proofs of the address are nobody's any more. */
static int verifications_delete(struct speedy_db *db, const char *id)
{
    return speedy_db_exec(db,
                          "DELETE v FROM verifications v JOIN users u"
                          " ON u.email_index = v.email_index WHERE u.id = ?",
                          DB_ARGS(DB_TEXT(id)), NULL);
}

static int shred(struct speedy_db *db, const char *id)
{
    int rc = speedy_db_exec(db, "DELETE FROM addresses WHERE user_id = ?",
                            DB_ARGS(DB_TEXT(id)), NULL);

    if (rc == SPEEDY_DB_OK)
        rc = userd_wishes_delete(db, id);
    if (rc != SPEEDY_DB_OK)
        return rc;
    return speedy_db_exec(
        db,
        "UPDATE users SET state = 'ENDED', email_index = NULL,"
        " sealed_email = NULL, sealed_name = NULL, sealed_phone = NULL,"
        " data_key = NULL, master_key = NULL, password_hash = NULL,"
        " version = version + 1, updated_at = CURRENT_TIMESTAMP(3),"
        " ended_at = CURRENT_TIMESTAMP(3) WHERE id = ?",
        DB_ARGS(DB_TEXT(id)), NULL);
}

static int leave(struct speedy_db *db, void *data, int attempt)
{
    struct leave *l = data;
    int rc = userd_person_read(db, l->id, true, &l->p);

    if (rc == 0)
        return attempt > 0 ? SPEEDY_DB_OK : GONE;
    if (rc < 0)
        return rc;
    rc = hash_read(db, l->id, l->now);
    if (rc == SPEEDY_DB_OK && strcmp(l->now, l->hash) != 0)
        return CHANGED;
    if (rc == SPEEDY_DB_OK)
        rc = farewell(db, l);
    if (rc == SPEEDY_DB_OK)
        rc = verifications_delete(db, l->id);
    if (rc == SPEEDY_DB_OK)
        rc = userd_sessions_end_all(db, l->id, "account_ended");
    return rc == SPEEDY_DB_OK ? shred(db, l->id) : rc;
}

static void password_wrong(struct speedy_request *r)
{
    static const struct speedy_field field = {"/password",
                                              "credentials_invalid"};

    speedy_problem_fields(r, 403, "credentials_invalid",
                          "The password is wrong.", &field, 1);
}

/* 0: the try is counted and the hash is read; -1: answered. */
static int prepare(struct speedy_request *r, struct leave *l)
{
    struct speedy_stores *s = speedy_stores_take();
    long seconds = 0;
    int rc = SPEEDY_DB_RETRY;

    if (s != NULL) {
        rc = userd_throttle_take(s->db, l->subject, &seconds);
        if (rc == 1 && hash_read(s->db, l->id, l->hash) != SPEEDY_DB_OK)
            rc = SPEEDY_DB_RETRY;
        speedy_stores_give(s);
    }
    if (rc == 1)
        return 0;
    if (rc == 0)
        speedy_problem_retry(r, 429, "login_later",
                             "Too many wrong passwords. Try again later.",
                             seconds);
    else
        userd_unavailable(r);
    return -1;
}

static void leave_run(struct speedy_request *r, struct speedy_db *db,
                      struct leave *l)
{
    int rc = speedy_db_run(db, leave, l);

    if (rc == CHANGED) {
        password_wrong(r);
    } else if (rc != SPEEDY_DB_OK) {
        userd_me_refuse(r, rc == GONE ? 0 : rc);
    } else {
        userd_throttle_clear(db, l->subject);
        userd_cookie_clear(r, &userd_shopper_sessions);
        userd_no_content(r);
    }
}

static void judged(struct speedy_request *r, struct speedy_db *db,
                   struct leave *l, enum userd_hash_result result)
{
    if (result == USERD_HASH_OK) {
        leave_run(r, db, l);
        return;
    }
    if (result == USERD_HASH_NO) {
        password_wrong(r);
        return;
    }
    userd_throttle_return(db, l->subject);
    if (result == USERD_HASH_BUSY)
        userd_busy(r);
    else
        userd_unavailable(r);
}

static void leave_asked(struct speedy_request *r, struct leave *l)
{
    enum userd_hash_result result;
    struct speedy_stores *s;

    userd_throttle_subject("password", l->id, l->subject);
    if (prepare(r, l) != 0)
        return;
    result = userd_verify_password(l->password,
                                   l->hash[0] == '\0' ? NULL : l->hash, NULL);
    s = speedy_stores_take();
    if (s == NULL) {
        userd_unavailable(r);
        return;
    }
    judged(r, s->db, l, result);
    speedy_stores_give(s);
    if (r->status == 204)
        userd_ended_publish();
}

void userd_me_delete(struct speedy_request *r, void *data)
{
    struct userd_field f[] = {
        {.name = "password",
         .type = SPEEDY_JSON_TEXT,
         .absent = USERD_REQUIRED},
        {.name = NULL},
    };
    struct leave l = {.id = r->user, .request_id = r->request_id};
    struct userd_errors e;

    (void)data;
    if (!userd_no_query(r) || userd_body_read(r, &e, f) != 0)
        return;
    if (!userd_refused(r, &e)) {
        l.password = userd_field_text(&f[0]);
        leave_asked(r, &l);
    }
    explicit_bzero(&l, sizeof(l));
}
