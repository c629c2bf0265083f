/*
 * A transaction with its repetitions.
 */
#include "db.h"

#include "loop.h"

#define ATTEMPTS 5
#define PAUSE_MS 20

static int once(struct speedy_db *db,
                int (*work)(struct speedy_db *db, void *data, int attempt),
                void *data, int attempt)
{
    int rc = speedy_db_begin(db);

    if (rc != SPEEDY_DB_OK)
        return rc;
    rc = work(db, data, attempt);
    if (rc == SPEEDY_DB_OK)
        rc = speedy_db_commit(db);
    if (rc != SPEEDY_DB_OK)
        speedy_db_rollback(db);
    return rc;
}

int speedy_db_run(struct speedy_db *db,
                  int (*work)(struct speedy_db *db, void *data, int attempt),
                  void *data)
{
    int rc = SPEEDY_DB_RETRY;

    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        if (attempt > 0 && speedy_pause(speedy_jitter(PAUSE_MS << attempt)))
            break;
        rc = once(db, work, data, attempt);
        if (rc != SPEEDY_DB_RETRY)
            break;
    }
    return rc;
}
