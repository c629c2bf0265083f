/*
 * Randomness, digests, identifiers: thin and total over OpenSSL. Functions
 * that cannot go on without randomness abort with a log line: a guessable
 * identifier is worse than a stopped daemon.
 */
#ifndef SPEEDY_CRYPTO_H
#define SPEEDY_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Ends the process, after a log line, unless ok. */
void speedy_crypto_must(int ok, const char *what);

void speedy_random(void *out, size_t len);
/* Uniform in [0, n), n at least 1: no remainder is likelier than another. */
uint32_t speedy_random_below(uint32_t n);
/* Whether len bytes are the same, in a time that does not tell where not. */
bool speedy_equal(const void *a, const void *b, size_t len);
void speedy_sha256(const void *data, size_t len, unsigned char out[32]);
void speedy_hmac_sha256(const void *key, size_t key_len, const void *data,
                        size_t len, unsigned char out[32]);

/* Lower-case hex with its NUL: out holds 2 * len + 1. */
void speedy_hex(const void *data, size_t len, char *out);
/* One hex digit's value, either case, or -1. */
int speedy_hex_digit(char c);
/* Exactly 2 * len hex digits. 0, or -1 when text is anything else. */
int speedy_unhex(const char *text, size_t text_len, void *out, size_t len);
/* base64url without padding; out holds 4 * (len + 2) / 3 + 1. */
size_t speedy_base64url(const void *data, size_t len, char *out);
/* Strict: no padding, no foreign byte. Length, or -1. */
long speedy_unbase64url(const char *text, size_t text_len, void *out,
                        size_t size);

/* UUIDv7 (RFC 9562) of now: 48 bits of Unix milliseconds, 74 random. */
void speedy_uuid7(unsigned char out[16]);
/* Text form with hyphens, lower case; out holds 37. */
void speedy_uuid_text(const unsigned char id[16], char *out);
/* Accepts exactly the 36-character form, either case. 0 or -1. */
int speedy_uuid_parse(const char *text, size_t len, unsigned char id[16]);
/* The 48-bit millisecond stamp of a UUIDv7. */
int64_t speedy_uuid_time(const unsigned char id[16]);

#endif
