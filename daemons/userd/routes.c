/*
 * The table of routes. `anyone` (the last column): no X-Speedy-User is asked
 * for. A path with `*` stands after its neighbours with a fixed word there.
 */
#include "routes.h"

const struct speedy_route userd_routes[] = {
    /* clang-format off */
    /* clang-format on */
    {NULL, NULL, NULL, NULL, false},
};
