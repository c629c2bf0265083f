/*
 * MySQL by prepared statements only. One connection belongs to one thread.
 * Sessions are strict, UTC, READ COMMITTED, without auto-reconnect and
 * without CLIENT_FOUND_ROWS (affected rows means changed rows).
 *
 * RETRY and ERROR inside a transaction roll it back, or drop the connection
 * when even that fails; every statement is then refused with RETRY until the
 * caller rolls back or begins anew, and runs the whole transaction again.
 * DUPLICATE and REFUSED leave the transaction open: the statement alone had
 * no effect. A connection lost during COMMIT is *in doubt*: callers make
 * their transactions safe to run twice.
 *
 * Statements are cached by their text.
 */
#ifndef SPEEDY_DB_H
#define SPEEDY_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct speedy_db;

/*
 * account: MySQL user; its password is <secrets>/mysql-<account>. Does not
 * connect yet. NULL only when the password cannot be read.
 */
struct speedy_db *speedy_db_new(const char *account);
void speedy_db_free(struct speedy_db *db);

/* Connects if needed; 0, or -1 after one log line an outage. */
int speedy_db_ready(struct speedy_db *db);
/* Drops the connection; the next call connects again. */
void speedy_db_drop(struct speedy_db *db);

enum speedy_db_status {
    SPEEDY_DB_OK = 0,
    SPEEDY_DB_RETRY = -1,     /* lost, time-out, deadlock: run it again */
    SPEEDY_DB_DUPLICATE = -2, /* a unique key refused the row */
    SPEEDY_DB_REFUSED = -3,   /* a CHECK or foreign key refused it */
    SPEEDY_DB_ERROR = -4      /* anything else: logged with its number */
};

/* One bound parameter or result column. */
enum speedy_db_kind { SPEEDY_DB_NULL, SPEEDY_DB_INT, SPEEDY_DB_BYTES };
struct speedy_db_value {
    enum speedy_db_kind kind;
    int64_t number;
    const void *bytes; /* result rows: valid until the next row; NUL-ended */
    size_t len;
};
#define DB_INT(n) ((struct speedy_db_value){SPEEDY_DB_INT, (n), NULL, 0})
#define DB_TEXT(s)                                                             \
    ((struct speedy_db_value){SPEEDY_DB_BYTES, 0, (s), strlen(s)})
#define DB_BYTES(p, n) ((struct speedy_db_value){SPEEDY_DB_BYTES, 0, (p), (n)})
#define DB_NULL ((struct speedy_db_value){SPEEDY_DB_NULL, 0, NULL, 0})
#define DB_ARGS(...)                                                           \
    (struct speedy_db_value[]){__VA_ARGS__},                                   \
        sizeof((struct speedy_db_value[]){__VA_ARGS__}) /                      \
            sizeof(struct speedy_db_value)
#define DB_NONE NULL, 0

/*
 * Begins READ COMMITTED / commits / rolls back. Statements outside a
 * transaction commit by themselves.
 */
int speedy_db_begin(struct speedy_db *db);
int speedy_db_commit(struct speedy_db *db);
void speedy_db_rollback(struct speedy_db *db);

/*
 * Begins, calls work and commits when it returned SPEEDY_DB_OK. A positive
 * return of work is its own verdict: rolled back and returned. RETRY runs it
 * all again, a few times within a second; since a lost COMMIT may have
 * happened, work must notice on a later attempt (0, 1, ...) that it is done
 * already, and return OK. Any other status is rolled back and returned.
 */
int speedy_db_run(struct speedy_db *db,
                  int (*work)(struct speedy_db *db, void *data, int attempt),
                  void *data);

/*
 * Runs a statement without rows. enum speedy_db_status; *affected (may be
 * NULL): changed rows.
 */
int speedy_db_exec(struct speedy_db *db, const char *sql,
                   const struct speedy_db_value *args, size_t count,
                   long *affected);
/* The AUTO_INCREMENT value of the last INSERT. */
int64_t speedy_db_insert_id(struct speedy_db *db);

/*
 * Runs a SELECT and calls row() for each row, in order, on this thread; a
 * nonzero return of row() stops (the rest is discarded). Columns arrive as
 * INT (any integer type, up to 64 bits, and a DECIMAL without a fraction) or
 * BYTES (all else, in text form; dates too). row() may run other statements
 * on this connection, not the same one again. enum speedy_db_status.
 */
int speedy_db_query(struct speedy_db *db, const char *sql,
                    const struct speedy_db_value *args, size_t count,
                    int (*row)(void *data, const struct speedy_db_value *col,
                               size_t cols),
                    void *data);
/*
 * For a SELECT of one integer: *out is set and 1 returned; 0 when there is
 * no row (or NULL); else enum speedy_db_status < 0.
 */
int speedy_db_number(struct speedy_db *db, const char *sql,
                     const struct speedy_db_value *args, size_t count,
                     int64_t *out);

/*
 * A statement for n rows at once: head, then `group` n times separated by
 * commas, then tail: `INSERT … VALUES ` `(?,?,?)` ``, or
 * `SELECT … WHERE id IN (` `?` `)`. Each n is a statement of its own: keep n
 * to few values (powers of two). args holds all groups' values in order.
 */
int speedy_db_exec_many(struct speedy_db *db, const char *head,
                        const char *group, size_t n, const char *tail,
                        const struct speedy_db_value *args, size_t count,
                        long *affected);
int speedy_db_query_many(
    struct speedy_db *db, const char *head, const char *group, size_t n,
    const char *tail, const struct speedy_db_value *args, size_t count,
    int (*row)(void *data, const struct speedy_db_value *col, size_t cols),
    void *data);

/* Powers of two for the above: the greatest within n, the least that holds n;
 * n at least 1. */
size_t speedy_db_chunk(size_t n);
size_t speedy_db_padded(size_t n);

/*
 * Runs trusted text of one or more statements separated by `;` at line ends
 * (migrations, grants). -1 after logging the number of the failing one.
 */
int speedy_db_script(struct speedy_db *db, const char *text);

#endif
