/*
 * `token`: signed access tokens. The header is written here byte by byte,
 * because gateways accept only headers that are byte-equal to one that our
 * issuer writes; a library may order its members as it likes.
 */
#include "ctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/conf.h"
#include "../common/crypto.h"
#include "../common/loop.h"
#include "token.h"

#define TOKEN_HEADER "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"k1\"}"
#define TOKEN_KEY_MIN 32
#define TOKEN_KEY_MAX 4096
#define TOKEN_USERS_MAX 10000000

void token_make(const struct token_issuer *by, const char *user,
                const char *role, int64_t iat, struct speedy_buf *out)
{
    unsigned char noise[32], mac[32];
    char sid[33], jti[33], part[1024], claims[512];
    int len;

    speedy_random(noise, sizeof(noise));
    speedy_hex(noise, 16, sid);
    speedy_hex(noise + 16, 16, jti);
    len = snprintf(claims, sizeof(claims),
                   "{\"iss\":\"%s\",\"aud\":\"%s\",\"sub\":\"%s\","
                   "\"sid\":\"%s\",\"role\":\"%s\",\"typ\":\"access\","
                   "\"iat\":%lld,\"exp\":%lld,\"jti\":\"%s\"}",
                   by->issuer, by->audience, user, sid, role, (long long)iat,
                   (long long)(iat + by->ttl), jti);
    out->len = 0;
    speedy_buf_add(out, part,
                   speedy_base64url(TOKEN_HEADER, strlen(TOKEN_HEADER), part));
    speedy_buf_add(out, ".", 1);
    speedy_buf_add(out, part, speedy_base64url(claims, (size_t)len, part));
    speedy_hmac_sha256(by->key, by->key_len, out->data, out->len, mac);
    speedy_buf_add(out, ".", 1);
    speedy_buf_add(out, part, speedy_base64url(mac, sizeof(mac), part));
}

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

static int print_tokens(const struct ctl *c, const struct token_issuer *by,
                        const char *role, const char *user, const char *prefix,
                        int64_t first, int64_t last)
{
    struct speedy_buf token = {0};
    int64_t iat = speedy_now_real() / 1000;
    char name[SPEEDY_ID_MAX + 32];
    bool many = user == NULL;

    for (int64_t i = first; i <= last; i++) {
        if (many)
            snprintf(name, sizeof(name), "%s%lld", prefix, (long long)i);
        else
            snprintf(name, sizeof(name), "%s", user);
        token_make(by, name, role, iat, &token);
        if (c->json)
            printf("{\"user\":\"%s\",\"role\":\"%s\",\"token\":\"%s\","
                   "\"expires_in\":%lld}\n",
                   name, role, token.data, (long long)by->ttl);
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
    struct token_issuer by = {0};
    char path[512], *key;
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
    snprintf(path, sizeof(path), "%s/jwt-current",
             speedy_conf.secrets_directory);
    key = speedy_secret_read(path, TOKEN_KEY_MAX, &by.key_len);
    if (key == NULL)
        return ctl_refuse(c, "cannot read the signing key %s", path);
    if (by.key_len < TOKEN_KEY_MIN) {
        speedy_secret_free(key);
        return ctl_refuse(c, "%s: %zu bytes; a key has %d or more", path,
                          by.key_len, TOKEN_KEY_MIN);
    }
    by.key = key;
    by.issuer = ctl_settings.issuer;
    by.audience = ctl_settings.audience;
    by.ttl = ttl / 1000;
    code = print_tokens(c, &by, role, user, prefix ? prefix : "", first, last);
    speedy_secret_free(key);
    return code;
}
