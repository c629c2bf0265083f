/*
 * Password hashes: right, wrong, peppered, nothing cut off, nobody's hash
 * costs what anybody's does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "../../../daemons/common/conf.h"
#include "../../../daemons/common/password.h"
#include "capture.h"
#include "servers.h"

#define PEPPER                                                                 \
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define OTHER "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static int start(void **state)
{
    (void)state;
    servers_file("pepper", PEPPER, 0400);
    speedy_conf.secrets_directory = (char *)servers_dir();
    return speedy_password_init();
}

static int stop(void **state)
{
    (void)state;
    speedy_password_free();
    servers_stop();
    return 0;
}

static int verify(const char *hash, const char *text)
{
    return speedy_password_verify(hash, text, strlen(text));
}

static void test_right_and_wrong(void **state)
{
    char hash[SPEEDY_PASSWORD_HASH], again[SPEEDY_PASSWORD_HASH];

    (void)state;
    assert_int_equal(speedy_password_hash("correct horse", 13, hash), 0);
    assert_int_equal(speedy_password_hash("correct horse", 13, again), 0);
    assert_string_not_equal(hash, again);
    assert_int_equal(strncmp(hash, "$argon2id$v=19$m=19456,t=2,p=1$", 31), 0);
    assert_int_equal(verify(hash, "correct horse"), SPEEDY_PASSWORD_RIGHT);
    assert_int_equal(verify(again, "correct horse"), SPEEDY_PASSWORD_RIGHT);
    assert_int_equal(verify(hash, "correct hors"), SPEEDY_PASSWORD_WRONG);
    assert_int_equal(verify(NULL, "correct horse"), SPEEDY_PASSWORD_WRONG);
}

static void test_nothing_is_cut_off(void **state)
{
    char long_one[128], hash[SPEEDY_PASSWORD_HASH];

    (void)state;
    memset(long_one, 'a', sizeof long_one);
    assert_int_equal(speedy_password_hash(long_one, 128, hash), 0);
    assert_int_equal(speedy_password_verify(hash, long_one, 128), 1);
    assert_int_equal(speedy_password_verify(hash, long_one, 127), 0);
    assert_int_equal(speedy_password_hash("a\0b", 3, hash), 0);
    assert_int_equal(speedy_password_verify(hash, "a\0b", 3), 1);
    assert_int_equal(speedy_password_verify(hash, "a\0c", 3), 0);
    assert_int_equal(speedy_password_verify(hash, "a", 1), 0);
}

static void test_without_the_pepper_no_hash_fits(void **state)
{
    char hash[SPEEDY_PASSWORD_HASH];

    (void)state;
    assert_int_equal(speedy_password_hash("correct horse", 13, hash), 0);
    servers_file("pepper", OTHER, 0400);
    assert_int_equal(speedy_password_init(), 0);
    assert_int_equal(verify(hash, "correct horse"), SPEEDY_PASSWORD_WRONG);
    servers_file("pepper", PEPPER, 0400);
    assert_int_equal(speedy_password_init(), 0);
    assert_int_equal(verify(hash, "correct horse"), SPEEDY_PASSWORD_RIGHT);
}

static void test_another_cost_is_stale(void **state)
{
    char hash[SPEEDY_PASSWORD_HASH];

    (void)state;
    speedy_password_cost.passes = 3;
    assert_int_equal(speedy_password_hash("correct horse", 13, hash), 0);
    assert_int_equal(verify(hash, "correct horse"), SPEEDY_PASSWORD_RIGHT);
    speedy_password_cost.passes = 2;
    assert_int_equal(verify(hash, "correct horse"), SPEEDY_PASSWORD_STALE);
    assert_int_equal(verify(hash, "incorrect horse"), SPEEDY_PASSWORD_WRONG);
}

static void test_bad_pepper_and_hash(void **state)
{
    char hash[SPEEDY_PASSWORD_HASH];

    (void)state;
    capture_start();
    assert_int_equal(verify("plain", "plain"), SPEEDY_PASSWORD_FAILED);
    servers_file("pepper", "abc", 0400);
    assert_int_equal(speedy_password_init(), -1);
    speedy_password_free();
    assert_int_equal(speedy_password_hash("x", 1, hash), -1);
    servers_file("pepper", PEPPER, 0400);
    assert_int_equal(speedy_password_init(), 0);
    assert_non_null(strstr(capture_stop(), "64 hex digits"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right_and_wrong),
        cmocka_unit_test(test_nothing_is_cut_off),
        cmocka_unit_test(test_without_the_pepper_no_hash_fits),
        cmocka_unit_test(test_another_cost_is_stale),
        cmocka_unit_test(test_bad_pepper_and_hash),
    };

    return cmocka_run_group_tests_name("password", tests, start, stop);
}
