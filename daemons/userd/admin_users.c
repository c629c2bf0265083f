/*
 * /admin/users: one account found by its address or id, masked; one in plain
 * words, which is a view that the audit log has before the answer is made;
 * blocking and unblocking, which end or allow sessions.
 */
#include <stdio.h>
#include <string.h>

#include "../common/seal.h"
#include "../shop/staff.h"
#include "admin.h"
#include "body.h"
#include "mask.h"
#include "ended.h"
#include "userd.h"

#define NO_USER 1
#define WRONG_STATE 2

struct person {
    bool found, sealed; /* sealed: it cannot be read */
    char id[41], state[11], language[3];
    char email[USERD_EMAIL_MAX + 1], name[USERD_NAME_SIZE],
        phone[USERD_PHONE_SIZE];
    int64_t created_at, ended_at;
};

#define PERSON                                                                 \
    "SELECT id, state, language, " SPEEDY_MS(                                  \
        "created_at") ", "                                                     \
                      "COALESCE(" SPEEDY_MS(                                   \
                          "ended_at") ", 0), sealed_email, sealed_name, "      \
                                      "sealed_phone, data_key, master_key FROM users "

/* "" for NULL; what cannot be opened marks the person. */
static void take(struct person *p, const struct speedy_data_key *k,
                 const char *column, const struct speedy_db_value *v, char *out,
                 size_t size)
{
    const struct speedy_seal_place at = {"users", column, p->id, strlen(p->id)};

    out[0] = '\0';
    if (v->kind == SPEEDY_DB_NULL)
        return;
    if (v->len > size - 1 + SPEEDY_SEAL_EXTRA ||
        speedy_unseal(k, &at, v->bytes, v->len, out) < 0) {
        p->sealed = true;
        out[0] = '\0';
    }
}

static int person_row(void *data, const struct speedy_db_value *col,
                      size_t cols)
{
    struct person *p = data;
    struct speedy_data_key k;

    (void)cols;
    p->found = true;
    snprintf(p->id, sizeof(p->id), "%s", (const char *)col[0].bytes);
    snprintf(p->state, sizeof(p->state), "%s", (const char *)col[1].bytes);
    snprintf(p->language, sizeof(p->language), "%s",
             (const char *)col[2].bytes);
    p->created_at = col[3].number;
    p->ended_at = col[4].number;
    if (col[8].kind == SPEEDY_DB_NULL)
        return 1; /* shredded */
    if (speedy_data_key_open(&k, "users", p->id, strlen(p->id), col[9].bytes,
                             col[8].bytes, col[8].len) != 0) {
        p->sealed = true;
        return 1;
    }
    take(p, &k, "sealed_email", &col[5], p->email, sizeof(p->email));
    take(p, &k, "sealed_name", &col[6], p->name, sizeof(p->name));
    take(p, &k, "sealed_phone", &col[7], p->phone, sizeof(p->phone));
    speedy_data_key_wipe(&k);
    return 1;
}

static const char *or_null(const char *text)
{
    return *text != '\0' ? text : NULL;
}

/* Without the braces; the three texts as they are to be shown. */
static void person_write(struct speedy_buf *out, const struct person *p,
                         const char *email, const char *name, const char *phone)
{
    userd_text_member(out, "id", p->id);
    speedy_buf_printf(out, ",");
    userd_text_member(out, "state", p->state);
    speedy_buf_printf(out, ",");
    userd_text_member(out, "email", or_null(email));
    speedy_buf_printf(out, ",");
    userd_text_member(out, "name", or_null(name));
    speedy_buf_printf(out, ",");
    userd_text_member(out, "phone", or_null(phone));
    speedy_buf_printf(out, ",");
    userd_text_member(out, "language", p->language);
    speedy_buf_printf(out, ",");
    userd_time_member(out, "created_at", p->created_at);
    speedy_buf_printf(out, ",");
    userd_time_member(out, "ended_at", p->ended_at);
}

static void unknown(struct speedy_request *r)
{
    speedy_problem(r, 404, "user_not_found", "There is no such account.");
}

/* --- masked --- */

static void masked_write(struct speedy_buf *out, const struct person *p)
{
    char email[USERD_MASKED_EMAIL] = "", name[USERD_NAME_SIZE] = "",
         phone[USERD_MASKED_PHONE] = "";

    if (p->email[0] != '\0')
        userd_mask_email(p->email, email);
    if (p->name[0] != '\0')
        userd_mask_name(p->name, name);
    if (p->phone[0] != '\0')
        userd_mask_phone(p->phone, phone);
    speedy_buf_printf(out, "{");
    person_write(out, p, email, name, phone);
    speedy_buf_printf(out, "}");
}

static void find(struct userd_admin *a)
{
    static const char *const names[] = {"email", "id", NULL};
    struct speedy_request *r = a->r;
    const char *email = speedy_request_query(r, "email");
    const char *id = speedy_request_query(r, "id");
    char address[USERD_EMAIL_MAX + 1];
    unsigned char index[SPEEDY_BLIND_INDEX];
    struct person p = {0};
    int rc = SPEEDY_DB_OK;

    if (speedy_request_unknown_query(r, names) != NULL ||
        (email == NULL) == (id == NULL)) {
        speedy_problem(r, 400, "unknown_parameter",
                       "Ask by email or by id, one of them.");
        return;
    }
    if (id != NULL) {
        rc = speedy_db_query(a->s->db, PERSON "WHERE id = ?",
                             DB_ARGS(DB_TEXT(id)), person_row, &p);
    } else if (userd_email_normalise(email, address) == 0) {
        speedy_blind_index("email", address, index);
        rc = speedy_db_query(a->s->db, PERSON "WHERE email_index = ?",
                             DB_ARGS(DB_BYTES(index, sizeof(index))),
                             person_row, &p);
    } else {
        speedy_problem(r, 400, "email_invalid", "This is no address.");
        return;
    }
    if (rc != SPEEDY_DB_OK || p.sealed) {
        userd_unavailable(r);
    } else {
        speedy_buf_printf(&r->out, "{\"data\":[");
        if (p.found)
            masked_write(&r->out, &p);
        userd_page_end(r, NULL, 0);
    }
    explicit_bzero(&p, sizeof(p));
}
struct userd_admin_act userd_admin_users_find = {find};

/* --- in plain words --- */

static int view(struct speedy_act *act, void *data)
{
    int64_t n = 0;
    int rc;

    rc = speedy_db_number(act->db, "SELECT COUNT(*) FROM users WHERE id = ?",
                          DB_ARGS(DB_TEXT((const char *)data)), &n);
    if (rc < 0)
        return rc;
    speedy_buf_printf(&act->detail, ",\"seen\":[\"email\",\"name\","
                                    "\"phone\"]");
    return n == 1 ? SPEEDY_DB_OK : NO_USER;
}

static int consent_row(void *data, const struct speedy_db_value *col,
                       size_t cols)
{
    struct speedy_buf *out = data;

    (void)cols;
    speedy_buf_printf(out, "%s{", out->data[out->len - 1] == '[' ? "" : ",");
    userd_text_member(out, "kind", col[0].bytes);
    speedy_buf_printf(out, ",");
    userd_text_member(out, "version", col[1].bytes);
    speedy_buf_printf(out, ",\"agreed\":%s,", col[2].number ? "true" : "false");
    userd_time_member(out, "at", col[3].number);
    speedy_buf_printf(out, "}");
    return 0;
}

static void show(struct userd_admin *a)
{
    static const char *const names[] = {"reason", NULL};
    struct speedy_request *r = a->r;
    const char *reason = speedy_request_query(r, "reason");
    struct person p = {0};
    int rc;

    if (speedy_request_unknown_query(r, names) != NULL) {
        speedy_problem(r, 400, "unknown_parameter",
                       "Only reason is known here.");
        return;
    }
    if (reason == NULL || !userd_reason_valid(reason)) {
        speedy_problem(r, 400, "reason_required",
                       "?reason= says why, in 1 to 200 characters.");
        return;
    }
    rc = userd_admin_run(a, "user.view", r->id, reason, view, (void *)r->id);
    if (rc == NO_USER) {
        unknown(r);
        return;
    }
    if (rc == SPEEDY_DB_OK)
        rc = speedy_db_query(a->s->db, PERSON "WHERE id = ?",
                             DB_ARGS(DB_TEXT(r->id)), person_row, &p);
    if (rc == SPEEDY_DB_OK && p.found && !p.sealed) {
        speedy_buf_printf(&r->out, "{");
        person_write(&r->out, &p, p.email, p.name, p.phone);
        speedy_buf_printf(&r->out, ",\"consents\":[");
        rc = speedy_db_query(a->s->db,
                             "SELECT kind, version, agreed, " SPEEDY_MS(
                                 "at") " FROM consents WHERE user_id = ? ORDER"
                                       " BY id",
                             DB_ARGS(DB_TEXT(r->id)), consent_row, &r->out);
        speedy_buf_printf(&r->out, "]}\n");
        r->status = 200;
    }
    if (rc != SPEEDY_DB_OK || !p.found || p.sealed)
        userd_unavailable(r);
    explicit_bzero(&p, sizeof(p));
}
struct userd_admin_act userd_admin_users_show = {show};

/* --- block, unblock --- */

struct move {
    const char *id, *from, *to;
    long sessions;
};

static int state_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    (void)cols;
    snprintf(data, 11, "%s", (const char *)col[0].bytes);
    return 1;
}

static int move_work(struct speedy_act *act, void *data)
{
    struct move *m = data;
    char state[11] = "";
    int rc;

    m->sessions = 0;
    rc = speedy_db_query(act->db,
                         "SELECT state FROM users WHERE id = ? FOR UPDATE",
                         DB_ARGS(DB_TEXT(m->id)), state_row, state);
    if (rc != SPEEDY_DB_OK)
        return rc;
    if (state[0] == '\0')
        return NO_USER;
    if (strcmp(state, m->from) != 0)
        return WRONG_STATE;
    rc = speedy_db_exec(act->db,
                        "UPDATE users SET state = ?, version = version + 1,"
                        " updated_at = UTC_TIMESTAMP(3) WHERE id = ?",
                        DB_ARGS(DB_TEXT(m->to), DB_TEXT(m->id)), NULL);
    if (rc == SPEEDY_DB_OK && strcmp(m->to, "BLOCKED") == 0)
        rc = speedy_sessions_end_of(act->db, m->id, "blocked", &m->sessions);
    speedy_buf_printf(&act->detail, ",\"sessions\":%ld", m->sessions);
    return rc;
}

static void move(struct userd_admin *a, const char *act, struct move *m)
{
    struct userd_field fields[] = {
        {"reason", SPEEDY_JSON_TEXT, USERD_REQUIRED, NULL, NULL},
        {NULL, SPEEDY_JSON_NULL, NULL, NULL, NULL}};
    struct speedy_request *r = a->r;
    struct userd_errors e;
    const char *reason;
    int rc;

    if (!userd_no_query(r) || userd_body_read(r, &e, fields) != 0)
        return;
    reason = userd_field_text(&fields[0]);
    if (reason != NULL && !userd_reason_valid(reason))
        userd_error_add(&e, "/reason", USERD_INVALID);
    if (userd_refused(r, &e))
        return;
    m->id = r->id;
    rc = userd_admin_run(a, act, r->id, reason, move_work, m);
    if (rc == NO_USER) {
        unknown(r);
    } else if (rc == WRONG_STATE) {
        speedy_problem(r, 409, "state_conflict",
                       "The account is not in a state for this.");
    } else if (rc != SPEEDY_DB_OK) {
        userd_unavailable(r);
    } else {
        if (m->sessions > 0)
            userd_ended_publish();
        r->status = 200;
        speedy_buf_printf(&r->out, "{");
        userd_text_member(&r->out, "id", r->id);
        speedy_buf_printf(&r->out,
                          ",\"state\":\"%s\",\"sessions_ended\":%ld}\n", m->to,
                          m->sessions);
    }
}

static void block(struct userd_admin *a)
{
    struct move m = {.from = "ACTIVE", .to = "BLOCKED"};

    move(a, "user.block", &m);
}
struct userd_admin_act userd_admin_users_block = {block};

static void unblock(struct userd_admin *a)
{
    struct move m = {.from = "BLOCKED", .to = "ACTIVE"};

    move(a, "user.unblock", &m);
}
struct userd_admin_act userd_admin_users_unblock = {unblock};
