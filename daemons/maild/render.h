/*
 * What a mail says and to whom: asked of userd when it is sent, so that no
 * address and no code stands anywhere on the way.
 */
#ifndef MAILD_RENDER_H
#define MAILD_RENDER_H

#include "../common/http_client.h"
#include "../common/json.h"
#include "claim.h"

#define MAILD_RENDER_MS 5000

enum maild_rendered {
    MAILD_RENDERED,
    MAILD_NOBODY,      /* 410: nobody to tell */
    MAILD_UNKNOWN,     /* 404: userd does not know the mail */
    MAILD_UNAVAILABLE, /* no answer: userd is in trouble, not the mail */
    MAILD_UNUSABLE     /* an answer that cannot be used */
};

/* Texts are within `json`, valid until maild_letter_free. */
struct maild_letter {
    struct speedy_json *json;
    const char *to, *name, *language, *kind, *code, *link;
    const struct speedy_json *params; /* may be NULL */
};

enum maild_rendered maild_render(struct speedy_client *userd,
                                 const struct maild_claim *c,
                                 struct maild_letter *out);
void maild_letter_free(struct maild_letter *letter);

#endif
