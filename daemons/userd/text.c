/*
 * Texts that people write. Which characters are letters is asked of the
 * locale C.UTF-8, which glibc brings along.
 */
#include "text.h"

#include <locale.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <wctype.h>

#include "../common/json.h"
#include "../common/log.h"

#define ACUTE_FIRST 0x300 /* combining marks of decomposed letters */
#define ACUTE_LAST 0x36f
#define MIDDLE_DOT 0xb7
#define KATAKANA_DOT 0x30fb
#define APOSTROPHE 0x2019
#define IDEOGRAPHIC_SPACE 0x3000
#define NO_BREAK_SPACE 0xa0
#define FULL_WIDTH_ZERO 0xff10

static pthread_once_t once = PTHREAD_ONCE_INIT;
static locale_t unicode;

static void locale_load(void)
{
    unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (unicode == (locale_t)0)
        speedy_log(SPEEDY_ALARM, "no locale C.UTF-8",
                   "remedy=\"install glibc's locale C.UTF-8 (libc-bin)\"");
}

int userd_text_init(void)
{
    pthread_once(&once, locale_load);
    return unicode == (locale_t)0 ? -1 : 0;
}

uint32_t userd_char_take(const char **text)
{
    const unsigned char *s = (const unsigned char *)*text;
    size_t n = speedy_utf8_length(s, strlen(*text));
    uint32_t c = n <= 1 ? s[0] : s[0] & (0xffu >> (n + 1));

    for (size_t i = 1; i < n; i++)
        c = c << 6 | (s[i] & 0x3f);
    *text += n > 0 ? n : 1;
    return c;
}

size_t userd_char_count(const char *text)
{
    size_t n = 0;

    while (*text != '\0') {
        userd_char_take(&text);
        n++;
    }
    return n;
}

int userd_digit_take(const char **text)
{
    const char *next = *text;
    uint32_t c = *next == '\0' ? 0 : userd_char_take(&next);
    int digit = -1;

    if (c >= '0' && c <= '9')
        digit = (int)(c - '0');
    else if (c >= FULL_WIDTH_ZERO && c <= FULL_WIDTH_ZERO + 9)
        digit = (int)(c - FULL_WIDTH_ZERO);
    if (digit >= 0)
        *text = next;
    return digit;
}

static bool is_blank(uint32_t c)
{
    return c == ' ' || c == '\t' || c == NO_BREAK_SPACE ||
           c == IDEOGRAPHIC_SPACE;
}

static bool is_letter(uint32_t c)
{
    return iswalpha_l((wint_t)c, unicode) && !iswdigit_l((wint_t)c, unicode);
}

static bool may_join(uint32_t c)
{
    return c == '-' || c == '\'' || c == APOSTROPHE || c == MIDDLE_DOT ||
           c == KATAKANA_DOT || (c >= ACUTE_FIRST && c <= ACUTE_LAST);
}

static bool in_name(uint32_t c, bool first)
{
    return is_letter(c) || (!first && may_join(c));
}

/* Controls, marks of direction, and other things without a shape. */
static bool in_line(uint32_t c, bool first)
{
    (void)first;
    return iswprint_l((wint_t)c, unicode) && c != 0x200e && c != 0x200f &&
           c != 0x61c && !(c >= 0x2028 && c <= 0x202e) &&
           !(c >= 0x2066 && c <= 0x2069) && c != 0xfeff;
}

/*
 * Copies text with its blanks made single spaces, min to max characters of
 * which each is allowed. out holds 4 * max + 1.
 */
static int text_take(const char *text, size_t min, size_t max,
                     bool (*allowed)(uint32_t c, bool first), char *out)
{
    size_t count = 0, len = 0;
    bool space = false;

    if (userd_text_init() != 0)
        return -1;
    while (*text != '\0') {
        const char *from = text;
        uint32_t c = userd_char_take(&text);

        if (is_blank(c)) {
            space = count > 0;
            continue;
        }
        count += space ? 2 : 1;
        if (count > max || !allowed(c, count == 1))
            return -1;
        if (space)
            out[len++] = ' ';
        memcpy(out + len, from, (size_t)(text - from));
        len += (size_t)(text - from);
        space = false;
    }
    out[len] = '\0';
    return count >= min ? 0 : -1;
}

int userd_name_normalise(const char *text, char out[USERD_NAME_SIZE])
{
    return text_take(text, 1, USERD_NAME_CHARS, in_name, out);
}

int userd_line_normalise(const char *text, size_t min,
                         char out[USERD_LINE_SIZE])
{
    return text_take(text, min, USERD_LINE_CHARS, in_line, out);
}

/* Exactly n digits; `skip` may stand between them. */
static int digits_take(const char *text, size_t n, const char *skip, char *out)
{
    size_t count = 0;

    while (*text != '\0') {
        const char *next = text;
        int digit = userd_digit_take(&text);
        uint32_t c;

        if (digit >= 0) {
            if (count == n)
                return -1;
            out[count++] = (char)('0' + digit);
            continue;
        }
        c = userd_char_take(&next);
        if (!is_blank(c) && (c > 0x7f || strchr(skip, (int)c) == NULL))
            return -1;
        text = next;
    }
    out[count] = '\0';
    return count == n ? 0 : -1;
}

int userd_postcode_normalise(const char *text, char out[USERD_POSTCODE_SIZE])
{
    return digits_take(text, USERD_POSTCODE_SIZE - 1, "", out);
}

int userd_code_normalise(const char *text, char out[USERD_CODE_SIZE])
{
    return digits_take(text, USERD_CODE_SIZE - 1, "-", out);
}
