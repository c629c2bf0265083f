/*
 * Rows of `wishes`. What would exceed a user's number is refused under the
 * lock of the user's row, so that it holds for requests that come at once.
 */
#include "wishes.h"

#include <stdio.h>
#include <string.h>

#include "../shop/act.h"

struct userd_wishes_settings userd_wishes_settings;

struct reading {
    struct userd_wish *out;
    size_t count, most;
};

#define COLUMNS                                                                \
    "SELECT id, product_id, notify, " SPEEDY_MS("created_at") " FROM wishes "

static int on_wish(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct reading *rd = data;
    struct userd_wish *w;

    (void)cols;
    if (rd->count == rd->most)
        return 1;
    w = &rd->out[rd->count++];
    w->id = col[0].number;
    snprintf(w->product, sizeof(w->product), "%s", (const char *)col[1].bytes);
    w->notify = col[2].number != 0;
    w->created_at = col[3].number;
    return 0;
}

long userd_wishes_read(struct speedy_db *db, const char *user, int64_t before,
                       size_t count, struct userd_wish *out)
{
    struct reading rd = {out, 0, count};
    int64_t one;
    int rc = speedy_db_number(
        db, "SELECT 1 FROM users WHERE id = ? AND state <> 'ENDED'",
        DB_ARGS(DB_TEXT(user)), &one);

    if (rc <= 0)
        return rc == 0 ? USERD_WISH_GONE : rc;
    rc = speedy_db_query(
        db, COLUMNS "WHERE user_id = ? AND id < ? ORDER BY id DESC LIMIT ?",
        DB_ARGS(DB_TEXT(user), DB_INT(before), DB_INT((int64_t)count)), on_wish,
        &rd);
    return rc == SPEEDY_DB_OK ? (long)rd.count : rc;
}

int userd_wish_known(struct speedy_db *db, const char *user,
                     const char *product)
{
    int64_t one;

    return speedy_db_number(
        db, "SELECT 1 FROM wishes WHERE user_id = ? AND product_id = ?",
        DB_ARGS(DB_TEXT(user), DB_TEXT(product)), &one);
}

/* 1, 0 or a status < 0. */
static int one_read(struct speedy_db *db, struct userd_wish_put *put)
{
    struct reading rd = {&put->wish, 0, 1};
    int rc = speedy_db_query(db, COLUMNS "WHERE user_id = ? AND product_id = ?",
                             DB_ARGS(DB_TEXT(put->user), DB_TEXT(put->product)),
                             on_wish, &rd);

    return rc == SPEEDY_DB_OK ? (int)rd.count : rc;
}

static int change(struct speedy_db *db, struct userd_wish_put *put)
{
    if (put->notify < 0 || put->wish.notify == (put->notify != 0))
        return SPEEDY_DB_OK;
    put->wish.notify = put->notify != 0;
    return speedy_db_exec(
        db, "UPDATE wishes SET notify = ? WHERE id = ?",
        DB_ARGS(DB_INT(put->wish.notify), DB_INT(put->wish.id)), NULL);
}

static int add(struct speedy_db *db, struct userd_wish_put *put)
{
    int64_t count;
    int rc =
        speedy_db_number(db, "SELECT COUNT(*) FROM wishes WHERE user_id = ?",
                         DB_ARGS(DB_TEXT(put->user)), &count);

    if (rc < 0)
        return rc;
    if (count >= USERD_WISHES_MOST)
        return USERD_WISH_TOO_MANY;
    rc = speedy_db_exec(
        db, "INSERT INTO wishes (user_id, product_id, notify) VALUES (?, ?, ?)",
        DB_ARGS(DB_TEXT(put->user), DB_TEXT(put->product),
                DB_INT(put->notify > 0)),
        NULL);
    if (rc == SPEEDY_DB_OK)
        rc = one_read(db, put);
    return rc == 1 ? SPEEDY_DB_OK : rc == 0 ? SPEEDY_DB_ERROR : rc;
}

static int put_once(struct speedy_db *db, void *data, int attempt)
{
    struct userd_wish_put *put = data;
    int64_t one;
    int rc = speedy_db_number(db,
                              "SELECT 1 FROM users WHERE id = ?"
                              " AND state <> 'ENDED' FOR UPDATE",
                              DB_ARGS(DB_TEXT(put->user)), &one);

    if (rc <= 0)
        return rc == 0 ? USERD_WISH_GONE : rc;
    /* made by an attempt whose COMMIT was answered by nothing: still new */
    if (attempt == 0)
        put->created = false;
    rc = one_read(db, put);
    if (rc == 1)
        return change(db, put);
    if (rc < 0)
        return rc;
    put->created = true;
    return add(db, put);
}

int userd_wish_put(struct speedy_db *db, struct userd_wish_put *put)
{
    return speedy_db_run(db, put_once, put);
}

int userd_wish_delete(struct speedy_db *db, const char *user,
                      const char *product)
{
    return speedy_db_exec(
        db, "DELETE FROM wishes WHERE user_id = ? AND product_id = ?",
        DB_ARGS(DB_TEXT(user), DB_TEXT(product)), NULL);
}

int userd_wishes_delete(struct speedy_db *db, const char *user)
{
    return speedy_db_exec(db, "DELETE FROM wishes WHERE user_id = ?",
                          DB_ARGS(DB_TEXT(user)), NULL);
}
