/*
 * Beside the sender, on a connection of its own: a mail server that stalls, or
 * a pause of an hour, hides neither the queue's age nor what has expired.
 */
#include <stdatomic.h>

#include "../common/loop.h"
#include "metrics.h"
#include "send.h"

#define LOOK_MS 2000

static atomic_int_fast64_t answered;

int64_t maild_watch_answered(void)
{
    return atomic_load(&answered);
}

long maild_watch_turn(void *db)
{
    int64_t count, age;
    long expired = maild_rows_expire(db);

    if (expired > 0)
        maild_metrics_result(MAILD_R_EXPIRED, expired);
    if (expired < 0 || maild_rows_queue(db, &count, &age) != SPEEDY_DB_OK)
        return speedy_jitter(LOOK_MS);
    atomic_store(&answered, speedy_now_boot());
    maild_metrics_queue(count, age);
    return LOOK_MS;
}
