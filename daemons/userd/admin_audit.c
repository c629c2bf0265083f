/*
 * GET /admin/audit-log: acts of operators, theirs at the desk and those of
 * speedyctl, newest first. No account may change or delete a row of it.
 */
#include <string.h>

#include "admin.h"
#include "userd.h"

#define DETAIL_MOST 65536
#define DETAIL_DEPTH 8

struct page {
    struct speedy_buf *out;
    long limit, count;
    unsigned char last[8];
};

static void id_bytes(int64_t id, unsigned char out[8])
{
    for (int i = 0; i < 8; i++)
        out[i] = (unsigned char)((uint64_t)id >> (56 - 8 * i));
}

/* A cursor's id; without one (all bits set) the greatest there may be. */
static int64_t id_of(const unsigned char in[8])
{
    uint64_t id = 0;

    for (int i = 0; i < 8; i++)
        id = id << 8 | in[i];
    return id > INT64_MAX ? INT64_MAX : (int64_t)id;
}

/* Ours are objects; any other text is shown as one. */
static void detail_write(struct speedy_buf *out, const char *text, size_t len)
{
    enum speedy_json_error error;
    struct speedy_json *j =
        speedy_json_parse(text, len, DETAIL_MOST, DETAIL_DEPTH, &error);

    speedy_buf_printf(out, "\"detail\":");
    if (j != NULL)
        speedy_buf_add(out, text, len);
    else
        speedy_buf_json(out, text);
    speedy_json_free(j);
}

static int row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct page *p = data;
    struct speedy_buf *out = p->out;

    (void)cols;
    p->count++;
    if (p->count > p->limit)
        return 1;
    speedy_buf_printf(out, "%s{\"id\":%lld,", p->count > 1 ? "," : "",
                      (long long)col[0].number);
    userd_time_member(out, "at", col[1].number);
    speedy_buf_printf(out, ",");
    userd_text_member(out, "actor", col[2].bytes);
    speedy_buf_printf(out, ",");
    userd_text_member(out, "act", col[3].bytes);
    speedy_buf_printf(out, ",");
    userd_text_member(out, "object", col[4].bytes);
    speedy_buf_printf(out, ",");
    userd_text_member(out, "reason", col[5].bytes);
    speedy_buf_printf(out, ",");
    detail_write(out, col[6].bytes, col[6].len);
    speedy_buf_printf(out, "}");
    id_bytes(col[0].number, p->last);
    return 0;
}

#define COLUMNS                                                                \
    "SELECT id, " SPEEDY_MS("at") ", actor, act, object, reason, detail FROM " \
                                  "audit_log WHERE "
#define FILTER                                                                 \
    "id < ? AND (? IS NULL OR actor = ?) AND (? IS NULL OR act = ?) "          \
    "ORDER BY id DESC LIMIT ?"

static struct speedy_db_value text_or_null(const char *text)
{
    return text != NULL ? DB_TEXT(text) : DB_NULL;
}

static void list(struct userd_admin *a)
{
    static const char *const names[] = {"actor",  "act",   "object",
                                        "cursor", "limit", NULL};
    struct speedy_request *r = a->r;
    const char *name = speedy_request_query(r, "actor"), *object, *word;
    struct speedy_db_value actor, act;
    struct page p = {.out = &r->out};
    unsigned char before[8];
    int rc;

    p.limit = userd_page_asked(r, names, before, sizeof(before));
    if (p.limit < 0 || !userd_word_asked(r, "object", &object) ||
        !userd_word_asked(r, "act", &word))
        return;
    if (name != NULL && !userd_reason_valid(name)) {
        speedy_problem(r, 400, "invalid_request", "actor is a name.");
        return;
    }
    actor = text_or_null(name);
    act = text_or_null(word);
    speedy_buf_printf(&r->out, "{\"data\":[");
    if (object != NULL)
        rc = speedy_db_query(a->s->db, COLUMNS "object = ? AND " FILTER,
                             DB_ARGS(DB_TEXT(object), DB_INT(id_of(before)),
                                     actor, actor, act, act,
                                     DB_INT(p.limit + 1)),
                             row, &p);
    else
        rc = speedy_db_query(a->s->db, COLUMNS FILTER,
                             DB_ARGS(DB_INT(id_of(before)), actor, actor, act,
                                     act, DB_INT(p.limit + 1)),
                             row, &p);
    if (rc != SPEEDY_DB_OK)
        userd_unavailable(r);
    else
        userd_page_end(r, p.count > p.limit ? p.last : NULL, sizeof(p.last));
}
struct userd_admin_act userd_admin_audit_list = {list};
