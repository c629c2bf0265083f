/*
 * What is of no use any more, a little at a time: sessions that ended or
 * expired a day ago with their refresh tokens, and failures of logins that
 * nobody repeated for a day. Instances may do this at once: what one deletes
 * the other does not find.
 */
#include <string.h>

#include "../common/loop.h"
#include "sessions.h"

#define PAUSE_MS 60000
#define BATCH 100  /* sessions a turn */
#define TOKENS 500 /* tokens a statement */

struct dead {
    struct speedy_db *db;
    long found;
    int rc;
};

/* First the tokens, few at a time: a session of a month has thousands. */
static int on_dead(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct dead *d = data;
    long affected = TOKENS;

    (void)cols;
    d->found++;
    while (d->rc == SPEEDY_DB_OK && affected == TOKENS)
        d->rc = speedy_db_exec(
            d->db, "DELETE FROM refresh_tokens WHERE session_id = ? LIMIT ?",
            DB_ARGS(DB_TEXT(col[0].bytes), DB_INT(TOKENS)), &affected);
    if (d->rc == SPEEDY_DB_OK)
        d->rc = speedy_db_exec(d->db, "DELETE FROM sessions WHERE id = ?",
                               DB_ARGS(DB_TEXT(col[0].bytes)), NULL);
    return d->rc != SPEEDY_DB_OK || speedy_stopping();
}

static long delete_by(struct speedy_db *db, const char *sql)
{
    struct dead d = {.db = db};
    int rc = speedy_db_query(db, sql, DB_ARGS(DB_INT(BATCH)), on_dead, &d);

    return rc == SPEEDY_DB_OK && d.rc == SPEEDY_DB_OK ? d.found : 0;
}

long userd_sessions_clean(void *db)
{
    long affected = 0, more;

    more = delete_by(db, "SELECT id FROM sessions WHERE ended_at <"
                         " NOW(3) - INTERVAL 1 DAY LIMIT ?") == BATCH;
    more |= delete_by(db, "SELECT id FROM sessions WHERE expires_at <"
                          " NOW(3) - INTERVAL 1 DAY LIMIT ?") == BATCH;
    speedy_db_exec(db,
                   "DELETE FROM login_failures WHERE failed_at <"
                   " NOW(3) - INTERVAL 1 DAY LIMIT ?",
                   DB_ARGS(DB_INT(TOKENS)), &affected);
    more |= affected == TOKENS;
    return more ? speedy_jitter(500) : speedy_jitter(PAUSE_MS);
}
