/*
 * Text that people write and search for.
 */
#ifndef SPEEDY_TEXT_H
#define SPEEDY_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "../common/json.h"

/* Characters (code points) of UTF-8 text; -1 when it is none. */
long speedy_text_length(const char *text);
/* UTF-8 of min to max characters, no control characters but (lines) \n. */
bool speedy_text_valid(const char *text, long min, long max, bool lines);

/*
 * Appends text as it is compared in a search: lower case (ASCII, Latin-1,
 * Greek, Cyrillic), full-width forms as plain ones, Hangul composed into
 * syllables, blanks as one space. At most max bytes, whole characters. What
 * is no UTF-8 is left out.
 */
void speedy_text_fold(struct speedy_buf *out, const char *text, size_t max);

/* Appends one word as a pattern of LIKE … ESCAPE '|': `%word%`. */
void speedy_text_like(struct speedy_buf *out, const char *word, size_t len);

#endif
