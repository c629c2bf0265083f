/*
 * What the sweeper remembers of pend, and the list of wanted rebuilds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "../../../daemons/stockd/seen.h"
#include "../../../daemons/stockd/wanted.h"

static void id_of(unsigned n, unsigned char out[16])
{
    memset(out, 0, 16);
    memcpy(out + 10, &n, sizeof(n));
}

static int64_t meet(struct stockd_seen *s, unsigned n, int64_t now)
{
    unsigned char id[16];

    id_of(n, id);
    return stockd_seen_meet(s, id, now);
}

static void test_ages_go_on_over_looks(void **state)
{
    struct stockd_seen s = {0};

    (void)state;
    stockd_seen_begin(&s);
    assert_int_equal(meet(&s, 1, 100), 100);
    assert_int_equal(meet(&s, 1, 101), 100); /* HSCAN may show one twice */
    stockd_seen_begin(&s);
    assert_int_equal(meet(&s, 1, 200), 100);
    assert_int_equal(meet(&s, 2, 200), 200);
    stockd_seen_free(&s);
}

static void test_who_left_is_new_when_back(void **state)
{
    struct stockd_seen s = {0};

    (void)state;
    stockd_seen_begin(&s);
    meet(&s, 1, 100);
    stockd_seen_begin(&s);
    stockd_seen_begin(&s);
    assert_int_equal(meet(&s, 1, 300), 300);
    stockd_seen_free(&s);
}

static void test_again_counts_from_now(void **state)
{
    struct stockd_seen s = {0};
    unsigned char id[16];

    (void)state;
    id_of(1, id);
    stockd_seen_again(&s, id, 50); /* nothing there: nothing happens */
    stockd_seen_begin(&s);
    meet(&s, 1, 100);
    stockd_seen_again(&s, id, 500);
    stockd_seen_begin(&s);
    assert_int_equal(meet(&s, 1, 600), 500);
    stockd_seen_free(&s);
}

static void test_many(void **state)
{
    struct stockd_seen s = {0};

    (void)state;
    for (int look = 1; look <= 3; look++) {
        stockd_seen_begin(&s);
        for (unsigned n = 0; n < 20000; n++)
            assert_int_equal(meet(&s, n, look * 1000 + 1), 1001);
        assert_int_equal(s.now.count, 20000);
    }
    stockd_seen_free(&s);
}

static void test_wanted(void **state)
{
    stockd_sale_id due[4];

    (void)state;
    stockd_wanted_clear();
    assert_int_equal(stockd_wanted_due(due, 4, 10), 0);
    stockd_wanted_add("a");
    stockd_wanted_add("b");
    stockd_wanted_add("a");
    assert_int_equal(stockd_wanted_due(due, 4, 10), 2);
    assert_int_equal(stockd_wanted_due(due, 1, 10), 1);
    stockd_wanted_later("a", 100);
    stockd_wanted_add("a"); /* asking again does not hurry it */
    assert_int_equal(stockd_wanted_due(due, 4, 99), 1);
    assert_string_equal(due[0], "b");
    assert_int_equal(stockd_wanted_due(due, 4, 100), 2);
    stockd_wanted_done("b");
    stockd_wanted_done("none");
    assert_int_equal(stockd_wanted_due(due, 4, 100), 1);
    stockd_wanted_clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ages_go_on_over_looks),
        cmocka_unit_test(test_who_left_is_new_when_back),
        cmocka_unit_test(test_again_counts_from_now),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_wanted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
