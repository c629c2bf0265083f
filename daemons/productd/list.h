/*
 * A statement put together from fixed pieces with their arguments: no text of
 * a client ever becomes part of it.
 */
#ifndef PRODUCTD_LIST_H
#define PRODUCTD_LIST_H

#include "../common/db.h"
#include "../common/json.h"

#define PRODUCTD_ARGS_MAX 32

struct productd_statement {
    struct speedy_buf sql;
    struct speedy_db_value args[PRODUCTD_ARGS_MAX];
    size_t count;
};

/* text is a literal. */
void productd_sql(struct productd_statement *s, const char *text);
/* The same with the value of its one `?`; by reference. */
void productd_sql_with(struct productd_statement *s, const char *text,
                       struct speedy_db_value value);

#endif
