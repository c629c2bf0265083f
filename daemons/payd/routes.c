/* The table of routes. */
#include "attempt.h"
#include "callback.h"
#include "page.h"
#include "payd.h"

const struct speedy_route payd_routes[] = {
    {"POST", "/api/v1/orders/*/payment", payd_attempt_post, NULL, false, NULL},
    {"GET", "/pay/kakaopay/done", payd_page_done, NULL, true, NULL},
    {"GET", "/pay/kakaopay/*/approve", payd_callback_approve, NULL, true, NULL},
    {"GET", "/pay/kakaopay/*/cancel", payd_callback_hint, NULL, true, NULL},
    {"GET", "/pay/kakaopay/*/fail", payd_callback_hint, NULL, true, NULL},
    {.method = NULL},
};
