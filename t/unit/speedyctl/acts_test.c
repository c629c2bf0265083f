/*
 * Acts of an operator against a private MariaDB, as account `speedyctl` with
 * its grants: each changes what it should, once, and leaves its audit row.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../../../daemons/common/log.h"
#include "../../../daemons/speedyctl/sale.h"
#include "../common/capture.h"
#include "../common/servers.h"
#include "../common/shop_db.h"
#include "run.h"

static int group_setup(void **state)
{
    rd_kafka_mock_cluster_t *cluster;

    (void)state;
    speedy_log_init("test", 0);
    speedy_log_level_set("error");
    run_settings();
    if (shop_db_start() != 0 || servers_redis_start() != 0)
        return -1;
    cluster = servers_kafka_start();
    if (cluster == NULL)
        return -1;
    return rd_kafka_mock_topic_create(cluster, "speedy.orders", 1, 1);
}

static int group_teardown(void **state)
{
    (void)state;
    servers_stop();
    return 0;
}

static void create(void **state)
{
    (void)state;
    capture_start();
    assert_int_equal(run("sale", "create", "--id", "s1", "--product", "shoe",
                         "--stock", "270=10,280=5", "--wait", "0", NULL),
                     CTL_REFUSED);
    assert_non_null(strstr(capture_stop(), "there is no product shoe"));
    assert_int_equal(run("product", "add", "--id", "shoe", "--name",
                         "Shoe \"1\"", "--price", "129000", "--actor", "kim",
                         NULL),
                     CTL_DONE);
    assert_int_equal(run("product", "show", "shoe", "--json", NULL), CTL_DONE);
    assert_non_null(strstr(run_out, "\"name\":\"Shoe \\\"1\\\"\""));
    assert_int_equal(run("sale", "create", "--id", "s1", "--product", "shoe",
                         "--stock", "270=10,280=5", "--wait", "0", NULL),
                     CTL_DONE);
    assert_int_equal(servers_mysql_number("SELECT SUM(total) FROM "
                                          "sale_variants WHERE price = 129000"),
                     15);
    capture_start();
    assert_int_equal(run("product", "add", "--id", "shoe", "--name", "x",
                         "--price", "1", NULL),
                     CTL_REFUSED);
    assert_int_equal(run("sale", "create", "--id", "s1", "--product", "shoe",
                         "--stock", "1", "--wait", "0", NULL),
                     CTL_REFUSED);
    /* no stockd here: the gate does not come, and that is told */
    assert_int_equal(run("sale", "create", "--id", "s0", "--product", "shoe",
                         "--stock", "1", "--wait", "100ms", NULL),
                     CTL_REFUSED);
    assert_non_null(strstr(capture_stop(), "its gate is fenced after 100ms"));
    assert_int_equal(servers_mysql_number("SELECT COUNT(*) FROM audit_log "
                                          "WHERE act = 'product.add' AND actor "
                                          "= 'kim' AND object = 'shoe'"),
                     1);
}

static void moves(void **state)
{
    (void)state;
    assert_int_equal(run("sale", "pause", "s1", "--reason", "drill", NULL), 0);
    capture_start();
    assert_int_equal(run("sale", "pause", "s1", NULL), CTL_REFUSED);
    assert_int_equal(run("sale", "pause", "nosuch", NULL), CTL_REFUSED);
    capture_stop();
    assert_int_equal(run("sale", "show", "s1", NULL), 0);
    assert_non_null(strstr(run_out, "paused"));
    assert_int_equal(run("sale", "resume", "s1", NULL), 0);
    assert_int_equal(servers_mysql_number("SELECT version FROM sales WHERE id "
                                          "= 's1'"),
                     3);
    assert_int_equal(servers_mysql_number("SELECT COUNT(*) FROM audit_log "
                                          "WHERE object = 's1' AND reason = "
                                          "'drill'"),
                     1);
    assert_int_equal(run("sale", "stop-all", "--json", NULL), 0);
    assert_string_equal(run_out, "{\"paused\":2}\n");
    assert_int_equal(run("sale", "resume", "s1", NULL), 0);
    assert_int_equal(run("sale", "close", "s0", NULL), 0);
    capture_start();
    assert_int_equal(run("sale", "resume", "s0", NULL), CTL_REFUSED);
    assert_non_null(strstr(capture_stop(), "s0 is closed"));
}

static void times(void **state)
{
    (void)state;
    assert_int_equal(run("sale", "create", "--id", "s2", "--product", "shoe",
                         "--stock", "1", "--wait", "0", "--opens-at",
                         "2040-01-01T10:00:00+09:00", "--closes-at",
                         "2040-01-01T11:00:00+09:00", NULL),
                     0);
    assert_int_equal(
        run("sale", "postpone", "s2", "2040-01-01T10:30:00+09:00", NULL), 0);
    capture_start();
    assert_int_equal(
        run("sale", "postpone", "s2", "2040-01-01T11:30:00+09:00", NULL),
        CTL_REFUSED);
    assert_int_equal(
        run("sale", "postpone", "s1", "2040-01-01T10:30:00+09:00", NULL),
        CTL_REFUSED);
    assert_int_equal(
        run("sale", "extend", "s2", "2040-01-01T10:45:00+09:00", NULL),
        CTL_REFUSED);
    capture_stop();
    assert_int_equal(run("sale", "extend", "s2", "2040-01-02T00:00:00Z", NULL),
                     0);
    assert_int_equal(
        servers_mysql_number("SELECT COUNT(*) FROM sales WHERE id = 's2' AND "
                             "opens_at = '2040-01-01 01:30:00' AND closes_at = "
                             "'2040-01-02 00:00:00' AND version = 3"),
        1);
}

static void change(void **state)
{
    (void)state;
    assert_int_equal(run("sale", "create", "--id", "s3", "--product", "shoe",
                         "--stock", "a=5,b=5", "--wait", "0", "--opens-at",
                         "2040-01-01T10:00:00+09:00", NULL),
                     0);
    assert_int_equal(run("sale", "change", "s3", "--price", "b=7000", "--limit",
                         "3", "--closes-at", "2040-01-01T11:00:00+09:00",
                         "--reason", "typo", NULL),
                     0);
    assert_int_equal(servers_mysql_number("SELECT SUM(price) FROM sale_variants"
                                          " WHERE sale_id = 's3'"),
                     129000 + 7000);
    assert_int_equal(run("sale", "change", "s3", "--price", "9000",
                         "--closes-at", "never", NULL),
                     0);
    assert_int_equal(servers_mysql_number("SELECT COUNT(*) FROM sales WHERE id "
                                          "= 's3' AND closes_at IS NULL AND "
                                          "per_user_limit = 3 AND version = 3"),
                     1);
    assert_int_equal(servers_mysql_number("SELECT SUM(price) FROM sale_variants"
                                          " WHERE sale_id = 's3'"),
                     18000);
    assert_int_equal(run("sale", "notice", "s3", "Soon", NULL), 0);
    assert_int_equal(run("sale", "show", "s3", NULL), 0);
    assert_non_null(strstr(run_out, "notice    Soon"));
    capture_start();
    assert_int_equal(run("sale", "change", "s3", "--price", "0", NULL),
                     CTL_USAGE);
    assert_int_equal(run("sale", "change", "s3", "--price", "c=1", NULL),
                     CTL_REFUSED);
    assert_int_equal(run("sale", "change", "s3", "--limit", "11", NULL),
                     CTL_REFUSED);
    assert_int_equal(run("sale", "change", "s1", "--limit", "2", NULL),
                     CTL_REFUSED);
    assert_non_null(strstr(capture_stop(), "sale s1 opens at"));
    assert_int_equal(
        run("product", "change", "shoe", "--price", "5000", "--hide", NULL), 0);
    assert_int_equal(servers_mysql_number("SELECT COUNT(*) FROM products WHERE "
                                          "id = 'shoe' AND state = 'HIDDEN' AND"
                                          " price = 5000 AND version = 2"),
                     1);
    assert_int_equal(run("product", "change", "shoe", "--show", NULL), 0);
}

/* stockd is not here: raises stay OPEN; its part is played by the test. */
static void stock(void **state)
{
    (void)state;
    capture_start();
    assert_int_equal(
        run("sale", "stock", "s1", "270", "+5", "--wait", "0", NULL),
        CTL_REFUSED);
    assert_non_null(strstr(capture_stop(), "stockd has not finished it yet"));
    assert_int_equal(servers_mysql_number("SELECT total FROM sale_variants "
                                          "WHERE sale_id = 's1' AND variant = "
                                          "'270'"),
                     15);
    assert_int_equal(servers_mysql_number("SELECT COUNT(*) FROM "
                                          "stock_adjustments WHERE kind = "
                                          "'raise' AND units = 5 AND epoch = 1 "
                                          "AND state = 'OPEN'"),
                     1);
    capture_start();
    assert_int_equal(
        run("sale", "stock", "s1", "270", "-3", "--wait", "0", NULL),
        CTL_REFUSED);
    assert_int_equal(run("sale", "stock", "s1", "-3", NULL), CTL_USAGE);
    assert_int_equal(run("sale", "stock", "s1", "999", "-3", NULL),
                     CTL_REFUSED);
    capture_stop();
    /* a lowering is an intent: the total stands */
    assert_int_equal(servers_mysql_number("SELECT total FROM sale_variants "
                                          "WHERE sale_id = 's1' AND variant = "
                                          "'270'"),
                     15);
    assert_int_equal(servers_mysql_number("SELECT units FROM "
                                          "stock_adjustments WHERE kind = "
                                          "'lower'"),
                     3);
}

static void order(int n, const char *order_state, int live, int withheld)
{
    assert_int_equal(
        shop_db_do("INSERT INTO orders (id, sale_id, variant, user_id, "
                   "quantity, unit_price, state, units_live, units_withheld, "
                   "epoch, seq, key_digest, key_live, body_digest, "
                   "reserved_at, pay_by) VALUES (UNHEX(LPAD(HEX(%d), 32, '0')),"
                   " 's1', '270', 'u%d', %d, 1000, '%s', %d, %d, 1, %d, "
                   "UNHEX(MD5(%d)), UNHEX(MD5(%d)), UNHEX(MD5('b')), "
                   "UTC_TIMESTAMP(3), '2040-01-01')",
                   n, n, live + withheld, order_state, live, withheld, n, n, n),
        0);
}

static void holds_and_withheld(void **state)
{
    (void)state;
    order(1, "PENDING_PAYMENT", 1, 0);
    order(2, "PAID", 1, 0);
    order(3, "CANCELLED", 0, 2);
    order(4, "CANCELLED", 0, 3);
    assert_int_equal(shop_db_do("UPDATE sale_variants SET held = 1, sold = 1, "
                                "withheld = 5 WHERE sale_id = 's1' AND variant "
                                "= '270'"),
                     0);
    assert_int_equal(run("sale", "extend-holds", "s1", "10m", "--json", NULL),
                     0);
    assert_string_equal(run_out,
                        "{\"sale\":\"s1\",\"orders\":1,\"ms\":600000}\n");
    assert_int_equal(servers_mysql_number("SELECT COUNT(*) FROM orders WHERE "
                                          "pay_by = '2040-01-01 00:10:00'"),
                     1);
    assert_int_equal(run("sale", "release", "s1", "--units", "4", NULL), 0);
    assert_non_null(strstr(run_out, "4 withheld units"));
    assert_int_equal(servers_mysql_number("SELECT withheld FROM sale_variants "
                                          "WHERE sale_id = 's1' AND variant = "
                                          "'270'"),
                     1);
    assert_int_equal(servers_mysql_number("SELECT COUNT(*) FROM release_outbox "
                                          "WHERE sale_id = 's1' AND epoch = 1"),
                     2);
    assert_int_equal(servers_mysql_number("SELECT SUM(target) FROM "
                                          "release_outbox"),
                     1);
    assert_int_equal(run("sale", "release", "s1", NULL), 0);
    assert_int_equal(run("sale", "release", "s1", "--json", NULL), 0);
    assert_string_equal(run_out, "{\"sale\":\"s1\",\"released\":0}\n");
    assert_int_equal(run("sale", "report", "s1", "--json", NULL), 0);
    assert_non_null(strstr(run_out, "\"orders_by_state\":{\"CANCELLED\":2,"
                                    "\"PAID\":1,\"PENDING_PAYMENT\":1}"));
    assert_int_equal(
        run("order", "list", "--sale", "s1", "--state", "PAID", NULL), 0);
    assert_int_equal(strlen(run_out) > 36, 1);
    assert_int_equal(
        run("order", "show", "00000000-0000-0000-0000-000000000003", NULL), 0);
    assert_non_null(strstr(run_out, "release"));
}

static void dead_letters(void **state)
{
    (void)state;
    assert_int_equal(shop_db_do("INSERT INTO dead_letters (id, topic, part, "
                                "offset_at, record_key, record_value, error) "
                                "VALUES (1, 'speedy.orders', 0, 7, 'key', "
                                "'gar\\nbage', 'not JSON'), (2, "
                                "'speedy.orders', 0, 8, 'key', 'x', "
                                "'not JSON')"),
                     0);
    assert_int_equal(run("dead-letter", "list", NULL), 0);
    assert_non_null(strstr(run_out, "speedy.orders/0@7"));
    assert_int_equal(run("dead-letter", "show", "1", NULL), 0);
    assert_non_null(strstr(run_out, "gar\\x0abage"));
    assert_int_equal(run("dead-letter", "retry", "1", NULL), 0);
    assert_int_equal(
        run("dead-letter", "dismiss", "2", "--reason", "a test", NULL), 0);
    capture_start();
    assert_int_equal(run("dead-letter", "retry", "1", NULL), CTL_REFUSED);
    assert_int_equal(run("dead-letter", "retry", "9", NULL), CTL_REFUSED);
    capture_stop();
    assert_int_equal(run("dead-letter", "list", "--json", NULL), 0);
    assert_string_equal(run_out, "{\"data\":[]}\n");
    assert_int_equal(servers_mysql_number("SELECT COUNT(*) FROM dead_letters "
                                          "WHERE resolution IN ('a test', "
                                          "'produced again')"),
                     2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(create),       cmocka_unit_test(moves),
        cmocka_unit_test(times),        cmocka_unit_test(change),
        cmocka_unit_test(stock),        cmocka_unit_test(holds_and_withheld),
        cmocka_unit_test(dead_letters),
    };

    return cmocka_run_group_tests_name("speedyctl acts", tests, group_setup,
                                       group_teardown);
}
