/*
 * POST /admin/sessions: password and code of the authenticator, judged
 * together and answered by one word, whichever is wrong and whether or not
 * there is such a login. A try counts before it is judged (throttle.h); the
 * code's step is taken by a compare-and-set in the transaction that opens
 * the session, so of two requests with one code one gets in.
 *
 * Refresh and logout are those of shoppers, of the other kind: sessions.h.
 */
#include "../shop/staff.h"

#include <stdio.h>
#include <string.h>

#include "../common/log.h"
#include "../common/loop.h"
#include "../common/password.h"
#include "../common/stores.h"
#include "admin.h"
#include "body.h"
#include "hasher.h"
#include "sessions.h"
#include "throttle.h"
#include "userd.h"

#define TAKEN 1 /* the code was used, or the operator changed meanwhile */
#define ATTEMPTS 4

/* A login under way; a name that nobody has stays with found = false. */
struct login {
    struct speedy_request *r;
    const char *name, *password, *code;
    bool found;
    char id[USERD_SESSION_OWNER], role[USERD_SESSION_ROLE];
    char hash[SPEEDY_PASSWORD_HASH], renewed[SPEEDY_PASSWORD_HASH];
    unsigned char totp[SPEEDY_TOTP_SECRET];
    int64_t last, step;
    struct userd_session session;
};

static int staff_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct login *l = data;

    (void)cols;
    snprintf(l->id, sizeof(l->id), "%s", (const char *)col[0].bytes);
    snprintf(l->role, sizeof(l->role), "%s", (const char *)col[1].bytes);
    snprintf(l->hash, sizeof(l->hash), "%s", (const char *)col[2].bytes);
    l->last = col[3].number;
    /* What cannot be opened fits no code, and is logged. */
    l->found = speedy_staff_totp_open(l->id, &col[4], &col[5], col[6].bytes,
                                      l->totp) == 0;
    return 1;
}

/* Counts the try and reads the row. False after answering. */
static bool begin(struct login *l, const unsigned char *subject)
{
    struct speedy_stores *s = speedy_stores_take();
    long seconds = 1;
    int rc = SPEEDY_DB_RETRY, counted = SPEEDY_DB_RETRY;

    if (s != NULL)
        counted = userd_throttle_take(s->db, subject, &seconds);
    if (counted == 1)
        rc = speedy_db_query(
            s->db,
            "SELECT id, role, password_hash, totp_step, sealed_totp, data_key,"
            " master_key FROM staff WHERE login = ? AND state = 'ACTIVE'",
            DB_ARGS(DB_TEXT(speedy_staff_login_valid(l->name) ? l->name : "-")),
            staff_row, l);
    if (s != NULL)
        speedy_stores_give(s);
    if (counted == 0)
        speedy_problem_retry(l->r, 429, "login_later",
                             "Too many tries for this name.", seconds);
    else if (counted != 1 || rc != SPEEDY_DB_OK)
        userd_unavailable(l->r);
    return counted == 1 && rc == SPEEDY_DB_OK;
}

/* Password and code, each looked at whatever the other is. */
static enum userd_hash_result judge(struct login *l)
{
    enum userd_hash_result n;
    bool stale = false;

    n = userd_verify_password(l->password, l->found ? l->hash : NULL, &stale);
    l->step = speedy_totp_match(l->totp, sizeof(l->totp), l->code,
                                speedy_now_real() / 1000, l->last);
    explicit_bzero(l->totp, sizeof(l->totp));
    if (n != USERD_HASH_OK)
        return n;
    if (!l->found || l->step == 0)
        return USERD_HASH_NO;
    if (stale && userd_hash_password(l->password, l->renewed) != USERD_HASH_OK)
        l->renewed[0] = '\0'; /* at the next login, then */
    return USERD_HASH_OK;
}

static int enter(struct speedy_act *act, void *data)
{
    struct login *l = data;
    long taken = 0;
    int rc;

    rc = speedy_db_exec(
        act->db,
        "UPDATE staff SET totp_step = ?, password_hash = IF(? = '',"
        " password_hash, ?) WHERE id = ? AND totp_step < ? AND state ="
        " 'ACTIVE' AND role = ? AND password_hash = ?",
        DB_ARGS(DB_INT(l->step), DB_TEXT(l->renewed), DB_TEXT(l->renewed),
                DB_TEXT(l->id), DB_INT(l->step), DB_TEXT(l->role),
                DB_TEXT(l->hash)),
        &taken);
    if (rc == SPEEDY_DB_OK && taken == 0)
        return TAKEN;
    if (rc == SPEEDY_DB_OK)
        rc = userd_session_open(act->db, &userd_staff_sessions, l->id, l->role,
                                speedy_request_header(l->r, "User-Agent"),
                                &l->session);
    speedy_buf_printf(&act->detail,
                      "\"staff\":\"%s\",\"request_id\":\"%s\",\"session\":"
                      "\"%s\"",
                      l->id, l->r->request_id, l->session.id);
    return rc;
}

static void refused(struct login *l)
{
    speedy_log(SPEEDY_WARN, "an operator's login was refused",
               "request_id=%s staff=%s", l->r->request_id,
               l->found ? l->id : "-");
    speedy_problem(l->r, 401, "credentials_invalid",
                   "Login, password or code is wrong.");
}

/* Takes the code's step, opens the session, answers. */
static void finish(struct login *l, const unsigned char *subject)
{
    struct speedy_stores *s = speedy_stores_take();
    char actor[SPEEDY_ACTOR_MAX];
    struct speedy_act act = {
        .actor = actor, .reason = "", .attempts = ATTEMPTS};
    int rc = SPEEDY_DB_RETRY;

    snprintf(actor, sizeof(actor), "staff:%s", l->name);
    if (s != NULL) {
        act.db = s->db;
        rc = speedy_act_run(&act, "staff.login", l->name, enter, l);
        speedy_buf_free(&act.detail);
        if (rc == SPEEDY_DB_OK)
            userd_throttle_clear(s->db, subject);
        speedy_stores_give(s);
    }
    if (rc == TAKEN) {
        refused(l);
    } else if (rc != SPEEDY_DB_OK) {
        userd_unavailable(l->r);
    } else {
        userd_session_answer(l->r, &l->session, 201);
    }
}

static void not_judged(struct login *l, const unsigned char *subject,
                       enum userd_hash_result why)
{
    struct speedy_stores *s = speedy_stores_take();

    if (s != NULL) {
        userd_throttle_return(s->db, subject);
        speedy_stores_give(s);
    }
    if (why == USERD_HASH_BUSY)
        userd_busy(l->r);
    else
        userd_unavailable(l->r);
}

void userd_staff_login(struct speedy_request *r, void *data)
{
    struct userd_field fields[] = {
        {"login", SPEEDY_JSON_TEXT, USERD_REQUIRED, NULL, NULL},
        {"password", SPEEDY_JSON_TEXT, USERD_REQUIRED, NULL, NULL},
        {"totp", SPEEDY_JSON_TEXT, USERD_REQUIRED, NULL, NULL},
        {NULL, SPEEDY_JSON_NULL, NULL, NULL, NULL}};
    unsigned char subject[USERD_SUBJECT];
    struct login l = {.r = r};
    enum userd_hash_result n;
    struct userd_errors e;

    (void)data;
    if (!userd_no_query(r) || !userd_origin_allowed(r) ||
        userd_body_read(r, &e, fields) != 0 || userd_refused(r, &e))
        return;
    l.name = userd_field_text(&fields[0]);
    l.password = userd_field_text(&fields[1]);
    l.code = userd_field_text(&fields[2]);
    userd_throttle_subject("staff", l.name, subject);
    if (!begin(&l, subject))
        return;
    n = judge(&l);
    if (n == USERD_HASH_OK)
        finish(&l, subject);
    else if (n == USERD_HASH_NO)
        refused(&l);
    else
        not_judged(&l, subject, n);
    explicit_bzero(l.hash, sizeof(l.hash));
    explicit_bzero(l.renewed, sizeof(l.renewed));
}
