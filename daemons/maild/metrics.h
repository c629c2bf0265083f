/* maild's metrics, in one place. */
#ifndef MAILD_METRICS_H
#define MAILD_METRICS_H

#include <stdint.h>

enum maild_result {
    MAILD_R_SENT,
    MAILD_R_RETRY,
    MAILD_R_FAILED,
    MAILD_R_EXPIRED,
    MAILD_R_DROPPED,
    MAILD_R_PAUSED,
    MAILD_R_PUT_BACK,
    MAILD_R_COUNT
};

void maild_metrics_register(void);
const char *maild_result_name(enum maild_result r);
void maild_metrics_result(enum maild_result r, long n);
void maild_metrics_seconds(int64_t ms);
void maild_metrics_queue(int64_t count, int64_t age_ms);
void maild_metrics_paused(int paused);
void maild_metrics_record(void);

#endif
