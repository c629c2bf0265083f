/*
 * The relay of releases: rows of release_outbox, written in the transaction
 * that ended an order, lower that order's ledger entry in Redis to `target`
 * units. A row is marked after its script, so a crash in between runs the
 * script again, which changes nothing. NOT_LOADED rows stay: the rebuild that
 * is due may or may not have counted them, and the script knows by epoch.
 * Rows of an archived sale have no ledger any more: MySQL's alone, done.
 *
 * A turn goes on behind rows that must wait, so that one fenced sale does not
 * hold up the others.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/db.h"
#include "../common/failpoint.h"
#include "../common/log.h"
#include "../common/loop.h"
#include "../shop/scripts.h"
#include "stockd.h"

#define PAGE 1000
#define PAGES 10 /* a turn */
#define BATCH 200
#define PIPELINE 8
#define MARK 256
#define CLEAN_MS 10000
#define CLEAN_SQL                                                              \
    "DELETE FROM release_outbox"                                               \
    " WHERE done_at < NOW(3) - INTERVAL 1 HOUR ORDER BY done_at, id LIMIT 500"

struct row {
    int64_t id, target, epoch, age_ms;
    char sale[SPEEDY_ID_MAX + 1];
    unsigned char order[16];
    bool archived, done;
};

/* One script call: rows of one sale. */
struct call {
    size_t first, count;
    struct speedy_keys keys;
};

static struct speedy_db *db;
static struct speedy_redis *rc;
static struct row *rows;
static size_t row_count;
static struct speedy_args args[PIPELINE];
static int64_t cursor, next_clean;

static int add_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct row *r = &rows[row_count];

    (void)data;
    (void)cols;
    if (col[2].len != 16)
        return 1;
    memset(r, 0, sizeof(*r));
    r->id = col[0].number;
    snprintf(r->sale, sizeof(r->sale), "%s", (const char *)col[1].bytes);
    memcpy(r->order, col[2].bytes, 16);
    r->target = col[3].number;
    r->epoch = col[4].number;
    r->archived = col[5].number != 0;
    r->age_ms = col[6].number;
    return ++row_count == PAGE;
}

static int read_page(int64_t after)
{
    row_count = 0;
    return speedy_db_query(
        db,
        "SELECT r.id, r.sale_id, r.order_id, r.target, r.epoch,"
        " s.state = 'ARCHIVED',"
        " TIMESTAMPDIFF(MICROSECOND, r.created_at, NOW(3)) DIV 1000"
        " FROM release_outbox r JOIN sales s ON s.id = r.sale_id"
        " WHERE r.done_at IS NULL AND r.id > ? ORDER BY r.id LIMIT 1000",
        DB_ARGS(DB_INT(after)), add_row, NULL);
}

static int by_sale(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    int order = strcmp(x->sale, y->sale);

    if (order != 0)
        return order;
    return (x->id > y->id) - (x->id < y->id);
}

/* The next call from row `at` on: rows of one sale, not more than BATCH. */
static size_t next_call(struct call *c, size_t at)
{
    while (at < row_count && rows[at].archived)
        rows[at++].done = true;
    c->first = at;
    while (at < row_count && at - c->first < BATCH && !rows[at].archived &&
           strcmp(rows[at].sale, rows[c->first].sale) == 0)
        at++;
    c->count = at - c->first;
    if (c->count > 0)
        speedy_keys_make(&c->keys, rows[c->first].sale);
    return at;
}

static void fill(struct speedy_args *a, const struct call *c, int64_t token,
                 const char *run_id)
{
    speedy_args_reset(a);
    speedy_args_text(a, c->keys.loaded);
    speedy_args_text(a, c->keys.stock);
    speedy_args_text(a, c->keys.resv);
    speedy_args_text(a, c->keys.user);
    speedy_args_text(a, c->keys.pend);
    speedy_args_int(a, token);
    speedy_args_text(a, run_id);
    for (size_t i = c->first; i < c->first + c->count; i++) {
        speedy_args_add(a, rows[i].order, 16);
        speedy_args_int(a, rows[i].target);
        speedy_args_int(a, rows[i].epoch);
    }
}

/* 0, or -1: a younger leader lives. */
static int take_answers(const struct call *c, const redisReply *reply,
                        int64_t token)
{
    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY ||
        reply->elements != c->count)
        return 0; /* unknown: the rows stay */
    for (size_t i = 0; i < c->count; i++) {
        const char *word = stockd_word(reply->element[i]);

        if (strcmp(word, "SUPERSEDED") == 0) {
            stockd_superseded(token);
            return -1;
        }
        rows[c->first + i].done = strcmp(word, "DONE") == 0;
    }
    return 0;
}

static int release_page(int64_t token, const char *run_id)
{
    struct call calls[PIPELINE];
    redisReply *replies[PIPELINE];
    size_t at = 0;
    int over = 0;

    qsort(rows, row_count, sizeof(*rows), by_sale);
    while (at < row_count && !over) {
        size_t n = 0;

        while (n < PIPELINE && at < row_count) {
            at = next_call(&calls[n], at);
            if (calls[n].count == 0)
                break;
            fill(&args[n], &calls[n], token, run_id);
            n++;
        }
        if (n == 0)
            continue;
        if (speedy_redis_scripts(rc, &speedy_script_release, 5, args, n,
                                 replies) != 0)
            return -1;
        for (size_t i = 0; i < n; i++) {
            over |= take_answers(&calls[i], replies[i], token);
            if (replies[i] != NULL)
                freeReplyObject(replies[i]);
        }
    }
    return over;
}

/* Marks done rows, MARK at a time (padded by repetition). 0, or -1. */
static int mark(void)
{
    struct speedy_db_value ids[MARK];
    size_t n = 0, done = 0;
    int status = SPEEDY_DB_OK;

    for (size_t i = 0; i <= row_count && status == SPEEDY_DB_OK; i++) {
        if (i < row_count && rows[i].done) {
            ids[n++] = DB_INT(rows[i].id);
            done++;
        }
        if (n == 0 || (n < MARK && i < row_count))
            continue;
        while (n < MARK) {
            ids[n] = ids[n - 1];
            n++;
        }
        status = speedy_db_exec_many(
            db, "UPDATE release_outbox SET done_at = NOW(3) WHERE id IN (", "?",
            MARK, ") AND done_at IS NULL", ids, MARK, NULL);
        n = 0;
    }
    if (status != SPEEDY_DB_OK)
        return -1;
    speedy_metric_add(&stockd_m_releases, (int64_t)done);
    return 0;
}

static void observe(int64_t read_at)
{
    int64_t since = speedy_now_boot() - read_at;

    for (size_t i = 0; i < row_count; i++) {
        if (rows[i].done && !rows[i].archived)
            speedy_metric_observe(&stockd_m_release_lag_ms,
                                  rows[i].age_ms + since);
    }
}

/* One page behind the cursor. 1: there may be more; 0: the end; -1: failed. */
static int relay_page(int64_t token, const char *run_id)
{
    int64_t read_at = speedy_now_boot(), last;
    size_t count;

    if (read_page(cursor) != SPEEDY_DB_OK)
        return -1;
    if (row_count == 0)
        return 0;
    last = rows[row_count - 1].id;
    count = row_count;
    if (release_page(token, run_id) != 0)
        return -1;
    observe(read_at);
    speedy_failpoint("stockd.after_release_script");
    if (mark() != 0)
        return -1;
    cursor = last;
    return count == PAGE;
}

static void clean(void)
{
    if (speedy_now_boot() < next_clean)
        return;
    next_clean = speedy_now_boot() + CLEAN_MS;
    speedy_db_exec(db, CLEAN_SQL, DB_NONE, NULL);
}

static int relay_open(int instance)
{
    (void)instance;
    db = speedy_db_new(STOCKD_ROLE);
    rc = speedy_redis_new();
    rows = calloc(PAGE, sizeof(*rows));
    cursor = next_clean = 0;
    return db == NULL || rc == NULL || rows == NULL ? -1 : 0;
}

static long relay_run(void *data)
{
    int64_t token;
    char run_id[41];
    int more = 1;

    (void)data;
    if (speedy_db_ready(db) != 0)
        return 2 * stockd_settings.release_interval;
    token = stockd_acting(rc, run_id);
    if (token == 0)
        return stockd_settings.release_interval;
    for (int i = 0; i < PAGES && more == 1 && !speedy_stopping(); i++)
        more = relay_page(token, run_id);
    if (more != 1)
        cursor = 0; /* from the first open row again */
    if (more < 0)
        return 2 * stockd_settings.release_interval;
    clean();
    return stockd_settings.release_interval;
}

static void relay_close(void)
{
    speedy_redis_free(rc);
    speedy_db_free(db);
    for (size_t i = 0; i < PIPELINE; i++)
        speedy_args_free(&args[i]);
    free(rows);
    rc = NULL;
    db = NULL;
    rows = NULL;
}

const struct stockd_duty stockd_relay_duty = {"relay", relay_open, relay_run,
                                              relay_close};
