/*
 * Access tokens of userd: signed with the key that is in force, which a duty
 * reads anew every few seconds, so that it changes without a restart.
 */
#ifndef USERD_TOKENS_H
#define USERD_TOKENS_H

#include "../common/json.h"

/* Reads the key. 0, or -1 after logging. */
int userd_tokens_load(void);
/* Duty: reads it again. What cannot be read leaves the last one in force. */
long userd_tokens_turn(void *data);
void userd_tokens_free(void);

/* Appends a token that lives from now for the setting token_ttl. */
void userd_token_sign(const char *owner, const char *sid, const char *role,
                      struct speedy_buf *out);

#endif
