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
    const char *params;     /* a JSON object without personal data; NULL: {} */
    const char *once_key;   /* tell this only once, ever; NULL: always */
    long useful_ms;         /* not sent when older; 0: always */
    const char *request_id; /* may be NULL */
    unsigned char id[16];   /* set by speedy_mail_queue */
    bool told;              /* set: nothing was written, id means nothing */
};

/*
 * Within the caller's transaction. enum speedy_db_status; OK also when
 * once_key was told before (told is then set, and nothing written).
 */
int speedy_mail_queue(struct speedy_db *db, struct speedy_mail *m);
/*
 * The same rows for somebody who must not be told (an unknown address): a
 * mail in state DROPPED, and the same work, so that time tells nothing.
 */
int speedy_mail_drop(struct speedy_db *db, struct speedy_mail *m);
/*
 * The outbox row alone: maild shall look at this mail (a retry). enum
 * speedy_db_status.
 */
int speedy_mail_announce(struct speedy_db *db, const unsigned char id[16]);

/*
 * What a record of the topic says: {"v":1,"mail_id":"<uuid>"}; its key is
 * the id's text. 0, or -1 when it is no such record.
 */
int speedy_mail_record_parse(const void *value, size_t len,
                             unsigned char id[16]);

#endif
