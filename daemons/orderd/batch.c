/*
 * Parsing, sorting and grouping of a batch.
 */
#include "batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PAY_BY_LEAST 60000 /* ms that a shopper has at the least */

static enum orderd_verdict parsed_verdict(const struct orderd_item *item)
{
    if (item->error != NULL)
        return ORDERD_DEAD;
    return item->event.quantity > 0 ? ORDERD_NEW : ORDERD_MARKER;
}

void orderd_item_parse(struct orderd_item *item, int partition, int64_t offset,
                       const void *key, size_t key_len, const void *value,
                       size_t value_len)
{
    enum speedy_event_kind kind = SPEEDY_EVENT_BAD;
    const char *error = "no value";

    memset(item, 0, sizeof(*item));
    item->partition = partition;
    item->offset = offset;
    item->key = key;
    item->key_len = key_len;
    item->value = value;
    item->value_len = value_len;
    if (value != NULL)
        kind = speedy_event_parse(value, value_len, &item->event, &error);
    if (kind == SPEEDY_EVENT_ORDER &&
        (item->event.reserved_at > ORDERD_TIME_MAX ||
         item->event.pay_by > ORDERD_TIME_MAX)) {
        kind = SPEEDY_EVENT_BAD;
        error = "a time is out of range";
    }
    if (kind == SPEEDY_EVENT_BAD)
        item->error = error;
    if (kind != SPEEDY_EVENT_ORDER)
        item->event.quantity = 0;
    item->verdict = parsed_verdict(item);
}

static int by_id(const void *a, const void *b)
{
    const struct orderd_item *x = *(struct orderd_item *const *)a;
    const struct orderd_item *y = *(struct orderd_item *const *)b;
    int order = memcmp(x->event.order_id, y->event.order_id, 16);

    if (order != 0)
        return order;
    return (x > y) - (x < y);
}

size_t orderd_batch_distinct(struct orderd_item *items, size_t count,
                             struct orderd_item **orders)
{
    size_t n = 0, kept = 0;

    for (size_t i = 0; i < count; i++) {
        items[i].verdict = parsed_verdict(&items[i]);
        if (items[i].verdict == ORDERD_NEW)
            orders[n++] = &items[i];
    }
    qsort(orders, n, sizeof(orders[0]), by_id);
    for (size_t i = 0; i < n; i++) {
        if (kept > 0 && memcmp(orders[kept - 1]->event.order_id,
                               orders[i]->event.order_id, 16) == 0)
            orders[i]->verdict = ORDERD_REPEATED;
        else
            orders[kept++] = orders[i];
    }
    return kept;
}

struct orderd_item *orderd_batch_find(struct orderd_item **orders, size_t count,
                                      const void *id)
{
    size_t low = 0, high = count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = memcmp(orders[middle]->event.order_id, id, 16);

        if (order == 0)
            return orders[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static int compare(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int same_group(const struct orderd_item *x, const struct orderd_item *y)
{
    int order = strcmp(x->event.sale, y->event.sale);

    if (order == 0)
        order = strcmp(x->event.variant, y->event.variant);
    if (order == 0)
        order = compare(x->event.epoch, y->event.epoch);
    return order;
}

static int by_group(const void *a, const void *b)
{
    const struct orderd_item *x = *(struct orderd_item *const *)a;
    const struct orderd_item *y = *(struct orderd_item *const *)b;
    int order = same_group(x, y);

    return order != 0 ? order : compare(x->event.seq, y->event.seq);
}

size_t orderd_batch_group(struct orderd_item **orders, size_t count)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        if (orders[i]->verdict == ORDERD_NEW)
            orders[kept++] = orders[i];
    }
    qsort(orders, kept, sizeof(orders[0]), by_group);
    return kept;
}

size_t orderd_batch_run(struct orderd_item **orders, size_t count)
{
    size_t n = 1;

    while (n < count && same_group(orders[0], orders[n]) == 0)
        n++;
    return n;
}

int64_t orderd_pay_by(int64_t asked, int64_t now, int64_t hold)
{
    int64_t least = now + (hold < PAY_BY_LEAST ? hold : PAY_BY_LEAST);
    int64_t most = now + hold;

    if (asked < least)
        return least;
    return asked > most ? most : asked;
}

const char *orderd_verdict_reason(enum orderd_verdict verdict)
{
    switch (verdict) {
    case ORDERD_STALE_EPOCH:
        return "STALE_EPOCH";
    case ORDERD_OUT_OF_STOCK:
        return "OUT_OF_STOCK";
    case ORDERD_DUPLICATE_KEY:
        return "DUPLICATE_KEY";
    default:
        return NULL;
    }
}

void orderd_time_text(int64_t ms, char *out)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    size_t n;

    gmtime_r(&seconds, &tm);
    n = strftime(out, ORDERD_TIME_LEN + 1, "%Y-%m-%d %H:%M:%S", &tm);
    snprintf(out + n, ORDERD_TIME_LEN + 1 - n, ".%03d", (int)(ms % 1000));
}
