/*
 * A mail as MIME: header fields by RFC 5322 and RFC 2047, one text and one
 * HTML part in base64, every line ended by CRLF and within 76 characters. So
 * no 8-bit byte, bare LF, long line or leading dot ever meets a server.
 */
#ifndef MAILD_COMPOSE_H
#define MAILD_COMPOSE_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/json.h"

struct maild_message {
    const unsigned char *id; /* 16 bytes: the Message-ID, the same each time */
    const char *from, *from_name, *reply_to; /* reply_to may be NULL */
    const char *to;
    const char *language; /* "ko", "en" */
    const char *subject;
    const char *text, *html;
    int64_t date; /* Unix milliseconds */
};

/*
 * A plain ASCII addr-spec: dot-atom, @, host name. What it lets pass can
 * neither end a line nor add a command or a recipient.
 */
bool maild_address_valid(const char *address);

/*
 * Appends the whole mail. -1, and nothing to be used, when an address or a
 * header text has what must not stand there: the caller never sends it.
 */
int maild_compose(const struct maild_message *m, struct speedy_buf *out);

/* `Name: text` with its line end, encoded when needed. -1 as above. */
int maild_header(struct speedy_buf *out, const char *name, const char *text);

#endif
