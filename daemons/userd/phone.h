/*
 * Phone numbers, kept as E.164 (`+821012345678`).
 *
 * Blanks, hyphens, dots and parentheses between digits are taken off, and
 * full-width digits are digits. Without a `+` a number is a Korean one with
 * its trunk 0 (mobile, area, internet and personal numbers); with it, any
 * country's of 8 to 15 digits, and a Korean one is checked as above, with or
 * without the 0 that many write after +82.
 */
#ifndef USERD_PHONE_H
#define USERD_PHONE_H

#define USERD_PHONE_SIZE 17

/* 0 and the number in out, or -1. */
int userd_phone_normalise(const char *text, char out[USERD_PHONE_SIZE]);

#endif
