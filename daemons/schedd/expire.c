/*
 * One transaction a batch: the due rows are locked first, those of others
 * skipped; then, in a second statement, the deadline is compared again, for
 * NOW() is a statement's start. Units are counted down once a variant, in key
 * order; the row of release_outbox carries the epoch that the variant has
 * under our lock.
 *
 * A batch that is refused is done again one order a transaction; the order
 * that is refused alone is put aside for a while, with an alarm, and the
 * others go on.
 */
#include "expire.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/crypto.h"
#include "../common/log.h"
#include "../common/loop.h"
#include "../common/metrics.h"
#include "../shop/states.h"
#include "expire_rows.h"

#define IDLE_MS 100
#define RETRY_MS 200
#define ASIDE_MS 60000

static struct speedy_metric expired = {.name = "speedy_schedd_expired_total",
                                       .help = "Holds that ended unpaid",
                                       .type = SPEEDY_COUNTER,
                                       .labels = ""};
static struct speedy_metric lateness = {
    .name = "speedy_schedd_lateness_seconds",
    .help = "From an order's deadline to its expiry",
    .type = SPEEDY_HISTOGRAM,
    .labels = ""};
static struct speedy_metric retries = {
    .name = "speedy_schedd_retries_total",
    .help = "Batches run again after a lost connection or deadlock",
    .type = SPEEDY_COUNTER,
    .labels = ""};
static struct speedy_metric set_aside = {
    .name = "speedy_schedd_aside_total",
    .help = "Orders put aside because the database refused their move",
    .type = SPEEDY_COUNTER,
    .labels = ""};

static atomic_int_fast64_t answered;

void schedd_expire_metrics(void)
{
    speedy_metric_register(&expired);
    speedy_metric_register(&lateness);
    speedy_metric_register(&retries);
    speedy_metric_register(&set_aside);
}

int64_t schedd_expire_answered(void)
{
    return atomic_load(&answered);
}

void schedd_expire_init(struct schedd_expire *x, struct speedy_db *db,
                        int instance)
{
    memset(x, 0, sizeof(*x));
    x->db = db;
    snprintf(x->actor, sizeof(x->actor), "schedd:%d", instance);
}

static void aside_forget(struct schedd_expire *x)
{
    int64_t now = speedy_now_boot();
    size_t kept = 0;

    for (size_t i = 0; i < x->aside_count; i++) {
        if (x->aside[i].until > now)
            x->aside[kept++] = x->aside[i];
    }
    x->aside_count = kept;
}

static void put_aside(struct schedd_expire *x, const struct schedd_due *due)
{
    char id[37];
    size_t at = x->aside_count;

    speedy_uuid_text(due->id, id);
    speedy_log(SPEEDY_ALARM, "an order's expiry was refused: put aside",
               "order=%s sale=%s variant=%s state=%s ms=%d", id, due->sale,
               due->variant, due->state, ASIDE_MS);
    speedy_metric_add(&set_aside, 1);
    if (at == SCHEDD_ASIDE_MAX)
        at = 0;
    else
        x->aside_count++;
    memcpy(x->aside[at].id, due->id, 16);
    x->aside[at].until = speedy_now_boot() + ASIDE_MS;
}

/* By sale, then variant: the order in which rows are locked. */
static int by_variant(const void *a, const void *b)
{
    const struct schedd_due *x = a, *y = b;
    int order = strcmp(x->sale, y->sale);

    return order != 0 ? order : strcmp(x->variant, y->variant);
}

/* Every move stands in the table of moves, or nothing is written. */
static int moves_allowed(const struct schedd_expire *x)
{
    for (size_t i = 0; i < x->count; i++) {
        if (speedy_move_find(x->due[i].state, "EXPIRED", x->actor) == NULL)
            return SPEEDY_DB_REFUSED;
    }
    return SPEEDY_DB_OK;
}

static int within(struct schedd_expire *x, size_t limit)
{
    int rc = schedd_rows_lock(x, limit);

    if (rc != SPEEDY_DB_OK || x->count == 0)
        return rc;
    qsort(x->due, x->count, sizeof(x->due[0]), by_variant);
    rc = moves_allowed(x);
    if (rc == SPEEDY_DB_OK)
        rc = schedd_rows_policy(x);
    if (rc == SPEEDY_DB_OK)
        rc = schedd_rows_move(x);
    if (rc == SPEEDY_DB_OK)
        rc = schedd_rows_units(x);
    if (rc == SPEEDY_DB_OK)
        rc = schedd_rows_history(x);
    return rc;
}

static int transaction(struct schedd_expire *x, size_t limit)
{
    int rc;

    x->count = 0;
    if (speedy_db_begin(x->db) != 0)
        return SPEEDY_DB_RETRY;
    rc = within(x, limit);
    if (rc == SPEEDY_DB_OK && x->count > 0)
        return speedy_db_commit(x->db) == 0 ? SPEEDY_DB_OK : SPEEDY_DB_RETRY;
    speedy_db_rollback(x->db);
    return rc;
}

static void count_moved(struct schedd_expire *x)
{
    speedy_metric_add(&expired, (int64_t)x->count);
    for (size_t i = 0; i < x->count; i++)
        speedy_metric_observe(&lateness, x->due[i].late);
    if (x->singles > 0)
        x->singles--;
}

int schedd_expire_batch(struct schedd_expire *x)
{
    size_t limit = x->singles > 0 ? 1 : SCHEDD_BATCH_MAX;
    int rc;

    aside_forget(x);
    rc = schedd_rows_any(x);
    if (rc == 0)
        x->singles = 0;
    if (rc >= 0)
        atomic_store(&answered, speedy_now_boot());
    if (rc <= 0)
        return rc;
    rc = transaction(x, limit);
    if (rc == SPEEDY_DB_OK) {
        count_moved(x);
        return (int)x->count;
    }
    if (rc == SPEEDY_DB_RETRY) {
        speedy_metric_add(&retries, 1);
        return -1;
    }
    if (x->count > 1) {
        x->singles = x->count;
        return (int)x->count;
    }
    if (x->count == 0)
        return -1;
    put_aside(x, &x->due[0]);
    if (x->singles > 0)
        x->singles--;
    return 1;
}

long schedd_expire_turn(void *data)
{
    int n;

    do {
        n = schedd_expire_batch(data);
    } while (n > 0 && !speedy_stopping());
    return n < 0 ? speedy_jitter(RETRY_MS) : IDLE_MS;
}
