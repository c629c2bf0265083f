/*
 * What handlers answer alike: refusals, tags, what may be kept by whom.
 */
#include <stdlib.h>
#include <string.h>

#include "../common/crypto.h"
#include "productd.h"

#define STALE_IF_ERROR 60 /* seconds */

void productd_unavailable(struct speedy_request *r)
{
    speedy_problem_retry(r, 503, "unavailable",
                         "The catalogue cannot be reached now.", 1);
}

int productd_bad(struct speedy_request *r, const char *pointer,
                 const char *code, const char *title)
{
    const struct speedy_field field = {pointer, code};

    speedy_problem_fields(r, 400, code, title, &field, 1);
    return -1;
}

/* Whether the client's list of tags holds this one (weak comparison). */
static bool has_tag(const char *list, const char *hex)
{
    if (list == NULL)
        return false;
    return strcmp(list, "*") == 0 || strstr(list, hex) != NULL;
}

void productd_public(struct speedy_request *r, size_t same)
{
    unsigned char digest[32];
    char hex[33];

    speedy_sha256(r->out.data, same > 0 ? same : r->out.len, digest);
    speedy_hex(digest, 16, hex);
    speedy_buf_printf(&r->headers,
                      "Cache-Control: public, max-age=%ld, "
                      "stale-while-revalidate=%ld, stale-if-error=%d\n"
                      "ETag: W/\"%s\"\n",
                      productd_settings.max_age / 1000,
                      productd_settings.stale / 1000, STALE_IF_ERROR, hex);
    r->status = 200;
    if (!has_tag(speedy_request_header(r, "If-None-Match"), hex))
        return;
    r->status = 304;
    r->out.len = 0;
}

void productd_private(struct speedy_request *r, int status, int64_t version)
{
    r->status = status;
    speedy_buf_printf(&r->headers, "Cache-Control: no-store\n");
    if (version > 0)
        speedy_buf_printf(&r->headers, "ETag: \"%lld\"\n", (long long)version);
}

int productd_limit(struct speedy_request *r, int *limit)
{
    const char *text = speedy_request_query(r, "limit");
    long n;

    *limit = PRODUCTD_LIMIT_DEFAULT;
    if (text == NULL)
        return 0;
    n = strlen(text) < 6 ? strtol(text, NULL, 10) : 0;
    if (strspn(text, "0123456789") != strlen(text) || n < 1 ||
        n > PRODUCTD_LIMIT_MOST) {
        speedy_problem(r, 400, "invalid_limit",
                       "limit is a number from 1 to 100.");
        return -1;
    }
    *limit = (int)n;
    return 0;
}

void productd_time(struct speedy_buf *b, int64_t ms)
{
    if (ms == 0)
        speedy_buf_printf(b, "null");
    else
        speedy_buf_time(b, ms, PRODUCTD_OFFSET_MIN);
}

int productd_known_query(struct speedy_request *r, const char *const *names)
{
    if (speedy_request_unknown_query(r, names) == NULL)
        return 0;
    speedy_problem(r, 400, "unknown_parameter",
                   "A parameter is not known here.");
    return -1;
}
