/*
 * The numbers that orderd shows on /metrics. Any thread.
 */
#ifndef ORDERD_METRICS_H
#define ORDERD_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "batch.h"

void orderd_metrics_register(void);
/* One record was committed with this verdict. */
void orderd_metrics_record(enum orderd_verdict verdict);
/* A batch went through: its records, and how long it took. */
void orderd_metrics_batch(size_t records, int64_t ms);
void orderd_metrics_retry(void);
/* What this instance holds, and how far it is behind, in records. */
void orderd_metrics_partitions(int held, int stopped, int64_t lag);

#endif
