/*
 * Reading and writing of events. Reading is strict: a record that is not
 * wholly understood becomes a dead letter, it is never half used. Unknown
 * members are allowed (a newer gateway may add some), another `v` is not.
 */
#include "event.h"

#include <stdio.h>
#include <string.h>

#include "../common/crypto.h"

#define EVENT_MAX_BYTES 4096
#define EVENT_MAX_NUMBER 9007199254740991 /* 2^53 - 1 */

int speedy_id_valid(const char *text, size_t len)
{
    if (len == 0 || len > SPEEDY_ID_MAX)
        return 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              (c >= '0' && c <= '9') || c == '_' || c == '-'))
            return 0;
    }
    return 1;
}

static int take_id(const struct speedy_json *o, const char *name, char *out)
{
    const char *text = speedy_json_text(speedy_json_get(o, name));

    if (text == NULL || !speedy_id_valid(text, strlen(text)))
        return -1;
    memcpy(out, text, strlen(text) + 1);
    return 0;
}

static int take_digest(const struct speedy_json *o, const char *name,
                       unsigned char *out)
{
    const char *text = speedy_json_text(speedy_json_get(o, name));

    if (text == NULL)
        return -1;
    return speedy_unhex(text, strlen(text), out, SPEEDY_DIGEST_LEN);
}

/* Printable ASCII without quotes, or absent: what a log line may show. */
static int take_word(const struct speedy_json *o, const char *name, char *out,
                     size_t size)
{
    const struct speedy_json *v = speedy_json_get(o, name);
    const char *text = speedy_json_text(v);

    out[0] = '\0';
    if (v == NULL)
        return 0;
    if (text == NULL || strlen(text) >= size)
        return -1;
    for (const char *c = text; *c != '\0'; c++) {
        if (*c < 0x21 || *c > 0x7e || *c == '"' || *c == '\\')
            return -1;
    }
    memcpy(out, text, strlen(text) + 1);
    return 0;
}

static const char *parse_order(const struct speedy_json *o,
                               struct speedy_event *ev)
{
    const char *id = speedy_json_text(speedy_json_get(o, "order_id"));
    const struct {
        const char *name;
        int64_t min, max, *out;
    } numbers[] = {
        {"quantity", 1, 1000000, &ev->quantity},
        {"unit_price", 1, 1000000000, &ev->unit_price},
        {"epoch", 1, EVENT_MAX_NUMBER, &ev->epoch},
        {"seq", 1, EVENT_MAX_NUMBER, &ev->seq},
        {"reserved_at", 1, EVENT_MAX_NUMBER, &ev->reserved_at},
        {"pay_by", 1, EVENT_MAX_NUMBER, &ev->pay_by},
    };

    if (id == NULL || speedy_uuid_parse(id, strlen(id), ev->order_id) != 0)
        return "order_id is no UUID";
    if (take_id(o, "sale_id", ev->sale) != 0)
        return "sale_id is no id";
    if (take_id(o, "variant", ev->variant) != 0)
        return "variant is no id";
    if (take_id(o, "user_id", ev->user) != 0)
        return "user_id is no id";
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (speedy_json_int(speedy_json_get(o, numbers[i].name), numbers[i].min,
                            numbers[i].max, numbers[i].out) != 0)
            return "a number is missing or out of range";
    }
    if (take_digest(o, "key_digest", ev->key_digest) != 0 ||
        take_digest(o, "body_digest", ev->body_digest) != 0)
        return "a digest is missing or malformed";
    if (take_word(o, "request_id", ev->request_id, sizeof(ev->request_id)) ||
        take_word(o, "traceparent", ev->traceparent, sizeof(ev->traceparent)))
        return "request_id or traceparent is malformed";
    return NULL;
}

enum speedy_event_kind speedy_event_parse(const char *value, size_t len,
                                          struct speedy_event *event,
                                          const char **error)
{
    enum speedy_json_error why;
    struct speedy_json *o =
        speedy_json_parse(value, len, EVENT_MAX_BYTES, 2, &why);
    enum speedy_event_kind kind = SPEEDY_EVENT_BAD;
    int64_t v;

    if (o == NULL) {
        *error = "not JSON";
        return SPEEDY_EVENT_BAD;
    }
    if (speedy_json_int(speedy_json_get(o, "v"), 1, 1, &v) != 0) {
        *error = "unknown version";
    } else if (speedy_json_get(o, "marker") != NULL) {
        kind = SPEEDY_EVENT_MARKER;
    } else {
        memset(event, 0, sizeof(*event));
        *error = parse_order(o, event);
        if (*error == NULL)
            kind = SPEEDY_EVENT_ORDER;
    }
    speedy_json_free(o);
    return kind;
}

void speedy_event_write(struct speedy_buf *out, const struct speedy_event *ev)
{
    char id[37], key[33], body[33];

    speedy_uuid_text(ev->order_id, id);
    speedy_hex(ev->key_digest, SPEEDY_DIGEST_LEN, key);
    speedy_hex(ev->body_digest, SPEEDY_DIGEST_LEN, body);
    speedy_buf_printf(
        out,
        "{\"v\":1,\"order_id\":\"%s\",\"sale_id\":\"%s\",\"variant\":\"%s\","
        "\"user_id\":\"%s\",\"quantity\":%lld,\"unit_price\":%lld,"
        "\"currency\":\"" SPEEDY_CURRENCY "\",\"epoch\":%lld,\"seq\":%lld,"
        "\"key_digest\":\"%s\",\"body_digest\":\"%s\",\"reserved_at\":%lld,"
        "\"pay_by\":%lld,\"request_id\":\"%s\",\"traceparent\":\"%s\"}",
        id, ev->sale, ev->variant, ev->user, (long long)ev->quantity,
        (long long)ev->unit_price, (long long)ev->epoch, (long long)ev->seq,
        key, body, (long long)ev->reserved_at, (long long)ev->pay_by,
        ev->request_id, ev->traceparent);
}

void speedy_marker_write(struct speedy_buf *out, const char *text)
{
    speedy_buf_printf(out, "{\"v\":1,\"marker\":");
    speedy_buf_json(out, text);
    speedy_buf_printf(out, "}");
}

/* SHA-256 over label NUL first NUL second, cut to the digest's length. */
static void digest(const char *label, const char *first, const void *second,
                   size_t second_len, unsigned char *out)
{
    unsigned char text[512], sum[32];
    size_t n = strlen(label) + 1, m = strlen(first) + 1;

    if (n + m + second_len > sizeof(text))
        second_len = sizeof(text) - n - m;
    memcpy(text, label, n);
    memcpy(text + n, first, m);
    memcpy(text + n + m, second, second_len);
    speedy_sha256(text, n + m + second_len, sum);
    memcpy(out, sum, SPEEDY_DIGEST_LEN);
}

void speedy_key_digest(const char *user, const char *key, size_t key_len,
                       unsigned char out[SPEEDY_DIGEST_LEN])
{
    digest(SPEEDY_KEY_DIGEST, user, key, key_len, out);
}

void speedy_body_digest(const char *variant, int64_t quantity,
                        unsigned char out[SPEEDY_DIGEST_LEN])
{
    char number[24];
    int n = snprintf(number, sizeof(number), "%lld", (long long)quantity);

    digest(SPEEDY_BODY_DIGEST, variant, number, (size_t)n, out);
}
