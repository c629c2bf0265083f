/*
 * Section [mail] of speedy.conf: the server that takes our mail, and who we
 * are. maild sends by it, speedyctl doctor judges it.
 */
#ifndef SPEEDY_SHOP_MAIL_CONF_H
#define SPEEDY_SHOP_MAIL_CONF_H

#include <stdio.h>

#include "../common/conf.h"

enum speedy_mail_tls {
    SPEEDY_MAIL_STARTTLS, /* required, not merely tried */
    SPEEDY_MAIL_IMPLICIT,
    SPEEDY_MAIL_TLS_OFF
};

struct speedy_mail_conf {
    /* what is not set comes from the preset: "local", "gmail", or "" */
    char *preset;
    char *host, *tls, *ca_file, *helo;
    long port;
    char *user, *password_file;
    char *from, *from_name, *reply_to;
    char *url; /* of the shop, without a slash at its end */
    long connect_timeout, timeout;
    long daily_limit; /* mails the account may send; 0: none known */
    char *templates;  /* directory */
    enum speedy_mail_tls tls_mode; /* by `tls` */
};

extern struct speedy_mail_conf speedy_mail_conf;
extern const struct speedy_setting speedy_mail_conf_table[];

/*
 * After speedy_conf_load: fills in what the preset knows and checks the rest.
 * Returns the number of errors, each told on `errors` with its remedy.
 */
int speedy_mail_conf_finish(FILE *errors);

#endif
