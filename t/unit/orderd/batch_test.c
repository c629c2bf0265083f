/*
 * Parsing, sorting and clamping of batches; fair shares; cursors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "../../../daemons/common/crypto.h"
#include "../../../daemons/orderd/batch.h"
#include "../../../daemons/orderd/order.h"
#include "../../../daemons/orderd/partitions.h"

static void item_of(struct orderd_item *item, int64_t offset,
                    const struct speedy_event *ev)
{
    struct speedy_buf b = {0};

    speedy_event_write(&b, ev);
    orderd_item_parse(item, 0, offset, "k", 1, b.data, b.len);
    speedy_buf_free(&b);
}

static struct speedy_event event(int id, const char *variant, int64_t epoch,
                                 int64_t seq)
{
    struct speedy_event ev = {.quantity = 1,
                              .unit_price = 1000,
                              .epoch = epoch,
                              .seq = seq,
                              .reserved_at = 1700000000000,
                              .pay_by = 1700000600000};

    memset(ev.order_id, id, sizeof(ev.order_id));
    memcpy(ev.sale, "s", 2);
    memcpy(ev.variant, variant, strlen(variant) + 1);
    memcpy(ev.user, "u", 2);
    return ev;
}

static void parsing_sorts_records_by_kind(void **state)
{
    struct orderd_item item;
    struct speedy_event ev = event(1, "a", 1, 1);
    struct speedy_buf b = {0};

    (void)state;
    item_of(&item, 7, &ev);
    assert_int_equal(item.verdict, ORDERD_NEW);
    assert_int_equal(item.offset, 7);
    speedy_marker_write(&b, "m");
    orderd_item_parse(&item, 0, 8, "marker", 6, b.data, b.len);
    assert_int_equal(item.verdict, ORDERD_MARKER);
    orderd_item_parse(&item, 0, 9, NULL, 0, "{", 1);
    assert_int_equal(item.verdict, ORDERD_DEAD);
    assert_string_equal(item.error, "not JSON");
    orderd_item_parse(&item, 0, 10, NULL, 0, NULL, 0);
    assert_int_equal(item.verdict, ORDERD_DEAD);
    ev.pay_by = ORDERD_TIME_MAX + 1;
    item_of(&item, 11, &ev);
    assert_int_equal(item.verdict, ORDERD_DEAD);
    assert_string_equal(item.error, "a time is out of range");
    speedy_buf_free(&b);
}

static void one_order_twice_counts_once(void **state)
{
    struct orderd_item items[3], *orders[3];
    struct speedy_event a = event(2, "a", 1, 1), b = event(1, "a", 1, 2);

    (void)state;
    item_of(&items[0], 0, &a);
    item_of(&items[1], 1, &b);
    item_of(&items[2], 2, &a);
    assert_int_equal(orderd_batch_distinct(items, 3, orders), 2);
    assert_ptr_equal(orders[0], &items[1]);
    assert_ptr_equal(orders[1], &items[0]);
    assert_int_equal(items[2].verdict, ORDERD_REPEATED);
    assert_ptr_equal(orderd_batch_find(orders, 2, a.order_id), &items[0]);
    a.order_id[0] = 9;
    assert_null(orderd_batch_find(orders, 2, a.order_id));
}

static void groups_are_runs_in_key_order(void **state)
{
    struct orderd_item items[5], *orders[5];
    struct speedy_event ev[] = {event(1, "b", 1, 1), event(2, "a", 2, 2),
                                event(3, "a", 1, 4), event(4, "a", 1, 3),
                                event(5, "b", 1, 5)};

    (void)state;
    for (int i = 0; i < 5; i++)
        item_of(&items[i], i, &ev[i]);
    assert_int_equal(orderd_batch_distinct(items, 5, orders), 5);
    items[4].verdict = ORDERD_KNOWN;
    assert_int_equal(orderd_batch_group(orders, 5), 4);
    assert_ptr_equal(orders[0], &items[3]);
    assert_ptr_equal(orders[1], &items[2]);
    assert_int_equal(orderd_batch_run(orders, 4), 2);
    assert_ptr_equal(orders[2], &items[1]);
    assert_int_equal(orderd_batch_run(&orders[2], 2), 1);
    assert_ptr_equal(orders[3], &items[0]);
}

static void pay_by_is_clamped(void **state)
{
    (void)state;
    /* a minute at the least, the hold at the most */
    assert_int_equal(orderd_pay_by(0, 1000000, 600000), 1060000);
    assert_int_equal(orderd_pay_by(1100000, 1000000, 600000), 1100000);
    assert_int_equal(orderd_pay_by(9999999, 1000000, 600000), 1600000);
    /* a hold shorter than a minute is kept whole */
    assert_int_equal(orderd_pay_by(0, 1000000, 5000), 1005000);
    assert_int_equal(orderd_pay_by(9999999, 1000000, 5000), 1005000);
}

static void times_are_utc_text(void **state)
{
    char text[ORDERD_TIME_LEN + 1];

    (void)state;
    orderd_time_text(1700000000123, text);
    assert_string_equal(text, "2023-11-14 22:13:20.123");
    orderd_time_text(ORDERD_TIME_MAX, text);
    assert_string_equal(text, "9999-12-31 23:59:59.999");
}

static void shares_are_fair(void **state)
{
    (void)state;
    assert_int_equal(orderd_share(12, 1), 12);
    assert_int_equal(orderd_share(12, 2), 6);
    assert_int_equal(orderd_share(5, 2), 3);
    assert_int_equal(orderd_share(1, 3), 1);
    assert_int_equal(orderd_share(0, 1), 0);
    assert_int_equal(orderd_share(12, 0), 12);
}

static void cursors_are_checked(void **state)
{
    unsigned char id[16], back[16];
    char text[25];

    (void)state;
    speedy_uuid7(id);
    orderd_cursor_text(id, text);
    assert_int_equal(orderd_cursor_parse(text, back), 0);
    assert_memory_equal(id, back, 16);
    assert_int_equal(orderd_cursor_parse("", back), -1);
    assert_int_equal(orderd_cursor_parse("AAAAAAAAAAAAAAAAAAAAAA", back), -1);
    text[0] = '!';
    assert_int_equal(orderd_cursor_parse(text, back), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parsing_sorts_records_by_kind),
        cmocka_unit_test(one_order_twice_counts_once),
        cmocka_unit_test(groups_are_runs_in_key_order),
        cmocka_unit_test(pay_by_is_clamped),
        cmocka_unit_test(times_are_utc_text),
        cmocka_unit_test(shares_are_fair),
        cmocka_unit_test(cursors_are_checked),
    };

    return cmocka_run_group_tests_name("orderd batch", tests, NULL, NULL);
}
