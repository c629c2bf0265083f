/* Section [maild] of speedy.conf, and [mail] with it. */
#ifndef MAILD_SETTINGS_H
#define MAILD_SETTINGS_H

#include "../common/conf.h"

struct maild_settings {
    char *topic;
    long scan;     /* how often due rows are looked for */
    long claim;    /* a claim's length */
    long attempts; /* of one mail, at the most */
    long backoff, backoff_max;
    long pause_limit; /* of the sender: quota */
    long pause_login; /* of the sender: login, TLS, sender address */
    long cool_max;    /* of the sender: a server in trouble */
    long userd_instances;
};

extern struct maild_settings maild_settings;
/* [maild] and [mail] as one table, for speedy_options_parse. */
const struct speedy_setting *maild_settings_table(void);
/* Number of errors, told on stderr. After loading. */
int maild_settings_check(void);

#endif
