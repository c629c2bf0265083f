/*
 * JSON in and out, over yajl. Reading is strict: UTF-8 checked, no comments,
 * nothing after the value, depth and size bounded, a duplicate key is an
 * error. Numbers are integers of at most 2^53 - 1 unless asked otherwise.
 */
#ifndef SPEEDY_JSON_H
#define SPEEDY_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct speedy_json; /* a parsed value; owned by the root */

enum speedy_json_type {
    SPEEDY_JSON_NULL,
    SPEEDY_JSON_BOOL,
    SPEEDY_JSON_INT,
    SPEEDY_JSON_OTHER_NUMBER, /* fraction, exponent, or too large */
    SPEEDY_JSON_TEXT,
    SPEEDY_JSON_ARRAY,
    SPEEDY_JSON_OBJECT,
    SPEEDY_JSON_OTHER_TEXT /* a string with a NUL within */
};

enum speedy_json_error {
    SPEEDY_JSON_OK,
    SPEEDY_JSON_INVALID,   /* not JSON, or not UTF-8 */
    SPEEDY_JSON_DUPLICATE, /* a key stands twice in an object */
    SPEEDY_JSON_TOO_DEEP,
    SPEEDY_JSON_TOO_LARGE
};

/*
 * Parses text (not NUL-ended) of at most max_bytes and max_depth. NULL and
 * *error on failure; the caller frees the root.
 */
struct speedy_json *speedy_json_parse(const char *text, size_t len,
                                      size_t max_bytes, int max_depth,
                                      enum speedy_json_error *error);
/* Wipes it as well: it may have been a password. */
void speedy_json_free(struct speedy_json *root);

enum speedy_json_type speedy_json_type(const struct speedy_json *v);
/* Member of an object; NULL when absent or not an object. */
const struct speedy_json *speedy_json_get(const struct speedy_json *v,
                                          const char *key);
size_t speedy_json_count(const struct speedy_json *v);
const struct speedy_json *speedy_json_at(const struct speedy_json *v, size_t i);
/* Key of the i-th member of an object. */
const char *speedy_json_key(const struct speedy_json *v, size_t i);
/* NUL-ended text, or NULL when v is no text (OTHER_TEXT is none either). */
const char *speedy_json_text(const struct speedy_json *v);
/* 0, or -1 when v is no integer of this range. */
int speedy_json_int(const struct speedy_json *v, int64_t min, int64_t max,
                    int64_t *out);
bool speedy_json_bool(const struct speedy_json *v, bool fallback);

/* Length of the UTF-8 sequence at text (RFC 3629), 0 when it is none. */
size_t speedy_utf8_length(const void *text, size_t left);

/* A growing text, for output; len bytes at data, NUL-ended. */
struct speedy_buf {
    char *data;
    size_t len, size;
};
void speedy_buf_free(struct speedy_buf *b);
void speedy_buf_add(struct speedy_buf *b, const void *data, size_t len);
void speedy_buf_printf(struct speedy_buf *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Appends text as a JSON string with its quotes; NULL gives null. */
void speedy_buf_json(struct speedy_buf *b, const char *text);
/* Appends people's text for HTML, between tags or in a quoted attribute. */
void speedy_buf_html(struct speedy_buf *b, const char *text);
/* Unix milliseconds as RFC 3339 in the given offset (minutes), quoted. */
void speedy_buf_time(struct speedy_buf *b, int64_t ms, int offset_min);

/*
 * RFC 3339 with offset (`2026-11-23T14:00:00+09:00`, `Z`, up to three
 * fraction digits) to Unix milliseconds. 0 or -1.
 */
int speedy_time_parse(const char *text, int64_t *ms);

#endif
