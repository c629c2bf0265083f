/* Leases: one holder, a token that grows, a take-over within bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#include "../../../daemons/common/conf.h"
#include "../../../daemons/common/lease.h"
#include "../../../daemons/common/log.h"
#include "../../../daemons/common/loop.h"
#include "capture.h"
#include "servers.h"

#define TTL_MS 300

static struct speedy_db *db_a, *db_b;
static struct speedy_lease a, b;

static int start(void **state)
{
    (void)state;
    speedy_conf.mysql_timeout = 1000;
    if (servers_mysql_start() != 0)
        return -1;
    db_a = speedy_db_new("tester");
    db_b = speedy_db_new("tester");
    return speedy_db_script(
        db_a, "CREATE TABLE leases (name VARCHAR(64) CHARACTER SET ascii "
              "COLLATE ascii_bin NOT NULL, owner VARCHAR(64) CHARACTER SET "
              "ascii NOT NULL, token BIGINT NOT NULL, beat BIGINT NOT NULL, "
              "PRIMARY KEY (name)) ENGINE=InnoDB;\n");
}

static int stop(void **state)
{
    (void)state;
    speedy_db_free(db_a);
    speedy_db_free(db_b);
    servers_stop();
    return 0;
}

static int fresh(void **state)
{
    (void)state;
    speedy_db_rollback(db_a);
    speedy_db_rollback(db_b);
    if (servers_mysql_root("DELETE FROM leases") != 0)
        return -1;
    speedy_lease_init(&a, "stockd", "stockd", 1, TTL_MS);
    speedy_lease_init(&b, "stockd", "stockd", 2, TTL_MS);
    return 0;
}

static void the_first_takes_it_the_second_waits(void **state)
{
    (void)state;
    assert_string_not_equal(a.owner, b.owner);
    assert_int_equal(speedy_lease_step(&a, db_a), 1);
    assert_true(a.held);
    assert_int_equal(a.token, 1);
    assert_int_equal(speedy_lease_step(&b, db_b), 0);
    assert_false(b.held);
    assert_int_equal(speedy_lease_step(&a, db_a), 0);
    assert_true(a.held);
}

static bool second_takes_it(void *data)
{
    (void)data;
    return speedy_lease_step(&b, db_b) == 1;
}

static void a_silent_holder_is_followed_after_the_ttl(void **state)
{
    int64_t before;

    (void)state;
    assert_int_equal(speedy_lease_step(&a, db_a), 1);
    before = speedy_now_boot();
    assert_true(servers_wait(second_takes_it, NULL, 5000));
    assert_in_range(speedy_now_boot() - before, TTL_MS, 10 * TTL_MS);
    assert_int_equal(b.token, 2);
    capture_start();
    assert_int_equal(speedy_lease_step(&a, db_a), 0);
    assert_non_null(strstr(capture_stop(), "lease lost"));
    assert_false(a.held);
    /* and does not take it back while the other beats */
    for (int i = 0; i < 8; i++) {
        speedy_pause(TTL_MS / 4);
        assert_int_equal(speedy_lease_step(&b, db_b), 0);
        assert_int_equal(speedy_lease_step(&a, db_a), 0);
    }
    assert_true(b.held);
    assert_false(a.held);
}

static void a_beating_holder_stays(void **state)
{
    int64_t before;

    (void)state;
    assert_int_equal(speedy_lease_step(&a, db_a), 1);
    before = a.confirmed;
    for (int i = 0; i < 12; i++) {
        assert_int_equal(speedy_lease_step(&a, db_a), 0);
        assert_int_equal(speedy_lease_step(&b, db_b), 0);
        speedy_pause(TTL_MS / 6);
    }
    assert_true(a.held);
    assert_true(a.confirmed - before >= TTL_MS);
    assert_int_equal(a.token, 1);
}

static void a_release_hands_over_at_once(void **state)
{
    (void)state;
    assert_int_equal(speedy_lease_step(&a, db_a), 1);
    assert_int_equal(speedy_lease_step(&b, db_b), 0);
    speedy_lease_release(&a, db_a);
    assert_false(a.held);
    assert_int_equal(speedy_lease_step(&b, db_b), 1);
    assert_int_equal(b.token, 2);
    speedy_lease_release(&a, db_a); /* not held: nothing */
    assert_int_equal(speedy_lease_step(&b, db_b), 0);
    assert_true(b.held);
}

static void *contend(void *data)
{
    struct speedy_db *db = speedy_db_new("tester");
    struct speedy_lease l;
    int *won = data;

    speedy_lease_init(&l, "race", "stockd", 1, 60000);
    for (int i = 0; i < 20 && speedy_lease_step(&l, db) < 0; i++)
        speedy_pause(20);
    *won = l.held;
    speedy_db_free(db);
    return NULL;
}

static void of_many_one_wins(void **state)
{
    pthread_t thread[8];
    int won[8], sum = 0;

    (void)state;
    for (int i = 0; i < 8; i++)
        pthread_create(&thread[i], NULL, contend, &won[i]);
    for (int i = 0; i < 8; i++) {
        pthread_join(thread[i], NULL);
        sum += won[i];
    }
    assert_int_equal(sum, 1);
    assert_int_equal(servers_mysql_number("SELECT token FROM leases "
                                          "WHERE name = 'race'"),
                     1);
}

static void the_lock_tells_whether_it_is_still_ours(void **state)
{
    long affected;

    (void)state;
    assert_int_equal(speedy_lease_step(&a, db_a), 1);
    assert_int_equal(speedy_db_begin(db_a), 0);
    assert_int_equal(speedy_lease_lock(&a, db_a), 1);
    /* nobody takes it while the transaction lasts */
    capture_start();
    assert_int_equal(speedy_db_exec(db_b,
                                    "UPDATE leases SET owner = 'thief', "
                                    "token = token + 1",
                                    DB_NONE, &affected),
                     SPEEDY_DB_RETRY);
    capture_stop();
    assert_int_equal(speedy_db_commit(db_a), 0);
    assert_int_equal(speedy_db_exec(db_b,
                                    "UPDATE leases SET owner = 'thief', "
                                    "token = token + 1",
                                    DB_NONE, &affected),
                     0);
    assert_int_equal(speedy_db_begin(db_a), 0);
    assert_int_equal(speedy_lease_lock(&a, db_a), 0);
    speedy_db_rollback(db_a);
}

static void mysql_away_keeps_what_is_held(void **state)
{
    int64_t confirmed;

    (void)state;
    assert_int_equal(speedy_lease_step(&a, db_a), 1);
    assert_int_equal(speedy_lease_step(&b, db_b), 0);
    confirmed = a.confirmed;
    servers_mysql_kill();
    capture_start();
    assert_int_equal(speedy_lease_step(&a, db_a), -1);
    assert_true(a.held);
    assert_true(a.confirmed == confirmed);
    assert_int_equal(speedy_lease_step(&b, db_b), -1);
    assert_int_equal(servers_mysql_start(), 0);
    for (int i = 0; i < 100 && speedy_lease_step(&a, db_a) != 0; i++)
        speedy_pause(50);
    capture_stop();
    assert_true(a.held);
    assert_true(a.confirmed > confirmed);
}

static void a_lost_answer_is_found_again(void **state)
{
    (void)state;
    assert_int_equal(speedy_lease_step(&a, db_a), 1);
    /* as if the UPDATE's answer had been lost */
    a.held = false;
    a.token = 0;
    assert_int_equal(speedy_lease_step(&a, db_a), 1);
    assert_int_equal(a.token, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_first_takes_it_the_second_waits, fresh),
        cmocka_unit_test_setup(a_silent_holder_is_followed_after_the_ttl,
                               fresh),
        cmocka_unit_test_setup(a_beating_holder_stays, fresh),
        cmocka_unit_test_setup(a_release_hands_over_at_once, fresh),
        cmocka_unit_test_setup(of_many_one_wins, fresh),
        cmocka_unit_test_setup(the_lock_tells_whether_it_is_still_ours, fresh),
        cmocka_unit_test_setup(mysql_away_keeps_what_is_held, fresh),
        cmocka_unit_test_setup(a_lost_answer_is_found_again, fresh),
    };

    speedy_loop_init();
    speedy_log_init("lease_test", 0);
    speedy_log_level_set("warn");
    return cmocka_run_group_tests_name("lease", tests, start, stop);
}
