/*
 * Texts that people write: names, lines of an address, postcodes, codes.
 * Blanks around them are taken off and blanks within become one space.
 */
#ifndef USERD_TEXT_H
#define USERD_TEXT_H

#include <stddef.h>
#include <stdint.h>

#define USERD_NAME_CHARS 50
#define USERD_NAME_SIZE (4 * USERD_NAME_CHARS + 1)
#define USERD_LINE_CHARS 100
#define USERD_LINE_SIZE (4 * USERD_LINE_CHARS + 1)
#define USERD_POSTCODE_SIZE 6
#define USERD_CODE_SIZE 7

/* 0, or -1 after logging that the system knows no letters. */
int userd_text_init(void);

/* The value of the digit at *text (ASCII or full-width), which is stepped
 * over; or -1 with *text unmoved. */
int userd_digit_take(const char **text);
/* The code point at *text (sound UTF-8), which is stepped over. */
uint32_t userd_char_take(const char **text);
/* Code points of a sound text. */
size_t userd_char_count(const char *text);

/*
 * A person's name: 1 to 50 letters of any script with spaces, hyphens,
 * apostrophes and middle dots between them (홍길동, 김 솔-리아). 0 or -1.
 */
int userd_name_normalise(const char *text, char out[USERD_NAME_SIZE]);
/* A line of an address: min to 100 characters, none of them a control. */
int userd_line_normalise(const char *text, size_t min,
                         char out[USERD_LINE_SIZE]);
/* Five digits. */
int userd_postcode_normalise(const char *text, char out[USERD_POSTCODE_SIZE]);
/* Six digits as people type them: full-width, with blanks or hyphens. */
int userd_code_normalise(const char *text, char out[USERD_CODE_SIZE]);

#endif
