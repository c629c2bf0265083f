/*
 * A little at a time, so that nobody waits for the locks; any number of
 * instances may do it.
 */
#include "housekeeping.h"

#include <stdbool.h>

#include "../common/db.h"
#include "../common/loop.h"
#include "userd.h"

#define BATCH 200
#define PAUSE_MS 60000
#define RETRY_MS 5000

/* Number deleted, or a status < 0. */
static long old_delete(struct speedy_db *db, const char *sql)
{
    long n = 0;
    int rc = speedy_db_exec(
        db, sql,
        DB_ARGS(DB_INT(userd_settings.verification_life * 1000), DB_INT(BATCH)),
        &n);

    return rc == SPEEDY_DB_OK ? n : rc;
}

long userd_housekeeping_turn(void *data)
{
    struct speedy_db *db = data;
    long rows, locks;

    rows = old_delete(db, "DELETE FROM verifications WHERE created_at <"
                          " CURRENT_TIMESTAMP(3) - INTERVAL ? MICROSECOND"
                          " ORDER BY created_at LIMIT ?");
    locks = old_delete(db, "DELETE FROM verification_locks WHERE asked_at <"
                           " CURRENT_TIMESTAMP(3) - INTERVAL ? MICROSECOND"
                           " ORDER BY asked_at LIMIT ?");
    if (rows < 0 || locks < 0)
        return speedy_jitter(RETRY_MS);
    return rows == BATCH || locks == BATCH ? 0 : speedy_jitter(PAUSE_MS);
}
