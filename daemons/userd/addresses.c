/*
 * The routes of addresses.
 */
#include "addresses.h"

#include <string.h>

#include "../common/crypto.h"
#include "../common/stores.h"
#include "address.h"
#include "me.h"
#include "userd.h"

#define GONE 1 /* positive verdicts of the transactions */
#define CONFLICT 2
#define TOO_MANY 3
#define NO_ADDRESS 4
#define DEFAULT_NEEDED 5
#define VERSION_MOST 2147483647

struct act {
    const char *user;
    struct userd_person p;
    const struct userd_field *fields;
    struct userd_address given, a; /* what was sent; the row */
    int64_t version, count;
    bool found, first;
};

static void on_one(void *data, const struct userd_address *a)
{
    struct act *act = data;

    act->a = *a;
    act->found = true;
}

/* 1: the user's row is locked and open; 0 or a status else. */
static int user_lock(struct speedy_db *db, struct act *act)
{
    return userd_person_read(db, act->user, true, &act->p);
}

/* Takes the mark from whichever address has it. */
static int default_take(struct speedy_db *db, const struct act *act)
{
    return speedy_db_exec(
        db,
        "UPDATE addresses SET is_default = 0"
        " WHERE user_id = ? AND is_default = 1 AND id <> ?",
        DB_ARGS(DB_TEXT(act->user), DB_BYTES(act->a.id, sizeof(act->a.id))),
        NULL);
}

static void refuse(struct speedy_request *r, int rc)
{
    static const struct speedy_field needed = {"/is_default", "default_needed"};

    switch (rc) {
    case GONE:
        userd_me_refuse(r, 0);
        break;
    case CONFLICT:
        userd_version_conflict(r);
        break;
    case TOO_MANY:
        speedy_problem(r, 409, "too_many_addresses",
                       "There are 20 addresses: delete one first.");
        break;
    case NO_ADDRESS:
        speedy_problem(r, 404, "address_not_found",
                       "There is no such address.");
        break;
    case DEFAULT_NEEDED:
        speedy_problem_fields(r, 400, "invalid_request",
                              "Make another one the default instead.", &needed,
                              1);
        break;
    default:
        userd_unavailable(r);
    }
}

static void show(struct speedy_request *r, int status,
                 const struct userd_address *a)
{
    r->status = status;
    userd_address_write(&r->out, a);
    speedy_buf_printf(&r->out, "\n");
    userd_no_store(r);
}

/* Runs the transaction and answers what is no success. */
static int run(struct speedy_request *r,
               int (*work)(struct speedy_db *db, void *data, int attempt),
               struct act *act)
{
    struct speedy_stores *s = speedy_stores_take();
    int rc = SPEEDY_DB_RETRY;

    act->user = r->user;
    if (s != NULL) {
        rc = speedy_db_run(s->db, work, act);
        speedy_stores_give(s);
    }
    explicit_bzero(&act->p, sizeof(act->p));
    if (rc != SPEEDY_DB_OK)
        refuse(r, rc);
    return rc;
}

/* --- the list --- */

struct list {
    struct speedy_buf *out;
    int count;
};

static void on_listed(void *data, const struct userd_address *a)
{
    struct list *list = data;

    if (list->count++ > 0)
        speedy_buf_printf(list->out, ",");
    userd_address_write(list->out, a);
}

static int list_read(struct speedy_request *r, struct speedy_db *db)
{
    struct list list = {&r->out, 0};
    struct userd_person p;
    int rc = userd_person_read(db, r->user, false, &p);

    if (rc == 1)
        rc = userd_address_read(db, &p, NULL, on_listed, &list);
    else if (rc == 0)
        rc = GONE;
    userd_person_wipe(&p);
    return rc;
}

void userd_addresses_get(struct speedy_request *r, void *data)
{
    struct speedy_stores *s;
    int rc = SPEEDY_DB_RETRY;

    (void)data;
    if (!userd_no_query(r))
        return;
    s = speedy_stores_take();
    speedy_buf_printf(&r->out, "{\"data\":[");
    if (s != NULL) {
        rc = list_read(r, s->db);
        speedy_stores_give(s);
    }
    if (rc != SPEEDY_DB_OK) {
        refuse(r, rc);
        return;
    }
    r->status = 200;
    speedy_buf_printf(&r->out, "],\"has_more\":false,\"next_cursor\":null}\n");
    userd_no_store(r);
}

/* --- a new one --- */

static int insert(struct speedy_db *db, void *data, int attempt)
{
    struct act *act = data;
    int rc = user_lock(db, act);

    if (rc <= 0)
        return rc == 0 ? GONE : rc;
    act->found = false;
    if (attempt > 0)
        rc = userd_address_read(db, &act->p, act->given.id, on_one, act);
    if (rc < 0 || act->found)
        return rc < 0 ? rc : SPEEDY_DB_OK;
    act->a = act->given;
    rc =
        speedy_db_number(db, "SELECT COUNT(*) FROM addresses WHERE user_id = ?",
                         DB_ARGS(DB_TEXT(act->user)), &act->count);
    if (rc < 0)
        return rc;
    if (act->count >= USERD_ADDRESSES_MOST)
        return TOO_MANY;
    if (act->count == 0)
        act->a.is_default = true;
    rc = act->a.is_default ? default_take(db, act) : SPEEDY_DB_OK;
    if (rc == SPEEDY_DB_OK)
        rc = userd_address_insert(db, &act->p, &act->a);
    return rc == SPEEDY_DB_OK
               ? userd_address_read(db, &act->p, act->a.id, on_one, act)
               : rc;
}

#define TEXT(n, code, nul)                                                     \
    {                                                                          \
        .name = (n), .type = SPEEDY_JSON_TEXT, .absent = (code),               \
        .with_nul = (nul)                                                      \
    }
#define ADDRESS_FIELDS(code)                                                   \
    TEXT("recipient", code, "name_invalid"),                                   \
        TEXT("phone", code, "phone_invalid"),                                  \
        TEXT("postcode", code, "postcode_invalid"),                            \
        TEXT("line1", code, "line_invalid"),                                   \
        TEXT("line2", NULL, "line_invalid"),                                   \
    {                                                                          \
        .name = "is_default", .type = SPEEDY_JSON_BOOL                         \
    }

void userd_addresses_post(struct speedy_request *r, void *data)
{
    struct userd_field f[] = {ADDRESS_FIELDS(USERD_REQUIRED), {.name = NULL}};
    struct act act = {.fields = f};
    struct userd_errors e;
    char id[37];

    (void)data;
    if (!userd_no_query(r) || userd_body_read(r, &e, f) != 0)
        return;
    userd_address_take(&e, f, &act.given);
    if (userd_refused(r, &e))
        return;
    speedy_uuid7(act.given.id);
    if (run(r, insert, &act) == SPEEDY_DB_OK) {
        speedy_uuid_text(act.a.id, id);
        speedy_buf_printf(&r->headers,
                          "Location: /api/v1/users/me/addresses/%s\n", id);
        show(r, 201, &act.a);
    }
    explicit_bzero(&act, sizeof(act));
}

/* --- changing one --- */

/* Another user's address looks like one that does not exist. */
static int one_read(struct speedy_db *db, struct act *act)
{
    int rc = user_lock(db, act);

    if (rc <= 0)
        return rc == 0 ? GONE : rc;
    act->found = false;
    rc = userd_address_read(db, &act->p, act->given.id, on_one, act);
    if (rc != SPEEDY_DB_OK)
        return rc;
    return act->found ? SPEEDY_DB_OK : NO_ADDRESS;
}

static int default_move(struct speedy_db *db, struct act *act)
{
    int rc = default_take(db, act);

    if (rc != SPEEDY_DB_OK)
        return rc;
    act->a.is_default = true;
    return speedy_db_exec(
        db, "UPDATE addresses SET is_default = 1 WHERE id = ? AND user_id = ?",
        DB_ARGS(DB_BYTES(act->a.id, sizeof(act->a.id)), DB_TEXT(act->user)),
        NULL);
}

static int change(struct speedy_db *db, void *data, int attempt)
{
    struct act *act = data;
    const struct userd_field *mark = &act->fields[USERD_ADDRESS_DEFAULT];
    int rc = one_read(db, act);

    (void)attempt;
    if (rc != SPEEDY_DB_OK)
        return rc;
    if (act->a.version != act->version)
        return CONFLICT;
    if (mark->value != NULL && !act->given.is_default && act->a.is_default)
        return DEFAULT_NEEDED;
    userd_address_merge(&act->a, act->fields, &act->given);
    act->a.version++;
    rc = userd_address_update(db, &act->p, &act->a);
    if (rc == SPEEDY_DB_OK && act->given.is_default && !act->a.is_default)
        rc = default_move(db, act);
    return rc;
}

/* The id of the path; -1 after answering 404. */
static int id_take(struct speedy_request *r, unsigned char id[16])
{
    if (speedy_uuid_parse(r->id, strlen(r->id), id) == 0)
        return 0;
    refuse(r, NO_ADDRESS);
    return -1;
}

void userd_addresses_patch(struct speedy_request *r, void *data)
{
    struct userd_field f[] = {
        ADDRESS_FIELDS(NULL),
        {.name = "version", .type = SPEEDY_JSON_INT, .absent = USERD_REQUIRED},
        {.name = NULL},
    };
    struct act act = {.fields = f};
    struct userd_errors e;

    (void)data;
    if (!userd_no_query(r) || userd_body_read(r, &e, f) != 0)
        return;
    userd_address_take(&e, f, &act.given);
    if (f[USERD_ADDRESS_FIELDS].value != NULL &&
        speedy_json_int(f[USERD_ADDRESS_FIELDS].value, 1, VERSION_MOST,
                        &act.version) != 0)
        userd_error_add(&e, "/version", USERD_INVALID);
    if (userd_refused(r, &e) || id_take(r, act.given.id) != 0)
        return;
    if (run(r, change, &act) == SPEEDY_DB_OK)
        show(r, 200, &act.a);
    explicit_bzero(&act, sizeof(act));
}

/* --- deleting one --- */

static int delete (struct speedy_db *db, void *data, int attempt)
{
    struct act *act = data;
    int rc = one_read(db, act);

    if (rc != SPEEDY_DB_OK)
        return rc == NO_ADDRESS && attempt > 0 ? SPEEDY_DB_OK : rc;
    rc = speedy_db_exec(
        db, "DELETE FROM addresses WHERE id = ? AND user_id = ?",
        DB_ARGS(DB_BYTES(act->a.id, sizeof(act->a.id)), DB_TEXT(act->user)),
        NULL);
    if (rc != SPEEDY_DB_OK || !act->a.is_default)
        return rc;
    return speedy_db_exec(db,
                          "UPDATE addresses SET is_default = 1"
                          " WHERE user_id = ? ORDER BY id LIMIT 1",
                          DB_ARGS(DB_TEXT(act->user)), NULL);
}

void userd_addresses_delete(struct speedy_request *r, void *data)
{
    struct act act = {.user = r->user};

    (void)data;
    if (!userd_no_query(r) || id_take(r, act.given.id) != 0)
        return;
    if (run(r, delete, &act) == SPEEDY_DB_OK)
        userd_no_content(r);
    explicit_bzero(&act, sizeof(act));
}
