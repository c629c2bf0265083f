/*
 * The life of an order: the one table of allowed moves. Code checks a move
 * here before it runs the conditional UPDATE; the auditor checks every row of
 * order_events against it; `speedyctl states` prints it for the docs.
 */
#ifndef SPEEDY_STATES_H
#define SPEEDY_STATES_H

#include <stddef.h>

/* Where an order's live units are counted. */
enum speedy_units { SPEEDY_UNITS_NONE, SPEEDY_UNITS_HELD, SPEEDY_UNITS_SOLD };

struct speedy_state {
    const char *name;
    enum speedy_units units;
    int final; /* nothing moves it any more */
};
extern const struct speedy_state speedy_states[];
extern const size_t speedy_state_count;
/* NULL when there is no such state. */
const struct speedy_state *speedy_state_find(const char *name);

struct speedy_move {
    const char *from, *to; /* from "": the order is new */
    const char *actors;    /* words separated by blanks */
    const char *condition; /* for the docs */
};
extern const struct speedy_move speedy_moves[];
extern const size_t speedy_move_count;
/*
 * The move's row when actor (a role, or role:id) may make it, else NULL.
 */
const struct speedy_move *speedy_move_find(const char *from, const char *to,
                                           const char *actor);

#endif
