/*
 * What a handler asks of its request, and the problems it answers with.
 * Texts that had to be decoded, and the parsed body, belong to the request
 * and go with it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "crypto.h"
#include "http_private.h"
#include "loop.h"

#define BODY_DEPTH 8
#define BUDGET_DEFAULT 10000
#define BUDGET_MOST 60000

void speedy_exchange_free(struct speedy_exchange *x)
{
    if (x->body.data != NULL)
        explicit_bzero(x->body.data, x->body.len);
    speedy_buf_free(&x->body);
    speedy_json_free(x->json);
    while (x->decoded != NULL) {
        struct speedy_decoded *next = x->decoded->next;

        free(x->decoded);
        x->decoded = next;
    }
}

/* Room for a text of at most len bytes that goes with the request. */
static char *keep(struct speedy_request *r, size_t len)
{
    struct speedy_exchange *x = r->inner;
    struct speedy_decoded *d = malloc(sizeof(*d) + len + 1);

    if (d == NULL)
        abort();
    d->next = x->decoded;
    x->decoded = d;
    return d->text;
}

const char *speedy_request_header(struct speedy_request *r, const char *name)
{
    struct speedy_exchange *x = r->inner;

    return MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
}

/*
 * Query values come with their escapes (MHD has made `+` a blank). A value
 * with a bad escape is given as it is: no check of ours lets a `%` pass.
 */
const char *speedy_request_query(struct speedy_request *r, const char *name)
{
    struct speedy_exchange *x = r->inner;
    const char *raw =
        MHD_lookup_connection_value(x->connection, MHD_GET_ARGUMENT_KIND, name);
    size_t n = 0;
    char *text;

    if (raw == NULL || strchr(raw, '%') == NULL)
        return raw;
    text = keep(r, strlen(raw));
    for (const char *c = raw; *c != '\0'; c++) {
        int byte = (unsigned char)*c;

        if (byte == '%') {
            int high = speedy_hex_digit(c[1]);
            int low = high < 0 ? -1 : speedy_hex_digit(c[2]);

            if (low < 0 || high * 16 + low == 0)
                return raw;
            byte = high * 16 + low;
            c += 2;
        }
        text[n++] = (char)byte;
    }
    text[n] = '\0';
    return text;
}

struct unknown {
    const char *const *names;
    const char *found;
};

static int is_among(const char *name, const char *const *names)
{
    for (size_t i = 0; names[i] != NULL; i++) {
        if (strcmp(names[i], name) == 0)
            return 1;
    }
    return 0;
}

static enum MHD_Result unknown_check(void *data, enum MHD_ValueKind kind,
                                     const char *key, const char *value)
{
    struct unknown *u = data;

    (void)kind;
    (void)value;
    if (is_among(key, u->names))
        return MHD_YES;
    u->found = key;
    return MHD_NO;
}

const char *speedy_request_unknown_query(struct speedy_request *r,
                                         const char *const *names)
{
    struct speedy_exchange *x = r->inner;
    struct unknown u = {names, NULL};

    MHD_get_connection_values(x->connection, MHD_GET_ARGUMENT_KIND,
                              unknown_check, &u);
    return u.found;
}

/* MHD answers a cookie that ends in =" by a page of its own (431), before any
 * handler: nginx hands the header on under another name. */
const char *speedy_request_cookies(struct speedy_request *r)
{
    const char *given = speedy_request_header(r, "X-Speedy-Cookie");

    return given != NULL ? given : speedy_request_header(r, "Cookie");
}

/* Names are compared exactly, which MHD's own reading does not. */
const char *speedy_request_cookie(struct speedy_request *r, const char *name)
{
    const char *at = speedy_request_cookies(r), *found = NULL;
    size_t name_len = strlen(name), found_len = 0;
    char *text;

    while (at != NULL && *at != '\0') {
        size_t len;

        at += strspn(at, "; \t");
        len = strcspn(at, ";");
        if (len > name_len && at[name_len] == '=' &&
            strncmp(at, name, name_len) == 0) {
            if (found != NULL)
                return NULL; /* which of the two? */
            found = at + name_len + 1;
            found_len = len - name_len - 1;
        }
        at += len;
    }
    if (found == NULL)
        return NULL;
    while (found_len > 0 && strchr(" \t", found[found_len - 1]) != NULL)
        found_len--;
    text = keep(r, found_len);
    memcpy(text, found, found_len);
    text[found_len] = '\0';
    return text;
}

long speedy_request_budget(struct speedy_request *r)
{
    struct speedy_exchange *x = r->inner;
    const char *given = speedy_request_header(r, "X-Speedy-Timeout");
    size_t len = given == NULL ? 0 : strlen(given);
    int64_t budget = BUDGET_DEFAULT;

    if (len > 0 && len < 10 && strspn(given, "0123456789") == len)
        budget = strtol(given, NULL, 10);
    if (budget > BUDGET_MOST)
        budget = BUDGET_MOST;
    budget -= speedy_now_boot() - x->arrived;
    return budget > 0 ? (long)budget : 0;
}

/* --- problems --- */

static void problem_begin(struct speedy_request *r, int status,
                          const char *code, const char *title)
{
    r->status = status;
    r->content_type = "application/problem+json";
    r->out.len = 0;
    speedy_buf_printf(&r->out, "{\"type\":\"about:blank\",\"title\":");
    speedy_buf_json(&r->out, title);
    speedy_buf_printf(&r->out, ",\"status\":%d,\"code\":\"%s\"", status, code);
    speedy_buf_printf(&r->out, ",\"request_id\":\"%s\"", r->request_id);
}

void speedy_problem(struct speedy_request *r, int status, const char *code,
                    const char *title)
{
    problem_begin(r, status, code, title);
    speedy_buf_printf(&r->out, "}\n");
}

void speedy_problem_retry(struct speedy_request *r, int status,
                          const char *code, const char *title, long seconds)
{
    speedy_problem(r, status, code, title);
    speedy_buf_printf(&r->headers, "Retry-After: %ld\n",
                      seconds > 0 ? seconds : 1);
}

void speedy_problem_fields(struct speedy_request *r, int status,
                           const char *code, const char *title,
                           const struct speedy_field *fields, size_t count)
{
    problem_begin(r, status, code, title);
    speedy_buf_printf(&r->out, ",\"errors\":[");
    for (size_t i = 0; i < count; i++) {
        speedy_buf_printf(&r->out, "%s{\"pointer\":", i > 0 ? "," : "");
        speedy_buf_json(&r->out, fields[i].pointer);
        speedy_buf_printf(&r->out, ",\"code\":\"%s\"}", fields[i].code);
    }
    speedy_buf_printf(&r->out, "]}\n");
}

/* --- bodies --- */

/* `application/json`, alone or with charset=utf-8. */
static int is_json(const char *type)
{
    static const char json[] = "application/json";

    if (type == NULL || strncasecmp(type, json, sizeof(json) - 1) != 0)
        return 0;
    type += sizeof(json) - 1;
    type += strspn(type, " \t");
    if (*type == '\0')
        return 1;
    if (*type != ';')
        return 0;
    type++;
    type += strspn(type, " \t");
    return *type == '\0' || strcasecmp(type, "charset=utf-8") == 0 ||
           strcasecmp(type, "charset=\"utf-8\"") == 0;
}

/* RFC 6901: `<at>/name` with ~ and / escaped in the name. */
static char *pointer_of(struct speedy_request *r, const char *at,
                        const char *name)
{
    size_t n = strlen(at);
    char *text = keep(r, n + 1 + 2 * strlen(name)), *to = text + n;

    memcpy(text, at, n);
    *to++ = '/';
    for (; *name != '\0'; name++) {
        if (*name == '~' || *name == '/') {
            *to++ = '~';
            *to++ = *name == '~' ? '0' : '1';
        } else {
            *to++ = *name;
        }
    }
    *to = '\0';
    return text;
}

int speedy_object_known(struct speedy_request *r, const char *at,
                        const struct speedy_json *o, const char *const *names)
{
    if (speedy_json_type(o) != SPEEDY_JSON_OBJECT)
        return 1; /* the caller tells what it should be */
    for (size_t i = 0; i < speedy_json_count(o); i++) {
        const char *name = speedy_json_key(o, i);
        struct speedy_field field = {.code = "unknown_field"};

        if (is_among(name, names))
            continue;
        field.pointer = pointer_of(r, at, name);
        speedy_problem_fields(r, 400, "unknown_field",
                              "The body has an unknown member.", &field, 1);
        return 0;
    }
    return 1;
}

static void json_refused(struct speedy_request *r, enum speedy_json_error why)
{
    if (why == SPEEDY_JSON_DUPLICATE)
        speedy_problem(r, 400, "duplicate_field",
                       "The body has a member twice.");
    else if (why == SPEEDY_JSON_TOO_DEEP)
        speedy_problem(r, 400, "invalid_json", "The body is nested too deep.");
    else
        speedy_problem(r, 400, "invalid_json",
                       "The body is no JSON text in UTF-8.");
}

const struct speedy_json *speedy_body_parse(struct speedy_request *r,
                                            const char *const *names)
{
    static const struct speedy_field whole = {"", "wrong_type"};
    struct speedy_exchange *x = r->inner;
    enum speedy_json_error why;

    if (!is_json(speedy_request_header(r, "Content-Type"))) {
        speedy_problem(r, 415, "unsupported_media_type",
                       "The body must be application/json.");
        return NULL;
    }
    speedy_json_free(x->json);
    x->json =
        speedy_json_parse(r->body, r->body_len, r->body_len, BODY_DEPTH, &why);
    if (x->json == NULL) {
        json_refused(r, why);
        return NULL;
    }
    if (speedy_json_type(x->json) != SPEEDY_JSON_OBJECT) {
        speedy_problem_fields(r, 400, "invalid_request",
                              "The body must be an object.", &whole, 1);
        return NULL;
    }
    return speedy_object_known(r, "", x->json, names) ? x->json : NULL;
}
