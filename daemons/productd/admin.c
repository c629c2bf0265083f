/*
 * The frame of an operator's request. nginx has checked the token; whether
 * the account still has that role is asked of MySQL at each act, for a token
 * lives on for minutes.
 */
#include "admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/log.h"
#include "../shop/event.h"
#include "../shop/text.h"

#define ATTEMPTS 4
#define TIME_MOST 4102444800000 /* 2100-01-01 */

struct staff {
    char login[PRODUCTD_LOGIN_MAX + 1];
    char role[11], state[11];
};

static int staff_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct staff *s = data;

    (void)cols;
    snprintf(s->login, sizeof(s->login), "%s", (const char *)col[0].bytes);
    snprintf(s->role, sizeof(s->role), "%s", (const char *)col[1].bytes);
    snprintf(s->state, sizeof(s->state), "%s", (const char *)col[2].bytes);
    return 0;
}

static bool actor_known(struct productd_admin *a)
{
    struct staff s = {0};
    int n;

    a->stores = speedy_stores_take();
    if (a->stores == NULL || speedy_db_ready(a->stores->db) != 0) {
        productd_unavailable(a->r);
        return false;
    }
    n = speedy_db_query(a->stores->db,
                        "SELECT login, role, state FROM staff WHERE id = ?",
                        DB_ARGS(DB_TEXT(a->r->user)), staff_row, &s);
    if (n != SPEEDY_DB_OK) {
        productd_unavailable(a->r);
        return false;
    }
    if (strcmp(s.state, "ACTIVE") == 0 &&
        speedy_staff_rank(s.role) >= speedy_staff_rank("OPERATOR")) {
        snprintf(a->actor, sizeof(a->actor), "staff:%s", s.login);
        return true;
    }
    speedy_log(SPEEDY_WARN, "an act of somebody who may not", "user=%s path=%s",
               a->r->user, a->r->path);
    speedy_problem(a->r, 403, "role_required", "This takes the role OPERATOR.");
    return false;
}

/* `"3"`, `W/"3"`, 3, or `*` (any). */
static int if_match(struct productd_admin *a)
{
    const char *text = speedy_request_header(a->r, "If-Match");
    char *end;

    if (text == NULL || strcmp(text, "*") == 0)
        return 0;
    text += strncmp(text, "W/", 2) == 0 ? 2 : 0;
    text += *text == '"';
    a->act.version = strtoll(text, &end, 10);
    end += *end == '"';
    if (*text >= '1' && *text <= '9' && *end == '\0' &&
        a->act.version < INT32_MAX)
        return 0;
    return productd_bad(a->r, "", "version_invalid",
                        "If-Match holds the version that you saw.");
}

static void begin(struct productd_admin *a, struct speedy_request *r)
{
    memset(a, 0, sizeof(*a));
    a->r = r;
    a->act.attempts = ATTEMPTS;
}

static bool begin_act(struct productd_admin *a)
{
    if (!actor_known(a))
        return false;
    a->act.db = a->stores->db;
    a->act.actor = a->actor;
    return true;
}

static bool reason_fits(struct productd_admin *a)
{
    const char *reason = a->act.reason;

    if (reason == NULL) {
        productd_bad(a->r, "/reason", "reason_required",
                     "Say why: the audit log keeps it.");
        return false;
    }
    if (speedy_text_valid(reason, 1, SPEEDY_REASON_MAX, false))
        return true;
    productd_bad(a->r, "/reason", "reason_invalid",
                 "A reason has 1-200 characters.");
    return false;
}

bool productd_admin_begin(struct productd_admin *a, struct speedy_request *r,
                          const char *const *names)
{
    static const char *const none[] = {NULL};

    begin(a, r);
    if (productd_known_query(r, none) != 0)
        return false;
    if (r->body_len > PRODUCTD_JSON_MOST) {
        speedy_problem(r, 413, "too_large", "The body is too large.");
        return false;
    }
    a->body = speedy_body_parse(r, names);
    if (a->body == NULL || if_match(a) != 0 ||
        productd_take_text(a, "reason", 1, SPEEDY_REASON_MAX, false,
                           "reason_invalid", &a->act.reason) != 0 ||
        !reason_fits(a) ||
        productd_take_number(a, "version", 1, INT32_MAX, "version_invalid",
                             &a->act.version) != 0)
        return false;
    return begin_act(a);
}

bool productd_admin_begin_raw(struct productd_admin *a,
                              struct speedy_request *r)
{
    static const char *const names[] = {"reason", NULL};

    begin(a, r);
    if (productd_known_query(r, names) != 0 || if_match(a) != 0)
        return false;
    a->act.reason = speedy_request_query(r, "reason");
    return reason_fits(a) && begin_act(a);
}

void productd_admin_end(struct productd_admin *a)
{
    speedy_buf_free(&a->act.detail);
    if (a->stores != NULL)
        speedy_stores_give(a->stores);
    a->stores = NULL;
}

bool productd_admin_versioned(struct productd_admin *a)
{
    if (a->act.version > 0)
        return true;
    speedy_problem(a->r, 428, "version_required",
                   "Give the version that you saw, by If-Match or in the "
                   "body.");
    return false;
}

/* Results that have one meaning. */
static const struct {
    int result, status;
    const char *code, *title;
} results[] = {
    {SPEEDY_ACT_VERSION, 412, "version_conflict",
     "Somebody changed it since: read it again."},
    {SPEEDY_ACT_OPENED, 409, "sale_opened",
     "The sale is open, or about to: this can no longer be changed."},
    {SPEEDY_ACT_OVER, 409, "sale_over", "The sale is over."},
    {SPEEDY_ACT_WINDOW, 400, "closes_before_opens",
     "The sale would close before it opens."},
    {SPEEDY_ACT_PAST, 400, "time_past", "This time has passed."},
    {SPEEDY_ACT_NOT_LATER, 409, "not_later",
     "Give a time later than the closing that stands."},
    {SPEEDY_ACT_NO_PRODUCT, 404, "product_not_found",
     "There is no such product."},
    {SPEEDY_ACT_NO_VARIANT, 404, "variant_not_found",
     "The sale has no such variant."},
    {SPEEDY_ACT_NO_IMAGE, 404, "image_not_found", "There is no such image."},
    {SPEEDY_ACT_LIMIT_STOCK, 400, "limit_exceeds_stock",
     "A shopper may not have more units than there are."},
    {SPEEDY_ACT_TOO_MANY, 409, "too_many", "That would be too many."},
    {SPEEDY_ACT_COUNTERS, 409, "units_do_not_add_up",
     "The units do not add up: run the auditor."},
};

/* Those that depend on what was acted upon, and the database's. */
static void result_told(struct productd_admin *a, int result,
                        const struct speedy_sale *s)
{
    char title[160];

    if (result == SPEEDY_ACT_MOVE) {
        snprintf(title, sizeof(title),
                 "The sale is %s: this does not start from there.",
                 s != NULL ? speedy_sale_word(s) : "unknown");
        speedy_problem(a->r, 409, "move_not_allowed", title);
    } else if (result == SPEEDY_ACT_UNKNOWN && s != NULL) {
        speedy_problem(a->r, 404, "sale_not_found", "There is no such sale.");
    } else if (result == SPEEDY_ACT_UNKNOWN) {
        speedy_problem(a->r, 404, "product_not_found",
                       "There is no such product.");
    } else if (result == SPEEDY_ACT_EXISTS) {
        speedy_problem(a->r, 409, s != NULL ? "sale_exists" : "product_exists",
                       "The id is taken; an id is never used again.");
    } else if (result == SPEEDY_DB_ERROR || result == SPEEDY_DB_REFUSED) {
        speedy_problem(a->r, 500, "internal_error",
                       "Something went wrong on our side.");
    } else {
        productd_unavailable(a->r);
    }
}

int productd_admin_result(struct productd_admin *a, int result,
                          const struct speedy_sale *s)
{
    if (result == SPEEDY_ACT_DONE)
        return 0;
    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
        if (results[i].result == result) {
            speedy_problem(a->r, results[i].status, results[i].code,
                           results[i].title);
            return -1;
        }
    }
    result_told(a, result, s);
    return -1;
}

/* --- members --- */

const char *productd_pointer(const char *name)
{
    static _Thread_local char pointer[64];

    snprintf(pointer, sizeof(pointer), "/%s", name);
    return pointer;
}

static int refuse(struct productd_admin *a, const char *name, const char *code,
                  const char *title)
{
    return productd_bad(a->r, productd_pointer(name), code, title);
}

int productd_take_id(struct productd_admin *a, const char *name, bool needed,
                     const char *code, const char **out)
{
    const struct speedy_json *v = speedy_json_get(a->body, name);
    const char *text = speedy_json_text(v);

    if (v == NULL && !needed)
        return 0;
    if (text == NULL || !speedy_id_valid(text, strlen(text)))
        return refuse(a, name, code, "An id has 1-40 of [A-Za-z0-9_-].");
    *out = text;
    return 0;
}

int productd_take_text(struct productd_admin *a, const char *name, long min,
                       long max, bool lines, const char *code, const char **out)
{
    const struct speedy_json *v = speedy_json_get(a->body, name);
    const char *text = speedy_json_text(v);
    char title[80];

    if (v == NULL)
        return 0;
    if (text != NULL && speedy_text_valid(text, min, max, lines)) {
        *out = text;
        return 0;
    }
    snprintf(title, sizeof(title), "This is a text of %ld to %ld characters.",
             min, max);
    return refuse(a, name, code, title);
}

int productd_take_number(struct productd_admin *a, const char *name,
                         int64_t min, int64_t max, const char *code,
                         int64_t *out)
{
    const struct speedy_json *v = speedy_json_get(a->body, name);
    char title[80];

    if (v == NULL || speedy_json_int(v, min, max, out) == 0)
        return 0;
    snprintf(title, sizeof(title), "This is a whole number from %lld to %lld.",
             (long long)min, (long long)max);
    return refuse(a, name, code, title);
}

int productd_take_time(struct productd_admin *a, const char *name, bool now,
                       const char *code, int64_t *out)
{
    const struct speedy_json *v = speedy_json_get(a->body, name);
    const char *text = speedy_json_text(v);
    int64_t ms = 0;

    if (v == NULL)
        return 0;
    if (now && text != NULL && strcmp(text, "now") == 0) {
        *out = -1;
        return 0;
    }
    if (text == NULL || speedy_time_parse(text, &ms) != 0 || ms <= 0 ||
        ms > TIME_MOST)
        return refuse(a, name, code,
                      "This is a time as 2026-12-01T10:00:00+09:00.");
    *out = ms;
    return 0;
}

int productd_take_word(struct productd_admin *a, const char *name,
                       const char *const *words, const char *code,
                       const char **out)
{
    const struct speedy_json *v = speedy_json_get(a->body, name);
    const char *text = speedy_json_text(v);

    if (v == NULL)
        return 0;
    for (size_t i = 0; text != NULL && words[i] != NULL; i++) {
        if (strcmp(words[i], text) == 0) {
            *out = words[i];
            return 0;
        }
    }
    return refuse(a, name, code, "This is no word that is known here.");
}
