/*
 * The auditor: on a true shop every line is ok; each thing that is broken is
 * told by the line of its invariant.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../common/servers.h"
#include "../common/shop_db.h"
#include "audit_rig.h"
#include "run.h"

static int setup(void **state)
{
    (void)state;
    rig_audit_good();
    return 0;
}

static void expect_ok(void)
{
    for (size_t i = 0; i < audit_check_count; i++) {
        const struct audit_line *l = rig_audit_line(audit_checks[i].name);

        if (l->broken != 0)
            fail_msg("%s: %s", audit_checks[i].name, l->examples.data);
    }
}

/* The line is broken, and says so in these words. */
static void expect(const char *name, const char *words)
{
    const struct audit_line *l;

    rig_audit_run(0);
    l = rig_audit_line(name);
    if (l->broken == 0)
        fail_msg("%s says ok: %s", name, l->figures.data);
    if (strstr(l->examples.data, words) == NULL)
        fail_msg("%s does not say `%s`: %s", name, words, l->examples.data);
}

#define SQL(...) assert_int_equal(shop_db_do(__VA_ARGS__), 0)

static void all_true(void **state)
{
    (void)state;
    rig_audit_run(5000);
    expect_ok();
    assert_true(rig_audit.quiescent);
    assert_non_null(strstr(rig_audit_line("I1")->figures.data,
                           "total=15 held=1 sold=2 withheld=1 orders=5"));
    assert_non_null(strstr(rig_audit_line("I6")->figures.data,
                           "records=7 orders=5 markers=1"));
    assert_non_null(
        strstr(rig_audit_line("I9")->figures.data, "entries=3 orders=3"));
    assert_non_null(
        strstr(rig_audit_line("I5")->figures.data, "answers=3 keys=2 202=1"));
    assert_non_null(strstr(rig_audit_line("SUM")->figures.data,
                           "lost=0 oversold=0 undersold=0 kept=4 left=11"));
    rig_client_log(NULL);
    rig_audit_run(0);
    assert_true(rig_audit_line("I5")->skipped);
    expect_ok();
}

static void command(void **state)
{
    (void)state;
    rig_client_log(NULL);
    assert_int_equal(run("audit", "--json", NULL), 0);
    assert_non_null(strstr(run_out, "\"ok\":true"));
    SQL("UPDATE sale_variants SET held = 0 WHERE variant = 'a'");
    assert_int_equal(run("audit", NULL), 1);
    assert_non_null(strstr(run_out, "I1  BROKEN"));
    assert_non_null(strstr(run_out, "held 0, its orders hold 1"));
}

static void q(void **state)
{
    (void)state;
    rig_redis("HSET", "speedy:{s1}:pend", "%1", "1", NULL);
    expect("Q", "pend of s1 1");
    rig_audit_good();
    SQL("UPDATE kafka_offsets SET next_offset = 4 WHERE part = 0");
    expect("Q", "Kafka lag of speedy.orders 1");
    rig_audit_good();
    SQL("INSERT INTO release_outbox (sale_id, order_id, target, epoch) VALUES "
        "('s1', " RIG_ID(3) ", 0, 1)");
    expect("Q", "release_outbox 1");
    rig_audit_good();
    SQL("INSERT INTO stock_adjustments (sale_id, variant, kind, units, epoch, "
        "actor, reason) VALUES ('s1', 'a', 'raise', 1, 1, 'x', '')");
    expect("Q", "stock_adjustments 1");
    rig_audit_good();
    rig_redis("DEL", "speedy:{s1}:gate", NULL);
    expect("Q", "no gate of s1");
}

static void i1(void **state)
{
    (void)state;
    SQL("UPDATE sale_variants SET held = 2 WHERE variant = 'a'");
    expect("I1", "held 2, its orders hold 1");
    rig_audit_good();
    SQL("UPDATE sale_variants SET sold = 1 WHERE variant = 'a'");
    expect("I1", "sold 1, its orders own 2");
    rig_audit_good();
    SQL("UPDATE sale_variants SET withheld = 0 WHERE variant = 'b'");
    expect("I1", "withheld 0, its orders withhold 1");
    rig_audit_good();
    SQL("UPDATE sale_variants SET total = 2 WHERE variant = 'a'");
    expect("I1", "exceed total 2");
    rig_audit_good();
    SQL("UPDATE sale_variants SET held = -1 WHERE variant = 'b'");
    expect("I1", "negative");
    rig_audit_good();
    SQL("UPDATE orders SET units_live = 1 WHERE id = " RIG_ID(3));
    expect("I1", "EXPIRED orders still have 1 live units");
}

static void i2(void **state)
{
    (void)state;
    SQL("UPDATE sales SET per_user_limit = 1");
    expect("I2", "user u2 has 2 units, limit 1");
    rig_audit_good();
    SQL("UPDATE orders SET user_id = 'u1', key_digest = (SELECT d FROM (SELECT "
        "key_digest AS d FROM orders WHERE id = " RIG_ID(
            1) ") x) WHERE id = " RIG_ID(3));
    expect("I2", "user u1 has 2 orders of 1 keys");
    rig_audit_good();
    SQL("UPDATE orders SET key_live = NULL WHERE id = " RIG_ID(1));
    expect("I2", "key_live does not fit");
}

static void i3(void **state)
{
    (void)state;
    SQL("DELETE FROM order_events WHERE order_id = " RIG_ID(
        2) " AND version = 2");
    expect("I3", "event 3 follows event 1");
    rig_audit_good();
    SQL("DELETE FROM order_events WHERE order_id = " RIG_ID(1));
    expect("I3", "has no event");
    rig_audit_good();
    SQL("UPDATE order_events SET actor = 'orderd' WHERE order_id = " RIG_ID(
        3) " AND version = 2");
    expect("I3", "no such move: PENDING_PAYMENT -> EXPIRED by orderd");
    rig_audit_good();
    SQL("UPDATE orders SET state = 'PAY_READY' WHERE id = " RIG_ID(1));
    expect("I3", "its last event says PENDING_PAYMENT");
    rig_audit_good();
    SQL("UPDATE orders SET version = 7 WHERE id = " RIG_ID(1));
    expect("I3", "has version 7, its last event 1");
    rig_audit_good();
    SQL("INSERT INTO order_events VALUES (0x01, 1, '', 'PENDING_PAYMENT', "
        "'orderd', 'x', NOW(3))");
    expect("I3", "which does not exist");
}

static void answer(int64_t time, const char *user, const char *key, int status,
                   const char *code, const char *order)
{
    char text[512];

    snprintf(text, sizeof(text),
             "{\"time\":%lld,\"user\":\"%s\",\"key\":\"%s\",\"status\":%d,"
             "\"code\":\"%s\",\"order_id\":\"%s\",\"attempt\":1}\n",
             (long long)time, user, key, status, code, order);
    rig_client_log(text);
}

static void i4(void **state)
{
    (void)state;
    SQL("UPDATE orders SET reject_reason = 'OUT_OF_STOCK' WHERE id = " RIG_ID(
        5));
    expect("I4", "was REJECTED: OUT_OF_STOCK");
    rig_audit_good();
    answer(rig_reserved_at + 9, "u5", "k5", 202, "", RIG_TEXT(5));
    expect("I4", "a client was sent 202 for it, it is REJECTED");
    assert_int_equal(rig_audit.lost, 1);
    rig_audit_good();
    answer(rig_reserved_at + 9, "u1", "k1", 409, "sold_out", "");
    expect("I4", "sold_out or limit_reached after it was reserved");
    answer(rig_reserved_at + 9, "u3", "k3", 409, "limit_reached", "");
    expect("I4", "sold_out or limit_reached after it was reserved");
    /* told before it was reserved: a later purchase with the same key */
    answer(rig_reserved_at - 9, "u1", "k1", 409, "sold_out", "");
    rig_audit_run(0);
    expect_ok();
}

static void i5(void **state)
{
    char text[1024];

    (void)state;
    answer(rig_reserved_at + 9, "u7", "k7", 202, "", RIG_TEXT(7));
    expect("I5", "order " RIG_TEXT(7) ": a client was sent 202");
    assert_int_equal(rig_audit.lost, 1);
    assert_true(rig_audit_line("SUM")->broken > 0);
    /* the right order under another key is lost for its client */
    answer(rig_reserved_at + 9, "u1", "other", 202, "", RIG_TEXT(1));
    expect("I5", "no live order of that key");
    snprintf(text, sizeof(text),
             "{\"time\":1,\"user\":\"u1\",\"key\":\"k1\",\"status\":202,"
             "\"code\":\"\",\"order_id\":\"" RIG_TEXT(
                 1) "\",\"attempt\":1}\n"
                    "{\"time\":2,\"user\":\"u1\",\"key\":\"k1\",\"status\":202,"
                    "\"code\":\"\",\"order_id\":\"" RIG_TEXT(
                        2) "\",\"attempt\":2}\n");
    rig_client_log(text);
    expect("I5", "one key was answered 202 with two orders");
    answer(rig_reserved_at, "u1", "k1", 202, "", "");
    expect("I5", "1 answers 202 without an order id");
    rig_client_log("not json\n");
    expect("I5", "1 lines of the client log cannot be read");
    /* half a line at the end is a client that was killed */
    rig_client_log("{\"time\":1,\"us");
    rig_audit_run(0);
    expect_ok();
}

static void i6(void **state)
{
    (void)state;
    SQL("DELETE FROM orders WHERE id = " RIG_ID(5));
    SQL("DELETE FROM order_events WHERE order_id = " RIG_ID(5));
    expect("I6", "record 0@4: order " RIG_TEXT(5) " is not in MySQL");
    rig_audit_good();
    SQL("DELETE FROM dead_letters");
    expect("I6", "record 1@0: cannot be read, and is no dead letter");
    rig_audit_good();
    SQL("UPDATE dead_letters SET resolved_at = NULL");
    expect("I6", "is unresolved: not JSON");
}

static void i7(void **state)
{
    (void)state;
    SQL("UPDATE kafka_offsets SET next_offset = 6 WHERE part = 0");
    expect("I7", "next 6 is beyond the end 5");
    rig_audit_good();
    SQL("INSERT INTO kafka_offsets (topic, part, next_offset, token) VALUES "
        "('speedy.orders', 9, 0, 1)");
    expect("I7", "partition 9 is not in the topic");
}

static void i8(void **state)
{
    (void)state;
    rig_redis("HINCRBY", "speedy:{s1}:stock", "a", "1", NULL);
    expect("I8", "s1/a: stock 8 + ledger 3, total 10");
    assert_non_null(
        strstr(rig_audit_line("SUM")->examples.data, "it can be oversold"));
    rig_audit_good();
    rig_redis("HSET", "speedy:{s1}:stock", "a", "-1", NULL);
    expect("I8", "s1/a: stock is -1");
    rig_audit_good();
    rig_redis("HSET", "speedy:{s1}:pend", "%9", "1", NULL);
    expect("I8", "1 entries of pend are not in the ledger");
    rig_audit_good();
    rig_redis("HDEL", "speedy:{s1}:user", "u2", NULL);
    expect("I8", "1 users whose units differ");
    rig_audit_good();
    rig_redis("HDEL", "speedy:{s1}:stock", "b", NULL);
    expect("I8", "s1/b: in MySQL, but not in Redis");
    rig_audit_good();
    rig_redis("HSET", "speedy:{s1}:stock", "c", "1", NULL);
    expect("I8", "s1/c: in Redis, but not in MySQL");
    rig_audit_good();
    rig_redis("FLUSHALL", NULL);
    expect("I8", "Redis has no whole ledger (fenced)");
}

static void i9(void **state)
{
    (void)state;
    rig_redis("HDEL", "speedy:{s1}:resv", "%1", NULL);
    expect("I9", "order " RIG_TEXT(1) " has 1 units, the ledger none");
    rig_audit_good();
    SQL("UPDATE orders SET units_live = 1 WHERE id = " RIG_ID(2));
    expect("I9", "order " RIG_TEXT(2) " has 1 units, the ledger 2");
    rig_audit_good();
    SQL("UPDATE orders SET units_withheld = 0 WHERE id = " RIG_ID(4));
    expect("I9", "the ledger keeps units of order " RIG_TEXT(4));
    rig_audit_good();
    SQL("DELETE FROM orders WHERE id = " RIG_ID(1));
    expect("I9", "the ledger has order " RIG_TEXT(1) ", MySQL has not");
    rig_audit_good();
    SQL("UPDATE orders SET user_id = 'u8' WHERE id = " RIG_ID(1));
    expect("I9", "is u8's of a, in the ledger u1's of a");
}

static void i10(void **state)
{
    (void)state;
    SQL("UPDATE sale_variants SET epoch = 2 WHERE variant = 'b'");
    expect("I10", "s1/b: epoch 2 in MySQL, 1 in Redis");
    rig_audit_good();
    rig_redis("HSET", "speedy:{s1}:gate", "epoch", "3", NULL);
    expect("I10", "gate of epoch 3, ledger of 1");
    rig_audit_good();
    rig_redis("DEL", "speedy:{s1}:gate", NULL);
    expect("I10", "its gate does not stand");
}

static void i14(void **state)
{
    (void)state;
    SQL("UPDATE orders SET pay_by = UTC_TIMESTAMP(3) - INTERVAL 10 SECOND "
        "WHERE id = " RIG_ID(1));
    expect("I14", "order " RIG_TEXT(1) " is PENDING_PAYMENT, 1");
    SQL("UPDATE orders SET pay_by = UTC_TIMESTAMP(3) - INTERVAL 1 SECOND "
        "WHERE id = " RIG_ID(1));
    rig_audit_run(0);
    assert_int_equal(rig_audit_line("I14")->broken, 0);
}

static void i17(void **state)
{
    (void)state;
    SQL("UPDATE orders SET seq = 1 WHERE id = " RIG_ID(2));
    expect("I17", "seq 1 is shared by " RIG_TEXT(1) " and " RIG_TEXT(2));
    rig_audit_good();
    SQL("UPDATE orders SET epoch = 2 WHERE id = " RIG_ID(1));
    expect("I17", "seq 1 of epoch 2, but epoch 1 went up to 4");
}

static void i18(void **state)
{
    (void)state;
    /* the session's clock is the statement's: a skewed server, in effect */
    SQL("SET GLOBAL init_connect = 'SET timestamp = "
        "UNIX_TIMESTAMP() + 3600'");
    speedy_db_drop(rig_audit.c->db);
    expect("I18", "MySQL's clock differs");
    SQL("SET GLOBAL init_connect = ''");
    speedy_db_drop(rig_audit.c->db);
}

static void sums(void **state)
{
    (void)state;
    SQL("UPDATE sale_variants SET total = 12 WHERE variant = 'a'");
    expect("SUM", "s1/a: undersold: 7 left + 3 kept of 12");
    assert_int_equal(rig_audit.units.undersold, 2);
    rig_audit_good();
    SQL("UPDATE sale_variants SET total = 2 WHERE variant = 'a'");
    expect("SUM", "s1/a: oversold: orders keep 3 of 2 units");
    assert_int_equal(rig_audit.units.oversold, 1);
}

/* A store that does not answer is no "ok". Last: Redis is gone after it. */
static void store_away(void **state)
{
    (void)state;
    servers_redis_kill();
    expect("I8", "could not be judged");
    assert_true(rig_audit_line("Q")->broken > 0);
    assert_true(rig_audit_line("I18")->broken > 0);
    assert_int_equal(servers_redis_start(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(all_true, setup),
        cmocka_unit_test_setup(command, setup),
        cmocka_unit_test_setup(q, setup),
        cmocka_unit_test_setup(i1, setup),
        cmocka_unit_test_setup(i2, setup),
        cmocka_unit_test_setup(i3, setup),
        cmocka_unit_test_setup(i4, setup),
        cmocka_unit_test_setup(i5, setup),
        cmocka_unit_test_setup(i6, setup),
        cmocka_unit_test_setup(i7, setup),
        cmocka_unit_test_setup(i8, setup),
        cmocka_unit_test_setup(i9, setup),
        cmocka_unit_test_setup(i10, setup),
        cmocka_unit_test_setup(i14, setup),
        cmocka_unit_test_setup(i17, setup),
        cmocka_unit_test_setup(i18, setup),
        cmocka_unit_test_setup(sums, setup),
        cmocka_unit_test_setup(store_away, setup),
    };

    return cmocka_run_group_tests_name("speedyctl audit", tests,
                                       rig_audit_start, rig_audit_stop);
}
