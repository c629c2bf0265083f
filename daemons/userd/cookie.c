/*
 * The cookie of the refresh token, and which sites may use it.
 */
#include <string.h>

#include "../common/crypto.h"
#include "sessions.h"
#include "userd.h"

static void cookie(struct speedy_request *r,
                   const struct userd_session_kind *kind, const char *value,
                   int64_t seconds)
{
    speedy_buf_printf(&r->headers,
                      "Set-Cookie: %s=%s; Max-Age=%lld; Path=%s; HttpOnly;"
                      " Secure; SameSite=Lax\n",
                      kind->cookie, value, (long long)seconds, kind->path);
}

void userd_cookie_set(struct speedy_request *r, const struct userd_session *s)
{
    char text[USERD_REFRESH_TEXT];

    speedy_base64url(s->refresh, sizeof(s->refresh), text);
    cookie(r, s->kind, text, s->seconds);
    explicit_bzero(text, sizeof(text));
}

void userd_cookie_clear(struct speedy_request *r,
                        const struct userd_session_kind *kind)
{
    cookie(r, kind, "", 0);
}

/* An origin of a setting may end with a slash; a header's never does. */
static bool origin_is(const char *word, size_t len, const char *origin)
{
    if (len > 0 && word[len - 1] == '/')
        len--;
    return len == strlen(origin) && strncmp(word, origin, len) == 0;
}

bool userd_origin_allowed(struct speedy_request *r)
{
    const char *origin = speedy_request_header(r, "Origin");
    const char *at = userd_session_settings.origins;

    if (origin == NULL || origin_is(userd_settings.shop_url,
                                    strlen(userd_settings.shop_url), origin))
        return true;
    for (size_t n; at != NULL && *at != '\0'; at += n) {
        at += strspn(at, " ,");
        n = strcspn(at, " ,");
        if (n > 0 && origin_is(at, n, origin))
            return true;
    }
    speedy_problem(r, 403, "origin_refused",
                   "Requests from this site are refused.");
    return false;
}
