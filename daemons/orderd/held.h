/*
 * The guard: units of a batch's orders counted into sale_variants.held.
 */
#ifndef ORDERD_HELD_H
#define ORDERD_HELD_H

#include "apply.h"

/*
 * Gives every NEW order of a (grouped, see orderd_batch_group) its verdict
 * and raises `held` by the units of the accepted ones. enum
 * speedy_db_status, or ORDERD_HELD_NEWER with a->culprit set.
 */
#define ORDERD_HELD_NEWER 1
int orderd_held_take(struct orderd_apply *a);

#endif
