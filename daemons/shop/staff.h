/*
 * Operators: the row of `staff` with its secrets.
 * userd (for an OWNER at the desk) and speedyctl (for the first OWNER, and
 * when nobody can log in) both make and renew operators by this.
 *
 * A row has a data key of its own, which seals the authenticator's secret;
 * renewing the secret keeps the data key, so it never races with a rotation
 * of master keys. speedy_seal_init() comes first.
 */
#ifndef SPEEDY_SHOP_STAFF_H
#define SPEEDY_SHOP_STAFF_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/db.h"
#include "../common/seal.h"
#include "../common/totp.h"

#define SPEEDY_STAFF_ISSUER "sleek speedy" /* as authenticators show it */
#define SPEEDY_STAFF_ID 18                 /* t + 16 characters, and a NUL */
#define SPEEDY_STAFF_LOGIN 41
#define SPEEDY_STAFF_PASSWORD 24 /* a random one, with its NUL */
#define SPEEDY_STAFF_PASSWORD_MIN 12
#define SPEEDY_STAFF_PASSWORD_MAX 128

/* A letter, then letters, digits and . _ - (all lower case), 2 to 40. */
bool speedy_staff_login_valid(const char *login);
/* Four groups of five characters, 100 random bits, none of them alike. */
void speedy_staff_password_make(char out[SPEEDY_STAFF_PASSWORD]);

struct speedy_staff_new {
    const char *login, *role, *password_hash;
    /* set by speedy_staff_insert */
    char id[SPEEDY_STAFF_ID];
    unsigned char totp[SPEEDY_TOTP_SECRET];
};
/* enum speedy_db_status; DUPLICATE: the login is taken. The caller wipes
 * totp. */
int speedy_staff_insert(struct speedy_db *db, struct speedy_staff_new *s);

/* The secret from its row's columns. 0, or -1 after logging. */
int speedy_staff_totp_open(const char *id, const struct speedy_db_value *sealed,
                           const struct speedy_db_value *data_key,
                           const char *master,
                           unsigned char totp[SPEEDY_TOTP_SECRET]);

/*
 * Within the caller's transaction: a new secret under the row's data key, a
 * new password unless NULL. The step of the last code stays: it is a time. enum
 * speedy_db_status (ERROR also when the data key cannot be opened, REFUSED when
 * there is no such row).
 */
int speedy_staff_renew(struct speedy_db *db, const char *id,
                       const char *password_hash,
                       unsigned char totp[SPEEDY_TOTP_SECRET]);

/*
 * Within the caller's transaction: locks every active OWNER and counts those
 * who are not this one, so that two owners cannot remove each other at once.
 * Count, or enum speedy_db_status < 0.
 */
long speedy_staff_other_owners(struct speedy_db *db, const char *id);

/* Ends every session of this owner, in the caller's transaction: end_reason
 * is 1-20 of [a-z_]. enum speedy_db_status. */
int speedy_sessions_end_of(struct speedy_db *db, const char *owner_id,
                           const char *end_reason, long *ended);

#endif
