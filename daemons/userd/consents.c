/*
 * Consents.
 */
#include "consents.h"

#include <stdio.h>
#include <string.h>

#define SEOUL_MIN 540

static const struct {
    const char *kind;
    bool needed;
} kinds[USERD_CONSENT_KINDS] = {
    {"terms", true},
    {"privacy", true},
    {"marketing", false},
};

static int kind_find(const char *kind)
{
    for (int i = 0; kind != NULL && i < USERD_CONSENT_KINDS; i++) {
        if (strcmp(kinds[i].kind, kind) == 0)
            return i;
    }
    return -1;
}

static bool version_valid(const char *version)
{
    size_t len = strlen(version);

    return len > 0 && len < USERD_CONSENT_VERSION &&
           strspn(version, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWX"
                           "YZ0123456789._-") == len;
}

/* A consent whose form is right: found in kinds[], each once. */
static void consent_check(struct userd_errors *e, const char *at,
                          const struct userd_field *f, bool seen[],
                          struct userd_consents *out)
{
    int kind = kind_find(userd_field_text(&f[0]));
    const char *version = userd_field_text(&f[1]);
    bool agreed = speedy_json_bool(f[2].value, false);

    if (kind < 0 || seen[kind])
        userd_member_error(e, at, "kind", USERD_INVALID);
    else if (!version_valid(version))
        userd_member_error(e, at, "version", USERD_INVALID);
    else if (kinds[kind].needed && !agreed)
        userd_member_error(e, at, "agreed", "consent_required");
    if (kind < 0 || seen[kind])
        return;
    seen[kind] = true;
    out->at[out->count].kind = kinds[kind].kind;
    out->at[out->count].agreed = agreed;
    snprintf(out->at[out->count].version, USERD_CONSENT_VERSION, "%s", version);
    out->count++;
}

static int consent_take(struct speedy_request *r, struct userd_errors *e,
                        const struct speedy_json *item, size_t i, bool seen[],
                        struct userd_consents *out)
{
    struct userd_field f[] = {
        {.name = "kind", .type = SPEEDY_JSON_TEXT, .absent = USERD_REQUIRED},
        {.name = "version", .type = SPEEDY_JSON_TEXT, .absent = USERD_REQUIRED},
        {.name = "agreed", .type = SPEEDY_JSON_BOOL, .absent = USERD_REQUIRED},
        {.name = NULL},
    };
    size_t before = e->count;
    char at[USERD_POINTER];

    snprintf(at, sizeof(at), "/consents/%zu", i);
    if (speedy_json_type(item) != SPEEDY_JSON_OBJECT) {
        userd_error_add(e, at, USERD_WRONG_TYPE);
        return 0;
    }
    if (userd_object_read(r, e, at, item, f) != 0)
        return -1;
    if (e->count == before)
        consent_check(e, at, f, seen, out);
    return 0;
}

int userd_consents_take(struct speedy_request *r, struct userd_errors *e,
                        const struct userd_field *f, bool all,
                        struct userd_consents *out)
{
    size_t count = f->value == NULL ? 0 : speedy_json_count(f->value);
    bool seen[USERD_CONSENT_KINDS] = {false};
    size_t before = e->count;

    out->count = 0;
    if (count > USERD_CONSENT_KINDS) {
        userd_error_add(e, "/consents", USERD_INVALID);
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        if (consent_take(r, e, speedy_json_at(f->value, i), i, seen, out) != 0)
            return -1;
    }
    if (!all || f->value == NULL || e->count > before)
        return 0;
    for (int i = 0; i < USERD_CONSENT_KINDS; i++) {
        if (kinds[i].needed && !seen[i]) {
            userd_error_add(e, "/consents", "consent_required");
            break;
        }
    }
    return 0;
}

int userd_consents_insert(struct speedy_db *db, const char *user_id,
                          const struct userd_consents *c)
{
    int rc = SPEEDY_DB_OK;

    for (size_t i = 0; i < c->count && rc == SPEEDY_DB_OK; i++)
        rc = speedy_db_exec(db,
                            "INSERT INTO consents (user_id, kind, version,"
                            " agreed) VALUES (?, ?, ?, ?)",
                            DB_ARGS(DB_TEXT(user_id), DB_TEXT(c->at[i].kind),
                                    DB_TEXT(c->at[i].version),
                                    DB_INT(c->at[i].agreed)),
                            NULL);
    return rc;
}

static int on_consent(void *data, const struct speedy_db_value *col,
                      size_t cols)
{
    struct speedy_buf *out = data;

    (void)cols;
    speedy_buf_printf(
        out, "%s{\"kind\":", out->data[out->len - 1] == '[' ? "" : ",");
    speedy_buf_json(out, col[0].bytes);
    speedy_buf_printf(out, ",\"version\":");
    speedy_buf_json(out, col[1].bytes);
    speedy_buf_printf(
        out, ",\"agreed\":%s,\"at\":", col[2].number != 0 ? "true" : "false");
    speedy_buf_time(out, col[3].number, SEOUL_MIN);
    speedy_buf_printf(out, "}");
    return 0;
}

int userd_consents_write(struct speedy_db *db, const char *user_id,
                         struct speedy_buf *out)
{
    int rc;

    speedy_buf_printf(out, "[");
    rc = speedy_db_query(
        db,
        "SELECT c.kind, c.version, c.agreed,"
        " CAST(UNIX_TIMESTAMP(c.at) * 1000 AS SIGNED) FROM consents c"
        " WHERE c.user_id = ? AND c.id = (SELECT MAX(n.id) FROM consents n"
        " WHERE n.user_id = c.user_id AND n.kind = c.kind) ORDER BY c.id",
        DB_ARGS(DB_TEXT(user_id)), on_consent, out);
    speedy_buf_printf(out, "]");
    return rc;
}
