/*
 * Claims on rows of `mails`, against a real MariaDB with the real grants.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../../../daemons/common/log.h"
#include "../../../daemons/maild/claim.h"
#include "../../../daemons/shop/mail_again.h"
#include "../common/servers.h"
#include "../common/shop_db.h"

#define CLAIM_MS 60000

static struct speedy_db *db, *other_db, *ctl_db;
static struct maild_rows rows, others;
static unsigned char id[16];

static int group_setup(void **state)
{
    (void)state;
    speedy_log_init("test", 0);
    if (shop_db_start() != 0)
        return -1;
    db = speedy_db_new("maild");
    other_db = speedy_db_new("maild");
    ctl_db = speedy_db_new("speedyctl");
    maild_rows_init(&rows, db, 1, CLAIM_MS);
    maild_rows_init(&others, other_db, 2, CLAIM_MS);
    return db == NULL || other_db == NULL || ctl_db == NULL ? -1 : 0;
}

static int group_teardown(void **state)
{
    (void)state;
    speedy_db_free(db);
    speedy_db_free(other_db);
    speedy_db_free(ctl_db);
    servers_stop();
    return 0;
}

/* useful: seconds until it is of no use; 0: always useful. */
static void queue(int useful)
{
    static unsigned char n;

    memset(id, ++n, sizeof(id));
    assert_int_equal(
        shop_db_do("INSERT INTO mails (id, kind, user_id, params, next_at,"
                   " expires_at) VALUES (UNHEX(REPEAT('%02x', 16)), 'welcome',"
                   " 'u1', '{}', UTC_TIMESTAMP(3) - INTERVAL 1 SECOND,"
                   " IF(%d = 0, NULL, UTC_TIMESTAMP(3) + INTERVAL %d SECOND))",
                   n, useful, useful),
        0);
}

static int setup(void **state)
{
    (void)state;
    if (shop_db_do("DELETE FROM mails") != 0)
        return -1;
    queue(0);
    return 0;
}

/* Of the only row. */
static bool is(const char *condition)
{
    return shop_db_number("SELECT COUNT(*) FROM mails WHERE %s", condition) ==
           1;
}

/* As if so many milliseconds had passed for the rows. */
static void later(long ms)
{
    assert_int_equal(shop_db_do("UPDATE mails SET next_at = next_at - INTERVAL"
                                " %ld * 1000 MICROSECOND",
                                ms),
                     0);
}

static void one_of_two_gets_it(void **state)
{
    unsigned char due[MAILD_PAGE][16];
    struct maild_claim mine, theirs;

    (void)state;
    assert_int_equal(maild_rows_due(&rows, due), 1);
    assert_memory_equal(due[0], id, 16);
    assert_int_equal(maild_rows_claim(&rows, id, &mine), 1);
    assert_int_equal(mine.attempts, 1);
    assert_string_equal(mine.kind, "welcome");
    assert_int_equal(maild_rows_claim(&others, id, &theirs), 0);
    assert_int_equal(maild_rows_due(&others, due), 0);
    assert_int_equal(maild_rows_end(&rows, &mine, "SENT", 250, "2.0.0"), 1);
    assert_true(is("state = 'SENT' AND reply_code = 250 AND claimed_by IS NULL"
                   " AND ended_at IS NOT NULL"));
    assert_int_equal(maild_rows_claim(&others, id, &theirs), 0);
}

/* Whoever stood still finds that the mail is another's by now. */
static void a_claim_ends_and_the_zombie_is_told(void **state)
{
    struct maild_claim zombie, heir;

    (void)state;
    assert_int_equal(maild_rows_claim(&rows, id, &zombie), 1);
    later(CLAIM_MS + 1000);
    assert_int_equal(maild_rows_claim(&others, id, &heir), 1);
    assert_int_equal(heir.attempts, 2);
    assert_int_equal(maild_rows_end(&rows, &zombie, "FAILED", 550, "5.1.1"), 0);
    assert_int_equal(maild_rows_again(&rows, &zombie, 1000, 450, ""), 0);
    assert_int_equal(maild_rows_put_back(&rows, &zombie, 1000, 0, ""), 0);
    assert_true(is("state = 'SENDING' AND attempts = 2"));
    assert_int_equal(maild_rows_end(&others, &heir, "SENT", 250, ""), 1);
    assert_true(is("state = 'SENT'"));
}

/* The same process may take the mail again after its own claim ended. */
static void an_old_claim_of_the_same_owner_is_told_apart(void **state)
{
    struct maild_claim first, second;

    (void)state;
    assert_int_equal(maild_rows_claim(&rows, id, &first), 1);
    later(CLAIM_MS + 1000);
    assert_int_equal(maild_rows_claim(&rows, id, &second), 1);
    assert_int_equal(maild_rows_end(&rows, &first, "FAILED", 0, ""), 0);
    assert_int_equal(maild_rows_end(&rows, &second, "SENT", 250, ""), 1);
}

static void a_retry_waits(void **state)
{
    unsigned char due[MAILD_PAGE][16];
    struct maild_claim c;

    (void)state;
    maild_rows_claim(&rows, id, &c);
    assert_int_equal(maild_rows_again(&rows, &c, 5000, 450, "4.2.1"), 1);
    assert_true(is("state = 'QUEUED' AND attempts = 1 AND reply_code = 450 AND"
                   " reply = '4.2.1' AND ended_at IS NULL AND next_at BETWEEN"
                   " UTC_TIMESTAMP(3) + INTERVAL 3 SECOND AND"
                   " UTC_TIMESTAMP(3) + INTERVAL 5 SECOND"));
    assert_int_equal(maild_rows_due(&rows, due), 0);
    assert_int_equal(maild_rows_claim(&rows, id, &c), 0);
    later(5000);
    assert_int_equal(maild_rows_claim(&rows, id, &c), 1);
    assert_int_equal(c.attempts, 2);
}

static void what_is_put_back_was_never_tried(void **state)
{
    struct maild_claim c;

    (void)state;
    maild_rows_claim(&rows, id, &c);
    assert_int_equal(maild_rows_put_back(&rows, &c, 0, 535, "5.7.8"), 1);
    assert_true(is("state = 'QUEUED' AND attempts = 0 AND reply_code = 535"));
}

static void no_retry_beyond_its_use(void **state)
{
    struct maild_claim c;

    (void)state;
    shop_db_do("DELETE FROM mails");
    queue(10);
    maild_rows_claim(&rows, id, &c);
    assert_int_equal(maild_rows_again(&rows, &c, 20000, 450, "4.2.1"), 1);
    assert_true(is("state = 'FAILED' AND ended_at IS NOT NULL"));
}

static void what_is_of_no_use_expires(void **state)
{
    unsigned char due[MAILD_PAGE][16];
    struct maild_claim c;

    (void)state;
    assert_int_equal(maild_rows_expire(db), 0);
    shop_db_do("UPDATE mails SET expires_at = UTC_TIMESTAMP(3)");
    assert_int_equal(maild_rows_due(&rows, due), 0);
    assert_int_equal(maild_rows_claim(&rows, id, &c), 0);
    assert_int_equal(maild_rows_expire(db), 1);
    assert_true(is("state = 'EXPIRED' AND ended_at IS NOT NULL"));
}

/* A claim under way is not taken away by that. */
static void nothing_expires_under_a_claim(void **state)
{
    struct maild_claim c;

    (void)state;
    maild_rows_claim(&rows, id, &c);
    shop_db_do("UPDATE mails SET expires_at = UTC_TIMESTAMP(3)");
    assert_int_equal(maild_rows_expire(db), 0);
    assert_int_equal(maild_rows_end(&rows, &c, "SENT", 250, ""), 1);
}

static void what_expires_soon_comes_first(void **state)
{
    unsigned char due[MAILD_PAGE][16], urgent[16];

    (void)state;
    for (int i = 0; i < 40; i++)
        queue(0);
    queue(600);
    memcpy(urgent, id, 16);
    queue(3600);
    assert_int_equal(maild_rows_due(&rows, due), MAILD_PAGE);
    assert_memory_equal(due[0], urgent, 16);
    assert_memory_equal(due[1], id, 16);
}

/* Somebody waits for it, however many are told of an opening meanwhile. */
static void a_code_is_not_held_up(void **state)
{
    unsigned char due[MAILD_PAGE][16], code[16];

    (void)state;
    for (int i = 0; i < 40; i++)
        queue(600);
    queue(1800);
    memcpy(code, id, 16);
    shop_db_do("UPDATE mails SET kind = 'verify', user_id = NULL,"
               " verification_id = id ORDER BY id DESC LIMIT 1");
    assert_int_equal(maild_rows_due(&rows, due), MAILD_PAGE);
    assert_memory_equal(due[0], code, 16);
}

static void the_queue_is_counted(void **state)
{
    int64_t count, age;

    (void)state;
    shop_db_do("UPDATE mails SET created_at = UTC_TIMESTAMP(3) - INTERVAL 90"
               " SECOND");
    queue(0);
    assert_int_equal(maild_rows_queue(db, &count, &age), 0);
    assert_int_equal(count, 2);
    assert_in_range(age, 89000, 100000);
    shop_db_do("DELETE FROM mails");
    assert_int_equal(maild_rows_queue(db, &count, &age), 0);
    assert_int_equal(count, 0);
    assert_int_equal(age, 0);
}

static void an_operator_sends_again(void **state)
{
    struct maild_claim c;

    (void)state;
    shop_db_do("DELETE FROM outbox");
    maild_rows_claim(&rows, id, &c);
    assert_int_equal(speedy_mail_again(ctl_db, id), 0);
    maild_rows_end(&rows, &c, "FAILED", 550, "5.1.1");
    shop_db_do("UPDATE mails SET attempts = 20, expires_at ="
               " UTC_TIMESTAMP(3) - INTERVAL 1 DAY");
    assert_int_equal(speedy_mail_again(ctl_db, id), 1);
    assert_true(is("state = 'QUEUED' AND attempts = 0 AND ended_at IS NULL AND"
                   " expires_at > UTC_TIMESTAMP(3) + INTERVAL 59 MINUTE"));
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM outbox WHERE topic ="
                                    " 'speedy.mail'"),
                     1);
    assert_int_equal(maild_rows_claim(&rows, id, &c), 1);
    maild_rows_end(&rows, &c, "SENT", 250, "");
    assert_int_equal(speedy_mail_again(ctl_db, id), 0);
    memset(id, 0xee, sizeof(id));
    assert_int_equal(speedy_mail_again(ctl_db, id), 0);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup(f, setup)
    const struct CMUnitTest tests[] = {
        CASE(one_of_two_gets_it),
        CASE(a_claim_ends_and_the_zombie_is_told),
        CASE(an_old_claim_of_the_same_owner_is_told_apart),
        CASE(a_retry_waits),
        CASE(what_is_put_back_was_never_tried),
        CASE(no_retry_beyond_its_use),
        CASE(what_is_of_no_use_expires),
        CASE(nothing_expires_under_a_claim),
        CASE(what_expires_soon_comes_first),
        CASE(a_code_is_not_held_up),
        CASE(the_queue_is_counted),
        CASE(an_operator_sends_again),
    };

    return cmocka_run_group_tests_name("maild claim", tests, group_setup,
                                       group_teardown);
}
