/*
 * Decisions and sums that need no server: when to rebuild, what to do with a
 * stock change, whether a barrier is passed, what a snapshot adds up to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../../../daemons/stockd/adjust.h"
#include "../../../daemons/stockd/barrier.h"
#include "../../../daemons/stockd/rebuild.h"
#include "../../../daemons/stockd/snapshot.h"

static void test_rebuild_needed(void **state)
{
    (void)state;
    assert_false(stockd_rebuild_needed("run", "7", true, "run", 7));
    assert_true(stockd_rebuild_needed(NULL, NULL, false, "run", 7));
    assert_true(stockd_rebuild_needed("old", "7", true, "run", 7));
    assert_true(stockd_rebuild_needed("run", NULL, true, "run", 7));
    assert_true(stockd_rebuild_needed("run", "6", true, "run", 7));
    assert_true(stockd_rebuild_needed("run", "8", true, "run", 7));
    assert_true(stockd_rebuild_needed("run", "7", false, "run", 7));
}

static void test_adjust_decide(void **state)
{
    enum {
        OPEN = STOCKD_ADJUST_OPEN,
        LOWERED = STOCKD_ADJUST_LOWERED,
        REFUSED = STOCKD_ADJUST_REFUSED
    };
    static const struct {
        bool raise;
        int state;
        bool archived;
        int64_t epoch, variant_epoch;
        enum stockd_adjust_step step;
    } rows[] = {
        {true, OPEN, false, 3, 3, STOCKD_ADJUST_RAISE},
        {true, OPEN, false, 3, 4, STOCKD_ADJUST_RAISE}, /* script knows */
        {true, OPEN, true, 3, 3, STOCKD_ADJUST_DONE},
        {false, OPEN, false, 3, 3, STOCKD_ADJUST_LOWER},
        {false, OPEN, false, 3, 4, STOCKD_ADJUST_VOID},
        {false, OPEN, true, 3, 3, STOCKD_ADJUST_REFUSE},
        {false, LOWERED, false, 3, 3, STOCKD_ADJUST_DROP},
        {false, LOWERED, false, 3, 4, STOCKD_ADJUST_DROP},
        {false, LOWERED, true, 3, 4, STOCKD_ADJUST_DONE},
        {false, REFUSED, false, 3, 4, STOCKD_ADJUST_UNTAKE},
        {false, REFUSED, true, 3, 4, STOCKD_ADJUST_REFUSE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(stockd_adjust_decide(rows[i].raise, rows[i].state,
                                              rows[i].archived, rows[i].epoch,
                                              rows[i].variant_epoch),
                         rows[i].step);
}

static void test_barrier_behind(void **state)
{
    int64_t markers[] = {5, 0, 9};
    const struct stockd_barrier b = {3, markers};

    (void)state;
    assert_int_equal(stockd_barrier_behind(&b, (int64_t[]){6, 1, 10}), 0);
    /* `next` is the first offset not yet read: the marker itself is not */
    assert_int_equal(stockd_barrier_behind(&b, (int64_t[]){5, 1, 10}), 1);
    assert_int_equal(stockd_barrier_behind(&b, (int64_t[]){6, -1, 9}), 2);
}

static void add(struct stockd_snapshot *s, const char *user, int64_t units,
                int64_t seq)
{
    struct stockd_order o = {.units = units, .seq = seq};

    snprintf(o.user, sizeof(o.user), "%s", user);
    assert_int_equal(stockd_snapshot_add(s, &o, "default"), 0);
}

static void test_snapshot_sums(void **state)
{
    struct stockd_snapshot s = {.max_seq = 12};
    struct stockd_stock v = {
        .variant = "default", .total = 10, .held = 2, .sold = 1, .epoch = 4};
    struct stockd_order o = {0};

    (void)state;
    assert_int_equal(stockd_snapshot_variant(&s, &v), 0);
    assert_int_equal(stockd_snapshot_add(&s, &o, "other"), -1);
    add(&s, "u2", 1, 9);
    add(&s, "u1", 2, 3);
    add(&s, "u2", 0, 5); /* ended: only its key is kept */
    assert_null(stockd_snapshot_differs(&s));
    assert_int_equal(stockd_snapshot_finish(&s), 0);
    assert_int_equal(s.entries, 2);
    assert_int_equal(s.users, 2);
    assert_int_equal(s.orders[0]->seq, 3);
    assert_int_equal(s.orders[1]->seq, 5);
    assert_int_equal(s.orders[2]->seq, 9);
    assert_int_equal(s.epoch, 4);
    /* the next order is entry 3 of log: above every seq given out */
    assert_int_equal(stockd_snapshot_seq_base(&s) + 3, 13);
    add(&s, "u3", 1, 12);
    assert_ptr_equal(stockd_snapshot_differs(&s), &s.variants[0]);
    stockd_snapshot_free(&s);
}

static void test_snapshot_many(void **state)
{
    struct stockd_snapshot s = {0};
    struct stockd_stock v = {
        .variant = "default", .total = 10000, .held = 10000};
    char user[16];

    (void)state;
    stockd_snapshot_variant(&s, &v);
    for (int i = 0; i < 10000; i++) {
        snprintf(user, sizeof(user), "u%d", i % 5000);
        add(&s, user, 1, 10000 - i);
    }
    assert_null(stockd_snapshot_differs(&s));
    stockd_snapshot_finish(&s);
    assert_int_equal(s.entries, 10000);
    assert_int_equal(s.users, 5000);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(s.orders[i]->seq, i + 1);
    stockd_snapshot_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rebuild_needed),
        cmocka_unit_test(test_adjust_decide),
        cmocka_unit_test(test_barrier_behind),
        cmocka_unit_test(test_snapshot_sums),
        cmocka_unit_test(test_snapshot_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
