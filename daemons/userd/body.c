/*
 * The members of a request's body.
 */
#include "body.h"

#include <stdio.h>
#include <string.h>

void userd_error_add(struct userd_errors *e, const char *pointer,
                     const char *code)
{
    char *copy;

    if (e->count == USERD_ERRORS)
        return;
    copy = e->pointer[e->count];
    snprintf(copy, USERD_POINTER, "%s", pointer);
    e->at[e->count++] = (struct speedy_field){copy, code};
}

void userd_member_error(struct userd_errors *e, const char *at,
                        const char *name, const char *code)
{
    char pointer[USERD_POINTER];

    snprintf(pointer, sizeof(pointer), "%.30s/%.30s", at, name);
    userd_error_add(e, pointer, code);
}

static void names_of(const struct userd_field *fields,
                     const char *names[USERD_FIELDS + 1])
{
    size_t n = 0;

    for (; n < USERD_FIELDS && fields[n].name != NULL; n++)
        names[n] = fields[n].name;
    names[n] = NULL;
}

static void field_take(struct userd_errors *e, const char *at,
                       const struct speedy_json *object, struct userd_field *f)
{
    const struct speedy_json *v = speedy_json_get(object, f->name);
    const char *code = NULL;

    f->value = NULL;
    if (v == NULL)
        code = f->absent;
    else if (speedy_json_type(v) == f->type)
        f->value = v;
    else if (speedy_json_type(v) == SPEEDY_JSON_OTHER_TEXT &&
             f->type == SPEEDY_JSON_TEXT)
        code = f->with_nul != NULL ? f->with_nul : USERD_INVALID;
    else
        code = USERD_WRONG_TYPE;
    if (code != NULL)
        userd_member_error(e, at, f->name, code);
}

int userd_body_read(struct speedy_request *r, struct userd_errors *e,
                    struct userd_field *fields)
{
    const char *names[USERD_FIELDS + 1];
    const struct speedy_json *body;

    e->count = 0;
    names_of(fields, names);
    body = speedy_body_parse(r, names);
    if (body == NULL)
        return -1;
    for (struct userd_field *f = fields; f->name != NULL; f++)
        field_take(e, "", body, f);
    return 0;
}

int userd_object_read(struct speedy_request *r, struct userd_errors *e,
                      const char *at, const struct speedy_json *object,
                      struct userd_field *fields)
{
    const char *names[USERD_FIELDS + 1];

    names_of(fields, names);
    if (!speedy_object_known(r, at, object, names))
        return -1;
    for (struct userd_field *f = fields; f->name != NULL; f++)
        field_take(e, at, object, f);
    return 0;
}

const char *userd_field_text(const struct userd_field *f)
{
    return f->value == NULL ? NULL : speedy_json_text(f->value);
}

static bool is_of_form(const char *code)
{
    return strcmp(code, USERD_REQUIRED) == 0 ||
           strcmp(code, USERD_WRONG_TYPE) == 0 ||
           strcmp(code, USERD_INVALID) == 0;
}

bool userd_refused(struct speedy_request *r, const struct userd_errors *e)
{
    const char *code = "invalid_request";

    if (e->count == 0)
        return false;
    for (size_t i = e->count; i-- > 0;) {
        if (!is_of_form(e->at[i].code))
            code = e->at[i].code;
    }
    speedy_problem_fields(r, 400, code, "The body is refused.", e->at,
                          e->count);
    return true;
}
