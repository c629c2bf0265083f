/*
 * Who is told that a sale will open: everybody who asked, once, in time,
 * however many userd there are, and whatever becomes of them and of the sale.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../../daemons/common/log.h"
#include "../../../daemons/common/loop.h"
#include "../../../daemons/userd/wishes.h"
#include "../../../daemons/userd/wishes_notify.h"
#include "../common/servers.h"
#include "../common/shop_db.h"
#include "fake_productd.h"
#include "people_rig.h"

#define MINUTE 60000

static struct userd_notifier one, two;

static int group_setup(void **state)
{
    if (fake_productd_start() != 0 || people_setup(state) != 0)
        return -1;
    one.db = speedy_db_new("userd");
    two.db = speedy_db_new("userd");
    return one.db == NULL || two.db == NULL ? -1 : 0;
}

static int setup(void **state)
{
    fake_productd_reset();
    userd_wishes_stop();
    userd_wishes_settings = (struct userd_wishes_settings){
        .productd_instances = 1, .notify_ahead = 600000, .notify_every = 30000};
    if (shop_db_do("DELETE FROM wishes") != 0 ||
        shop_db_do("DELETE FROM wish_rounds") != 0 || people_clean(state) != 0)
        return -1;
    return userd_wishes_start();
}

static int teardown(void **state)
{
    userd_notify_free(&one);
    userd_notify_free(&two);
    speedy_db_free(one.db);
    speedy_db_free(two.db);
    userd_wishes_stop();
    return people_teardown(state);
}

/* Users u<from>… who wished for the product; every tenth asks for no mail. */
static void wishers(int from, int count, const char *product)
{
    for (int i = from; i < from + count; i++) {
        assert_int_equal(
            shop_db_do("INSERT INTO users (id, email_index, sealed_email,"
                       " data_key, master_key, password_hash) VALUES"
                       " ('u%05d', UNHEX(MD5('%d')), 'x', 'x', 'm1', 'x')",
                       i, i),
            0);
        assert_int_equal(
            shop_db_do("INSERT INTO wishes (user_id, product_id, notify)"
                       " VALUES ('u%05d', '%s', %d)",
                       i, product, i % 10 != 0),
            0);
    }
}

static long mails(void)
{
    return shop_db_number("SELECT COUNT(*) FROM mails");
}

/* The next round may begin. */
static void later(void)
{
    assert_int_equal(shop_db_do("UPDATE wish_rounds SET next_at ="
                                " CURRENT_TIMESTAMP(3) - INTERVAL 1 SECOND"),
                     0);
}

static void told_once(void **state)
{
    (void)state;
    wishers(1, 30, "shoe");
    wishers(31, 5, "hat");
    fake_productd_sale("s1", "shoe", "upcoming", 5 * MINUTE);
    assert_int_equal(userd_notify_turn(&one), 30000);
    assert_int_equal(mails(), 27);
    assert_int_equal(
        shop_db_number("SELECT COUNT(*) FROM mails m JOIN wishes w ON"
                       " w.user_id = m.user_id WHERE w.product_id = 'shoe' AND"
                       " w.notify = 1 AND m.once_key = CONCAT('sale_opens:s1:',"
                       " m.user_id) AND m.kind = 'sale_opens' AND m.params LIKE"
                       " '{\"sale_id\":\"s1\",\"product\":\"Speed 운동화\","
                       "\"opens_at\":\"____-__-__T__:__:__%%+09:00\"}'"),
        27);
    assert_int_equal(
        shop_db_number("SELECT COUNT(*) FROM mails WHERE expires_at BETWEEN"
                       " CURRENT_TIMESTAMP(3) + INTERVAL 290 SECOND AND"
                       " CURRENT_TIMESTAMP(3) + INTERVAL 300 SECOND"),
        27);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM outbox"), 27);
    userd_notify_turn(&one);
    later();
    userd_notify_turn(&one);
    userd_notify_turn(&two);
    assert_int_equal(mails(), 27);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM outbox"), 27);
}

/* Whoever asks after a round is found by the next one. */
static void asked_late(void **state)
{
    (void)state;
    wishers(1, 3, "shoe");
    fake_productd_sale("s1", "shoe", "upcoming", 5 * MINUTE);
    userd_notify_turn(&one);
    assert_int_equal(mails(), 3);
    wishers(0, 1, "shoe");
    shop_db_do("UPDATE wishes SET notify = 1");
    userd_notify_turn(&two);
    assert_int_equal(mails(), 3);
    later();
    userd_notify_turn(&two);
    assert_int_equal(mails(), 4);
}

static void in_time(void **state)
{
    long pause;

    (void)state;
    wishers(1, 3, "shoe");
    fake_productd_sale("s1", "shoe", "upcoming", 10 * MINUTE + 5000);
    fake_productd_sale("s2", "shoe", "upcoming", 20 * MINUTE);
    pause = userd_notify_turn(&one);
    assert_int_equal(mails(), 0);
    assert_in_range(pause, 1000, 5000);
    fake_productd->sale[0].opens_at -= 5000;
    assert_int_equal(userd_notify_turn(&one), 30000);
    assert_int_equal(mails(), 3);
    /* it has opened, or is too old to matter */
    fake_productd_reset();
    fake_productd_sale("s3", "shoe", "upcoming", -1000);
    userd_notify_turn(&one);
    assert_int_equal(mails(), 3);
}

/* Not again after it was postponed, not while it is paused, not to those who
 * may not buy. */
static void moods(void **state)
{
    (void)state;
    wishers(1, 3, "shoe");
    shop_db_do("UPDATE users SET state = 'BLOCKED' WHERE id = 'u00003'");
    fake_productd_sale("s1", "shoe", "paused", 5 * MINUTE);
    userd_notify_turn(&one);
    assert_int_equal(mails(), 0);
    snprintf(fake_productd->sale[0].state, sizeof(fake_productd->sale[0].state),
             "upcoming");
    userd_notify_turn(&one);
    assert_int_equal(mails(), 2);
    fake_productd->sale[0].opens_at += 60 * MINUTE;
    later();
    userd_notify_turn(&one);
    wishers(4, 1, "shoe");
    fake_productd->sale[0].opens_at -= 60 * MINUTE;
    later();
    userd_notify_turn(&one);
    assert_int_equal(mails(), 3);
    assert_int_equal(
        shop_db_number("SELECT COUNT(DISTINCT user_id) FROM mails"), 3);
}

static void productd_away(void **state)
{
    (void)state;
    wishers(1, 3, "shoe");
    fake_productd_sale("s1", "shoe", "upcoming", 5 * MINUTE);
    atomic_store(&fake_productd->out_of_use, true);
    assert_in_range(userd_notify_turn(&one), 1, 5000);
    assert_int_equal(mails(), 0);
    atomic_store(&fake_productd->out_of_use, false);
    assert_int_equal(userd_notify_turn(&one), 30000);
    assert_int_equal(mails(), 3);
}

/* More sales than a page of productd holds, all of them due. */
static void many_sales(void **state)
{
    char sale[41], product[41];

    (void)state;
    for (int i = 0; i < 250; i++) {
        snprintf(sale, sizeof(sale), "s%d", i);
        snprintf(product, sizeof(product), "p%d", i % 50);
        fake_productd_sale(sale, product, "upcoming", 5 * MINUTE);
    }
    wishers(1, 1, "p1");
    wishers(2, 1, "p49");
    while (userd_notify_turn(&one) == 0)
        ;
    assert_int_equal(mails(), 10);
    assert_true(fake_productd->sale_calls % 3 == 0);
    later();
    shop_db_do("UPDATE wish_rounds SET next_at = next_at - INTERVAL 25 HOUR");
    fake_productd_reset();
    userd_notify_turn(&one);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM wish_rounds"), 150);
}

/* --- several userd --- */

static void *turns(void *data)
{
    struct userd_notifier *n = data;

    while (mails() < 4500)
        userd_notify_turn(n);
    return NULL;
}

static void shared(void **state)
{
    pthread_t t;
    int64_t began;

    (void)state;
    assert_int_equal(
        shop_db_do("INSERT INTO users (id, email_index, sealed_email,"
                   " data_key, master_key, password_hash) SELECT"
                   " CONCAT('u', LPAD(seq, 5, '0')), UNHEX(MD5(seq)), 'x',"
                   " 'x', 'm1', 'x' FROM seq_1_to_4500"),
        0);
    assert_int_equal(shop_db_do("INSERT INTO wishes (user_id, product_id,"
                                " notify) SELECT id, 'shoe', 1 FROM users"),
                     0);
    fake_productd_sale("s1", "shoe", "upcoming", 5 * MINUTE);
    began = speedy_now_boot();
    pthread_create(&t, NULL, turns, &two);
    turns(&one);
    pthread_join(t, NULL);
    began = speedy_now_boot() - began;
    print_message("4500 mails queued by two in %ld ms\n", (long)began);
    assert_int_equal(mails(), 4500);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM outbox"), 4500);
    assert_int_equal(
        shop_db_number("SELECT COUNT(DISTINCT user_id) FROM mails"), 4500);
    /* a round over those who were told costs little */
    later();
    began = speedy_now_boot();
    assert_int_equal(userd_notify_turn(&one), 30000);
    print_message("a round over all of them: %ld ms\n",
                  (long)(speedy_now_boot() - began));
    assert_int_equal(mails(), 4500);
}

/* One that dies leaves the row as it was; another goes on from there. */
static bool begun(void *data)
{
    (void)data;
    return mails() >= 500;
}

static void *one_turn(void *data)
{
    userd_notify_turn(data);
    return NULL;
}

static void cut_off(void **state)
{
    pthread_t t;

    (void)state;
    shop_db_do("INSERT INTO users (id, email_index, sealed_email, data_key,"
               " master_key, password_hash) SELECT CONCAT('u', LPAD(seq, 5,"
               " '0')), UNHEX(MD5(seq)), 'x', 'x', 'm1', 'x' FROM"
               " seq_1_to_3000");
    shop_db_do("INSERT INTO wishes (user_id, product_id, notify) SELECT id,"
               " 'shoe', 1 FROM users");
    fake_productd_sale("s1", "shoe", "upcoming", 5 * MINUTE);
    pthread_create(&t, NULL, one_turn, &one);
    assert_true(servers_wait(begun, NULL, 10000));
    servers_mysql_kill();
    pthread_join(t, NULL);
    assert_int_equal(servers_mysql_start(), 0);
    assert_int_equal(mails() % USERD_NOTIFY_BATCH, 0);
    print_message("%ld mails when MySQL was killed\n", mails());
    while (userd_notify_turn(&two) != 30000)
        ;
    assert_int_equal(mails(), 3000);
    assert_int_equal(
        shop_db_number("SELECT COUNT(DISTINCT user_id) FROM mails"), 3000);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        T(told_once),     T(asked_late), T(in_time), T(moods),
        T(productd_away), T(many_sales), T(shared),  T(cut_off),
    };

    return cmocka_run_group_tests(tests, group_setup, teardown);
}
