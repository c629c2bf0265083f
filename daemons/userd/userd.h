/*
 * userd: accounts, verified e-mail, sessions, staff. What all its files
 * share: settings, and the answers that are the same everywhere.
 */
#ifndef USERD_H
#define USERD_H

#include <stdbool.h>

#include "../common/conf.h"
#include "../common/http_server.h"

#define USERD_ID_SIZE 24 /* u + 22 characters, and a NUL */

struct userd_settings {
    char *shop_url;
    long http_connections, mysql_connections;
    long code_life, code_tries;
    long code_pause, codes_an_hour;
    long proof_life, verification_life;
};
extern struct userd_settings userd_settings;
/* Ended by a NULL section; every part of userd has its rows in it. */
extern const struct speedy_setting userd_settings_table[];

/* 503 `unavailable` (a store did not answer) and `busy`, with Retry-After. */
void userd_unavailable(struct speedy_request *r);
void userd_busy(struct speedy_request *r);

/* True without a query; else answered 400 `unknown_parameter`. */
bool userd_no_query(struct speedy_request *r);
/* The answer holds personal data or a token: nobody may keep it. */
void userd_no_store(struct speedy_request *r);
/* 204 without a body. */
void userd_no_content(struct speedy_request *r);

#endif
