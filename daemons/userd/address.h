/*
 * One address: its row, sealed by its user's data key, and its JSON.
 */
#ifndef USERD_ADDRESS_H
#define USERD_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "body.h"
#include "people.h"

struct userd_address {
    unsigned char id[16];
    char recipient[USERD_NAME_SIZE], phone[USERD_PHONE_SIZE];
    char postcode[USERD_POSTCODE_SIZE];
    char line1[USERD_LINE_SIZE], line2[USERD_LINE_SIZE];
    bool is_default;
    int64_t version, created_at;
};

/* Calls each() for this user's addresses (or for the one of this id), oldest
 * first. enum speedy_db_status; ERROR also when one cannot be unsealed. */
int userd_address_read(struct speedy_db *db, const struct userd_person *p,
                       const unsigned char id[16],
                       void (*each)(void *data, const struct userd_address *a),
                       void *data);
/* enum speedy_db_status. */
int userd_address_insert(struct speedy_db *db, const struct userd_person *p,
                         const struct userd_address *a);
/* All columns but is_default. */
int userd_address_update(struct speedy_db *db, const struct userd_person *p,
                         const struct userd_address *a);
void userd_address_write(struct speedy_buf *out, const struct userd_address *a);

/*
 * Members of a body, in this order: recipient, phone, postcode, line1, line2,
 * is_default (and, for a change, version). What is given goes to a, errors to
 * e; `given` tells which.
 */
enum {
    USERD_ADDRESS_RECIPIENT,
    USERD_ADDRESS_PHONE,
    USERD_ADDRESS_POSTCODE,
    USERD_ADDRESS_LINE1,
    USERD_ADDRESS_LINE2,
    USERD_ADDRESS_DEFAULT,
    USERD_ADDRESS_FIELDS
};
void userd_address_take(struct userd_errors *e, const struct userd_field *f,
                        struct userd_address *a);
/* Lays what f gives of `from` over a. */
void userd_address_merge(struct userd_address *a, const struct userd_field *f,
                         const struct userd_address *from);

#endif
