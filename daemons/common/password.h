/*
 * Password hashes: Argon2id over HMAC-SHA-256(pepper, password). The pepper
 * (<secrets>/pepper, 64 hex digits) never stands in the database, so a copy
 * of the table alone cannot be searched. Each hash names its own cost; a
 * hash of another cost than the present one is told as stale, so that a
 * login can renew it.
 *
 * One call takes some 20 ms of a core and `memory_kib` of memory: daemons
 * bound how many run at once (userd's hasher), speedyctl makes one.
 * All functions are safe on any thread after init.
 */
#ifndef SPEEDY_PASSWORD_H
#define SPEEDY_PASSWORD_H

#include <stddef.h>

#define SPEEDY_PASSWORD_HASH 200 /* of the encoded form, with its NUL */

/* OWASP's minimum for Argon2id. Set before threads start, or left alone. */
struct speedy_password_cost {
    long memory_kib, passes, lanes;
};
extern struct speedy_password_cost speedy_password_cost;

enum speedy_password_result {
    SPEEDY_PASSWORD_FAILED = -1, /* no memory: nothing is known */
    SPEEDY_PASSWORD_WRONG = 0,
    SPEEDY_PASSWORD_RIGHT = 1,
    SPEEDY_PASSWORD_STALE = 2 /* right, and to be hashed anew */
};

/* Loads the pepper. 0, or -1 after logging. */
int speedy_password_init(void);
/* Wipes it. */
void speedy_password_free(void);

/* Any bytes, NULs too; nothing is cut off. 0, or -1 after logging. */
int speedy_password_hash(const char *password, size_t len,
                         char out[SPEEDY_PASSWORD_HASH]);
/*
 * hash NULL (nobody of that name): does the same work and says WRONG, so
 * that time does not tell who exists.
 */
enum speedy_password_result
speedy_password_verify(const char *hash, const char *password, size_t len);

#endif
