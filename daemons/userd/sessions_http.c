/*
 * The caller's own sessions: the list of his devices, and their end. Another's
 * session looks like one that does not exist.
 */
#include <string.h>

#include "../common/stores.h"
#include "ended.h"
#include "sessions.h"
#include "userd.h"

#define OFFSET_MIN 540 /* Seoul */
#define TRIES 3

static void unknown(struct speedy_request *r)
{
    speedy_problem(r, 404, "session_unknown", "You have no such session.");
}

struct list {
    struct speedy_request *r;
    bool any;
};

static int on_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct list *list = data;
    struct speedy_buf *out = &list->r->out;

    (void)cols;
    speedy_buf_printf(out, "%s{\"id\":", list->any ? "," : "");
    list->any = true;
    speedy_buf_json(out, col[0].bytes);
    speedy_buf_printf(out, ",\"device\":");
    speedy_buf_json(out, col[1].bytes);
    speedy_buf_printf(out, ",\"current\":%s,\"created_at\":",
                      strcmp(col[0].bytes, list->r->session) == 0 ? "true"
                                                                  : "false");
    speedy_buf_time(out, col[2].number, OFFSET_MIN);
    speedy_buf_printf(out, ",\"seen_at\":");
    speedy_buf_time(out, col[3].number, OFFSET_MIN);
    speedy_buf_printf(out, ",\"expires_at\":");
    speedy_buf_time(out, col[4].number, OFFSET_MIN);
    speedy_buf_printf(out, "}");
    return 0;
}

void userd_sessions_get(struct speedy_request *r, void *kind)
{
    const struct userd_session_kind *k = kind;
    struct list list = {.r = r};
    struct speedy_stores *stores;
    int rc = SPEEDY_DB_RETRY;

    if (!userd_no_query(r))
        return;
    stores = speedy_stores_take();
    if (stores != NULL) {
        speedy_buf_printf(&r->out, "{\"data\":[");
        rc = speedy_db_query(
            stores->db,
            "SELECT id, device, CAST(UNIX_TIMESTAMP(created_at) * 1000 AS"
            " SIGNED), CAST(UNIX_TIMESTAMP(seen_at) * 1000 AS SIGNED),"
            " CAST(UNIX_TIMESTAMP(expires_at) * 1000 AS SIGNED) FROM sessions"
            " WHERE owner_id = ? AND kind = ? AND ended_at IS NULL"
            " AND expires_at > NOW(3) ORDER BY seen_at DESC, id DESC"
            " LIMIT 100",
            DB_ARGS(DB_TEXT(r->user), DB_TEXT(k->name)), on_row, &list);
        speedy_stores_give(stores);
    }
    if (rc != SPEEDY_DB_OK) {
        userd_unavailable(r);
        return;
    }
    speedy_buf_printf(&r->out, "],\"has_more\":false,\"next_cursor\":null}\n");
    r->status = 200;
    userd_no_store(r);
}

/* Ends one of the caller's; ended before is as good. 1, 0 unknown, < 0. */
static int end_one(struct speedy_db *db, const char *owner,
                   const struct userd_session_kind *kind, const char *id)
{
    int64_t one;
    int rc = speedy_db_number(
        db, "SELECT 1 FROM sessions WHERE id = ? AND owner_id = ? AND kind = ?",
        DB_ARGS(DB_TEXT(id), DB_TEXT(owner), DB_TEXT(kind->name)), &one);

    if (rc == 1 && userd_session_end(db, id, "logout") != SPEEDY_DB_OK)
        rc = SPEEDY_DB_RETRY;
    return rc;
}

/* id NULL: all of the caller's. */
static void end(struct speedy_request *r, const struct userd_session_kind *k,
                const char *id)
{
    struct speedy_stores *stores = speedy_stores_take();
    int rc = SPEEDY_DB_RETRY;

    for (int i = 0; stores != NULL && i < TRIES && rc == SPEEDY_DB_RETRY; i++) {
        if (id != NULL)
            rc = end_one(stores->db, r->user, k, id);
        else if (userd_sessions_end_all(stores->db, r->user, "logout") ==
                 SPEEDY_DB_OK)
            rc = 1;
    }
    if (stores != NULL)
        speedy_stores_give(stores);
    if (rc < 0) {
        userd_unavailable(r);
        return;
    }
    if (rc == 0) {
        unknown(r);
        return;
    }
    userd_ended_publish();
    if (id == NULL || strcmp(id, r->session) == 0)
        userd_cookie_clear(r, k);
    userd_no_content(r);
}

void userd_sessions_delete_all(struct speedy_request *r, void *kind)
{
    if (userd_no_query(r) && userd_origin_allowed(r))
        end(r, kind, NULL);
}

void userd_sessions_delete_current(struct speedy_request *r, void *kind)
{
    if (userd_no_query(r) && userd_origin_allowed(r))
        end(r, kind, r->session);
}

void userd_sessions_delete_one(struct speedy_request *r, void *kind)
{
    if (userd_no_query(r) && userd_origin_allowed(r))
        end(r, kind, r->id);
}
