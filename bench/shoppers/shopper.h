/*
 * A purchase: one shopper who wants something, from the moment it is due until
 * its final answer. Its attempts are carried by gateway.c.
 */
#ifndef SHOPPERS_SHOPPER_H
#define SHOPPERS_SHOPPER_H

#include "clientlog.h"
#include "options.h"
#include "tally.h"
#include "tokens.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHOPPER_KEY_MAX 48
#define SHOPPER_ORDER_MAX 41
#define SHOPPER_CODE_MAX 48
#define SHOPPER_REQUEST_MAX 40960

enum shopper_phase { PHASE_FIRST, PHASE_SAME, PHASE_NEW };

struct purchase {
    struct purchase *next; /* in a queue or in the list of free ones */
    uint64_t shopper;
    uint64_t serial; /* of the key */
    uint64_t due_ns; /* when this attempt was meant to be sent */
    uint64_t first_due_ns;
    uint64_t wake_ns; /* in the heap of those who wait */
    int64_t sent_ms;  /* set by gateway.c */
    unsigned attempt;
    unsigned gateway;
    unsigned variant;
    enum shopper_phase phase;
    bool accepted; /* this key was answered with 202 */
    char order_id[SHOPPER_ORDER_MAX];
};

struct answer {
    int status; /* 0: none */
    int retry_after;
    bool replayed;
    char code[SHOPPER_CODE_MAX];
    char order_id[SHOPPER_ORDER_MAX];
};

struct shopping;

/* Borrows all that it is given. NULL when out of memory. */
struct shopping *shopping_new(const struct options *o, const struct tokens *t,
                              struct clientlog *log, struct tally *tally);
void shopping_free(struct shopping *s);

/* Runs until every purchase is final, the time is over or *stop is set. */
int shopping_run(struct shopping *s, volatile const int *stop);

/* For gateway.c: the bytes of the next attempt of p, valid until next call. */
const char *shopping_request(struct shopping *s, struct purchase *p,
                             size_t *len);

/* For gateway.c: the answer of an attempt of p, exactly once an attempt. */
void shopping_answer(struct shopping *s, struct purchase *p,
                     const struct answer *a, uint64_t now_ns);

#endif
