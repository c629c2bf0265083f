/*
 * The rows of a batch: multi-row INSERTs in powers of two, so that there are
 * few round trips and few prepared statements.
 */
#ifndef ORDERD_ROWS_H
#define ORDERD_ROWS_H

#include "apply.h"

struct orderd_rows;

struct orderd_rows *orderd_rows_new(void);
void orderd_rows_free(struct orderd_rows *rows);

/*
 * Within the transaction of a: orders and their first events (every order
 * that has a final verdict), dead letters. enum speedy_db_status.
 */
int orderd_rows_orders(struct orderd_apply *a);
int orderd_rows_dead(struct orderd_apply *a, struct orderd_item *items,
                     size_t count);
/* Sets KNOWN on the orders that MySQL has. enum speedy_db_status. */
int orderd_rows_known(struct orderd_apply *a);

#endif
