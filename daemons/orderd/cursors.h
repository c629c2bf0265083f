/*
 * The stored offsets of a batch's partitions: compared and set in one
 * statement, the first of the transaction.
 */
#ifndef ORDERD_CURSORS_H
#define ORDERD_CURSORS_H

#include "apply.h"

/* Results beside enum speedy_db_status. */
#define ORDERD_CURSOR_ZOMBIE 10      /* a->culprit is not ours any more */
#define ORDERD_CURSOR_DONE_BEFORE 11 /* the COMMIT in doubt went through */

/* Cursors with target >= 0 are moved there. */
int orderd_cursors_move(struct orderd_apply *a);

#endif
