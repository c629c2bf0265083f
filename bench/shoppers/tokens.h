/* The shoppers' tokens and user ids. */
#ifndef SHOPPERS_TOKENS_H
#define SHOPPERS_TOKENS_H

#include "options.h"

#include <stddef.h>
#include <stdint.h>

#define TOKENS_TOKEN_MAX 9000
#define TOKENS_USER_MAX 65

struct tokens;

/*
 * Maps the file of --tokens and sets o->shoppers where it was not given. A
 * shopper beyond the last token uses the tokens again from the first. NULL
 * after a message on stderr.
 */
struct tokens *tokens_open(struct options *o);
void tokens_close(struct tokens *t);

/* The token of a shopper, not terminated; NULL when there are none. */
const char *tokens_get(const struct tokens *t, uint64_t shopper, size_t *len);

/* The id of a shopper: from --users, else the token's sub, else its number. */
void tokens_user(const struct tokens *t, uint64_t shopper, char *user);

#endif
