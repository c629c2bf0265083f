/*
 * Members that several bodies have, each with its error. Absent ones are
 * passed over: that was told by the body's table, if it matters.
 */
#ifndef USERD_FIELDS_H
#define USERD_FIELDS_H

#include "body.h"
#include "email.h"
#include "phone.h"
#include "text.h"

/* The normalised form in out, or "" after noting the error. */
void userd_email_take(struct userd_errors *e, const struct userd_field *f,
                      char out[USERD_EMAIL_MAX + 1]);
void userd_phone_take(struct userd_errors *e, const struct userd_field *f,
                      char out[USERD_PHONE_SIZE]);
void userd_name_take(struct userd_errors *e, const struct userd_field *f,
                     char out[USERD_NAME_SIZE]);
/* ko or en. */
void userd_language_take(struct userd_errors *e, const struct userd_field *f,
                         char out[3]);
/* A new password by its rules; email: its owner's, "" when unknown. The text
 * stays the field's. */
void userd_password_take(struct userd_errors *e, const struct userd_field *f,
                         const char *email);

#endif
