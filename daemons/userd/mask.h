/*
 * Personal data as lists show it: enough to recognise somebody who says who
 * he is, too little to learn who he is. Texts are sound UTF-8 in the forms
 * that userd keeps; the output is as long as the input at the most, but for
 * phone numbers and addresses, which have sizes of their own.
 */
#ifndef USERD_MASK_H
#define USERD_MASK_H

#include "email.h"
#include "phone.h"
#include "text.h"

#define USERD_MASKED_PHONE 24
#define USERD_MASKED_EMAIL (USERD_EMAIL_MAX + 8)

/* 홍*동, 김*, 남**수: the first and the last character. */
void userd_mask_name(const char *name, char out[USERD_NAME_SIZE]);
/* 010-****-5678, 02-***-4567; of other countries +********6789. */
void userd_mask_phone(const char *e164, char out[USERD_MASKED_PHONE]);
/* h***@example.com: always three stars. */
void userd_mask_email(const char *email, char out[USERD_MASKED_EMAIL]);

#endif
