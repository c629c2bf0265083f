/*
 * A cursor is the position after the last row of a page (a time and an id)
 * and a MAC over it and the query, so that a made-up one, or one of another
 * list or filter, is told instead of answered with a wrong page.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/crypto.h"
#include "productd.h"

#define KEY_MAX 256
#define MAC_BYTES 12
#define POSITION_BYTES 8
#define RAW_MAX (POSITION_BYTES + SPEEDY_ID_MAX + MAC_BYTES)

static char *key;
static size_t key_len;

int productd_cursor_init(void)
{
    char path[1024];

    snprintf(path, sizeof(path), "%s/cursor-key",
             speedy_conf.secrets_directory);
    key = speedy_secret_read(path, KEY_MAX, &key_len);
    return key == NULL ? -1 : 0;
}

void productd_cursor_free(void)
{
    speedy_secret_free(key);
    key = NULL;
}

/* Over the position as it stands in the cursor, and the query. */
static void mac_make(const unsigned char *position, size_t len,
                     const char *query, unsigned char out[32])
{
    struct speedy_buf b = {0};
    unsigned char n = (unsigned char)len;

    speedy_buf_add(&b, &n, 1);
    speedy_buf_add(&b, position, len);
    speedy_buf_add(&b, query, strlen(query));
    speedy_hmac_sha256(key, key_len, b.data, b.len, out);
    speedy_buf_free(&b);
}

void productd_cursor_write(struct speedy_buf *out, const char *query,
                           int64_t at, const char *id)
{
    unsigned char raw[RAW_MAX], mac[32];
    char text[4 * (RAW_MAX + 2) / 3 + 1];
    size_t id_len = strlen(id), len = POSITION_BYTES + id_len;

    for (int i = 0; i < POSITION_BYTES; i++)
        raw[i] = (unsigned char)((uint64_t)at >> (56 - 8 * i));
    memcpy(raw + POSITION_BYTES, id, id_len);
    mac_make(raw, len, query, mac);
    memcpy(raw + len, mac, MAC_BYTES);
    speedy_base64url(raw, len + MAC_BYTES, text);
    speedy_buf_printf(out, "%s", text);
}

int productd_cursor_read(const char *text, const char *query, int64_t *at,
                         char id[SPEEDY_ID_MAX + 1])
{
    unsigned char raw[RAW_MAX], mac[32], differs = 0;
    long n = speedy_unbase64url(text, strlen(text), raw, sizeof(raw));
    size_t len;
    uint64_t ms = 0;

    if (n <= POSITION_BYTES + MAC_BYTES)
        return -1;
    len = (size_t)n - MAC_BYTES;
    mac_make(raw, len, query, mac);
    for (int i = 0; i < MAC_BYTES; i++)
        differs |= mac[i] ^ raw[len + (size_t)i];
    if (differs != 0)
        return -1;
    for (int i = 0; i < POSITION_BYTES; i++)
        ms = ms << 8 | raw[i];
    *at = (int64_t)ms;
    memcpy(id, raw + POSITION_BYTES, len - POSITION_BYTES);
    id[len - POSITION_BYTES] = '\0';
    return 0;
}
