/*
 * The rebuild against an orderd that writes at the worst moment. An order is
 * either refused by its epoch or stands in the new ledger: never is it missed
 * by both. The rebuild runs on a thread of its own; orderd is played by the
 * statements of its batch, on a connection of its own.
 *
 * One case stops the rebuild within its transaction, which needs a build with
 * failpoints; in any other build it skips itself.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "../../../daemons/common/db.h"
#include "../common/servers.h"
#include "../common/shop_db.h"
#include "duty_rig.h"

#define WAIT_MS 20000
/* Much longer than a rebuild needs that waits for nobody. */
#define FENCED_MS 2000
#define TOTAL 10

struct order {
    struct speedy_db *db;
    const char *sale;
    unsigned n;
    int64_t epoch;
    long written; /* 1, or 0: refused by its epoch */
    bool open;    /* begun on the test's own thread */
    atomic_bool done;
};

static char sale[16], words[512], hit[512];
static struct speedy_keys keys;
static atomic_bool enough;
static pthread_t rebuilder;

static int start(void **state)
{
    snprintf(words, sizeof(words), "%s/words", servers_dir());
    snprintf(hit, sizeof(hit), "%s/snapshot.hit", servers_dir());
    setenv("SPEEDY_FAILPOINTS_FILE", words, 1); /* before any thread */
    return rig_start(state);
}

/* A sale of epoch 2 that is open; no other sale is rebuilt beside it. */
static int setup(void **state)
{
    (void)state;
    shop_db_do("UPDATE sales SET state = 'ARCHIVED'");
    rig_offsets(1000000);
    rig_lead();
    snprintf(sale, sizeof(sale), "%s", rig_sale(TOTAL));
    speedy_keys_make(&keys, sale);
    return rig_until_open(sale) ? 0 : -1;
}

static void *rebuild(void *data)
{
    (void)data;
    while (!atomic_load(&enough)) {
        stockd_rebuild_duty.run(NULL);
        speedy_pause(10);
    }
    return NULL;
}

/* Redis comes back empty: found by the gate, rebuilt by the thread. */
static void lose_redis(void)
{
    servers_redis_kill();
    assert_int_equal(servers_redis_start(), 0);
    atomic_store(&enough, false);
    assert_int_equal(pthread_create(&rebuilder, NULL, rebuild, NULL), 0);
}

/* What stockd's other threads do meanwhile. */
static void turn(void)
{
    stockd_catalogue_duty.run(NULL);
    stockd_gate_duty.run(NULL); /* asks for the rebuild */
}

static bool gate_stands(void *data)
{
    (void)data;
    turn();
    return rig_gate(sale);
}

/* Whether the sale opened; the thread has ended then, one way or other. */
static bool rebuild_ends(void)
{
    bool open = servers_wait(gate_stands, NULL, WAIT_MS);

    atomic_store(&enough, true);
    pthread_join(rebuilder, NULL);
    return open;
}

/* One waits for the other, or, where a bug lets it, orderd is through. */
static bool they_met(void *data)
{
    struct order *o = data;
    int64_t one;

    turn();
    if (atomic_load(&o->done))
        return true;
    if (o->open) /* the server ends a transaction that stands still */
        speedy_db_number(o->db, "SELECT 1", DB_NONE, &one);
    return shop_db_number("SELECT VARIABLE_VALUE FROM"
                          " information_schema.GLOBAL_STATUS WHERE"
                          " VARIABLE_NAME = 'INNODB_ROW_LOCK_CURRENT_WAITS'") >
           0;
}

/* orderd's transaction up to its commit. enum speedy_db_status. */
static int order_write(struct order *o)
{
    unsigned char id[16], key[16] = {0}, body[16] = {0};
    int status;

    if (speedy_db_begin(o->db) != 0)
        return SPEEDY_DB_RETRY;
    status = speedy_db_exec(o->db,
                            "UPDATE sale_variants SET held = held + 1"
                            " WHERE sale_id = ? AND variant = 'default'"
                            " AND epoch = ?"
                            " AND held + sold + withheld + 1 <= total",
                            DB_ARGS(DB_TEXT(o->sale), DB_INT(o->epoch)),
                            &o->written);
    if (status != SPEEDY_DB_OK || o->written == 0)
        return status;
    rig_order_id(o->n, id);
    memcpy(key, &o->n, sizeof(o->n)); /* as rig_reserve makes it */
    return speedy_db_exec(
        o->db,
        "INSERT INTO orders (id, sale_id, variant, user_id, quantity,"
        " unit_price, state, units_live, epoch, seq, key_digest, key_live,"
        " body_digest, reserved_at, pay_by) VALUES (?, ?, 'default', 'u1', 1,"
        " 1000, 'PENDING_PAYMENT', 1, ?, 1, ?, ?, ?, UTC_TIMESTAMP(3),"
        " UTC_TIMESTAMP(3) + INTERVAL 10 MINUTE)",
        DB_ARGS(DB_BYTES(id, 16), DB_TEXT(o->sale), DB_INT(o->epoch),
                DB_BYTES(key, 16), DB_BYTES(key, 16), DB_BYTES(body, 16)),
        NULL);
}

/* The whole transaction, again while a lock is held too long. */
static void *order_apply(void *data)
{
    struct order *o = data;
    int status;

    o->written = -1;
    for (int i = 0; i < 10; i++) {
        status = order_write(o);
        if (status == SPEEDY_DB_OK && speedy_db_commit(o->db) == 0)
            break;
        speedy_db_rollback(o->db);
        o->written = -1;
        if (status != SPEEDY_DB_RETRY)
            break;
    }
    atomic_store(&o->done, true);
    return NULL;
}

static void order_begin(struct order *o, unsigned n)
{
    memset(o, 0, sizeof(*o));
    o->db = speedy_db_new("orderd");
    assert_non_null(o->db);
    o->sale = sale;
    o->n = n;
    o->epoch = 2;
}

/* MySQL and the new ledger count the same. */
static void both_have(long orders)
{
    long epoch = shop_db_number("SELECT epoch FROM sale_variants WHERE"
                                " sale_id = '%s'",
                                sale);

    assert_true(epoch > 2);
    assert_int_equal(rig_number("HGET", keys.loaded, "epoch"), epoch);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM orders WHERE"
                                    " sale_id = '%s'",
                                    sale),
                     orders);
    assert_int_equal(shop_db_number("SELECT held FROM sale_variants WHERE"
                                    " sale_id = '%s'",
                                    sale),
                     orders);
    assert_int_equal(rig_number("HLEN", keys.resv, NULL), orders);
    assert_int_equal(rig_left(sale), TOTAL - orders);
}

/* orderd was first: the rebuild waits for its commit, and counts it. */
static void an_order_being_written_is_counted(void **state)
{
    struct order o;
    bool met, rebuilt;
    int committed;

    (void)state;
    order_begin(&o, 601);
    assert_int_equal(order_write(&o), SPEEDY_DB_OK);
    o.open = true;
    lose_redis();
    met = servers_wait(they_met, &o, WAIT_MS);
    committed = speedy_db_commit(o.db);
    rebuilt = rebuild_ends();
    speedy_db_free(o.db);
    assert_true(met);
    assert_int_equal(committed, 0);
    assert_true(rebuilt);
    assert_int_equal(o.written, 1);
    both_have(1);
    assert_string_equal(rig_reserve(sale, 601, "u1"), "REPLAY");
}

#ifdef SPEEDY_FAILPOINTS
static bool rebuild_stands_still(void *data)
{
    (void)data;
    turn();
    return access(hit, F_OK) == 0;
}
#endif

/* The rebuild was first: orderd waits for its commit, and is refused. */
static void an_order_after_the_snapshot_is_refused(void **state)
{
#ifndef SPEEDY_FAILPOINTS
    (void)state;
    skip();
#else
    struct order o;
    pthread_t writer;
    char text[600];
    bool still, met, rebuilt;

    (void)state;
    order_begin(&o, 602);
    snprintf(text, sizeof(text), "stockd.in_snapshot=pause:%.*s",
             (int)(strlen(hit) - strlen(".hit")), hit);
    servers_file("words", text, 0600);
    lose_redis();
    still = servers_wait(rebuild_stands_still, NULL, WAIT_MS);
    servers_file("words", "", 0600);
    assert_int_equal(pthread_create(&writer, NULL, order_apply, &o), 0);
    met = servers_wait(they_met, &o, WAIT_MS);
    unlink(hit);
    pthread_join(writer, NULL);
    rebuilt = rebuild_ends();
    speedy_db_free(o.db);
    assert_true(still);
    assert_true(met);
    assert_true(rebuilt);
    assert_true(o.written >= 0);
    both_have(o.written); /* as a rule 0 */
#endif
}

/*
 * An order was accepted, and orderd has not read its event when Redis is
 * lost: the sale stays fenced until it has, and then has the order.
 */
static void the_log_is_read_before_the_snapshot(void **state)
{
    struct order o;
    bool early, rebuilt;

    (void)state;
    assert_string_equal(rig_reserve(sale, 603, "u1"), "RESERVED");
    order_begin(&o, 603);
    rig_offsets(0);
    lose_redis();
    early = servers_wait(gate_stands, NULL, FENCED_MS);
    order_apply(&o);
    rig_offsets(1000000);
    rebuilt = rebuild_ends();
    speedy_db_free(o.db);
    assert_false(early);
    assert_int_equal(o.written, 1);
    assert_true(rebuilt);
    both_have(1);
    assert_string_equal(rig_reserve(sale, 603, "u1"), "REPLAY");
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup(f, setup)
    const struct CMUnitTest tests[] = {
        CASE(an_order_being_written_is_counted),
        CASE(an_order_after_the_snapshot_is_refused),
        CASE(the_log_is_read_before_the_snapshot),
    };

    return cmocka_run_group_tests_name("stockd races", tests, start, rig_stop);
}
