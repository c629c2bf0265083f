/*
 * Consents: what was agreed to or refused, per kind and version, append only.
 * Kinds: terms and privacy, which an account needs, and marketing, which is
 * everybody's own choice.
 */
#ifndef USERD_CONSENTS_H
#define USERD_CONSENTS_H

#include "../common/db.h"
#include "body.h"

#define USERD_CONSENT_KINDS 3
#define USERD_CONSENT_VERSION 21 /* 20 of [A-Za-z0-9._-] */

struct userd_consents {
    size_t count;
    struct {
        const char *kind;
        char version[USERD_CONSENT_VERSION];
        bool agreed;
    } at[USERD_CONSENT_KINDS];
};

/*
 * Reads [{kind, version, agreed}], each kind once; errors are added to e. all:
 * the kinds that an account needs must be there (else `consent_required`; so
 * is said in any case when one of them is refused). 0, or -1 when the request
 * was answered.
 */
int userd_consents_take(struct speedy_request *r, struct userd_errors *e,
                        const struct userd_field *f, bool all,
                        struct userd_consents *out);
/* Within the caller's transaction. enum speedy_db_status. */
int userd_consents_insert(struct speedy_db *db, const char *user_id,
                          const struct userd_consents *c);
/* The newest of each kind, as a JSON array. enum speedy_db_status. */
int userd_consents_write(struct speedy_db *db, const char *user_id,
                         struct speedy_buf *out);

#endif
