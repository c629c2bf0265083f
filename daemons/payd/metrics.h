#ifndef PAYD_METRICS_H
#define PAYD_METRICS_H

#include "kakao.h"

void payd_metrics_register(void);
void payd_metrics_call(enum payd_kind kind, enum payd_outcome outcome,
                       int64_t ms);
/* enum payd_settled */
void payd_metrics_settled(int settled);
void payd_metrics_refunded(bool good);
void payd_metrics_gauges(int64_t approving, int64_t oldest_ms, int64_t refunds,
                         int64_t stuck);

#endif
