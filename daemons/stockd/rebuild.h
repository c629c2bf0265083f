/*
 * The rebuild of lost or outdated ledgers: what other duties ask of it, and
 * the decision that it makes itself.
 */
#ifndef SPEEDY_STOCKD_REBUILD_H
#define SPEEDY_STOCKD_REBUILD_H

#include <stdbool.h>
#include <stdint.h>

/* Somebody found this sale not loaded. Any thread; asking twice is once. */
void stockd_rebuild_ask(const char *sale);

/*
 * Pure: whether a ledger must be rebuilt. loaded_run_id and loaded_epoch as
 * Redis has them (NULL: absent), stock: whether that key exists.
 */
bool stockd_rebuild_needed(const char *loaded_run_id, const char *loaded_epoch,
                           bool stock, const char *run_id, int64_t epoch);

#endif
