/*
 * JSON over yajl's event parser. yajl accepts what a strict reader must not:
 * UTF-8 with overlong forms and surrogates, escapes of half a surrogate pair,
 * duplicate keys; so bytes and escapes are checked before, keys while the tree
 * grows. Sizes are bounded before yajl sees the text (its buffers abort when
 * they cannot grow). The tree lies in an arena that dies with its root.
 */
#include "json.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <yajl/yajl_parse.h>

#include "crypto.h"

#define DEPTH_MAX 64
#define SAFE_INTEGER 9007199254740991 /* 2^53 - 1 */
#define CHUNK_BYTES 4000
#define LINEAR_KEYS 24 /* up to so many keys are compared pair by pair */

struct speedy_json {
    enum speedy_json_type type;
    union {
        bool truth;
        int64_t number;
        const char *text;
    };
    size_t count, room; /* of an array or object */
    struct speedy_json **item;
    const char **key;
};

struct chunk {
    struct chunk *next;
    size_t used, size;
    _Alignas(max_align_t) char bytes[];
};

/* The root is the first member: freeing it frees the arena. */
struct tree {
    struct speedy_json root;
    struct chunk *chunks;
};

struct parser {
    struct tree *tree;
    struct speedy_json *open[DEPTH_MAX];
    int depth, max_depth;
    const char *key; /* of the next value in the open object */
    enum speedy_json_error error;
};

static int text_is_sound(const char *text, size_t len);
static struct speedy_json *new_value(struct parser *p,
                                     enum speedy_json_type type);
static int has_duplicate(const struct speedy_json *v);

static void *arena(struct tree *t, size_t size)
{
    struct chunk *c = t->chunks;
    void *at;

    size = (size + 15) & ~(size_t)15;
    if (c == NULL || c->size - c->used < size) {
        size_t want = size > CHUNK_BYTES ? size : CHUNK_BYTES;

        c = malloc(sizeof(*c) + want);
        if (c == NULL)
            abort();
        c->size = want;
        c->used = 0;
        c->next = t->chunks;
        t->chunks = c;
    }
    at = c->bytes + c->used;
    c->used += size;
    return at;
}

static char *copy(struct tree *t, const unsigned char *text, size_t len)
{
    char *at = arena(t, len + 1);

    memcpy(at, text, len);
    at[len] = '\0';
    return at;
}

static int on_null(void *data)
{
    return new_value(data, SPEEDY_JSON_NULL) != NULL;
}

static int on_bool(void *data, int truth)
{
    struct speedy_json *v = new_value(data, SPEEDY_JSON_BOOL);

    v->truth = truth != 0;
    return 1;
}

static int on_number(void *data, const char *text, size_t len)
{
    struct speedy_json *v = new_value(data, SPEEDY_JSON_OTHER_NUMBER);
    int negative = text[0] == '-';
    int64_t n = 0;

    if (len - (size_t)negative > 16)
        return 1;
    for (size_t i = (size_t)negative; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return 1;
        n = n * 10 + (text[i] - '0');
    }
    if (n > SAFE_INTEGER)
        return 1;
    v->type = SPEEDY_JSON_INT;
    v->number = negative ? -n : n;
    return 1;
}

static int on_text(void *data, const unsigned char *text, size_t len)
{
    struct parser *p = data;
    struct speedy_json *v = new_value(p, SPEEDY_JSON_TEXT);

    if (memchr(text, '\0', len) != NULL)
        v->type = SPEEDY_JSON_OTHER_TEXT;
    else
        v->text = copy(p->tree, text, len);
    return 1;
}

static int open_container(struct parser *p, enum speedy_json_type type)
{
    if (p->depth >= p->max_depth) {
        p->error = SPEEDY_JSON_TOO_DEEP;
        return 0;
    }
    p->open[p->depth] = new_value(p, type);
    p->depth++;
    return 1;
}

static int on_map_start(void *data)
{
    return open_container(data, SPEEDY_JSON_OBJECT);
}

static int on_array_start(void *data)
{
    return open_container(data, SPEEDY_JSON_ARRAY);
}

static int on_key(void *data, const unsigned char *text, size_t len)
{
    struct parser *p = data;

    /* a key with a NUL could not be told from its beginning */
    if (memchr(text, '\0', len) != NULL)
        return 0;
    p->key = copy(p->tree, text, len);
    return 1;
}

static int on_end(void *data)
{
    struct parser *p = data;
    struct speedy_json *v = p->open[--p->depth];

    if (v->type == SPEEDY_JSON_OBJECT && has_duplicate(v)) {
        p->error = SPEEDY_JSON_DUPLICATE;
        return 0;
    }
    return 1;
}

static yajl_callbacks callbacks = {.yajl_null = on_null,
                                   .yajl_boolean = on_bool,
                                   .yajl_number = on_number,
                                   .yajl_string = on_text,
                                   .yajl_start_map = on_map_start,
                                   .yajl_map_key = on_key,
                                   .yajl_end_map = on_end,
                                   .yajl_start_array = on_array_start,
                                   .yajl_end_array = on_end};

struct speedy_json *speedy_json_parse(const char *text, size_t len,
                                      size_t max_bytes, int max_depth,
                                      enum speedy_json_error *error)
{
    struct parser p = {.max_depth =
                           max_depth < DEPTH_MAX ? max_depth : DEPTH_MAX,
                       .error = SPEEDY_JSON_INVALID};
    yajl_handle h;
    int good;

    if (len > max_bytes || !text_is_sound(text, len)) {
        *error = len > max_bytes ? SPEEDY_JSON_TOO_LARGE : SPEEDY_JSON_INVALID;
        return NULL;
    }
    p.tree = calloc(1, sizeof(*p.tree));
    h = yajl_alloc(&callbacks, NULL, &p);
    if (p.tree == NULL || h == NULL)
        abort();
    good = yajl_parse(h, (const unsigned char *)text, len) == yajl_status_ok &&
           yajl_complete_parse(h) == yajl_status_ok;
    yajl_free(h);
    *error = good ? SPEEDY_JSON_OK : p.error;
    if (!good) {
        speedy_json_free(&p.tree->root);
        return NULL;
    }
    return &p.tree->root;
}

void speedy_json_free(struct speedy_json *root)
{
    struct tree *t = (struct tree *)root;

    if (t == NULL)
        return;
    while (t->chunks != NULL) {
        struct chunk *next = t->chunks->next;

        explicit_bzero(t->chunks->bytes, t->chunks->used);
        free(t->chunks);
        t->chunks = next;
    }
    free(t);
}

/* Puts a value where the parser stands: in the open container, or as root. */
static struct speedy_json *new_value(struct parser *p,
                                     enum speedy_json_type type)
{
    struct speedy_json *in = p->depth > 0 ? p->open[p->depth - 1] : NULL;
    struct speedy_json *v;

    if (in == NULL) {
        v = &p->tree->root;
        v->type = type;
        return v;
    }
    v = arena(p->tree, sizeof(*v));
    memset(v, 0, sizeof(*v));
    v->type = type;
    if (in->count == in->room) {
        size_t room = in->room > 0 ? 2 * in->room : 8;
        struct speedy_json **item = arena(p->tree, room * sizeof(*item));
        const char **key = arena(p->tree, room * sizeof(*key));

        if (in->count > 0) {
            memcpy(item, in->item, in->count * sizeof(*item));
            memcpy(key, in->key, in->count * sizeof(*key));
        }
        in->item = item;
        in->key = key;
        in->room = room;
    }
    in->key[in->count] = p->key;
    in->item[in->count++] = v;
    p->key = NULL;
    return v;
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int has_duplicate(const struct speedy_json *v)
{
    const char **sorted;
    int found = 0;

    if (v->count <= LINEAR_KEYS) {
        for (size_t i = 1; i < v->count; i++) {
            for (size_t k = 0; k < i; k++) {
                if (strcmp(v->key[i], v->key[k]) == 0)
                    return 1;
            }
        }
        return 0;
    }
    sorted = malloc(v->count * sizeof(*sorted));
    if (sorted == NULL)
        abort();
    memcpy(sorted, v->key, v->count * sizeof(*sorted));
    qsort(sorted, v->count, sizeof(*sorted), compare_keys);
    for (size_t i = 1; i < v->count && !found; i++)
        found = strcmp(sorted[i - 1], sorted[i]) == 0;
    free(sorted);
    return found;
}

size_t speedy_utf8_length(const void *text, size_t left)
{
    const unsigned char *s = text;
    size_t n = s[0] < 0x80                   ? 1
               : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
               : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
               : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
                                             : 0;

    if (n > left)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    }
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] >= 0x90))
        return 0;
    return n;
}

/* The unit of `\uXXXX` at text, or -1. */
static long escaped_unit(const char *text, size_t left)
{
    long unit = 0;

    if (left < 6 || text[0] != '\\' || text[1] != 'u')
        return -1;
    for (int i = 2; i < 6; i++) {
        int digit = speedy_hex_digit(text[i]);

        if (digit < 0)
            return -1;
        unit = unit * 16 + digit;
    }
    return unit;
}

/* UTF-8 throughout, and no escape of half a surrogate pair. */
static int text_is_sound(const char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        size_t n = speedy_utf8_length(text + i, len - i);
        long unit, low;

        if (n == 0)
            return 0;
        if (text[i] == '\\') {
            unit = escaped_unit(text + i, len - i);
            n = unit < 0 ? 2 : 6;
            if (unit >= 0xdc00 && unit <= 0xdfff)
                return 0;
            if (unit >= 0xd800 && unit <= 0xdbff) {
                low = escaped_unit(text + i + 6, len - i - 6);
                if (low < 0xdc00 || low > 0xdfff)
                    return 0;
                n = 12;
            }
        }
        i += n;
    }
    return 1;
}

enum speedy_json_type speedy_json_type(const struct speedy_json *v)
{
    return v != NULL ? v->type : SPEEDY_JSON_NULL;
}

const struct speedy_json *speedy_json_get(const struct speedy_json *v,
                                          const char *key)
{
    if (v == NULL || v->type != SPEEDY_JSON_OBJECT)
        return NULL;
    for (size_t i = 0; i < v->count; i++) {
        if (strcmp(v->key[i], key) == 0)
            return v->item[i];
    }
    return NULL;
}

size_t speedy_json_count(const struct speedy_json *v)
{
    return v != NULL ? v->count : 0;
}

const struct speedy_json *speedy_json_at(const struct speedy_json *v, size_t i)
{
    return i < speedy_json_count(v) ? v->item[i] : NULL;
}

const char *speedy_json_key(const struct speedy_json *v, size_t i)
{
    if (v == NULL || v->type != SPEEDY_JSON_OBJECT || i >= v->count)
        return NULL;
    return v->key[i];
}

const char *speedy_json_text(const struct speedy_json *v)
{
    return v != NULL && v->type == SPEEDY_JSON_TEXT ? v->text : NULL;
}

int speedy_json_int(const struct speedy_json *v, int64_t min, int64_t max,
                    int64_t *out)
{
    if (v == NULL || v->type != SPEEDY_JSON_INT || v->number < min ||
        v->number > max)
        return -1;
    *out = v->number;
    return 0;
}

bool speedy_json_bool(const struct speedy_json *v, bool fallback)
{
    return v != NULL && v->type == SPEEDY_JSON_BOOL ? v->truth : fallback;
}

void speedy_buf_free(struct speedy_buf *b)
{
    free(b->data);
    *b = (struct speedy_buf){0};
}

/* Room for `more` bytes and the NUL. */
static void reserve(struct speedy_buf *b, size_t more)
{
    size_t size = b->size > 0 ? b->size : 256;

    while (size - b->len <= more)
        size *= 2;
    if (size == b->size)
        return;
    b->data = realloc(b->data, size);
    if (b->data == NULL)
        abort();
    b->size = size;
}

void speedy_buf_add(struct speedy_buf *b, const void *data, size_t len)
{
    reserve(b, len);
    if (len > 0)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
}

void speedy_buf_printf(struct speedy_buf *b, const char *format, ...)
{
    va_list args;
    int n;

    reserve(b, 128);
    va_start(args, format);
    n = vsnprintf(b->data + b->len, b->size - b->len, format, args);
    va_end(args);
    if (n < 0)
        abort();
    if ((size_t)n >= b->size - b->len) {
        reserve(b, (size_t)n);
        va_start(args, format);
        vsnprintf(b->data + b->len, b->size - b->len, format, args);
        va_end(args);
    }
    b->len += (size_t)n;
}

void speedy_buf_json(struct speedy_buf *b, const char *text)
{
    size_t len, n;

    if (text == NULL) {
        speedy_buf_add(b, "null", 4);
        return;
    }
    len = strlen(text);
    speedy_buf_add(b, "\"", 1);
    for (size_t i = 0; i < len; i += n) {
        n = speedy_utf8_length(text + i, len - i);
        if (n == 0) {
            speedy_buf_add(b, "\xef\xbf\xbd", 3); /* U+FFFD */
            n = 1;
        } else if (text[i] == '"' || text[i] == '\\') {
            speedy_buf_add(b, "\\", 1);
            speedy_buf_add(b, text + i, 1);
        } else if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
            speedy_buf_printf(b, "\\u%04x", (unsigned)text[i]);
        } else {
            speedy_buf_add(b, text + i, n);
        }
    }
    speedy_buf_add(b, "\"", 1);
}

void speedy_buf_html(struct speedy_buf *b, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&':
            speedy_buf_add(b, "&amp;", 5);
            break;
        case '<':
            speedy_buf_add(b, "&lt;", 4);
            break;
        case '>':
            speedy_buf_add(b, "&gt;", 4);
            break;
        case '"':
            speedy_buf_add(b, "&quot;", 6);
            break;
        default:
            speedy_buf_add(b, text, 1);
        }
    }
}

void speedy_buf_time(struct speedy_buf *b, int64_t ms, int offset_min)
{
    int64_t local = ms + (int64_t)offset_min * 60000;
    int64_t milli = ((local % 1000) + 1000) % 1000;
    time_t seconds = (time_t)((local - milli) / 1000);
    int hours = abs(offset_min) / 60, minutes = abs(offset_min) % 60;
    struct tm t;

    gmtime_r(&seconds, &t);
    speedy_buf_printf(b, "\"%04d-%02d-%02dT%02d:%02d:%02d.%03d",
                      t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour,
                      t.tm_min, t.tm_sec, (int)milli);
    if (offset_min == 0)
        speedy_buf_add(b, "Z\"", 2);
    else
        speedy_buf_printf(b, "%c%02d:%02d\"", offset_min < 0 ? '-' : '+', hours,
                          minutes);
}

/* `count` digits at *text as a number; -1 when they are none. */
static int digits(const char **text, int count)
{
    int n = 0;

    for (int i = 0; i < count; i++) {
        char c = (*text)[i];

        if (c < '0' || c > '9')
            return -1;
        n = n * 10 + (c - '0');
    }
    *text += count;
    return n;
}

/* `Z`, or an offset of less than a day; minutes, or -1000000. */
static int offset(const char **text)
{
    int sign = **text == '-' ? -1 : 1, hours, minutes;

    if (**text == 'Z') {
        (*text)++;
        return 0;
    }
    if (**text != '+' && **text != '-')
        return -1000000;
    (*text)++;
    hours = digits(text, 2);
    if (hours < 0 || hours > 23 || **text != ':')
        return -1000000;
    (*text)++;
    minutes = digits(text, 2);
    if (minutes < 0 || minutes > 59)
        return -1000000;
    return sign * (hours * 60 + minutes);
}

int speedy_time_parse(const char *text, int64_t *ms)
{
    static const char after[] = "--T::";
    int part[6], milli = 0, scale = 100, east;
    struct tm t = {0}, back;
    time_t seconds;

    for (int i = 0; i < 6; i++) {
        part[i] = digits(&text, i == 0 ? 4 : 2);
        if (part[i] < 0 || (i < 5 && *text++ != after[i]))
            return -1;
    }
    if (*text == '.') {
        text++;
        if (*text < '0' || *text > '9')
            return -1;
        for (; *text >= '0' && *text <= '9' && scale > 0; scale /= 10)
            milli += scale * (*text++ - '0');
    }
    east = offset(&text);
    if (east == -1000000 || *text != '\0')
        return -1;
    t.tm_year = part[0] - 1900;
    t.tm_mon = part[1] - 1;
    t.tm_mday = part[2];
    t.tm_hour = part[3];
    t.tm_min = part[4];
    t.tm_sec = part[5];
    seconds = timegm(&t);
    /* timegm() carries over what no calendar has: it must come back the same */
    gmtime_r(&seconds, &back);
    if (back.tm_year != part[0] - 1900 || back.tm_mon != part[1] - 1 ||
        back.tm_mday != part[2] || back.tm_hour != part[3] ||
        back.tm_min != part[4] || back.tm_sec != part[5])
        return -1;
    *ms = (int64_t)seconds * 1000 + milli - (int64_t)east * 60000;
    return 0;
}
