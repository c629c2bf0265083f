/*
 * The signing key under a lock: many requests sign with it at once, the duty
 * changes it.
 */
#include "tokens.h"

#include <pthread.h>
#include <string.h>

#include "../common/jwt.h"
#include "../common/log.h"
#include "../common/loop.h"
#include "sessions.h"

#define AGAIN_MS 2000

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static struct speedy_jwt_key *key;

static struct speedy_jwt_key *read_key(void)
{
    const struct speedy_jwt_signer by = {userd_session_settings.alg,
                                         userd_session_settings.kid,
                                         userd_session_settings.key};

    return speedy_jwt_key_load(&by);
}

static bool word_plain(const char *text)
{
    return strlen(text) <= 64 && strpbrk(text, "\"\\\n") == NULL;
}

static void announce(const struct speedy_jwt_key *k)
{
    speedy_log(SPEEDY_INFO, "tokens are signed", "kid=%s alg=%s",
               speedy_jwt_key_kid(k), speedy_jwt_key_alg(k));
}

int userd_tokens_load(void)
{
    if (!word_plain(userd_session_settings.issuer) ||
        !word_plain(userd_session_settings.audience)) {
        speedy_log(SPEEDY_ERROR,
                   "token_issuer and token_audience have at most"
                   " 64 characters and no quotes",
                   "");
        return -1;
    }
    key = read_key();
    if (key == NULL)
        return -1;
    announce(key);
    return 0;
}

long userd_tokens_turn(void *data)
{
    struct speedy_jwt_key *fresh = read_key(), *old;

    (void)data;
    if (fresh == NULL)
        return AGAIN_MS;
    /* only this thread changes it */
    if (speedy_jwt_key_same(key, fresh)) {
        speedy_jwt_key_free(fresh);
        return AGAIN_MS;
    }
    pthread_rwlock_wrlock(&lock);
    old = key;
    key = fresh;
    pthread_rwlock_unlock(&lock);
    speedy_jwt_key_free(old);
    announce(fresh);
    return AGAIN_MS;
}

void userd_tokens_free(void)
{
    speedy_jwt_key_free(key);
    key = NULL;
}

void userd_token_sign(const char *owner, const char *sid, const char *role,
                      struct speedy_buf *out)
{
    struct speedy_jwt_claims claims = {
        .issuer = userd_session_settings.issuer,
        .audience = userd_session_settings.audience,
        .subject = owner,
        .sid = sid,
        .role = role,
        .iat = speedy_now_real() / 1000,
        .ttl = userd_session_settings.token_life / 1000,
    };

    pthread_rwlock_rdlock(&lock);
    speedy_jwt_sign(key, &claims, out);
    pthread_rwlock_unlock(&lock);
}
