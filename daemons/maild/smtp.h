/*
 * One SMTP connection, kept and used again, over libcurl. One thread.
 */
#ifndef MAILD_SMTP_H
#define MAILD_SMTP_H

#include "../common/json.h"
#include "../shop/mail_conf.h"
#include "outcome.h"

struct maild_smtp;

/*
 * Reads the password; does not connect. NULL after logging. `conf` is kept
 * by reference.
 */
struct maild_smtp *maild_smtp_new(const struct speedy_mail_conf *conf);
/* Says QUIT on an open connection; may take a while. */
void maild_smtp_free(struct maild_smtp *s);

/*
 * Hands one mail over: at most conf->timeout. to must be a valid address
 * (maild_address_valid). A stop of the process cuts it short as long as the
 * mail has not been given away.
 */
void maild_smtp_send(struct maild_smtp *s, const char *to,
                     const struct speedy_buf *mail, struct maild_outcome *o);

#endif
