/*
 * The secret that mailed codes are kept under.
 */
#include "userd.h"

#include <string.h>

static unsigned char code_key[SPEEDY_SECRET_KEY];

int userd_code_key_load(void)
{
    return speedy_secret_key("code-key", code_key);
}

void userd_code_key_wipe(void)
{
    explicit_bzero(code_key, sizeof(code_key));
}
