/* The breaker and the retry budget under a clock of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "../../../daemons/common/breaker.h"

static struct speedy_breaker b;
static int64_t now;

static int fresh(void **state)
{
    (void)state;
    b = (struct speedy_breaker){0};
    now = 1000000;
    return 0;
}

/* One call from its beginning to its end; false when it was refused. */
static bool call(bool good)
{
    unsigned long ticket = speedy_breaker_ask(&b, now);

    if (ticket != 0)
        speedy_breaker_done(&b, ticket, now, good);
    return ticket != 0;
}

static void fail_until_open(void)
{
    for (int i = 0; i < SPEEDY_BREAKER_WINDOW / 2; i++)
        assert_true(call(false));
    assert_int_equal(b.state, SPEEDY_BREAKER_OPEN);
}

static void it_opens_at_half_of_the_last_calls(void **state)
{
    (void)state;
    for (int i = 0; i < 9; i++)
        assert_true(call(false));
    /* pushes all failures out but the last eight */
    for (int i = 0; i < 12; i++)
        assert_true(call(true));
    assert_true(call(false));
    assert_int_equal(b.state, SPEEDY_BREAKER_CLOSED);
    assert_true(call(true));
    for (int i = 0; i < 100; i++) {
        assert_true(call(i % 5 < 2)); /* 60 % fail */
        if (b.state == SPEEDY_BREAKER_OPEN)
            break;
    }
    assert_int_equal(b.state, SPEEDY_BREAKER_OPEN);
    assert_false(call(true));
}

static void fewer_failures_never_open_it(void **state)
{
    (void)state;
    for (int i = 0; i < 10000; i++)
        assert_true(call(i % 20 >= 9)); /* nine of any twenty fail */
    assert_int_equal(b.state, SPEEDY_BREAKER_CLOSED);
}

static void open_refuses_for_its_time(void **state)
{
    (void)state;
    fail_until_open();
    for (int i = 0; i < 1000; i++, now++)
        assert_int_equal(speedy_breaker_ask(&b, now), 0);
    assert_int_not_equal(speedy_breaker_ask(&b, now), 0);
    assert_int_equal(b.state, SPEEDY_BREAKER_HALF_OPEN);
}

static void half_open_lets_one_try(void **state)
{
    unsigned long trial;

    (void)state;
    fail_until_open();
    now += 1000;
    trial = speedy_breaker_ask(&b, now);
    assert_int_not_equal(trial, 0);
    for (int i = 0; i < 60000; i += 1000)
        assert_int_equal(speedy_breaker_ask(&b, now + i), 0);
    speedy_breaker_done(&b, trial, now, true);
    assert_int_equal(b.state, SPEEDY_BREAKER_CLOSED);
    /* the failures before are forgotten */
    for (int i = 0; i < SPEEDY_BREAKER_WINDOW / 2 - 1; i++)
        assert_true(call(false));
    assert_int_equal(b.state, SPEEDY_BREAKER_CLOSED);
    assert_true(call(false));
    assert_int_equal(b.state, SPEEDY_BREAKER_OPEN);
    assert_int_equal(b.open_until, now + 1000);
}

static void failed_trials_double_the_pause(void **state)
{
    static const long pauses[] = {1000, 2000, 4000, 8000, 10000, 10000};

    (void)state;
    fail_until_open();
    for (size_t i = 0; i < sizeof(pauses) / sizeof(pauses[0]); i++) {
        assert_int_equal(b.open_until, now + pauses[i]);
        now += pauses[i] - 1;
        assert_false(call(false));
        now++;
        assert_true(call(false));
        assert_int_equal(b.state, SPEEDY_BREAKER_OPEN);
    }
    now += 10000;
    assert_true(call(true));
    fail_until_open();
    assert_int_equal(b.open_until, now + 1000);
}

static void an_unused_trial_is_free_again(void **state)
{
    unsigned long trial;

    (void)state;
    fail_until_open();
    now += 1000;
    trial = speedy_breaker_ask(&b, now);
    speedy_breaker_unused(&b, trial);
    assert_int_equal(b.state, SPEEDY_BREAKER_HALF_OPEN);
    assert_true(call(true));
    assert_int_equal(b.state, SPEEDY_BREAKER_CLOSED);
}

/* Results of calls that began before the state changed. */
static void late_results_count_for_nothing(void **state)
{
    unsigned long before = speedy_breaker_ask(&b, now), trial;

    (void)state;
    fail_until_open();
    speedy_breaker_done(&b, before, now, true);
    assert_int_equal(b.state, SPEEDY_BREAKER_OPEN);
    now += 1000;
    trial = speedy_breaker_ask(&b, now);
    speedy_breaker_done(&b, before, now, true);
    speedy_breaker_done(&b, before, now, false);
    speedy_breaker_unused(&b, before);
    assert_int_equal(b.state, SPEEDY_BREAKER_HALF_OPEN);
    assert_int_equal(speedy_breaker_ask(&b, now), 0);
    speedy_breaker_done(&b, trial, now, true);
    for (int i = 0; i < 20; i++)
        speedy_breaker_done(&b, before, now, false);
    assert_int_equal(b.state, SPEEDY_BREAKER_CLOSED);
}

/* Many calls at once, any order of results: never two trials, and it heals
 * when all is good. */
static void any_order_keeps_the_rules(void **state)
{
    unsigned long open[8] = {0};
    unsigned seed = 7;

    (void)state;
    for (int step = 0; step < 200000; step++) {
        int i = rand_r(&seed) % 8;

        if (open[i] == 0)
            open[i] = speedy_breaker_ask(&b, now);
        else {
            speedy_breaker_done(&b, open[i], now, rand_r(&seed) % 2);
            open[i] = 0;
        }
        now += rand_r(&seed) % 50;
        if (b.state == SPEEDY_BREAKER_HALF_OPEN) {
            int trials = 0;

            for (int k = 0; k < 8; k++)
                trials += open[k] == b.age + 1;
            assert_in_range(trials, 0, 1);
            assert_int_equal(trials, b.trial);
        }
        assert_in_range(b.failures, 0, SPEEDY_BREAKER_WINDOW / 2);
        assert_true(b.state != SPEEDY_BREAKER_OPEN ||
                    b.open_until - now <= 10000);
    }
    for (int k = 0; k < 8; k++)
        speedy_breaker_done(&b, open[k], now, true);
    now += 10000;
    assert_true(call(true));
    assert_int_equal(b.state, SPEEDY_BREAKER_CLOSED);
}

static void retries_are_a_tenth(void **state)
{
    struct speedy_retries r = {0};
    int taken = 0;

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_true(speedy_retries_take(&r));
    assert_false(speedy_retries_take(&r));
    for (int i = 0; i < 10000; i++) {
        speedy_retries_earn(&r);
        while (speedy_retries_take(&r))
            taken++;
    }
    assert_int_equal(taken, 1000);
    /* quiet times save up to ten */
    for (int i = 0; i < 100000; i++)
        speedy_retries_earn(&r);
    taken = 0;
    while (speedy_retries_take(&r))
        taken++;
    assert_int_equal(taken, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(it_opens_at_half_of_the_last_calls, fresh),
        cmocka_unit_test_setup(fewer_failures_never_open_it, fresh),
        cmocka_unit_test_setup(open_refuses_for_its_time, fresh),
        cmocka_unit_test_setup(half_open_lets_one_try, fresh),
        cmocka_unit_test_setup(failed_trials_double_the_pause, fresh),
        cmocka_unit_test_setup(an_unused_trial_is_free_again, fresh),
        cmocka_unit_test_setup(late_results_count_for_nothing, fresh),
        cmocka_unit_test_setup(any_order_keeps_the_rules, fresh),
        cmocka_unit_test(retries_are_a_tenth),
    };

    return cmocka_run_group_tests_name("breaker", tests, NULL, NULL);
}
