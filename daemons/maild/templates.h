/*
 * The words of the mails: files <kind>.<ko|en>.{txt,html} of one directory,
 * read at the start and checked whole. The first line of a .txt file is
 * `Subject: …`, an empty line follows; a .html file is what stands within
 * layout.<ko|en>.html, at its {{content}}. `{{name}}` is replaced by a value:
 * in HTML escaped, in a subject without line ends.
 */
#ifndef MAILD_TEMPLATES_H
#define MAILD_TEMPLATES_H

#include <stdbool.h>
#include <stdio.h>

#include "../common/json.h"

struct maild_templates;

/* NULL after telling every fault on `errors`: file, line, what and remedy. */
struct maild_templates *maild_templates_load(const char *dir, FILE *errors);
void maild_templates_free(struct maild_templates *t);

/* How many files there are in a whole set. */
size_t maild_templates_files(void);
bool maild_kind_known(const char *kind);

/* What the fields stand for; NULL where there is none. */
struct maild_values {
    const char *name, *code, *link, *shop, *url;
    const struct speedy_json *params; /* the rest, by its name */
};

struct maild_texts {
    struct speedy_buf subject, text, html;
};

/*
 * Appends to *out, which the caller frees. -1 when a value is missing:
 * *missing names it.
 */
int maild_templates_fill(const struct maild_templates *t, const char *kind,
                         const char *language,
                         const struct maild_values *values,
                         struct maild_texts *out, const char **missing);
void maild_texts_free(struct maild_texts *texts);

#endif
