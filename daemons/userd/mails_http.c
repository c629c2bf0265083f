/*
 * A mail as it is to be sent.
 */
#include "mails_http.h"

#include <stdio.h>
#include <string.h>

#include "../common/crypto.h"
#include "../common/stores.h"
#include "codes.h"
#include "people.h"
#include "userd.h"

#define UNKNOWN 1 /* positive verdicts of render() */
#define OVER 2
#define NOBODY 3

struct render {
    unsigned char id[16];
    bool there, due, to_user;
    char kind[31], user_id[USERD_OWNER_SIZE], request_id[65], params[2001];
    unsigned char verification_id[16];
    struct userd_person p;
    struct userd_mailbox m;
    char code[USERD_CODE_SIZE], link[USERD_TOKEN_SIZE];
};

static int on_mail(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct render *x = data;

    (void)cols;
    x->there = true;
    snprintf(x->kind, sizeof(x->kind), "%s", (const char *)col[0].bytes);
    x->to_user = col[1].kind != SPEEDY_DB_NULL;
    if (x->to_user)
        snprintf(x->user_id, sizeof(x->user_id), "%s",
                 (const char *)col[1].bytes);
    else
        memcpy(x->verification_id, col[2].bytes, sizeof(x->verification_id));
    snprintf(x->params, sizeof(x->params), "%s", (const char *)col[3].bytes);
    snprintf(x->request_id, sizeof(x->request_id), "%s",
             (const char *)col[4].bytes);
    x->due = col[5].number != 0;
    return 1;
}

static int mail_read(struct speedy_db *db, struct render *x)
{
    return speedy_db_query(
        db,
        "SELECT kind, user_id, verification_id, params, request_id,"
        " state IN ('QUEUED', 'SENDING')"
        " AND (expires_at IS NULL OR expires_at > CURRENT_TIMESTAMP(3))"
        " FROM mails WHERE id = ?",
        DB_ARGS(DB_BYTES(x->id, sizeof(x->id))), on_mail, x);
}

static bool has_code(const struct render *x)
{
    return strcmp(x->kind, "verify") == 0 || strcmp(x->kind, "reset") == 0;
}

/* A mail to an address: its owner's name is known when he has an account. */
static int to_address(struct speedy_db *db, struct render *x)
{
    int rc = userd_mailbox_read(db, x->verification_id, true, &x->m);

    if (rc <= 0)
        return rc == 0 ? NOBODY : rc;
    if (x->m.v.user_id[0] != '\0') {
        rc = userd_person_read(db, x->m.v.user_id, false, &x->p);
        if (rc <= 0)
            return rc == 0 ? NOBODY : rc;
    }
    if (!has_code(x))
        return SPEEDY_DB_OK;
    if (x->m.confirmed)
        return OVER;
    return userd_code_make(db, &x->m.v, x->m.purpose, x->code, x->link);
}

static int render(struct speedy_db *db, void *data, int attempt)
{
    struct render *x = data;
    int rc;

    (void)attempt;
    x->there = false;
    rc = mail_read(db, x);
    if (rc != SPEEDY_DB_OK)
        return rc;
    if (!x->there)
        return UNKNOWN;
    if (!x->due)
        return OVER;
    if (!x->to_user)
        return to_address(db, x);
    rc = userd_person_read(db, x->user_id, false, &x->p);
    if (rc <= 0)
        return rc == 0 ? NOBODY : rc;
    return SPEEDY_DB_OK;
}

/* The page that a link leads to; what stands behind the # reaches no server
 * and no log. */
static const char *page_of(const struct render *x)
{
    return strcmp(x->kind, "reset") == 0 ? "/reset#" : "/verify#";
}

static void member(struct speedy_buf *out, const char *name, const char *text)
{
    speedy_buf_printf(out, ",\"%s\":", name);
    speedy_buf_json(out, text[0] != '\0' ? text : NULL);
}

static void write(struct speedy_request *r, const struct render *x)
{
    const char *base = userd_settings.shop_url;
    struct speedy_buf link = {0};
    char id[37], hex[33];
    size_t len = strlen(base);

    while (len > 0 && base[len - 1] == '/')
        len--;
    speedy_uuid_text(x->id, id);
    speedy_hex(x->id, sizeof(x->id), hex);
    speedy_buf_printf(&r->out, "{\"id\":\"%s\",\"message_id\":\"%s\"", id, hex);
    member(&r->out, "kind", x->kind);
    member(&r->out, "to", x->to_user ? x->p.email : x->m.email);
    member(&r->out, "name", x->p.name);
    member(&r->out, "language", x->to_user ? x->p.language : x->m.language);
    member(&r->out, "request_id", x->request_id);
    if (has_code(x)) {
        speedy_buf_printf(&link, "%.*s%s%s", (int)len, base, page_of(x),
                          x->link);
        member(&r->out, "code", x->code);
        member(&r->out, "link", link.data);
        explicit_bzero(link.data, link.len);
        speedy_buf_free(&link);
    }
    speedy_buf_printf(&r->out, ",\"params\":%s}\n",
                      x->params[0] == '{' ? x->params : "{}");
    r->status = 200;
    userd_no_store(r);
}

static void refuse(struct speedy_request *r, int rc)
{
    if (rc == UNKNOWN)
        speedy_problem(r, 404, "mail_not_found", "There is no such mail.");
    else if (rc == OVER)
        speedy_problem(r, 410, "mail_over",
                       "This mail is not to be sent any more.");
    else if (rc == NOBODY)
        speedy_problem(r, 410, "nobody_to_tell",
                       "Whom it was for is not here any more.");
    else
        userd_unavailable(r);
}

void userd_mail_render(struct speedy_request *r, void *data)
{
    struct render x = {.there = false};
    struct speedy_stores *s;
    int rc = SPEEDY_DB_RETRY;

    (void)data;
    if (speedy_uuid_parse(r->id, strlen(r->id), x.id) != 0) {
        refuse(r, UNKNOWN);
        return;
    }
    s = speedy_stores_take();
    if (s != NULL) {
        rc = speedy_db_run(s->db, render, &x);
        speedy_stores_give(s);
    }
    if (rc == SPEEDY_DB_OK)
        write(r, &x);
    else
        refuse(r, rc);
    explicit_bzero(&x, sizeof(x));
}
