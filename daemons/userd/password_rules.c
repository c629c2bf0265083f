/*
 * The rules of passwords.
 */
#include "password_rules.h"

#include <string.h>

#include "text.h"

/* Of ASCII: other scripts have nothing in the list. */
static void lower_copy(const char *text, char *out)
{
    for (; *text != '\0'; text++)
        *out++ = *text >= 'A' && *text <= 'Z' ? (char)(*text + 32) : *text;
    *out = '\0';
}

/* Its owner's address, or the part before the @. */
static bool is_address(const char *lower, const char *email)
{
    size_t local = strcspn(email, "@");

    return strcmp(lower, email) == 0 ||
           (strlen(lower) == local && memcmp(lower, email, local) == 0);
}

const char *userd_password_check(const char *password, const char *email)
{
    size_t count = userd_char_count(password);
    char lower[4 * USERD_PASSWORD_MAX + 1];
    bool common;

    if (count < USERD_PASSWORD_MIN)
        return "password_too_short";
    if (count > USERD_PASSWORD_MAX)
        return "password_too_long";
    lower_copy(password, lower);
    common = userd_password_listed(lower) ||
             (email != NULL && is_address(lower, email));
    explicit_bzero(lower, sizeof(lower));
    return common ? "password_common" : NULL;
}
