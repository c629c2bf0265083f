/*
 * Asking for a code: for sign-up, or to reset a password.
 *
 * Whoever asks gets the same answer by the same statements, whether or not
 * the address has an account: what differs is who is mailed what. To sign up,
 * an address with an account gets the mail `signup_known` without a code; a
 * reset for an address without one has the same rows and no mail.
 */
#ifndef USERD_VERIFICATION_H
#define USERD_VERIFICATION_H

#include "../common/http_server.h"
#include "body.h"
#include "codes.h"

/* POST /api/v1/email-verifications and …/confirm */
void userd_verification_post(struct speedy_request *r, void *data);
void userd_verification_confirm(struct speedy_request *r, void *data);

/* Reads {email, language?} and makes a verification for this purpose: 202. */
void userd_verification_ask(struct speedy_request *r, const char *purpose);

/* What was sent to prove it: an address with a code, or a link alone. */
struct userd_sent {
    const char *link; /* NULL: email_index and code */
    unsigned char email_index[SPEEDY_BLIND_INDEX];
    char code[USERD_CODE_SIZE];
};
/*
 * Takes it from the fields email, code and link of a body; errors are added
 * to e. email is set to the normalised address, "" with a link.
 */
void userd_sent_take(struct userd_errors *e, const struct userd_field *email,
                     const struct userd_field *code,
                     const struct userd_field *link, char *email_out,
                     struct userd_sent *sent);
/* enum userd_verdict or enum speedy_db_status < 0. */
int userd_sent_judge(struct speedy_db *db, const char *purpose,
                     const struct userd_sent *sent,
                     struct userd_verification *v);
/* The problem of a verdict that is not USERD_CODE_RIGHT. */
void userd_sent_refuse(struct speedy_request *r, int verdict);

/*
 * Within the caller's transaction: a verification of this purpose for a
 * normalised address. v->id and v->email_index are set by the caller,
 * v->user_id too ("" for none). enum speedy_db_status.
 */
int userd_verification_insert(struct speedy_db *db,
                              const struct userd_verification *v,
                              const char *purpose, const char *email,
                              const char *language);

#endif
