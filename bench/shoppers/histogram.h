/*
 * A histogram of latencies with a fixed size: 64 linear steps within each
 * power of two of microseconds (error below 1.6 %), from 1 us to 2^39 us.
 */
#ifndef SHOPPERS_HISTOGRAM_H
#define SHOPPERS_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_STEPS 64
#define HISTOGRAM_POWERS 34

struct histogram {
    uint64_t count;
    uint64_t sum;
    uint64_t max;
    uint64_t bucket[HISTOGRAM_POWERS * HISTOGRAM_STEPS];
};

void histogram_add(struct histogram *h, uint64_t usec);

/* The value (us) at or below which `share` (0..1) of the samples lie. */
uint64_t histogram_at(const struct histogram *h, double share);

#endif
