/*
 * PUT /api/v1/users/me/password {current_password, new_password} → 204, and
 * every session of the account has ended, this one too.
 *
 * The current password is guessed at no faster here, with a stolen access
 * token, than at a login.
 */
#include <stdio.h>
#include <string.h>

#include "../common/stores.h"
#include "../shop/mail.h"
#include "body.h"
#include "codes.h"
#include "ended.h"
#include "hasher.h"
#include "password_rules.h"
#include "people.h"
#include "sessions.h"
#include "throttle.h"
#include "userd.h"

#define TRIES 3

struct change {
    struct speedy_db *db;
    const char *current, *wanted;
    unsigned char subject[USERD_SUBJECT];
    char hash[USERD_HASH_SIZE], renewed[USERD_HASH_SIZE];
};

static int on_hash(void *data, const struct speedy_db_value *col, size_t cols)
{
    char *hash = data;

    (void)cols;
    snprintf(hash, USERD_HASH_SIZE, "%s", (const char *)col[0].bytes);
    return 1;
}

/* It is not the account's address. 1; 0: answered; < 0 MySQL did not. */
static int own_address(struct speedy_request *r, struct change *c)
{
    struct userd_errors errors = {0};
    struct userd_person p;
    const char *code = NULL;
    int rc = userd_person_read(c->db, r->user, false, &p);

    if (rc == 1)
        code = userd_password_check(c->wanted, p.email);
    userd_person_wipe(&p);
    if (code != NULL)
        userd_error_add(&errors, "/new_password", code);
    if (userd_refused(r, &errors))
        return 0;
    return rc < 0 ? rc : 1;
}

/* 0: counted, and the hash is read; -1: answered. */
static int prepare(struct speedy_request *r, struct change *c)
{
    struct speedy_stores *stores = speedy_stores_take();
    long seconds = 0;
    int rc = SPEEDY_DB_RETRY;

    if (stores != NULL) {
        c->db = stores->db;
        rc = own_address(r, c);
        if (rc == 0) {
            speedy_stores_give(stores);
            return -1;
        }
        if (rc == 1)
            rc = userd_throttle_take(c->db, c->subject, &seconds);
        if (rc == 1 &&
            speedy_db_query(c->db,
                            "SELECT password_hash FROM users WHERE id = ?"
                            " AND state = 'ACTIVE'",
                            DB_ARGS(DB_TEXT(r->user)), on_hash,
                            c->hash) != SPEEDY_DB_OK)
            rc = SPEEDY_DB_RETRY;
        speedy_stores_give(stores);
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

static int write_once(struct speedy_request *r, struct change *c)
{
    struct speedy_mail mail = {.kind = "password_changed",
                               .user_id = r->user,
                               .params = "{}",
                               .request_id = r->request_id};
    long affected = 0;
    int rc = speedy_db_begin(c->db);

    if (rc == SPEEDY_DB_OK)
        rc = speedy_db_exec(
            c->db,
            "UPDATE users SET password_hash = ?, version = version + 1,"
            " updated_at = NOW(3) WHERE id = ? AND state = 'ACTIVE'"
            " AND password_hash = ?",
            DB_ARGS(DB_TEXT(c->renewed), DB_TEXT(r->user), DB_TEXT(c->hash)),
            &affected);
    if (rc == SPEEDY_DB_OK && affected == 0)
        rc = SPEEDY_DB_REFUSED; /* changed by another in between */
    if (rc == SPEEDY_DB_OK)
        rc = userd_sessions_end_all(c->db, r->user, "password_changed");
    if (rc == SPEEDY_DB_OK)
        rc = userd_resets_void(c->db, r->user);
    if (rc == SPEEDY_DB_OK)
        rc = speedy_mail_queue(c->db, &mail);
    if (rc == SPEEDY_DB_OK)
        return speedy_db_commit(c->db);
    speedy_db_rollback(c->db);
    return rc;
}

static void credentials_invalid(struct speedy_request *r)
{
    static const struct speedy_field field = {"/current_password",
                                              "credentials_invalid"};

    speedy_problem_fields(r, 403, "credentials_invalid",
                          "The current password is wrong.", &field, 1);
}

static void write_change(struct speedy_request *r, struct change *c)
{
    int rc = SPEEDY_DB_RETRY;

    for (int i = 0; i < TRIES && rc == SPEEDY_DB_RETRY; i++)
        rc = write_once(r, c);
    if (rc == SPEEDY_DB_REFUSED) {
        credentials_invalid(r);
        return;
    }
    if (rc != SPEEDY_DB_OK) {
        userd_unavailable(r);
        return;
    }
    userd_throttle_clear(c->db, c->subject);
    userd_ended_publish();
    userd_cookie_clear(r, &userd_shopper_sessions);
    userd_no_content(r);
}

static void judged(struct speedy_request *r, struct change *c,
                   enum userd_hash_result result)
{
    switch (result) {
    case USERD_HASH_OK:
        write_change(r, c);
        return;
    case USERD_HASH_NO:
        credentials_invalid(r);
        return;
    case USERD_HASH_BUSY:
        userd_throttle_return(c->db, c->subject);
        userd_busy(r);
        return;
    case USERD_HASH_FAILED:
        userd_throttle_return(c->db, c->subject);
        userd_unavailable(r);
        return;
    }
}

static void change(struct speedy_request *r, struct change *c)
{
    enum userd_hash_result result;
    struct speedy_stores *stores;

    userd_throttle_subject("password", r->user, c->subject);
    if (prepare(r, c) != 0)
        return;
    result = userd_verify_password(c->current,
                                   c->hash[0] == '\0' ? NULL : c->hash, NULL);
    if (result == USERD_HASH_OK)
        result = userd_hash_password(c->wanted, c->renewed);
    stores = speedy_stores_take();
    if (stores == NULL) {
        userd_unavailable(r);
        return;
    }
    c->db = stores->db;
    judged(r, c, result);
    speedy_stores_give(stores);
}

void userd_password_put(struct speedy_request *r, void *data)
{
    struct userd_field fields[] = {
        {"current_password", SPEEDY_JSON_TEXT, USERD_REQUIRED, NULL, NULL},
        {"new_password", SPEEDY_JSON_TEXT, USERD_REQUIRED,
         USERD_PASSWORD_WITH_NUL, NULL},
        {NULL, SPEEDY_JSON_NULL, NULL, NULL, NULL},
    };
    struct userd_errors errors;
    struct change c = {0};
    const char *code;

    (void)data;
    if (!userd_no_query(r) || userd_body_read(r, &errors, fields) != 0)
        return;
    c.current = userd_field_text(&fields[0]);
    c.wanted = userd_field_text(&fields[1]);
    code = c.wanted == NULL ? NULL : userd_password_check(c.wanted, NULL);
    if (code != NULL)
        userd_error_add(&errors, "/new_password", code);
    if (userd_refused(r, &errors))
        return;
    change(r, &c);
    explicit_bzero(&c, sizeof(c));
}
