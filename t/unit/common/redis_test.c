/* Redis for the daemons, against a real server that dies, hangs, refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "../../../daemons/common/conf.h"
#include "../../../daemons/common/log.h"
#include "../../../daemons/common/loop.h"
#include "../../../daemons/common/redis.h"
#include "capture.h"
#include "servers.h"

static struct speedy_redis *rc;
static struct speedy_args args;

static redisReply *command(const char *a, const char *b, const char *c)
{
    speedy_args_reset(&args);
    speedy_args_text(&args, a);
    if (b != NULL)
        speedy_args_text(&args, b);
    if (c != NULL)
        speedy_args_text(&args, c);
    return speedy_redis_command(rc, &args);
}

static bool ready(void *data)
{
    (void)data;
    return speedy_redis_ready(rc) == 0;
}

static int start(void **state)
{
    (void)state;
    speedy_conf.redis_timeout = 300;
    if (servers_redis_start() != 0)
        return -1;
    rc = speedy_redis_new();
    return rc == NULL ? -1 : 0;
}

static int stop(void **state)
{
    (void)state;
    speedy_redis_free(rc);
    speedy_args_free(&args);
    servers_stop();
    return 0;
}

/* Alive, connected and empty. */
static int fresh(void **state)
{
    (void)state;
    servers_redis_freeze(false);
    if (servers_redis_start() != 0 || !servers_wait(ready, NULL, 5000))
        return -1;
    freeReplyObject(command("FLUSHALL", NULL, NULL));
    freeReplyObject(command("SCRIPT", "FLUSH", NULL));
    return 0;
}

static void bytes_go_through_unchanged(void **state)
{
    redisReply *r;

    (void)state;
    assert_int_equal(strlen(speedy_redis_run_id(rc)), 40);
    speedy_args_reset(&args);
    speedy_args_text(&args, "SET");
    speedy_args_add(&args, "k\0%s \r\n", 7);
    speedy_args_add(&args, "v\0\xff%b", 5);
    freeReplyObject(speedy_redis_command(rc, &args));
    speedy_args_reset(&args);
    speedy_args_text(&args, "GET");
    speedy_args_add(&args, "k\0%s \r\n", 7);
    r = speedy_redis_command(rc, &args);
    assert_int_equal(r->len, 5);
    assert_memory_equal(r->str, "v\0\xff%b", 5);
    freeReplyObject(r);
}

static void error_replies_are_given_as_they_are(void **state)
{
    redisReply *r = command("NOSUCH", NULL, NULL);

    (void)state;
    assert_non_null(r);
    assert_int_equal(r->type, REDIS_REPLY_ERROR);
    freeReplyObject(r);
    r = command("PING", NULL, NULL); /* the connection stands */
    assert_string_equal(r->str, "PONG");
    freeReplyObject(r);
}

static void scripts_survive_a_flush(void **state)
{
    struct speedy_script add = {"add",
                                "redis.call('INCRBY', KEYS[1], ARGV[1])\n"
                                "return {redis.call('GET', KEYS[1]), ARGV[2]}",
                                ""};
    redisReply *r;

    (void)state;
    for (int i = 1; i <= 3; i++) {
        if (i == 3)
            freeReplyObject(command("SCRIPT", "FLUSH", NULL));
        speedy_args_reset(&args);
        speedy_args_text(&args, "n");
        speedy_args_int(&args, 5);
        speedy_args_int(&args, INT64_MIN);
        r = speedy_redis_script(rc, &add, 1, &args);
        assert_non_null(r);
        assert_int_equal(strtol(r->element[0]->str, NULL, 10), 5 * i);
        assert_string_equal(r->element[1]->str, "-9223372036854775808");
        freeReplyObject(r);
    }
    assert_int_equal(strlen(add.sha), 40);
}

static void many_calls_in_one_round_trip(void **state)
{
    struct speedy_script take = {
        "take",
        "if ARGV[1] == '3' then return redis.error_reply('E no three') end\n"
        "return redis.call('RPUSH', KEYS[1], ARGV[1])",
        ""};
    struct speedy_args a[200] = {0};
    redisReply *r[200];
    const char *out;

    (void)state;
    for (int i = 0; i < 200; i++) {
        speedy_args_text(&a[i], "list");
        speedy_args_int(&a[i], i % 100);
    }
    capture_start();
    assert_int_equal(speedy_redis_scripts(rc, &take, 1, a, 200, r), 0);
    out = capture_stop();
    assert_non_null(strstr(out, "script=take error=\"E no three\""));
    /* one line, not one for each */
    assert_ptr_equal(strchr(out, '\n'), out + strlen(out) - 1);
    for (int i = 0, n = 0; i < 200; i++) {
        if (i % 100 == 3) {
            assert_null(r[i]);
        } else {
            assert_non_null(r[i]);
            assert_int_equal(r[i]->integer, ++n); /* in order */
            freeReplyObject(r[i]);
        }
        speedy_args_free(&a[i]);
    }
}

static void a_new_incarnation_has_a_new_run_id(void **state)
{
    char before[41];
    redisReply *r;
    const char *out;

    (void)state;
    snprintf(before, sizeof(before), "%s", speedy_redis_run_id(rc));
    servers_redis_kill();
    capture_start();
    assert_null(command("PING", NULL, NULL));
    assert_string_equal(speedy_redis_run_id(rc), "");
    for (int i = 0; i < 20; i++) {
        assert_null(command("PING", NULL, NULL));
        speedy_pause(5);
    }
    assert_int_equal(servers_redis_start(), 0);
    assert_true(servers_wait(ready, NULL, 5000));
    out = capture_stop();
    assert_int_equal(strlen(speedy_redis_run_id(rc)), 40);
    assert_string_not_equal(speedy_redis_run_id(rc), before);
    r = command("PING", NULL, NULL);
    assert_string_equal(r->str, "PONG");
    freeReplyObject(r);
    /* one line for the outage, one for its end */
    out = strstr(out, "redis is away");
    assert_non_null(out);
    assert_null(strstr(out + 1, "redis is away"));
    assert_non_null(strstr(out, "redis is back"));
}

static void a_frozen_server_costs_one_timeout(void **state)
{
    struct speedy_script one = {"one", "return 1", ""};
    int64_t before = speedy_now_boot();
    redisReply *r;

    (void)state;
    servers_redis_freeze(true);
    capture_start();
    speedy_args_reset(&args);
    assert_null(speedy_redis_script(rc, &one, 0, &args));
    assert_in_range(speedy_now_boot() - before, 250, 2000);
    assert_string_equal(speedy_redis_run_id(rc), "");
    /* within the back-off nobody waits again */
    before = speedy_now_boot();
    assert_null(speedy_redis_script(rc, &one, 0, &args));
    assert_true(speedy_now_boot() - before < 250);
    servers_redis_freeze(false);
    assert_true(servers_wait(ready, NULL, 5000));
    assert_non_null(strstr(capture_stop(), "step=one error=time-out"));
    r = speedy_redis_script(rc, &one, 0, &args);
    assert_int_equal(r->integer, 1);
    freeReplyObject(r);
}

static void a_server_that_turned_replica_is_dropped(void **state)
{
    redisReply *r = command("REPLICAOF", "127.0.0.1", "1");

    (void)state;
    freeReplyObject(r);
    capture_start();
    assert_null(command("SET", "a", "b"));
    assert_non_null(strstr(capture_stop(), "READONLY"));
    assert_string_equal(speedy_redis_run_id(rc), "");
    assert_true(servers_wait(ready, NULL, 5000));
    freeReplyObject(command("REPLICAOF", "NO", "ONE"));
}

static void a_wrong_password_is_no_connection(void **state)
{
    char *file = speedy_conf.redis_password_file, wrong[600];
    struct speedy_redis *other;

    (void)state;
    snprintf(wrong, sizeof(wrong), "%s", servers_file("wrong", "no\n", 0400));
    speedy_conf.redis_password_file = wrong;
    other = speedy_redis_new();
    assert_non_null(other);
    capture_start();
    assert_int_equal(speedy_redis_ready(other), -1);
    assert_non_null(strstr(capture_stop(), "step=auth"));
    speedy_redis_free(other);
    servers_file("wrong", "no\n", 0444);
    capture_start();
    assert_null(speedy_redis_new());
    assert_non_null(strstr(capture_stop(), "chmod 0400"));
    speedy_conf.redis_password_file = file;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(bytes_go_through_unchanged, fresh),
        cmocka_unit_test_setup(error_replies_are_given_as_they_are, fresh),
        cmocka_unit_test_setup(scripts_survive_a_flush, fresh),
        cmocka_unit_test_setup(many_calls_in_one_round_trip, fresh),
        cmocka_unit_test_setup(a_new_incarnation_has_a_new_run_id, fresh),
        cmocka_unit_test_setup(a_frozen_server_costs_one_timeout, fresh),
        cmocka_unit_test_setup(a_server_that_turned_replica_is_dropped, fresh),
        cmocka_unit_test_setup(a_wrong_password_is_no_connection, fresh),
    };

    speedy_loop_init();
    speedy_log_init("redis_test", 0);
    return cmocka_run_group_tests_name("redis", tests, start, stop);
}
