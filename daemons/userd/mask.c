/*
 * Masks. Of a name's characters, not its bytes; a star stands for each, so a
 * mask may get shorter than its text and never longer.
 */
#include "mask.h"

#include <stdio.h>
#include <string.h>

#define SHOWN 4 /* last digits of a phone number */

void userd_mask_name(const char *name, char out[USERD_NAME_SIZE])
{
    size_t count = userd_char_count(name), n = 0;

    for (size_t i = 0; i < count; i++) {
        const char *from = name;
        size_t len;

        userd_char_take(&name);
        len = (size_t)(name - from);
        if (n + len >= USERD_NAME_SIZE)
            break;
        if (count > 1 && (i == 0 || (i == count - 1 && count > 2))) {
            memcpy(out + n, from, len);
            n += len;
        } else {
            out[n++] = '*';
        }
    }
    out[n] = '\0';
}

/* Digits of a Korean area or service code, without its trunk 0: 2, 10, 31. */
static size_t area_of(const char *national)
{
    return national[0] == '2' ? 1 : 2;
}

void userd_mask_phone(const char *e164, char out[USERD_MASKED_PHONE])
{
    static const char stars[] = "****************";
    size_t len = strlen(e164), area, middle;
    const char *national = e164 + 3;

    if (strncmp(e164, "+82", 3) == 0 && len > 3 + 2 + SHOWN &&
        len < USERD_PHONE_SIZE) {
        area = area_of(national);
        middle = len - 3 - area - SHOWN;
        snprintf(out, USERD_MASKED_PHONE, "0%.*s-%.*s-%s", (int)area, national,
                 (int)middle, stars, e164 + len - SHOWN);
        return;
    }
    if (len <= 1 + SHOWN || len >= USERD_PHONE_SIZE) {
        snprintf(out, USERD_MASKED_PHONE, "%s", "****");
        return;
    }
    snprintf(out, USERD_MASKED_PHONE, "+%.*s%s", (int)(len - 1 - SHOWN), stars,
             e164 + len - SHOWN);
}

void userd_mask_email(const char *email, char out[USERD_MASKED_EMAIL])
{
    const char *at = strrchr(email, '@');

    if (at == NULL || at == email)
        snprintf(out, USERD_MASKED_EMAIL, "%s", "***");
    else
        snprintf(out, USERD_MASKED_EMAIL, "%c***%s", email[0], at);
}
