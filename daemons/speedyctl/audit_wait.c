/*
 * Quiescence: no order in `pend`, every record in MySQL, no release or stock
 * change on its way, every gate up. Waited for by looking, with a bound.
 */
#include "audit.h"

#include <stdlib.h>
#include <string.h>

#include "../common/conf.h"
#include "../common/loop.h"
#include "../shop/scripts.h"

#define KAFKA_TIMEOUT 5000

struct speedy_consumer *audit_kafka(struct audit *a)
{
    if (a->kafka == NULL)
        a->kafka = speedy_consumer_new("speedyctl-audit");
    if (a->kafka != NULL && a->partitions <= 0)
        a->partitions = speedy_consumer_partitions(
            a->kafka, speedy_conf.kafka_orders_topic, KAFKA_TIMEOUT);
    if (a->partitions > AUDIT_PARTITIONS_MAX)
        a->partitions = AUDIT_PARTITIONS_MAX;
    return a->partitions > 0 ? a->kafka : NULL;
}

static int offset_row(void *data, const struct speedy_db_value *col,
                      size_t cols)
{
    struct audit_offsets *o = data;

    (void)cols;
    if (col[0].number >= 0 && col[0].number < AUDIT_PARTITIONS_MAX)
        o->next[col[0].number] = col[1].number;
    return 0;
}

int audit_offsets_read(struct audit *a, struct audit_offsets *o)
{
    for (int i = 0; i < AUDIT_PARTITIONS_MAX; i++)
        o->next[i] = -1;
    return speedy_db_query(
        a->c->db, "SELECT part, next_offset FROM kafka_offsets WHERE topic = ?",
        DB_ARGS(DB_TEXT(speedy_conf.kafka_orders_topic)), offset_row, o);
}

static void note(struct speedy_buf *why, const char *what, const char *of,
                 int64_t n)
{
    if (why->len > 400)
        return;
    speedy_buf_printf(why, "%s%s %s", why->len ? ", " : "", what, of);
    if (n >= 0)
        speedy_buf_printf(why, " %lld", (long long)n);
}

static redisReply *ask(struct ctl *c, const char *command, const char *key,
                       const char *field)
{
    speedy_args_reset(&c->redis_args);
    speedy_args_text(&c->redis_args, command);
    speedy_args_text(&c->redis_args, key);
    if (field != NULL)
        speedy_args_text(&c->redis_args, field);
    return speedy_redis_command(c->redis, &c->redis_args);
}

static void redis_unrest(struct audit *a, struct speedy_buf *why)
{
    struct ctl *c = a->c;
    struct speedy_keys keys;

    if (speedy_redis_ready(c->redis) != 0) {
        note(why, "Redis is away", "", -1);
        return;
    }
    for (size_t i = 0; i < a->sale_count; i++) {
        redisReply *r;

        if (!a->sales[i].live)
            continue;
        speedy_keys_make(&keys, a->sales[i].id);
        r = ask(c, "HGET", keys.gate, "run_id");
        if (r == NULL || r->type != REDIS_REPLY_STRING ||
            strcmp(r->str, speedy_redis_run_id(c->redis)) != 0)
            note(why, "no gate of", a->sales[i].id, -1);
        freeReplyObject(r);
        r = ask(c, "HLEN", keys.pend, NULL);
        if (r == NULL || r->type != REDIS_REPLY_INTEGER || r->integer != 0)
            note(why, "pend of", a->sales[i].id,
                 r && r->type == REDIS_REPLY_INTEGER ? r->integer : -1);
        freeReplyObject(r);
    }
}

static void kafka_unrest(struct audit *a, struct speedy_buf *why)
{
    struct audit_offsets o;
    int64_t low, high, lag = 0;

    if (audit_kafka(a) == NULL) {
        note(why, "Kafka does not answer:", speedy_conf.kafka_orders_topic, -1);
        return;
    }
    if (audit_offsets_read(a, &o) != 0) {
        note(why, "MySQL is away", "", -1);
        return;
    }
    if (!a->first_read) {
        a->first = o;
        a->first_read = true;
    }
    for (int i = 0; i < a->partitions; i++) {
        int64_t next = o.next[i] < 0 ? 0 : o.next[i];

        if (speedy_consumer_watermarks(a->kafka, speedy_conf.kafka_orders_topic,
                                       i, KAFKA_TIMEOUT, &low, &high) != 0) {
            note(why, "Kafka does not answer:", "partition", i);
            return;
        }
        lag += high > next ? high - next : 0;
    }
    if (lag > 0)
        note(why, "Kafka lag of", speedy_conf.kafka_orders_topic, lag);
}

static void mysql_unrest(struct audit *a, struct speedy_buf *why)
{
    int64_t n = 0;

    if (speedy_db_number(a->c->db,
                         "SELECT COUNT(*) FROM release_outbox WHERE done_at IS "
                         "NULL AND (? = '' OR sale_id = ?)",
                         DB_ARGS(DB_TEXT(a->sale), DB_TEXT(a->sale)), &n) != 1)
        note(why, "MySQL is away", "", -1);
    else if (n > 0)
        note(why, "open rows of", "release_outbox", n);
    if (speedy_db_number(a->c->db,
                         "SELECT COUNT(*) FROM stock_adjustments WHERE state "
                         "IN ('OPEN', 'LOWERED') AND (? = '' OR sale_id = ?)",
                         DB_ARGS(DB_TEXT(a->sale), DB_TEXT(a->sale)),
                         &n) == 1 &&
        n > 0)
        note(why, "open rows of", "stock_adjustments", n);
}

/* In the order in which work flows: what left one place is seen in the next. */
void audit_unrest(struct audit *a, struct speedy_buf *why)
{
    why->len = 0;
    redis_unrest(a, why);
    kafka_unrest(a, why);
    mysql_unrest(a, why);
}

void audit_quiescence(struct audit *a, struct audit_line *l)
{
    int64_t begin = speedy_now_boot();
    struct speedy_buf why = {0};

    for (;;) {
        audit_unrest(a, &why);
        a->quiescent = why.len == 0;
        if (a->quiescent || speedy_now_boot() - begin >= a->wait_ms ||
            speedy_pause(200))
            break;
    }
    if (!a->quiescent)
        audit_broken(l, "not quiescent: %s", why.data);
    audit_figures(l, "waited=%lldms", (long long)(speedy_now_boot() - begin));
    speedy_buf_free(&why);
}
