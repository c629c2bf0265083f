/*
 * The transaction of a batch, in this order: the stored offsets by
 * compare-and-set (a zombie ends here), which orders are known, the guard,
 * the rows, COMMIT. Whatever fails rolls all of it back. The primary key of
 * orders is the inbox: while nothing comes twice nobody asks it beforehand,
 * and a row that it refuses has the batch run again, asking.
 *
 * A batch that a unique key or a constraint refuses is cut in halves until
 * the one record is found that made the trouble; the others go through.
 */
#include "apply.h"

#include <stdio.h>
#include <string.h>

#include "../common/crypto.h"
#include "../common/failpoint.h"
#include "../common/log.h"
#include "cursors.h"
#include "held.h"
#include "metrics.h"
#include "rows.h"

/*
 * A record that comes twice is rare, and seldom alone: after one, this many
 * transactions ask which orders are known before they write.
 */
#define SUSPICION 64

/* Result of one attempt beside those of cursors.h. */
#define ATTEMPT_NEWER 20

int orderd_apply_init(struct orderd_apply *a, struct speedy_db *db,
                      const char *topic, int instance)
{
    memset(a, 0, sizeof(*a));
    a->db = db;
    a->topic = topic;
    a->culprit = -1;
    snprintf(a->actor, sizeof(a->actor), "orderd:%d", instance);
    a->rows = orderd_rows_new();
    return a->rows == NULL ? -1 : 0;
}

void orderd_apply_free(struct orderd_apply *a)
{
    orderd_rows_free(a->rows);
    a->rows = NULL;
}

void orderd_apply_set(struct orderd_apply *a, struct orderd_item *items,
                      size_t count)
{
    a->items = items;
    a->count = count;
    a->step = count;
    a->alone = false;
    a->in_doubt = false;
}

static struct orderd_cursor *cursor_of(struct orderd_apply *a, int partition)
{
    for (size_t i = 0; i < a->cursor_count; i++) {
        if (a->cursors[i].partition == partition)
            return &a->cursors[i];
    }
    return NULL;
}

/* Where the step leads each partition. */
static void aim(struct orderd_apply *a)
{
    for (size_t i = 0; i < a->cursor_count; i++)
        a->cursors[i].target = -1;
    for (size_t i = 0; i < a->step; i++)
        cursor_of(a, a->items[i].partition)->target = a->items[i].offset + 1;
}

/*
 * One record alone was refused by a unique key: another order of this key
 * lives, or (the holder is gone again) the next attempt goes through.
 */
static int check_key(struct orderd_apply *a)
{
    const struct speedy_event *ev;
    int64_t there;
    int rc;

    if (!a->alone || a->order_count == 0 || a->orders[0]->verdict != ORDERD_NEW)
        return SPEEDY_DB_OK;
    ev = &a->orders[0]->event;
    rc = speedy_db_number(a->db,
                          "SELECT version FROM orders WHERE sale_id = ?"
                          " AND user_id = ? AND key_live = ?",
                          DB_ARGS(DB_TEXT(ev->sale), DB_TEXT(ev->user),
                                  DB_BYTES(ev->key_digest, SPEEDY_DIGEST_LEN)),
                          &there);
    if (rc == 1)
        a->orders[0]->verdict = ORDERD_DUPLICATE_KEY;
    return rc < 0 ? rc : SPEEDY_DB_OK;
}

/* Verdicts and the guard; units count only for orders not known before. */
static int judge(struct orderd_apply *a)
{
    struct orderd_item *refused = NULL;
    int rc = SPEEDY_DB_OK;

    a->order_count = orderd_batch_distinct(a->items, a->step, a->orders);
    if (a->suspicion > 0)
        rc = orderd_rows_known(a);
    if (rc == SPEEDY_DB_OK)
        rc = check_key(a);
    if (rc != SPEEDY_DB_OK)
        return rc;
    if (a->alone && a->order_count == 1 &&
        a->orders[0]->verdict == ORDERD_DUPLICATE_KEY)
        refused = a->orders[0];
    a->order_count = orderd_batch_group(a->orders, a->order_count);
    rc = orderd_held_take(a);
    if (rc == SPEEDY_DB_OK && refused != NULL)
        a->orders[a->order_count++] = refused;
    return rc == ORDERD_HELD_NEWER ? ATTEMPT_NEWER : rc;
}

static int write_rows(struct orderd_apply *a)
{
    int rc;

    speedy_failpoint("orderd.mid_txn");
    rc = orderd_rows_orders(a);
    if (rc == SPEEDY_DB_OK)
        rc = orderd_rows_dead(a, a->items, a->step);
    return rc;
}

static int attempt(struct orderd_apply *a)
{
    int rc;

    a->culprit = -1;
    if (speedy_db_begin(a->db) != 0)
        return SPEEDY_DB_RETRY;
    aim(a);
    rc = orderd_cursors_move(a);
    if (rc == SPEEDY_DB_OK)
        rc = judge(a);
    if (rc == SPEEDY_DB_OK)
        rc = write_rows(a);
    if (rc != SPEEDY_DB_OK) {
        speedy_db_rollback(a->db);
        return rc;
    }
    speedy_failpoint("orderd.before_commit");
    a->in_doubt = true;
    if (speedy_db_commit(a->db) != 0) {
        speedy_db_rollback(a->db);
        return SPEEDY_DB_RETRY;
    }
    speedy_failpoint("orderd.after_commit");
    return SPEEDY_DB_OK;
}

/* Metrics and alarms of what was committed just now. */
static void report(struct orderd_apply *a)
{
    for (size_t i = 0; i < a->step; i++) {
        const struct orderd_item *item = &a->items[i];
        const char *reason = orderd_verdict_reason(item->verdict);
        char id[37];

        orderd_metrics_record(item->verdict);
        if (item->verdict == ORDERD_DEAD)
            speedy_log(SPEEDY_ALARM, "dead letter",
                       "partition=%d offset=%lld why=\"%s\"", item->partition,
                       (long long)item->offset, item->error);
        if (reason == NULL)
            continue;
        speedy_uuid_text(item->event.order_id, id);
        speedy_log(item->verdict == ORDERD_STALE_EPOCH ? SPEEDY_INFO
                                                       : SPEEDY_ALARM,
                   "order rejected", "order=%s sale=%s reason=%s", id,
                   item->event.sale, reason);
    }
}

/* The step is in MySQL: on with the cursors, and with the rest. */
static void advance(struct orderd_apply *a)
{
    size_t done = a->step;

    for (size_t i = 0; i < a->cursor_count; i++) {
        if (a->cursors[i].target >= 0)
            a->cursors[i].next = a->cursors[i].target;
    }
    if (a->suspicion > 0)
        a->suspicion--;
    a->items += done;
    a->count -= done;
    a->step = done * 2 < a->count ? done * 2 : a->count;
    a->alone = false;
    a->in_doubt = false;
}

/* Whether the refused step can be tried in another way. */
static bool narrow(struct orderd_apply *a, int why)
{
    a->in_doubt = false;
    if (why == SPEEDY_DB_DUPLICATE && a->suspicion == 0) {
        a->suspicion = SUSPICION;
        return true;
    }
    if (a->step > 1) {
        a->step /= 2;
        return true;
    }
    if (why == SPEEDY_DB_DUPLICATE) {
        a->alone = true;
        return true;
    }
    if (a->items[0].error != NULL)
        return false;
    a->items[0].error = "refused by a constraint of the database";
    return true;
}

enum orderd_result orderd_apply(struct orderd_apply *a)
{
    int tries = 0;

    while (a->count > 0) {
        int rc = attempt(a);

        switch (rc) {
        case SPEEDY_DB_OK:
            report(a);
            /* fallthrough */
        case ORDERD_CURSOR_DONE_BEFORE:
            advance(a);
            tries = 0;
            continue;
        case SPEEDY_DB_DUPLICATE:
        case SPEEDY_DB_REFUSED:
            if (tries++ < 32 && narrow(a, rc))
                continue;
            return ORDERD_FAILED;
        case SPEEDY_DB_RETRY:
            return ORDERD_RETRY;
        case ORDERD_CURSOR_ZOMBIE:
            return ORDERD_ZOMBIE;
        case ATTEMPT_NEWER:
            return ORDERD_NEWER_EPOCH;
        default:
            return ORDERD_FAILED;
        }
    }
    return ORDERD_DONE;
}

void orderd_apply_forget(struct orderd_apply *a, int partition)
{
    size_t kept = 0;

    for (size_t i = 0; i < a->count; i++) {
        if (a->items[i].partition != partition)
            a->items[kept++] = a->items[i];
    }
    if (kept < a->count)
        orderd_apply_set(a, a->items, kept);
}
