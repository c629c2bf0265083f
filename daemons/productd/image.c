/*
 * The headers of PNG (RFC 2083), JPEG (T.81, annex B) and WebP (RFC 9649).
 * Every length comes from the file and is checked before it is used.
 */
#include "image.h"

#include <stdbool.h>
#include <string.h>

struct bytes {
    const unsigned char *at;
    size_t left;
};

static uint32_t big(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 |
           p[3];
}

static uint32_t little(const unsigned char *p)
{
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 |
           p[0];
}

static void skip(struct bytes *b, size_t n)
{
    b->at += n;
    b->left -= n;
}

/* Chunks of length, name, data, checksum; the first IHDR, the last IEND. */
static enum productd_image_result png(struct bytes b,
                                      struct productd_image_facts *f)
{
    bool pixels = false;

    f->type = "png";
    skip(&b, 8);
    if (b.left < 25 || big(b.at) != 13 || memcmp(b.at + 4, "IHDR", 4) != 0)
        return PRODUCTD_IMAGE_DAMAGED;
    f->width = big(b.at + 8);
    f->height = big(b.at + 12);
    while (b.left >= 12) {
        uint32_t len = big(b.at);
        bool end = memcmp(b.at + 4, "IEND", 4) == 0;

        pixels = pixels || memcmp(b.at + 4, "IDAT", 4) == 0;
        if (len > b.left - 12)
            return PRODUCTD_IMAGE_DAMAGED;
        skip(&b, 12 + (size_t)len);
        /* nothing may stand behind the end */
        if (end)
            return pixels && len == 0 && b.left == 0 ? PRODUCTD_IMAGE_OK
                                                     : PRODUCTD_IMAGE_DAMAGED;
    }
    return PRODUCTD_IMAGE_DAMAGED;
}

/* SOF0 … SOF15, without DHT, JPG and DAC, which lie between them. */
static bool is_frame(unsigned char marker)
{
    return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 &&
           marker != 0xc8 && marker != 0xcc;
}

/* The end mark, behind the scan; cameras put notes of theirs after it. */
static bool has_end(struct bytes b)
{
    for (; b.left >= 2; skip(&b, 1)) {
        if (b.at[0] == 0xff && b.at[1] == 0xd9)
            return true;
    }
    return false;
}

static enum productd_image_result jpeg(struct bytes b,
                                       struct productd_image_facts *f)
{
    f->type = "jpg";
    skip(&b, 2);
    while (b.left >= 4) {
        size_t len = (size_t)b.at[2] << 8 | b.at[3];
        unsigned char marker = b.at[1];

        if (b.at[0] != 0xff)
            return PRODUCTD_IMAGE_DAMAGED;
        if (marker == 0xff) { /* a fill byte */
            skip(&b, 1);
            continue;
        }
        if (len < 2 || len + 2 > b.left)
            return PRODUCTD_IMAGE_DAMAGED;
        if (is_frame(marker)) {
            if (len < 8)
                return PRODUCTD_IMAGE_DAMAGED;
            f->height = b.at[5] << 8 | b.at[6];
            f->width = b.at[7] << 8 | b.at[8];
        }
        skip(&b, 2 + len);
        if (marker == 0xda) /* the scan: a frame must have come before */
            return f->width > 0 && has_end(b) ? PRODUCTD_IMAGE_OK
                                              : PRODUCTD_IMAGE_DAMAGED;
    }
    return PRODUCTD_IMAGE_DAMAGED;
}

static enum productd_image_result webp(struct bytes b,
                                       struct productd_image_facts *f)
{
    const unsigned char *chunk = b.at + 12;
    size_t len;

    f->type = "webp";
    if (b.left < 30)
        return PRODUCTD_IMAGE_DAMAGED;
    len = (size_t)little(b.at + 4) + 8;
    if (len != b.left && len + 1 != b.left)
        return PRODUCTD_IMAGE_DAMAGED;
    if (little(chunk + 4) > b.left - 20)
        return PRODUCTD_IMAGE_DAMAGED;
    if (memcmp(chunk, "VP8X", 4) == 0) {
        f->width = 1 + (little(chunk + 12) & 0xffffff);
        f->height = 1 + (chunk[15] | (int64_t)chunk[16] << 8 |
                         (int64_t)chunk[17] << 16);
        return PRODUCTD_IMAGE_OK;
    }
    if (memcmp(chunk, "VP8L", 4) == 0 && chunk[8] == 0x2f) {
        uint32_t bits = little(chunk + 9);

        f->width = 1 + (bits & 0x3fff);
        f->height = 1 + (bits >> 14 & 0x3fff);
        return PRODUCTD_IMAGE_OK;
    }
    if (memcmp(chunk, "VP8 ", 4) == 0 &&
        memcmp(chunk + 11, "\x9d\x01\x2a", 3) == 0) {
        f->width = (chunk[14] | chunk[15] << 8) & 0x3fff;
        f->height = (chunk[16] | chunk[17] << 8) & 0x3fff;
        return PRODUCTD_IMAGE_OK;
    }
    return PRODUCTD_IMAGE_DAMAGED;
}

enum productd_image_result
productd_image_look(const void *data, size_t len,
                    struct productd_image_facts *facts)
{
    struct bytes b = {data, len};
    enum productd_image_result n;

    memset(facts, 0, sizeof(*facts));
    if (len >= 8 && memcmp(data, "\x89PNG\r\n\x1a\n", 8) == 0)
        n = png(b, facts);
    else if (len >= 3 && memcmp(data, "\xff\xd8\xff", 3) == 0)
        n = jpeg(b, facts);
    else if (len >= 16 && memcmp(data, "RIFF", 4) == 0 &&
             memcmp((const char *)data + 8, "WEBP", 4) == 0)
        n = webp(b, facts);
    else
        return PRODUCTD_IMAGE_TYPE;
    /* a bound that the header breaks is told first: it may be why it is cut */
    if (facts->width > PRODUCTD_IMAGE_SIDE ||
        facts->height > PRODUCTD_IMAGE_SIDE)
        return PRODUCTD_IMAGE_SIZE;
    if (n == PRODUCTD_IMAGE_OK && (facts->width < 1 || facts->height < 1))
        return PRODUCTD_IMAGE_SIZE;
    return n;
}
