/*
 * What a password must be: 8 to 128 characters (code points, whatever they
 * are but NUL), none of the most used ones, and not its owner's address.
 * Nothing is cut off and nothing is asked of its kinds of characters.
 */
#ifndef USERD_PASSWORD_RULES_H
#define USERD_PASSWORD_RULES_H

#include <stdbool.h>

#define USERD_PASSWORD_MIN 8
#define USERD_PASSWORD_MAX 128
#define USERD_PASSWORD_WITH_NUL "password_invalid"

/*
 * NULL when it will do, else the error's code: password_too_short,
 * password_too_long, password_common. email: its owner's address as
 * normalised, or NULL.
 */
const char *userd_password_check(const char *password, const char *email);

/* Whether it is one of the bundled list, which is in lower case. */
bool userd_password_listed(const char *lower);

#endif
