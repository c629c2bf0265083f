/*
 * Mailed codes and links, and what they prove.
 *
 * A code is six digits, made when its mail is written, so it stands nowhere
 * but in the mail: here remains an HMAC over code, address and purpose. The
 * link in the mail holds 256 random bits; their SHA-256 remains. Either lives
 * for `code_life` from then on and works once.
 *
 * Only the newest verification of an address and purpose is looked at by its
 * code, and only `code_tries` codes are ever judged for it: the try is counted
 * by one atomic UPDATE before anything is compared. Whether a verification
 * has a code at all (nobody may be there to get one) changes no answer to a
 * wrong code. Links cannot be guessed, so their tries are not counted.
 */
#ifndef USERD_CODES_H
#define USERD_CODES_H

#include "../common/db.h"
#include "../common/seal.h"
#include "text.h"

#define USERD_TOKEN 32      /* random bytes of a link or proof */
#define USERD_TOKEN_SIZE 44 /* in base64url, with its NUL */
#define USERD_OWNER_SIZE 41 /* a user's id with its NUL */

#define USERD_SIGNUP "signup"
#define USERD_RESET "reset"
#define USERD_NOTICE "notice" /* no code: it only keeps an address */

/* Loads <secrets>/code-key; wipes it. 0, or -1 after logging. */
int userd_code_key_load(void);
void userd_code_key_wipe(void);

struct userd_verification {
    unsigned char id[16];
    unsigned char email_index[SPEEDY_BLIND_INDEX];
    char user_id[USERD_OWNER_SIZE]; /* "" when the address had no account */
};

/*
 * Within a transaction that holds the verification's row: a new code and link
 * for it, which live from now on. enum speedy_db_status.
 */
int userd_code_make(struct speedy_db *db, const struct userd_verification *v,
                    const char *purpose, char code[USERD_CODE_SIZE],
                    char link[USERD_TOKEN_SIZE]);

enum userd_verdict {
    USERD_CODE_RIGHT = 0,
    USERD_CODE_WRONG,
    USERD_CODE_EXPIRED,
    USERD_CODE_USED,
    USERD_CODE_NO_TRIES
};

/*
 * Judges a normalised code for an address, or a link as it was sent. enum
 * userd_verdict with v filled in when it is RIGHT, or enum speedy_db_status
 * < 0. Outside a transaction.
 */
int userd_code_judge(struct speedy_db *db, const char *purpose,
                     const unsigned char email_index[SPEEDY_BLIND_INDEX],
                     const char *code, struct userd_verification *v);
int userd_link_judge(struct speedy_db *db, const char *purpose,
                     const char *link, struct userd_verification *v);
/* A right code that could not be used for want of a free hasher: the try does
 * not count. */
void userd_code_return(struct speedy_db *db,
                       const struct userd_verification *v);

/*
 * Marks the verification as confirmed: the one moment that decides between
 * two who send the same code. hash: of the proof that was made for it, or
 * NULL when it is used up at once. USERD_CODE_RIGHT, _USED, or enum
 * speedy_db_status < 0.
 */
int userd_code_confirm(struct speedy_db *db, const struct userd_verification *v,
                       const unsigned char hash[32]);

/*
 * Within the caller's transaction: no code or link that was asked for until
 * now resets this user's password any more. enum speedy_db_status.
 */
int userd_resets_void(struct speedy_db *db, const char *user_id);

#endif
