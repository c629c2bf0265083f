/*
 * I18: host, database and Redis agree on the time within a second. Half of
 * the question's own time is the error of a reading; a reading that took
 * long is taken again.
 */
#include "audit.h"

#include <stdlib.h>

#include "../common/loop.h"

#define CLOCK_TRIES 5
#define CLOCK_SLOW_MS 200
#define CLOCK_SKEW_MS 1000

static int redis_time(struct ctl *c, int64_t *ms)
{
    redisReply *r;
    int code = -1;

    speedy_args_reset(&c->redis_args);
    speedy_args_text(&c->redis_args, "TIME");
    r = speedy_redis_command(c->redis, &c->redis_args);
    if (r != NULL && r->type == REDIS_REPLY_ARRAY && r->elements == 2) {
        *ms = strtoll(r->element[0]->str, NULL, 10) * 1000 +
              strtoll(r->element[1]->str, NULL, 10) / 1000;
        code = 0;
    }
    freeReplyObject(r);
    return code;
}

static int db_time(struct ctl *c, int64_t *ms)
{
    return speedy_db_number(c->db, "SELECT " CTL_MS("UTC_TIMESTAMP(3)"),
                            DB_NONE, ms) == 1
               ? 0
               : -1;
}

static int skew(struct ctl *c, int (*clock)(struct ctl *c, int64_t *ms),
                int64_t *out)
{
    for (int i = 0; i < CLOCK_TRIES; i++) {
        int64_t before = speedy_now_real(), there = 0, after;

        if (clock(c, &there) != 0)
            return -1;
        after = speedy_now_real();
        *out = there - (before + after) / 2;
        if (after - before < CLOCK_SLOW_MS)
            break;
    }
    return 0;
}

int audit_clock_skew(struct ctl *c, int64_t *db, int64_t *redis)
{
    if (skew(c, db_time, db) != 0 || skew(c, redis_time, redis) != 0)
        return -1;
    return 0;
}

void audit_clocks(struct audit *a, struct audit_line *l)
{
    int64_t db = 0, redis = 0;

    if (audit_clock_skew(a->c, &db, &redis) != 0) {
        audit_unknown(l, "a store did not tell its time");
        return;
    }
    if (llabs(db) >= CLOCK_SKEW_MS)
        audit_broken(l, "MySQL's clock differs from this host's by %lld ms",
                     (long long)db);
    if (llabs(redis) >= CLOCK_SKEW_MS)
        audit_broken(l, "Redis' clock differs from this host's by %lld ms",
                     (long long)redis);
    if (llabs(db - redis) >= CLOCK_SKEW_MS)
        audit_broken(l, "MySQL's and Redis' clocks differ by %lld ms",
                     (long long)(db - redis));
    audit_figures(l, "mysql=%+lldms redis=%+lldms", (long long)db,
                  (long long)redis);
}
