/*
 * Metric objects of orderd.
 */
#include "metrics.h"

#include "../common/metrics.h"

static struct speedy_metric records[] = {
    [ORDERD_NEW] = {.name = NULL},
    [ORDERD_MARKER] = {.name = "speedy_orderd_records_total",
                       .help = "Records committed, by what they became",
                       .type = SPEEDY_COUNTER,
                       .labels = "result=\"marker\""},
    [ORDERD_DEAD] = {.name = "speedy_orderd_records_total",
                     .type = SPEEDY_COUNTER,
                     .labels = "result=\"dead_letter\""},
    [ORDERD_REPEATED] = {.name = "speedy_orderd_records_total",
                         .type = SPEEDY_COUNTER,
                         .labels = "result=\"repeated\""},
    [ORDERD_KNOWN] = {.name = "speedy_orderd_records_total",
                      .type = SPEEDY_COUNTER,
                      .labels = "result=\"known\""},
    [ORDERD_ACCEPTED] = {.name = "speedy_orderd_records_total",
                         .type = SPEEDY_COUNTER,
                         .labels = "result=\"accepted\""},
    [ORDERD_STALE_EPOCH] = {.name = "speedy_orderd_records_total",
                            .type = SPEEDY_COUNTER,
                            .labels = "result=\"stale_epoch\""},
    [ORDERD_OUT_OF_STOCK] = {.name = "speedy_orderd_records_total",
                             .type = SPEEDY_COUNTER,
                             .labels = "result=\"out_of_stock\""},
    [ORDERD_DUPLICATE_KEY] = {.name = "speedy_orderd_records_total",
                              .type = SPEEDY_COUNTER,
                              .labels = "result=\"duplicate_key\""},
};

/* Batches by size: 1, 2..8, 9..64, 65..512, more. */
static const size_t size_most[] = {1, 8, 64, 512, SIZE_MAX};
static struct speedy_metric sizes[] = {
    {.name = "speedy_orderd_batches_total",
     .help = "Batches committed, by their greatest number of records",
     .type = SPEEDY_COUNTER,
     .labels = "upto=\"1\""},
    {.name = "speedy_orderd_batches_total",
     .type = SPEEDY_COUNTER,
     .labels = "upto=\"8\""},
    {.name = "speedy_orderd_batches_total",
     .type = SPEEDY_COUNTER,
     .labels = "upto=\"64\""},
    {.name = "speedy_orderd_batches_total",
     .type = SPEEDY_COUNTER,
     .labels = "upto=\"512\""},
    {.name = "speedy_orderd_batches_total",
     .type = SPEEDY_COUNTER,
     .labels = "upto=\"1024\""},
};

static struct speedy_metric batch_time = {
    .name = "speedy_orderd_batch_seconds",
    .help = "A batch's transaction, with its commit",
    .type = SPEEDY_HISTOGRAM,
    .labels = ""};
static struct speedy_metric retries = {
    .name = "speedy_orderd_retries_total",
    .help = "Batches run again after a lost connection, deadlock or doubt",
    .type = SPEEDY_COUNTER,
    .labels = ""};
static struct speedy_metric partitions_held = {
    .name = "speedy_orderd_partitions_held",
    .help = "Partitions that this instance reads",
    .type = SPEEDY_GAUGE,
    .labels = ""};
static struct speedy_metric partitions_stopped = {
    .name = "speedy_orderd_partitions_stopped",
    .help = "Held partitions that are stopped with an alarm",
    .type = SPEEDY_GAUGE,
    .labels = ""};
static struct speedy_metric lag_records = {
    .name = "speedy_orderd_lag_records",
    .help = "Records not yet in MySQL, over the partitions held",
    .type = SPEEDY_GAUGE,
    .labels = ""};

#define COUNT(x) (sizeof(x) / sizeof((x)[0]))

void orderd_metrics_register(void)
{
    for (size_t i = ORDERD_MARKER; i < COUNT(records); i++)
        speedy_metric_register(&records[i]);
    for (size_t i = 0; i < COUNT(sizes); i++)
        speedy_metric_register(&sizes[i]);
    speedy_metric_register(&batch_time);
    speedy_metric_register(&retries);
    speedy_metric_register(&partitions_held);
    speedy_metric_register(&partitions_stopped);
    speedy_metric_register(&lag_records);
}

void orderd_metrics_record(enum orderd_verdict verdict)
{
    if (verdict != ORDERD_NEW)
        speedy_metric_add(&records[verdict], 1);
}

void orderd_metrics_batch(size_t count, int64_t ms)
{
    size_t i = 0;

    while (count > size_most[i])
        i++;
    speedy_metric_add(&sizes[i], 1);
    speedy_metric_observe(&batch_time, ms);
}

void orderd_metrics_retry(void)
{
    speedy_metric_add(&retries, 1);
}

void orderd_metrics_partitions(int held, int stopped, int64_t lag)
{
    speedy_metric_set(&partitions_held, held);
    speedy_metric_set(&partitions_stopped, stopped);
    speedy_metric_set(&lag_records, lag);
}
