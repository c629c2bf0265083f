/*
 * Sweeper, scan and archive against real servers and the mock cluster.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../common/servers.h"
#include "../common/shop_db.h"
#include "duty_rig.h"

#define WAIT_MS 10000

static char sale[16];
static struct speedy_keys keys;

static void open_sale(void)
{
    snprintf(sale, sizeof(sale), "%s", rig_sale(10));
    speedy_keys_make(&keys, sale);
    assert_true(rig_until_open(sale));
}

static long pending(void)
{
    return rig_number("HLEN", keys.pend, NULL);
}

static bool swept(void *data)
{
    (void)data;
    stockd_sweep_duty.run(NULL);
    return pending() == 0;
}

static bool repended(void *data)
{
    (void)data;
    stockd_scan_duty.run(NULL);
    return pending() == 1;
}

static void test_pending_is_produced(void **state)
{
    (void)state;
    open_sale();
    assert_string_equal(rig_reserve(sale, 401, "u1"), "RESERVED");
    stockd_sweep_duty.run(NULL);
    assert_int_equal(pending(), 1); /* not yet old enough for us */
    assert_true(servers_wait(swept, NULL, WAIT_MS));
    assert_int_equal(rig_left(sale), 9);
    assert_string_equal(rig_reserve(sale, 401, "u1"), "REPLAY");
}

static bool produced(void *before)
{
    stockd_sweep_duty.run(NULL);
    return atomic_load(&stockd_m_sweeps.value) > *(int64_t *)before;
}

/* A fenced sale's order stays in doubt; nothing is acknowledged. */
static void test_no_ack_without_gate(void **state)
{
    int64_t before = atomic_load(&stockd_m_sweeps.value);

    (void)state;
    open_sale();
    assert_string_equal(rig_reserve(sale, 402, "u1"), "RESERVED");
    rig_number("DEL", keys.gate, NULL);
    assert_true(servers_wait(produced, &before, WAIT_MS));
    assert_int_equal(pending(), 1);
    assert_true(rig_until_open(sale));
    assert_true(servers_wait(swept, NULL, WAIT_MS));
}

/* An entry without its ledger entry leaves pend. */
static void test_orphan_is_dropped(void **state)
{
    struct speedy_args a = {0};

    (void)state;
    open_sale();
    speedy_args_text(&a, "HSET");
    speedy_args_text(&a, keys.pend);
    speedy_args_text(&a, "0123456789abcdef");
    speedy_args_text(&a, "1");
    freeReplyObject(speedy_redis_command(rig_redis, &a));
    speedy_args_free(&a);
    assert_true(servers_wait(swept, NULL, WAIT_MS));
}

/* A lost order is found by the scan and goes back to pend. */
static void test_lost_order_is_found(void **state)
{
    (void)state;
    open_sale();
    assert_string_equal(rig_reserve(sale, 403, "u1"), "RESERVED");
    rig_number("DEL", keys.pend, NULL);
    assert_true(servers_wait(repended, NULL, WAIT_MS));
    assert_true(servers_wait(swept, NULL, WAIT_MS));
}

/* What orderd has not read yet is not lost. */
static void test_orderd_behind_is_not_lost(void **state)
{
    (void)state;
    open_sale();
    assert_string_equal(rig_reserve(sale, 404, "u1"), "RESERVED");
    rig_number("DEL", keys.pend, NULL);
    rig_offsets(0);
    for (int i = 0; i < 10; i++) {
        stockd_scan_duty.run(NULL);
        speedy_pause(20);
    }
    assert_int_equal(pending(), 0);
    rig_order(sale, 404, "u1", 1, 1);
    rig_offsets(1000000);
    for (int i = 0; i < 10; i++) {
        stockd_scan_duty.run(NULL);
        speedy_pause(20);
    }
    assert_int_equal(pending(), 0);
}

/* Of an older epoch than the gate, known to MySQL, and in pend again. */
static void test_older_epoch_is_settled(void **state)
{
    struct speedy_args a = {0};
    unsigned char id[16];

    (void)state;
    snprintf(sale, sizeof(sale), "%s", rig_sale(10));
    speedy_keys_make(&keys, sale);
    rig_order(sale, 405, "u1", 1, 1); /* epoch 1 */
    assert_true(rig_until_open(sale));
    rig_order_id(405, id);
    speedy_args_text(&a, "HSET");
    speedy_args_text(&a, keys.pend);
    speedy_args_add(&a, id, 16);
    speedy_args_text(&a, "1");
    freeReplyObject(speedy_redis_command(rig_redis, &a));
    speedy_args_free(&a);
    assert_true(servers_wait(swept, NULL, WAIT_MS));
    assert_int_equal(rig_number("HLEN", keys.resv, NULL), 1);
}

static bool archived(void *data)
{
    (void)data;
    rig_turn();
    stockd_archive_duty.run(NULL);
    return shop_db_number("SELECT state = 'ARCHIVED' FROM sales WHERE id ="
                          " '%s'",
                          sale) == 1;
}

static void age(const char *state)
{
    shop_db_do("UPDATE sales SET opens_at = UTC_TIMESTAMP() - INTERVAL 2 HOUR,"
               " closes_at = UTC_TIMESTAMP() - INTERVAL 1 HOUR, created_at ="
               " opens_at, state = '%s' WHERE id = '%s'",
               state, sale);
    shop_db_do("UPDATE orders SET updated_at = UTC_TIMESTAMP() - INTERVAL 1"
               " HOUR WHERE sale_id = '%s'",
               sale);
}

static void test_archive(void **state)
{
    (void)state;
    snprintf(sale, sizeof(sale), "%s", rig_sale(10));
    speedy_keys_make(&keys, sale);
    rig_order(sale, 406, "u1", 0, 1); /* ended */
    assert_true(rig_until_open(sale));
    age("ACTIVE"); /* long past its closing: closed here first */
    assert_true(servers_wait(archived, NULL, WAIT_MS));
    assert_int_equal(rig_number("EXISTS", keys.loaded, NULL), 0);
    assert_int_equal(rig_number("EXISTS", keys.stock, NULL), 0);
    assert_string_equal(rig_text(SPEEDY_KEY_SALES, sale), "archived");
}

/* The keys of a sale that was archived just before a crash. */
static void test_leftovers(void **state)
{
    (void)state;
    open_sale();
    shop_db_do("UPDATE sales SET state = 'ARCHIVED', archived_at ="
               " UTC_TIMESTAMP(3) WHERE id = '%s'",
               sale);
    stockd_superseded(stockd_token()); /* a new leader looks at once */
    stockd_archive_duty.run(NULL);
    rig_lead();
    rig_turn();
    stockd_archive_duty.run(NULL);
    assert_int_equal(rig_number("EXISTS", keys.loaded, NULL), 0);
}

static void test_not_archived(void **state)
{
    long rounds = 0;

    (void)state;
    snprintf(sale, sizeof(sale), "%s", rig_sale(10));
    speedy_keys_make(&keys, sale);
    rig_order(sale, 407, "u1", 1, 1); /* still held */
    assert_true(rig_until_open(sale));
    age("CLOSED");
    while (rounds++ < 6) {
        assert_false(archived(NULL));
        speedy_pause(60);
    }
    assert_int_equal(rig_number("HLEN", keys.resv, NULL), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pending_is_produced),
        cmocka_unit_test(test_no_ack_without_gate),
        cmocka_unit_test(test_orphan_is_dropped),
        cmocka_unit_test(test_lost_order_is_found),
        cmocka_unit_test(test_orderd_behind_is_not_lost),
        cmocka_unit_test(test_older_epoch_is_settled),
        cmocka_unit_test(test_archive),
        cmocka_unit_test(test_leftovers),
        cmocka_unit_test(test_not_archived),
    };

    return cmocka_run_group_tests(tests, rig_start, rig_stop);
}
