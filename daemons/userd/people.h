/*
 * Rows of `users` and `verifications` with their sealed columns read, and
 * users as they are shown to themselves.
 */
#ifndef USERD_PEOPLE_H
#define USERD_PEOPLE_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/db.h"
#include "../common/json.h"
#include "../common/seal.h"
#include "codes.h"
#include "email.h"
#include "phone.h"
#include "text.h"

struct userd_person {
    char id[USERD_OWNER_SIZE], state[11], language[3];
    char email[USERD_EMAIL_MAX + 1], name[USERD_NAME_SIZE];
    char phone[USERD_PHONE_SIZE];
    int64_t version, created_at;
    struct speedy_data_key key;
};

/*
 * Reads a user who has not ended. lock: his row stays locked until the
 * transaction ends. 1 found, 0 not; or enum speedy_db_status (ERROR when a
 * column cannot be unsealed: logged). The caller wipes it in any case.
 */
int userd_person_read(struct speedy_db *db, const char *id, bool lock,
                      struct userd_person *p);
void userd_person_wipe(struct userd_person *p);

/* The columns of a user, sealed by his key, as parameters of a statement. */
struct userd_sealed_person {
    unsigned char email[USERD_EMAIL_MAX + SPEEDY_SEAL_EXTRA];
    unsigned char name[USERD_NAME_SIZE + SPEEDY_SEAL_EXTRA];
    unsigned char phone[USERD_PHONE_SIZE + SPEEDY_SEAL_EXTRA];
    size_t email_len, name_len, phone_len;
};
void userd_person_seal(const struct userd_person *p,
                       struct userd_sealed_person *out);

/* {id, email, …, consents: […]} as GET /users/me answers it. enum
 * speedy_db_status. */
int userd_person_write(struct speedy_db *db, const struct userd_person *p,
                       struct speedy_buf *out);

/*
 * The address that a verification keeps; language and user_id are set too.
 * 1 found, 0 not, or enum speedy_db_status as above.
 */
struct userd_mailbox {
    struct userd_verification v;
    char email[USERD_EMAIL_MAX + 1], language[3], purpose[11];
    bool confirmed;
};
int userd_mailbox_read(struct speedy_db *db, const unsigned char id[16],
                       bool lock, struct userd_mailbox *m);

#endif
