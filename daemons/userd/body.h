/*
 * The members of a request's body: taken by a table, and the list of what is
 * wrong with them, so that one answer names all of it: 400 with `errors:
 * [{pointer, code}]`, and as its own code that of the first error which is no
 * mere error of form, or else `invalid_request`.
 */
#ifndef USERD_BODY_H
#define USERD_BODY_H

#include <stdbool.h>

#include "../common/http_server.h"
#include "../common/json.h"

/* Errors of form. */
#define USERD_REQUIRED "required"
#define USERD_WRONG_TYPE "wrong_type"
#define USERD_INVALID "invalid"

#define USERD_FIELDS 16 /* of one object */
#define USERD_ERRORS 24
#define USERD_POINTER 64

struct userd_errors {
    size_t count;
    struct speedy_field at[USERD_ERRORS];
    char pointer[USERD_ERRORS][USERD_POINTER];
};

struct userd_field {
    const char *name;
    enum speedy_json_type type;
    /* told when it is absent; NULL: it may be absent */
    const char *absent;
    /* of a text with a NUL within; NULL: `invalid` */
    const char *with_nul;
    /* set by reading: NULL when absent or of another type */
    const struct speedy_json *value;
};

/*
 * Reads the body into the fields, which end with a NULL name, and notes in e
 * what is absent or of another type. 0, or -1 when it was answered (no JSON,
 * an unknown member, a duplicate). The caller checks the values further and
 * then calls userd_refused. Values belong to the request.
 */
int userd_body_read(struct speedy_request *r, struct userd_errors *e,
                    struct userd_field *fields);
/* The same for an object within, which stands at this pointer. */
int userd_object_read(struct speedy_request *r, struct userd_errors *e,
                      const char *at, const struct speedy_json *object,
                      struct userd_field *fields);

/* The member's text, or NULL. */
const char *userd_field_text(const struct userd_field *f);

/* The pointer is copied, the code kept by reference. */
void userd_error_add(struct userd_errors *e, const char *pointer,
                     const char *code);
/* The same for a member of the object at this pointer. */
void userd_member_error(struct userd_errors *e, const char *at,
                        const char *name, const char *code);
/* Whether there were errors: they are answered then, by 400. */
bool userd_refused(struct speedy_request *r, const struct userd_errors *e);

#endif
