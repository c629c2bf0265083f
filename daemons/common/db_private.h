/*
 * What db.c (connections, transactions, errors) and db_statement.c (prepared
 * statements, results) share. Nobody else includes this.
 */
#ifndef SPEEDY_DB_PRIVATE_H
#define SPEEDY_DB_PRIVATE_H

#include <mysql.h>

#include "db.h"

struct speedy_db_statement;

/* LOST: broken off, and the caller has not yet rolled back or begun anew. */
enum speedy_db_transaction { TX_NONE, TX_OPEN, TX_LOST };

struct speedy_db {
    MYSQL *my;
    char account[64];
    char *password;
    struct speedy_db_statement *statements;
    enum speedy_db_transaction tx;
    unsigned generation; /* grows with each drop */
    bool away;           /* an outage was logged */
    int64_t retry_at;
};

/*
 * Maps an error to a status, logs it, and puts the transaction into a state
 * from which nothing wrong can follow: rolled back, or the connection dropped
 * (and with it every statement). message may lie in either.
 */
int speedy_db_fail(struct speedy_db *db, unsigned number, const char *message,
                   const char *what);

/* Frees every cached statement; the connection is closed before. */
void speedy_db_statements_free(struct speedy_db *db);

#endif
