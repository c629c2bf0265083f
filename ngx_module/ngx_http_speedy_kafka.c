/*
 * The worker's one producer.
 *
 * librdkafka's threads call nothing of ours and nothing of nginx's: reports,
 * errors and log lines become events on its main queue, which writes eight
 * bytes to our eventfd when it stops being empty; nginx's loop reads the
 * eventfd and drains the queue, so many events a turn and the rest in the
 * next. A record's opaque is its job, which lives until its report was given.
 *
 * A fatal error does not heal. The producer is then retired: its records are
 * purged and reported failed (the orders are in Redis' `pend`), it is taken
 * off our queue and handed to a thread of its own whose only duty is
 * rd_kafka_destroy(), which may wait for brokers that do not answer. One such
 * thread at a time; exit_process waits for it, but not long.
 *
 * librdkafka sends one request a partition, so records of the same moment go
 * to one partition: for a slice of time all of a worker's, then the next.
 * Nothing rests on where a record lies: orders are told apart by their id.
 *
 * The configuration comes from kafka_conf.c; rd_kafka_new runs only in
 * workers. When it fails (no threads left, say) it is tried again by timer,
 * and purchases are told `in_doubt`.
 */

#include "ngx_http_speedy.h"

#include <librdkafka/rdkafka.h>

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>


#define NGX_HTTP_SPEEDY_KAFKA_TURN   2000     /* events a turn of the loop */
#define NGX_HTTP_SPEEDY_KAFKA_FLUSH  1000     /* ms at exit */
#define NGX_HTTP_SPEEDY_KAFKA_RETRY  1000     /* ms between rd_kafka_new */
#define NGX_HTTP_SPEEDY_KAFKA_SLICE  2        /* ms on one partition */


typedef struct {
    ngx_http_speedy_main_conf_t *smcf;
    rd_kafka_t                 *rk;
    rd_kafka_topic_t           *topic;
    rd_kafka_queue_t           *queue;
    ngx_connection_t           *c;          /* of the eventfd */
    int                         fd;
    ngx_queue_t                 waiting;    /* jobs without a report */
    ngx_uint_t                  nwaiting;
    ngx_event_t                 retry;
    pthread_t                   retired;
    unsigned                    retiring:1;
    unsigned                    fatal:1;
} ngx_http_speedy_kafka_t;


static ngx_int_t ngx_http_speedy_kafka_open(void);
static int32_t ngx_http_speedy_kafka_partition(const rd_kafka_topic_t *topic,
    const void *key, size_t len, int32_t n, void *opaque, void *job);
static void ngx_http_speedy_kafka_retry(ngx_event_t *ev);
static void ngx_http_speedy_kafka_wake(ngx_event_t *rev);
static ngx_uint_t ngx_http_speedy_kafka_drain(ngx_uint_t most);
static ngx_uint_t ngx_http_speedy_kafka_reports(rd_kafka_event_t *event);
static void ngx_http_speedy_kafka_report(ngx_http_speedy_job_t *job,
    ngx_uint_t delivered);
static void ngx_http_speedy_kafka_trouble(rd_kafka_event_t *event);
static void ngx_http_speedy_kafka_check(void);
static void ngx_http_speedy_kafka_log(rd_kafka_event_t *event);
static void ngx_http_speedy_kafka_retire(void);
static void *ngx_http_speedy_kafka_destroy(void *data);


static ngx_http_speedy_kafka_t  kafka;
static time_t                   ngx_http_speedy_kafka_logged;
static time_t                   ngx_http_speedy_kafka_failed_logged;


ngx_int_t
ngx_http_speedy_kafka_init(ngx_cycle_t *cycle,
    ngx_http_speedy_main_conf_t *smcf)
{
    static ngx_connection_t  dummy;

    kafka.smcf = smcf;
    ngx_queue_init(&kafka.waiting);

    kafka.fd = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);
    if (kafka.fd == -1) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, ngx_errno,
                      "speedy: eventfd() failed");
        return NGX_ERROR;
    }

    kafka.c = ngx_get_connection(kafka.fd, cycle->log);
    if (kafka.c == NULL) {
        (void) close(kafka.fd);
        return NGX_ERROR;
    }

    kafka.c->log = cycle->log;
    kafka.c->read->log = cycle->log;
    kafka.c->write->log = cycle->log;
    kafka.c->read->handler = ngx_http_speedy_kafka_wake;

    if (ngx_add_event(kafka.c->read, NGX_READ_EVENT, NGX_CLEAR_EVENT)
        != NGX_OK)
    {
        ngx_close_connection(kafka.c);
        kafka.c = NULL;
        return NGX_ERROR;
    }

    dummy.fd = (ngx_socket_t) -1;
    kafka.retry.handler = ngx_http_speedy_kafka_retry;
    kafka.retry.log = cycle->log;
    kafka.retry.data = &dummy;
    kafka.retry.cancelable = 1;

    if (ngx_http_speedy_kafka_open() != NGX_OK) {
        ngx_add_timer(&kafka.retry, NGX_HTTP_SPEEDY_KAFKA_RETRY);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_speedy_kafka_open(void)
{
    char                    error[256];
    sigset_t                all, before;
    rd_kafka_conf_t        *conf;
    rd_kafka_topic_conf_t  *tconf;
    static uint64_t         one = 1;

    conf = rd_kafka_conf_dup(kafka.smcf->kafka_conf);
    if (conf == NULL) {
        return NGX_ERROR;
    }

    /* librdkafka's threads must never be given a signal that nginx awaits */

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    kafka.rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error));
    pthread_sigmask(SIG_SETMASK, &before, NULL);

    if (kafka.rk == NULL) {
        rd_kafka_conf_destroy(conf);
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "speedy: no Kafka producer: %s; trying again", error);
        return NGX_ERROR;
    }

    tconf = rd_kafka_default_topic_conf_dup(kafka.rk);
    rd_kafka_topic_conf_set_partitioner_cb(tconf,
                                           ngx_http_speedy_kafka_partition);

    kafka.topic = rd_kafka_topic_new(kafka.rk,
                                     (char *) kafka.smcf->kafka_topic.data,
                                     tconf);
    if (kafka.topic == NULL) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "speedy: no Kafka topic \"%V\": %s",
                      &kafka.smcf->kafka_topic,
                      rd_kafka_err2str(rd_kafka_last_error()));
        rd_kafka_destroy(kafka.rk);
        kafka.rk = NULL;
        return NGX_ERROR;
    }

    kafka.queue = rd_kafka_queue_get_main(kafka.rk);
    (void) rd_kafka_set_log_queue(kafka.rk, NULL);
    rd_kafka_queue_io_event_enable(kafka.queue, kafka.fd, &one, sizeof(one));
    kafka.fatal = 0;

    /* what came before the eventfd was told */

    ngx_post_event(kafka.c->read, &ngx_posted_next_events);

    return NGX_OK;
}


static void
ngx_http_speedy_kafka_retry(ngx_event_t *ev)
{
    if (kafka.retiring && pthread_tryjoin_np(kafka.retired, NULL) == 0) {
        kafka.retiring = 0;

        if (kafka.rk && kafka.fatal) {
            ngx_http_speedy_kafka_retire();     /* it had to wait */
        }
    }

    if (ngx_exiting) {
        return;
    }

    if (kafka.rk == NULL && ngx_http_speedy_kafka_open() == NGX_OK) {
        ngx_http_speedy_count(NGX_HTTP_SPEEDY_COUNT_KAFKA_REBUILDS);
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "speedy: a new Kafka producer");
    }

    if (kafka.rk == NULL || kafka.retiring) {
        ngx_add_timer(ev, NGX_HTTP_SPEEDY_KAFKA_RETRY);
    }
}


ngx_uint_t
ngx_http_speedy_kafka_ready(void)
{
    return kafka.rk != NULL;
}


ngx_uint_t
ngx_http_speedy_kafka_waiting(void)
{
    return kafka.nwaiting;
}


/* May run on a thread of librdkafka's: it reads the clock, and no more. */

static int32_t
ngx_http_speedy_kafka_partition(const rd_kafka_topic_t *topic,
    const void *key, size_t len, int32_t n, void *opaque, void *job)
{
    int32_t          i, first;
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    first = ((ts.tv_sec * 1000 + ts.tv_nsec / 1000000)
             / NGX_HTTP_SPEEDY_KAFKA_SLICE + ngx_worker) % n;

    for (i = 0; i < n; i++) {
        if (rd_kafka_topic_partition_available(topic, (first + i) % n)) {
            return (first + i) % n;
        }
    }

    return first;
}


ngx_int_t
ngx_http_speedy_kafka_produce(ngx_http_speedy_job_t *job, u_char *key,
    size_t key_len, u_char *value, size_t len)
{
    if (kafka.rk == NULL
        || rd_kafka_produce(kafka.topic, RD_KAFKA_PARTITION_UA,
                            RD_KAFKA_MSG_F_COPY, value, len, key, key_len, job)
           == -1)
    {
        ngx_http_speedy_count(NGX_HTTP_SPEEDY_COUNT_KAFKA_REFUSED);

        if (ngx_http_speedy_log_allowed(&ngx_http_speedy_kafka_failed_logged))
        {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "speedy: Kafka's producer took no event: %s",
                          kafka.rk ? rd_kafka_err2str(rd_kafka_last_error())
                                   : "there is none");
        }

        return NGX_DECLINED;
    }

    ngx_http_speedy_count(NGX_HTTP_SPEEDY_COUNT_KAFKA_PRODUCED);
    ngx_queue_insert_tail(&kafka.waiting, &job->queue);
    kafka.nwaiting++;

    return NGX_OK;
}


static void
ngx_http_speedy_kafka_wake(ngx_event_t *rev)
{
    uint64_t  count;

    if (read(kafka.fd, &count, sizeof(count)) == -1
        && ngx_errno != NGX_EAGAIN)
    {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, ngx_errno,
                      "speedy: the eventfd cannot be read");
    }

    if (kafka.rk == NULL) {
        return;
    }

    if (ngx_http_speedy_kafka_drain(NGX_HTTP_SPEEDY_KAFKA_TURN)
        >= NGX_HTTP_SPEEDY_KAFKA_TURN)
    {
        ngx_post_event(rev, &ngx_posted_next_events);
    }

    if (kafka.fatal) {
        ngx_http_speedy_kafka_retire();
    }
}


/*
 * The queue tells the eventfd only when it stops being empty: read until it
 * is, or come again.
 */

static ngx_uint_t
ngx_http_speedy_kafka_drain(ngx_uint_t most)
{
    ngx_uint_t         n;
    rd_kafka_event_t  *event;

    for (n = 0; n < most; /* void */) {
        event = rd_kafka_queue_poll(kafka.queue, 0);
        if (event == NULL) {
            break;
        }

        switch (rd_kafka_event_type(event)) {

        case RD_KAFKA_EVENT_DR:
            n += ngx_http_speedy_kafka_reports(event);
            break;

        case RD_KAFKA_EVENT_ERROR:
            ngx_http_speedy_kafka_trouble(event);
            ngx_http_speedy_kafka_check();
            n++;
            break;

        case RD_KAFKA_EVENT_LOG:
            ngx_http_speedy_kafka_log(event);
            ngx_http_speedy_kafka_check();
            n++;
            break;

        default:
            n++;
            break;
        }

        rd_kafka_event_destroy(event);
    }

    return n;
}


static ngx_uint_t
ngx_http_speedy_kafka_reports(rd_kafka_event_t *event)
{
    ngx_uint_t                  n;
    const rd_kafka_message_t   *m;

    for (n = 0; (m = rd_kafka_event_message_next(event)) != NULL; n++) {

        if (m->err
            && ngx_http_speedy_log_allowed(
                   &ngx_http_speedy_kafka_failed_logged))
        {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "speedy: Kafka did not take an event: %s",
                          rd_kafka_err2str(m->err));
        }

        ngx_http_speedy_kafka_report(m->_private, m->err == 0);
    }

    return n;
}


static void
ngx_http_speedy_kafka_report(ngx_http_speedy_job_t *job, ngx_uint_t delivered)
{
    ngx_queue_remove(&job->queue);
    kafka.nwaiting--;

    ngx_http_speedy_count(delivered ? NGX_HTTP_SPEEDY_COUNT_KAFKA_DELIVERED
                                    : NGX_HTTP_SPEEDY_COUNT_KAFKA_FAILED);

    ngx_http_speedy_job_reported(job, delivered);
}


static void
ngx_http_speedy_kafka_trouble(rd_kafka_event_t *event)
{
    if (ngx_http_speedy_log_allowed(&ngx_http_speedy_kafka_logged)) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0, "speedy: Kafka: %s",
                      rd_kafka_event_error_string(event));
    }
}


/*
 * Asked after any error or log line, for not every fatal error has an event
 * that says so.
 */

static void
ngx_http_speedy_kafka_check(void)
{
    char  text[256];

    if (kafka.fatal
        || rd_kafka_fatal_error(kafka.rk, text, sizeof(text))
           == RD_KAFKA_RESP_ERR_NO_ERROR)
    {
        return;
    }

    kafka.fatal = 1;
    ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, 0,
                  "speedy: Kafka's producer failed for good: %s; making a new "
                  "one", text);
}


static void
ngx_http_speedy_kafka_log(rd_kafka_event_t *event)
{
    int          severity;
    ngx_uint_t   level;
    const char  *facility, *text;

    if (rd_kafka_event_log(event, &facility, &text, &severity) != 0) {
        return;
    }

    /* syslog's levels; never above `warn`: brokers come and go */

    level = NGX_LOG_INFO;

    if (severity <= 4) {
        if (!ngx_http_speedy_log_allowed(&ngx_http_speedy_kafka_logged)) {
            return;
        }

        level = NGX_LOG_WARN;
    }

    ngx_log_error(level, ngx_cycle->log, 0, "speedy: librdkafka %s: %s",
                  facility, text);
}


/*
 * Off the request path: nothing here waits for a broker. Whoever still awaits
 * a report is told that it failed; Redis' `pend` has the order.
 */

static void
ngx_http_speedy_kafka_retire(void)
{
    sigset_t      all, before;
    ngx_queue_t  *q;

    if (kafka.retiring) {

        /* the one before is still going: keep this one until it is gone */

        if (!kafka.retry.timer_set && !ngx_exiting) {
            ngx_add_timer(&kafka.retry, NGX_HTTP_SPEEDY_KAFKA_RETRY);
        }
        return;
    }

    (void) rd_kafka_purge(kafka.rk, RD_KAFKA_PURGE_F_QUEUE
                                    |RD_KAFKA_PURGE_F_INFLIGHT
                                    |RD_KAFKA_PURGE_F_NON_BLOCKING);
    (void) ngx_http_speedy_kafka_drain(NGX_MAX_INT_T_VALUE);

    rd_kafka_queue_io_event_enable(kafka.queue, -1, NULL, 0);

    while (!ngx_queue_empty(&kafka.waiting)) {
        q = ngx_queue_head(&kafka.waiting);
        ngx_http_speedy_kafka_report(
            ngx_queue_data(q, ngx_http_speedy_job_t, queue), 0);
    }

    rd_kafka_queue_destroy(kafka.queue);
    rd_kafka_topic_destroy(kafka.topic);

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    kafka.retiring = pthread_create(&kafka.retired, NULL,
                                    ngx_http_speedy_kafka_destroy, kafka.rk)
                     == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);

    if (!kafka.retiring) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "speedy: no thread to end the failed producer in; it "
                      "stays until this worker ends");
    }

    kafka.rk = NULL;
    kafka.queue = NULL;
    kafka.topic = NULL;
    kafka.fatal = 0;

    if (!ngx_exiting && !kafka.retry.timer_set) {
        ngx_add_timer(&kafka.retry, 1);
    }
}


/* A thread: touches nothing but the producer that it was given. */

static void *
ngx_http_speedy_kafka_destroy(void *data)
{
    rd_kafka_destroy(data);

    return NULL;
}


void
ngx_http_speedy_kafka_exit(void)
{
    ngx_uint_t       left;
    struct timespec  ts;

    if (kafka.smcf == NULL) {
        return;
    }

    if (kafka.retry.timer_set) {
        ngx_del_timer(&kafka.retry);
    }

    if (kafka.rk) {
        if (rd_kafka_outq_len(kafka.rk)) {
            (void) rd_kafka_flush(kafka.rk, NGX_HTTP_SPEEDY_KAFKA_FLUSH);
        }

        (void) ngx_http_speedy_kafka_drain(NGX_MAX_INT_T_VALUE);
        left = kafka.nwaiting;

        (void) rd_kafka_purge(kafka.rk, RD_KAFKA_PURGE_F_QUEUE
                                        |RD_KAFKA_PURGE_F_INFLIGHT);
        (void) rd_kafka_flush(kafka.rk, 100);
        (void) ngx_http_speedy_kafka_drain(NGX_MAX_INT_T_VALUE);

        if (left) {
            ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                          "speedy: %ui events were not delivered at exit; "
                          "stockd produces them again", left);
        }

        rd_kafka_queue_io_event_enable(kafka.queue, -1, NULL, 0);
        rd_kafka_queue_destroy(kafka.queue);
        rd_kafka_topic_destroy(kafka.topic);
        rd_kafka_destroy(kafka.rk);
        kafka.rk = NULL;
    }

    if (kafka.retiring) {
        ts.tv_sec = ngx_time() + 2;
        ts.tv_nsec = 0;

        if (pthread_timedjoin_np(kafka.retired, NULL, &ts) != 0) {
            ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                          "speedy: the failed producer did not end in time");
        }
    }

    if (kafka.c) {
        ngx_close_connection(kafka.c);      /* and the eventfd with it */
        kafka.c = NULL;
    }
}
