/*
 * The table of moves, as docs/architecture.md shows it. Adding a move means
 * adding a row here, and the daemon's conditional UPDATE that makes it.
 */
#include "states.h"

#include <string.h>

const struct speedy_state speedy_states[] = {
    {"PENDING_PAYMENT", SPEEDY_UNITS_HELD, 0},
    {"PAY_READY", SPEEDY_UNITS_HELD, 0},
    {"PAY_APPROVING", SPEEDY_UNITS_HELD, 0},
    {"PAY_FAILED", SPEEDY_UNITS_HELD, 0},
    {"PAID", SPEEDY_UNITS_SOLD, 0},
    {"SHIPPED", SPEEDY_UNITS_SOLD, 0},
    {"DELIVERED", SPEEDY_UNITS_SOLD, 0},
    {"RETURN_REQUESTED", SPEEDY_UNITS_SOLD, 0},
    {"RETURN_RECEIVED", SPEEDY_UNITS_SOLD, 0},
    {"REFUNDING", SPEEDY_UNITS_SOLD, 0},
    {"REFUND_STUCK", SPEEDY_UNITS_SOLD, 0},
    {"REJECTED", SPEEDY_UNITS_NONE, 1},
    {"EXPIRED", SPEEDY_UNITS_NONE, 1},
    {"CANCELLED", SPEEDY_UNITS_NONE, 1},
    {"RETURNED", SPEEDY_UNITS_NONE, 1},
};
const size_t speedy_state_count =
    sizeof(speedy_states) / sizeof(speedy_states[0]);

const struct speedy_move speedy_moves[] = {
    {"", "PENDING_PAYMENT", "orderd", "guard, epoch and offset hold"},
    {"", "REJECTED", "orderd", "stale epoch; or no stock (alarm)"},
    {"PENDING_PAYMENT", "PAY_READY", "payd", "ready succeeded"},
    {"PAY_FAILED", "PAY_READY", "payd", "ready succeeded"},
    {"PAY_READY", "PAY_READY", "payd", "a new attempt; old nonce revoked"},
    {"PAY_READY", "PAY_APPROVING", "payd", "nonce right, before deadline"},
    {"PAY_APPROVING", "PAID", "payd reconciler", "paid, every field agrees"},
    {"PAY_APPROVING", "PAY_FAILED", "payd reconciler", "a definite refusal"},
    {"PENDING_PAYMENT", "EXPIRED", "schedd", "deadline passed"},
    {"PAY_READY", "EXPIRED", "schedd", "deadline passed"},
    {"PAY_FAILED", "EXPIRED", "schedd", "deadline passed"},
    {"PENDING_PAYMENT", "CANCELLED", "shopper operator", ""},
    {"PAY_READY", "CANCELLED", "shopper operator", ""},
    {"PAY_FAILED", "CANCELLED", "shopper operator", ""},
    {"PAID", "SHIPPED", "schedd operator carrier", "by the shipping mode"},
    {"SHIPPED", "DELIVERED", "schedd operator carrier", ""},
    {"PAID", "REFUNDING", "shopper operator", "before shipping"},
    {"REFUNDING", "CANCELLED", "payd", "refunded"},
    {"DELIVERED", "RETURN_REQUESTED", "shopper operator", "in the window"},
    {"SHIPPED", "RETURN_REQUESTED", "shopper operator", "for a defect"},
    {"RETURN_REQUESTED", "DELIVERED", "shopper", "withdrawn"},
    {"RETURN_REQUESTED", "RETURN_RECEIVED", "schedd operator carrier", ""},
    {"RETURN_RECEIVED", "REFUNDING", "payd", ""},
    {"REFUNDING", "RETURNED", "payd", "refunded"},
    {"REFUNDING", "REFUND_STUCK", "payd", "refused for good"},
    {"REFUND_STUCK", "CANCELLED", "operator", "paid by hand, with proof"},
    {"REFUND_STUCK", "RETURNED", "operator", "paid by hand, with proof"},
};
const size_t speedy_move_count = sizeof(speedy_moves) / sizeof(speedy_moves[0]);

const struct speedy_state *speedy_state_find(const char *name)
{
    for (size_t i = 0; i < speedy_state_count; i++) {
        if (strcmp(speedy_states[i].name, name) == 0)
            return &speedy_states[i];
    }
    return NULL;
}

/* Whether the role before a colon in actor is one of the words. */
static int actor_allowed(const char *words, const char *actor)
{
    size_t len = strcspn(actor, ":");

    for (const char *w = words; *w != '\0';) {
        size_t n = strcspn(w, " ");

        if (n == len && memcmp(w, actor, n) == 0)
            return 1;
        w += n;
        w += strspn(w, " ");
    }
    return 0;
}

const struct speedy_move *speedy_move_find(const char *from, const char *to,
                                           const char *actor)
{
    for (size_t i = 0; i < speedy_move_count; i++) {
        const struct speedy_move *m = &speedy_moves[i];

        if (strcmp(m->from, from) == 0 && strcmp(m->to, to) == 0 &&
            actor_allowed(m->actors, actor))
            return m;
    }
    return NULL;
}
