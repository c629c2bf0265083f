/*
 * Log lines. A line is put together in a buffer on the stack and leaves by one
 * write(2). The blanks between the pairs of `fields` are told apart from blanks
 * within values by printing with another separator (ASCII's unit separator),
 * which values lose; so both forms quote and escape each value on its own, and
 * nothing that is logged can start a second line or close a JSON string.
 */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "json.h"

#define LINE_MAX_BYTES 4096
#define FIELDS_MAX_BYTES 2048
#define FORMAT_MAX_BYTES 512
#define SEPARATOR '\x1f'

struct line {
    size_t len;
    char text[LINE_MAX_BYTES];
};

static const char *const level_names[] = {"debug", "info", "warn", "error",
                                          "alarm"};

static const char *log_role = "-";
static int log_instance;
static atomic_int log_level = SPEEDY_INFO;
static atomic_int log_as_json;
static atomic_ulong log_alarms;

static void put(struct line *l, const char *text, size_t len);
static void put_header(struct line *l, enum speedy_log_level level);
static void put_message(struct line *l, const char *message);
static void put_pair(struct line *l, const char *pair, size_t len, bool number);
static uint64_t split_format(const char *fields, char *out, size_t size);

void speedy_log_init(const char *role, int instance)
{
    log_role = role;
    log_instance = instance;
}

int speedy_log_level_set(const char *name)
{
    for (int i = SPEEDY_DEBUG; i <= SPEEDY_ALARM; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            atomic_store(&log_level, i);
            return 0;
        }
    }
    return -1;
}

void speedy_log_json(int on)
{
    atomic_store(&log_as_json, on);
}

unsigned long speedy_log_alarms(void)
{
    return atomic_load(&log_alarms);
}

void speedy_log(enum speedy_log_level level, const char *message,
                const char *fields, ...)
{
    char format[FORMAT_MAX_BYTES], values[FIELDS_MAX_BYTES];
    struct line l = {.len = 0};
    uint64_t numbers;
    va_list args;
    int saved = errno;
    unsigned n = 0;

    if (level == SPEEDY_ALARM)
        atomic_fetch_add(&log_alarms, 1);
    if ((int)level < atomic_load(&log_level))
        return;
    numbers = split_format(fields, format, sizeof(format));
    va_start(args, fields);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    if (vsnprintf(values, sizeof(values), format, args) < 0)
        values[0] = '\0';
#pragma GCC diagnostic pop
    va_end(args);

    put_header(&l, level);
    put_message(&l, message);
    for (char *at = values; *at != '\0'; n++) {
        size_t len = strcspn(at, "\x1f");

        if (len > 0)
            put_pair(&l, at, len, n < 64 && (numbers >> n & 1));
        at += len + (at[len] != '\0');
    }
    if (atomic_load(&log_as_json))
        put(&l, "}", 1);
    l.text[l.len++] = '\n';
    while (write(STDERR_FILENO, l.text, l.len) < 0 && errno == EINTR)
        ;
    errno = saved;
}

/*
 * Copies the format with SEPARATOR in place of the blanks between pairs
 * (blanks within "…" stay). Returns a bit for each pair whose value is one
 * integer conversion: such a value is a number in JSON.
 */
static uint64_t split_format(const char *fields, char *out, size_t size)
{
    uint64_t numbers = 0;
    unsigned pair = 0;
    bool quoted = false;
    size_t n = 0;
    const char *value = NULL;

    for (const char *c = fields;; c++) {
        bool ends = *c == '\0' || n + 1 == size || (*c == ' ' && !quoted);

        if (ends && value != NULL && value[0] == '%' && pair < 64) {
            size_t flags = strspn(value + 1, "lhjzt");

            if (strchr("diu", value[1 + flags]) != NULL &&
                value + 2 + flags == c)
                numbers |= UINT64_C(1) << pair;
        }
        if (*c == '\0' || n + 1 == size)
            break;
        if (*c == '"')
            quoted = !quoted;
        if (*c == '=' && value == NULL)
            value = c + 1;
        if (ends) {
            pair++;
            value = NULL;
        }
        out[n++] = ends ? SEPARATOR : *c;
    }
    out[n] = '\0';
    return numbers;
}

static void put(struct line *l, const char *text, size_t len)
{
    /* room is kept for the end of a JSON string, its brace and newline */
    size_t room = sizeof(l->text) - 8 - l->len;

    if (l->len + 8 > sizeof(l->text))
        room = 0;
    if (len > room)
        len = room;
    memcpy(l->text + l->len, text, len);
    l->len += len;
}

static void put_header(struct line *l, enum speedy_log_level level)
{
    struct timespec now;
    struct tm utc;
    char text[256];
    int n;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    n = snprintf(text, sizeof(text),
                 atomic_load(&log_as_json)
                     ? "{\"time\":\"%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ\","
                       "\"level\":\"%s\",\"role\":\"%s"
                     : "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ %s %s",
                 utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour,
                 utc.tm_min, utc.tm_sec, now.tv_nsec / 1000000,
                 level_names[level], log_role);
    put(l, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
    if (log_instance > 0) {
        n = snprintf(text, sizeof(text), "_%d", log_instance);
        put(l, text, (size_t)n);
    }
    if (atomic_load(&log_as_json))
        put(l, "\",\"message\":", 12);
    else
        put(l, " ", 1);
}

static void put_escaped(struct line *l, const char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        size_t n = speedy_utf8_length(text + i, len - i);
        char escape[8];

        if (n == 0) {
            put(l, "?", 1);
            n = 1;
        } else if (text[i] == '"' || text[i] == '\\') {
            escape[0] = '\\';
            escape[1] = text[i];
            put(l, escape, 2);
        } else if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
            snprintf(escape, sizeof(escape), "\\u%04x",
                     (unsigned)(unsigned char)text[i]);
            put(l, escape, 6);
        } else {
            put(l, text + i, n);
        }
        i += n;
        /* an escape is never cut in two */
        if (l->len + 16 > sizeof(l->text))
            break;
    }
}

static bool plain(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] <= ' ' || (unsigned char)text[i] >= 0x7f ||
            strchr("\"\\=", text[i]) != NULL)
            return false;
    }
    return len > 0;
}

static void put_message(struct line *l, const char *message)
{
    const char *quote = atomic_load(&log_as_json) ? "\"" : "";

    put(l, quote, strlen(quote));
    put_escaped(l, message, strlen(message));
    put(l, quote, strlen(quote));
}

/* One `key=value`; a value that the caller quoted loses those quotes first. */
static void put_pair(struct line *l, const char *pair, size_t len, bool number)
{
    const char *equals = memchr(pair, '=', len);
    bool json = atomic_load(&log_as_json);
    const char *value = equals != NULL ? equals + 1 : pair;
    size_t value_len = len - (size_t)(value - pair);

    if (l->len + 64 > sizeof(l->text))
        return;
    if (value_len >= 2 && value[0] == '"' && value[value_len - 1] == '"') {
        value++;
        value_len -= 2;
    }
    put(l, json ? ",\"" : " ", json ? 2 : 1);
    if (equals != NULL)
        put_escaped(l, pair, (size_t)(equals - pair));
    else
        put(l, "more", 4);
    put(l, json ? "\":" : "=", json ? 2 : 1);
    if (json ? number : plain(value, value_len)) {
        put(l, value, value_len);
        return;
    }
    put(l, "\"", 1);
    put_escaped(l, value, value_len);
    put(l, "\"", 1);
}
