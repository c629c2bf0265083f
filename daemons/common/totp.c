/*
 * RFC 6238 over OpenSSL's HMAC-SHA-1. SHA-1 is what authenticators know, and
 * as an HMAC of a random secret it is sound.
 */
#include "totp.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

static void escape(struct speedy_buf *out, const char *text);

int64_t speedy_totp_step(int64_t seconds)
{
    return seconds / SPEEDY_TOTP_STEP;
}

void speedy_totp_code(const unsigned char *secret, size_t len, int64_t step,
                      char out[SPEEDY_TOTP_CODE])
{
    unsigned char counter[8], mac[20];
    const unsigned char *at;
    uint32_t n;

    for (int i = 0; i < 8; i++)
        counter[i] = (unsigned char)((uint64_t)step >> (56 - 8 * i));
    if (HMAC(EVP_sha1(), secret, (int)len, counter, sizeof counter, mac,
             NULL) == NULL) {
        speedy_log(SPEEDY_ALARM, "OpenSSL failed", "call=HMAC-SHA-1");
        abort();
    }
    at = mac + (mac[19] & 15);
    n = (uint32_t)(at[0] & 127) << 24 | (uint32_t)at[1] << 16 |
        (uint32_t)at[2] << 8 | at[3];
    snprintf(out, SPEEDY_TOTP_CODE, "%06u", (unsigned)(n % 1000000));
    explicit_bzero(mac, sizeof mac);
}

int64_t speedy_totp_match(const unsigned char *secret, size_t len,
                          const char *code, int64_t seconds, int64_t last)
{
    int64_t now = speedy_totp_step(seconds), found = 0;
    char right[SPEEDY_TOTP_CODE];

    if (strlen(code) != SPEEDY_TOTP_CODE - 1)
        code = "      "; /* six characters that are no code */
    for (int64_t step = now - 1; step <= now + 1; step++) {
        speedy_totp_code(secret, len, step, right);
        if (CRYPTO_memcmp(right, code, SPEEDY_TOTP_CODE - 1) == 0 &&
            step > last && found == 0)
            found = step;
    }
    explicit_bzero(right, sizeof right);
    return found;
}

void speedy_base32(const void *data, size_t len, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    const unsigned char *in = data;
    uint32_t bits = 0;
    int held = 0;

    for (size_t i = 0; i < len; i++) {
        bits = bits << 8 | in[i];
        for (held += 8; held >= 5; held -= 5)
            *out++ = digits[bits >> (held - 5) & 31];
    }
    if (held > 0)
        *out++ = digits[bits << (5 - held) & 31];
    *out = '\0';
}

void speedy_totp_uri(struct speedy_buf *out, const char *issuer,
                     const char *account,
                     const unsigned char secret[SPEEDY_TOTP_SECRET])
{
    char text[SPEEDY_TOTP_BASE32];

    speedy_base32(secret, SPEEDY_TOTP_SECRET, text);
    speedy_buf_printf(out, "otpauth://totp/");
    escape(out, issuer);
    speedy_buf_printf(out, ":");
    escape(out, account);
    speedy_buf_printf(out, "?secret=%s&issuer=", text);
    escape(out, issuer);
    speedy_buf_printf(out, "&algorithm=SHA1&digits=6&period=%d",
                      SPEEDY_TOTP_STEP);
    explicit_bzero(text, sizeof text);
}

/* Percent-encodes all but RFC 3986's unreserved characters. */
static void escape(struct speedy_buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
            (c >= '0' && c <= '9') || strchr("-._~", c) != NULL)
            speedy_buf_add(out, &c, 1);
        else
            speedy_buf_printf(out, "%%%02X", c);
    }
}
