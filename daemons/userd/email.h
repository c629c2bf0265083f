/*
 * E-mail addresses. Two spellings that reach one mailbox are one address:
 * the form made here is what is kept, mailed to and looked up.
 *
 * - Blanks around it are taken off; the local part is lower-cased, and so is
 *   the domain, whose other scripts become Punycode (IDNA 2008). A tag after
 *   `+` stays: it is the owner's choice.
 * - The local part is a dot-atom of at most 64 ASCII characters; quoted ones,
 *   comments, address literals and a domain of one label are refused, and so
 *   is everything that could end a line or an address in SMTP.
 *
 * Only the lower-case mailbox is ever proven and mailed to, so at a server
 * that tells cases apart nobody gets another's mail.
 */
#ifndef USERD_EMAIL_H
#define USERD_EMAIL_H

#define USERD_EMAIL_MAX 254

/* 0 and the address in out, or -1. */
int userd_email_normalise(const char *text, char out[USERD_EMAIL_MAX + 1]);

#endif
