/*
 * The frame of every operator's request: who it is, by MySQL; acts with their
 * audit row; pages.
 */
#include "admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/crypto.h"
#include "text.h"
#include "userd.h"

#define CURSOR_MAX 16
#define ATTEMPTS 4
#define REASON_BYTES (4 * SPEEDY_REASON_MAX)

struct standing {
    struct userd_admin *a;
    bool found, active, ended;
};

static int standing_row(void *data, const struct speedy_db_value *col,
                        size_t cols)
{
    struct standing *st = data;

    (void)cols;
    st->found = true;
    snprintf(st->a->login, sizeof(st->a->login), "%s",
             (const char *)col[0].bytes);
    snprintf(st->a->role, sizeof(st->a->role), "%s",
             (const char *)col[1].bytes);
    st->active = strcmp(col[2].bytes, "ACTIVE") == 0;
    st->ended = col[3].number > 0;
    return 1;
}

/* True, or false after answering. */
static bool may(struct userd_admin *a)
{
    struct speedy_request *r = a->r;
    struct standing st = {.a = a};
    int rc;

    /* A session without a row is of a token that no login made. */
    rc = speedy_db_query(
        a->s->db,
        "SELECT t.login, t.role, t.state, (SELECT COUNT(*) FROM sessions s"
        " WHERE s.id = ? AND (s.owner_id <> t.id OR s.ended_at IS NOT NULL))"
        " FROM staff t WHERE t.id = ?",
        DB_ARGS(DB_TEXT(r->session), DB_TEXT(r->user)), standing_row, &st);
    if (rc != SPEEDY_DB_OK) {
        userd_unavailable(r);
        return false;
    }
    if (st.found && st.ended) {
        speedy_problem(r, 401, "session_ended", "Log in again.");
        return false;
    }
    if (st.found && st.active &&
        speedy_staff_rank(a->role) >= speedy_staff_rank(r->role))
        return true;
    speedy_problem(r, 403, "role_required",
                   "The desk does not know this operator in this role.");
    return false;
}

static bool is_word(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text < 0x20 || *text > 0x7e)
            return false;
    }
    return true;
}

bool userd_word_asked(struct speedy_request *r, const char *name,
                      const char **out)
{
    *out = speedy_request_query(r, name);
    if (*out == NULL || is_word(*out))
        return true;
    speedy_problem(r, 400, "invalid_request",
                   "A parameter has characters that nothing here has.");
    return false;
}

void userd_admin(struct speedy_request *r, void *data)
{
    const struct userd_admin_act *act = data;
    struct userd_admin a = {.r = r, .s = speedy_stores_take()};

    if (a.s == NULL) {
        userd_unavailable(r);
        return;
    }
    if (may(&a)) {
        userd_no_store(r);
        act->run(&a);
    }
    speedy_stores_give(a.s);
}

struct frame {
    const struct userd_admin *a;
    int (*work)(struct speedy_act *act, void *data);
    void *data;
};

static int framed(struct speedy_act *act, void *data)
{
    const struct frame *f = data;

    speedy_buf_printf(&act->detail, "\"staff\":\"%s\",\"request_id\":\"%s\"",
                      f->a->r->user, f->a->r->request_id);
    return f->work(act, f->data);
}

int userd_admin_run(struct userd_admin *a, const char *act, const char *object,
                    const char *reason,
                    int (*work)(struct speedy_act *act, void *data), void *data)
{
    struct frame f = {a, work, data};
    char actor[SPEEDY_ACTOR_MAX];
    struct speedy_act frame = {
        .db = a->s->db, .actor = actor, .reason = reason, .attempts = ATTEMPTS};
    int n;

    snprintf(actor, sizeof(actor), "staff:%s", a->login);
    n = speedy_act_run(&frame, act, object, framed, &f);
    speedy_buf_free(&frame.detail);
    return n;
}

bool userd_reason_valid(const char *reason)
{
    size_t chars = 0, left = strlen(reason);
    bool blank = true;

    if (left > REASON_BYTES)
        return false;
    while (left > 0) {
        size_t len = speedy_utf8_length(reason, left);
        unsigned char c = (unsigned char)*reason;

        if (len == 0 || c < 0x20 || c == 0x7f)
            return false;
        blank &= c == ' ';
        chars++;
        reason += len;
        left -= len;
    }
    return !blank && chars <= SPEEDY_REASON_MAX;
}

int userd_page_asked(struct speedy_request *r, const char *const *names,
                     unsigned char *before, size_t size)
{
    const char *limit = speedy_request_query(r, "limit");
    const char *cursor = speedy_request_query(r, "cursor");
    unsigned char raw[CURSOR_MAX];
    long n = USERD_PAGE_DEFAULT;

    if (speedy_request_unknown_query(r, names) != NULL) {
        speedy_problem(r, 400, "unknown_parameter",
                       "There is a parameter that is not known here.");
        return -1;
    }
    if (limit != NULL) {
        n = strspn(limit, "0123456789") == strlen(limit) && strlen(limit) < 4
                ? strtol(limit, NULL, 10)
                : 0;
        if (n < 1 || n > USERD_PAGE_MOST) {
            speedy_problem(r, 400, "invalid_limit",
                           "limit is a number from 1 to 100.");
            return -1;
        }
    }
    memset(before, 0xff, size);
    if (cursor != NULL) {
        if (speedy_unbase64url(cursor, strlen(cursor), raw, sizeof(raw)) !=
            (long)size) {
            speedy_problem(r, 400, "invalid_cursor",
                           "cursor is the next_cursor of the page before.");
            return -1;
        }
        memcpy(before, raw, size);
    }
    return (int)n;
}

void userd_page_end(struct speedy_request *r, const unsigned char *last,
                    size_t size)
{
    char cursor[4 * (CURSOR_MAX + 2) / 3 + 1];

    r->status = 200;
    if (last == NULL) {
        speedy_buf_printf(&r->out,
                          "],\"has_more\":false,\"next_cursor\":null}\n");
        return;
    }
    speedy_base64url(last, size, cursor);
    speedy_buf_printf(&r->out, "],\"has_more\":true,\"next_cursor\":\"%s\"}\n",
                      cursor);
}

void userd_time_member(struct speedy_buf *out, const char *name, int64_t ms)
{
    speedy_buf_printf(out, "\"%s\":", name);
    if (ms == 0)
        speedy_buf_printf(out, "null");
    else
        speedy_buf_time(out, ms, USERD_OFFSET_MIN);
}

void userd_text_member(struct speedy_buf *out, const char *name,
                       const char *text)
{
    speedy_buf_printf(out, "\"%s\":", name);
    speedy_buf_json(out, text);
}
