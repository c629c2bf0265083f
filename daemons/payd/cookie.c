#include "cookie.h"

#include <string.h>

#include "../common/crypto.h"
#include "../common/seal.h"

#define NAME "speedy_pay"
#define PURPOSE "payment-cookie"
#define SECONDS 3600

static void value_of(const char *user, char out[2 * SPEEDY_BLIND_INDEX + 1])
{
    unsigned char index[SPEEDY_BLIND_INDEX];

    speedy_blind_index(PURPOSE, user, index);
    speedy_hex(index, sizeof(index), out);
}

void payd_cookie_set(struct speedy_request *r, const char *user)
{
    char value[2 * SPEEDY_BLIND_INDEX + 1];

    value_of(user, value);
    speedy_buf_printf(&r->headers,
                      "Set-Cookie: " NAME "=%s; Path=/pay/kakaopay;"
                      " Max-Age=%d; HttpOnly; Secure; SameSite=Lax\n",
                      value, SECONDS);
}

bool payd_cookie_foreign(struct speedy_request *r, const char *user)
{
    const char *given = speedy_request_cookie(r, NAME);
    const char *all = speedy_request_cookies(r);
    char value[2 * SPEEDY_BLIND_INDEX + 1];

    /* sent twice it says nothing that can be believed */
    if (given == NULL)
        return all != NULL && strstr(all, NAME "=") != NULL;
    value_of(user, value);
    return strlen(given) != strlen(value) ||
           !speedy_equal(given, value, strlen(value));
}
