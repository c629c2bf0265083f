/*
 * Randomness, digests and identifiers over OpenSSL 3. Every function is total:
 * a failure inside OpenSSL (no memory, no entropy) is one from which nothing
 * sound can follow, so it ends the process.
 */
#include "crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "log.h"

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void speedy_crypto_must(int ok, const char *what)
{
    if (!ok) {
        speedy_log(SPEEDY_ALARM, "OpenSSL failed", "call=%s", what);
        abort();
    }
}

void speedy_random(void *out, size_t len)
{
    speedy_crypto_must(RAND_bytes(out, (int)len) == 1, "RAND_bytes");
}

uint32_t speedy_random_below(uint32_t n)
{
    /* the values below this are one set of remainders too short */
    uint32_t unfair = (uint32_t)-n % n, draw;

    do {
        speedy_random(&draw, sizeof(draw));
    } while (draw < unfair);
    return draw % n;
}

bool speedy_equal(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}

void speedy_sha256(const void *data, size_t len, unsigned char out[32])
{
    speedy_crypto_must(
        EVP_Digest(data, len, out, NULL, EVP_sha256(), NULL) == 1, "SHA-256");
}

void speedy_hmac_sha256(const void *key, size_t key_len, const void *data,
                        size_t len, unsigned char out[32])
{
    speedy_crypto_must(
        HMAC(EVP_sha256(), key, (int)key_len, data, len, out, NULL) != NULL,
        "HMAC");
}

void speedy_hex(const void *data, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *in = data;

    for (size_t i = 0; i < len; i++) {
        *out++ = digits[in[i] >> 4];
        *out++ = digits[in[i] & 15];
    }
    *out = '\0';
}

int speedy_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int speedy_unhex(const char *text, size_t text_len, void *out, size_t len)
{
    unsigned char *to = out;

    if (text_len != 2 * len)
        return -1;
    for (size_t i = 0; i < len; i++) {
        int high = speedy_hex_digit(text[2 * i]);
        int low = speedy_hex_digit(text[2 * i + 1]);

        if (high < 0 || low < 0)
            return -1;
        to[i] = (unsigned char)(high << 4 | low);
    }
    return 0;
}

size_t speedy_base64url(const void *data, size_t len, char *out)
{
    const unsigned char *in = data;
    char *start = out;

    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i;
        uint32_t word = (uint32_t)in[i] << 16;

        if (left > 1)
            word |= (uint32_t)in[i + 1] << 8;
        if (left > 2)
            word |= in[i + 2];
        *out++ = base64_digits[word >> 18];
        *out++ = base64_digits[word >> 12 & 63];
        if (left > 1)
            *out++ = base64_digits[word >> 6 & 63];
        if (left > 2)
            *out++ = base64_digits[word & 63];
    }
    *out = '\0';
    return (size_t)(out - start);
}

long speedy_unbase64url(const char *text, size_t text_len, void *out,
                        size_t size)
{
    unsigned char *to = out;
    uint32_t word = 0;
    unsigned bits = 0;
    size_t n = 0;

    if (text_len % 4 == 1)
        return -1;
    for (size_t i = 0; i < text_len; i++) {
        const char *digit =
            text[i] != '\0' ? strchr(base64_digits, text[i]) : NULL;

        if (digit == NULL)
            return -1;
        word = word << 6 | (uint32_t)(digit - base64_digits);
        bits += 6;
        if (bits < 8)
            continue;
        if (n == size)
            return -1;
        bits -= 8;
        to[n++] = (unsigned char)(word >> bits);
        word &= (1u << bits) - 1;
    }
    /* one text for one value: the bits left over are zero */
    return word == 0 ? (long)n : -1;
}

void speedy_uuid7(unsigned char out[16])
{
    struct timespec now;
    uint64_t ms;

    clock_gettime(CLOCK_REALTIME, &now);
    ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    speedy_random(out + 6, 10);
    for (int i = 0; i < 6; i++)
        out[i] = (unsigned char)(ms >> (40 - 8 * i));
    out[6] = (unsigned char)((out[6] & 0x0f) | 0x70);
    out[8] = (unsigned char)((out[8] & 0x3f) | 0x80);
}

void speedy_uuid_text(const unsigned char id[16], char *out)
{
    static const unsigned char groups[] = {4, 2, 2, 2, 6};

    for (size_t g = 0; g < sizeof(groups); g++) {
        if (g > 0)
            *out++ = '-';
        speedy_hex(id, groups[g], out);
        id += groups[g];
        out += 2 * groups[g];
    }
}

int speedy_uuid_parse(const char *text, size_t len, unsigned char id[16])
{
    char hex[32];
    size_t n = 0;

    if (len != 36)
        return -1;
    for (size_t i = 0; i < len; i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (text[i] != '-')
                return -1;
        } else {
            hex[n++] = text[i];
        }
    }
    return speedy_unhex(hex, sizeof(hex), id, 16);
}

int64_t speedy_uuid_time(const unsigned char id[16])
{
    int64_t ms = 0;

    for (int i = 0; i < 6; i++)
        ms = ms << 8 | id[i];
    return ms;
}
