/*
 * Values of options: numbers, durations, times, ids; and the same back as
 * text. Everything is checked whole: `10x` is no 10.
 */
#include "ctl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../shop/event.h"

#define SEOUL_MINUTES 540

int ctl_number(const char *text, int64_t min, int64_t max, int64_t *out)
{
    char *end;
    long long n;

    if (*text == '\0' || strspn(text, "+-0123456789") != strlen(text))
        return -1;
    errno = 0;
    n = strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0' || n < min || n > max)
        return -1;
    *out = n;
    return 0;
}

int ctl_duration(const char *text, int64_t *ms)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {
        {"ms", 1},      {"s", 1000},     {"m", 60000},
        {"h", 3600000}, {"d", 86400000}, {"", 0},
    };
    char digits[20];
    size_t n = strspn(text, "0123456789");
    int64_t number;

    if (n == 0 || n > 12)
        return -1;
    memcpy(digits, text, n);
    digits[n] = '\0';
    if (ctl_number(digits, 0, 999999999999, &number) != 0)
        return -1;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(text + n, units[i].unit) != 0)
            continue;
        if (units[i].ms == 0 && number != 0)
            return -1; /* a bare number but 0 has no unit */
        if (units[i].ms != 0 && number > INT64_MAX / 2000 / units[i].ms)
            return -1;
        *ms = number * units[i].ms;
        return 0;
    }
    return -1;
}

int ctl_time(const char *text, int64_t *ms)
{
    if (strcmp(text, "now") == 0) {
        *ms = -1;
        return 0;
    }
    return speedy_time_parse(text, ms);
}

bool ctl_id(const char *text)
{
    return speedy_id_valid(text, strlen(text));
}

int ctl_option_number(const struct ctl *c, const char *name, int64_t fallback,
                      int64_t min, int64_t max, int64_t *out)
{
    const char *text = ctl_option(c, name);

    *out = fallback;
    if (text != NULL && ctl_number(text, min, max, out) != 0)
        return ctl_usage(c, "--%s %s: give a whole number from %lld to %lld",
                         name, text, (long long)min, (long long)max);
    return 0;
}

int ctl_option_duration(const struct ctl *c, const char *name, int64_t fallback,
                        int64_t *ms)
{
    const char *text = ctl_option(c, name);

    *ms = fallback;
    if (text != NULL && ctl_duration(text, ms) != 0)
        return ctl_usage(c,
                         "--%s %s: give a number with its unit (500ms, 10s, "
                         "15m, 2h, 1d)",
                         name, text);
    return 0;
}

int ctl_option_word(const struct ctl *c, const char *name, const char *words,
                    const char **out)
{
    static char first[4][32];
    static unsigned turn;
    const char *text = ctl_option(c, name);
    size_t n = strcspn(words, " ");

    if (text == NULL) {
        char *word = first[turn++ % 4];

        snprintf(word, sizeof(first[0]), "%.*s", (int)n, words);
        *out = word;
        return 0;
    }
    for (const char *w = words; *w != '\0'; w += n, w += strspn(w, " ")) {
        n = strcspn(w, " ");
        if (strlen(text) == n && memcmp(w, text, n) == 0) {
            *out = text;
            return 0;
        }
    }
    return ctl_usage(c, "--%s %s: give one of: %s", name, text, words);
}

const char *ctl_time_text(int64_t ms)
{
    static char text[8][40];
    static unsigned turn;
    char *out = text[turn++ % 8];
    struct speedy_buf b = {0};

    if (ms == 0)
        return "-";
    speedy_buf_time(&b, ms, SEOUL_MINUTES);
    /* without its quotes */
    snprintf(out, sizeof(text[0]), "%.*s", (int)(b.len > 2 ? b.len - 2 : 0),
             b.data + 1);
    speedy_buf_free(&b);
    return out;
}

const char *ctl_duration_text(int64_t ms)
{
    static char text[4][32];
    static unsigned turn;
    char *out = text[turn++ % 4];

    if (ms % 3600000 == 0 && ms > 0)
        snprintf(out, sizeof(text[0]), "%lldh", (long long)(ms / 3600000));
    else if (ms % 60000 == 0 && ms > 0)
        snprintf(out, sizeof(text[0]), "%lldm", (long long)(ms / 60000));
    else if (ms % 1000 == 0)
        snprintf(out, sizeof(text[0]), "%llds", (long long)(ms / 1000));
    else
        snprintf(out, sizeof(text[0]), "%lldms", (long long)ms);
    return out;
}

void ctl_json_time(struct speedy_buf *b, int64_t ms)
{
    if (ms == 0)
        speedy_buf_printf(b, "null");
    else
        speedy_buf_time(b, ms, SEOUL_MINUTES);
}
