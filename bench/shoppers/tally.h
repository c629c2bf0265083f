/* What came of a run: counters, histograms and the summary. */
#ifndef SHOPPERS_TALLY_H
#define SHOPPERS_TALLY_H

#include "histogram.h"
#include "options.h"

#include <stdint.h>

#define TALLY_CODES_MAX 96

struct tally_count {
    int status;
    char code[48];
    uint64_t count;
};

struct tally {
    struct tally_count answers[TALLY_CODES_MAX];
    unsigned nanswers;
    struct tally_count finals[TALLY_CODES_MAX];
    unsigned nfinals;
    struct histogram latency;  /* every answer, from when it was due */
    struct histogram accepted; /* the 202s among them */
    struct histogram final;    /* from first due to final answer */
    uint64_t sent;
    uint64_t connects;
    uint64_t connections_max;
    uint64_t purchases;
    uint64_t unfinished;
    uint64_t dropped; /* arrivals beyond --max-active */
    uint64_t retries;
    uint64_t replays;
    uint64_t repeat_same;
    uint64_t repeat_new;
    uint64_t violations;
    uint64_t start_ns;
    uint64_t end_ns;
    uint64_t last_202_ns;
};

void tally_answer(struct tally *t, int status, const char *code);
void tally_final(struct tally *t, int status, const char *code);

/* Text, or one JSON object with --json, on stdout. */
void tally_print(const struct tally *t, const struct options *o);

#endif
