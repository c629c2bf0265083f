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
#include "consents.h"
#include "mask.h"
#include "people.h"
#include "ended.h"
#include "userd.h"

#define NO_USER 1
#define WRONG_STATE 2

/* An account; of one that has ended only the row's open columns are there. */
struct person {
    bool found;
    char id[USERD_OWNER_SIZE];
    int64_t created_at, ended_at;
    struct userd_person p;
};

#define PERSON                                                                 \
    "SELECT id, state, language, " SPEEDY_MS(                                  \
        "created_at") ", "                                                     \
                      "COALESCE(" SPEEDY_MS("ended_at") ", 0) FROM users "

static int person_row(void *data, const struct speedy_db_value *col,
                      size_t cols)
{
    struct person *x = data;

    (void)cols;
    x->found = true;
    snprintf(x->id, sizeof(x->id), "%s", (const char *)col[0].bytes);
    snprintf(x->p.state, sizeof(x->p.state), "%s", (const char *)col[1].bytes);
    snprintf(x->p.language, sizeof(x->p.language), "%s",
             (const char *)col[2].bytes);
    x->created_at = col[3].number;
    x->ended_at = col[4].number;
    return 1;
}

/* By id, or (id NULL) by the address's index; with what is sealed, if it
 * lives. enum speedy_db_status. */
static int person_find(struct speedy_db *db, const char *id,
                       const unsigned char index[SPEEDY_BLIND_INDEX],
                       struct person *x)
{
    char language[3];
    int rc;

    if (id != NULL)
        rc = speedy_db_query(db, PERSON "WHERE id = ?", DB_ARGS(DB_TEXT(id)),
                             person_row, x);
    else
        rc = speedy_db_query(db, PERSON "WHERE email_index = ?",
                             DB_ARGS(DB_BYTES(index, SPEEDY_BLIND_INDEX)),
                             person_row, x);
    if (rc != SPEEDY_DB_OK || !x->found || strcmp(x->p.state, "ENDED") == 0)
        return rc;
    memcpy(language, x->p.language, sizeof(language));
    rc = userd_person_read(db, x->id, false, &x->p);
    if (rc == 0) { /* it ended between the two */
        memcpy(x->p.language, language, sizeof(language));
        snprintf(x->p.state, sizeof(x->p.state), "ENDED");
    }
    return rc < 0 ? rc : SPEEDY_DB_OK;
}

static const char *or_null(const char *text)
{
    return *text != '\0' ? text : NULL;
}

/* Without the braces; the three texts as they are to be shown. */
static void person_write(struct speedy_buf *out, const struct person *x,
                         const char *email, const char *name, const char *phone)
{
    userd_text_member(out, "id", x->id);
    speedy_buf_printf(out, ",");
    userd_text_member(out, "state", x->p.state);
    speedy_buf_printf(out, ",");
    userd_text_member(out, "email", or_null(email));
    speedy_buf_printf(out, ",");
    userd_text_member(out, "name", or_null(name));
    speedy_buf_printf(out, ",");
    userd_text_member(out, "phone", or_null(phone));
    speedy_buf_printf(out, ",");
    userd_text_member(out, "language", x->p.language);
    speedy_buf_printf(out, ",");
    userd_time_member(out, "created_at", x->created_at);
    speedy_buf_printf(out, ",");
    userd_time_member(out, "ended_at", x->ended_at);
}

static void unknown(struct speedy_request *r)
{
    speedy_problem(r, 404, "user_not_found", "There is no such account.");
}

/* --- masked --- */

static void masked_write(struct speedy_buf *out, const struct person *x)
{
    char email[USERD_MASKED_EMAIL] = "", name[USERD_NAME_SIZE] = "",
         phone[USERD_MASKED_PHONE] = "";

    if (x->p.email[0] != '\0')
        userd_mask_email(x->p.email, email);
    if (x->p.name[0] != '\0')
        userd_mask_name(x->p.name, name);
    if (x->p.phone[0] != '\0')
        userd_mask_phone(x->p.phone, phone);
    speedy_buf_printf(out, "{");
    person_write(out, x, email, name, phone);
    speedy_buf_printf(out, "}");
}

static void find(struct userd_admin *a)
{
    static const char *const names[] = {"email", "id", NULL};
    struct speedy_request *r = a->r;
    const char *email = speedy_request_query(r, "email"), *id;
    char address[USERD_EMAIL_MAX + 1];
    unsigned char index[SPEEDY_BLIND_INDEX];
    struct person x = {0};

    if (!userd_word_asked(r, "id", &id))
        return;
    if (speedy_request_unknown_query(r, names) != NULL ||
        (email == NULL) == (id == NULL)) {
        speedy_problem(r, 400, "unknown_parameter",
                       "Ask by email or by id, one of them.");
        return;
    }
    if (email != NULL) {
        if (userd_email_normalise(email, address) != 0) {
            speedy_problem(r, 400, "email_invalid", "This is no address.");
            return;
        }
        speedy_blind_index("email", address, index);
    }
    if (person_find(a->s->db, id, index, &x) != SPEEDY_DB_OK) {
        userd_unavailable(r);
    } else {
        speedy_buf_printf(&r->out, "{\"data\":[");
        if (x.found)
            masked_write(&r->out, &x);
        userd_page_end(r, NULL, 0);
    }
    explicit_bzero(&x, sizeof(x));
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

static void show(struct userd_admin *a)
{
    static const char *const names[] = {"reason", NULL};
    struct speedy_request *r = a->r;
    const char *reason = speedy_request_query(r, "reason");
    struct person x = {0};
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
        rc = person_find(a->s->db, r->id, NULL, &x);
    if (rc == SPEEDY_DB_OK) {
        speedy_buf_printf(&r->out, "{");
        person_write(&r->out, &x, x.p.email, x.p.name, x.p.phone);
        speedy_buf_printf(&r->out, ",\"consents\":");
        rc = userd_consents_write(a->s->db, r->id, &r->out);
        speedy_buf_printf(&r->out, "}\n");
        r->status = 200;
    }
    if (rc != SPEEDY_DB_OK)
        userd_unavailable(r);
    explicit_bzero(&x, sizeof(x));
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
