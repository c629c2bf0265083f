/* Mails are queued with their records, in the transaction of their cause. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "../../../daemons/common/crypto.h"
#include "../../../daemons/common/log.h"
#include "../../../daemons/common/loop.h"
#include "../../../daemons/shop/mail.h"
#include "../common/servers.h"
#include "../common/shop_db.h"

static struct speedy_db *db;

static int start(void **state)
{
    (void)state;
    if (shop_db_start() != 0)
        return -1;
    db = speedy_db_new("userd");
    return db == NULL ? -1 : 0;
}

static int stop(void **state)
{
    (void)state;
    speedy_db_free(db);
    servers_stop();
    return 0;
}

static int fresh(void **state)
{
    (void)state;
    return shop_db_do("DELETE FROM mails") | shop_db_do("DELETE FROM outbox");
}

static long mails(const char *where)
{
    return shop_db_number("SELECT COUNT(*) FROM mails WHERE %s", where);
}

static long records(void)
{
    return shop_db_number("SELECT COUNT(*) FROM outbox");
}

static int keep_value(void *out, const struct speedy_db_value *col, size_t cols)
{
    char id[37];

    (void)cols;
    /* key and value name the same mail */
    assert_int_equal(speedy_mail_record_parse(col[1].bytes, col[1].len, out),
                     0);
    speedy_uuid_text(out, id);
    assert_int_equal(col[0].len, 36);
    assert_string_equal(col[0].bytes, id);
    return 0;
}

/* The mail that the only record of the outbox names. */
static void recorded(unsigned char id[16])
{
    assert_int_equal(records(), 1);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM outbox WHERE topic ="
                                    " '" SPEEDY_MAIL_TOPIC "'"),
                     1);
    assert_int_equal(
        speedy_db_query(db, "SELECT record_key, record_value FROM outbox",
                        DB_NONE, keep_value, id),
        SPEEDY_DB_OK);
}

static void a_mail_has_its_record(void **state)
{
    struct speedy_mail m = {.kind = "welcome",
                            .user_id = "u1",
                            .params = "{\"order\":1}",
                            .request_id = "request-1"};
    unsigned char id[16];

    (void)state;
    assert_int_equal(speedy_mail_queue(db, &m), SPEEDY_DB_OK);
    assert_false(m.told);
    recorded(id);
    assert_memory_equal(id, m.id, 16);
    assert_int_equal(mails("kind = 'welcome' AND user_id = 'u1' AND"
                           " verification_id IS NULL AND"
                           " params = '{\"order\":1}' AND state = 'QUEUED' AND"
                           " attempts = 0 AND expires_at IS NULL AND"
                           " ended_at IS NULL AND request_id = 'request-1'"),
                     1);
}

static void a_mail_of_a_verification_ends_in_time(void **state)
{
    struct speedy_mail m = {.kind = "verify",
                            .verification_id =
                                (const unsigned char *)"0123456789abcdef",
                            .useful_ms = 90000};

    (void)state;
    assert_int_equal(speedy_mail_queue(db, &m), SPEEDY_DB_OK);
    assert_int_equal(mails("user_id IS NULL AND"
                           " verification_id = '0123456789abcdef' AND"
                           " params = '{}' AND request_id = '' AND"
                           " TIMESTAMPDIFF(MICROSECOND, created_at, expires_at)"
                           " BETWEEN 89900000 AND 90100000"),
                     1);
}

static void what_is_undone_is_not_mailed(void **state)
{
    struct speedy_mail m = {.kind = "welcome", .user_id = "u1"};

    (void)state;
    assert_int_equal(speedy_db_begin(db), SPEEDY_DB_OK);
    assert_int_equal(speedy_mail_queue(db, &m), SPEEDY_DB_OK);
    speedy_db_rollback(db);
    assert_int_equal(mails("1"), 0);
    assert_int_equal(records(), 0);
}

static void what_was_told_is_not_told_again(void **state)
{
    struct speedy_mail m = {
        .kind = "order_paid", .user_id = "u1", .once_key = "order_paid:o1"};

    (void)state;
    assert_int_equal(speedy_mail_queue(db, &m), SPEEDY_DB_OK);
    assert_false(m.told);
    assert_int_equal(speedy_db_begin(db), SPEEDY_DB_OK);
    assert_int_equal(speedy_mail_queue(db, &m), SPEEDY_DB_OK);
    assert_true(m.told);
    /* the transaction goes on */
    m.once_key = "order_paid:o2";
    assert_int_equal(speedy_mail_queue(db, &m), SPEEDY_DB_OK);
    assert_false(m.told);
    assert_int_equal(speedy_db_commit(db), SPEEDY_DB_OK);
    assert_int_equal(mails("1"), 2);
    assert_int_equal(records(), 2);
    /* without a key, always */
    m.once_key = NULL;
    assert_int_equal(speedy_mail_queue(db, &m), SPEEDY_DB_OK);
    assert_int_equal(speedy_mail_queue(db, &m), SPEEDY_DB_OK);
    assert_int_equal(mails("1"), 4);
}

static void a_dropped_mail_is_the_same_work(void **state)
{
    struct speedy_mail m = {.kind = "reset",
                            .verification_id =
                                (const unsigned char *)"0123456789abcdef"};
    unsigned char id[16];

    (void)state;
    assert_int_equal(speedy_mail_drop(db, &m), SPEEDY_DB_OK);
    recorded(id);
    assert_memory_equal(id, m.id, 16);
    assert_int_equal(mails("state = 'DROPPED' AND ended_at IS NOT NULL"), 1);
}

static void nobody_or_two_is_refused(void **state)
{
    struct speedy_mail m = {.kind = "welcome"};

    (void)state;
    assert_int_equal(speedy_mail_queue(db, &m), SPEEDY_DB_REFUSED);
    m.user_id = "u1";
    m.verification_id = (const unsigned char *)"0123456789abcdef";
    assert_int_equal(speedy_mail_queue(db, &m), SPEEDY_DB_REFUSED);
    assert_int_equal(records(), 0);
}

static void a_retry_is_announced(void **state)
{
    unsigned char id[16], seen[16];

    (void)state;
    speedy_uuid7(id);
    assert_int_equal(speedy_mail_announce(db, id), SPEEDY_DB_OK);
    recorded(seen);
    assert_memory_equal(id, seen, 16);
}

static void foreign_records_are_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "{}",
        "[]",
        "{\"v\":1}",
        "{\"v\":1,\"mail_id\":\"x\"}",
        "{\"v\":2,\"mail_id\":\"01890000-0000-7000-8000-000000000000\"}",
        "{\"mail_id\":\"01890000-0000-7000-8000-000000000000\"}",
        "{\"v\":1,\"mail_id\":7}"};
    static const char later[] = "{\"v\":1,\"later\":[],\"mail_id\":"
                                "\"01890000-0000-7000-8000-000000000000\"}";
    unsigned char id[16];

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(
            speedy_mail_record_parse(texts[i], strlen(texts[i]), id), -1);
    assert_int_equal(speedy_mail_record_parse(NULL, 0, id), -1);
    /* members of later versions are passed over */
    assert_int_equal(speedy_mail_record_parse(later, sizeof(later) - 1, id), 0);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup(t, fresh)
    const struct CMUnitTest tests[] = {
        TEST(a_mail_has_its_record),
        TEST(a_mail_of_a_verification_ends_in_time),
        TEST(what_is_undone_is_not_mailed),
        TEST(what_was_told_is_not_told_again),
        TEST(a_dropped_mail_is_the_same_work),
        TEST(nobody_or_two_is_refused),
        TEST(a_retry_is_announced),
        TEST(foreign_records_are_refused),
    };

    speedy_loop_init();
    speedy_log_init("mail_test", 0);
    return cmocka_run_group_tests_name("mail", tests, start, stop);
}
