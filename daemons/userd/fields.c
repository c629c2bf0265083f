/*
 * Members that several bodies have.
 */
#include "fields.h"

#include <string.h>

#include "password_rules.h"

static void error_of(struct userd_errors *e, const struct userd_field *f,
                     const char *code)
{
    userd_member_error(e, "", f->name, code);
}

void userd_email_take(struct userd_errors *e, const struct userd_field *f,
                      char out[USERD_EMAIL_MAX + 1])
{
    const char *text = userd_field_text(f);

    if (text != NULL && userd_email_normalise(text, out) == 0)
        return;
    out[0] = '\0';
    if (text != NULL)
        error_of(e, f, "email_invalid");
}

void userd_phone_take(struct userd_errors *e, const struct userd_field *f,
                      char out[USERD_PHONE_SIZE])
{
    const char *text = userd_field_text(f);

    if (text != NULL && userd_phone_normalise(text, out) == 0)
        return;
    out[0] = '\0';
    if (text != NULL)
        error_of(e, f, "phone_invalid");
}

void userd_name_take(struct userd_errors *e, const struct userd_field *f,
                     char out[USERD_NAME_SIZE])
{
    const char *text = userd_field_text(f);

    if (text != NULL && userd_name_normalise(text, out) == 0)
        return;
    out[0] = '\0';
    if (text != NULL)
        error_of(e, f, "name_invalid");
}

void userd_language_take(struct userd_errors *e, const struct userd_field *f,
                         char out[3])
{
    const char *text = userd_field_text(f);

    out[0] = '\0';
    if (text == NULL)
        return;
    if (strcmp(text, "ko") == 0 || strcmp(text, "en") == 0)
        memcpy(out, text, 3);
    else
        error_of(e, f, USERD_INVALID);
}

void userd_password_take(struct userd_errors *e, const struct userd_field *f,
                         const char *email)
{
    const char *text = userd_field_text(f);
    const char *code =
        text == NULL
            ? NULL
            : userd_password_check(text, email[0] != '\0' ? email : NULL);

    if (code != NULL)
        error_of(e, f, code);
}
