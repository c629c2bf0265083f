/*
 * E-mail addresses: RFC 5321's Mailbox without its quoted strings and
 * literals, over libidn2 for domains.
 */
#include "email.h"

#include <idn2.h>
#include <stdbool.h>
#include <string.h>

#define LOCAL_MAX 64
#define TEXT_MAX 1024 /* a domain shrinks little when it becomes Punycode */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return lower(c) >= 'a' && lower(c) <= 'z';
}

static bool is_atom(char c)
{
    return is_letter(c) || is_digit(c) ||
           (c != '\0' && strchr("!#$%&'*+/=?^_`{|}~-", c) != NULL);
}

/* Dots stand between atoms only. */
static int local_take(const char *text, size_t len, char *out)
{
    if (len == 0 || len > LOCAL_MAX)
        return -1;
    for (size_t i = 0; i < len; i++) {
        bool dot = text[i] == '.';

        if (!dot && !is_atom(text[i]))
            return -1;
        if (dot && (i == 0 || i + 1 == len || text[i - 1] == '.'))
            return -1;
        out[i] = lower(text[i]);
    }
    return 0;
}

static bool label_valid(const char *label, size_t len)
{
    if (len == 0 || len > 63 || label[0] == '-' || label[len - 1] == '-')
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!is_letter(label[i]) && !is_digit(label[i]) && label[i] != '-')
            return false;
    }
    return true;
}

/* Two labels at least, the last one no number. */
static bool domain_valid(const char *domain)
{
    const char *label = domain;
    int labels = 0;

    for (;;) {
        size_t len = strcspn(label, ".");

        if (!label_valid(label, len))
            return false;
        labels++;
        if (label[len] == '\0')
            break;
        label += len + 1;
    }
    return labels >= 2 && label[strspn(label, "0123456789")] != '\0';
}

/* ASCII as it is; else, and of what is Punycode already, by IDNA 2008. */
static int domain_take(const char *domain, char *out, size_t size)
{
    char *ascii = NULL;
    size_t len;
    int rc = -1;

    if (idn2_to_ascii_8z(domain, &ascii,
                         IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
        return -1;
    len = strlen(ascii);
    if (len < size && len <= 253) {
        for (size_t i = 0; i <= len; i++)
            out[i] = lower(ascii[i]);
        rc = domain_valid(out) ? 0 : -1;
    }
    idn2_free(ascii);
    return rc;
}

int userd_email_normalise(const char *text, char out[USERD_EMAIL_MAX + 1])
{
    char trimmed[TEXT_MAX + 1], *at;
    size_t len, local;

    text += strspn(text, " \t");
    len = strlen(text);
    while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t'))
        len--;
    if (len > TEXT_MAX)
        return -1;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c <= 0x20 || c == 0x7f)
            return -1;
    }
    memcpy(trimmed, text, len);
    trimmed[len] = '\0';
    at = strchr(trimmed, '@');
    if (at == NULL || strchr(at + 1, '@') != NULL)
        return -1;
    local = (size_t)(at - trimmed);
    if (local_take(trimmed, local, out) != 0)
        return -1;
    out[local] = '@';
    return domain_take(at + 1, out + local + 1, USERD_EMAIL_MAX - local);
}
