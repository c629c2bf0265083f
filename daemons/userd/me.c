/*
 * One's own account: reading and changing it.
 */
#include "me.h"

#include <string.h>

#include "../common/stores.h"
#include "consents.h"
#include "fields.h"
#include "people.h"
#include "userd.h"

#define GONE 1 /* positive verdicts of change() */
#define CONFLICT 2
#define VERSION_MOST 2147483647

struct change {
    struct userd_person p;
    const char *id;
    char name[USERD_NAME_SIZE], phone[USERD_PHONE_SIZE], language[3];
    struct userd_consents consents;
    int64_t version;
};

void userd_me_refuse(struct speedy_request *r, int rc)
{
    if (rc < 0)
        userd_unavailable(r);
    else
        speedy_problem(r, 404, "user_not_found", "There is no such account.");
}

void userd_version_conflict(struct speedy_request *r)
{
    speedy_problem(r, 409, "version_conflict",
                   "It was changed in between: read it again.");
}

/* Writes p, or the problem. */
static void show(struct speedy_request *r, struct speedy_db *db,
                 const struct userd_person *p)
{
    if (userd_person_write(db, p, &r->out) != SPEEDY_DB_OK) {
        userd_unavailable(r);
        return;
    }
    r->status = 200;
    userd_no_store(r);
}

void userd_me_get(struct speedy_request *r, void *data)
{
    struct speedy_stores *s;
    struct userd_person p;
    int rc;

    (void)data;
    if (!userd_no_query(r))
        return;
    s = speedy_stores_take();
    if (s == NULL) {
        userd_unavailable(r);
        return;
    }
    rc = userd_person_read(s->db, r->user, false, &p);
    if (rc == 1)
        show(r, s->db, &p);
    else
        userd_me_refuse(r, rc);
    speedy_stores_give(s);
    userd_person_wipe(&p);
}

/* --- changing --- */

static void copy_given(char *to, const char *from)
{
    if (from[0] != '\0')
        memcpy(to, from, strlen(from) + 1);
}

static int change(struct speedy_db *db, void *data, int attempt)
{
    struct change *c = data;
    struct userd_sealed_person sealed;
    int rc = userd_person_read(db, c->id, true, &c->p);

    (void)attempt;
    if (rc <= 0)
        return rc == 0 ? GONE : rc;
    if (c->p.version != c->version)
        return CONFLICT;
    copy_given(c->p.name, c->name);
    copy_given(c->p.phone, c->phone);
    copy_given(c->p.language, c->language);
    c->p.version++;
    userd_person_seal(&c->p, &sealed);
    rc = speedy_db_exec(
        db,
        "UPDATE users SET sealed_name = ?, sealed_phone = ?, language = ?,"
        " version = ?, updated_at = CURRENT_TIMESTAMP(3) WHERE id = ?",
        DB_ARGS(DB_BYTES(sealed.name, sealed.name_len),
                DB_BYTES(sealed.phone, sealed.phone_len),
                DB_TEXT(c->p.language), DB_INT(c->p.version), DB_TEXT(c->p.id)),
        NULL);
    return rc == SPEEDY_DB_OK ? userd_consents_insert(db, c->p.id, &c->consents)
                              : rc;
}

static void change_run(struct speedy_request *r, struct change *c)
{
    struct speedy_stores *s = speedy_stores_take();
    int rc;

    if (s == NULL) {
        userd_unavailable(r);
        return;
    }
    rc = speedy_db_run(s->db, change, c);
    if (rc == CONFLICT)
        userd_version_conflict(r);
    else if (rc != SPEEDY_DB_OK)
        userd_me_refuse(r, rc);
    else
        show(r, s->db, &c->p);
    speedy_stores_give(s);
}

void userd_me_patch(struct speedy_request *r, void *data)
{
    struct userd_field f[] = {
        {.name = "name", .type = SPEEDY_JSON_TEXT, .with_nul = "name_invalid"},
        {.name = "phone",
         .type = SPEEDY_JSON_TEXT,
         .with_nul = "phone_invalid"},
        {.name = "language", .type = SPEEDY_JSON_TEXT},
        {.name = "consents", .type = SPEEDY_JSON_ARRAY},
        {.name = "version", .type = SPEEDY_JSON_INT, .absent = USERD_REQUIRED},
        {.name = NULL},
    };
    struct change c = {.id = r->user};
    struct userd_errors e;

    (void)data;
    if (!userd_no_query(r) || userd_body_read(r, &e, f) != 0)
        return;
    userd_name_take(&e, &f[0], c.name);
    userd_phone_take(&e, &f[1], c.phone);
    userd_language_take(&e, &f[2], c.language);
    if (userd_consents_take(r, &e, &f[3], false, &c.consents) != 0)
        return;
    if (f[4].value != NULL &&
        speedy_json_int(f[4].value, 1, VERSION_MOST, &c.version) != 0)
        userd_error_add(&e, "/version", USERD_INVALID);
    if (!userd_refused(r, &e))
        change_run(r, &c);
    explicit_bzero(&c, sizeof(c));
}
