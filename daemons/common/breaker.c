/* The circuit breaker's moves and the budget of retries: no clock, no I/O. */
#include "breaker.h"

#include <string.h>

#define TENTHS 10
#define SAVED_FIRST (3 * TENTHS)
#define SAVED_MOST (10 * TENTHS)

static void turn(struct speedy_breaker *b, enum speedy_breaker_state state)
{
    b->state = state;
    b->age++;
    b->trial = false;
}

static void open_for(struct speedy_breaker *b, int64_t now, long pause_ms)
{
    turn(b, SPEEDY_BREAKER_OPEN);
    b->pause_ms = pause_ms < SPEEDY_BREAKER_PAUSE_MOST_MS
                      ? pause_ms
                      : SPEEDY_BREAKER_PAUSE_MOST_MS;
    b->open_until = now + b->pause_ms;
}

unsigned long speedy_breaker_ask(struct speedy_breaker *b, int64_t now)
{
    if (b->state == SPEEDY_BREAKER_OPEN && now >= b->open_until)
        turn(b, SPEEDY_BREAKER_HALF_OPEN);
    if (b->state == SPEEDY_BREAKER_OPEN || b->trial)
        return 0;
    b->trial = b->state == SPEEDY_BREAKER_HALF_OPEN;
    return b->age + 1;
}

void speedy_breaker_done(struct speedy_breaker *b, unsigned long ticket,
                         int64_t now, bool good)
{
    if (ticket != b->age + 1)
        return;
    if (b->state == SPEEDY_BREAKER_HALF_OPEN && good) {
        turn(b, SPEEDY_BREAKER_CLOSED);
        memset(b->failed, 0, sizeof(b->failed));
        b->failures = 0;
    } else if (b->state == SPEEDY_BREAKER_HALF_OPEN) {
        open_for(b, now, 2 * b->pause_ms);
    } else {
        b->failures += !good - b->failed[b->next];
        b->failed[b->next] = !good;
        b->next = (b->next + 1) % SPEEDY_BREAKER_WINDOW;
        if (b->failures >= SPEEDY_BREAKER_WINDOW / 2)
            open_for(b, now, SPEEDY_BREAKER_PAUSE_MS);
    }
}

void speedy_breaker_unused(struct speedy_breaker *b, unsigned long ticket)
{
    if (ticket == b->age + 1)
        b->trial = false;
}

void speedy_retries_earn(struct speedy_retries *r)
{
    if (r->spent > SAVED_FIRST - SAVED_MOST)
        r->spent--;
}

bool speedy_retries_take(struct speedy_retries *r)
{
    if (r->spent + TENTHS > SAVED_FIRST)
        return false;
    r->spent += TENTHS;
    return true;
}
