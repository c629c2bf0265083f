/*
 * Sessions of userd over HTTP, with their duties, a real MariaDB and Redis.
 */
#ifndef SESSIONS_RIG_H
#define SESSIONS_RIG_H

#include <stdbool.h>

#include "../../../daemons/common/json.h"

#define RIG_PASSWORD "correct horse battery"

/* Group fixtures. */
int rig_setup(void **state);
int rig_teardown(void **state);
/* Before each test: no users, sessions, failures; settings as shipped. */
int rig_clean(void **state);

/* A user `id` with this address and RIG_PASSWORD. */
void rig_user(const char *id, const char *email);
void rig_staff(const char *id, const char *role);

/* One request and its answer; may be used by many threads at once. */
struct rig_call {
    const char *method, *path, *body;
    /* NULL: without that header */
    const char *user, *role, *session, *cookie, *origin, *agent, *type;
    long status;
    struct speedy_buf out, headers;
    char set_cookie[512]; /* the header's value, or "" */
    char refresh[128];    /* its token */
    char session_id[64];  /* of the body, or "" */
};
void rig_send(struct rig_call *c);
void rig_free(struct rig_call *c);
/* Sends and checks status and, unless NULL, the problem's code. */
void rig_expect(struct rig_call *c, long status, const char *code);
/* The same, when nothing else of the answer is looked at. */
void rig_told(struct rig_call c, long status, const char *code);

/* Logs in, expecting 201; the caller frees. */
struct rig_call rig_login(const char *email, const char *agent);
/* POST …/refresh with this token; not sent yet. */
struct rig_call rig_refresh(const char *token);

/* Whether the session stands in Redis among the ended. */
bool rig_published(const char *sid);
/* Words to Redis: the integer or the text's length of the reply, -1 nil. */
long long rig_redis(const char *const *words);
/* GET; "" when there is none. Valid until the next call. */
const char *rig_redis_get(const char *key);
/* The run_id of the Redis that is there now. */
const char *rig_run_id(void);

#endif
