/*
 * Ended sessions in Redis: what a gateway reads there, whatever happened to
 * Redis or to the one who should have written it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../../daemons/common/loop.h"
#include "../../../daemons/common/redis.h"
#include "../../../daemons/userd/ended.h"
#include "../common/capture.h"
#include "../common/servers.h"
#include "../common/shop_db.h"
#include "sessions_rig.h"

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define ENDED "speedy:sessions:ended"
#define LOADED "speedy:sessions:loaded"
#define VERSION "speedy:sessions:version"

/* A row that ended so long ago, as another process would leave it. */
static void row(const char *id, long seconds_ago)
{
    assert_int_equal(
        shop_db_do("INSERT INTO sessions (id, kind, owner_id, role, device,"
                   " expires_at, ended_at, end_reason) VALUES ('%s', 'USER',"
                   " 'u1', 'USER', 'x', NOW(3) + INTERVAL 1 DAY,"
                   " NOW(3) - INTERVAL %ld SECOND, 'logout')",
                   id, seconds_ago),
        0);
}

static bool published(void *id)
{
    return rig_published(id);
}

static bool loaded(void *data)
{
    (void)data;
    return rig_run_id()[0] != '\0' &&
           strcmp(rig_redis_get(LOADED), rig_run_id()) == 0;
}

static bool answers(void *data)
{
    (void)data;
    return rig_run_id()[0] != '\0';
}

static bool lives(const char *id)
{
    return shop_db_number("SELECT COUNT(*) FROM sessions WHERE id = '%s' AND"
                          " ended_at IS NULL",
                          id) == 1;
}

/* Left by a process that died between its commit and Redis. */
static void found_by_the_duty(void **state)
{
    int64_t began;

    (void)state;
    assert_true(servers_wait(loaded, NULL, 5000));
    began = speedy_now_boot();
    row("s_left", 0);
    assert_true(servers_wait(published, "s_left", 5000));
    assert_true(speedy_now_boot() - began < 1500);
}

static void what_stands_there(void **state)
{
    long long score;
    char version[64];

    (void)state;
    assert_true(servers_wait(loaded, NULL, 5000));
    snprintf(version, sizeof(version), "%s", rig_redis_get(VERSION));
    assert_string_not_equal(version, "");
    row("s_now", 0);
    assert_true(servers_wait(published, "s_now", 5000));
    assert_string_not_equal(version, rig_redis_get(VERSION));
    /* longer than any token of it lives, with a gateway's leeway */
    score = rig_redis(WORDS("ZCOUNT", ENDED, "(0", "+inf"));
    assert_int_equal(score, rig_redis(WORDS("ZCARD", ENDED)));
    {
        char from[32], to[32];
        int64_t now = speedy_now_real();

        snprintf(from, sizeof(from), "%lld", (long long)now + 945000);
        snprintf(to, sizeof(to), "%lld", (long long)now + 1100000);
        assert_true(rig_redis(WORDS("ZCOUNT", ENDED, from, to)) >= 1);
    }
    /* nothing new: the version stays, gateways need not read */
    snprintf(version, sizeof(version), "%s", rig_redis_get(VERSION));
    userd_ended_publish();
    userd_ended_publish();
    assert_string_equal(version, rig_redis_get(VERSION));
}

static void old_members_go(void **state)
{
    (void)state;
    rig_redis(WORDS("ZADD", ENDED, "1000", "s_old"));
    row("s_newer", 0);
    assert_true(servers_wait(published, "s_newer", 5000));
    assert_false(rig_published("s_old"));
}

static void redis_forgets(void **state)
{
    int64_t began;

    (void)state;
    row("s_a", 0);
    row("s_b", 600);
    row("s_c", 3600); /* no token of it lives */
    rig_redis(WORDS("FLUSHALL"));
    began = speedy_now_boot();
    assert_true(servers_wait(loaded, NULL, 5000));
    assert_true(speedy_now_boot() - began < 1500);
    assert_true(rig_published("s_a"));
    assert_true(rig_published("s_b"));
    assert_false(rig_published("s_c"));
}

/* The proof of another Redis is none, whoever copied it here. */
static void a_foreign_proof(void **state)
{
    (void)state;
    row("s_a", 100);
    rig_redis(WORDS("FLUSHALL"));
    rig_redis(WORDS("SET", LOADED, "0123456789012345678901234567890123456789"));
    assert_true(servers_wait(loaded, NULL, 5000));
    assert_true(rig_published("s_a"));
}

static void redis_dies(void **state)
{
    struct rig_call s, c;
    char first[64];
    int64_t began;

    (void)state;
    rig_user("u1", "shopper@example.com");
    s = rig_login("shopper@example.com", NULL);
    row("s_before", 300);
    snprintf(first, sizeof(first), "%s", rig_run_id());
    capture_start();
    servers_redis_kill();
    /* the logout is told within its bound, and holds */
    began = speedy_now_boot();
    c = (struct rig_call){.method = "DELETE",
                          .path = "/api/v1/sessions/current",
                          .user = "u1",
                          .session = s.session_id};
    rig_expect(&c, 204, NULL);
    assert_in_range(speedy_now_boot() - began, 450, 1500);
    rig_free(&c);
    assert_false(lives(s.session_id));
    assert_int_equal(servers_redis_start(), 0);
    assert_true(servers_wait(answers, NULL, 10000));
    assert_string_not_equal(first, rig_run_id());
    assert_true(servers_wait(loaded, NULL, 10000));
    capture_stop();
    assert_true(rig_published(s.session_id));
    assert_true(rig_published("s_before"));
    rig_free(&s);
}

static void redis_stands_still(void **state)
{
    struct rig_call s, c;
    int64_t began;

    (void)state;
    rig_user("u1", "shopper@example.com");
    s = rig_login("shopper@example.com", NULL);
    assert_true(servers_wait(loaded, NULL, 5000));
    capture_start();
    servers_redis_freeze(true);
    began = speedy_now_boot();
    c = (struct rig_call){.method = "DELETE",
                          .path = "/api/v1/sessions",
                          .user = "u1",
                          .session = s.session_id};
    rig_expect(&c, 204, NULL);
    assert_in_range(speedy_now_boot() - began, 450, 1500);
    rig_free(&c);
    servers_redis_freeze(false);
    assert_true(servers_wait(published, s.session_id, 10000));
    capture_stop();
    rig_free(&s);
}

/* More than one script takes. */
static void a_long_list(void **state)
{
    (void)state;
    assert_int_equal(
        shop_db_do("INSERT INTO sessions (id, kind, owner_id, role, device,"
                   " expires_at, ended_at, end_reason) SELECT CONCAT('s_',"
                   " seq), 'USER', 'u1', 'USER', 'x', NOW(3), NOW(3) -"
                   " INTERVAL 5 MINUTE, 'logout' FROM seq_1_to_2203"),
        0);
    rig_redis(WORDS("FLUSHALL"));
    assert_true(servers_wait(loaded, NULL, 5000));
    assert_int_equal(rig_redis(WORDS("ZCARD", ENDED)), 2203);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup(f, rig_clean)
    const struct CMUnitTest tests[] = {
        CASE(found_by_the_duty),  CASE(what_stands_there), CASE(old_members_go),
        CASE(redis_forgets),      CASE(a_foreign_proof),   CASE(redis_dies),
        CASE(redis_stands_still), CASE(a_long_list),
    };

    return cmocka_run_group_tests_name("userd ended sessions", tests, rig_setup,
                                       rig_teardown);
}
