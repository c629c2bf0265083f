/* Producer and consumer against librdkafka's mock cluster. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "../../../daemons/common/conf.h"
#include "../../../daemons/common/kafka.h"
#include "../../../daemons/common/log.h"
#include "../../../daemons/common/loop.h"
#include "capture.h"
#include "servers.h"

#define PARTITIONS 4

static rd_kafka_mock_cluster_t *cluster;
static struct speedy_producer *producer;
static struct speedy_consumer *consumer;
static char topic[32];

static int start(void **state)
{
    (void)state;
    cluster = servers_kafka_start();
    return cluster == NULL ? -1 : 0;
}

static int stop(void **state)
{
    (void)state;
    servers_stop();
    return 0;
}

/* A topic, a producer and a consumer of its own for each test. */
static int fresh(void **state)
{
    static int number;

    (void)state;
    snprintf(topic, sizeof(topic), "t%d", ++number);
    rd_kafka_mock_broker_set_up(cluster, 1);
    rd_kafka_mock_topic_create(cluster, topic, PARTITIONS, 1);
    producer = speedy_producer_new("unit", 3000);
    consumer = speedy_consumer_new("unit");
    return producer == NULL || consumer == NULL ? -1 : 0;
}

static int over(void **state)
{
    (void)state;
    rd_kafka_mock_broker_set_up(cluster, 1);
    speedy_producer_free(producer);
    speedy_consumer_free(consumer);
    return 0;
}

static struct speedy_message message(int partition, const char *text)
{
    return (struct speedy_message){.topic = topic,
                                   .partition = partition,
                                   .key = "k",
                                   .key_len = 1,
                                   .value = text,
                                   .value_len = strlen(text)};
}

/* Reads exactly n messages whose values are first, first + 1, … */
static void read_numbers(int partition, int first, int n)
{
    rd_kafka_message_t *m[16];
    rd_kafka_resp_err_t error;
    int64_t end = speedy_now_boot() + 10000;
    int seen = 0;

    while (seen < n && speedy_now_boot() < end) {
        long got = speedy_consumer_read(consumer, topic, partition, m, 16, 200,
                                        &error);

        assert_true(got >= 0);
        for (long i = 0; i < got; i++) {
            char want[16];

            snprintf(want, sizeof(want), "%d", first + seen++);
            assert_int_equal(m[i]->len, strlen(want));
            assert_memory_equal(m[i]->payload, want, m[i]->len);
            assert_int_equal(m[i]->partition, partition);
            rd_kafka_message_destroy(m[i]);
        }
    }
    assert_int_equal(seen, n);
}

static void send_numbers(int partition, int n)
{
    static char text[200][16];
    struct speedy_message m[200];

    for (int i = 0; i < n; i++) {
        snprintf(text[i], sizeof(text[i]), "%d", i);
        m[i] = message(partition, text[i]);
    }
    assert_int_equal(speedy_producer_send(producer, m, (size_t)n, 10000), n);
    for (int i = 0; i < n; i++) {
        assert_int_equal(m[i].delivered, 1);
        assert_int_equal(m[i].written_partition, partition);
        assert_int_equal(m[i].offset, i);
    }
}

static void what_is_sent_is_read(void **state)
{
    int64_t low, high;

    (void)state;
    assert_int_equal(speedy_producer_partitions(producer, topic, 5000),
                     PARTITIONS);
    assert_int_equal(speedy_consumer_partitions(consumer, topic, 5000),
                     PARTITIONS);
    send_numbers(2, 100);
    assert_int_equal(
        speedy_consumer_watermarks(consumer, topic, 2, 5000, &low, &high), 0);
    assert_int_equal(low, 0);
    assert_int_equal(high, 100);
    assert_int_equal(speedy_consumer_start(consumer, topic, 2, 0), 0);
    read_numbers(2, 0, 100);
    assert_int_equal(speedy_consumer_stop(consumer, topic, 2), 0);
}

static void reading_starts_where_it_was_told(void **state)
{
    (void)state;
    send_numbers(1, 50);
    assert_int_equal(speedy_consumer_start(consumer, topic, 1, 40), 0);
    read_numbers(1, 40, 10);
    assert_int_equal(speedy_consumer_stop(consumer, topic, 1), 0);
    /* and again from elsewhere */
    assert_int_equal(speedy_consumer_start(consumer, topic, 1, 45), 0);
    read_numbers(1, 45, 5);
}

static void *read_all(void *partition)
{
    assert_int_equal(
        speedy_consumer_start(consumer, topic, *(int *)partition, 0), 0);
    read_numbers(*(int *)partition, 0, 100);
    return NULL;
}

static void a_thread_a_partition(void **state)
{
    pthread_t thread[PARTITIONS];
    int partition[PARTITIONS];

    (void)state;
    for (int i = 0; i < PARTITIONS; i++)
        send_numbers(i, 100);
    for (int i = 0; i < PARTITIONS; i++) {
        partition[i] = i;
        pthread_create(&thread[i], NULL, read_all, &partition[i]);
    }
    for (int i = 0; i < PARTITIONS; i++)
        pthread_join(thread[i], NULL);
}

static void a_key_chooses_the_partition(void **state)
{
    struct speedy_message m[2] = {message(RD_KAFKA_PARTITION_UA, "a"),
                                  message(RD_KAFKA_PARTITION_UA, "b")};

    (void)state;
    assert_int_equal(speedy_producer_send(producer, m, 2, 10000), 2);
    assert_in_range(m[0].written_partition, 0, PARTITIONS - 1);
    assert_int_equal(m[0].written_partition, m[1].written_partition);
}

static void an_offset_that_is_not_there_is_final(void **state)
{
    rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;
    unsigned long alarms = speedy_log_alarms();
    rd_kafka_message_t *m[4];
    long got = 0;

    (void)state;
    send_numbers(0, 5);
    assert_int_equal(speedy_consumer_start(consumer, topic, 0, 99), 0);
    capture_start();
    for (int i = 0; i < 50 && got == 0; i++)
        got = speedy_consumer_read(consumer, topic, 0, m, 4, 200, &error);
    assert_int_equal(got, -1);
    assert_int_not_equal(error, RD_KAFKA_RESP_ERR_NO_ERROR);
    /* it stays final, and is one alarm */
    assert_int_equal(speedy_consumer_read(consumer, topic, 0, m, 4, 10, &error),
                     -1);
    capture_stop();
    assert_int_equal(speedy_log_alarms() - alarms, 1);
    /* until it is started anew */
    assert_int_equal(speedy_consumer_stop(consumer, topic, 0), 0);
    assert_int_equal(speedy_consumer_start(consumer, topic, 0, 3), 0);
    read_numbers(0, 3, 2);
}

static void reading_waits_no_longer_than_told(void **state)
{
    rd_kafka_resp_err_t error;
    rd_kafka_message_t *m[4];
    int64_t before;

    (void)state;
    assert_int_equal(speedy_consumer_start(consumer, topic, 3, 0), 0);
    before = speedy_now_boot();
    assert_int_equal(
        speedy_consumer_read(consumer, topic, 3, m, 4, 100, &error), 0);
    assert_in_range(speedy_now_boot() - before, 90, 2000);
    assert_int_equal(
        speedy_consumer_read(consumer, "other", 3, m, 4, 100, &error), -1);
}

static void a_late_report_touches_nobody(void **state)
{
    int64_t before = speedy_now_boot();

    (void)state;
    send_numbers(0, 1);
    rd_kafka_mock_broker_set_down(cluster, 1);
    capture_start();
    {
        struct speedy_message m[20];

        for (int i = 0; i < 20; i++)
            m[i] = message(0, "lost");
        before = speedy_now_boot();
        assert_int_equal(speedy_producer_send(producer, m, 20, 300), 0);
        assert_in_range(speedy_now_boot() - before, 290, 3000);
        assert_int_equal(m[7].delivered, 0);
        memset(m, 0xee, sizeof(m));
    }
    rd_kafka_mock_broker_set_up(cluster, 1);
    /* the reports of the lost ones come while another is awaited */
    for (int i = 0; i < 20; i++) {
        struct speedy_message m = message(1, "after");

        if (speedy_producer_send(producer, &m, 1, 2000) == 1)
            break;
        assert_true(i < 19);
    }
    capture_stop();
}

static void no_broker_is_an_answer_too(void **state)
{
    int64_t before = speedy_now_boot(), low, high;

    (void)state;
    rd_kafka_mock_broker_set_down(cluster, 1);
    capture_start();
    assert_int_equal(speedy_producer_partitions(producer, topic, 200), -1);
    assert_int_equal(
        speedy_consumer_watermarks(consumer, topic, 0, 200, &low, &high), -1);
    capture_stop();
    assert_true(speedy_now_boot() - before < 5000);
}

static void a_refused_produce_is_not_delivered(void **state)
{
    struct speedy_message m = message(0, "no");

    (void)state;
    rd_kafka_mock_push_request_errors(cluster, 0 /* Produce */, 1,
                                      RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    capture_start();
    assert_int_equal(speedy_producer_send(producer, &m, 1, 5000), 0);
    capture_stop();
    assert_int_equal(m.delivered, 0);
    assert_int_equal(speedy_producer_send(producer, &m, 1, 5000), 1);
}

static void an_unknown_partition_is_refused(void **state)
{
    struct speedy_message m = message(PARTITIONS + 5, "no");

    (void)state;
    send_numbers(0, 1);
    capture_start();
    assert_int_equal(speedy_producer_send(producer, &m, 1, 1000), 0);
    assert_int_equal(speedy_producer_send(producer, &m, 0, 1000), 0);
    capture_stop();
}

static void marks_of_the_group(void **state)
{
    struct speedy_consumer *c;
    int64_t offset = 5;

    (void)state;
    c = speedy_consumer_new_marking("unit", "unit-group");
    assert_non_null(c);
    assert_int_equal(speedy_consumer_committed(c, topic, 0, 5000, &offset), 0);
    assert_int_equal(offset, -1);
    speedy_consumer_free(c);
}

static void closing_is_bounded(void **state)
{
    struct speedy_message m = message(0, "never");
    struct speedy_producer *p = speedy_producer_new("closing", 300000);
    int64_t before;

    (void)state;
    rd_kafka_mock_broker_set_down(cluster, 1);
    capture_start();
    assert_int_equal(speedy_producer_send(p, &m, 1, 50), 0);
    before = speedy_now_boot();
    speedy_producer_free(p);
    capture_stop();
    assert_true(speedy_now_boot() - before < 6000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_sent_is_read, fresh, over),
        cmocka_unit_test_setup_teardown(reading_starts_where_it_was_told, fresh,
                                        over),
        cmocka_unit_test_setup_teardown(a_thread_a_partition, fresh, over),
        cmocka_unit_test_setup_teardown(a_key_chooses_the_partition, fresh,
                                        over),
        cmocka_unit_test_setup_teardown(an_offset_that_is_not_there_is_final,
                                        fresh, over),
        cmocka_unit_test_setup_teardown(reading_waits_no_longer_than_told,
                                        fresh, over),
        cmocka_unit_test_setup_teardown(a_late_report_touches_nobody, fresh,
                                        over),
        cmocka_unit_test_setup_teardown(no_broker_is_an_answer_too, fresh,
                                        over),
        cmocka_unit_test_setup_teardown(a_refused_produce_is_not_delivered,
                                        fresh, over),
        cmocka_unit_test_setup_teardown(an_unknown_partition_is_refused, fresh,
                                        over),
        cmocka_unit_test_setup_teardown(marks_of_the_group, fresh, over),
        cmocka_unit_test_setup_teardown(closing_is_bounded, fresh, over),
    };

    speedy_loop_init();
    speedy_log_init("kafka_test", 0);
    return cmocka_run_group_tests_name("kafka", tests, start, stop);
}
