/*
 * Shoppers over the rig of sessions: codes read from mails as maild would get
 * them, sign-ups, and requests with their problem's code.
 */
#ifndef PEOPLE_RIG_H
#define PEOPLE_RIG_H

#include "../../../daemons/common/db.h"
#include "sessions_rig.h"

#define PEOPLE_PASSWORD "turtle-harbour-91"
#define PEOPLE_CONSENTS                                                        \
    "[{\"kind\":\"terms\",\"version\":\"1\",\"agreed\":true},"                 \
    "{\"kind\":\"privacy\",\"version\":\"1\",\"agreed\":true}]"

/* Group fixtures, and the one before each test. */
int people_setup(void **state);
int people_teardown(void **state);
int people_clean(void **state);

/* A connection of userd's account, for looking. */
extern struct speedy_db *people_db;

/*
 * Sends and checks the status and, unless NULL, the problem's code; the
 * answer's text is returned and valid until the next call. user NULL: nobody.
 * body: a printf format, or NULL.
 */
const char *people_send(const char *method, const char *path, const char *user,
                        long status, const char *code, const char *body, ...)
    __attribute__((format(printf, 6, 7)));
/* A text member of the last answer; "" when there is none. */
const char *people_member(const char *name);
/* Its headers. */
const char *people_headers(void);

struct people_mail {
    char kind[31], to[300], name[256], language[8], code[8], link[200];
    char message_id[40];
};
/*
 * Renders the newest mail of this kind (as maild would) and reads it. The
 * status of the answer; 0 when there is no such mail.
 */
long people_render(const char *kind, struct people_mail *m);
/* The link's token. */
const char *people_token(const struct people_mail *m);

/* From the first request to the proof; valid until the next call. */
const char *people_proof(const char *email);
/* Signs up; the new id, valid until the next call. */
const char *people_signup(const char *email);
/* A body for POST /api/v1/users: changes one member by name; "" takes it
 * out. Valid until the next call. */
const char *people_body(const char *email, const char *proof, const char *name,
                        const char *value);

/* Makes every verification's past that much older. */
void people_age(long seconds);

#endif
