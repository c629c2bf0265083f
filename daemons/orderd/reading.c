/*
 * Opening a partition. It never starts anywhere but at the stored offset: a
 * missing row, a topic that lost records, a database older than the group's
 * mark each stop it with an alarm, and nothing is skipped.
 */
#include "reading.h"

#include "../common/log.h"
#include "../common/loop.h"
#include "offsets.h"

#define RETRY_MS 500
#define ALARM_MS 10000 /* between two attempts after an alarm */
#define BROKER_MS 2000
#define DOUBT_MS 10000 /* how long the group's offset is waited for */

static void later(struct orderd_reading *p, int64_t ms)
{
    p->retry_at = speedy_now_boot() + ms;
}

void orderd_reading_close(struct orderd_source *source,
                          struct orderd_reading *p)
{
    if (p->open)
        speedy_consumer_stop(source->kc, source->topic, p->partition);
    p->open = false;
    while (p->waiting_at < p->waiting_count)
        rd_kafka_message_destroy(p->waiting[p->waiting_at++]);
}

static void refill(struct orderd_source *source, struct orderd_reading *p)
{
    rd_kafka_resp_err_t error;
    long n = speedy_consumer_read(source->kc, source->topic, p->partition,
                                  p->waiting, ORDERD_WAITING_MAX, 0, &error);

    p->waiting_at = p->waiting_count = 0;
    for (long i = 0; i < n; i++) {
        if (error != RD_KAFKA_RESP_ERR_NO_ERROR ||
            p->waiting[i]->offset < p->read) {
            rd_kafka_message_destroy(p->waiting[i]);
            continue;
        }
        p->read = p->waiting[i]->offset + 1;
        p->waiting[p->waiting_count++] = p->waiting[i];
    }
    p->dry = p->waiting_count == 0;
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
        orderd_reading_stop(source, p);
}

rd_kafka_message_t *orderd_reading_peek(struct orderd_source *source,
                                        struct orderd_reading *p)
{
    if (!p->open)
        return NULL;
    if (p->waiting_at == p->waiting_count && !p->dry)
        refill(source, p);
    return p->waiting_at < p->waiting_count ? p->waiting[p->waiting_at] : NULL;
}

void orderd_reading_pop(struct orderd_reading *p)
{
    p->waiting_at++;
}

void orderd_reading_stop(struct orderd_source *source, struct orderd_reading *p)
{
    orderd_reading_close(source, p);
    p->stopped = true;
    later(p, ALARM_MS);
}

/* Nobody has a row for it: new partitions begin at 0, others are a loss. */
static enum orderd_taking create(struct orderd_source *source,
                                 struct orderd_reading *p)
{
    int64_t low, high;

    if (speedy_consumer_watermarks(source->kc, source->topic, p->partition,
                                   BROKER_MS, &low, &high) != 0)
        return ORDERD_TAKE_RETRY;
    if (low != 0) {
        speedy_log(SPEEDY_ALARM, "no stored offset for a used partition",
                   "topic=%s partition=%d low=%lld remedy=\"restore the"
                   " database, or insert its row in kafka_offsets\"",
                   source->topic, p->partition, (long long)low);
        return ORDERD_TAKE_ABSENT;
    }
    p->next = 0;
    return orderd_offset_create(source->db, source->topic, p->partition,
                                &p->lease);
}

/*
 * The group's committed offset follows MySQL; when it is ahead, MySQL is
 * older than it was: a backup. 1 good, 0 not known yet, -1 alarm.
 */
static int check_group(struct orderd_source *source, struct orderd_reading *p)
{
    int64_t committed;

    if (speedy_consumer_committed(source->kc, source->topic, p->partition,
                                  BROKER_MS, &committed) != 0) {
        if (p->doubt_since == 0)
            p->doubt_since = speedy_now_boot();
        if (speedy_now_boot() - p->doubt_since < DOUBT_MS)
            return 0;
        speedy_log(SPEEDY_WARN, "the group's offset cannot be read: going on",
                   "topic=%s partition=%d", source->topic, p->partition);
        committed = -1;
    }
    p->doubt_since = 0;
    if (committed <= p->next)
        return 1;
    speedy_log(SPEEDY_ALARM, "stored offset is older than the group's",
               "topic=%s partition=%d stored=%lld committed=%lld"
               " remedy=\"was a backup restored? speedyctl restore\"",
               source->topic, p->partition, (long long)p->next,
               (long long)committed);
    return -1;
}

int orderd_reading_open(struct orderd_source *source, struct orderd_reading *p)
{
    enum orderd_taking taking;
    int good;

    taking = orderd_offset_take(source->db, source->topic, p->partition,
                                &p->lease, &p->next);
    if (taking == ORDERD_TAKE_ABSENT)
        taking = create(source, p);
    if (taking == ORDERD_TAKE_LOST)
        return -1;
    if (taking == ORDERD_TAKE_ABSENT) {
        orderd_reading_stop(source, p);
        return 0;
    }
    if (taking != ORDERD_TAKEN) {
        later(p, RETRY_MS);
        return 0;
    }
    good = check_group(source, p);
    if (good < 0) {
        orderd_reading_stop(source, p);
        return 0;
    }
    if (good == 0 || speedy_consumer_start(source->kc, source->topic,
                                           p->partition, p->next) != 0) {
        later(p, RETRY_MS);
        return 0;
    }
    p->open = true;
    p->stopped = false;
    p->read = p->next;
    speedy_log(SPEEDY_INFO, "partition open",
               "topic=%s partition=%d next=%lld token=%lld", source->topic,
               p->partition, (long long)p->next, (long long)p->lease.token);
    return 1;
}
