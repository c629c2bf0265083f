/*
 * Releases and stock changes against real servers, crashes in between
 * included: a crash is a turn whose database half is undone by hand.
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

static char sale[16];
static struct speedy_keys keys;

/* A sale of 10 with one order of `units` in ledger and MySQL. */
static void open_sale(unsigned n, long units)
{
    snprintf(sale, sizeof(sale), "%s", rig_sale(10));
    speedy_keys_make(&keys, sale);
    if (units > 0)
        rig_order(sale, n, "u1", units, 1);
    assert_true(rig_until_open(sale));
    assert_int_equal(rig_left(sale), 10 - units);
}

static void outbox(unsigned n, long target, long epoch)
{
    shop_db_do("INSERT INTO release_outbox (sale_id, order_id, target, epoch)"
               " VALUES ('%s', UNHEX(CONCAT('01', LPAD(HEX(%u), 30, '0'))),"
               " %ld, %ld)",
               sale, n, target, epoch);
}

static long open_rows(void)
{
    return shop_db_number("SELECT COUNT(*) FROM release_outbox WHERE done_at"
                          " IS NULL AND sale_id = '%s'",
                          sale);
}

static void relay(void)
{
    stockd_relay_duty.run(NULL);
}

static void test_release_once(void **state)
{
    (void)state;
    open_sale(11, 3);
    outbox(11, 1, 2);
    relay();
    assert_int_equal(open_rows(), 0);
    assert_int_equal(rig_left(sale), 9);
    /* died before the mark: the row is relayed again */
    shop_db_do("UPDATE release_outbox SET done_at = NULL");
    relay();
    assert_int_equal(open_rows(), 0);
    assert_int_equal(rig_left(sale), 9);
    outbox(11, 0, 2);
    relay();
    assert_int_equal(rig_left(sale), 10);
    assert_int_equal(rig_number("HLEN", keys.resv, NULL), 0);
}

static void test_release_waits_for_the_rebuild(void **state)
{
    (void)state;
    open_sale(12, 2);
    outbox(12, 0, 3); /* a later epoch than the ledger's */
    relay();
    assert_int_equal(open_rows(), 1);
    assert_int_equal(rig_left(sale), 8);
    shop_db_do("UPDATE orders SET units_live = 0, state = 'EXPIRED' WHERE"
               " sale_id = '%s'",
               sale);
    shop_db_do("UPDATE sale_variants SET held = 0, epoch = 3 WHERE sale_id ="
               " '%s'",
               sale);
    rig_turn();
    assert_true(rig_until_open(sale));
    relay();
    assert_int_equal(open_rows(), 0);
    assert_int_equal(rig_left(sale), 10);
}

/* More than a page of rows that must wait do not hold up another sale. */
static void test_a_waiting_sale_holds_up_nobody(void **state)
{
    char waiting[16];

    (void)state;
    open_sale(13, 1);
    snprintf(waiting, sizeof(waiting), "%s", sale);
    shop_db_do("INSERT INTO release_outbox (sale_id, order_id, target, epoch)"
               " SELECT '%s', UNHEX(MD5(seq)), 0, 99 FROM seq_1_to_2500",
               waiting);
    open_sale(14, 2);
    outbox(14, 0, 2);
    relay();
    assert_int_equal(open_rows(), 0);
    assert_int_equal(rig_left(sale), 10);
    shop_db_do("DELETE FROM release_outbox WHERE sale_id = '%s'", waiting);
}

static void test_archived_is_done(void **state)
{
    (void)state;
    open_sale(15, 1);
    shop_db_do("UPDATE sales SET state = 'ARCHIVED' WHERE id = '%s'", sale);
    outbox(15, 0, 99);
    relay();
    assert_int_equal(open_rows(), 0);
    assert_int_equal(rig_left(sale), 9);
}

static void test_old_rows_go(void **state)
{
    (void)state;
    open_sale(16, 0);
    outbox(16, 0, 1);
    shop_db_do("UPDATE release_outbox SET done_at = UTC_TIMESTAMP() -"
               " INTERVAL 2 HOUR WHERE sale_id = '%s'",
               sale);
    stockd_relay_duty.close();
    assert_int_equal(stockd_relay_duty.open(1), 0);
    relay();
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM release_outbox"
                                    " WHERE sale_id = '%s'",
                                    sale),
                     0);
}

static void change(const char *kind, long units)
{
    if (strcmp(kind, "raise") == 0)
        shop_db_do("UPDATE sale_variants SET total = total + %ld WHERE"
                   " sale_id = '%s'",
                   units, sale);
    shop_db_do("INSERT INTO stock_adjustments (sale_id, variant, kind, units,"
               " epoch, actor, reason) SELECT '%s', 'default', '%s', %ld,"
               " epoch, 'test', '' FROM sale_variants WHERE sale_id = '%s'",
               sale, kind, units, sale);
}

static long in_state(const char *name)
{
    return shop_db_number("SELECT COUNT(*) FROM stock_adjustments WHERE"
                          " sale_id = '%s' AND state = '%s'",
                          sale, name);
}

static long total(void)
{
    return shop_db_number("SELECT total FROM sale_variants WHERE sale_id ="
                          " '%s'",
                          sale);
}

static long ended(void)
{
    return shop_db_number("SELECT COUNT(*) FROM stock_adjustments WHERE"
                          " sale_id = '%s' AND done_at IS NOT NULL",
                          sale);
}

static void reopen(const char *from)
{
    shop_db_do("UPDATE stock_adjustments SET state = 'OPEN', done_at = NULL"
               " WHERE sale_id = '%s' AND state = '%s'",
               sale, from);
}

static void adjust(void)
{
    stockd_adjust_duty.run(NULL);
}

/* The first turn may find its connection dead. */
static bool adjusted(void *data)
{
    (void)data;
    adjust();
    return in_state("DONE") == 1;
}

static void test_raise_once(void **state)
{
    (void)state;
    open_sale(21, 0);
    change("raise", 5);
    adjust();
    assert_int_equal(in_state("DONE"), 1);
    assert_int_equal(rig_left(sale), 15);
    reopen("DONE"); /* died between script and mark */
    adjust();
    assert_int_equal(rig_left(sale), 15);
    /* Redis lost before the mark: the rebuild counts it, the script not */
    reopen("DONE");
    servers_redis_kill();
    assert_int_equal(servers_redis_start(), 0);
    assert_true(rig_until_open(sale));
    assert_true(servers_wait(adjusted, NULL, 10000));
    assert_int_equal(rig_left(sale), 15);
}

static void test_lower(void **state)
{
    (void)state;
    open_sale(22, 1);
    change("lower", 4);
    adjust();
    assert_int_equal(in_state("DONE"), 1);
    assert_int_equal(rig_left(sale), 5);
    assert_int_equal(total(), 6);
    assert_int_equal(rig_number("HLEN", keys.resv, NULL), 1);
    change("lower", 6); /* more than is left */
    adjust();
    assert_int_equal(in_state("REFUSED"), 1);
    assert_int_equal(rig_left(sale), 5);
    assert_int_equal(total(), 6);
}

/* MySQL's guard refuses: the units come back, once. */
static void test_lower_refused(void **state)
{
    (void)state;
    open_sale(23, 0);
    shop_db_do("UPDATE sale_variants SET sold = 10 WHERE sale_id = '%s'", sale);
    change("lower", 2);
    adjust();
    assert_int_equal(in_state("REFUSED"), 1);
    assert_int_equal(rig_left(sale), 10);
    assert_int_equal(total(), 10);
    /* died between untake and mark */
    shop_db_do("UPDATE stock_adjustments SET done_at = NULL WHERE sale_id ="
               " '%s'",
               sale);
    adjust();
    assert_int_equal(in_state("REFUSED"), 1);
    assert_int_equal(ended(), 1);
    assert_int_equal(rig_left(sale), 10);
    assert_int_equal(rig_number("HLEN", keys.resv, NULL), 0);
    /* a take of it that lands late takes nothing */
    reopen("REFUSED");
    adjust();
    assert_int_equal(rig_left(sale), 10);
    assert_int_equal(rig_number("HLEN", keys.resv, NULL), 0);
    assert_int_equal(total(), 10);
    shop_db_do("UPDATE sale_variants SET sold = 0 WHERE sale_id = '%s'", sale);
}

/* Lowered in MySQL, died before the drop: dropped, and nothing given back. */
static void test_lowered_is_dropped(void **state)
{
    (void)state;
    open_sale(24, 0);
    change("lower", 3);
    adjust();
    shop_db_do("UPDATE stock_adjustments SET state = 'LOWERED', done_at ="
               " NULL WHERE sale_id = '%s'",
               sale);
    adjust();
    assert_int_equal(in_state("DONE"), 1);
    assert_int_equal(rig_left(sale), 7);
    assert_int_equal(total(), 7);
}

static void test_stale_intent_is_void(void **state)
{
    (void)state;
    open_sale(25, 0);
    change("lower", 3);
    shop_db_do("UPDATE stock_adjustments SET epoch = 1 WHERE sale_id = '%s'",
               sale);
    adjust();
    assert_int_equal(in_state("VOID"), 1);
    assert_int_equal(rig_left(sale), 10);
    assert_int_equal(total(), 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_release_once),
        cmocka_unit_test(test_release_waits_for_the_rebuild),
        cmocka_unit_test(test_a_waiting_sale_holds_up_nobody),
        cmocka_unit_test(test_archived_is_done),
        cmocka_unit_test(test_old_rows_go),
        cmocka_unit_test(test_raise_once),
        cmocka_unit_test(test_lower),
        cmocka_unit_test(test_lower_refused),
        cmocka_unit_test(test_lowered_is_dropped),
        cmocka_unit_test(test_stale_intent_is_void),
    };

    return cmocka_run_group_tests(tests, rig_start, rig_stop);
}
