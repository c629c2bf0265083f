/*
 * One UPDATE for all partitions of a batch: with twelve of them, an UPDATE
 * apiece would be most of a batch's round trips. Its text depends on the
 * number of partitions alone (a power of two, filled up with partition -1).
 */
#include "cursors.h"

#include <string.h>

#include "../common/json.h"
#include "../common/log.h"
#include "partitions.h"

#define TEXTS 9      /* 1, 2, 4 … 256 partitions */
#define PER_CURSOR 7 /* parameters */

#ifndef SPEEDY_BUG_NO_OFFSET_CAS
static void repeat(struct speedy_buf *b, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        speedy_buf_printf(b, "%s", text);
}

/* Built once a size, and kept. Consumer's thread. */
static const char *text_of(size_t n)
{
    static struct speedy_buf text[TEXTS];
    struct speedy_buf *b = text;

    for (size_t size = 1; size < n; size *= 2)
        b++;
    if (b->len > 0)
        return b->data;
    speedy_buf_printf(b, "UPDATE kafka_offsets SET updated_at ="
                         " CURRENT_TIMESTAMP(3), next_offset = CASE part");
    repeat(b, " WHEN ? THEN CAST(? AS SIGNED)", n);
    speedy_buf_printf(b, " END WHERE topic = ? AND part IN (-1");
    repeat(b, ",?", n);
    speedy_buf_printf(b, ") AND next_offset = CASE part");
    repeat(b, " WHEN ? THEN CAST(? AS SIGNED)", n);
    speedy_buf_printf(b, " END AND token = CASE part");
    repeat(b, " WHEN ? THEN CAST(? AS SIGNED)", n);
    speedy_buf_printf(b, " END");
    return b->data;
}

static int update(struct orderd_apply *a, const struct orderd_cursor **moved,
                  size_t n, long *changed)
{
    static const struct orderd_cursor nobody = {-1, 0, 0, 0};
    struct speedy_db_value v[ORDERD_PARTITIONS_MAX * PER_CURSOR + 1];
    size_t size = speedy_db_padded(n), at = 0;

    for (size_t i = n; i < size; i++)
        moved[i] = &nobody;
    for (size_t i = 0; i < size; i++) {
        v[at++] = DB_INT(moved[i]->partition);
        v[at++] = DB_INT(moved[i]->target);
    }
    v[at++] = DB_TEXT(a->topic);
    for (size_t i = 0; i < size; i++)
        v[at++] = DB_INT(moved[i]->partition);
    for (size_t i = 0; i < size; i++) {
        v[at++] = DB_INT(moved[i]->partition);
        v[at++] = DB_INT(moved[i]->next);
    }
    for (size_t i = 0; i < size; i++) {
        v[at++] = DB_INT(moved[i]->partition);
        v[at++] = DB_INT(moved[i]->token);
    }
    return speedy_db_exec(a->db, text_of(size), v, at, changed);
}
#else
/* For the tests: a zombie moves the offset back and writes its batch. */
static int update(struct orderd_apply *a, const struct orderd_cursor **moved,
                  size_t n, long *changed)
{
    for (size_t i = 0; i < n; i++) {
        int rc = speedy_db_exec(
            a->db,
            "UPDATE kafka_offsets SET next_offset = ?,"
            " updated_at = CURRENT_TIMESTAMP(3) WHERE topic = ? AND part = ?",
            DB_ARGS(DB_INT(moved[i]->target), DB_TEXT(a->topic),
                    DB_INT(moved[i]->partition)),
            NULL);

        if (rc != SPEEDY_DB_OK)
            return rc;
    }
    *changed = (long)n;
    return SPEEDY_DB_OK;
}
#endif

struct stored {
    int64_t next, token;
};

static int on_stored(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct stored *s = data;

    (void)cols;
    s->next = col[0].number;
    s->token = col[1].number;
    return 1;
}

/*
 * Not every row was as it must be. Those that were stand at their target by
 * now, in this transaction; one that does not is another's.
 */
static int explain(struct orderd_apply *a, const struct orderd_cursor **moved,
                   size_t n, long changed)
{
    for (size_t i = 0; i < n; i++) {
        const struct orderd_cursor *c = moved[i];
        struct stored s = {-1, -1};
        int rc = speedy_db_query(
            a->db,
            "SELECT next_offset, token FROM kafka_offsets"
            " WHERE topic = ? AND part = ?",
            DB_ARGS(DB_TEXT(a->topic), DB_INT(c->partition)), on_stored, &s);

        if (rc != SPEEDY_DB_OK)
            return rc;
        if (s.next == c->target && s.token == c->token &&
            (changed > 0 || a->in_doubt))
            continue;
        a->culprit = c->partition;
        speedy_log(SPEEDY_WARN, "stored offset is not ours: partition given up",
                   "partition=%d next=%lld token=%lld stored_next=%lld"
                   " stored_token=%lld",
                   c->partition, (long long)c->next, (long long)c->token,
                   (long long)s.next, (long long)s.token);
        return ORDERD_CURSOR_ZOMBIE;
    }
    if (changed == 0 && a->in_doubt)
        return ORDERD_CURSOR_DONE_BEFORE;
    a->culprit = moved[0]->partition;
    return ORDERD_CURSOR_ZOMBIE;
}

int orderd_cursors_move(struct orderd_apply *a)
{
    const struct orderd_cursor *moved[ORDERD_PARTITIONS_MAX];
    size_t n = 0;
    long changed = 0;
    int rc;

    for (size_t i = 0; i < a->cursor_count; i++) {
        if (a->cursors[i].target >= 0)
            moved[n++] = &a->cursors[i];
    }
    rc = update(a, moved, n, &changed);
    if (rc != SPEEDY_DB_OK || changed == (long)n)
        return rc;
    return explain(a, moved, n, changed);
}
