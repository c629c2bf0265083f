/*
 * Time-based one-time passwords as authenticator applications make them
 * (RFC 6238: SHA-1, steps of 30 s, 6 digits), and the texts in which a secret
 * is handed over: base32 (RFC 4648, no padding) and an otpauth:// address.
 * Pure functions, any thread.
 */
#ifndef SPEEDY_TOTP_H
#define SPEEDY_TOTP_H

#include <stddef.h>
#include <stdint.h>

#include "json.h"

#define SPEEDY_TOTP_SECRET 20 /* bytes of a secret of ours */
#define SPEEDY_TOTP_BASE32 33 /* its text, with the NUL */
#define SPEEDY_TOTP_STEP 30   /* seconds */
#define SPEEDY_TOTP_CODE 7    /* six digits and a NUL */

/* The step that a time (Unix seconds) falls into. */
int64_t speedy_totp_step(int64_t seconds);
void speedy_totp_code(const unsigned char *secret, size_t len, int64_t step,
                      char out[SPEEDY_TOTP_CODE]);
/*
 * The step whose code this is: the present one, the one before or the one
 * after (clocks differ, fingers are slow), and later than `last`, the last
 * one that was taken. 0 when it is none. The caller stores the step by a
 * compare-and-set, so that no code works twice. Always the same work.
 */
int64_t speedy_totp_match(const unsigned char *secret, size_t len,
                          const char *code, int64_t seconds, int64_t last);

/* out holds (len * 8 + 4) / 5 + 1. */
void speedy_base32(const void *data, size_t len, char *out);
/* Appends otpauth://totp/ISSUER:ACCOUNT?secret=…&issuer=… */
void speedy_totp_uri(struct speedy_buf *out, const char *issuer,
                     const char *account,
                     const unsigned char secret[SPEEDY_TOTP_SECRET]);

#endif
