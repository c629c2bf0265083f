/*
 * Tokens of every algorithm, verified by the library that nginx's module
 * verifies them by, with the public key alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <jwt.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "../../../daemons/common/conf.h"
#include "../../../daemons/common/crypto.h"
#include "../../../daemons/common/jwt.h"
#include "capture.h"
#include "servers.h"

#define SECRET "0123456789abcdef0123456789abcdef"

static const struct speedy_jwt_claims claims = {
    .issuer = "speedy",
    .audience = "speedy",
    .subject = "uABC",
    .sid = "sDEF",
    .role = "USER",
    .iat = 1700000000,
    .ttl = 900,
};

static int group_setup(void **state)
{
    static char directory[512];

    (void)state;
    snprintf(directory, sizeof(directory), "%s", servers_dir());
    speedy_conf.secrets_directory = directory;
    servers_file("jwt-hs", SECRET "\n", 0400);
    servers_file("jwt-hs2", SECRET "2", 0400);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    servers_stop();
    return 0;
}

/* Writes the private key as a secret; returns the public one in PEM form. */
static char *key_file(EVP_PKEY *pkey, const char *name)
{
    BIO *secret = BIO_new(BIO_s_mem()), *public = BIO_new(BIO_s_mem());
    char *text, *out;
    long n;

    assert_non_null(pkey);
    assert_int_equal(
        PEM_write_bio_PrivateKey(secret, pkey, NULL, NULL, 0, NULL, NULL), 1);
    BIO_write(secret, "", 1);
    BIO_get_mem_data(secret, &text);
    servers_file(name, text, 0400);
    assert_int_equal(PEM_write_bio_PUBKEY(public, pkey), 1);
    n = BIO_get_mem_data(public, &text);
    out = strndup(text, (size_t)n);
    BIO_free(secret);
    BIO_free(public);
    EVP_PKEY_free(pkey);
    return out;
}

static struct speedy_jwt_key *load(const char *alg, const char *kid,
                                   const char *file)
{
    return speedy_jwt_key_load(&(struct speedy_jwt_signer){alg, kid, file});
}

static void header_is(const char *token, const char *expected)
{
    char text[200];
    long n = speedy_unbase64url(token, strcspn(token, "."), text, sizeof(text));

    assert_true(n > 0 && (size_t)n < sizeof(text));
    text[n] = '\0';
    assert_string_equal(text, expected);
}

static void verified(const char *token, const char *key, jwt_alg_t alg)
{
    jwt_t *jwt = NULL;

    assert_int_equal(
        jwt_decode(&jwt, token, (const unsigned char *)key, (int)strlen(key)),
        0);
    assert_int_equal(jwt_get_alg(jwt), alg);
    assert_string_equal(jwt_get_grant(jwt, "iss"), "speedy");
    assert_string_equal(jwt_get_grant(jwt, "aud"), "speedy");
    assert_string_equal(jwt_get_grant(jwt, "sub"), "uABC");
    assert_string_equal(jwt_get_grant(jwt, "sid"), "sDEF");
    assert_string_equal(jwt_get_grant(jwt, "role"), "USER");
    assert_string_equal(jwt_get_grant(jwt, "typ"), "access");
    assert_int_equal(jwt_get_grant_int(jwt, "iat"), 1700000000);
    assert_int_equal(jwt_get_grant_int(jwt, "exp"), 1700000900);
    assert_int_equal(strlen(jwt_get_grant(jwt, "jti")), 32);
    jwt_free(jwt);
}

/* Many: r and s are padded to 32 bytes also when they are short. */
static void round_trips(struct speedy_jwt_key *key, const char *public,
                        jwt_alg_t alg, const char *header, int times)
{
    struct speedy_buf token = {0};
    jwt_t *jwt = NULL;
    char *body;

    assert_non_null(key);
    for (int i = 0; i < times; i++) {
        token.len = 0;
        speedy_jwt_sign(key, &claims, &token);
        assert_true(token.len < 952); /* what the gateway's cache takes */
        header_is(token.data, header);
        verified(token.data, public, alg);
    }
    /* one letter of the claims changed */
    body = strchr(token.data, '.') + 20;
    *body = *body == 'A' ? 'B' : 'A';
    assert_int_not_equal(jwt_decode(&jwt, token.data,
                                    (const unsigned char *)public,
                                    (int)strlen(public)),
                         0);
    speedy_buf_free(&token);
    speedy_jwt_key_free(key);
}

static void hs256(void **state)
{
    (void)state;
    round_trips(load("HS256", "k1", "jwt-hs"), SECRET, JWT_ALG_HS256,
                "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"k1\"}", 1);
}

static void es256(void **state)
{
    char *public = key_file(EVP_EC_gen("P-256"), "jwt-es");

    (void)state;
    round_trips(load("ES256", "2026-11.a", "jwt-es"), public, JWT_ALG_ES256,
                "{\"alg\":\"ES256\",\"typ\":\"JWT\",\"kid\":\"2026-11.a\"}",
                600);
    free(public);
}

static void rs256(void **state)
{
    char *public = key_file(EVP_RSA_gen(2048), "jwt-rs");

    (void)state;
    round_trips(load("RS256", "r1", "jwt-rs"), public, JWT_ALG_RS256,
                "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"r1\"}", 2);
    free(public);
}

static void keys_that_do_not_fit(void **state)
{
    free(key_file(EVP_EC_gen("P-384"), "jwt-p384"));
    free(key_file(EVP_RSA_gen(1024), "jwt-weak"));
    free(key_file(EVP_RSA_gen(2048), "jwt-rs"));
    free(key_file(EVP_EC_gen("P-256"), "jwt-es"));
    servers_file("jwt-short", "0123456789abcdef0123456789abcde", 0400);
    servers_file("jwt-open", SECRET, 0444);
    (void)state;
    capture_start();
    assert_null(load("ES256", "k1", "jwt-p384"));
    assert_null(load("ES256", "k1", "jwt-rs"));
    assert_null(load("ES256", "k1", "jwt-hs"));
    assert_null(load("RS256", "k1", "jwt-weak"));
    assert_null(load("RS256", "k1", "jwt-es"));
    assert_null(load("HS256", "k1", "jwt-short"));
    assert_null(load("HS256", "k1", "jwt-open"));
    assert_null(load("HS256", "k1", "jwt-absent"));
    assert_null(load("HS512", "k1", "jwt-hs"));
    assert_null(load("none", "k1", "jwt-hs"));
    assert_null(load("HS256", "", "jwt-hs"));
    assert_null(load("HS256", "k\"1", "jwt-hs"));
    assert_null(load("HS256", "k1", "../jwt-hs"));
    capture_stop();
}

/* The file says which key signs; what it says can change at any time. */
static void rotation(void **state)
{
    struct speedy_jwt_key *first, *second, *again;

    (void)state;
    first = load("HS256", "k1", "jwt-hs");
    again = load("HS256", "k1", "jwt-hs");
    assert_non_null(first);
    assert_non_null(again);
    assert_true(speedy_jwt_key_same(first, again));
    speedy_jwt_key_free(again);
    servers_file("token-signer", "HS256 k2 jwt-hs2\n", 0400);
    second = load("HS256", "k1", "jwt-hs");
    assert_non_null(second);
    assert_string_equal(speedy_jwt_key_kid(second), "k2");
    assert_string_equal(speedy_jwt_key_alg(second), "HS256");
    assert_false(speedy_jwt_key_same(first, second));
    speedy_jwt_key_free(first);
    /* the same name, another key */
    servers_file("jwt-hs2", SECRET "3", 0400);
    again = load("HS256", "k1", "jwt-hs");
    assert_false(speedy_jwt_key_same(second, again));
    speedy_jwt_key_free(second);
    speedy_jwt_key_free(again);
    /* nonsense is no reason to sign with another key than was asked for */
    capture_start();
    servers_file("token-signer", "HS256 k2\n", 0400);
    assert_null(load("HS256", "k1", "jwt-hs"));
    servers_file("token-signer", "HS256 k2 jwt-hs2 more\n", 0400);
    assert_null(load("HS256", "k1", "jwt-hs"));
    capture_stop();
    unlink(servers_file("token-signer", "x", 0400));
    again = load("HS256", "k1", "jwt-hs");
    assert_string_equal(speedy_jwt_key_kid(again), "k1");
    speedy_jwt_key_free(again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hs256),    cmocka_unit_test(es256),
        cmocka_unit_test(rs256),    cmocka_unit_test(keys_that_do_not_fit),
        cmocka_unit_test(rotation),
    };

    return cmocka_run_group_tests_name("common jwt", tests, group_setup,
                                       group_teardown);
}
