/*
 * Signing up. The proof is looked at before the hasher works, and used up
 * with the INSERT: of two requests with one proof, one finds it used.
 */
#include "users.h"

#include <string.h>

#include "../common/crypto.h"
#include "../common/stores.h"
#include "../shop/mail.h"
#include "consents.h"
#include "fields.h"
#include "hasher.h"
#include "password_rules.h"
#include "people.h"
#include "userd.h"

#define NO_PROOF 1 /* positive verdicts of signup() */
#define TAKEN 2

struct signup {
    struct userd_person p;
    struct userd_consents consents;
    unsigned char proof_hash[32], email_index[SPEEDY_BLIND_INDEX];
    unsigned char wrapped[SPEEDY_WRAPPED_KEY];
    struct userd_sealed_person sealed;
    const char *password, *request_id;
    char hash[USERD_HASH_SIZE];
};

/* 1: there is such a proof, unused and alive; 0: there is not. */
static int proof_look(struct speedy_db *db, const struct signup *s)
{
    int64_t n;

    return speedy_db_number(
        db,
        "SELECT 1 FROM verifications WHERE proof_hash = ? AND email_index = ?"
        " AND purpose = 'signup' AND used_at IS NULL"
        " AND proof_expires_at > CURRENT_TIMESTAMP(3)",
        DB_ARGS(DB_BYTES(s->proof_hash, sizeof(s->proof_hash)),
                DB_BYTES(s->email_index, sizeof(s->email_index))),
        &n);
}

/* 1: used up by us; 0: there is no such proof any more. */
static int proof_use(struct speedy_db *db, const struct signup *s)
{
    long changed;
    int rc = speedy_db_exec(
        db,
        "UPDATE verifications SET used_at = CURRENT_TIMESTAMP(3)"
        " WHERE proof_hash = ? AND email_index = ? AND purpose = 'signup'"
        " AND used_at IS NULL AND proof_expires_at > CURRENT_TIMESTAMP(3)",
        DB_ARGS(DB_BYTES(s->proof_hash, sizeof(s->proof_hash)),
                DB_BYTES(s->email_index, sizeof(s->email_index))),
        &changed);

    return rc == SPEEDY_DB_OK ? changed == 1 : rc;
}

static int user_insert(struct speedy_db *db, const struct signup *s)
{
    const struct userd_sealed_person *sealed = &s->sealed;

    return speedy_db_exec(
        db,
        "INSERT INTO users (id, email_index, sealed_email, sealed_name,"
        " sealed_phone, data_key, master_key, language, password_hash)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        DB_ARGS(DB_TEXT(s->p.id),
                DB_BYTES(s->email_index, sizeof(s->email_index)),
                DB_BYTES(sealed->email, sealed->email_len),
                DB_BYTES(sealed->name, sealed->name_len),
                DB_BYTES(sealed->phone, sealed->phone_len),
                DB_BYTES(s->wrapped, sizeof(s->wrapped)),
                DB_TEXT(speedy_seal_master()), DB_TEXT(s->p.language),
                DB_TEXT(s->hash)),
        NULL);
}

static int signup(struct speedy_db *db, void *data, int attempt)
{
    struct signup *s = data;
    struct speedy_mail m = {
        .kind = "welcome",
        .user_id = s->p.id,
        .request_id = s->request_id,
    };
    int64_t done;
    int rc = attempt == 0
                 ? 0
                 : speedy_db_number(db, "SELECT 1 FROM users WHERE id = ?",
                                    DB_ARGS(DB_TEXT(s->p.id)), &done);

    if (rc != 0)
        return rc == 1 ? SPEEDY_DB_OK : rc;
    rc = proof_use(db, s);
    if (rc <= 0)
        return rc == 0 ? NO_PROOF : rc;
    rc = user_insert(db, s);
    if (rc == SPEEDY_DB_DUPLICATE)
        return TAKEN;
    if (rc == SPEEDY_DB_OK)
        rc = userd_consents_insert(db, s->p.id, &s->consents);
    return rc == SPEEDY_DB_OK ? speedy_mail_queue(db, &m) : rc;
}

static void person_make(struct signup *s)
{
    unsigned char noise[16];

    speedy_random(noise, sizeof(noise));
    s->p.id[0] = 'u';
    speedy_base64url(noise, sizeof(noise), s->p.id + 1);
    if (s->p.language[0] == '\0')
        memcpy(s->p.language, "ko", 3);
    speedy_data_key_new(&s->p.key, "users", s->p.id, strlen(s->p.id),
                        s->wrapped);
    userd_person_seal(&s->p, &s->sealed);
}

static void refuse(struct speedy_request *r, int verdict)
{
    static const struct speedy_field proof = {"/verification",
                                              "verification_invalid"};

    if (verdict == NO_PROOF)
        speedy_problem_fields(r, 400, "verification_invalid",
                              "The address is not verified by this.", &proof,
                              1);
    else if (verdict == TAKEN)
        speedy_problem(r, 409, "email_taken",
                       "There is an account with this address.");
    else
        userd_unavailable(r);
}

/* The new account as GET /users/me shows it. */
static void show(struct speedy_request *r, struct speedy_db *db,
                 const struct signup *s)
{
    struct userd_person p;

    if (userd_person_read(db, s->p.id, false, &p) != 1 ||
        userd_person_write(db, &p, &r->out) != SPEEDY_DB_OK) {
        /* it is made: the rest can be asked for */
        r->out.len = 0;
        speedy_buf_printf(&r->out, "{\"id\":\"%s\"}\n", s->p.id);
    }
    userd_person_wipe(&p);
    r->status = 201;
    speedy_buf_printf(&r->headers, "Location: /api/v1/users/me\n");
    userd_no_store(r);
}

static void signup_hashed(struct speedy_request *r, struct signup *s)
{
    struct speedy_stores *stores = speedy_stores_take();
    int rc;

    if (stores == NULL) {
        userd_unavailable(r);
        return;
    }
    person_make(s);
    rc = speedy_db_run(stores->db, signup, s);
    if (rc == SPEEDY_DB_OK)
        show(r, stores->db, s);
    else
        refuse(r, rc);
    speedy_stores_give(stores);
}

static void signup_run(struct speedy_request *r, struct signup *s)
{
    struct speedy_stores *stores = speedy_stores_take();
    int rc = SPEEDY_DB_RETRY;

    if (stores != NULL) {
        rc = proof_look(stores->db, s);
        speedy_stores_give(stores);
    }
    if (rc != 1) {
        refuse(r, rc == 0 ? NO_PROOF : rc);
        return;
    }
    switch (userd_hash_password(s->password, s->hash)) {
    case USERD_HASH_OK:
        signup_hashed(r, s);
        break;
    case USERD_HASH_BUSY:
        userd_busy(r);
        break;
    default:
        userd_unavailable(r);
    }
}

static void proof_take(struct userd_errors *e, const struct userd_field *f,
                       unsigned char hash[32])
{
    unsigned char token[USERD_TOKEN];
    const char *text = userd_field_text(f);

    if (text == NULL)
        return;
    if (speedy_unbase64url(text, strlen(text), token, sizeof(token)) !=
        sizeof(token))
        userd_error_add(e, "/verification", "verification_invalid");
    else
        speedy_sha256(token, sizeof(token), hash);
}

#define TEXT(n, code, nul)                                                     \
    {                                                                          \
        .name = (n), .type = SPEEDY_JSON_TEXT, .absent = (code),               \
        .with_nul = (nul)                                                      \
    }

void userd_users_post(struct speedy_request *r, void *data)
{
    struct userd_field f[] = {
        TEXT("email", USERD_REQUIRED, "email_invalid"),
        TEXT("password", USERD_REQUIRED, USERD_PASSWORD_WITH_NUL),
        TEXT("name", USERD_REQUIRED, "name_invalid"),
        TEXT("phone", USERD_REQUIRED, "phone_invalid"),
        TEXT("language", NULL, NULL),
        TEXT("verification", "verification_invalid", "verification_invalid"),
        {.name = "consents",
         .type = SPEEDY_JSON_ARRAY,
         .absent = "consent_required"},
        {.name = "age_over_14",
         .type = SPEEDY_JSON_BOOL,
         .absent = "age_required"},
        {.name = NULL},
    };
    struct signup s = {.request_id = r->request_id};
    struct userd_errors e;

    (void)data;
    if (!userd_no_query(r) || userd_body_read(r, &e, f) != 0)
        return;
    userd_email_take(&e, &f[0], s.p.email);
    userd_password_take(&e, &f[1], s.p.email);
    userd_name_take(&e, &f[2], s.p.name);
    userd_phone_take(&e, &f[3], s.p.phone);
    userd_language_take(&e, &f[4], s.p.language);
    proof_take(&e, &f[5], s.proof_hash);
    if (f[7].value != NULL && !speedy_json_bool(f[7].value, false))
        userd_error_add(&e, "/age_over_14", "age_required");
    if (userd_consents_take(r, &e, &f[6], true, &s.consents) != 0)
        return;
    if (!userd_refused(r, &e)) {
        s.password = userd_field_text(&f[1]);
        speedy_blind_index("email", s.p.email, s.email_index);
        signup_run(r, &s);
    }
    explicit_bzero(&s, sizeof(s));
}
