/*
 * One guarded UPDATE for each (sale, variant, epoch), in key order, so that
 * instances never wait for each other in a circle. The epoch is compared in
 * this very UPDATE: a rebuild that raises it in between leaves 0 rows.
 */
#include "held.h"

#include <string.h>

#include "../common/failpoint.h"
#include "../common/log.h"

struct variant {
    int64_t epoch, free;
    bool found;
};

static int on_variant(void *data, const struct speedy_db_value *col,
                      size_t cols)
{
    struct variant *v = data;

    (void)cols;
    v->epoch = col[0].number;
    v->free = col[1].number;
    v->found = true;
    return 1;
}

/* 1 when the guard held, 0 when not, < 0: enum speedy_db_status. */
static int raise(struct orderd_apply *a, const struct speedy_event *ev,
                 int64_t units)
{
    long changed = 0;
    int rc;

#if defined(SPEEDY_BUG_NO_EPOCH_CHECK)
    /* For the tests: an order of a lost ledger is written all the same. */
    rc = speedy_db_exec(a->db,
                        "UPDATE sale_variants SET held = held + ?"
                        " WHERE sale_id = ? AND variant = ?"
                        " AND held + sold + withheld + ? <= total",
                        DB_ARGS(DB_INT(units), DB_TEXT(ev->sale),
                                DB_TEXT(ev->variant), DB_INT(units)),
                        &changed);
#elif defined(SPEEDY_BUG_EPOCH_READ_BEFORE_UPDATE)
    /* For the tests: a rebuild may fall between the two statements. */
    int64_t epoch = 0;

    rc = speedy_db_number(a->db,
                          "SELECT epoch FROM sale_variants"
                          " WHERE sale_id = ? AND variant = ?",
                          DB_ARGS(DB_TEXT(ev->sale), DB_TEXT(ev->variant)),
                          &epoch);
    if (rc < 0 || epoch != ev->epoch)
        return rc < 0 ? rc : 0;
    speedy_failpoint("orderd.epoch_read");
    rc = speedy_db_exec(a->db,
                        "UPDATE sale_variants SET held = held + ?"
                        " WHERE sale_id = ? AND variant = ?"
                        " AND held + sold + withheld + ? <= total",
                        DB_ARGS(DB_INT(units), DB_TEXT(ev->sale),
                                DB_TEXT(ev->variant), DB_INT(units)),
                        &changed);
#else
    rc = speedy_db_exec(a->db,
                        "UPDATE sale_variants SET held = held + ?"
                        " WHERE sale_id = ? AND variant = ? AND epoch = ?"
                        " AND held + sold + withheld + ? <= total",
                        DB_ARGS(DB_INT(units), DB_TEXT(ev->sale),
                                DB_TEXT(ev->variant), DB_INT(ev->epoch),
                                DB_INT(units)),
                        &changed);
#endif
    if (rc != SPEEDY_DB_OK)
        return rc;
    return changed == 1;
}

static void all(struct orderd_item **run, size_t n, enum orderd_verdict verdict)
{
    for (size_t i = 0; i < n; i++)
        run[i]->verdict = verdict;
}

/* Too few units for all: in order of arrival, whoever fits. */
static int one_by_one(struct orderd_apply *a, struct orderd_item **run,
                      size_t n, int64_t free)
{
    int64_t units = 0;
    int rc;

    for (size_t i = 0; i < n; i++) {
        if (units + run[i]->event.quantity <= free) {
            units += run[i]->event.quantity;
            run[i]->verdict = ORDERD_ACCEPTED;
        } else {
            run[i]->verdict = ORDERD_OUT_OF_STOCK;
        }
    }
    if (units == 0)
        return SPEEDY_DB_OK;
    rc = raise(a, &run[0]->event, units);
    /* The row is locked by us: nothing can have changed. */
    return rc == 0 ? SPEEDY_DB_RETRY : rc < 0 ? rc : SPEEDY_DB_OK;
}

/* The guard refused: the row, locked, says why. */
static int explain(struct orderd_apply *a, struct orderd_item **run, size_t n)
{
    const struct speedy_event *ev = &run[0]->event;
    struct variant v = {0};
    int rc = speedy_db_query(
        a->db,
        "SELECT epoch, CAST(total - held - sold - withheld AS SIGNED)"
        " FROM sale_variants WHERE sale_id = ? AND variant = ? FOR UPDATE",
        DB_ARGS(DB_TEXT(ev->sale), DB_TEXT(ev->variant)), on_variant, &v);

    if (rc != SPEEDY_DB_OK)
        return rc;
    if (!v.found) {
        all(run, n, ORDERD_DEAD);
        for (size_t i = 0; i < n; i++)
            run[i]->error = "unknown sale or variant";
        return SPEEDY_DB_OK;
    }
#ifndef SPEEDY_BUG_NO_EPOCH_CHECK
    if (ev->epoch > v.epoch) {
        a->culprit = run[0]->partition;
        speedy_log(SPEEDY_ALARM, "an epoch that MySQL never gave",
                   "partition=%d offset=%lld sale=%s variant=%s epoch=%lld"
                   " mysql=%lld",
                   run[0]->partition, (long long)run[0]->offset, ev->sale,
                   ev->variant, (long long)ev->epoch, (long long)v.epoch);
        return ORDERD_HELD_NEWER;
    }
    if (ev->epoch < v.epoch) {
        all(run, n, ORDERD_STALE_EPOCH);
        return SPEEDY_DB_OK;
    }
#endif
    return one_by_one(a, run, n, v.free);
}

static int take_run(struct orderd_apply *a, struct orderd_item **run, size_t n)
{
    int64_t units = 0;
    int rc;

    for (size_t i = 0; i < n; i++)
        units += run[i]->event.quantity;
    rc = raise(a, &run[0]->event, units);
    if (rc == 0)
        return explain(a, run, n);
    if (rc < 0)
        return rc;
    all(run, n, ORDERD_ACCEPTED);
    return SPEEDY_DB_OK;
}

int orderd_held_take(struct orderd_apply *a)
{
    size_t n;

    for (size_t i = 0; i < a->order_count; i += n) {
        int rc;

        n = orderd_batch_run(&a->orders[i], a->order_count - i);
        rc = take_run(a, &a->orders[i], n);
        if (rc != SPEEDY_DB_OK)
            return rc;
    }
    return SPEEDY_DB_OK;
}
