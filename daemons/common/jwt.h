/*
 * Making access tokens (JWS, RFC 7515): HS256, ES256 or RS256. Gateways
 * accept only headers that are byte-equal to {"alg":"…","typ":"JWT",
 * "kid":"…"}, so the header is written here and by nobody else.
 *
 * Which key signs is told by <secrets>/token-signer, one line
 * `ALG KID FILE` (FILE in <secrets>), or by settings where that file is
 * absent. A change of it needs no restart: speedy_jwt_key_load() again.
 *
 * HS256: the file's text, 32 bytes or more. ES256: a P-256 private key in PEM
 * form. RS256: an RSA private key of 2048 bits or more in PEM form.
 * A loaded key may sign on many threads at once.
 */
#ifndef SPEEDY_JWT_H
#define SPEEDY_JWT_H

#include <stdbool.h>
#include <stdint.h>

#include "json.h"

struct speedy_jwt_key;

/* alg, kid (1-40 of [A-Za-z0-9._-]), name of a file in <secrets>. */
struct speedy_jwt_signer {
    const char *alg, *kid, *file;
};

/*
 * Reads the key that token-signer names, else the one of `settings`. NULL
 * after logging what is wrong.
 */
struct speedy_jwt_key *
speedy_jwt_key_load(const struct speedy_jwt_signer *settings);
void speedy_jwt_key_free(struct speedy_jwt_key *key);
/* The same algorithm, kid and key. */
bool speedy_jwt_key_same(const struct speedy_jwt_key *a,
                         const struct speedy_jwt_key *b);
const char *speedy_jwt_key_kid(const struct speedy_jwt_key *key);
const char *speedy_jwt_key_alg(const struct speedy_jwt_key *key);

/* Texts of [A-Za-z0-9_-] except issuer and audience (no quotes, no \). */
struct speedy_jwt_claims {
    const char *issuer, *audience, *subject, *sid, *role;
    int64_t iat, ttl; /* seconds */
};
/* Appends a signed access token with a fresh `jti`. */
void speedy_jwt_sign(const struct speedy_jwt_key *key,
                     const struct speedy_jwt_claims *claims,
                     struct speedy_buf *out);

#endif
