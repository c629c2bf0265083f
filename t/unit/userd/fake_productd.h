/*
 * A productd for tests of userd: a process of its own with the real HTTP
 * server, so that it can be stopped (SIGSTOP), and with what it was asked in
 * memory that the test reads. Start it before anything else: it forks.
 *
 * There is every product whose id does not begin with `gone`.
 */
#ifndef FAKE_PRODUCTD_H
#define FAKE_PRODUCTD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define FAKE_SALES 300
#define FAKE_PAGE 100

struct fake_productd {
    atomic_bool ready;
    atomic_int product_calls, sale_calls;
    atomic_int ids;         /* of the last call for products */
    atomic_bool out_of_use; /* answers 503 */
    /* what will open, by opens_at */
    atomic_int sales;
    struct {
        char id[41], product[41], state[12];
        int64_t opens_at;
    } sale[FAKE_SALES];
};

/* 0 or -1. It ends with the test, however that ends. */
int fake_productd_start(void);
extern struct fake_productd *fake_productd;
void fake_productd_freeze(bool frozen);
/* Counters, sales and state as at the start. */
void fake_productd_reset(void);
/* Adds one that opens in so many ms. */
void fake_productd_sale(const char *id, const char *product, const char *state,
                        long opens_in_ms);

#endif
