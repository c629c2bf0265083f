/*
 * The Lua scripts against a real Redis: each answer of each script, and the
 * conservation of units under long random histories.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "scripts_rig.h"

#define assert_code(expression, word) assert_string_equal((expression), word)

static void takes_stock_in_one_step(void **state)
{
    struct rig_reply r;
    struct rig_sums s;

    (void)state;
    rig_open(5, 2, 10);
    r = rig_reserve("u1", 2, 1, 1, 1);
    assert_code(r.code, "RESERVED");
    assert_int_equal(r.number[0], 1001); /* seq: seq_base + 1 */
    assert_int_equal(r.number[1], 100);  /* price */
    assert_int_equal(r.number[3] - r.number[2], 600000);
    assert_int_equal(r.number[4], 5); /* epoch */
    assert_int_equal(r.number[5], 8); /* left */
    s = rig_snapshot();
    assert_int_equal(s.left + s.ledger, 10);
    assert_int_equal(s.pend, 1);
    assert_int_equal(s.differ, 0);
}

static void same_key_same_order(void **state)
{
    struct rig_reply r;
    unsigned char one[16];

    (void)state;
    rig_id(1, one);
    rig_open(5, 1, 1);
    assert_code(rig_reserve("u1", 1, 1, 1, 1).code, "RESERVED");
    r = rig_reserve("u1", 1, 2, 1, 1);
    assert_code(r.code, "PENDING");
    assert_memory_equal(r.id, one, 16);
    assert_int_equal(rig_ack(5, 1), 1);
    r = rig_reserve("u1", 1, 3, 1, 1);
    assert_code(r.code, "REPLAY");
    assert_memory_equal(r.id, one, 16);
    assert_int_equal(r.number[1], 1);
    assert_code(rig_reserve("u1", 1, 4, 1, 2).code, "KEY_REUSED");
    assert_int_equal(rig_stock(), 0);
}

static void a_replay_comes_before_every_refusal(void **state)
{
    (void)state;
    rig_open(5, 1, 1);
    assert_code(rig_reserve("u1", 1, 1, 1, 1).code, "RESERVED");
    assert_code(rig_reserve("u2", 1, 2, 2, 1).code, "SOLD_OUT");
    assert_code(rig_reserve("u1", 1, 3, 1, 1).code, "PENDING");
    assert_code(rig_reserve("u1", 1, 4, 9, 1).code, "LIMIT");
    rig_renew(RIG_TOKEN, 5, 1, "CLOSED", 0, 0);
    assert_code(rig_reserve("u1", 1, 5, 1, 1).code, "PENDING");
    assert_code(rig_reserve("u2", 1, 6, 2, 1).code, "CLOSED");
    rig_renew(RIG_TOKEN, 5, 1, "PAUSED", 0, 0);
    assert_code(rig_reserve("u1", 1, 7, 1, 1).code, "PENDING");
    assert_code(rig_reserve("u2", 1, 8, 2, 1).code, "PAUSED");
}

static void refusals(void **state)
{
    struct rig_reply r;
    unsigned char one[16];

    (void)state;
    rig_id(1, one);
    rig_open(5, 3, 2);
    rig_renew(RIG_TOKEN, 5, 3, "ACTIVE", 9000000000000, 0);
    r = rig_reserve("u1", 1, 1, 1, 1);
    assert_code(r.code, "NOT_OPEN");
    assert_int_equal(r.number[1], 9000000000000);
    assert_int_equal(r.number[2], 0);
    rig_renew(RIG_TOKEN, 5, 3, "ACTIVE", 0, 1);
    assert_code(rig_reserve("u1", 1, 1, 1, 1).code, "CLOSED");
    rig_renew(RIG_TOKEN, 5, 3, "ACTIVE", 0, 0);
    r = rig_reserve("u2", 3, 1, 1, 1);
    assert_code(r.code, "SOLD_OUT");
    assert_int_equal(r.number[0], 2); /* left: fewer than asked */
    assert_int_equal(r.number[1], 3); /* unpaid holds, from the gate */
    assert_code(rig_reserve("u1", 2, 1, 1, 1).code, "RESERVED");
    r = rig_reserve("u1", 2, 2, 2, 1);
    assert_code(r.code, "LIMIT");
    assert_int_equal(r.number[0], 3);
    assert_int_equal(r.number[1], 2);
    assert_true(r.has_id);
    assert_memory_equal(r.id, one, 16);
    rig_number("DEL", rig_keys.gate, NULL);
    assert_code(rig_reserve("u1", 2, 1, 1, 1).code, "FENCED");
}

static void the_ack_needs_the_gate_of_its_epoch(void **state)
{
    (void)state;
    rig_open(5, 1, 2);
    rig_reserve("u1", 1, 1, 1, 1);
    assert_int_equal(rig_ack(4, 1), 0);
    assert_int_equal(rig_snapshot().pend, 1);
    rig_fence(RIG_TOKEN, "nonce-2");
    assert_int_equal(rig_ack(5, 1), 0);
    rig_load(RIG_TOKEN, "nonce-2", 6, 0, 0, 2);
    rig_renew(RIG_TOKEN, 6, 1, "ACTIVE", 0, 0);
    assert_int_equal(rig_ack(5, 1), 0);
    assert_int_equal(rig_ack(6, 1), 1);
}

static void a_release_lowers_and_never_raises(void **state)
{
    (void)state;
    rig_open(5, 3, 3);
    rig_reserve("u1", 3, 1, 1, 1);
    assert_code(rig_release(RIG_TOKEN, 1, 2, 5), "DONE");
    assert_int_equal(rig_stock(), 1);
    assert_code(rig_release(RIG_TOKEN, 1, 2, 5), "DONE");
    assert_int_equal(rig_stock(), 1);
    assert_code(rig_release(RIG_TOKEN, 1, 3, 5), "DONE");
    assert_int_equal(rig_stock(), 1);
    assert_int_equal(rig_snapshot().differ, 0);
    assert_code(rig_release(RIG_TOKEN, 1, 0, 5), "DONE");
    assert_int_equal(rig_stock(), 3);
    assert_code(rig_release(RIG_TOKEN, 1, 0, 5), "DONE");
    assert_int_equal(rig_stock(), 3);
    assert_int_equal(rig_snapshot().pend, 0);
    assert_code(rig_reserve("u1", 3, 2, 1, 1).code, "ENDED");
}

static void a_release_waits_for_its_ledger(void **state)
{
    (void)state;
    rig_open(5, 1, 1);
    rig_reserve("u1", 1, 1, 1, 1);
    assert_code(rig_release(RIG_TOKEN, 1, 0, 6), "NOT_LOADED");
    rig_fence(RIG_TOKEN, "nonce-2");
    assert_code(rig_release(RIG_TOKEN, 1, 0, 5), "NOT_LOADED");
    assert_int_equal(rig_stock(), 0);
}

static void units_that_come_back_onto_zero_cool_down(void **state)
{
    int64_t tries = 0;
    struct rig_reply r;

    (void)state;
    rig_open(5, 1, 1);
    rig_reserve("u1", 1, 1, 1, 1);
    rig_release(RIG_TOKEN, 1, 0, 5);
    r = rig_reserve("u2", 1, 2, 2, 1);
    assert_code(r.code, "COOLING");
    while (strcmp(r.code, "COOLING") == 0 && tries++ < 10000000)
        r = rig_reserve("u2", 1, 2, 2, 1);
    assert_code(r.code, "RESERVED");
}

static void a_cool_down_in_the_future_blocks_nobody(void **state)
{
    (void)state;
    rig_open(5, 1, 1);
    rig_set(rig_keys.stock, "cool:v", "9000000000000");
    assert_code(rig_reserve("u1", 1, 1, 1, 1).code, "RESERVED");
}

static void an_older_leader_is_refused(void **state)
{
    (void)state;
    rig_open(5, 1, 2);
    rig_reserve("u1", 1, 1, 1, 1);
    assert_code(rig_claim(8), "DONE");
    assert_code(rig_claim(7), "SUPERSEDED");
    assert_code(rig_renew(7, 5, 1, "ACTIVE", 0, 0), "SUPERSEDED");
    assert_code(rig_release(7, 1, 0, 5), "SUPERSEDED");
    assert_code(rig_fence(7, "nonce-2"), "SUPERSEDED");
    assert_code(rig_adjust("raise", "1", 1, 5), "SUPERSEDED");
    assert_int_equal(rig_stock(), 1);
}

static void a_late_load_finds_another_fence(void **state)
{
    (void)state;
    rig_open(5, 1, 2);
    rig_fence(RIG_TOKEN, "nonce-2");
    rig_fence(RIG_TOKEN, "nonce-3");
    assert_code(rig_load(RIG_TOKEN, "nonce-2", 6, 0, 0, 9), "SUPERSEDED");
    assert_code(rig_load(RIG_TOKEN, "nonce-3", 6, 0, 0, 2), "DONE");
    assert_code(rig_load(RIG_TOKEN, "nonce-3", 7, 0, 0, 9), "SUPERSEDED");
    assert_int_equal(rig_stock(), 2);
}

static void nothing_renews_what_is_not_loaded(void **state)
{
    (void)state;
    rig_flush();
    assert_code(rig_renew(RIG_TOKEN, 5, 1, "ACTIVE", 0, 0), "NOT_LOADED");
    rig_fence(RIG_TOKEN, "nonce-1");
    assert_code(rig_renew(RIG_TOKEN, 5, 1, "ACTIVE", 0, 0), "NOT_LOADED");
    rig_open(5, 1, 1);
    assert_code(rig_renew(RIG_TOKEN, 6, 1, "ACTIVE", 0, 0), "NOT_LOADED");
    rig_number("DEL", rig_keys.stock, NULL);
    assert_code(rig_renew(RIG_TOKEN, 5, 1, "ACTIVE", 0, 0), "NOT_LOADED");
    assert_code(rig_claim(9), "DONE");
}

static void a_rebuild_brings_orders_and_keys_back(void **state)
{
    struct rig_reply r;
    struct rig_sums s;
    unsigned char three[16];

    (void)state;
    rig_id(3, three);
    rig_flush();
    rig_fence(RIG_TOKEN, "n");
    rig_stage("n", 3, "u1", 2, 6, 31);
    rig_stage("n", 4, "u1", 0, 6, 41); /* ended: only its key is kept */
    rig_stage("n", 5, "u2", 1, 6, 51);
    assert_code(rig_load(RIG_TOKEN, "n", 6, 3, 2, 7), "INCOMPLETE");
    assert_code(rig_load(RIG_TOKEN, "n", 6, 2, 2, 7), "DONE");
    rig_renew(RIG_TOKEN, 6, 2, "ACTIVE", 0, 0);
    s = rig_snapshot();
    assert_int_equal(s.left, 7);
    assert_int_equal(s.ledger, 3);
    assert_int_equal(s.differ, 0);
    assert_int_equal(s.pend, 0);
    r = rig_reserve("u1", 2, 9, 31, 0);
    assert_code(r.code, "REPLAY");
    assert_memory_equal(r.id, three, 16);
    assert_code(rig_reserve("u1", 2, 9, 41, 0).code, "ENDED");
    assert_code(rig_reserve("u1", 1, 9, 61, 0).code, "LIMIT");
    r = rig_reserve("u2", 1, 9, 62, 0);
    assert_code(r.code, "RESERVED");
    assert_int_equal(r.number[0], 1003); /* log holds two orders */
    assert_int_equal(rig_number("PTTL", rig_keys.resv, NULL), -1);
    assert_int_equal(rig_number("PTTL", rig_keys.user, NULL), -1);
}

static void stock_changes_count_once(void **state)
{
    (void)state;
    rig_open(5, 9, 2);
    assert_code(rig_adjust("raise", "1", 3, 5), "DONE");
    assert_code(rig_adjust("raise", "1", 3, 5), "DONE");
    assert_int_equal(rig_stock(), 5);
    assert_code(rig_adjust("raise", "2", 3, 4), "DONE"); /* counted already */
    assert_int_equal(rig_stock(), 5);
    assert_code(rig_adjust("raise", "3", 3, 6), "NOT_LOADED");
    assert_code(rig_adjust("take", "4", 9, 5), "SHORT");
    assert_code(rig_adjust("take", "5", 2, 4), "NOT_LOADED");
    assert_code(rig_adjust("take", "6", 2, 5), "DONE");
    assert_code(rig_adjust("take", "6", 2, 5), "DONE");
    assert_int_equal(rig_stock(), 3);
    assert_int_equal(rig_snapshot().ledger, 2);
    assert_code(rig_adjust("drop", "6", 2, 5), "DONE");
    assert_int_equal(rig_snapshot().ledger, 0);
    assert_int_equal(rig_stock(), 3);
    assert_code(rig_adjust("take", "7", 1, 5), "DONE");
    assert_code(rig_adjust("untake", "7", 1, 5), "DONE");
    assert_code(rig_adjust("untake", "7", 1, 5), "DONE");
    assert_int_equal(rig_stock(), 3);
}

/* Long random histories: units are neither made nor lost. */
static void units_are_conserved(void **state)
{
    unsigned seed = (unsigned)time(NULL);
    const int64_t total = 25;
    struct rig_sums s;

    (void)state;
    if (getenv("SPEEDY_SEED") != NULL)
        seed = (unsigned)atoi(getenv("SPEEDY_SEED"));
    print_message("SPEEDY_SEED=%u\n", seed);
    srand(seed);
    rig_open(5, 3, total);
    for (unsigned i = 1; i <= 20000; i++) {
        char user[16];
        unsigned order = (unsigned)rand() % 200 + 1;

        snprintf(user, sizeof(user), "u%u", (unsigned)rand() % 20);
        switch (rand() % 4) {
        case 0:
        case 1:
            rig_reserve(user, rand() % 3 + 1, 1000 + i, (unsigned)rand() % 40,
                        (unsigned)rand() % 2);
            break;
        case 2:
            rig_ack(5, 1000 + i - order);
            break;
        default:
            rig_release(RIG_TOKEN, 1000 + i - order, rand() % 3, 5);
        }
        if (i % 500 == 0) {
            s = rig_snapshot();
            assert_int_equal(s.left + s.ledger, total);
            assert_true(s.left >= 0);
            assert_int_equal(s.differ, 0);
            assert_int_equal(s.orphans, 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_stock_in_one_step),
        cmocka_unit_test(same_key_same_order),
        cmocka_unit_test(a_replay_comes_before_every_refusal),
        cmocka_unit_test(refusals),
        cmocka_unit_test(the_ack_needs_the_gate_of_its_epoch),
        cmocka_unit_test(a_release_lowers_and_never_raises),
        cmocka_unit_test(a_release_waits_for_its_ledger),
        cmocka_unit_test(units_that_come_back_onto_zero_cool_down),
        cmocka_unit_test(a_cool_down_in_the_future_blocks_nobody),
        cmocka_unit_test(an_older_leader_is_refused),
        cmocka_unit_test(a_late_load_finds_another_fence),
        cmocka_unit_test(nothing_renews_what_is_not_loaded),
        cmocka_unit_test(a_rebuild_brings_orders_and_keys_back),
        cmocka_unit_test(stock_changes_count_once),
        cmocka_unit_test(units_are_conserved),
    };

    return cmocka_run_group_tests_name("lua scripts", tests, rig_start,
                                       rig_stop);
}
