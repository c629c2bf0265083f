/*
 * Phone numbers.
 */
#include "phone.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "text.h"

#define DIGITS_MAX 15
#define DIGITS_MIN 8

/* What may follow the trunk 0, and how many digits it has all in all. */
static const struct {
    const char *prefix;
    size_t min, max;
} korean[] = {
    {"10", 10, 10}, {"11", 9, 10}, {"16", 9, 10}, {"17", 9, 10},
    {"18", 9, 10},  {"19", 9, 10}, {"2", 8, 9},   {"31", 9, 10},
    {"32", 9, 10},  {"33", 9, 10}, {"41", 9, 10}, {"42", 9, 10},
    {"43", 9, 10},  {"44", 9, 10}, {"51", 9, 10}, {"52", 9, 10},
    {"53", 9, 10},  {"54", 9, 10}, {"55", 9, 10}, {"61", 9, 10},
    {"62", 9, 10},  {"63", 9, 10}, {"64", 9, 10}, {"50", 10, 11},
    {"70", 10, 10}, {"80", 9, 10},
};

static bool is_korean(const char *national)
{
    size_t len = strlen(national);

    for (size_t i = 0; i < sizeof(korean) / sizeof(korean[0]); i++) {
        if (strncmp(national, korean[i].prefix, strlen(korean[i].prefix)) == 0)
            return len >= korean[i].min && len <= korean[i].max;
    }
    return false;
}

/* The digits alone; -1 when there is anything else or too much. */
static int digits_take(const char *text, char out[DIGITS_MAX + 2])
{
    size_t n = 0;

    while (*text != '\0') {
        int digit = userd_digit_take(&text);

        if (digit >= 0) {
            if (n > DIGITS_MAX)
                return -1;
            out[n++] = (char)('0' + digit);
        } else if (strchr(" -.()", *text) != NULL) {
            text++;
        } else {
            return -1;
        }
    }
    out[n] = '\0';
    return n > 0 ? 0 : -1;
}

static int korean_take(const char *national, char out[USERD_PHONE_SIZE])
{
    if (!is_korean(national))
        return -1;
    memcpy(out, "+82", 3);
    memcpy(out + 3, national, strlen(national) + 1);
    return 0;
}

int userd_phone_normalise(const char *text, char out[USERD_PHONE_SIZE])
{
    char digits[DIGITS_MAX + 2];
    size_t len;
    bool plus;

    text += strspn(text, " ");
    plus = *text == '+';
    if (digits_take(text + plus, digits) != 0)
        return -1;
    len = strlen(digits);
    if (!plus)
        return digits[0] == '0' ? korean_take(digits + 1, out) : -1;
    if (strncmp(digits, "82", 2) == 0)
        return korean_take(digits + 2 + (digits[2] == '0'), out);
    if (digits[0] == '0' || len < DIGITS_MIN || len > DIGITS_MAX)
        return -1;
    out[0] = '+';
    memcpy(out + 1, digits, len + 1);
    return 0;
}
