/*
 * A batch: records read from one or more partitions, parsed; those of one
 * partition in the order of their offsets. Pure: nothing here talks to a
 * server.
 *
 * The verdict of each record is what apply.c found out about it; until then
 * it says what parsing alone can know.
 */
#ifndef ORDERD_BATCH_H
#define ORDERD_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "../shop/event.h"

#define ORDERD_BATCH_MAX 1024

enum orderd_verdict {
    ORDERD_NEW,      /* an order; nothing else is known yet */
    ORDERD_MARKER,   /* nothing but its offset counts */
    ORDERD_DEAD,     /* goes to the dead letters; `error` says why */
    ORDERD_REPEATED, /* the same order stands earlier in this batch */
    ORDERD_KNOWN,    /* the order is in MySQL already */
    ORDERD_ACCEPTED,
    ORDERD_STALE_EPOCH,
    ORDERD_OUT_OF_STOCK,
    ORDERD_DUPLICATE_KEY
};

struct orderd_item {
    int partition;
    int64_t offset;
    enum orderd_verdict verdict;
    struct speedy_event event;
    const char *error;
    /* of the record, borrowed until the batch is done with */
    const void *key, *value;
    size_t key_len, value_len;
};

/* Parses one record into item. */
void orderd_item_parse(struct orderd_item *item, int partition, int64_t offset,
                       const void *key, size_t key_len, const void *value,
                       size_t value_len);

/*
 * Sets the verdicts of items back to what parsing knows, marks repeated
 * orders, and fills orders[] (room for count) with the distinct new ones,
 * sorted by id. Returns how many.
 */
size_t orderd_batch_distinct(struct orderd_item *items, size_t count,
                             struct orderd_item **orders);
/* The one of this id, or NULL. orders as sorted by orderd_batch_distinct. */
struct orderd_item *orderd_batch_find(struct orderd_item **orders, size_t count,
                                      const void *id);
/* Drops what is not NEW any more and sorts by (sale, variant, epoch, seq). */
size_t orderd_batch_group(struct orderd_item **orders, size_t count);
/* Length of the run from orders[0] that has one (sale, variant, epoch). */
size_t orderd_batch_run(struct orderd_item **orders, size_t count);

/* pay_by as asked, clamped to [now + min(60 s, hold), now + hold]; ms. */
int64_t orderd_pay_by(int64_t asked, int64_t now, int64_t hold);

/* The reason as it is written to MySQL; NULL for other verdicts. */
const char *orderd_verdict_reason(enum orderd_verdict verdict);

/* Unix milliseconds as a DATETIME(3) in UTC; out holds 24. */
#define ORDERD_TIME_LEN 23
void orderd_time_text(int64_t ms, char *out);
/* The last millisecond that a DATETIME can hold. */
#define ORDERD_TIME_MAX 253402300799999

#endif
