/*
 * Signing by OpenSSL 3. ES256's signature is r and s, 32 bytes each, as JWS
 * wants it, not the DER that OpenSSL makes. Key files are read whole and
 * wiped; what is kept is the parsed key and a digest that tells two apart.
 */
#include "jwt.h"

#include <errno.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf.h"
#include "crypto.h"
#include "log.h"

#define SIGNER_FILE "token-signer"
#define HMAC_MIN 32
#define RSA_MIN_BITS 2048
#define RSA_MAX_BITS 8192
#define KEY_FILE_MAX 16384
#define SIGNATURE_MAX 1024
#define NAME_MAX_BYTES 64

enum alg { HS256, ES256, RS256, ALGS };
static const char *const alg_names[ALGS] = {"HS256", "ES256", "RS256"};

struct speedy_jwt_key {
    enum alg alg;
    char kid[41];
    char header[160]; /* base64url, with its dot */
    unsigned char print[32];
    EVP_PKEY *pkey; /* ES256, RS256 */
    char *secret;   /* HS256 */
    size_t secret_len;
};

static int refuse(const char *file, const char *why)
{
    speedy_log(SPEEDY_ERROR, "cannot sign tokens", "file=%s error=%s", file,
               why);
    return -1;
}

static int pkey_check(const struct speedy_jwt_key *key, const char *file)
{
    char group[32] = "";
    int bits;

    if (key->pkey == NULL)
        return refuse(file, "no private key in PEM form");
    bits = EVP_PKEY_get_bits(key->pkey);
    if (key->alg == RS256)
        return EVP_PKEY_get_base_id(key->pkey) == EVP_PKEY_RSA &&
                       bits >= RSA_MIN_BITS && bits <= RSA_MAX_BITS
                   ? 0
                   : refuse(file, "RS256 needs an RSA key of 2048 to 8192 "
                                  "bits");
    if (EVP_PKEY_get_base_id(key->pkey) == EVP_PKEY_EC)
        EVP_PKEY_get_group_name(key->pkey, group, sizeof(group), NULL);
    return strcmp(group, "prime256v1") == 0
               ? 0
               : refuse(file, "ES256 needs a key on P-256 (prime256v1)");
}

/* No pass phrase is ever asked for. */
static int no_phrase(char *buf, int size, int rwflag, void *data)
{
    (void)buf;
    (void)size;
    (void)rwflag;
    (void)data;
    return -1;
}

/* Takes the file's text over. */
static int key_parse(struct speedy_jwt_key *key, char *text, size_t len,
                     const char *file)
{
    BIO *bio;

    speedy_sha256(text, len, key->print);
    if (key->alg == HS256) {
        key->secret = text;
        key->secret_len = len;
        return len >= HMAC_MIN ? 0
                               : refuse(file, "a key of HS256 has 32 bytes or "
                                              "more");
    }
    bio = BIO_new_mem_buf(text, (int)len);
    if (bio != NULL)
        key->pkey = PEM_read_bio_PrivateKey(bio, NULL, no_phrase, NULL);
    BIO_free(bio);
    explicit_bzero(text, len);
    free(text);
    return pkey_check(key, file);
}

static bool word_of(const char *text, size_t most)
{
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVW"
                            "XYZ0123456789._-");

    return n >= 1 && n <= most && text[n] == '\0';
}

static int key_name(struct speedy_jwt_key *key, const char *alg,
                    const char *kid)
{
    char plain[sizeof(key->header)];
    int n;

    for (n = 0; n < ALGS && strcmp(alg, alg_names[n]) != 0; n++)
        ;
    if (n == ALGS || !word_of(kid, sizeof(key->kid) - 1))
        return -1;
    key->alg = (enum alg)n;
    snprintf(key->kid, sizeof(key->kid), "%s", kid);
    n = snprintf(plain, sizeof(plain),
                 "{\"alg\":\"%s\",\"typ\":\"JWT\",\"kid\":\"%s\"}", alg, kid);
    n = (int)speedy_base64url(plain, (size_t)n, key->header);
    key->header[n] = '.';
    key->header[n + 1] = '\0';
    return 0;
}

static struct speedy_jwt_key *key_read(const struct speedy_jwt_signer *by)
{
    struct speedy_jwt_key *key = calloc(1, sizeof(*key));
    char path[512], *text;
    size_t len;
    int rc = -1;

    if (key == NULL)
        return NULL;
    if (!word_of(by->file, NAME_MAX_BYTES) ||
        key_name(key, by->alg, by->kid) != 0) {
        refuse(by->file, "give HS256, ES256 or RS256, a kid of 1-40 of "
                         "[A-Za-z0-9._-], and the name of a file in the "
                         "directory of secrets");
    } else {
        snprintf(path, sizeof(path), "%s/%s", speedy_conf.secrets_directory,
                 by->file);
        text = speedy_secret_read(path, KEY_FILE_MAX, &len);
        if (text != NULL)
            rc = key_parse(key, text, len, path);
    }
    if (rc == 0)
        return key;
    speedy_jwt_key_free(key);
    return NULL;
}

struct speedy_jwt_key *
speedy_jwt_key_load(const struct speedy_jwt_signer *settings)
{
    struct speedy_jwt_key *key = NULL;
    char path[512], alg[8], kid[48], file[72], more;
    struct speedy_jwt_signer named = {alg, kid, file};
    char *line;

    snprintf(path, sizeof(path), "%s/" SIGNER_FILE,
             speedy_conf.secrets_directory);
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return key_read(settings);
    line = speedy_secret_read(path, 255, NULL);
    if (line == NULL)
        return NULL;
    if (sscanf(line, "%7s %47s %71s %c", alg, kid, file, &more) == 3)
        key = key_read(&named);
    else
        refuse(path, "give one line: ALG KID FILE");
    speedy_secret_free(line);
    return key;
}

void speedy_jwt_key_free(struct speedy_jwt_key *key)
{
    if (key == NULL)
        return;
    EVP_PKEY_free(key->pkey);
    if (key->secret != NULL)
        explicit_bzero(key->secret, key->secret_len);
    free(key->secret);
    free(key);
}

bool speedy_jwt_key_same(const struct speedy_jwt_key *a,
                         const struct speedy_jwt_key *b)
{
    return strcmp(a->header, b->header) == 0 &&
           memcmp(a->print, b->print, sizeof(a->print)) == 0;
}

const char *speedy_jwt_key_kid(const struct speedy_jwt_key *key)
{
    return key->kid;
}

const char *speedy_jwt_key_alg(const struct speedy_jwt_key *key)
{
    return alg_names[key->alg];
}

/* DER to r and s, 32 bytes each. */
static size_t ecdsa_raw(const unsigned char *der, size_t len,
                        unsigned char *out)
{
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)len);

    speedy_crypto_must(
        sig != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, 32) == 32 &&
            BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + 32, 32) == 32,
        "ECDSA");
    ECDSA_SIG_free(sig);
    return 64;
}

static size_t signature(const struct speedy_jwt_key *key, const void *data,
                        size_t len, unsigned char out[SIGNATURE_MAX])
{
    unsigned char made[SIGNATURE_MAX];
    size_t n = sizeof(made);
    EVP_MD_CTX *ctx;
    int ok;

    if (key->alg == HS256) {
        speedy_hmac_sha256(key->secret, key->secret_len, data, len, out);
        return 32;
    }
    ctx = EVP_MD_CTX_new();
    ok = ctx != NULL &&
         EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key->pkey) == 1 &&
         EVP_DigestSign(ctx, made, &n, data, len) == 1;
    EVP_MD_CTX_free(ctx);
    speedy_crypto_must(ok, "signature");
    if (key->alg == ES256)
        return ecdsa_raw(made, n, out);
    memcpy(out, made, n);
    return n;
}

static void add_base64url(struct speedy_buf *out, const void *data, size_t len)
{
    char text[4 * (SIGNATURE_MAX + 2) / 3 + 1];

    speedy_buf_add(out, text, speedy_base64url(data, len, text));
}

void speedy_jwt_sign(const struct speedy_jwt_key *key,
                     const struct speedy_jwt_claims *claims,
                     struct speedy_buf *out)
{
    unsigned char noise[16], made[SIGNATURE_MAX];
    size_t start = out->len, n;
    char jti[33], text[1024];
    int len;

    speedy_random(noise, sizeof(noise));
    speedy_hex(noise, sizeof(noise), jti);
    len = snprintf(text, sizeof(text),
                   "{\"iss\":\"%s\",\"aud\":\"%s\",\"sub\":\"%s\","
                   "\"sid\":\"%s\",\"role\":\"%s\",\"typ\":\"access\","
                   "\"iat\":%lld,\"exp\":%lld,\"jti\":\"%s\"}",
                   claims->issuer, claims->audience, claims->subject,
                   claims->sid, claims->role, (long long)claims->iat,
                   (long long)(claims->iat + claims->ttl), jti);
    speedy_crypto_must(len > 0 && (size_t)len < sizeof(text), "claims");
    speedy_buf_add(out, key->header, strlen(key->header));
    add_base64url(out, text, (size_t)len);
    n = signature(key, out->data + start, out->len - start, made);
    speedy_buf_add(out, ".", 1);
    add_base64url(out, made, n);
}
