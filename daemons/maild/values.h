/*
 * Fields: which there are, which a kind of mail has, and how their
 * values are written in a language.
 */
#ifndef MAILD_VALUES_H
#define MAILD_VALUES_H

#include "templates.h"

/* The languages, ended by NULL; the first one stands in for an unknown one. */
extern const char *const maild_languages[];

/* A kind of mail and what its template may use, ended by a NULL name. */
struct maild_kind {
    const char *name, *fields; /* separated by blanks */
};
extern const struct maild_kind maild_kinds[];

const struct maild_kind *maild_kind_find(const char *name);
/* Whether this kind (NULL: the layout) has it. */
bool maild_field_known(const struct maild_kind *kind, const char *name,
                       size_t len);

/* Appends the value as text. -1 when there is none. */
int maild_value(const struct maild_values *v, const char *language,
                const char *name, struct speedy_buf *out);

#endif
