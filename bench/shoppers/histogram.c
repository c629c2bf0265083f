/*
 * Log-linear histogram, in the manner of HdrHistogram: values below 64 us have
 * a bucket each; above, the leading bit chooses a group of 64 buckets and the
 * six bits after it one bucket of the group. No allocation, no rescaling.
 */
#include "histogram.h"

static unsigned histogram_index(uint64_t usec)
{
    if (usec < HISTOGRAM_STEPS) {
        return (unsigned)usec;
    }

    unsigned shift = 63 - (unsigned)__builtin_clzll(usec) - 6;
    if (shift + 1 >= HISTOGRAM_POWERS) {
        return HISTOGRAM_POWERS * HISTOGRAM_STEPS - 1;
    }

    return (shift + 1) * HISTOGRAM_STEPS +
           (unsigned)((usec >> shift) - HISTOGRAM_STEPS);
}

static uint64_t histogram_upper(unsigned index)
{
    if (index < HISTOGRAM_STEPS) {
        return index;
    }

    unsigned shift = index / HISTOGRAM_STEPS - 1;
    uint64_t step = index % HISTOGRAM_STEPS + HISTOGRAM_STEPS;

    return ((step + 1) << shift) - 1;
}

void histogram_add(struct histogram *h, uint64_t usec)
{
    h->count++;
    h->sum += usec;
    h->bucket[histogram_index(usec)]++;
    if (usec > h->max) {
        h->max = usec;
    }
}

uint64_t histogram_at(const struct histogram *h, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)h->count + 0.5);
    uint64_t seen = 0;

    if (h->count == 0) {
        return 0;
    }
    if (wanted == 0) {
        wanted = 1;
    }

    for (unsigned i = 0; i < HISTOGRAM_POWERS * HISTOGRAM_STEPS; i++) {
        seen += h->bucket[i];
        if (seen >= wanted) {
            uint64_t upper = histogram_upper(i);
            return upper < h->max ? upper : h->max;
        }
    }

    return h->max;
}
