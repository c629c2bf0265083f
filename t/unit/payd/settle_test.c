/*
 * What becomes of an approve, against a real MariaDB: each outcome on each
 * state, twice, and at once from several threads.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../../../daemons/common/log.h"
#include "../../../daemons/payd/moves.h"
#include "../../../daemons/payd/refund_rows.h"
#include "../../../daemons/payd/rows.h"
#include "../common/servers.h"
#include "../common/shop_db.h"

#define THREADS 4

static struct speedy_db *db;
static struct payd_payment p;
static struct payd_ask ask;
static struct payd_reply reply;
static int number;

static int group_setup(void **state)
{
    (void)state;
    speedy_log_init("test", 0);
    payd_settings = (struct payd_settings){.inquiry_first = 100,
                                           .inquiry_most = 1000,
                                           .late_look = 1000,
                                           .tid_life = 900000};
    if (shop_db_start() != 0 || shop_db_sale("sale", 1000, 600000, "immediate"))
        return -1;
    db = speedy_db_new("payd");
    return db == NULL ? -1 : 0;
}

static int group_teardown(void **state)
{
    (void)state;
    speedy_db_free(db);
    servers_stop();
    return 0;
}

/* An order in this state with a payment in that one; dead: its tid is. */
static void given(const char *order, const char *payment, bool dead)
{
    unsigned char id[16] = {0};
    int live = strcmp(payment, "FAILED") != 0;

    number++;
    id[14] = (unsigned char)(number >> 8);
    id[15] = (unsigned char)number;
    assert_int_equal(
        shop_db_do("INSERT INTO orders (id, sale_id, variant, user_id,"
                   " quantity, unit_price, state, units_live, epoch, seq,"
                   " key_digest, key_live, body_digest, reserved_at, pay_by)"
                   " VALUES (UNHEX(LPAD(HEX(%d), 32, '0')), 'sale', 'default',"
                   " 'u1', 1, 1000, '%s', 1, 1, %d,"
                   " UNHEX(LPAD(HEX(%d), 32, '0')),"
                   " UNHEX(LPAD(HEX(%d), 32, '0')), UNHEX(LPAD('', 32, '0')),"
                   " UTC_TIMESTAMP(3), UTC_TIMESTAMP(3) + INTERVAL 1 HOUR)",
                   number, order, number, number, number),
        0);
    assert_int_equal(
        shop_db_do(
            "INSERT INTO payments (id, order_id, live_order, user_id, state,"
            " api, cid, tid, nonce_hash, key_digest, body_digest, quantity,"
            " goods_amount, shipping_fee, total_amount, tax_free_amount,"
            " vat_amount, ready_at, dead_at, next_at) VALUES"
            " (UNHEX(LPAD(HEX(%d), 32, '0')), UNHEX(LPAD(HEX(%d), 32, '0')),"
            " IF(%d, UNHEX(LPAD(HEX(%d), 32, '0')), NULL), 'u1', '%s', 'open',"
            " 'TC0ONETIME', 'T%d', UNHEX(LPAD(HEX(%d), 64, '0')),"
            " UNHEX(LPAD('', 32, '0')), UNHEX(LPAD('', 32, '0')), 1, 1000, 0,"
            " 1000, 0, 91, UTC_TIMESTAMP(3),"
            " UTC_TIMESTAMP(3) + INTERVAL %d MINUTE, UTC_TIMESTAMP(3))",
            number, number, live, number, payment, number, number,
            dead ? -1 : 15),
        0);
    shop_db_do("UPDATE sale_variants SET held = held + 1");
    assert_int_equal(payd_payment_read(db, id, &p), 1);
    ask = (struct payd_ask){.kind = PAYD_APPROVE, .p = &p};
    memset(&reply, 0, sizeof(reply));
    reply.total = reply.available = -1;
}

static int settled(enum payd_kind kind, enum payd_outcome outcome)
{
    ask.kind = kind;
    reply.outcome = outcome;
    snprintf(reply.aid, sizeof(reply.aid), "A%d", number);
    if (outcome == PAYD_DONE)
        reply.total = reply.available = 1000;
    return payd_settle(db, &ask, &reply, "payd:1");
}

static long order_is(const char *state)
{
    return shop_db_number("SELECT COUNT(*) FROM orders WHERE state = '%s' AND"
                          " id = UNHEX(LPAD(HEX(%d), 32, '0'))",
                          state, number);
}

static long payment_is(const char *state)
{
    return shop_db_number("SELECT COUNT(*) FROM payments WHERE state = '%s'"
                          " AND id = UNHEX(LPAD(HEX(%d), 32, '0'))",
                          state, number);
}

static long refunds(void)
{
    return shop_db_number("SELECT COUNT(*) FROM refunds WHERE payment_id ="
                          " UNHEX(LPAD(HEX(%d), 32, '0'))",
                          number);
}

static long variant(const char *column)
{
    return shop_db_number("SELECT %s FROM sale_variants", column);
}

static void paid_once(void **state)
{
    long held, sold;

    (void)state;
    given("PAY_APPROVING", "APPROVING", false);
    held = variant("held");
    sold = variant("sold");
    assert_int_equal(settled(PAYD_APPROVE, PAYD_DONE), PAYD_S_PAID);
    assert_int_equal(settled(PAYD_INQUIRY, PAYD_DONE), PAYD_S_PAID);
    assert_int_equal(settled(PAYD_APPROVE, PAYD_REFUSED), PAYD_S_PAID);
    assert_int_equal(order_is("PAID"), 1);
    assert_int_equal(payment_is("PAID"), 1);
    assert_int_equal(variant("held"), held - 1);
    assert_int_equal(variant("sold"), sold + 1);
    assert_int_equal(refunds(), 0);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM mails WHERE kind ="
                                    " 'order_paid' AND params LIKE"
                                    " '%%\"amount\":1000%%'"),
                     1);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM order_events WHERE"
                                    " order_id = UNHEX(LPAD(HEX(%d), 32, '0'))"
                                    " AND version = 2 AND to_state = 'PAID'",
                                    number),
                     1);
}

static void refused_for_good(void **state)
{
    (void)state;
    given("PAY_APPROVING", "APPROVING", false);
    assert_int_equal(settled(PAYD_APPROVE, PAYD_REFUSED), PAYD_S_NOT_PAID);
    assert_int_equal(order_is("PAY_FAILED"), 1);
    assert_int_equal(payment_is("FAILED"), 1);
    /* nothing is asked again: it was refused before anything happened */
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM payments WHERE tid ="
                                    " 'T%d' AND next_at IS NULL",
                                    number),
                     1);
}

/* As long as the tid lives nothing but a success is final. */
static void unknown_stays_open(void **state)
{
    static const enum payd_outcome open[] = {
        PAYD_UNKNOWN, PAYD_MISMATCH,  PAYD_PENDING, PAYD_FAILED,
        PAYD_PARTLY,  PAYD_CANCELLED, PAYD_NO_TID,  PAYD_REFUSED};

    (void)state;
    given("PAY_APPROVING", "APPROVING", false);
    assert_int_equal(settled(PAYD_APPROVE, PAYD_UNKNOWN), PAYD_S_OPEN);
    assert_int_equal(settled(PAYD_APPROVE, PAYD_MISMATCH), PAYD_S_OPEN);
    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
        reply.available = 1000;
        assert_int_equal(settled(PAYD_INQUIRY, open[i]), PAYD_S_OPEN);
        assert_int_equal(order_is("PAY_APPROVING"), 1);
        assert_int_equal(refunds(), 0);
    }
    assert_int_equal(settled(PAYD_INQUIRY, PAYD_DONE), PAYD_S_PAID);
}

static void dead_is_not_paid(void **state)
{
    static const enum payd_outcome over[] = {PAYD_PENDING, PAYD_FAILED,
                                             PAYD_CANCELLED, PAYD_NO_TID};

    (void)state;
    for (size_t i = 0; i < sizeof(over) / sizeof(over[0]); i++) {
        given("PAY_APPROVING", "APPROVING", true);
        /* an approve's own reply may be older than the end */
        assert_int_equal(settled(PAYD_APPROVE, PAYD_UNKNOWN), PAYD_S_OPEN);
        assert_int_equal(settled(PAYD_INQUIRY, PAYD_UNKNOWN), PAYD_S_OPEN);
        assert_int_equal(settled(PAYD_INQUIRY, over[i]), PAYD_S_NOT_PAID);
        assert_int_equal(order_is("PAY_FAILED"), 1);
        assert_int_equal(payment_is("FAILED"), 1);
        /* and looked at once more */
        assert_int_equal(shop_db_number("SELECT COUNT(*) FROM payments WHERE"
                                        " tid = 'T%d' AND next_at > NOW(3)",
                                        number),
                         1);
        assert_int_equal(settled(PAYD_INQUIRY, over[i]), PAYD_S_NOT_PAID);
        assert_int_equal(shop_db_number("SELECT COUNT(*) FROM payments WHERE"
                                        " tid = 'T%d' AND next_at IS NULL",
                                        number),
                         1);
    }
}

static void late_money_goes_back_once(void **state)
{
    (void)state;
    given("EXPIRED", "FAILED", true);
    assert_int_equal(settled(PAYD_INQUIRY, PAYD_DONE), PAYD_S_LATE);
    assert_int_equal(settled(PAYD_INQUIRY, PAYD_DONE), PAYD_S_LATE);
    assert_int_equal(settled(PAYD_APPROVE, PAYD_DONE), PAYD_S_LATE);
    assert_int_equal(refunds(), 1);
    assert_int_equal(order_is("EXPIRED"), 1);
    assert_int_equal(payment_is("FAILED"), 1);
}

static void another_amount_goes_back(void **state)
{
    (void)state;
    given("PAY_APPROVING", "APPROVING", true);
    reply.available = 1001;
    assert_int_equal(settled(PAYD_INQUIRY, PAYD_MISMATCH), PAYD_S_LATE);
    assert_int_equal(order_is("PAY_FAILED"), 1);
    assert_int_equal(shop_db_number("SELECT amount FROM refunds WHERE"
                                    " payment_id = UNHEX(LPAD(HEX(%d), 32,"
                                    " '0'))",
                                    number),
                     1001);
}

static void *settle_all(void *data)
{
    struct speedy_db *own = speedy_db_new("payd");

    *(int *)data = payd_settle(own, &ask, &reply, "reconciler:1");
    speedy_db_free(own);
    return NULL;
}

static void several_at_once(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        pthread_t thread[THREADS];
        int rc[THREADS];
        long sold;

        given("PAY_APPROVING", "APPROVING", false);
        sold = variant("sold");
        ask.kind = PAYD_INQUIRY;
        reply.outcome = PAYD_DONE;
        reply.total = reply.available = 1000;
        snprintf(reply.aid, sizeof(reply.aid), "A%d", number);
        for (int i = 0; i < THREADS; i++)
            pthread_create(&thread[i], NULL, settle_all, &rc[i]);
        for (int i = 0; i < THREADS; i++) {
            pthread_join(thread[i], NULL);
            assert_int_equal(rc[i], PAYD_S_PAID);
        }
        assert_int_equal(variant("sold"), sold + 1);
        assert_int_equal(order_is("PAID"), 1);
    }
}

/* A refund that is done: the order ends, its unit comes back, once. */
static void a_refund_ends_the_order(void **state)
{
    struct payd_refund f;
    unsigned char id[16] = {9, 9};
    long sold;

    (void)state;
    given("PAY_APPROVING", "APPROVING", false);
    assert_int_equal(settled(PAYD_APPROVE, PAYD_DONE), PAYD_S_PAID);
    shop_db_do("UPDATE orders SET state = 'REFUNDING', version = 3 WHERE id ="
               " UNHEX(LPAD(HEX(%d), 32, '0'))",
               number);
    assert_int_equal(
        shop_db_do("INSERT INTO refunds (id, order_id, payment_id, kind,"
                   " quantity, amount, tax_free_amount, vat_amount, once_key,"
                   " actor, reason) VALUES"
                   " (UNHEX(RPAD('0909', 32, '0')),"
                   " UNHEX(LPAD(HEX(%d), 32, '0')),"
                   " UNHEX(LPAD(HEX(%d), 32, '0')), 'CANCEL', 1, 1000, 0, 91,"
                   " 'c1', 'shopper', 'cancel')",
                   number, number),
        0);
    sold = variant("sold");
    assert_int_equal(payd_refund_read(db, id, &f), 1);
    assert_int_equal(f.before, -1);
    assert_int_equal(payd_refund_done(db, &f), 0);
    assert_int_equal(payd_refund_done(db, &f), 0);
    assert_int_equal(order_is("CANCELLED"), 1);
    assert_int_equal(variant("sold"), sold - 1);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM release_outbox WHERE"
                                    " target = 0 AND order_id ="
                                    " UNHEX(LPAD(HEX(%d), 32, '0'))",
                                    number),
                     1);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM mails WHERE kind ="
                                    " 'order_cancelled'"),
                     1);
}

/* What the tables themselves refuse. */
static void the_tables_refuse(void **state)
{
    (void)state;
    given("PAY_APPROVING", "APPROVING", false);
    /* a second live attempt */
    assert_int_not_equal(
        shop_db_do("INSERT INTO payments (id, order_id, live_order, user_id,"
                   " api, cid, nonce_hash, key_digest, body_digest, quantity,"
                   " goods_amount, shipping_fee, total_amount,"
                   " tax_free_amount, vat_amount) SELECT UNHEX(RPAD('77', 32,"
                   " '0')), order_id, live_order, user_id, api, cid,"
                   " UNHEX(RPAD('77', 64, '0')), UNHEX(RPAD('77', 32, '0')),"
                   " body_digest, 1, 1000, 0, 1000, 0, 91 FROM payments WHERE"
                   " tid = 'T%d'",
                   number),
        0);
    /* paid without an aid, live without being it, another sum */
    assert_int_not_equal(shop_db_do("UPDATE payments SET state = 'PAID' WHERE"
                                    " tid = 'T%d'",
                                    number),
                         0);
    assert_int_not_equal(shop_db_do("UPDATE payments SET live_order = NULL"
                                    " WHERE tid = 'T%d'",
                                    number),
                         0);
    assert_int_not_equal(shop_db_do("UPDATE payments SET total_amount = 1001"
                                    " WHERE tid = 'T%d'",
                                    number),
                         0);
}

static void fees(void **state)
{
    int64_t fee;

    (void)state;
    assert_int_equal(payd_shipping_fee(db, "06236", &fee), 1);
    assert_int_equal(fee, 3000);
    assert_int_equal(payd_shipping_fee(db, "63000", &fee), 1);
    assert_int_equal(fee, 6000);
    assert_int_equal(payd_shipping_fee(db, "40240", &fee), 1);
    assert_int_equal(fee, 6000);
    shop_db_do("DELETE FROM shipping_fees");
    assert_int_equal(payd_shipping_fee(db, "06236", &fee), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paid_once),
        cmocka_unit_test(refused_for_good),
        cmocka_unit_test(unknown_stays_open),
        cmocka_unit_test(dead_is_not_paid),
        cmocka_unit_test(late_money_goes_back_once),
        cmocka_unit_test(another_amount_goes_back),
        cmocka_unit_test(several_at_once),
        cmocka_unit_test(a_refund_ends_the_order),
        cmocka_unit_test(the_tables_refuse),
        cmocka_unit_test(fees),
    };

    return cmocka_run_group_tests_name("payd settle", tests, group_setup,
                                       group_teardown);
}
