/*
 * MIME by hand: the few forms that are needed, each with its limits. libcurl
 * doubles leading dots and checks nothing: whatever goes into a command or a
 * header is checked here.
 */
#include "compose.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>

#include "../common/crypto.h"

#define LINE_COLUMNS 76 /* RFC 2047: a line with an encoded-word */
#define WORD_EXTRA 12   /* =?UTF-8?B? and ?= */
#define FROM_EXTRA 11   /* From: "" <> */
#define BODY_BYTES 57   /* 76 characters of base64 */
#define ADDRESS_MAX 254
#define LOCAL_MAX 64
#define LABEL_MAX 63

static bool atext(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* Atoms with single dots between them. */
static bool local_valid(const char *text, size_t len)
{
    if (len == 0 || len > LOCAL_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '.') {
            if (i == 0 || i == len - 1 || text[i - 1] == '.')
                return false;
        } else if (!atext((unsigned char)text[i])) {
            return false;
        }
    }
    return true;
}

static bool label_valid(const char *text, size_t len)
{
    if (len == 0 || len > LABEL_MAX || text[0] == '-' || text[len - 1] == '-')
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              (c >= '0' && c <= '9') || c == '-'))
            return false;
    }
    return true;
}

bool maild_address_valid(const char *address)
{
    const char *at = strchr(address, '@');

    if (at == NULL || strlen(address) > ADDRESS_MAX ||
        !local_valid(address, (size_t)(at - address)))
        return false;
    for (const char *label = at + 1;; label++) {
        size_t len = strcspn(label, ".");

        if (!label_valid(label, len))
            return false;
        label += len;
        if (*label == '\0')
            return true;
    }
}

static void base64(struct speedy_buf *out, const void *data, size_t len)
{
    unsigned char text[4 * ((BODY_BYTES + 2) / 3) + 1];

    speedy_buf_add(out, text, (size_t)EVP_EncodeBlock(text, data, (int)len));
}

/* No control byte (they end lines, or begin worse) and whole UTF-8. */
static bool header_text_valid(const char *text)
{
    const char *end = text + strlen(text);

    while (text < end) {
        size_t n = speedy_utf8_length(text, (size_t)(end - text));

        if (n == 0 || (n == 1 && ((unsigned char)*text < 0x20 ||
                                  (unsigned char)*text == 0x7f)))
            return false;
        text += n;
    }
    return true;
}

static bool plain(const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c >= 0x80)
            return false;
    }
    return text[0] != ' ' && strstr(text, "=?") == NULL;
}

/* As many whole characters as one encoded-word of `room` columns holds. */
static size_t word_bytes(const char *text, size_t room)
{
    size_t most = (room - WORD_EXTRA) / 4 * 3, len = strlen(text), n = 0;

    while (n < len) {
        size_t one = speedy_utf8_length(text + n, len - n);

        if (n + one > most)
            break;
        n += one;
    }
    return n;
}

/* Text from column `at` on, as encoded-words, one a line. */
static void encoded_words(struct speedy_buf *out, const char *text, size_t at)
{
    bool first = true;

    while (*text != '\0') {
        size_t n = word_bytes(text, LINE_COLUMNS - at);

        speedy_buf_printf(out, "%s=?UTF-8?B?", first ? "" : "\r\n ");
        base64(out, text, n);
        speedy_buf_printf(out, "?=");
        text += n;
        at = 1;
        first = false;
    }
}

int maild_header(struct speedy_buf *out, const char *name, const char *text)
{
    size_t at = strlen(name) + 2;

    if (!header_text_valid(text))
        return -1;
    speedy_buf_printf(out, "%s: ", name);
    if (plain(text) && at + strlen(text) <= LINE_COLUMNS)
        speedy_buf_printf(out, "%s", text);
    else
        encoded_words(out, text, at);
    speedy_buf_printf(out, "\r\n");
    return 0;
}

/* The name is a phrase: quoted when ASCII, else encoded. The address has a
 * line of its own unless both are short. */
static int from_header(struct speedy_buf *out, const struct maild_message *m)
{
    const char *name = m->from_name;

    if (!maild_address_valid(m->from))
        return -1;
    if (name == NULL || *name == '\0') {
        speedy_buf_printf(out, "From: <%s>\r\n", m->from);
        return 0;
    }
    if (!header_text_valid(name))
        return -1;
    if (plain(name) && strpbrk(name, "\"\\") == NULL &&
        strlen(name) + strlen(m->from) <= LINE_COLUMNS - FROM_EXTRA) {
        speedy_buf_printf(out, "From: \"%s\" <%s>\r\n", name, m->from);
        return 0;
    }
    speedy_buf_printf(out, "From: ");
    encoded_words(out, name, strlen("From: "));
    speedy_buf_printf(out, "\r\n <%s>\r\n", m->from);
    return 0;
}

/* strftime's names follow the locale; these do not. */
static void date_header(struct speedy_buf *out, int64_t ms)
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed",
                                       "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr",
                                         "May", "Jun", "Jul", "Aug",
                                         "Sep", "Oct", "Nov", "Dec"};
    time_t seconds = (time_t)(ms / 1000);
    struct tm t;

    gmtime_r(&seconds, &t);
    speedy_buf_printf(out, "Date: %s, %02d %s %d %02d:%02d:%02d +0000\r\n",
                      days[t.tm_wday], t.tm_mday, months[t.tm_mon],
                      t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
}

static int headers(struct speedy_buf *out, const struct maild_message *m,
                   const char *id)
{
    const char *domain = strchr(m->from, '@');

    if (!maild_address_valid(m->to) || from_header(out, m) != 0)
        return -1;
    speedy_buf_printf(out, "To: <%s>\r\n", m->to);
    if (m->reply_to != NULL) {
        if (!maild_address_valid(m->reply_to))
            return -1;
        speedy_buf_printf(out, "Reply-To: <%s>\r\n", m->reply_to);
    }
    if (maild_header(out, "Subject", m->subject) != 0)
        return -1;
    date_header(out, m->date);
    speedy_buf_printf(out,
                      "Message-ID: <%s%s>\r\n"
                      "MIME-Version: 1.0\r\n"
                      "Content-Language: %s\r\n"
                      /* RFC 3834: no vacation notice comes back */
                      "Auto-Submitted: auto-generated\r\n",
                      id, domain, m->language);
    return 0;
}

/* The text with its line ends made CRLF, in base64. */
static void body(struct speedy_buf *out, const char *text)
{
    struct speedy_buf lines = {0};

    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '\n')
            speedy_buf_add(&lines, "\r\n", 2);
        else if (*c != '\r')
            speedy_buf_add(&lines, c, 1);
    }
    for (size_t at = 0; at < lines.len; at += BODY_BYTES) {
        size_t n = lines.len - at < BODY_BYTES ? lines.len - at : BODY_BYTES;

        base64(out, lines.data + at, n);
        speedy_buf_printf(out, "\r\n");
    }
    speedy_buf_free(&lines);
}

static void part(struct speedy_buf *out, const char *boundary, const char *type,
                 const char *text)
{
    speedy_buf_printf(out,
                      "--%s\r\n"
                      "Content-Type: %s; charset=UTF-8\r\n"
                      "Content-Transfer-Encoding: base64\r\n\r\n",
                      boundary, type);
    body(out, text);
}

int maild_compose(const struct maild_message *m, struct speedy_buf *out)
{
    char id[33], boundary[40];

    speedy_hex(m->id, 16, id);
    /* `=_` stands in no base64, so no body can hold it. */
    snprintf(boundary, sizeof(boundary), "=_%s", id);
    if (headers(out, m, id) != 0)
        return -1;
    speedy_buf_printf(out,
                      "Content-Type: multipart/alternative;\r\n"
                      " boundary=\"%s\"\r\n\r\n",
                      boundary);
    part(out, boundary, "text/plain", m->text);
    part(out, boundary, "text/html", m->html);
    speedy_buf_printf(out, "--%s--\r\n", boundary);
    return 0;
}
