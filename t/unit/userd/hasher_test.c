/*
 * Argon2id in its pool: cost, pepper, nobody's hash, the bound of the queue,
 * priority of the workers.
 */
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../../../daemons/common/json.h"
#include "../../../daemons/common/loop.h"
#include "../../../daemons/common/metrics.h"
#include "../../../daemons/userd/hasher.h"
#include "../common/capture.h"
#include "../common/servers.h"

#define PEPPER                                                                 \
    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define OTHER "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void settings(void)
{
    userd_hasher_settings = (struct userd_hasher_settings){
        .memory = 19922944,
        .passes = 2,
        .lanes = 1,
        .workers = 1,
        .queue = 64,
        .wait = 10000,
    };
}

static int start(void **state)
{
    static char directory[512];

    (void)state;
    settings();
    snprintf(directory, sizeof(directory), "%s", servers_dir());
    speedy_conf.secrets_directory = directory;
    servers_file("pepper", PEPPER, 0400);
    return userd_hasher_start();
}

static int stop(void **state)
{
    (void)state;
    userd_hasher_stop();
    return 0;
}

static void hash_and_verify(void **state)
{
    char a[USERD_HASH_SIZE], b[USERD_HASH_SIZE];
    bool stale = true;

    (void)state;
    assert_int_equal(userd_hash_password("correct horse", a), USERD_HASH_OK);
    assert_int_equal(userd_hash_password("correct horse", b), USERD_HASH_OK);
    assert_true(strncmp(a, "$argon2id$v=19$m=19456,t=2,p=1$", 31) == 0);
    assert_string_not_equal(a, b); /* salted */
    assert_int_equal(userd_verify_password("correct horse", a, &stale),
                     USERD_HASH_OK);
    assert_false(stale);
    assert_int_equal(userd_verify_password("correct horsf", a, &stale),
                     USERD_HASH_NO);
    /* longer than a block of the hash, and other letters */
    assert_int_equal(
        userd_hash_password("비밀번호는 길어도 됩니다 비밀번호는 길어도 됩니다"
                            " 비밀번호는 길어도 됩니다 😀",
                            a),
        USERD_HASH_OK);
    assert_int_equal(
        userd_verify_password("비밀번호는 길어도 됩니다 비밀번호는 길어도"
                              " 됩니다 비밀번호는 길어도 됩니다 😀",
                              a, &stale),
        USERD_HASH_OK);
    assert_int_equal(
        userd_verify_password("비밀번호는 길어도 됩니다 비밀번호는 길어도"
                              " 됩니다 비밀번호는 길어도 됩니다 😁",
                              a, &stale),
        USERD_HASH_NO);
}

static void nobody_costs_the_same(void **state)
{
    char hash[USERD_HASH_SIZE];
    int64_t known = 0, unknown = 0, at;

    (void)state;
    assert_int_equal(userd_hash_password("correct horse", hash), USERD_HASH_OK);
    for (int i = 0; i < 5; i++) {
        at = speedy_now_boot();
        assert_int_equal(userd_verify_password("wrong", hash, NULL),
                         USERD_HASH_NO);
        known += speedy_now_boot() - at;
        at = speedy_now_boot();
        assert_int_equal(userd_verify_password("wrong", NULL, NULL),
                         USERD_HASH_NO);
        unknown += speedy_now_boot() - at;
    }
    /* the same computation: a shortcut would be a hundred times faster */
    assert_true(unknown * 4 > known && known * 4 > unknown);
    assert_true(unknown > 25);
}

static void other_cost_is_stale(void **state)
{
    char hash[USERD_HASH_SIZE];
    bool stale = false;

    (void)state;
    assert_int_equal(userd_hash_password("correct horse", hash), USERD_HASH_OK);
    userd_hasher_settings.passes = 3;
    userd_hasher_stop();
    assert_int_equal(userd_hasher_start(), 0);
    assert_int_equal(userd_verify_password("correct horse", hash, &stale),
                     USERD_HASH_OK);
    assert_true(stale);
    assert_int_equal(userd_verify_password("wrong", hash, &stale),
                     USERD_HASH_NO);
    assert_false(stale);
    assert_int_equal(userd_hash_password("correct horse", hash), USERD_HASH_OK);
    assert_true(strncmp(hash, "$argon2id$v=19$m=19456,t=3,p=1$", 31) == 0);
    settings();
}

static void malformed_hashes(void **state)
{
    static const char *const bad[] = {
        "",
        "x",
        "$argon2i$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAA",
        "$argon2id$v=19$m=19456,t=2$AAAAAAAAAAAAAAAAAAAAAA$AAAA",
    };

    (void)state;
    capture_start();
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(userd_verify_password("any", bad[i], NULL),
                         USERD_HASH_FAILED);
    capture_stop();
}

static void the_pepper_counts(void **state)
{
    char hash[USERD_HASH_SIZE];

    (void)state;
    assert_int_equal(userd_hash_password("correct horse", hash), USERD_HASH_OK);
    userd_hasher_stop();
    servers_file("pepper", OTHER, 0400);
    assert_int_equal(userd_hasher_start(), 0);
    assert_int_equal(userd_verify_password("correct horse", hash, NULL),
                     USERD_HASH_NO);
    userd_hasher_stop();
    capture_start();
    servers_file("pepper", "0011", 0400);
    assert_int_equal(userd_hasher_start(), -1);
    capture_stop();
    servers_file("pepper", PEPPER, 0400);
    assert_int_equal(userd_hasher_start(), 0);
}

#define STORM 12
static atomic_int answers[4];

static void *one_login(void *data)
{
    atomic_fetch_add(&answers[userd_verify_password("wrong", data, NULL)], 1);
    return NULL;
}

/* One worker, room for two: of twelve at once most are sent away. */
static void a_storm_is_bounded(void **state)
{
    pthread_t threads[STORM];
    char hash[USERD_HASH_SIZE];
    struct speedy_buf text = {0};

    (void)state;
    assert_int_equal(userd_hash_password("correct horse", hash), USERD_HASH_OK);
    userd_hasher_settings.queue = 2;
    memset(answers, 0, sizeof(answers));
    for (int i = 0; i < STORM; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, one_login,
                                        i % 2 ? (void *)hash : NULL),
                         0);
    for (int i = 0; i < STORM; i++)
        pthread_join(threads[i], NULL);
    settings();
    assert_int_equal(answers[USERD_HASH_OK] + answers[USERD_HASH_FAILED], 0);
    assert_true(answers[USERD_HASH_NO] >= 2);
    assert_true(answers[USERD_HASH_BUSY] >= 4);
    speedy_metrics_write(&text);
    assert_non_null(strstr(text.data, "speedy_userd_hash_refused_total "));
    assert_non_null(strstr(text.data, "speedy_userd_hash_queue 0\n"));
    assert_non_null(strstr(text.data, "speedy_userd_hash_seconds_bucket"));
    speedy_buf_free(&text);
}

/* A wait that ends leaves nothing behind in the queue. */
static void impatience(void **state)
{
    pthread_t threads[STORM];

    (void)state;
    userd_hasher_settings.wait = 1;
    memset(answers, 0, sizeof(answers));
    for (int i = 0; i < STORM; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, one_login, NULL), 0);
    for (int i = 0; i < STORM; i++)
        pthread_join(threads[i], NULL);
    settings();
    assert_int_equal(answers[USERD_HASH_NO] + answers[USERD_HASH_BUSY], STORM);
    assert_true(answers[USERD_HASH_NO] >= 1);
    assert_true(answers[USERD_HASH_BUSY] >= 4);
    assert_int_equal(userd_verify_password("wrong", NULL, NULL), USERD_HASH_NO);
}

/* Exactly the workers run at the lowest priority. */
static void workers_stand_back(void **state)
{
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *e;
    int low = 0;

    (void)state;
    assert_non_null(tasks);
    /* a worker has answered: it has set its priority before */
    assert_int_equal(userd_verify_password("wrong", NULL, NULL), USERD_HASH_NO);
    while ((e = readdir(tasks)) != NULL) {
        int tid = atoi(e->d_name), policy;

        if (tid <= 0)
            continue;
        policy = sched_getscheduler(tid);
        if (policy == SCHED_IDLE || policy == SCHED_BATCH) {
            assert_int_equal(getpriority(PRIO_PROCESS, (id_t)tid), 19);
            low++;
        } else {
            assert_int_equal(getpriority(PRIO_PROCESS, (id_t)tid),
                             getpriority(PRIO_PROCESS, 0));
        }
    }
    closedir(tasks);
    assert_int_equal(low, 1);
}

static int group_teardown(void **state)
{
    (void)state;
    servers_stop();
    return 0;
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, start, stop)
    const struct CMUnitTest tests[] = {
        CASE(hash_and_verify),     CASE(nobody_costs_the_same),
        CASE(other_cost_is_stale), CASE(malformed_hashes),
        CASE(the_pepper_counts),   CASE(a_storm_is_bounded),
        CASE(impatience),          CASE(workers_stand_back),
    };

    return cmocka_run_group_tests_name("userd hasher", tests, NULL,
                                       group_teardown);
}
