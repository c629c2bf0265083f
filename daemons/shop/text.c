/*
 * Folding and escaping by tables of our own: what a search finds must not
 * depend on the collations of the database or on a locale.
 */
#include "text.h"

#include <stdint.h>
#include <string.h>

/* Hangul, Unicode 3.12: syllables from leading, vowel and trailing jamo. */
#define L_BASE 0x1100
#define V_BASE 0x1161
#define T_BASE 0x11a7
#define S_BASE 0xac00
#define L_COUNT 19
#define V_COUNT 21
#define T_COUNT 28
#define S_COUNT (L_COUNT * V_COUNT * T_COUNT)

static uint32_t decode(const unsigned char *at, size_t n)
{
    static const unsigned char mask[5] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t c = at[0] & mask[n];

    for (size_t i = 1; i < n; i++)
        c = c << 6 | (at[i] & 0x3f);
    return c;
}

static size_t encode(uint32_t c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

long speedy_text_length(const char *text)
{
    size_t left = strlen(text);
    long count = 0;

    while (left > 0) {
        size_t n = speedy_utf8_length(text, left);

        if (n == 0)
            return -1;
        text += n;
        left -= n;
        count++;
    }
    return count;
}

bool speedy_text_valid(const char *text, long min, long max, bool lines)
{
    long length = speedy_text_length(text);

    if (length < min || length > max)
        return false;
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if ((*c < 0x20 && !(lines && *c == '\n')) || *c == 0x7f)
            return false;
        /* U+0080 … U+009F */
        if (*c == 0xc2 && c[1] < 0xa0)
            return false;
    }
    return true;
}

/* One character in its compared form; 0: left out, ' ': a blank. */
static uint32_t folded(uint32_t c)
{
    if (c <= 0x20 || c == 0x7f || c == 0xa0 || c == 0x3000 ||
        (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029)
        return ' ';
    if (c == 0xad || c == 0xfeff || (c >= 0x200b && c <= 0x200f) ||
        (c >= 0xfe00 && c <= 0xfe0f))
        return 0; /* unseen: soft hyphen, joiners, variation selectors */
    if (c >= 0xff01 && c <= 0xff5e)
        c -= 0xfee0; /* full width */
    if (c >= 'A' && c <= 'Z')
        return c + 32;
    if ((c >= 0xc0 && c <= 0xde && c != 0xd7) || (c >= 0x391 && c <= 0x3a9) ||
        (c >= 0x410 && c <= 0x42f))
        return c + 32;
    if (c >= 0x400 && c <= 0x40f)
        return c + 80;
    return c;
}

/* The two as one, or 0 when they do not compose. */
static uint32_t composed(uint32_t a, uint32_t b)
{
    if (a >= L_BASE && a < L_BASE + L_COUNT && b >= V_BASE &&
        b < V_BASE + V_COUNT)
        return S_BASE + ((a - L_BASE) * V_COUNT + (b - V_BASE)) * T_COUNT;
    if (a >= S_BASE && a < S_BASE + S_COUNT && (a - S_BASE) % T_COUNT == 0 &&
        b > T_BASE && b < T_BASE + T_COUNT)
        return a + (b - T_BASE);
    return 0;
}

struct fold {
    struct speedy_buf *out;
    size_t end; /* of out->len */
    uint32_t last;
    bool full;
};

static void put(struct fold *f)
{
    char bytes[4];
    size_t n;

    if (f->last == 0 || f->full)
        return;
    n = encode(f->last, bytes);
    if (f->out->len + n > f->end)
        f->full = true;
    else
        speedy_buf_add(f->out, bytes, n);
    f->last = 0;
}

void speedy_text_fold(struct speedy_buf *out, const char *text, size_t max)
{
    struct fold f = {out, out->len + max, 0, false};
    size_t left = strlen(text), begin = out->len;

    while (left > 0 && !f.full) {
        size_t n = speedy_utf8_length(text, left);
        uint32_t c = n == 0 ? 0 : folded(decode((const void *)text, n));
        uint32_t both = composed(f.last, c);

        text += n ? n : 1;
        left -= n ? n : 1;
        if (c == 0 ||
            (c == ' ' && (f.last == ' ' || (f.last == 0 && out->len == begin))))
            continue;
        if (both != 0) {
            f.last = both;
            continue;
        }
        put(&f);
        f.last = c;
    }
    if (f.last == ' ')
        f.last = 0;
    put(&f);
    if (out->data == NULL)
        speedy_buf_add(out, "", 0);
}

void speedy_text_like(struct speedy_buf *out, const char *word, size_t len)
{
    speedy_buf_add(out, "%", 1);
    for (size_t i = 0; i < len; i++) {
        if (word[i] == '%' || word[i] == '_' || word[i] == '|')
            speedy_buf_add(out, "|", 1);
        speedy_buf_add(out, &word[i], 1);
    }
    speedy_buf_add(out, "%", 1);
}
