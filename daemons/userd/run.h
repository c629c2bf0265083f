/*
 * A transaction with its repetitions.
 */
#ifndef USERD_RUN_H
#define USERD_RUN_H

#include "../common/db.h"

/*
 * Begins, calls work and commits when it returned SPEEDY_DB_OK. A positive
 * return of work is its own verdict: rolled back and returned. RETRY runs it
 * all again, a few times; since a lost COMMIT may have happened, work must
 * notice on a later attempt (0, 1, …) that it is done already, and return OK.
 * Any other status is rolled back and returned.
 */
int userd_run(struct speedy_db *db,
              int (*work)(struct speedy_db *db, void *data, int attempt),
              void *data);

#endif
