/*
 * SQL of expiry. The due rows are found by the index `due` (state, pay_by);
 * rows put aside are left out of the search, so that they block nobody.
 */
#include "expire_rows.h"

#include <string.h>

#include "../common/log.h"

#define DUE_STATES "state IN ('PENDING_PAYMENT', 'PAY_READY', 'PAY_FAILED')"

/* The ids put aside, filled up to a power of two (one impossible id at the
 * least). Returns how many. */
static size_t aside_values(const struct schedd_expire *x,
                           struct speedy_db_value *v)
{
    static const unsigned char none[16];
    size_t n = speedy_db_padded(x->aside_count);

    for (size_t i = 0; i < n; i++) {
        const void *id = x->aside_count == 0  ? none
                         : i < x->aside_count ? x->aside[i].id
                                              : x->aside[0].id;

        v[i] = DB_BYTES(id, 16);
    }
    return n;
}

static int on_any(void *data, const struct speedy_db_value *col, size_t cols)
{
    (void)col;
    (void)cols;
    *(int *)data = 1;
    return 1;
}

int schedd_rows_any(struct schedd_expire *x)
{
    struct speedy_db_value v[SCHEDD_ASIDE_MAX];
    size_t n = aside_values(x, v);
    int any = 0, rc;

    rc = speedy_db_query_many(x->db,
                              "SELECT 1 FROM orders FORCE INDEX (due)"
                              " WHERE " DUE_STATES " AND pay_by <= NOW(3)"
                              " AND id NOT IN (",
                              "?", n, ") LIMIT 1", v, n, on_any, &any);
    return rc == SPEEDY_DB_OK ? any : rc;
}

static int text(const struct speedy_db_value *v, char *out, size_t size)
{
    if (v->kind != SPEEDY_DB_BYTES || v->len >= size)
        return -1;
    memcpy(out, v->bytes, v->len);
    out[v->len] = '\0';
    return 0;
}

static int on_due(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct schedd_expire *x = data;
    struct schedd_due *due = &x->due[x->count];
    int bad = 0;

    (void)cols;
    memset(due, 0, sizeof(*due));
    if (col[0].kind != SPEEDY_DB_BYTES || col[0].len != sizeof(due->id))
        return 0;
    memcpy(due->id, col[0].bytes, sizeof(due->id));
    bad |= text(&col[1], due->sale, sizeof(due->sale));
    bad |= text(&col[2], due->variant, sizeof(due->variant));
    bad |= text(&col[3], due->state, sizeof(due->state));
    due->version = col[4].number;
    due->units = col[5].number;
    due->withheld = col[6].number;
    due->late = col[7].number;
    x->count += !bad;
    return 0;
}

int schedd_rows_lock(struct schedd_expire *x, size_t limit)
{
    struct speedy_db_value v[SCHEDD_ASIDE_MAX + 1];
    size_t n = aside_values(x, v);

    v[n] = DB_INT((int64_t)limit);
    return speedy_db_query_many(
        x->db,
        "SELECT id, sale_id, variant, state, version, units_live,"
        " units_withheld,"
        " TIMESTAMPDIFF(MICROSECOND, pay_by, NOW(3)) DIV 1000"
        " FROM orders FORCE INDEX (due) WHERE " DUE_STATES
        " AND pay_by <= NOW(3) AND id NOT IN (",
        "?", n, ") LIMIT ? FOR UPDATE SKIP LOCKED", v, n + 1, on_due, x);
}

int schedd_rows_policy(struct schedd_expire *x)
{
    for (size_t i = 0; i < x->count; i++) {
        struct schedd_due *due = &x->due[i];
        int64_t withhold = 0;
        int rc;

        if (i > 0 && strcmp(due->sale, due[-1].sale) == 0) {
            due->withhold = due[-1].withhold;
            continue;
        }
        rc = speedy_db_number(
            x->db, "SELECT restock <> 'immediate' FROM sales WHERE id = ?",
            DB_ARGS(DB_TEXT(due->sale)), &withhold);
        if (rc != 1)
            return rc < 0 ? rc : SPEEDY_DB_REFUSED;
        due->withhold = withhold != 0;
    }
    return SPEEDY_DB_OK;
}

static bool moves_alike(const struct schedd_due *a, const struct schedd_due *b)
{
    return a->version == b->version && a->withhold == b->withhold &&
           strcmp(a->state, b->state) == 0;
}

/* Moves due[first] and the later orders that are like it. */
static int move_alike(struct schedd_expire *x, size_t first, bool *done)
{
    static const char immediate[] =
        "UPDATE orders SET state = 'EXPIRED', version = version + 1,"
        " units_live = 0, updated_at = CURRENT_TIMESTAMP(3)"
        " WHERE state = ? AND version = ? AND pay_by <= NOW(3) AND id IN (";
    static const char withhold[] =
        "UPDATE orders SET state = 'EXPIRED', version = version + 1,"
        " units_withheld = units_withheld + units_live,"
        " units_live = 0, updated_at = CURRENT_TIMESTAMP(3)"
        " WHERE state = ? AND version = ? AND pay_by <= NOW(3) AND id IN (";
    const struct schedd_due *like = &x->due[first];
    struct speedy_db_value v[SCHEDD_BATCH_MAX + 2];
    size_t n = 0, size;
    long moved;
    int rc;

    v[0] = DB_TEXT(like->state);
    v[1] = DB_INT(like->version);
    for (size_t i = first; i < x->count; i++) {
        if (done[i] || !moves_alike(like, &x->due[i]))
            continue;
        done[i] = true;
        v[2 + n++] = DB_BYTES(x->due[i].id, 16);
    }
    size = speedy_db_padded(n);
    for (size_t i = n; i < size; i++)
        v[2 + i] = v[2];
    rc = speedy_db_exec_many(x->db, like->withhold ? withhold : immediate, "?",
                             size, ")", v, size + 2, &moved);
    if (rc != SPEEDY_DB_OK)
        return rc;
    return moved == (long)n ? SPEEDY_DB_OK : SPEEDY_DB_REFUSED;
}

int schedd_rows_move(struct schedd_expire *x)
{
    bool done[SCHEDD_BATCH_MAX] = {false};

    for (size_t i = 0; i < x->count; i++) {
        int rc;

        if (done[i])
            continue;
        rc = move_alike(x, i, done);
        if (rc != SPEEDY_DB_OK)
            return rc;
    }
    return SPEEDY_DB_OK;
}

/* One variant: due[first..end). */
static int variant_units(struct schedd_expire *x, size_t first, size_t end)
{
    const struct schedd_due *v = &x->due[first];
    int64_t units = 0, epoch = 0;
    long changed;
    int rc;

    for (size_t i = first; i < end; i++)
        units += x->due[i].units;
    rc = speedy_db_exec(
        x->db,
        "UPDATE sale_variants SET held = held - ?, withheld = withheld + ?"
        " WHERE sale_id = ? AND variant = ? AND held >= ?",
        DB_ARGS(DB_INT(units), DB_INT(v->withhold ? units : 0),
                DB_TEXT(v->sale), DB_TEXT(v->variant), DB_INT(units)),
        &changed);
    if (rc != SPEEDY_DB_OK)
        return rc;
    if (changed != 1 && units > 0)
        return SPEEDY_DB_REFUSED;
    rc = speedy_db_number(x->db,
                          "SELECT epoch FROM sale_variants"
                          " WHERE sale_id = ? AND variant = ?",
                          DB_ARGS(DB_TEXT(v->sale), DB_TEXT(v->variant)),
                          &epoch);
    if (rc != 1)
        return rc < 0 ? rc : SPEEDY_DB_REFUSED;
    for (size_t i = first; i < end; i++)
        x->due[i].epoch = epoch;
    return SPEEDY_DB_OK;
}

int schedd_rows_units(struct schedd_expire *x)
{
    size_t end;

    for (size_t i = 0; i < x->count; i = end) {
        int rc;

        for (end = i + 1; end < x->count; end++) {
            if (strcmp(x->due[i].sale, x->due[end].sale) != 0 ||
                strcmp(x->due[i].variant, x->due[end].variant) != 0)
                break;
        }
        rc = variant_units(x, i, end);
        if (rc != SPEEDY_DB_OK)
            return rc;
    }
    return SPEEDY_DB_OK;
}

static int insert(struct schedd_expire *x, const char *head, const char *group,
                  const struct speedy_db_value *v, size_t rows, size_t columns)
{
    size_t n;

    for (size_t i = 0; i < rows; i += n) {
        int rc;

        n = speedy_db_chunk(rows - i);
        rc = speedy_db_exec_many(x->db, head, group, n, "", &v[i * columns],
                                 n * columns, NULL);
        if (rc != SPEEDY_DB_OK)
            return rc;
    }
    return SPEEDY_DB_OK;
}

int schedd_rows_history(struct schedd_expire *x)
{
    struct speedy_db_value v[SCHEDD_BATCH_MAX * 4], *at = v;
    size_t releases = 0;
    int rc;

    for (size_t i = 0; i < x->count; i++) {
        *at++ = DB_BYTES(x->due[i].id, 16);
        *at++ = DB_INT(x->due[i].version + 1);
        *at++ = DB_TEXT(x->due[i].state);
        *at++ = DB_TEXT(x->actor);
    }
    rc = insert(x,
                "INSERT INTO order_events (order_id, version, from_state,"
                " to_state, actor, reason) VALUES ",
                "(?,?,?,'EXPIRED',?,'hold ended')", v, x->count, 4);
    if (rc != SPEEDY_DB_OK)
        return rc;
    at = v;
    for (size_t i = 0; i < x->count; i++) {
        if (x->due[i].withhold)
            continue;
        *at++ = DB_TEXT(x->due[i].sale);
        *at++ = DB_BYTES(x->due[i].id, 16);
        *at++ = DB_INT(x->due[i].withheld);
        *at++ = DB_INT(x->due[i].epoch);
        releases++;
    }
    return insert(x,
                  "INSERT INTO release_outbox (sale_id, order_id, target,"
                  " epoch) VALUES ",
                  "(?,?,?,?)", v, releases, 4);
}
