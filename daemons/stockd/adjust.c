/*
 * Stock changes by operators, row by row of stock_adjustments, in order.
 *
 * raise: speedyctl raised the total and wrote the row in one transaction, so
 * only Redis is behind. The script adds once an incarnation (`adj`), and not
 * at all when the ledger's epoch is greater than the row's: then a rebuild
 * has counted the new total. Died before the script: it runs later. Died
 * between script and DONE: it runs again and finds `adj`. Redis lost in
 * between: the rebuild counts it and raises the epoch. The row's transaction
 * and the rebuild's lock the same variant, so one is wholly before the other.
 *
 * lower: the units must leave Redis before MySQL forgets them, or they would
 * be sold in between; and they must not be forgotten twice.
 *   1 take (script): units move from the stock into the entry adj:<id>.
 *     Died before: nothing happened. Died after: the next take finds
 *     `taken`. Redis lost after: the ledger is gone with its entry; the
 *     rebuild made the intent VOID in its transaction, and counted the total
 *     as it was.
 *   2 transaction: total − n where the epoch is still the intent's, and
 *     OPEN → LOWERED. Not both: rolled back. Outcome unknown: the row's
 *     state tells, at the next turn. A rebuild before it: VOID, its UPDATE
 *     finds nothing; after it: the lowered total is counted, the entry gone.
 *   3 drop (script): the entry is forgotten. Died before: LOWERED is found
 *     and dropped. Dropping an absent entry is nothing.
 *   Refused, by the script (SHORT) or by the transaction (the guard on the
 *     total): the row becomes REFUSED first, without done_at; then untake;
 *     then done_at. Died in between: REFUSED without done_at is untaken
 *     again. REFUSED before untake, because an untake whose answer was lost
 *     may land late: were the row still OPEN, the next turn could have
 *     lowered the total before that. And untake after SHORT too, because an
 *     earlier take whose answer was lost may land late: untake leaves a mark
 *     in `adj` that refuses it.
 *
 * Nothing is run before this leader's token stands in the sale's `loaded`
 * (stockd_token_claimed): an untake of the leader before could otherwise land
 * after our transaction lowered the total for good.
 */
#include "adjust.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/db.h"
#include "../common/failpoint.h"
#include "../common/log.h"
#include "../common/loop.h"
#include "../shop/scripts.h"
#include "stockd.h"

#define TURN_MS 200
#define ROWS 100

struct row {
    int64_t id, units, epoch, variant_epoch;
    char sale[SPEEDY_ID_MAX + 1], variant[SPEEDY_ID_MAX + 1];
    enum stockd_adjust_state state;
    bool raise, archived;
};

static struct speedy_db *db;
static struct speedy_redis *rc;
static struct row rows[ROWS];
static size_t row_count;

enum stockd_adjust_step stockd_adjust_decide(bool raise,
                                             enum stockd_adjust_state state,
                                             bool archived, int64_t epoch,
                                             int64_t variant_epoch)
{
    if (state == STOCKD_ADJUST_LOWERED)
        return archived ? STOCKD_ADJUST_DONE : STOCKD_ADJUST_DROP;
    if (state == STOCKD_ADJUST_REFUSED)
        return archived ? STOCKD_ADJUST_REFUSE : STOCKD_ADJUST_UNTAKE;
    if (raise)
        return archived ? STOCKD_ADJUST_DONE : STOCKD_ADJUST_RAISE;
    if (archived)
        return STOCKD_ADJUST_REFUSE;
    /* normally the rebuild's transaction did this already */
    return epoch < variant_epoch ? STOCKD_ADJUST_VOID : STOCKD_ADJUST_LOWER;
}

static enum stockd_adjust_state state_of(const char *name)
{
    if (strcmp(name, "LOWERED") == 0)
        return STOCKD_ADJUST_LOWERED;
    return strcmp(name, "REFUSED") == 0 ? STOCKD_ADJUST_REFUSED
                                        : STOCKD_ADJUST_OPEN;
}

static const char *name_of(enum stockd_adjust_state state)
{
    static const char *const names[] = {"OPEN", "LOWERED", "REFUSED"};

    return names[state];
}

static int add_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct row *r = &rows[row_count];

    (void)data;
    (void)cols;
    memset(r, 0, sizeof(*r));
    r->id = col[0].number;
    snprintf(r->sale, sizeof(r->sale), "%s", (const char *)col[1].bytes);
    snprintf(r->variant, sizeof(r->variant), "%s", (const char *)col[2].bytes);
    r->raise = strcmp(col[3].bytes, "raise") == 0;
    r->units = col[4].number;
    r->epoch = col[5].number;
    r->state = state_of(col[6].bytes);
    r->variant_epoch = col[7].number;
    r->archived = strcmp(col[8].bytes, "ARCHIVED") == 0;
    return ++row_count == ROWS;
}

static int read_rows(void)
{
    row_count = 0;
    return speedy_db_query(
        db,
        "SELECT a.id, a.sale_id, a.variant, a.kind, a.units, a.epoch, a.state,"
        " v.epoch, s.state FROM stock_adjustments a"
        " JOIN sale_variants v ON v.sale_id = a.sale_id"
        " AND v.variant = a.variant"
        " JOIN sales s ON s.id = a.sale_id"
        " WHERE a.state IN ('OPEN', 'LOWERED', 'REFUSED')"
        " AND a.done_at IS NULL ORDER BY a.id LIMIT 100",
        DB_NONE, add_row, NULL);
}

/* Ends a row; only from the state in which it was read. */
static int end_row(const struct row *r, const char *state)
{
    int status = speedy_db_exec(
        db,
        "UPDATE stock_adjustments SET state = ?, done_at = NOW(3)"
        " WHERE id = ? AND state = ?",
        DB_ARGS(DB_TEXT(state), DB_INT(r->id), DB_TEXT(name_of(r->state))),
        NULL);

    if (status != SPEEDY_DB_OK)
        return -1;
    speedy_metric_add(&stockd_m_adjustments, 1);
    speedy_log(SPEEDY_INFO, "stock change ended",
               "id=%lld sale=%s variant=%s kind=%s units=%lld state=%s",
               (long long)r->id, r->sale, r->variant,
               r->raise ? "raise" : "lower", (long long)r->units, state);
    return 0;
}

/* Runs one operation; the word of its answer ("" unknown) into word. */
static void run_script(const struct row *r, int64_t token, const char *run_id,
                       const char *operation, char word[16])
{
    struct speedy_keys keys;
    struct speedy_args a = {0};
    redisReply *reply;

    speedy_keys_make(&keys, r->sale);
    speedy_args_text(&a, keys.loaded);
    speedy_args_text(&a, keys.stock);
    speedy_args_text(&a, keys.resv);
    speedy_args_text(&a, keys.adj);
    speedy_args_int(&a, token);
    speedy_args_text(&a, run_id);
    speedy_args_text(&a, operation);
    speedy_args_int(&a, r->id);
    speedy_args_text(&a, r->variant);
    speedy_args_int(&a, r->units);
    speedy_args_int(&a, r->epoch);
    reply = speedy_redis_script(rc, &speedy_script_adjust, 4, &a);
    snprintf(word, 16, "%s", stockd_word(reply));
    if (strcmp(word, "SUPERSEDED") == 0)
        stockd_superseded(token);
    if (reply != NULL)
        freeReplyObject(reply);
    speedy_args_free(&a);
}

static int run_and_end(const struct row *r, int64_t token, const char *run_id,
                       const char *operation, const char *state)
{
    char word[16];

    run_script(r, token, run_id, operation, word);
    if (strcmp(word, "DONE") != 0)
        return -1; /* NOT_LOADED or unknown: the row stays */
    return end_row(r, state);
}

/* Refused for good: first the row, then the units, then its end. */
static int refuse(struct row *r, int64_t token, const char *run_id)
{
    long changed = 0;

    if (speedy_db_exec(db,
                       "UPDATE stock_adjustments SET state = 'REFUSED'"
                       " WHERE id = ? AND state = 'OPEN'",
                       DB_ARGS(DB_INT(r->id)), &changed) != SPEEDY_DB_OK ||
        changed != 1)
        return -1;
    r->state = STOCKD_ADJUST_REFUSED;
    speedy_failpoint("stockd.after_refuse");
    return run_and_end(r, token, run_id, "untake", "REFUSED");
}

/*
 * 1: lowered; 0: refused for good; -1: unknown, or the epoch has moved on and
 * the row is VOID by now: look again at the next turn.
 */
static int lower_total(const struct row *r)
{
    long changed = 0, marked = 0;
    int64_t epoch = 0;
    int status, epoch_status = 0;

    if (speedy_db_begin(db) != 0)
        return -1;
    status = speedy_db_exec(db,
                            "UPDATE sale_variants SET total = total - ?"
                            " WHERE sale_id = ? AND variant = ? AND epoch = ?"
                            " AND total - ? >= held + sold + withheld",
                            DB_ARGS(DB_INT(r->units), DB_TEXT(r->sale),
                                    DB_TEXT(r->variant), DB_INT(r->epoch),
                                    DB_INT(r->units)),
                            &changed);
    if (status == SPEEDY_DB_OK && changed == 1)
        status =
            speedy_db_exec(db,
                           "UPDATE stock_adjustments SET state = 'LOWERED'"
                           " WHERE id = ? AND state = 'OPEN'"
                           " AND epoch = ?",
                           DB_ARGS(DB_INT(r->id), DB_INT(r->epoch)), &marked);
    if (status == SPEEDY_DB_OK && changed == 1 && marked == 1)
        return speedy_db_commit(db) == 0 ? 1 : -1;
    if (status == SPEEDY_DB_OK && changed == 0)
        epoch_status = speedy_db_number(
            db,
            "SELECT epoch FROM sale_variants WHERE sale_id = ?"
            " AND variant = ?",
            DB_ARGS(DB_TEXT(r->sale), DB_TEXT(r->variant)), &epoch);
    speedy_db_rollback(db);
    return epoch_status == 1 && epoch == r->epoch ? 0 : -1;
}

static int lower(struct row *r, int64_t token, const char *run_id)
{
    char word[16];

    run_script(r, token, run_id, "take", word);
    if (strcmp(word, "SHORT") == 0)
        return refuse(r, token, run_id);
    if (strcmp(word, "DONE") != 0)
        return -1;
    speedy_failpoint("stockd.after_take");
    switch (lower_total(r)) {
    case 1:
        break;
    case 0:
        return refuse(r, token, run_id);
    default:
        return -1;
    }
    speedy_failpoint("stockd.after_lower");
    r->state = STOCKD_ADJUST_LOWERED;
    return run_and_end(r, token, run_id, "drop", "DONE");
}

static int adjust_row(struct row *r, int64_t token, const char *run_id)
{
    switch (stockd_adjust_decide(r->raise, r->state, r->archived, r->epoch,
                                 r->variant_epoch)) {
    case STOCKD_ADJUST_RAISE:
        return run_and_end(r, token, run_id, "raise", "DONE");
    case STOCKD_ADJUST_LOWER:
        return lower(r, token, run_id);
    case STOCKD_ADJUST_DROP:
        return run_and_end(r, token, run_id, "drop", "DONE");
    case STOCKD_ADJUST_UNTAKE:
        return run_and_end(r, token, run_id, "untake", "REFUSED");
    case STOCKD_ADJUST_DONE:
        return end_row(r, "DONE");
    case STOCKD_ADJUST_REFUSE:
        return end_row(r, "REFUSED");
    case STOCKD_ADJUST_VOID:
        return end_row(r, "VOID");
    }
    return -1;
}

static int adjust_open(int instance)
{
    (void)instance;
    db = speedy_db_new(STOCKD_ROLE);
    rc = speedy_redis_new();
    return db == NULL || rc == NULL ? -1 : 0;
}

static long adjust_run(void *data)
{
    int64_t token;
    char run_id[41];

    (void)data;
    if (speedy_db_ready(db) != 0)
        return TURN_MS;
    token = stockd_acting(rc, run_id);
    if (token == 0 || read_rows() != SPEEDY_DB_OK)
        return TURN_MS;
    for (size_t i = 0; i < row_count && !speedy_stopping(); i++)
        adjust_row(&rows[i], token, run_id);
    return TURN_MS;
}

static void adjust_close(void)
{
    speedy_redis_free(rc);
    speedy_db_free(db);
    rc = NULL;
    db = NULL;
}

const struct stockd_duty stockd_adjust_duty = {"adjust", adjust_open,
                                               adjust_run, adjust_close};
