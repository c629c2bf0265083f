/* Making of one access token. */
#ifndef SPEEDYCTL_TOKEN_H
#define SPEEDYCTL_TOKEN_H

#include <stddef.h>
#include <stdint.h>

#include "../common/json.h"

struct token_issuer {
    const char *key;
    size_t key_len;
    const char *issuer, *audience;
    int64_t ttl; /* seconds */
};

/* Writes the token of a user into out (emptied before). iat: Unix seconds. */
void token_make(const struct token_issuer *by, const char *user,
                const char *role, int64_t iat, struct speedy_buf *out);

#endif
