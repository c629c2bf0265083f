/*
 * When to call a neighbour and when to leave it alone: decisions only, by the
 * time they are told. A struct of zeros is ready for use. The caller locks.
 *
 * Breaker: *closed*; *open* once half of the last 20 calls have failed: no
 * call for 1 s; then *half-open*: one trial call. It succeeds: closed, and all
 * is forgotten; it fails: open again, for twice as long, 10 s at the most.
 *
 * Retries: a tenth of the calls, saved up to 10, 3 to begin with.
 */
#ifndef SPEEDY_BREAKER_H
#define SPEEDY_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#define SPEEDY_BREAKER_WINDOW 20
#define SPEEDY_BREAKER_PAUSE_MS 1000
#define SPEEDY_BREAKER_PAUSE_MOST_MS 10000

enum speedy_breaker_state {
    SPEEDY_BREAKER_CLOSED,
    SPEEDY_BREAKER_HALF_OPEN,
    SPEEDY_BREAKER_OPEN
};

struct speedy_breaker {
    enum speedy_breaker_state state;
    /* of the last calls, while closed */
    bool failed[SPEEDY_BREAKER_WINDOW];
    int next, failures;
    unsigned long age; /* of the state: results of an earlier one are late */
    bool trial;        /* under way */
    long pause_ms;
    int64_t open_until;
};

/* A ticket for one call at this time, to be handed back; 0: leave it alone. */
unsigned long speedy_breaker_ask(struct speedy_breaker *b, int64_t now);
/* How it went. */
void speedy_breaker_done(struct speedy_breaker *b, unsigned long ticket,
                         int64_t now, bool good);
/* It was not sent at all. */
void speedy_breaker_unused(struct speedy_breaker *b, unsigned long ticket);

struct speedy_retries {
    long spent; /* tenths, above what the calls have earned */
};
/* A call began. */
void speedy_retries_earn(struct speedy_retries *r);
/* Whether one of them may be sent again; that is then paid for. */
bool speedy_retries_take(struct speedy_retries *r);

#endif
