/*
 * /admin/mails: what was sent, to which account, and what the other server
 * said; no addresses. A mail that failed may be sent again.
 */
#include <string.h>

#include "../common/crypto.h"
#include "../shop/mail_again.h"
#include "admin.h"
#include "userd.h"

#define NO_MAIL 1
#define WRONG_STATE 2

struct page {
    struct speedy_buf *out;
    long limit, count;
    unsigned char last[16];
};

static void number_or_null(struct speedy_buf *out, const char *name,
                           const struct speedy_db_value *v)
{
    if (v->kind == SPEEDY_DB_NULL)
        speedy_buf_printf(out, ",\"%s\":null,", name);
    else
        speedy_buf_printf(out, ",\"%s\":%lld,", name, (long long)v->number);
}

static int row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct page *p = data;
    struct speedy_buf *out = p->out;
    char id[37];

    (void)cols;
    p->count++;
    if (p->count > p->limit)
        return 1;
    memcpy(p->last, col[0].bytes, sizeof(p->last));
    speedy_uuid_text(p->last, id);
    speedy_buf_printf(out, "%s{\"id\":\"%s\",", p->count > 1 ? "," : "", id);
    userd_text_member(out, "kind", col[1].bytes);
    speedy_buf_printf(out, ",");
    userd_text_member(out, "user_id",
                      col[2].kind == SPEEDY_DB_NULL ? NULL : col[2].bytes);
    speedy_buf_printf(out, ",");
    userd_text_member(out, "state", col[3].bytes);
    speedy_buf_printf(out, ",\"attempts\":%lld", (long long)col[4].number);
    number_or_null(out, "reply_code", &col[5]);
    userd_text_member(out, "reply",
                      col[6].kind == SPEEDY_DB_NULL ? NULL : col[6].bytes);
    speedy_buf_printf(out, ",");
    userd_time_member(out, "created_at", col[7].number);
    speedy_buf_printf(out, ",");
    userd_time_member(out, "next_at", col[8].number);
    speedy_buf_printf(out, ",");
    userd_time_member(out, "ended_at", col[9].number);
    speedy_buf_printf(out, "}");
    return 0;
}

#define COLUMNS                                                                                                                                 \
    "SELECT id, kind, user_id, state, attempts, reply_code, reply, " SPEEDY_MS("created_at") ", IF(state IN ('QUEUED', 'SENDING'), " SPEEDY_MS( \
        "next_at") ", 0), COALESCE(" SPEEDY_MS("ended_at") ", 0) FROM mails WHERE "
#define ORDER "id < ? ORDER BY id DESC LIMIT ?"

/* The state is one of the table's. */
static bool state_known(const char *state)
{
    static const char *const states[] = {"QUEUED", "SENDING", "SENT",
                                         "FAILED", "EXPIRED", "DROPPED"};

    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        if (strcmp(states[i], state) == 0)
            return true;
    }
    return false;
}

/* One statement for each way to ask, so that each has its index. */
static int query(struct speedy_db *db, const char *state, const char *user,
                 const unsigned char before[16], struct page *p)
{
    const struct speedy_db_value id = DB_BYTES(before, 16),
                                 n = DB_INT(p->limit + 1);

    if (state != NULL && user != NULL)
        return speedy_db_query(
            db, COLUMNS "user_id = ? AND state = ? AND " ORDER,
            DB_ARGS(DB_TEXT(user), DB_TEXT(state), id, n), row, p);
    if (state != NULL)
        return speedy_db_query(db, COLUMNS "state = ? AND " ORDER,
                               DB_ARGS(DB_TEXT(state), id, n), row, p);
    if (user != NULL)
        return speedy_db_query(db, COLUMNS "user_id = ? AND " ORDER,
                               DB_ARGS(DB_TEXT(user), id, n), row, p);
    return speedy_db_query(db, COLUMNS ORDER, DB_ARGS(id, n), row, p);
}

static void list(struct userd_admin *a)
{
    static const char *const names[] = {"state", "user", "cursor", "limit",
                                        NULL};
    struct speedy_request *r = a->r;
    const char *state, *user;
    struct page p = {.out = &r->out};
    unsigned char before[16];
    int rc;

    p.limit = userd_page_asked(r, names, before, sizeof(before));
    if (p.limit < 0 || !userd_word_asked(r, "state", &state) ||
        !userd_word_asked(r, "user", &user))
        return;
    if (state != NULL && !state_known(state)) {
        speedy_problem(r, 400, "invalid_request", "There is no such state.");
        return;
    }
    speedy_buf_printf(&r->out, "{\"data\":[");
    rc = query(a->s->db, state, user, before, &p);
    if (rc != SPEEDY_DB_OK)
        userd_unavailable(r);
    else
        userd_page_end(r, p.count > p.limit ? p.last : NULL, sizeof(p.last));
}
struct userd_admin_act userd_admin_mails_list = {list};

/* --- retry --- */

static int retry_work(struct speedy_act *act, void *data)
{
    const unsigned char *id = data;
    int64_t there = 0;
    int rc = speedy_mail_again(act->db, id);

    if (rc != 0)
        return rc < 0 ? rc : SPEEDY_DB_OK;
    rc = speedy_db_number(act->db, "SELECT COUNT(*) FROM mails WHERE id = ?",
                          DB_ARGS(DB_BYTES(id, 16)), &there);
    return rc < 0 ? rc : there ? WRONG_STATE : NO_MAIL;
}

static void retry(struct userd_admin *a)
{
    struct speedy_request *r = a->r;
    unsigned char id[16];
    char text[37];
    int rc = NO_MAIL;

    if (!userd_no_query(r))
        return;
    if (speedy_uuid_parse(r->id, strlen(r->id), id) == 0) {
        speedy_uuid_text(id, text);
        rc = userd_admin_run(a, "mail.retry", text, "", retry_work, id);
    }
    if (rc == NO_MAIL) {
        speedy_problem(r, 404, "mail_not_found", "There is no such mail.");
    } else if (rc == WRONG_STATE) {
        speedy_problem(r, 409, "state_conflict",
                       "It was sent, is being sent, or has nobody to tell.");
    } else if (rc != SPEEDY_DB_OK) {
        userd_unavailable(r);
    } else {
        r->status = 202;
        speedy_buf_printf(&r->out, "{\"id\":\"%s\",\"state\":\"QUEUED\"}\n",
                          text);
    }
}
struct userd_admin_act userd_admin_mails_retry = {retry};
