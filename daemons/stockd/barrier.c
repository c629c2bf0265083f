/*
 * See barrier.h. A partition without a stored offset has not been read at
 * all, so it is behind.
 */
#include "barrier.h"

#include <stdlib.h>
#include <string.h>

#include "../common/conf.h"
#include "../shop/event.h"

#define MARKER_KEY "marker"

struct offsets {
    int parts;
    int64_t *next;
};

void stockd_barrier_free(struct stockd_barrier *b)
{
    free(b->offset);
    b->offset = NULL;
    b->parts = 0;
}

static int send_markers(struct stockd_barrier *b, struct speedy_producer *p,
                        const struct speedy_buf *value, long timeout_ms)
{
    struct speedy_message *m = calloc((size_t)b->parts, sizeof(*m));
    int rc = -1;

    if (m == NULL)
        return -1;
    for (int i = 0; i < b->parts; i++) {
        m[i].topic = speedy_conf.kafka_orders_topic;
        m[i].partition = i;
        m[i].key = MARKER_KEY;
        m[i].key_len = sizeof(MARKER_KEY) - 1;
        m[i].value = value->data;
        m[i].value_len = value->len;
    }
    if (speedy_producer_send(p, m, (size_t)b->parts, timeout_ms) ==
        (size_t)b->parts) {
        rc = 0;
        for (int i = 0; i < b->parts; i++) {
            b->offset[i] = m[i].offset;
            if (m[i].written_partition != i || m[i].offset < 0)
                rc = -1;
        }
    }
    free(m);
    return rc;
}

int stockd_barrier_mark(struct stockd_barrier *b, struct speedy_producer *p,
                        const char *text, long timeout_ms)
{
    struct speedy_buf value = {0};
    int parts = speedy_producer_partitions(p, speedy_conf.kafka_orders_topic,
                                           timeout_ms);
    int rc;

    stockd_barrier_free(b);
    if (parts <= 0)
        return -1;
    b->offset = calloc((size_t)parts, sizeof(*b->offset));
    if (b->offset == NULL)
        return -1;
    b->parts = parts;
    speedy_marker_write(&value, text);
    rc = send_markers(b, p, &value, timeout_ms);
    speedy_buf_free(&value);
    if (rc != 0)
        stockd_barrier_free(b);
    return rc;
}

int stockd_barrier_behind(const struct stockd_barrier *b, const int64_t *next)
{
    int behind = 0;

    for (int i = 0; i < b->parts; i++) {
        if (next[i] <= b->offset[i])
            behind++;
    }
    return behind;
}

static int offset_row(void *data, const struct speedy_db_value *col,
                      size_t cols)
{
    struct offsets *o = data;

    (void)cols;
    if (col[0].number >= 0 && col[0].number < o->parts)
        o->next[col[0].number] = col[1].number;
    return 0;
}

int stockd_barrier_passed(const struct stockd_barrier *b, struct speedy_db *db)
{
    struct offsets o = {b->parts, NULL};
    int rc = -1;

    if (b->parts <= 0)
        return -1;
    o.next = malloc(sizeof(*o.next) * (size_t)b->parts);
    if (o.next == NULL)
        return -1;
    for (int i = 0; i < b->parts; i++)
        o.next[i] = -1;
    if (speedy_db_query(
            db, "SELECT part, next_offset FROM kafka_offsets WHERE topic = ?",
            DB_ARGS(DB_TEXT(speedy_conf.kafka_orders_topic)), offset_row,
            &o) == SPEEDY_DB_OK)
        rc = stockd_barrier_behind(b, o.next) == 0;
    free(o.next);
    return rc;
}
