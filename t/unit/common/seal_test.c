/* Sealed columns and wrapped keys: there and back, and every way of moving,
 * altering or losing them refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../../../daemons/common/conf.h"
#include "../../../daemons/common/log.h"
#include "../../../daemons/common/loop.h"
#include "../../../daemons/common/seal.h"
#include "capture.h"
#include "servers.h"

#define NAME "홍길동"
#define HEX_1 "1111111111111111111111111111111111111111111111111111111111111111"
#define HEX_2 "2222222222222222222222222222222222222222222222222222222222222222"

static const struct speedy_seal_place place = {"users", "sealed_name", "u1", 2};
static char m1[] = "m1", m2[] = "m2";

/* Each test starts with its own m1 and leaves no other key behind. */
static int fresh(void **state)
{
    static const char *const others[] = {"master-m2", "master-M3", "master-"};
    char path[600];

    (void)state;
    servers_keys();
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", servers_dir(), others[i]);
        unlink(path);
    }
    return speedy_seal_init();
}

static int over(void **state)
{
    (void)state;
    speedy_seal_free();
    return 0;
}

static int stop(void **state)
{
    (void)state;
    servers_stop();
    return 0;
}

/* The log lines of an unseal that must be refused. */
static const char *refused(const struct speedy_data_key *k,
                           const struct speedy_seal_place *at,
                           const void *sealed, size_t len)
{
    char out[400];
    const char *said;

    memset(out, 'x', sizeof(out));
    capture_start();
    assert_int_equal(speedy_unseal(k, at, sealed, len, out), -1);
    said = capture_stop();
    assert_null(memmem(out, sizeof(out), NAME, sizeof(NAME) - 1));
    assert_non_null(strstr(said, " alarm "));
    assert_non_null(strstr(said, at->table));
    assert_non_null(strstr(said, at->column));
    return said;
}

static void sealed_texts_come_back(void **state)
{
    static char big[30000], sealed[sizeof(big) + SPEEDY_SEAL_EXTRA],
        back[sizeof(big) + 1];
    static const size_t lengths[] = {0, 1, 15, 16, 17, 9, sizeof(big)};
    unsigned char wrapped[SPEEDY_WRAPPED_KEY];
    struct speedy_data_key k, opened;

    (void)state;
    assert_string_equal(speedy_seal_master(), "m1");
    memset(big, 'k', sizeof(big));
    memcpy(big, NAME, sizeof(NAME) - 1);
    speedy_data_key_new(&k, "users", "u1", 2, wrapped);
    assert_int_equal(speedy_data_key_open(&opened, "users", "u1", 2, "m1",
                                          wrapped, sizeof(wrapped)),
                     0);
    assert_memory_equal(&k, &opened, sizeof(k));
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        size_t n = speedy_seal(&k, &place, big, lengths[i], sealed);

        assert_int_equal(n, lengths[i] + SPEEDY_SEAL_EXTRA);
        assert_null(memmem(sealed, n, NAME, sizeof(NAME) - 1));
        memset(back, 'x', sizeof(back));
        assert_int_equal(speedy_unseal(&opened, &place, sealed, n, back),
                         lengths[i]);
        assert_memory_equal(back, big, lengths[i]);
        assert_int_equal(back[lengths[i]], '\0');
    }
    speedy_data_key_wipe(&k);
    assert_int_equal(k.key[0] | k.key[31], 0);
}

/* The same text twice looks different: nobody sees who shares a name. */
static void nonces_differ(void **state)
{
    char a[100], b[100];
    unsigned char wrapped[SPEEDY_WRAPPED_KEY];
    struct speedy_data_key k;

    (void)state;
    speedy_data_key_new(&k, "users", "u1", 2, wrapped);
    speedy_seal(&k, &place, NAME, 9, a);
    speedy_seal(&k, &place, NAME, 9, b);
    assert_memory_not_equal(a + 1, b + 1, 12);
    assert_memory_not_equal(a + 13, b + 13, 9);
}

static void every_altered_byte_is_noticed(void **state)
{
    unsigned char wrapped[SPEEDY_WRAPPED_KEY];
    char sealed[100];
    struct speedy_data_key k, opened;
    size_t n;

    (void)state;
    speedy_data_key_new(&k, "users", "u1", 2, wrapped);
    n = speedy_seal(&k, &place, NAME, 9, sealed);
    for (size_t i = 0; i < n; i++) {
        sealed[i] ^= 1;
        refused(&k, &place, sealed, n);
        sealed[i] ^= 1;
    }
    for (size_t len = 0; len < n; len++)
        refused(&k, &place, sealed, len);
    sealed[n] = 0;
    refused(&k, &place, sealed, n + 1);
    for (size_t i = 0; i < sizeof(wrapped); i++) {
        wrapped[i] ^= 0x80;
        capture_start();
        assert_int_equal(speedy_data_key_open(&opened, "users", "u1", 2, "m1",
                                              wrapped, sizeof(wrapped)),
                         -1);
        assert_non_null(strstr(capture_stop(), "table=users master=m1"));
        wrapped[i] ^= 0x80;
    }
    capture_start();
    assert_int_equal(speedy_data_key_open(&opened, "users", "u1", 2, "m1",
                                          wrapped, sizeof(wrapped) - 1),
                     -1);
    assert_int_equal(
        speedy_data_key_open(&opened, "users", "u1", 2, "m1", wrapped, 0), -1);
    capture_stop();
}

static void a_text_opens_in_its_place_only(void **state)
{
    static const struct speedy_seal_place others[] = {
        {"staff", "sealed_name", "u1", 2},
        {"users", "sealed_phone", "u1", 2},
        {"users", "sealed_name", "u2", 2},
        {"users", "sealed_name", "u11", 3},
        {"users", "sealed_name", "u1", 0},
        /* the same bytes, cut elsewhere */
        {"userss", "ealed_name", "u1", 2},
        {"users", "sealed_nameu", "1", 1},
    };
    unsigned char wrapped[SPEEDY_WRAPPED_KEY];
    struct speedy_data_key k, other;
    char sealed[100];
    size_t n;

    (void)state;
    speedy_data_key_new(&k, "users", "u1", 2, wrapped);
    n = speedy_seal(&k, &place, NAME, 9, sealed);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        refused(&k, &others[i], sealed, n);
    speedy_data_key_new(&other, "users", "u1", 2, wrapped);
    refused(&other, &place, sealed, n);
}

static int opens(const char *table, const char *row, size_t len,
                 const char *master, const void *wrapped)
{
    struct speedy_data_key k;
    int rc;

    capture_start();
    rc = speedy_data_key_open(&k, table, row, len, master, wrapped,
                              SPEEDY_WRAPPED_KEY);
    assert_true((rc == 0) == (capture_stop()[0] == '\0'));
    return rc;
}

static void a_key_opens_for_its_owner_only(void **state)
{
    static const struct speedy_seal_place alike = {"users", "u1", "m1", 2};
    unsigned char wrapped[SPEEDY_WRAPPED_KEY];
    struct speedy_data_key k;
    char sealed[100];
    size_t n;

    (void)state;
    /* a second master with the same bytes: the id alone must tell */
    servers_file("master-m1", HEX_1, 0400);
    servers_file("master-m2", HEX_1, 0400);
    assert_int_equal(speedy_seal_init(), 0);
    speedy_data_key_new(&k, "users", "u1", 2, wrapped);
    assert_int_equal(opens("users", "u1", 2, "m1", wrapped), 0);
    assert_int_equal(opens("users", "u2", 2, "m1", wrapped), -1);
    assert_int_equal(opens("users", "u1", 1, "m1", wrapped), -1);
    assert_int_equal(opens("staff", "u1", 2, "m1", wrapped), -1);
    assert_int_equal(opens("users", "u1", 2, "m2", wrapped), -1);
    assert_int_equal(opens("users", "u1", 2, "m3", wrapped), -1);
    assert_int_equal(opens("users", "u1", 2, "", wrapped), -1);
    /* a column of 32 bytes is no wrapped key, even at a place whose parts
     * are the same and under the master key itself */
    memset(&k, 0x11, sizeof(k));
    n = speedy_seal(&k, &alike, HEX_1, 32, sealed);
    assert_int_equal(n, SPEEDY_WRAPPED_KEY);
    assert_int_equal(opens("users", "u1", 2, "m1", sealed), -1);
}

static void a_new_master_key_takes_over(void **state)
{
    unsigned char before[SPEEDY_WRAPPED_KEY], after[SPEEDY_WRAPPED_KEY];
    struct speedy_data_key k;
    char sealed[100], back[100], path[600];
    size_t n;

    (void)state;
    speedy_data_key_new(&k, "users", "u1", 2, before);
    n = speedy_seal(&k, &place, NAME, 9, sealed);
    servers_file("master-m2", HEX_2, 0400);
    speedy_conf.keys_master = m2;
    assert_int_equal(speedy_seal_init(), 0);
    assert_string_equal(speedy_seal_master(), "m2");
    /* both are there: what is not wrapped anew still opens */
    assert_int_equal(speedy_data_key_open(&k, "users", "u1", 2, "m1", before,
                                          sizeof(before)),
                     0);
    speedy_data_key_wrap(&k, "users", "u1", 2, after);
    snprintf(path, sizeof(path), "%s/master-m1", servers_dir());
    assert_int_equal(unlink(path), 0);
    assert_int_equal(speedy_seal_init(), 0);
    assert_int_equal(opens("users", "u1", 2, "m1", before), -1);
    memset(&k, 0, sizeof(k));
    assert_int_equal(
        speedy_data_key_open(&k, "users", "u1", 2, "m2", after, sizeof(after)),
        0);
    /* the column was not touched by it */
    assert_int_equal(speedy_unseal(&k, &place, sealed, n, back), 9);
    assert_string_equal(back, NAME);
    speedy_conf.keys_master = m1;
}

/* Init fails and says this. */
static void init_complains(const char *file, const char *what)
{
    const char *said;

    capture_start();
    assert_int_equal(speedy_seal_init(), -1);
    said = capture_stop();
    if (strstr(said, file) == NULL || strstr(said, what) == NULL)
        fail_msg("expected %s and %s in: %s", file, what, said);
}

static void unusable_key_files_are_named(void **state)
{
    char path[600];

    (void)state;
    servers_file("master-m2", HEX_2 "\n", 0440);
    init_complains("/master-m2", "others may read it");
    servers_file("master-m2", HEX_2 "0", 0400);
    init_complains("/master-m2", "too long");
    servers_file("master-m2", "2222", 0400);
    init_complains("/master-m2", "not 64 hex digits");
    servers_file("master-m2",
                 "222222222222222222222222222222222222222222222222222222222222"
                 "222z",
                 0400);
    init_complains("/master-m2", "not 64 hex digits");
    servers_file("master-m2", "", 0400);
    init_complains("/master-m2", "empty");
    servers_file("master-m2", HEX_2 "\n", 0400);
    assert_int_equal(speedy_seal_init(), 0);
    servers_file("master-M3", HEX_2, 0400);
    init_complains("/master-M3", "malformed");
    snprintf(path, sizeof(path), "%s/master-M3", servers_dir());
    unlink(path);
    servers_file("blind-index", "", 0400);
    init_complains("/blind-index", "empty");
    snprintf(path, sizeof(path), "%s/blind-index", servers_dir());
    unlink(path);
    init_complains("/blind-index", "No such file");
    servers_file("blind-index", HEX_1, 0400);
    snprintf(path, sizeof(path), "%s/master-m1", servers_dir());
    unlink(path);
    init_complains("/master-m1", "master=m1");
    assert_int_equal(fresh(NULL), 0);
}

static void a_missing_directory_is_named(void **state)
{
    static char nowhere[] = "/nonexistent/secrets";

    (void)state;
    speedy_conf.secrets_directory = nowhere;
    init_complains(nowhere, "No such file");
}

static void indexes_are_apart(void **state)
{
    unsigned char a[SPEEDY_BLIND_INDEX], b[SPEEDY_BLIND_INDEX];

    (void)state;
    speedy_blind_index("email", "shopper@example.com", a);
    speedy_blind_index("email", "shopper@example.com", b);
    assert_memory_equal(a, b, sizeof(a));
    speedy_blind_index("email", "shopper@example.con", b);
    assert_memory_not_equal(a, b, sizeof(a));
    speedy_blind_index("phone", "shopper@example.com", b);
    assert_memory_not_equal(a, b, sizeof(a));
    speedy_blind_index("emails", "hopper@example.com", b);
    assert_memory_not_equal(a, b, sizeof(a));
    /* another key, another index */
    servers_file("blind-index", HEX_2, 0400);
    assert_int_equal(speedy_seal_init(), 0);
    speedy_blind_index("email", "shopper@example.com", b);
    assert_memory_not_equal(a, b, sizeof(a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sealed_texts_come_back, fresh, over),
        cmocka_unit_test_setup_teardown(nonces_differ, fresh, over),
        cmocka_unit_test_setup_teardown(every_altered_byte_is_noticed, fresh,
                                        over),
        cmocka_unit_test_setup_teardown(a_text_opens_in_its_place_only, fresh,
                                        over),
        cmocka_unit_test_setup_teardown(a_key_opens_for_its_owner_only, fresh,
                                        over),
        cmocka_unit_test_setup_teardown(a_new_master_key_takes_over, fresh,
                                        over),
        cmocka_unit_test_setup_teardown(unusable_key_files_are_named, fresh,
                                        over),
        cmocka_unit_test_setup_teardown(a_missing_directory_is_named, fresh,
                                        over),
        cmocka_unit_test_setup_teardown(indexes_are_apart, fresh, over),
    };

    speedy_loop_init();
    speedy_log_init("seal_test", 0);
    return cmocka_run_group_tests_name("seal", tests, NULL, stop);
}
