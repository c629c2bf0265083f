/*
 * `token`: signed access tokens, by the same key as userd's, for sessions
 * that no table knows.
 */
#include "ctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/conf.h"
#include "../common/crypto.h"
#include "../common/jwt.h"
#include "../common/loop.h"

#define TOKEN_USERS_MAX 10000000

/* `1-10000` or `7`. */
static int parse_range(const char *text, int64_t *first, int64_t *last)
{
    char head[24];
    size_t n = strcspn(text, "-");

    if (n == 0 || n >= sizeof(head))
        return -1;
    snprintf(head, sizeof(head), "%.*s", (int)n, text);
    if (ctl_number(head, 0, INT32_MAX, first) != 0)
        return -1;
    *last = *first;
    if (text[n] == '-' &&
        ctl_number(text + n + 1, *first, INT32_MAX, last) != 0)
        return -1;
    return *last - *first < TOKEN_USERS_MAX ? 0 : -1;
}

static int print_tokens(const struct ctl *c, const struct speedy_jwt_key *key,
                        struct speedy_jwt_claims *claims, const char *user,
                        const char *prefix, int64_t first, int64_t last)
{
    struct speedy_buf token = {0};
    char name[SPEEDY_ID_MAX + 32], sid[33];
    unsigned char noise[16];
    bool many = user == NULL;

    for (int64_t i = first; i <= last; i++) {
        if (many)
            snprintf(name, sizeof(name), "%s%lld", prefix, (long long)i);
        else
            snprintf(name, sizeof(name), "%s", user);
        speedy_random(noise, sizeof(noise));
        speedy_hex(noise, sizeof(noise), sid);
        claims->subject = name;
        claims->sid = sid;
        token.len = 0;
        speedy_jwt_sign(key, claims, &token);
        if (c->json)
            printf("{\"user\":\"%s\",\"role\":\"%s\",\"token\":\"%s\","
                   "\"expires_in\":%lld}\n",
                   name, claims->role, token.data, (long long)claims->ttl);
        else
            printf("%s\n", token.data);
    }
    speedy_buf_free(&token);
    if (fflush(stdout) != 0 || ferror(stdout))
        return ctl_refuse(c, "stdout: not all tokens could be written");
    return CTL_DONE;
}

static bool word_plain(const char *text)
{
    return strlen(text) <= 64 && strpbrk(text, "\"\\") == NULL;
}

int ctl_token(struct ctl *c)
{
    const char *user = ctl_option(c, "user"), *users = ctl_option(c, "users");
    const char *prefix = ctl_option(c, "prefix"), *role;
    int64_t first = 0, last = 0, ttl;
    const struct speedy_jwt_signer by = {
        ctl_settings.token_alg, ctl_settings.token_kid, ctl_settings.token_key};
    struct speedy_jwt_claims claims = {0};
    struct speedy_jwt_key *key;
    int code;

    if ((user == NULL) == (users == NULL))
        return ctl_usage(c, "give either --user ID or --users 1-10000");
    if (user != NULL && !ctl_id(user))
        return ctl_usage(c, "--user %s: an id has 1-40 of [A-Za-z0-9_-]", user);
    if (prefix != NULL && (strlen(prefix) > 28 || !ctl_id(prefix)))
        return ctl_usage(c, "--prefix %s: 1-28 of [A-Za-z0-9_-]", prefix);
    if (prefix != NULL && users == NULL)
        return ctl_usage(c, "--prefix goes with --users");
    if (users != NULL && parse_range(users, &first, &last) != 0)
        return ctl_usage(c, "--users %s: give a range as 1-10000", users);
    code = ctl_option_word(c, "role", "USER VIEWER CS OPERATOR OWNER", &role);
    if (code == 0)
        code = ctl_option_duration(c, "ttl",
                                   ctl_settings.token_max_ttl < 900000
                                       ? ctl_settings.token_max_ttl
                                       : 900000,
                                   &ttl);
    if (code != 0)
        return code;
    if (ttl < 1000 || ttl > ctl_settings.token_max_ttl)
        return ctl_usage(c,
                         "--ttl: from 1s to %s (setting token_max_ttl of "
                         "[speedyctl])",
                         ctl_duration_text(ctl_settings.token_max_ttl));
    if (!word_plain(ctl_settings.issuer) || !word_plain(ctl_settings.audience))
        return ctl_refuse(c, "[speedyctl] token_issuer and token_audience: at "
                             "most 64 characters, no quotes");
    key = speedy_jwt_key_load(&by);
    if (key == NULL)
        return ctl_refuse(c, "no key to sign tokens with");
    claims.issuer = ctl_settings.issuer;
    claims.audience = ctl_settings.audience;
    claims.role = role;
    claims.iat = speedy_now_real() / 1000;
    claims.ttl = ttl / 1000;
    code =
        print_tokens(c, key, &claims, user, prefix ? prefix : "", first, last);
    speedy_jwt_key_free(key);
    return code;
}
