/*
 * The gate and the rebuild against real servers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../../../daemons/stockd/barrier.h"
#include "../../../daemons/stockd/snapshot.h"
#include "../common/servers.h"
#include "../common/shop_db.h"
#include "duty_rig.h"

static void test_new_sale_opens(void **state)
{
    const char *sale = rig_sale(5);
    struct speedy_keys keys;

    (void)state;
    speedy_keys_make(&keys, sale);
    assert_true(rig_until_open(sale));
    assert_int_equal(rig_left(sale), 5);
    assert_int_equal(rig_number("HGET", keys.gate, "epoch"), 2);
    assert_int_equal(rig_number("HGET", keys.gate, "limit"), 1);
    assert_string_equal(rig_text(keys.gate, "state"), "ACTIVE");
    assert_string_equal(rig_reserve(sale, 1, "u1"), "RESERVED");
    assert_string_equal(rig_reserve(sale, 2, "u1"), "LIMIT");
}

static void test_change_reaches_the_gate(void **state)
{
    const char *sale = rig_sale(5);
    struct speedy_keys keys;

    (void)state;
    speedy_keys_make(&keys, sale);
    assert_true(rig_until_open(sale));
    shop_db_do("UPDATE sales SET state = 'PAUSED', per_user_limit = 4"
               " WHERE id = '%s'",
               sale);
    rig_turn();
    assert_string_equal(rig_text(keys.gate, "state"), "PAUSED");
    assert_int_equal(rig_number("HGET", keys.gate, "limit"), 4);
}

/* What watchers are shown, in every letter, until it is taken away. */
static void test_notice_reaches_the_gate(void **state)
{
    const char *sale = rig_sale(5);
    struct speedy_keys keys;

    (void)state;
    speedy_keys_make(&keys, sale);
    assert_true(rig_until_open(sale));
    assert_string_equal(rig_text(keys.gate, "notice"), "");
    shop_db_do("UPDATE sales SET notice = '홍길동 \"10\"' WHERE id = '%s'",
               sale);
    rig_turn();
    assert_string_equal(rig_text(keys.gate, "notice"), "홍길동 \"10\"");
    shop_db_do("UPDATE sales SET notice = REPEAT('😀', 500) WHERE id = '%s'",
               sale);
    rig_turn();
    assert_int_equal(rig_number("HSTRLEN", keys.gate, "notice"), 2000);
    shop_db_do("UPDATE sales SET notice = '' WHERE id = '%s'", sale);
    rig_turn();
    assert_string_equal(rig_text(keys.gate, "notice"), "");
}

static void test_redis_lost(void **state)
{
    const char *sale = rig_sale(10);
    struct speedy_keys keys;

    (void)state;
    speedy_keys_make(&keys, sale);
    assert_true(rig_until_open(sale));
    rig_order(sale, 101, "u1", 1, 7);
    rig_order(sale, 102, "u2", 2, 3);
    rig_order(sale, 103, "u3", 0, 9); /* ended */
    assert_int_equal(rig_left(sale), 10);

    servers_redis_kill();
    assert_int_equal(servers_redis_start(), 0);
    assert_true(rig_until_open(sale));
    assert_int_equal(rig_left(sale), 7);
    assert_int_equal(rig_number("HLEN", keys.resv, NULL), 2);
    assert_int_equal(rig_number("HLEN", keys.user, NULL), 3);
    assert_int_equal(rig_number("LLEN", keys.log, NULL), 2);
    assert_int_equal(rig_number("HGET", keys.loaded, "epoch"), 3);
    assert_int_equal(shop_db_number("SELECT epoch FROM sale_variants WHERE"
                                    " sale_id = '%s'",
                                    sale),
                     3);
    /* seq goes on above 9: base + length of log + 1 */
    assert_int_equal(rig_number("HGET", keys.gate, "seq_base") + 2 + 1, 10);
    assert_string_equal(rig_reserve(sale, 104, "u1"), "LIMIT");
    assert_string_equal(rig_reserve(sale, 105, "u3"), "RESERVED");
}

static void test_ask_twice_is_once(void **state)
{
    const char *sale = rig_sale(3);

    (void)state;
    assert_true(rig_until_open(sale));
    for (int i = 0; i < 3; i++)
        rig_turn();
    assert_int_equal(shop_db_number("SELECT epoch FROM sale_variants WHERE"
                                    " sale_id = '%s'",
                                    sale),
                     2);
}

/* Another epoch than MySQL's is another ledger. */
static void test_epoch_moved(void **state)
{
    const char *sale = rig_sale(3);
    struct speedy_keys keys;

    (void)state;
    speedy_keys_make(&keys, sale);
    assert_true(rig_until_open(sale));
    shop_db_do("UPDATE sale_variants SET epoch = 9 WHERE sale_id = '%s'", sale);
    rig_turn();
    assert_true(rig_until_open(sale));
    assert_int_equal(rig_number("HGET", keys.loaded, "epoch"), 10);
}

static void test_columns_differ_stays_fenced(void **state)
{
    const char *sale = rig_sale(3);

    (void)state;
    shop_db_do("UPDATE sale_variants SET held = 1 WHERE sale_id = '%s'", sale);
    for (int i = 0; i < 3; i++)
        rig_turn();
    assert_false(rig_gate(sale));
    assert_int_equal(shop_db_number("SELECT epoch FROM sale_variants WHERE"
                                    " sale_id = '%s'",
                                    sale),
                     1);
    shop_db_do("UPDATE sales SET state = 'ARCHIVED' WHERE id = '%s'", sale);
}

static void test_variants_of_two_epochs(void **state)
{
    const char *sale = rig_sale(3);
    struct speedy_keys keys;

    (void)state;
    speedy_keys_make(&keys, sale);
    shop_db_do("INSERT INTO sale_variants (sale_id, variant, price, total,"
               " epoch) VALUES ('%s', 'late', 1000, 4, 5)",
               sale);
    assert_true(rig_until_open(sale));
    assert_int_equal(rig_number("HGET", keys.loaded, "epoch"), 6);
    assert_int_equal(shop_db_number("SELECT COUNT(DISTINCT epoch) FROM"
                                    " sale_variants WHERE sale_id = '%s'",
                                    sale),
                     1);
    assert_int_equal(rig_number("HGET", keys.stock, "late"), 4);
}

static void test_snapshot_needs_the_lease(void **state)
{
    const char *sale = rig_sale(3);
    struct speedy_db *db = speedy_db_new(STOCKD_ROLE);
    struct stockd_snapshot s = {0};
    struct speedy_lease lease;

    (void)state;
    assert_true(stockd_lease(stockd_token(), &lease));
    lease.token--;
    assert_int_equal(stockd_snapshot_take(&s, db, &lease, sale),
                     STOCKD_SNAPSHOT_LEASE_LOST);
    stockd_snapshot_free(&s);
    assert_int_equal(shop_db_number("SELECT epoch FROM sale_variants WHERE"
                                    " sale_id = '%s'",
                                    sale),
                     1);
    speedy_db_free(db);
}

static void test_snapshot_voids_intents(void **state)
{
    const char *sale = rig_sale(3);
    struct speedy_db *db = speedy_db_new(STOCKD_ROLE);
    struct stockd_snapshot s = {0};
    struct speedy_lease lease;

    (void)state;
    shop_db_do("INSERT INTO stock_adjustments (sale_id, variant, kind, units,"
               " epoch, actor, reason) VALUES ('%s', 'default', 'lower', 1, 1,"
               " 'test', ''), ('%s', 'default', 'raise', 1, 1, 'test', '')",
               sale, sale);
    assert_true(stockd_lease(stockd_token(), &lease));
    assert_int_equal(stockd_snapshot_take(&s, db, &lease, sale),
                     STOCKD_SNAPSHOT_OK);
    assert_int_equal(s.epoch, 2);
    stockd_snapshot_free(&s);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM stock_adjustments"
                                    " WHERE sale_id = '%s' AND"
                                    " (kind = 'lower') = (state = 'VOID')",
                                    sale),
                     2);
    speedy_db_free(db);
    rig_until_open(sale);
}

static void test_barrier(void **state)
{
    struct speedy_producer *p = speedy_producer_new("test", 5000);
    struct speedy_db *db = speedy_db_new(STOCKD_ROLE);
    struct stockd_barrier b = {0};

    (void)state;
    assert_int_equal(stockd_barrier_mark(&b, p, "test", 5000), 0);
    assert_int_equal(b.parts, 3);
    rig_offsets(0);
    assert_int_equal(stockd_barrier_passed(&b, db), 0);
    for (int i = 0; i < b.parts; i++)
        shop_db_do("UPDATE kafka_offsets SET next_offset = %lld WHERE part ="
                   " %d",
                   (long long)b.offset[i] + (i < 2), i);
    assert_int_equal(stockd_barrier_passed(&b, db), 0);
    rig_offsets(1000000);
    assert_int_equal(stockd_barrier_passed(&b, db), 1);
    shop_db_do("DELETE FROM kafka_offsets WHERE part = 1");
    assert_int_equal(stockd_barrier_passed(&b, db), 0);
    rig_offsets(1000000);
    stockd_barrier_free(&b);
    speedy_producer_free(p);
    speedy_db_free(db);
}

/* Redis has seen a younger leader: this one stops, and comes back above. */
static void test_superseded(void **state)
{
    const char *sale = rig_sale(3);
    int64_t token = stockd_token();
    struct speedy_keys keys;
    struct speedy_args a = {0};

    (void)state;
    speedy_keys_make(&keys, sale);
    assert_true(rig_until_open(sale));
    speedy_args_text(&a, "HSET");
    speedy_args_text(&a, keys.loaded);
    speedy_args_text(&a, "token");
    speedy_args_int(&a, token + 2);
    freeReplyObject(speedy_redis_command(rig_redis, &a));
    speedy_args_free(&a);
    rig_turn();
    assert_int_equal(stockd_token(), 0);
    for (int i = 0; i < 5 && stockd_token() < token + 2; i++) {
        rig_lead();
        rig_turn();
    }
    assert_true(stockd_token() >= token + 2);
    assert_int_equal(rig_number("HGET", keys.loaded, "token"),
                     (long)stockd_token());
}

/* MySQL away: the gate is renewed from the last catalogue. */
static void test_mysql_away(void **state)
{
    const char *sale = rig_sale(3);

    (void)state;
    assert_true(rig_until_open(sale));
    servers_mysql_kill();
    stockd_lead_duty.run(NULL);
    rig_turn();
    assert_true(stockd_token() != 0);
    assert_true(rig_gate(sale));
    assert_string_equal(rig_reserve(sale, 301, "u1"), "RESERVED");
    assert_int_equal(servers_mysql_start(), 0);
    rig_lead();
    assert_true(rig_until_open(sale));
}

static void test_register(void **state)
{
    char sale[16], run_id[41];

    (void)state;
    snprintf(sale, sizeof(sale), "%s", rig_sale(1));
    assert_true(rig_until_open(sale));
    stockd_register_duty.run(NULL);
    assert_string_equal(rig_text(SPEEDY_KEY_SALES, sale), "live");
    snprintf(run_id, sizeof(run_id), "%s", speedy_redis_run_id(rig_redis));
    assert_string_equal(rig_text(SPEEDY_KEY_SALES, SPEEDY_SALES_COMPLETE),
                        run_id);
    assert_int_equal(rig_number("DEL", SPEEDY_KEY_SALES, NULL), 1);
    stockd_register_duty.run(NULL);
    assert_string_equal(rig_text(SPEEDY_KEY_SALES, SPEEDY_SALES_COMPLETE),
                        run_id);
    /* a new sale appears at once */
    snprintf(sale, sizeof(sale), "%s", rig_sale(1));
    stockd_catalogue_duty.run(NULL);
    stockd_register_duty.run(NULL);
    assert_string_equal(rig_text(SPEEDY_KEY_SALES, sale), "live");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_sale_opens),
        cmocka_unit_test(test_change_reaches_the_gate),
        cmocka_unit_test(test_notice_reaches_the_gate),
        cmocka_unit_test(test_redis_lost),
        cmocka_unit_test(test_ask_twice_is_once),
        cmocka_unit_test(test_epoch_moved),
        cmocka_unit_test(test_columns_differ_stays_fenced),
        cmocka_unit_test(test_variants_of_two_epochs),
        cmocka_unit_test(test_snapshot_needs_the_lease),
        cmocka_unit_test(test_snapshot_voids_intents),
        cmocka_unit_test(test_barrier),
        cmocka_unit_test(test_superseded),
        cmocka_unit_test(test_register),
        cmocka_unit_test(test_mysql_away),
    };

    return cmocka_run_group_tests(tests, rig_start, rig_stop);
}
