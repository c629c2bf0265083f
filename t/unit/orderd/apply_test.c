/*
 * Batches against a real MariaDB. Each test has a sale and a partition of its
 * own, so that none depends on another.
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

#include "../../../daemons/common/crypto.h"
#include "../../../daemons/common/log.h"
#include "../../../daemons/orderd/apply.h"
#include "../common/servers.h"
#include "../common/shop_db.h"

#define TOPIC "speedy.orders"
#define TOKEN 5
#define HOLD 600000

static struct speedy_db *db;
static struct orderd_apply apply;
static struct orderd_cursor cursor;
static struct orderd_item items[64];
static struct speedy_buf values[64];
static size_t count;
static char sale[16];
static int sales;

static int group_setup(void **state)
{
    (void)state;
    speedy_log_init("test", 0);
    if (shop_db_start() != 0)
        return -1;
    db = speedy_db_new("orderd");
    return db == NULL ? -1 : orderd_apply_init(&apply, db, TOPIC, 1);
}

static int group_teardown(void **state)
{
    (void)state;
    orderd_apply_free(&apply);
    speedy_db_free(db);
    servers_stop();
    return 0;
}

/* A sale of 10 units, a partition with its stored offset at 0. */
static int setup(void **state)
{
    (void)state;
    snprintf(sale, sizeof(sale), "sale%d", ++sales);
    cursor = (struct orderd_cursor){sales, 0, TOKEN, -1};
    apply.cursors = &cursor;
    apply.cursor_count = 1;
    apply.in_doubt = false;
    count = 0;
    if (shop_db_sale(sale, 10, HOLD, "immediate") != 0)
        return -1;
    return shop_db_do("INSERT INTO kafka_offsets VALUES ('" TOPIC
                      "', %d, 0, %d, UTC_TIMESTAMP(3))",
                      sales, TOKEN);
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < 64; i++)
        speedy_buf_free(&values[i]);
    return 0;
}

static struct speedy_event event(const char *user, int key, int64_t seq)
{
    struct speedy_event ev = {.quantity = 1,
                              .unit_price = 1000,
                              .epoch = 1,
                              .seq = seq,
                              .reserved_at = 1700000000000,
                              .pay_by = 1};

    speedy_uuid7(ev.order_id);
    snprintf(ev.sale, sizeof(ev.sale), "%s", sale);
    snprintf(ev.variant, sizeof(ev.variant), "default");
    snprintf(ev.user, sizeof(ev.user), "%s", user);
    memset(ev.key_digest, key, sizeof(ev.key_digest));
    snprintf(ev.request_id, sizeof(ev.request_id), "request-1");
    return ev;
}

static void put_text(const char *text)
{
    speedy_buf_add(&values[count], text, strlen(text));
    orderd_item_parse(&items[count], cursor.partition,
                      cursor.next + (int64_t)count, "key", 3,
                      values[count].data, values[count].len);
    count++;
}

static void put(const struct speedy_event *ev)
{
    struct speedy_buf b = {0};

    speedy_event_write(&b, ev);
    put_text(b.data);
    speedy_buf_free(&b);
}

static void put_new(const char *user, int key, int64_t seq)
{
    struct speedy_event ev = event(user, key, seq);

    put(&ev);
}

static enum orderd_result run(void)
{
    enum orderd_result rc;

    orderd_apply_set(&apply, items, count);
    rc = orderd_apply(&apply);
    count = 0;
    for (size_t i = 0; i < 64; i++)
        speedy_buf_free(&values[i]);
    return rc;
}

static long orders(const char *state)
{
    return shop_db_number("SELECT COUNT(*) FROM orders WHERE sale_id = '%s'"
                          " AND state = '%s'",
                          sale, state);
}

static long held(void)
{
    return shop_db_number("SELECT held FROM sale_variants"
                          " WHERE sale_id = '%s'",
                          sale);
}

static long stored(void)
{
    return shop_db_number("SELECT next_offset FROM kafka_offsets"
                          " WHERE part = %d",
                          cursor.partition);
}

static void orders_are_written_with_their_history(void **state)
{
    (void)state;
    put_new("u1", 1, 1);
    put_new("u2", 2, 2);
    put_new("u3", 3, 3);
    assert_int_equal(run(), ORDERD_DONE);
    assert_int_equal(orders("PENDING_PAYMENT"), 3);
    assert_int_equal(held(), 3);
    assert_int_equal(stored(), 3);
    assert_int_equal(cursor.next, 3);
    assert_int_equal(
        shop_db_number("SELECT COUNT(*) FROM order_events e JOIN orders o"
                       " ON o.id = e.order_id WHERE o.sale_id = '%s'"
                       " AND e.version = 1 AND from_state = ''"
                       " AND to_state = 'PENDING_PAYMENT'"
                       " AND actor = 'orderd:1' AND e.reason = 'accepted'",
                       sale),
        3);
    assert_int_equal(
        shop_db_number("SELECT COUNT(*) FROM orders WHERE sale_id = '%s'"
                       " AND units_live = quantity AND version = 1"
                       " AND key_live = key_digest AND reserved_at ="
                       " FROM_UNIXTIME(1700000000)"
                       " AND request_id = 'request-1'",
                       sale),
        3);
}

static void pay_by_follows_the_clock_of_the_database(void **state)
{
    struct speedy_event soon = event("u1", 1, 1), late = event("u2", 2, 2);

    (void)state;
    late.pay_by = 4000000000000;
    put(&soon);
    put(&late);
    assert_int_equal(run(), ORDERD_DONE);
    assert_int_equal(
        shop_db_number("SELECT COUNT(*) FROM orders WHERE sale_id = '%s'"
                       " AND user_id = 'u1'"
                       " AND pay_by = created_at + INTERVAL 60 SECOND",
                       sale),
        1);
    assert_int_equal(
        shop_db_number("SELECT COUNT(*) FROM orders WHERE sale_id = '%s'"
                       " AND user_id = 'u2'"
                       " AND pay_by = created_at + INTERVAL 600 SECOND",
                       sale),
        1);
    assert_int_equal(
        shop_db_number("SELECT COUNT(*) FROM orders WHERE sale_id = '%s'"
                       " AND ABS(TIMESTAMPDIFF(SECOND, created_at,"
                       " UTC_TIMESTAMP())) < 30",
                       sale),
        2);
}

static void an_order_is_written_once(void **state)
{
    struct speedy_event ev = event("u1", 1, 1);

    (void)state;
    put(&ev);
    put(&ev);
    put_new("u2", 2, 2);
    assert_int_equal(run(), ORDERD_DONE);
    put(&ev);
    put_new("u3", 3, 3);
    assert_int_equal(run(), ORDERD_DONE);
    assert_int_equal(orders("PENDING_PAYMENT"), 3);
    assert_int_equal(held(), 3);
    assert_int_equal(stored(), 5);
}

static void markers_only_move_the_offset(void **state)
{
    (void)state;
    put_text("{\"v\":1,\"marker\":\"m\"}");
    put_text("{\"v\":1,\"marker\":\"n\"}");
    assert_int_equal(run(), ORDERD_DONE);
    assert_int_equal(stored(), 2);
    assert_int_equal(held(), 0);
}

static void a_stale_epoch_is_rejected(void **state)
{
    (void)state;
    shop_db_do("UPDATE sale_variants SET epoch = 2 WHERE sale_id = '%s'", sale);
    put_new("u1", 1, 1);
    assert_int_equal(run(), ORDERD_DONE);
    assert_int_equal(orders("REJECTED"), 1);
    assert_int_equal(held(), 0);
    assert_int_equal(stored(), 1);
    assert_int_equal(
        shop_db_number("SELECT COUNT(*) FROM orders WHERE sale_id = '%s'"
                       " AND key_live IS NULL AND units_live = 0"
                       " AND reject_reason = 'STALE_EPOCH'",
                       sale),
        1);
}

/* A rebuild that commits while our UPDATE waits for its lock. */
static void *run_in_thread(void *data)
{
    enum orderd_result *rc = data;

    *rc = run();
    speedy_db_drop(db);
    return NULL;
}

static bool somebody_waits(void *data)
{
    (void)data;
    return servers_mysql_number("SELECT variable_value FROM"
                                " information_schema.global_status WHERE"
                                " variable_name ="
                                " 'INNODB_ROW_LOCK_CURRENT_WAITS'") > 0;
}

static void the_epoch_is_compared_in_the_update(void **state)
{
    struct speedy_db *other = speedy_db_new("tester");
    enum orderd_result rc = ORDERD_FAILED;
    pthread_t thread;

    (void)state;
    assert_int_equal(speedy_db_begin(other), 0);
    assert_int_equal(speedy_db_exec(other,
                                    "UPDATE sale_variants SET epoch = epoch"
                                    " + 1 WHERE sale_id = ?",
                                    DB_ARGS(DB_TEXT(sale)), NULL),
                     SPEEDY_DB_OK);
    put_new("u1", 1, 1);
    assert_int_equal(pthread_create(&thread, NULL, run_in_thread, &rc), 0);
    assert_true(servers_wait(somebody_waits, NULL, 3000));
    assert_int_equal(speedy_db_commit(other), 0);
    pthread_join(thread, NULL);
    assert_int_equal(rc, ORDERD_DONE);
    assert_int_equal(orders("REJECTED"), 1);
    assert_int_equal(orders("PENDING_PAYMENT"), 0);
    assert_int_equal(held(), 0);
    speedy_db_free(other);
}

static void a_newer_epoch_stops_the_partition(void **state)
{
    struct speedy_event ev = event("u2", 2, 2);

    (void)state;
    ev.epoch = 2;
    put_new("u1", 1, 1);
    put(&ev);
    assert_int_equal(run(), ORDERD_NEWER_EPOCH);
    assert_int_equal(apply.culprit, cursor.partition);
    assert_int_equal(orders("PENDING_PAYMENT"), 0);
    assert_int_equal(held(), 0);
    assert_int_equal(stored(), 0);
    orderd_apply_forget(&apply, cursor.partition);
    assert_int_equal(apply.count, 0);
}

static void a_zombie_writes_nothing(void **state)
{
    (void)state;
    /* A successor has taken the partition and gone on to offset 40. */
    shop_db_do("UPDATE kafka_offsets SET token = %d, next_offset = 40"
               " WHERE part = %d",
               TOKEN + 1, cursor.partition);
    put_new("u1", 1, 1);
    assert_int_equal(run(), ORDERD_ZOMBIE);
    assert_int_equal(apply.culprit, cursor.partition);
    assert_int_equal(orders("PENDING_PAYMENT"), 0);
    assert_int_equal(held(), 0);
    assert_int_equal(stored(), 40);
}

static void a_commit_in_doubt_is_recognised(void **state)
{
    (void)state;
    put_new("u1", 1, 1);
    /* It went through, and its answer was lost. */
    shop_db_do("UPDATE kafka_offsets SET next_offset = 1 WHERE part = %d",
               cursor.partition);
    orderd_apply_set(&apply, items, count);
    apply.in_doubt = true;
    assert_int_equal(orderd_apply(&apply), ORDERD_DONE);
    assert_int_equal(cursor.next, 1);
    assert_int_equal(orders("PENDING_PAYMENT"), 0);
}

static void what_cannot_be_used_is_a_dead_letter(void **state)
{
    struct speedy_event ev = event("u2", 2, 2);
    char huge[5000];

    (void)state;
    snprintf(ev.sale, sizeof(ev.sale), "nowhere");
    memset(huge, 'x', sizeof(huge) - 1);
    huge[sizeof(huge) - 1] = '\0';
    put_text("{garbage");
    put_new("u1", 1, 1);
    put(&ev);
    put_text("{\"v\":2}");
    put_text(huge);
    assert_int_equal(run(), ORDERD_DONE);
    assert_int_equal(stored(), 5);
    assert_int_equal(orders("PENDING_PAYMENT"), 1);
    assert_int_equal(
        shop_db_number("SELECT COUNT(*) FROM dead_letters WHERE part = %d"
                       " AND record_key = 'key' AND resolved_at IS NULL",
                       cursor.partition),
        4);
    assert_int_equal(
        shop_db_number("SELECT COUNT(*) FROM dead_letters WHERE part = %d"
                       " AND error = 'unknown sale or variant'",
                       cursor.partition),
        1);
}

static void a_second_order_of_a_key_is_rejected_alone(void **state)
{
    (void)state;
    put_new("u1", 1, 1);
    put_new("u2", 2, 2);
    put_new("u1", 1, 3);
    put_new("u3", 3, 4);
    assert_int_equal(run(), ORDERD_DONE);
    assert_int_equal(orders("PENDING_PAYMENT"), 3);
    assert_int_equal(orders("REJECTED"), 1);
    assert_int_equal(held(), 3);
    put_new("u3", 3, 5);
    put_new("u4", 4, 6);
    assert_int_equal(run(), ORDERD_DONE);
    assert_int_equal(stored(), 6);
    assert_int_equal(held(), 4);
    assert_int_equal(
        shop_db_number("SELECT COUNT(*) FROM orders WHERE sale_id = '%s'"
                       " AND state = 'REJECTED'"
                       " AND reject_reason = 'DUPLICATE_KEY'",
                       sale),
        2);
}

static void no_stock_is_rejected_in_order_of_arrival(void **state)
{
    (void)state;
    shop_db_do("UPDATE sale_variants SET total = 2 WHERE sale_id = '%s'", sale);
    put_new("u3", 3, 3);
    put_new("u1", 1, 1);
    put_new("u2", 2, 2);
    assert_int_equal(run(), ORDERD_DONE);
    assert_int_equal(held(), 2);
    assert_int_equal(
        shop_db_number("SELECT COUNT(*) FROM orders WHERE sale_id = '%s'"
                       " AND reject_reason = 'OUT_OF_STOCK' AND seq = 3",
                       sale),
        1);
}

static void a_lock_that_is_held_too_long_is_waited_for_again(void **state)
{
    struct speedy_db *other = speedy_db_new("tester");

    (void)state;
    assert_int_equal(speedy_db_begin(other), 0);
    assert_int_equal(speedy_db_exec(other,
                                    "UPDATE sale_variants SET withheld = 1"
                                    " WHERE sale_id = ?",
                                    DB_ARGS(DB_TEXT(sale)), NULL),
                     SPEEDY_DB_OK);
    put_new("u1", 1, 1);
    orderd_apply_set(&apply, items, count);
    assert_int_equal(orderd_apply(&apply), ORDERD_RETRY);
    assert_int_equal(stored(), 0);
    speedy_db_rollback(other);
    assert_int_equal(orderd_apply(&apply), ORDERD_DONE);
    assert_int_equal(stored(), 1);
    assert_int_equal(held(), 1);
    speedy_db_free(other);
}

static bool applied(void *data)
{
    (void)data;
    return orderd_apply(&apply) == ORDERD_DONE;
}

static void a_restart_of_the_database_is_survived(void **state)
{
    (void)state;
    put_new("u1", 1, 1);
    servers_mysql_kill();
    orderd_apply_set(&apply, items, count);
    assert_int_equal(orderd_apply(&apply), ORDERD_RETRY);
    assert_int_equal(servers_mysql_start(), 0);
    assert_true(servers_wait(applied, NULL, 5000));
    assert_int_equal(orders("PENDING_PAYMENT"), 1);
    assert_int_equal(held(), 1);
    assert_int_equal(stored(), 1);
}

static void a_batch_spans_partitions(void **state)
{
    struct orderd_cursor both[2] = {{sales, 0, TOKEN, -1},
                                    {sales + 1000, 7, TOKEN, -1}};

    (void)state;
    shop_db_do("INSERT INTO kafka_offsets VALUES ('" TOPIC
               "', %d, 7, %d, UTC_TIMESTAMP(3))",
               sales + 1000, TOKEN);
    put_new("u1", 1, 1);
    put_new("u2", 2, 2);
    put_new("u3", 3, 3);
    put_new("u4", 4, 4);
    /* mixed, as they are read; a gap is no loss */
    items[1].partition = items[3].partition = sales + 1000;
    items[1].offset = 7;
    items[3].offset = 9;
    apply.cursors = both;
    apply.cursor_count = 2;
    assert_int_equal(run(), ORDERD_DONE);
    assert_int_equal(both[0].next, 3);
    assert_int_equal(both[1].next, 10);
    assert_int_equal(orders("PENDING_PAYMENT"), 4);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(orders_are_written_with_their_history),
        CASE(pay_by_follows_the_clock_of_the_database),
        CASE(an_order_is_written_once),
        CASE(markers_only_move_the_offset),
        CASE(a_stale_epoch_is_rejected),
        CASE(the_epoch_is_compared_in_the_update),
        CASE(a_newer_epoch_stops_the_partition),
        CASE(a_zombie_writes_nothing),
        CASE(a_commit_in_doubt_is_recognised),
        CASE(what_cannot_be_used_is_a_dead_letter),
        CASE(a_second_order_of_a_key_is_rejected_alone),
        CASE(no_stock_is_rejected_in_order_of_arrival),
        CASE(a_lock_that_is_held_too_long_is_waited_for_again),
        CASE(a_restart_of_the_database_is_survived),
        CASE(a_batch_spans_partitions),
    };

    return cmocka_run_group_tests_name("orderd apply", tests, group_setup,
                                       group_teardown);
}
