/* The outbox on MariaDB, as account userd, and librdkafka's mock cluster. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../daemons/common/json.h"
#include "../../../daemons/common/log.h"
#include "../../../daemons/common/loop.h"
#include "../../../daemons/common/metrics.h"
#include "../../../daemons/common/outbox.h"
#include "capture.h"
#include "servers.h"
#include "shop_db.h"

static rd_kafka_mock_cluster_t *cluster;
static struct speedy_db *db;
static struct speedy_outbox_relay relay;
static char topic[32];

static int start(void **state)
{
    (void)state;
    cluster = servers_kafka_start();
    return cluster == NULL || shop_db_start() != 0 ? -1 : 0;
}

static int stop(void **state)
{
    (void)state;
    servers_stop();
    return 0;
}

static struct speedy_outbox_relay relay_new(void)
{
    return (struct speedy_outbox_relay){.db = speedy_db_new("userd"),
                                        .producer =
                                            speedy_producer_new("unit", 1000)};
}

static void relay_free(struct speedy_outbox_relay *o)
{
    speedy_db_free(o->db);
    speedy_producer_free(o->producer);
}

static int fresh(void **state)
{
    static int number;

    (void)state;
    snprintf(topic, sizeof(topic), "t%d", ++number);
    rd_kafka_mock_topic_create(cluster, topic, 1, 1);
    if (shop_db_do("DELETE FROM outbox") != 0)
        return -1;
    db = speedy_db_new("userd");
    relay = relay_new();
    return db == NULL || relay.db == NULL || relay.producer == NULL ? -1 : 0;
}

static int over(void **state)
{
    (void)state;
    rd_kafka_mock_broker_set_up(cluster, 1);
    speedy_db_free(db);
    relay_free(&relay);
    return 0;
}

static void add(const char *to, const char *key, const char *value)
{
    assert_int_equal(
        speedy_outbox_add(db, to, key, strlen(key), value, strlen(value)),
        SPEEDY_DB_OK);
}

static void add_numbers(int first, int n)
{
    assert_int_equal(speedy_db_begin(db), SPEEDY_DB_OK);
    for (int i = first; i < first + n; i++) {
        char text[16];

        snprintf(text, sizeof(text), "%d", i);
        add(topic, text, text);
    }
    assert_int_equal(speedy_db_commit(db), SPEEDY_DB_OK);
}

static long rows(void)
{
    return shop_db_number("SELECT COUNT(*) FROM outbox");
}

/* How often each number 0 … n - 1 is in the topic; the sum. */
static int count_numbers(int n, int *times)
{
    struct speedy_consumer *c = speedy_consumer_new("unit");
    rd_kafka_message_t *m[64];
    rd_kafka_resp_err_t error;
    int64_t low, high;
    int64_t end = speedy_now_boot() + 20000;
    int seen = 0;

    memset(times, 0, (size_t)n * sizeof(*times));
    assert_int_equal(speedy_consumer_watermarks(c, topic, 0, 5000, &low, &high),
                     0);
    assert_int_equal(speedy_consumer_start(c, topic, 0, 0), 0);
    while (seen < high) {
        long got = speedy_consumer_read(c, topic, 0, m, 64, 200, &error);

        assert_true(got >= 0 && speedy_now_boot() < end);
        for (long i = 0; i < got; i++, seen++) {
            char text[16] = "";
            int number;

            assert_true(m[i]->len < sizeof(text));
            memcpy(text, m[i]->payload, m[i]->len);
            number = atoi(text);
            assert_in_range(number, 0, n - 1);
            assert_int_equal(m[i]->key_len, m[i]->len);
            times[number]++;
            rd_kafka_message_destroy(m[i]);
        }
    }
    speedy_consumer_free(c);
    return seen;
}

/* Turns until the table is empty. */
static bool empty(void *o)
{
    speedy_outbox_turn(o);
    return rows() == 0;
}

/* Of the metrics page; -1 when it is not there. */
static double metric(const char *name)
{
    struct speedy_buf out = {0};
    char line[100];
    double value = -1;
    const char *at;

    snprintf(line, sizeof(line), "\n%s ", name);
    speedy_metrics_write(&out);
    at = strstr(out.data, line);
    if (at != NULL)
        value = atof(at + strlen(line));
    speedy_buf_free(&out);
    return value;
}

static void a_record_goes_out_with_its_cause(void **state)
{
    static const unsigned char key[] = {0, 1, 0xff, 0};
    struct speedy_consumer *c = speedy_consumer_new("unit");
    double before = metric("speedy_outbox_sent_total");
    rd_kafka_message_t *m[4];
    rd_kafka_resp_err_t error;
    char big[SPEEDY_OUTBOX_VALUE];

    (void)state;
    memset(big, 'v', sizeof(big));
    big[7] = '\0';
    /* not the one whose cause was undone */
    assert_int_equal(speedy_db_begin(db), SPEEDY_DB_OK);
    add(topic, "x", "undone");
    speedy_db_rollback(db);
    assert_int_equal(speedy_outbox_turn(&relay), 250);
    assert_int_equal(speedy_db_begin(db), SPEEDY_DB_OK);
    assert_int_equal(
        speedy_outbox_add(db, topic, key, sizeof(key), big, sizeof(big)),
        SPEEDY_DB_OK);
    /* nor one whose cause is not certain yet */
    speedy_outbox_turn(&relay);
    assert_int_equal(speedy_db_commit(db), SPEEDY_DB_OK);
    assert_int_equal(rows(), 1);
    assert_true(servers_wait(empty, &relay, 10000));
    assert_int_equal(speedy_consumer_start(c, topic, 0, 0), 0);
    assert_int_equal(speedy_consumer_read(c, topic, 0, m, 1, 10000, &error), 1);
    assert_int_equal(m[0]->key_len, sizeof(key));
    assert_memory_equal(m[0]->key, key, sizeof(key));
    assert_int_equal(m[0]->len, sizeof(big));
    assert_memory_equal(m[0]->payload, big, sizeof(big));
    rd_kafka_message_destroy(m[0]);
    speedy_consumer_free(c);
    assert_int_equal(metric("speedy_outbox_sent_total"),
                     (before > 0 ? before : 0) + 1);
}

static void rows_stay_while_the_broker_is_away(void **state)
{
    int times[10];
    const char *said;

    (void)state;
    add_numbers(0, 10);
    shop_db_do("UPDATE outbox SET created_at = created_at - INTERVAL 90 SECOND"
               " ORDER BY id LIMIT 1");
    rd_kafka_mock_broker_set_down(cluster, 1);
    capture_start();
    assert_in_range(speedy_outbox_turn(&relay), 500, 1000);
    assert_in_range(speedy_outbox_turn(&relay), 500, 1000);
    said = strstr(capture_stop(), "outbox records wait for Kafka");
    assert_non_null(said);
    assert_null(strstr(said + 1, "outbox records wait for Kafka"));
    assert_int_equal(rows(), 10);
    assert_int_equal(metric("speedy_outbox_rows"), 10);
    assert_in_range(metric("speedy_outbox_age_seconds"), 90, 150);
    rd_kafka_mock_broker_set_up(cluster, 1);
    capture_start();
    assert_true(servers_wait(empty, &relay, 20000));
    assert_non_null(strstr(capture_stop(), "outbox records go out again"));
    count_numbers(10, times);
    for (int i = 0; i < 10; i++)
        assert_true(times[i] >= 1);
    relay.measured = 0;
    speedy_outbox_turn(&relay);
    assert_int_equal(metric("speedy_outbox_rows"), 0);
    assert_int_equal(metric("speedy_outbox_age_seconds"), 0);
}

/* Kafka has them, MySQL did not let them be deleted: sent once more. */
static void rows_that_cannot_be_deleted_are_sent_again(void **state)
{
    int times[5];

    (void)state;
    add_numbers(0, 5);
    assert_int_equal(shop_db_do("CREATE TRIGGER hold BEFORE DELETE ON outbox"
                                " FOR EACH ROW SIGNAL SQLSTATE '45000'"),
                     0);
    capture_start();
    assert_in_range(speedy_outbox_turn(&relay), 500, 1000);
    capture_stop();
    assert_int_equal(rows(), 5);
    assert_int_equal(shop_db_do("DROP TRIGGER hold"), 0);
    assert_true(servers_wait(empty, &relay, 10000));
    assert_int_equal(count_numbers(5, times), 10);
}

static void mysql_away_is_survived(void **state)
{
    int times[3];

    (void)state;
    add_numbers(0, 3);
    speedy_outbox_turn(&relay);
    add_numbers(0, 3);
    servers_mysql_kill();
    capture_start();
    assert_in_range(speedy_outbox_turn(&relay), 500, 1000);
    assert_int_equal(servers_mysql_start(), 0);
    assert_true(servers_wait(empty, &relay, 20000));
    capture_stop();
    assert_int_equal(count_numbers(3, times), 6);
}

/* A topic that no broker takes, its rows in front and more than a batch. */
static void bad_records_do_not_hold_up_the_others(void **state)
{
    char bad[40];
    bool gone = false;

    (void)state;
    snprintf(bad, sizeof(bad), "%s-bad", topic);
    rd_kafka_mock_topic_set_error(cluster, bad,
                                  RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    speedy_db_begin(db);
    for (int i = 0; i < 150; i++)
        add(bad, "k", "0");
    add(topic, "0", "0");
    speedy_db_commit(db);
    capture_start();
    for (int i = 0; i < 20 && !gone; i++) {
        speedy_outbox_turn(&relay);
        gone = shop_db_number("SELECT COUNT(*) FROM outbox WHERE topic = '%s'",
                              topic) == 0;
    }
    /* and what comes later */
    add(topic, "1", "1");
    for (int i = 0; i < 20 && gone; i++) {
        speedy_outbox_turn(&relay);
        if (shop_db_number("SELECT COUNT(*) FROM outbox WHERE topic = '%s'",
                           topic) == 0)
            break;
        gone = i < 19;
    }
    capture_stop();
    assert_true(gone);
    assert_int_equal(rows(), 150);
}

static void rows_of_another_relay_are_passed_over(void **state)
{
    int64_t before;
    int times[100];

    (void)state;
    add_numbers(0, 100);
    assert_int_equal(speedy_db_begin(db), SPEEDY_DB_OK);
    assert_int_equal(speedy_db_exec(db,
                                    "DELETE FROM outbox ORDER BY id LIMIT 64",
                                    DB_NONE, NULL),
                     SPEEDY_DB_OK);
    before = speedy_now_boot();
    speedy_outbox_turn(&relay);
    assert_true(speedy_now_boot() - before < 2000);
    assert_int_equal(rows(), 64); /* seen as they were */
    speedy_db_rollback(db);
    assert_int_equal(count_numbers(100, times), 36);
    assert_true(servers_wait(empty, &relay, 10000));
    assert_int_equal(count_numbers(100, times), 100);
}

#define MANY 3000
#define RELAYS 3

static atomic_bool enough;

static void *turn_on(void *o)
{
    while (!atomic_load(&enough)) {
        long ms = speedy_outbox_turn(o);

        /* a turn that failed would be a relay that disturbed another */
        if (ms > 250)
            return "a turn failed";
    }
    return NULL;
}

static bool none_left(void *unused)
{
    (void)unused;
    return rows() == 0;
}

static void relays_share_the_work(void **state)
{
    struct speedy_outbox_relay other[RELAYS];
    pthread_t thread[RELAYS];
    static int times[MANY];
    bool all;

    (void)state;
    atomic_store(&enough, false);
    for (int i = 0; i < RELAYS; i++) {
        other[i] = relay_new();
        pthread_create(&thread[i], NULL, turn_on, &other[i]);
    }
    for (int i = 0; i < MANY; i += 30)
        add_numbers(i, 30);
    all = servers_wait(none_left, NULL, 30000);
    atomic_store(&enough, true);
    for (int i = 0; i < RELAYS; i++) {
        void *why;

        pthread_join(thread[i], &why);
        assert_null(why);
        relay_free(&other[i]);
    }
    assert_true(all);
    /* nobody died: each one exactly once */
    assert_int_equal(count_numbers(MANY, times), MANY);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(times[i], 1);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, fresh, over)
    const struct CMUnitTest tests[] = {
        TEST(a_record_goes_out_with_its_cause),
        TEST(rows_stay_while_the_broker_is_away),
        TEST(rows_that_cannot_be_deleted_are_sent_again),
        TEST(bad_records_do_not_hold_up_the_others),
        TEST(rows_of_another_relay_are_passed_over),
        TEST(relays_share_the_work),
        TEST(mysql_away_is_survived),
    };

    speedy_loop_init();
    speedy_log_init("outbox_test", 0);
    return cmocka_run_group_tests_name("outbox", tests, start, stop);
}
