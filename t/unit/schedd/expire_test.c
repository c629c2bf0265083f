/*
 * Holds that end, against a real MariaDB.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../../../daemons/common/log.h"
#include "../../../daemons/schedd/expire.h"
#include "../common/servers.h"
#include "../common/shop_db.h"

static struct speedy_db *db;
static struct schedd_expire expire;
static char sale[16];
static int sales;

static int group_setup(void **state)
{
    (void)state;
    speedy_log_init("test", 0);
    if (shop_db_start() != 0)
        return -1;
    db = speedy_db_new("schedd");
    return db == NULL ? -1 : 0;
}

static int group_teardown(void **state)
{
    (void)state;
    speedy_db_free(db);
    servers_stop();
    return 0;
}

static int sale_of(const char *restock)
{
    snprintf(sale, sizeof(sale), "sale%d", ++sales);
    return shop_db_sale(sale, 1000, 600000, restock);
}

static int setup(void **state)
{
    (void)state;
    schedd_expire_init(&expire, db, 1);
    return sale_of("immediate");
}

static int teardown(void **state)
{
    (void)state;
    return shop_db_do("UPDATE orders SET state = 'EXPIRED', units_live = 0"
                      " WHERE state <> 'EXPIRED'");
}

/* n orders of one unit; due: `seconds` ago (negative: in the future). */
static void orders(int n, const char *state, int seconds)
{
    static int users;

    for (int i = 0; i < n; i++) {
        users++;
        assert_int_equal(
            shop_db_do("INSERT INTO orders (id, sale_id, variant, user_id,"
                       " quantity, unit_price, state, units_live, epoch, seq,"
                       " key_digest, key_live, body_digest, reserved_at,"
                       " pay_by) VALUES (UNHEX(LPAD(HEX(%d), 32, '0')), '%s',"
                       " 'default', 'u%d', 1, 1000, '%s', 1, 1, %d,"
                       " UNHEX(LPAD(HEX(%d), 32, '0')),"
                       " UNHEX(LPAD(HEX(%d), 32, '0')), UNHEX(LPAD('', 32,"
                       " '0')), UTC_TIMESTAMP(3),"
                       " UTC_TIMESTAMP(3) - INTERVAL %d SECOND)",
                       users, sale, users, state, users, users, users, seconds),
            0);
    }
    shop_db_do("UPDATE sale_variants SET held = held + %d WHERE sale_id ="
               " '%s'",
               n, sale);
}

static long count(const char *state)
{
    return shop_db_number("SELECT COUNT(*) FROM orders WHERE sale_id = '%s'"
                          " AND state = '%s'",
                          sale, state);
}

static long variant(const char *column)
{
    return shop_db_number("SELECT %s FROM sale_variants WHERE sale_id = '%s'",
                          column, sale);
}

/* Until nothing is due, at most 50 batches. Returns how many were moved. */
static int run(void)
{
    int total = 0;

    for (int i = 0; i < 50; i++) {
        int n = schedd_expire_batch(&expire);

        if (n == 0)
            return total;
        if (n > 0)
            total += n;
    }
    return -1;
}

static void due_holds_end_and_give_back(void **state)
{
    (void)state;
    shop_db_do("UPDATE sale_variants SET epoch = 7 WHERE sale_id = '%s'", sale);
    orders(3, "PENDING_PAYMENT", 1);
    orders(1, "PAY_READY", 1);
    orders(1, "PAY_FAILED", 1);
    orders(2, "PENDING_PAYMENT", -60);
    assert_int_equal(run(), 5);
    assert_int_equal(count("EXPIRED"), 5);
    assert_int_equal(count("PENDING_PAYMENT"), 2);
    assert_int_equal(variant("held"), 2);
    assert_int_equal(variant("withheld"), 0);
    assert_int_equal(
        shop_db_number("SELECT COUNT(*) FROM release_outbox WHERE sale_id ="
                       " '%s' AND target = 0 AND epoch = 7"
                       " AND done_at IS NULL",
                       sale),
        5);
    assert_int_equal(
        shop_db_number("SELECT COUNT(*) FROM order_events e JOIN orders o"
                       " ON o.id = e.order_id WHERE o.sale_id = '%s' AND"
                       " e.version = o.version AND e.version = 2 AND"
                       " to_state = 'EXPIRED' AND actor = 'schedd:1'",
                       sale),
        5);
    assert_int_equal(
        shop_db_number("SELECT SUM(units_live + units_withheld) FROM orders"
                       " WHERE sale_id = '%s' AND state = 'EXPIRED'",
                       sale),
        0);
}

static void an_approving_payment_is_left_alone(void **state)
{
    (void)state;
    orders(1, "PAY_APPROVING", 1);
    orders(1, "PAID", 1);
    assert_int_equal(run(), 0);
    assert_int_equal(count("EXPIRED"), 0);
}

static void other_policies_withhold(void **state)
{
    static const char *const policies[] = {"hold", "random"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        sale_of(policies[i]);
        orders(4, "PENDING_PAYMENT", 1);
        assert_int_equal(run(), 4);
        assert_int_equal(variant("held"), 0);
        assert_int_equal(variant("withheld"), 4);
        assert_int_equal(
            shop_db_number("SELECT COUNT(*) FROM orders WHERE sale_id = '%s'"
                           " AND units_live = 0 AND units_withheld = 1",
                           sale),
            4);
        assert_int_equal(shop_db_number("SELECT COUNT(*) FROM release_outbox"
                                        " WHERE sale_id = '%s'",
                                        sale),
                         0);
    }
}

static void more_than_a_batch(void **state)
{
    (void)state;
    orders(300, "PENDING_PAYMENT", 1);
    assert_int_equal(run(), 300);
    assert_int_equal(count("EXPIRED"), 300);
    assert_int_equal(variant("held"), 0);
}

static void rows_that_others_locked_are_skipped(void **state)
{
    struct speedy_db *other = speedy_db_new("tester");

    (void)state;
    orders(3, "PENDING_PAYMENT", 1);
    assert_int_equal(speedy_db_begin(other), 0);
    assert_int_equal(
        speedy_db_exec(other,
                       "UPDATE orders SET request_id = 'x' WHERE sale_id = ?"
                       " LIMIT 1",
                       DB_ARGS(DB_TEXT(sale)), NULL),
        SPEEDY_DB_OK);
    assert_int_equal(schedd_expire_batch(&expire), 2);
    assert_int_equal(count("EXPIRED"), 2);
    speedy_db_rollback(other);
    assert_int_equal(run(), 1);
    assert_int_equal(count("EXPIRED"), 3);
    speedy_db_free(other);
}

static void one_bad_row_stops_nobody(void **state)
{
    char good[sizeof(sale)];

    (void)state;
    orders(5, "PENDING_PAYMENT", 1);
    memcpy(good, sale, sizeof(good));
    /* Its unit is counted nowhere: held cannot be lowered. */
    sale_of("immediate");
    orders(1, "PENDING_PAYMENT", 2);
    shop_db_do("UPDATE sale_variants SET held = 0 WHERE sale_id = '%s'", sale);
    assert_true(run() > 0);
    assert_int_equal(count("EXPIRED"), 0);
    assert_int_equal(expire.aside_count, 1);
    memcpy(sale, good, sizeof(sale));
    assert_int_equal(count("EXPIRED"), 5);
    assert_int_equal(variant("held"), 0);
    assert_int_equal(run(), 0);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(due_holds_end_and_give_back),
        CASE(an_approving_payment_is_left_alone),
        CASE(other_policies_withhold),
        CASE(more_than_a_batch),
        CASE(rows_that_others_locked_are_skipped),
        CASE(one_bad_row_stops_nobody),
    };

    return cmocka_run_group_tests_name("schedd expire", tests, group_setup,
                                       group_teardown);
}
