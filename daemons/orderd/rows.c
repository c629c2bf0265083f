/*
 * Statements for many rows. Buffers are made once: a batch allocates
 * nothing. Sizes are powers of two; what a batch has more is said in several
 * statements, and an IN list is filled up with its last id.
 */
#include "rows.h"

#include <stdlib.h>
#include <string.h>

#include "../common/log.h"

#define ORDER_COLUMNS 14 /* parameters of a row */
#define EVENT_COLUMNS 3
#define HEAD_MAX 255 /* of dead_letters.record_key */
#define HOLDS_MAX 16 /* sales whose hold is kept during one batch */

struct times {
    char reserved_at[ORDERD_TIME_LEN + 1], pay_by[ORDERD_TIME_LEN + 1];
};

struct orderd_rows {
    struct speedy_db_value values[ORDERD_BATCH_MAX * ORDER_COLUMNS];
    struct times times[ORDERD_BATCH_MAX];
    struct orderd_item *alike[ORDERD_BATCH_MAX];
    char now[ORDERD_TIME_LEN + 1];
    struct {
        char sale[SPEEDY_ID_MAX + 1];
        int64_t hold;
    } holds[HOLDS_MAX];
    size_t hold_count;
};

struct orderd_rows *orderd_rows_new(void)
{
    return calloc(1, sizeof(struct orderd_rows));
}

void orderd_rows_free(struct orderd_rows *rows)
{
    free(rows);
}

static int on_known(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct orderd_apply *a = data;
    struct orderd_item *item;

    (void)cols;
    item = orderd_batch_find(a->orders, a->order_count, col[0].bytes);
    if (item != NULL)
        item->verdict = ORDERD_KNOWN;
    return 0;
}

int orderd_rows_known(struct orderd_apply *a)
{
    size_t n = speedy_db_padded(a->order_count);
    struct speedy_db_value *v = a->rows->values;

    if (a->order_count == 0)
        return SPEEDY_DB_OK;
    for (size_t i = 0; i < n; i++) {
        size_t at = i < a->order_count ? i : a->order_count - 1;

        v[i] = DB_BYTES(a->orders[at]->event.order_id, 16);
    }
    return speedy_db_query_many(a->db, "SELECT id FROM orders WHERE id IN (",
                                "?", n, ")", v, n, on_known, a);
}

static int on_sale(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct orderd_apply *a = data;
    struct orderd_rows *rows = a->rows;

    (void)cols;
    rows->holds[rows->hold_count++].hold = col[0].number;
    if (a->now != 0)
        return 1;
    a->now = col[1].number;
    orderd_time_text(a->now, rows->now);
    return 1;
}

/*
 * The sale's hold, asked once a transaction; the first answer brings the
 * database's clock along. The sale is there: a variant of it was.
 */
static int hold_of(struct orderd_apply *a, const char *sale, int64_t *hold)
{
    struct orderd_rows *rows = a->rows;
    size_t i = 0;

    while (i < rows->hold_count && strcmp(rows->holds[i].sale, sale) != 0)
        i++;
    if (i == rows->hold_count) {
        int rc;

        if (i == HOLDS_MAX)
            i = rows->hold_count = 0;
        memcpy(rows->holds[i].sale, sale, strlen(sale) + 1);
        rc = speedy_db_query(a->db,
                             "SELECT hold_ms,"
                             " CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)"
                             " FROM sales WHERE id = ?",
                             DB_ARGS(DB_TEXT(sale)), on_sale, a);
        if (rc != SPEEDY_DB_OK)
            return rc;
        if (rows->hold_count == i)
            return SPEEDY_DB_REFUSED;
    }
    *hold = rows->holds[i].hold;
    return SPEEDY_DB_OK;
}

static void order_row(struct orderd_apply *a, const struct orderd_item *item,
                      int64_t hold, size_t at)
{
    const struct speedy_event *ev = &item->event;
    struct speedy_db_value *v = &a->rows->values[at * ORDER_COLUMNS];
    struct times *t = &a->rows->times[at];

    orderd_time_text(ev->reserved_at, t->reserved_at);
    orderd_time_text(orderd_pay_by(ev->pay_by, a->now, hold), t->pay_by);
    *v++ = DB_BYTES(ev->order_id, 16);
    *v++ = DB_TEXT(ev->sale);
    *v++ = DB_TEXT(ev->variant);
    *v++ = DB_TEXT(ev->user);
    *v++ = DB_INT(ev->quantity);
    *v++ = DB_INT(ev->unit_price);
    *v++ = DB_INT(ev->epoch);
    *v++ = DB_INT(ev->seq);
    *v++ = DB_BYTES(ev->key_digest, SPEEDY_DIGEST_LEN);
    *v++ = DB_BYTES(ev->body_digest, SPEEDY_DIGEST_LEN);
    *v++ = DB_TEXT(ev->request_id);
    *v++ = DB_BYTES(t->reserved_at, ORDERD_TIME_LEN);
    *v++ = DB_BYTES(t->pay_by, ORDERD_TIME_LEN);
    *v = DB_BYTES(a->rows->now, ORDERD_TIME_LEN);
}

#define INSERT_ORDERS                                                          \
    "INSERT INTO orders (id, sale_id, variant, user_id, quantity, unit_price," \
    " epoch, seq, key_digest, body_digest, request_id, reserved_at, pay_by,"   \
    " created_at, updated_at, state, units_live, key_live, reject_reason)"     \
    " VALUES "
#define INSERT_EVENTS                                                          \
    "INSERT INTO order_events (order_id, version, from_state, to_state,"       \
    " actor, reason, at) VALUES "

/*
 * A row's later values name earlier columns of the same row: what is the same
 * by definition is sent once.
 */
struct words {
    const char *order, *event;
};
static const struct words accepted = {
    "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,created_at,'PENDING_PAYMENT',quantity,"
    "key_digest,NULL)",
    "(?,1,'','PENDING_PAYMENT',?,'accepted',?)"};
static const struct words stale = {
    "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,created_at,'REJECTED',0,NULL,"
    "'STALE_EPOCH')",
    "(?,1,'','REJECTED',?,'STALE_EPOCH',?)"};
static const struct words out_of_stock = {
    "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,created_at,'REJECTED',0,NULL,"
    "'OUT_OF_STOCK')",
    "(?,1,'','REJECTED',?,'OUT_OF_STOCK',?)"};
static const struct words duplicate_key = {
    "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,created_at,'REJECTED',0,NULL,"
    "'DUPLICATE_KEY')",
    "(?,1,'','REJECTED',?,'DUPLICATE_KEY',?)"};

static int insert_orders(struct orderd_apply *a, struct orderd_item **orders,
                         size_t n, const char *group)
{
    for (size_t i = 0; i < n; i++) {
        int64_t hold = 0;
        int rc = hold_of(a, orders[i]->event.sale, &hold);

        if (rc != SPEEDY_DB_OK)
            return rc;
        order_row(a, orders[i], hold, i);
    }
    return speedy_db_exec_many(a->db, INSERT_ORDERS, group, n, "",
                               a->rows->values, n * ORDER_COLUMNS, NULL);
}

static int insert_events(struct orderd_apply *a, struct orderd_item **orders,
                         size_t n, const char *group)
{
    struct speedy_db_value *v = a->rows->values;

    for (size_t i = 0; i < n; i++) {
        *v++ = DB_BYTES(orders[i]->event.order_id, 16);
        *v++ = DB_TEXT(a->actor);
        *v++ = DB_BYTES(a->rows->now, ORDERD_TIME_LEN);
    }
    return speedy_db_exec_many(a->db, INSERT_EVENTS, group, n, "",
                               a->rows->values, n * EVENT_COLUMNS, NULL);
}

/* All orders of one verdict. */
static int insert_alike(struct orderd_apply *a, enum orderd_verdict verdict,
                        const struct words *words)
{
    struct orderd_item **alike = a->rows->alike;
    size_t count = 0, n;

    for (size_t i = 0; i < a->order_count; i++) {
        if (a->orders[i]->verdict == verdict)
            alike[count++] = a->orders[i];
    }
    for (size_t i = 0; i < count; i += n) {
        int rc;

        n = speedy_db_chunk(count - i);
        rc = insert_orders(a, &alike[i], n, words->order);
        if (rc == SPEEDY_DB_OK)
            rc = insert_events(a, &alike[i], n, words->event);
        if (rc != SPEEDY_DB_OK)
            return rc;
    }
    return SPEEDY_DB_OK;
}

int orderd_rows_orders(struct orderd_apply *a)
{
    int rc;

    a->rows->hold_count = 0;
    a->now = 0;
    rc = insert_alike(a, ORDERD_ACCEPTED, &accepted);
    if (rc == SPEEDY_DB_OK)
        rc = insert_alike(a, ORDERD_STALE_EPOCH, &stale);
    if (rc == SPEEDY_DB_OK)
        rc = insert_alike(a, ORDERD_OUT_OF_STOCK, &out_of_stock);
    if (rc == SPEEDY_DB_OK)
        rc = insert_alike(a, ORDERD_DUPLICATE_KEY, &duplicate_key);
    return rc;
}

static int insert_dead(struct orderd_apply *a, const struct orderd_item *item)
{
    size_t key_len = item->key_len < HEAD_MAX ? item->key_len : HEAD_MAX;
    int64_t there;
    int rc;

    /* A topic that was made anew has the offsets of the old one. */
    rc = speedy_db_number(a->db,
                          "SELECT id FROM dead_letters WHERE topic = ?"
                          " AND part = ? AND offset_at = ?",
                          DB_ARGS(DB_TEXT(a->topic), DB_INT(item->partition),
                                  DB_INT(item->offset)),
                          &there);
    if (rc != 0)
        return rc < 0 ? rc : SPEEDY_DB_OK;
    return speedy_db_exec(
        a->db,
        "INSERT INTO dead_letters (topic, part, offset_at, record_key,"
        " record_value, error) VALUES (?, ?, ?, ?, ?, ?)",
        DB_ARGS(
            DB_TEXT(a->topic), DB_INT(item->partition), DB_INT(item->offset),
            DB_BYTES(item->key == NULL ? "" : item->key, key_len),
            DB_BYTES(item->value == NULL ? "" : item->value, item->value_len),
            DB_TEXT(item->error)),
        NULL);
}

int orderd_rows_dead(struct orderd_apply *a, struct orderd_item *items,
                     size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int rc;

        if (items[i].verdict != ORDERD_DEAD)
            continue;
        rc = insert_dead(a, &items[i]);
        if (rc != SPEEDY_DB_OK)
            return rc;
    }
    return SPEEDY_DB_OK;
}
