/*
 * /admin/staff: operators, by an OWNER. A password and an authenticator's
 * secret are made here and answered once; any change ends the sessions of
 * whom it concerns, so no old token keeps an old role.
 */
#include <stdio.h>
#include <string.h>

#include "../common/password.h"
#include "../shop/staff.h"
#include "admin.h"
#include "body.h"
#include "ended.h"
#include "hasher.h"
#include "userd.h"

#define NO_STAFF 1
#define LAST_OWNER 2
#define OTHER_VERSION 3
#define NOTHING 4 /* ended, and asked for a new authenticator only */

/* An operator that is made or changed, and what was made anew. */
struct change {
    const char *id, *login, *role, *state; /* NULL: stays */
    bool renew;
    int64_t version; /* 0: any */
    char password[SPEEDY_STAFF_PASSWORD], hash[SPEEDY_PASSWORD_HASH];
    unsigned char totp[SPEEDY_TOTP_SECRET];
    /* the row as it is afterwards */
    char now_id[41], now_login[SPEEDY_STAFF_LOGIN], now_role[11], now_state[11];
    int64_t now_version;
    long sessions;
};

/* --- the list --- */

static void staff_write(struct speedy_buf *out, const char *id,
                        const char *login, const char *role, const char *state,
                        int64_t version)
{
    userd_text_member(out, "id", id);
    speedy_buf_printf(out, ",");
    userd_text_member(out, "login", login);
    speedy_buf_printf(out, ",\"role\":\"%s\",\"state\":\"%s\",\"version\":%lld",
                      role, state, (long long)version);
}

static int list_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct speedy_buf *out = data;

    (void)cols;
    speedy_buf_printf(out, "%s{", out->data[out->len - 1] == '[' ? "" : ",");
    staff_write(out, col[0].bytes, col[1].bytes, col[2].bytes, col[3].bytes,
                col[4].number);
    speedy_buf_printf(out, ",\"sessions\":%lld,", (long long)col[5].number);
    userd_time_member(out, "created_at", col[6].number);
    speedy_buf_printf(out, ",");
    userd_time_member(out, "last_login_at", col[7].number);
    speedy_buf_printf(out, "}");
    return 0;
}

static void list(struct userd_admin *a)
{
    int rc;

    if (!userd_no_query(a->r))
        return;
    speedy_buf_printf(&a->r->out, "{\"data\":[");
    rc = speedy_db_query(
        a->s->db,
        "SELECT id, login, role, state, version, (SELECT COUNT(*) FROM"
        " sessions s WHERE s.owner_id = staff.id AND s.ended_at IS NULL AND"
        " s.expires_at > UTC_TIMESTAMP(3)), " SPEEDY_MS(
            "created_at") ","
                          " totp_step * 30000 FROM staff ORDER BY login",
        DB_NONE, list_row, &a->r->out);
    if (rc == SPEEDY_DB_OK)
        userd_page_end(a->r, NULL, 0);
    else
        userd_unavailable(a->r);
}
struct userd_admin_act userd_admin_staff_list = {list};

/* --- what adding and changing share --- */

/* A new password and its hash. False after answering. */
static bool password_make(struct speedy_request *r, struct change *c)
{
    enum userd_hash_result n;

    speedy_staff_password_make(c->password);
    n = userd_hash_password(c->password, c->hash);
    if (n == USERD_HASH_BUSY)
        userd_busy(r);
    else if (n != USERD_HASH_OK)
        userd_unavailable(r);
    return n == USERD_HASH_OK;
}

static void answer(struct speedy_request *r, int status, const struct change *c,
                   bool secrets)
{
    struct speedy_buf uri = {0};
    char secret[SPEEDY_TOTP_BASE32];

    r->status = status;
    speedy_buf_printf(&r->out, "{");
    staff_write(&r->out, c->now_id, c->now_login, c->now_role, c->now_state,
                c->now_version);
    speedy_buf_printf(&r->out, ",\"sessions_ended\":%ld", c->sessions);
    if (secrets) {
        speedy_base32(c->totp, sizeof(c->totp), secret);
        speedy_totp_uri(&uri, SPEEDY_STAFF_ISSUER, c->now_login, c->totp);
        speedy_buf_printf(&r->out,
                          ",\"password\":\"%s\",\"totp_secret\":\"%s\","
                          "\"totp_uri\":",
                          c->password, secret);
        speedy_buf_json(&r->out, uri.data);
        explicit_bzero(uri.data, uri.len);
        explicit_bzero(secret, sizeof(secret));
        speedy_buf_free(&uri);
    }
    speedy_buf_printf(&r->out, "}\n");
}

static const char *reason_of(const struct userd_field *f,
                             struct userd_errors *e)
{
    const char *reason = userd_field_text(f);

    if (reason != NULL && !userd_reason_valid(reason))
        userd_error_add(e, "/reason", USERD_INVALID);
    return reason != NULL ? reason : "";
}

static const char *role_of(const struct userd_field *f, struct userd_errors *e)
{
    const char *role = userd_field_text(f);

    if (role != NULL && speedy_staff_rank(role) == 0)
        userd_error_add(e, "/role", USERD_INVALID);
    return role;
}

/* --- POST --- */

static int add_work(struct speedy_act *act, void *data)
{
    struct change *c = data;
    struct speedy_staff_new s = {
        .login = c->login, .role = c->role, .password_hash = c->hash};
    int rc = speedy_staff_insert(act->db, &s);

    memcpy(c->now_id, s.id, sizeof(s.id));
    memcpy(c->totp, s.totp, sizeof(c->totp));
    explicit_bzero(s.totp, sizeof(s.totp));
    snprintf(c->now_login, sizeof(c->now_login), "%s", c->login);
    snprintf(c->now_role, sizeof(c->now_role), "%s", c->role);
    snprintf(c->now_state, sizeof(c->now_state), "ACTIVE");
    c->now_version = 1;
    speedy_buf_printf(&act->detail, ",\"about\":\"%s\",\"role\":\"%s\"",
                      c->now_id, c->role);
    return rc;
}

static void add(struct userd_admin *a)
{
    struct userd_field fields[] = {
        {"login", SPEEDY_JSON_TEXT, USERD_REQUIRED, NULL, NULL},
        {"role", SPEEDY_JSON_TEXT, USERD_REQUIRED, NULL, NULL},
        {"reason", SPEEDY_JSON_TEXT, NULL, NULL, NULL},
        {NULL, SPEEDY_JSON_NULL, NULL, NULL, NULL}};
    struct change c = {0};
    struct userd_errors e;
    const char *reason;
    int rc;

    if (!userd_no_query(a->r) || userd_body_read(a->r, &e, fields) != 0)
        return;
    c.login = userd_field_text(&fields[0]);
    if (c.login != NULL && !speedy_staff_login_valid(c.login))
        userd_error_add(&e, "/login", USERD_INVALID);
    c.role = role_of(&fields[1], &e);
    reason = reason_of(&fields[2], &e);
    if (userd_refused(a->r, &e) || !password_make(a->r, &c))
        return;
    rc = userd_admin_run(a, "staff.add", c.login, reason, add_work, &c);
    if (rc == SPEEDY_DB_OK)
        answer(a->r, 201, &c, true);
    else if (rc == SPEEDY_DB_DUPLICATE)
        speedy_problem(a->r, 409, "login_taken", "This login is taken.");
    else
        userd_unavailable(a->r);
    explicit_bzero(&c, sizeof(c));
}
struct userd_admin_act userd_admin_staff_add = {add};

/* --- PATCH --- */

static int now_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct change *c = data;

    (void)cols;
    snprintf(c->now_id, sizeof(c->now_id), "%s", c->id);
    snprintf(c->now_login, sizeof(c->now_login), "%s",
             (const char *)col[0].bytes);
    snprintf(c->now_role, sizeof(c->now_role), "%s",
             (const char *)col[1].bytes);
    snprintf(c->now_state, sizeof(c->now_state), "%s",
             (const char *)col[2].bytes);
    c->now_version = col[3].number;
    return 1;
}

/* Locks the owners and then the row; 0, a status, or why not. */
static int change_check(struct speedy_db *db, struct change *c)
{
    long others = speedy_staff_other_owners(db, c->id);
    int rc;

    if (others < 0)
        return (int)others;
    c->now_id[0] = '\0';
    rc = speedy_db_query(
        db,
        "SELECT login, role, state, version FROM staff WHERE id = ? FOR UPDATE",
        DB_ARGS(DB_TEXT(c->id)), now_row, c);
    if (rc != SPEEDY_DB_OK)
        return rc;
    if (c->now_id[0] == '\0')
        return NO_STAFF;
    if (c->version != 0 && c->version != c->now_version)
        return OTHER_VERSION;
    if (others == 0 && strcmp(c->now_role, "OWNER") == 0 &&
        strcmp(c->now_state, "ACTIVE") == 0 &&
        ((c->role != NULL && strcmp(c->role, "OWNER") != 0) ||
         (c->state != NULL && strcmp(c->state, "ACTIVE") != 0)))
        return LAST_OWNER;
    if (c->state == NULL && strcmp(c->now_state, "ACTIVE") != 0)
        return NOTHING;
    return 0;
}

static int change_work(struct speedy_act *act, void *data)
{
    struct change *c = data;
    int rc = change_check(act->db, c);

    if (rc != 0)
        return rc;
    speedy_buf_printf(&act->detail,
                      ",\"about\":\"%s\",\"from\":[\"%s\",\"%s\"],\"renewed\":"
                      "%s",
                      c->id, c->now_role, c->now_state,
                      c->renew ? "true" : "false");
    if (c->role != NULL)
        snprintf(c->now_role, sizeof(c->now_role), "%s", c->role);
    if (c->state != NULL)
        snprintf(c->now_state, sizeof(c->now_state), "%s", c->state);
    speedy_buf_printf(&act->detail, ",\"to\":[\"%s\",\"%s\"]", c->now_role,
                      c->now_state);
    c->now_version++;
    if (c->renew)
        rc = speedy_staff_renew(act->db, c->id, c->hash, c->totp);
    if (rc == SPEEDY_DB_OK)
        rc = speedy_db_exec(
            act->db,
            "UPDATE staff SET role = ?, state = ?, version = ? WHERE id = ?",
            DB_ARGS(DB_TEXT(c->now_role), DB_TEXT(c->now_state),
                    DB_INT(c->now_version), DB_TEXT(c->id)),
            NULL);
    if (rc == SPEEDY_DB_OK)
        rc = speedy_sessions_end_of(act->db, c->id, "staff_changed",
                                    &c->sessions);
    return rc;
}

static void change_answer(struct speedy_request *r, const struct change *c,
                          int rc)
{
    switch (rc) {
    case SPEEDY_DB_OK:
        if (c->sessions > 0)
            userd_ended_publish();
        answer(r, 200, c, c->renew);
        break;
    case NO_STAFF:
        speedy_problem(r, 404, "staff_not_found", "There is no such operator.");
        break;
    case LAST_OWNER:
        speedy_problem(r, 409, "last_owner",
                       "There must be an OWNER: make another one first.");
        break;
    case OTHER_VERSION:
        speedy_problem(r, 409, "version_conflict",
                       "Somebody changed this operator meanwhile.");
        break;
    case NOTHING:
        speedy_problem(r, 409, "state_conflict",
                       "This operator has ended: state ACTIVE comes first.");
        break;
    default:
        userd_unavailable(r);
    }
}

/* Reads the body into c. False after answering. */
static bool change_read(struct speedy_request *r, struct change *c,
                        const char **reason)
{
    struct userd_field fields[] = {
        {"role", SPEEDY_JSON_TEXT, NULL, NULL, NULL},
        {"state", SPEEDY_JSON_TEXT, NULL, NULL, NULL},
        {"renew", SPEEDY_JSON_BOOL, NULL, NULL, NULL},
        {"version", SPEEDY_JSON_INT, NULL, NULL, NULL},
        {"reason", SPEEDY_JSON_TEXT, NULL, NULL, NULL},
        {NULL, SPEEDY_JSON_NULL, NULL, NULL, NULL}};
    struct userd_errors e;

    if (!userd_no_query(r) || userd_body_read(r, &e, fields) != 0)
        return false;
    c->role = role_of(&fields[0], &e);
    c->state = userd_field_text(&fields[1]);
    if (c->state != NULL && strcmp(c->state, "ACTIVE") != 0 &&
        strcmp(c->state, "ENDED") != 0)
        userd_error_add(&e, "/state", USERD_INVALID);
    c->renew =
        fields[2].value != NULL && speedy_json_bool(fields[2].value, false);
    if (fields[3].value != NULL &&
        speedy_json_int(fields[3].value, 1, INT32_MAX, &c->version) != 0)
        userd_error_add(&e, "/version", USERD_INVALID);
    *reason = reason_of(&fields[4], &e);
    if (c->role == NULL && c->state == NULL && !c->renew && e.count == 0)
        userd_error_add(&e, "", USERD_REQUIRED);
    if (c->renew && c->state != NULL && strcmp(c->state, "ENDED") == 0)
        userd_error_add(&e, "/renew", USERD_INVALID);
    return !userd_refused(r, &e);
}

static void change(struct userd_admin *a)
{
    struct change c = {.id = a->r->id};
    const char *reason = "";
    int rc;

    if (!change_read(a->r, &c, &reason) ||
        (c.renew && !password_make(a->r, &c)))
        return;
    rc = userd_admin_run(a, "staff.change", a->r->id, reason, change_work, &c);
    change_answer(a->r, &c, rc);
    explicit_bzero(&c, sizeof(c));
}
struct userd_admin_act userd_admin_staff_change = {change};
