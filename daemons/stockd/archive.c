/*
 * The archive: a sale that is over leaves Redis. In this order, so that a
 * crash anywhere leaves something that the next turn carries on:
 *
 *   closed   its gate says CLOSED, and has said so for 5 s, so nobody
 *            reserves any more and no ack is under way;
 *   empty    pend is empty: whatever was reserved is in Kafka;
 *   markers  sent now, and passed by orderd: it is all in MySQL;
 *   final    MySQL's orders are all final, none has an open release row, and
 *            the ledger has as many entries as MySQL has orders with units;
 *   ARCHIVED in MySQL, in one UPDATE; then in the register; then the keys go.
 *
 * From then on late releases are MySQL's alone (relay.c), and replays are
 * answered from MySQL. A sale whose closing time has long passed without an
 * operator's word is closed here first. What was archived in MySQL while
 * Redis kept the keys (a crash) is found once a minute.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/db.h"
#include "../common/failpoint.h"
#include "../common/kafka.h"
#include "../common/log.h"
#include "../common/loop.h"
#include "../shop/scripts.h"
#include "../shop/states.h"
#include "barrier.h"
#include "register.h"
#include "scan.h"
#include "stockd.h"

#define TRACKED 16
#define TURN_MIN_MS 500
#define TURN_MAX_MS 10000
#define LEFTOVER_MS 60000
#define MARKER_TIMEOUT_MS 5000

struct candidate {
    char id[SPEEDY_ID_MAX + 1], run_id[41];
    bool closed;            /* in MySQL */
    int64_t gate_closed_at; /* first seen closed, boot ms; 0: not yet */
    struct stockd_barrier barrier;
    bool met; /* in this turn */
};

static struct speedy_db *db;
static struct speedy_redis *rc;
static struct speedy_producer *producer;
static struct speedy_args args;
static int instance_number;
static struct candidate tracked[TRACKED];
static size_t tracked_count;
static int64_t next_leftovers;
static char open_orders_sql[512];

/* A sale is due when it is over and nothing has moved for archive_after. */
static const char due_sql[] =
    "SELECT s.id, s.state = 'CLOSED' FROM sales s"
    " WHERE s.state IN ('ACTIVE', 'PAUSED', 'CLOSED')"
    " AND (s.state = 'CLOSED' OR s.closes_at < NOW(3))"
    " AND COALESCE(LEAST(s.closes_at, NOW(3)), s.opens_at)"
    " < NOW(3) - INTERVAL ? SECOND"
    " AND s.created_at < NOW(3) - INTERVAL ? SECOND ORDER BY s.id";

/* Builds, from the table of states: any order that something still moves? */
static void build_sql(void)
{
    size_t n = (size_t)snprintf(
        open_orders_sql, sizeof(open_orders_sql),
        "SELECT 1 FROM orders WHERE sale_id = ? AND (updated_at >"
        " NOW(3) - INTERVAL ? SECOND OR state NOT IN (''");

    for (size_t i = 0; i < speedy_state_count; i++) {
        if (speedy_states[i].final)
            n += (size_t)snprintf(open_orders_sql + n,
                                  sizeof(open_orders_sql) - n, ",'%s'",
                                  speedy_states[i].name);
    }
    snprintf(open_orders_sql + n, sizeof(open_orders_sql) - n, ")) LIMIT 1");
}

static struct candidate *find(const char *id)
{
    for (size_t i = 0; i < tracked_count; i++) {
        if (strcmp(tracked[i].id, id) == 0)
            return &tracked[i];
    }
    return NULL;
}

/* 1 there is none, 0 there is one, -1 MySQL did not answer. */
static int none(const char *sql, const struct speedy_db_value *values,
                size_t count)
{
    int64_t one;
    int status = speedy_db_number(db, sql, values, count, &one);

    return status < 0 ? -1 : status == 0;
}

static int orders_final(const char *id)
{
    return none(
        open_orders_sql,
        DB_ARGS(DB_TEXT(id), DB_INT(stockd_settings.archive_after / 1000)));
}

struct due {
    char id[TRACKED * 4][SPEEDY_ID_MAX + 1];
    bool closed[TRACKED * 4];
    size_t count;
};

static int due_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct due *d = data;

    (void)cols;
    snprintf(d->id[d->count], sizeof(d->id[0]), "%s",
             (const char *)col[0].bytes);
    d->closed[d->count] = col[1].number != 0;
    return ++d->count == TRACKED * 4;
}

/* Brings the list of candidates up to date. 0, or -1. */
static int read_due(void)
{
    static struct due d;
    int64_t seconds = stockd_settings.archive_after / 1000;

    d.count = 0;
    if (speedy_db_query(db, due_sql, DB_ARGS(DB_INT(seconds), DB_INT(seconds)),
                        due_row, &d) != SPEEDY_DB_OK)
        return -1;
    for (size_t i = 0; i < tracked_count; i++)
        tracked[i].met = false;
    for (size_t i = 0; i < d.count; i++) {
        struct candidate *c = find(d.id[i]);

        if (c == NULL && tracked_count < TRACKED &&
            orders_final(d.id[i]) == 1) {
            c = &tracked[tracked_count++];
            memset(c, 0, sizeof(*c));
            memcpy(c->id, d.id[i], sizeof(c->id));
        }
        if (c == NULL)
            continue;
        c->closed = d.closed[i];
        c->met = true;
    }
    return 0;
}

static void forget(size_t i)
{
    stockd_barrier_free(&tracked[i].barrier);
    tracked[i] = tracked[--tracked_count];
}

static redisReply *command(const char *name, const char *key, const char *field)
{
    speedy_args_reset(&args);
    speedy_args_text(&args, name);
    speedy_args_text(&args, key);
    if (field != NULL)
        speedy_args_text(&args, field);
    return speedy_redis_command(rc, &args);
}

/* An integer reply, or -1. */
static int64_t count_of(const char *name, const char *key)
{
    redisReply *reply = command(name, key, NULL);
    int64_t n = -1;

    if (reply != NULL && reply->type == REDIS_REPLY_INTEGER)
        n = reply->integer;
    if (reply != NULL)
        freeReplyObject(reply);
    return n;
}

static bool gate_closed(const struct speedy_keys *keys)
{
    redisReply *reply = command("HGET", keys->gate, "state");
    bool closed = strcmp(stockd_word(reply), "CLOSED") == 0;

    if (reply != NULL)
        freeReplyObject(reply);
    return closed;
}

/* Gate closed long enough, pend empty: the markers may be sent. */
static bool quiet(struct candidate *c, const struct speedy_keys *keys)
{
    int64_t now = speedy_now_boot();

    if (strcmp(c->run_id, speedy_redis_run_id(rc)) != 0) {
        snprintf(c->run_id, sizeof(c->run_id), "%s", speedy_redis_run_id(rc));
        c->gate_closed_at = 0;
    }
    if (!gate_closed(keys)) {
        c->gate_closed_at = 0;
        return false;
    }
    if (c->gate_closed_at == 0)
        c->gate_closed_at = now;
    return now - c->gate_closed_at >= stockd_settings.archive_closed &&
           count_of("HLEN", keys->pend) == 0;
}

static bool markers_passed(struct candidate *c)
{
    char name[32];

    if (producer == NULL) {
        snprintf(name, sizeof(name), "stockd-%d-archive", instance_number);
        producer = speedy_producer_new(name, MARKER_TIMEOUT_MS);
        if (producer == NULL)
            return false;
    }
    if (c->barrier.parts == 0 &&
        stockd_barrier_mark(&c->barrier, producer, "archive",
                            MARKER_TIMEOUT_MS) != 0)
        return false;
    return stockd_barrier_passed(&c->barrier, db) == 1;
}

/* Everything in MySQL and Redis agrees that the sale is over. */
static bool over(const struct candidate *c, const struct speedy_keys *keys)
{
    int64_t with_units;

    if (orders_final(c->id) != 1 ||
        none("SELECT 1 FROM release_outbox WHERE done_at IS NULL"
             " AND sale_id = ? LIMIT 1",
             DB_ARGS(DB_TEXT(c->id))) != 1 ||
        none("SELECT 1 FROM stock_adjustments WHERE sale_id = ?"
             " AND state IN ('OPEN', 'LOWERED', 'REFUSED')"
             " AND done_at IS NULL LIMIT 1",
             DB_ARGS(DB_TEXT(c->id))) != 1)
        return false;
    if (speedy_db_number(db,
                         "SELECT COUNT(*) FROM orders WHERE sale_id = ?"
                         " AND units_live + units_withheld > 0",
                         DB_ARGS(DB_TEXT(c->id)), &with_units) != 1)
        return false;
    return count_of("HLEN", keys->resv) == with_units &&
           count_of("HLEN", keys->pend) == 0;
}

/* The register's line and the keys. Safe to run again. */
static void remove_keys(const char *id, int64_t token, const char *run_id)
{
    struct speedy_keys keys;
    redisReply *reply;
    const char *all[] = {keys.loaded, keys.gate, keys.stock, keys.resv,
                         keys.user,   keys.pend, keys.log,   keys.adj};

    speedy_keys_make(&keys, id);
    speedy_args_reset(&args);
    speedy_args_text(&args, "HSET");
    speedy_args_text(&args, SPEEDY_KEY_SALES);
    speedy_args_text(&args, id);
    speedy_args_text(&args, SPEEDY_SALE_ARCHIVED);
    reply = speedy_redis_command(rc, &args);
    if (reply == NULL)
        return; /* found again by leftovers() */
    freeReplyObject(reply);
    stockd_register_again();
    speedy_args_reset(&args);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        speedy_args_text(&args, all[i]);
    speedy_args_int(&args, token);
    speedy_args_text(&args, run_id);
    reply = speedy_redis_script(rc, &speedy_script_archive, 8, &args);
    if (strcmp(stockd_word(reply), "SUPERSEDED") == 0)
        stockd_superseded(token);
    else if (strcmp(stockd_word(reply), "PENDING") == 0)
        speedy_log(SPEEDY_ALARM, "an archived sale still has pending orders",
                   "sale=%s", id);
    if (reply != NULL)
        freeReplyObject(reply);
    speedy_args_reset(&args);
}

static bool archive_sale(const struct candidate *c,
                         const struct speedy_keys *keys, int64_t token,
                         const char *run_id)
{
    bool done = false;
    long changed = 0;

    stockd_scan_hold();
    if (over(c, keys) &&
        speedy_db_exec(db,
                       "UPDATE sales SET state = 'ARCHIVED',"
                       " archived_at = NOW(3), version = version + 1"
                       " WHERE id = ? AND state = 'CLOSED'",
                       DB_ARGS(DB_TEXT(c->id)), &changed) == SPEEDY_DB_OK &&
        changed == 1) {
        speedy_failpoint("stockd.after_archived");
        remove_keys(c->id, token, run_id);
        done = true;
    }
    stockd_scan_release();
    if (done) {
        speedy_metric_add(&stockd_m_archived, 1);
        speedy_log(SPEEDY_INFO, "archived", "sale=%s", c->id);
    }
    return done;
}

/* Carries one candidate on. True: it need not be tracked any more. */
static bool step(struct candidate *c, int64_t token, const char *run_id)
{
    struct speedy_keys keys;

    if (!c->closed) {
        speedy_db_exec(db,
                       "UPDATE sales SET state = 'CLOSED',"
                       " version = version + 1 WHERE id = ?"
                       " AND state IN ('ACTIVE', 'PAUSED')"
                       " AND closes_at < NOW(3)",
                       DB_ARGS(DB_TEXT(c->id)), NULL);
        return false;
    }
    speedy_keys_make(&keys, c->id);
    if (!quiet(c, &keys)) {
        stockd_barrier_free(&c->barrier); /* markers come after the quiet */
        return false;
    }
    return markers_passed(c) && archive_sale(c, &keys, token, run_id);
}

struct leftover {
    char id[100][SPEEDY_ID_MAX + 1];
    size_t count;
};

static int leftover_row(void *data, const struct speedy_db_value *col,
                        size_t cols)
{
    struct leftover *l = data;

    (void)cols;
    snprintf(l->id[l->count], sizeof(l->id[0]), "%s",
             (const char *)col[0].bytes);
    return ++l->count == 100;
}

/* Sales archived in MySQL whose keys are still in Redis. */
static void leftovers(int64_t token, const char *run_id)
{
    static struct leftover l;

    if (speedy_now_boot() < next_leftovers)
        return;
    l.count = 0;
    if (speedy_db_query(db,
                        "SELECT id FROM sales WHERE state = 'ARCHIVED'"
                        " AND archived_at > NOW(3) - INTERVAL 1 DAY"
                        " ORDER BY archived_at DESC LIMIT 100",
                        DB_NONE, leftover_row, &l) != SPEEDY_DB_OK)
        return;
    for (size_t i = 0; i < l.count; i++) {
        struct speedy_keys keys;

        speedy_keys_make(&keys, l.id[i]);
        if (count_of("EXISTS", keys.loaded) == 1)
            remove_keys(l.id[i], token, run_id);
    }
    next_leftovers = speedy_now_boot() + LEFTOVER_MS;
}

static int archive_open(int instance)
{
    instance_number = instance;
    build_sql();
    db = speedy_db_new(STOCKD_ROLE);
    rc = speedy_redis_new();
    return db == NULL || rc == NULL ? -1 : 0;
}

static long archive_run(void *data)
{
    long turn = stockd_settings.archive_after / 10;
    int64_t token;
    char run_id[41];

    (void)data;
    turn = turn < TURN_MIN_MS ? TURN_MIN_MS : turn;
    turn = turn > TURN_MAX_MS ? TURN_MAX_MS : turn;
    if (speedy_db_ready(db) != 0)
        return turn;
    token = stockd_acting(rc, run_id);
    if (token == 0) {
        while (tracked_count > 0)
            forget(0);
        next_leftovers = 0;
        return TURN_MIN_MS;
    }
    leftovers(token, run_id);
    if (read_due() != 0)
        return turn;
    for (size_t i = 0; i < tracked_count && !speedy_stopping();) {
        if (!tracked[i].met || step(&tracked[i], token, run_id))
            forget(i);
        else
            i++;
    }
    return tracked_count > 0 ? TURN_MIN_MS : turn;
}

static void archive_close(void)
{
    while (tracked_count > 0)
        forget(0);
    speedy_producer_free(producer);
    speedy_redis_free(rc);
    speedy_db_free(db);
    speedy_args_free(&args);
    producer = NULL;
    rc = NULL;
    db = NULL;
}

const struct stockd_duty stockd_archive_duty = {"archive", archive_open,
                                                archive_run, archive_close};
