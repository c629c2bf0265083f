/*
 * Queueing a mail: a row of `mails` and one of `outbox`, in the transaction
 * of what the mail tells about. No address and no text here: maild asks
 * userd for both when it sends.
 */
#ifndef SPEEDY_SHOP_MAIL_H
#define SPEEDY_SHOP_MAIL_H

#include "../common/db.h"

#define SPEEDY_MAIL_TOPIC "speedy.mail"

struct speedy_mail {
    const char *kind;    /* the template's name: [a-z_]{1,30} */
    const char *user_id; /* one of these two, */
    const unsigned char *verification_id; /* the other NULL */
    const char *params;   /* a JSON object without personal data */
    const char *once_key; /* tell this only once, ever; NULL: always */
    long useful_ms;       /* not sent when older; 0: always */
    const char *request_id;
    unsigned char id[16]; /* set by speedy_mail_queue */
};

/*
 * enum speedy_db_status; OK also when once_key was told before (then nothing
 * is written).
 */
int speedy_mail_queue(struct speedy_db *db, struct speedy_mail *m);
/*
 * The same rows for somebody who must not be told (an unknown address): a
 * mail in state DROPPED, and the same work, so that time tells nothing.
 */
int speedy_mail_drop(struct speedy_db *db, struct speedy_mail *m);

#endif
