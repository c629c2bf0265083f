/*
 * The order event on `speedy.orders`, and the marker of a rebuild's barrier.
 */
#ifndef SPEEDY_EVENT_H
#define SPEEDY_EVENT_H

#include <stddef.h>
#include <stdint.h>

#include "../common/json.h"
#include "names.h"

struct speedy_event {
    unsigned char order_id[16];
    char sale[SPEEDY_ID_MAX + 1], variant[SPEEDY_ID_MAX + 1];
    char user[SPEEDY_ID_MAX + 1];
    int64_t quantity, unit_price, epoch, seq;
    int64_t reserved_at, pay_by; /* Unix milliseconds */
    unsigned char key_digest[SPEEDY_DIGEST_LEN];
    unsigned char body_digest[SPEEDY_DIGEST_LEN];
    char request_id[65], traceparent[65];
};

enum speedy_event_kind {
    SPEEDY_EVENT_ORDER,
    SPEEDY_EVENT_MARKER, /* nothing but the offset counts */
    SPEEDY_EVENT_BAD     /* dead letter */
};

/* Parses one record's value. BAD: *error is fixed text that says why. */
enum speedy_event_kind speedy_event_parse(const char *value, size_t len,
                                          struct speedy_event *event,
                                          const char **error);
void speedy_event_write(struct speedy_buf *out,
                        const struct speedy_event *event);
void speedy_marker_write(struct speedy_buf *out, const char *text);

/* 1 when text is an id of 1..40 of [A-Za-z0-9_-]. */
int speedy_id_valid(const char *text, size_t len);

void speedy_key_digest(const char *user, const char *key, size_t key_len,
                       unsigned char out[SPEEDY_DIGEST_LEN]);
void speedy_body_digest(const char *variant, int64_t quantity,
                        unsigned char out[SPEEDY_DIGEST_LEN]);

#endif
