/* `doctor`: one line a check; each with a remedy when it is not well. */
#ifndef SPEEDYCTL_DOCTOR_H
#define SPEEDYCTL_DOCTOR_H

#include "ctl.h"

enum doctor_level { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL };

struct doctor {
    struct ctl *c;
    struct speedy_buf json;
    int count, warned, failed;
};

/* what: the check; found: what was seen; remedy: NULL when well. */
void doctor_say(struct doctor *d, enum doctor_level level, const char *what,
                const char *found, const char *remedy);
void doctor_kafka(struct doctor *d);
void doctor_mail(struct doctor *d);
/* mysql: it answers. */
void doctor_accounts(struct doctor *d, bool mysql);

#endif
