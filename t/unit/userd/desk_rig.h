/*
 * Operators and their requests, over the rig of sessions: staff rows as
 * speedyctl makes them, codes of their authenticators, accounts with sealed
 * data.
 */
#ifndef DESK_RIG_H
#define DESK_RIG_H

#include "../../../daemons/shop/staff.h"
#include "sessions_rig.h"

#define DESK_PASSWORD "desk-desk-desk"

struct desk_person {
    char id[SPEEDY_STAFF_ID], login[SPEEDY_STAFF_LOGIN];
    const char *role;
    unsigned char totp[SPEEDY_TOTP_SECRET];
};

/* Group fixtures. */
int desk_setup(void **state);
int desk_teardown(void **state);

/* A row in `staff`. */
struct desk_person desk_add(const char *login, const char *role);
/* Of the present step, or of one beside it. */
void desk_code(const struct desk_person *p, int steps,
               char out[SPEEDY_TOTP_CODE]);

/* POST /admin/sessions; the answer's status. The caller frees c. */
long desk_login(struct rig_call *c, const char *login, const char *password,
                const char *code);
/* One request by somebody of this id and role; the caller frees. Printf form
 * of the path. */
struct rig_call desk_ask(const struct desk_person *who, const char *method,
                         const char *body, const char *path, ...)
    __attribute__((format(printf, 4, 5)));
/* As above, checks status and code, and frees. */
void desk_expect(const struct desk_person *who, const char *method,
                 const char *body, const char *path, long status,
                 const char *code);
/* A text member of an answer's object; "" when there is none. Static. */
const char *desk_member(const struct rig_call *c, const char *name);

/* A shopper with sealed columns. */
void desk_user(const char *id, const char *email, const char *name,
               const char *phone);
/* A live session of this owner. */
void desk_session(const char *sid, const char *owner, const char *kind,
                  const char *role);

#endif
