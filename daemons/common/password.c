/*
 * Argon2id by libargon2, in its encoded form ($argon2id$v=19$m=…,t=…,p=…$…),
 * over a peppered digest of the password. The digest is 32 bytes whatever
 * the password's length is, so a long password costs no more than a short.
 */
#include "password.h"

#include <argon2.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "conf.h"
#include "crypto.h"
#include "log.h"

#define SALT_LEN 16
#define TAG_LEN 32

struct speedy_password_cost speedy_password_cost = {19 * 1024, 2, 1};

static unsigned char pepper[SPEEDY_SECRET_KEY];
static bool loaded;

/* Of the cost in `hash`; false when it is not one of ours. */
static bool cost_read(const char *hash, struct speedy_password_cost *cost);
static void peppered(const char *password, size_t len,
                     unsigned char out[TAG_LEN]);

int speedy_password_init(void)
{
    loaded = speedy_secret_key("pepper", pepper) == 0;
    return loaded ? 0 : -1;
}

void speedy_password_free(void)
{
    explicit_bzero(pepper, sizeof pepper);
    loaded = false;
}

int speedy_password_hash(const char *password, size_t len,
                         char out[SPEEDY_PASSWORD_HASH])
{
    const struct speedy_password_cost *c = &speedy_password_cost;
    unsigned char digest[TAG_LEN], salt[SALT_LEN];
    int n;

    if (!loaded) {
        speedy_log(SPEEDY_ERROR, "the pepper is not loaded", "");
        return -1;
    }
    speedy_random(salt, sizeof salt);
    peppered(password, len, digest);
    n = argon2id_hash_encoded((uint32_t)c->passes, (uint32_t)c->memory_kib,
                              (uint32_t)c->lanes, digest, sizeof digest, salt,
                              sizeof salt, TAG_LEN, out, SPEEDY_PASSWORD_HASH);
    explicit_bzero(digest, sizeof digest);
    if (n != ARGON2_OK) {
        speedy_log(SPEEDY_ERROR, "cannot hash a password", "error=%s",
                   argon2_error_message(n));
        return -1;
    }
    return 0;
}

enum speedy_password_result
speedy_password_verify(const char *hash, const char *password, size_t len)
{
    const struct speedy_password_cost *now = &speedy_password_cost;
    char nobody[SPEEDY_PASSWORD_HASH];
    struct speedy_password_cost cost;
    unsigned char digest[TAG_LEN];
    int n;

    if (hash == NULL)
        return speedy_password_hash(password, len, nobody) == 0
                   ? SPEEDY_PASSWORD_WRONG
                   : SPEEDY_PASSWORD_FAILED;
    if (!loaded || !cost_read(hash, &cost)) {
        speedy_log(SPEEDY_ERROR,
                   loaded ? "a password's hash cannot be read"
                          : "the pepper is not loaded",
                   "");
        return SPEEDY_PASSWORD_FAILED;
    }
    peppered(password, len, digest);
    n = argon2id_verify(hash, digest, sizeof digest);
    explicit_bzero(digest, sizeof digest);
    if (n == ARGON2_VERIFY_MISMATCH)
        return SPEEDY_PASSWORD_WRONG;
    if (n != ARGON2_OK) {
        speedy_log(SPEEDY_ERROR, "cannot verify a password", "error=%s",
                   argon2_error_message(n));
        return SPEEDY_PASSWORD_FAILED;
    }
    return cost.memory_kib == now->memory_kib && cost.passes == now->passes &&
                   cost.lanes == now->lanes
               ? SPEEDY_PASSWORD_RIGHT
               : SPEEDY_PASSWORD_STALE;
}

static bool cost_read(const char *hash, struct speedy_password_cost *cost)
{
    return sscanf(hash, "$argon2id$v=19$m=%ld,t=%ld,p=%ld$", &cost->memory_kib,
                  &cost->passes, &cost->lanes) == 3;
}

static void peppered(const char *password, size_t len,
                     unsigned char out[TAG_LEN])
{
    speedy_hmac_sha256(pepper, sizeof pepper, password, len, out);
}
