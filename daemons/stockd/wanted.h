/*
 * The list of sales that wait for a rebuild; any thread.
 */
#ifndef SPEEDY_STOCKD_WANTED_H
#define SPEEDY_STOCKD_WANTED_H

#include <stddef.h>
#include <stdint.h>

#include "../shop/names.h"

typedef char stockd_sale_id[SPEEDY_ID_MAX + 1];

void stockd_wanted_add(const char *sale);
/* Copies the ids that are due at `now` (boot ms); they stay in the list. */
size_t stockd_wanted_due(stockd_sale_id *out, size_t max, int64_t now);
void stockd_wanted_done(const char *sale);
/* Not before that boot time, however often it is asked for. */
void stockd_wanted_later(const char *sale, int64_t not_before);
void stockd_wanted_clear(void);

#endif
