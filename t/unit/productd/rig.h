/*
 * productd's HTTP over its unix socket, with a real MariaDB and Redis.
 */
#ifndef PRODUCTD_RIG_H
#define PRODUCTD_RIG_H

#include <stdbool.h>
#include <stddef.h>

#include "../../../daemons/common/json.h"

extern struct speedy_buf rig_body, rig_headers;

/* cmocka's group fixtures: servers, grants, staff, the daemon's HTTP. */
int rig_start(void **state);
int rig_stop(void **state);

/* Status; NULL user: nobody. header: one more line, or NULL. */
long rig_ask(const char *method, const char *path, const char *user,
             const char *role, const char *type, const void *body, size_t len,
             const char *header);
/* Anyone's GET. */
long rig_get(const char *path);
/* A staff member's request with JSON (NULL: none): role OPERATOR. */
long rig_act(const char *method, const char *path, const char *json);
/* Whether the last answer holds this text; shows it when it does not. */
bool rig_says(const char *text);
/* The text between "name":" and the next quote. */
const char *rig_member(const char *name);
/* Lets the board of a second ago pass away. */
void rig_board_age(void);

#endif
