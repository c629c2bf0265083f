/*
 * POST /admin/sales/{id}/…: the acts on a sale that stands.
 */
#include <string.h>

#include "../common/loop.h"
#include "../shop/event.h"
#include "admin.h"

#define STOCK_WAIT_MS 2000
#define UNITS_MOST INT32_MAX

static const char *const reason_only[] = {"reason", "version", NULL};

/* {"id", what: value} of an act that is done. */
static void told(struct productd_admin *a, const char *what, int64_t value)
{
    speedy_buf_printf(&a->r->out, "{\"id\":\"%s\",\"%s\":%lld}\n", a->r->id,
                      what, (long long)value);
    productd_private(a->r, 200, 0);
}

static void told_version(struct productd_admin *a, const struct speedy_sale *s,
                         const char *state)
{
    speedy_buf_printf(&a->r->out,
                      "{\"id\":\"%s\",\"stored_state\":\"%s\","
                      "\"version\":%lld}\n",
                      a->r->id, state, (long long)s->version + 1);
    productd_private(a->r, 200, s->version + 1);
}

void productd_admin_sale_move(struct speedy_request *r, void *verb)
{
    struct productd_admin a;
    struct speedy_sale s = {0};
    const char *to = NULL;

    if (productd_admin_begin(&a, r, reason_only) &&
        productd_admin_result(
            &a, speedy_sale_move(&a.act, r->id, verb, &s, &to), &s) == 0)
        told_version(&a, &s, to);
    productd_admin_end(&a);
}

void productd_admin_sale_time(struct speedy_request *r, void *verb)
{
    static const char *const opens[] = {"opens_at", "reason", "version", NULL};
    static const char *const closes[] = {"closes_at", "reason", "version",
                                         NULL};
    bool postpone = strcmp(verb, "postpone") == 0;
    const char *name = postpone ? "opens_at" : "closes_at";
    const char *code = postpone ? "opens_at_invalid" : "closes_at_invalid";
    struct productd_admin a;
    struct speedy_sale s = {0};
    int64_t time = 0;
    int n;

    if (!productd_admin_begin(&a, r, postpone ? opens : closes) ||
        productd_take_time(&a, name, false, code, &time) != 0) {
        productd_admin_end(&a);
        return;
    }
    if (time == 0) {
        productd_bad(r, productd_pointer(name), code, "A time is needed.");
    } else {
        n = postpone ? speedy_sale_postpone(&a.act, r->id, time, &s)
                     : speedy_sale_extend(&a.act, r->id, time, &s);
        if (productd_admin_result(&a, n, &s) == 0)
            told_version(&a, &s, s.state);
    }
    productd_admin_end(&a);
}

void productd_admin_sale_notice(struct speedy_request *r, void *data)
{
    static const char *const names[] = {"notice", "reason", "version", NULL};
    struct productd_admin a;
    struct speedy_sale s = {0};
    const char *text = NULL;

    (void)data;
    if (productd_admin_begin(&a, r, names) &&
        productd_take_text(&a, "notice", 0, SPEEDY_NOTICE_MAX, true,
                           "notice_invalid", &text) == 0) {
        if (text == NULL)
            productd_bad(r, "/notice", "notice_invalid",
                         "A notice is needed; \"\" takes it away.");
        else if (productd_admin_result(
                     &a, speedy_sale_notice(&a.act, r->id, text, &s), &s) == 0)
            told_version(&a, &s, s.state);
    }
    productd_admin_end(&a);
}

void productd_admin_sale_stop_all(struct speedy_request *r, void *data)
{
    struct productd_admin a;
    long paused = 0;

    (void)data;
    if (productd_admin_begin(&a, r, reason_only) &&
        productd_admin_result(&a, speedy_sale_stop_all(&a.act, &paused),
                              NULL) == 0) {
        speedy_buf_printf(&r->out, "{\"paused\":%ld}\n", paused);
        productd_private(r, 200, 0);
    }
    productd_admin_end(&a);
}

/* What stockd made of it by now. */
static void stock_told(struct productd_admin *a, const char *variant,
                       int64_t units, int64_t adjustment)
{
    long budget = speedy_request_budget(a->r) - 500;
    char state[16];

    if (speedy_sale_stock_state(a->stores->db, adjustment,
                                budget < STOCK_WAIT_MS ? budget : STOCK_WAIT_MS,
                                state) != 0)
        state[0] = '\0'; /* written, and that is all that is known */
    if (strcmp(state, "REFUSED") == 0) {
        speedy_problem(a->r, 409, "stock_not_left",
                       "So many units are not left: they are held, sold or "
                       "withheld.");
        return;
    }
    if (strcmp(state, "VOID") == 0) {
        speedy_problem(a->r, 409, "stock_void",
                       "The ledger was rebuilt meanwhile: give it again.");
        return;
    }
    speedy_buf_printf(&a->r->out,
                      "{\"id\":\"%s\",\"variant\":\"%s\",\"units\":%lld,"
                      "\"adjustment\":%lld,\"state\":\"%s\"}\n",
                      a->r->id, variant, (long long)units,
                      (long long)adjustment, state[0] ? state : "OPEN");
    productd_private(a->r, strcmp(state, "DONE") == 0 ? 200 : 202, 0);
}

void productd_admin_sale_stock(struct speedy_request *r, void *data)
{
    static const char *const names[] = {"variant", "units", "reason", "version",
                                        NULL};
    struct productd_admin a;
    struct speedy_sale s = {0};
    const char *variant = "default";
    int64_t units = 0, adjustment = 0;

    (void)data;
    if (productd_admin_begin(&a, r, names) &&
        productd_take_id(&a, "variant", false, "variant_invalid", &variant) ==
            0 &&
        productd_take_number(&a, "units", -SPEEDY_STOCK_MAX, SPEEDY_STOCK_MAX,
                             "units_invalid", &units) == 0) {
        if (units == 0)
            productd_bad(r, "/units", "units_invalid",
                         "units are added, or taken when below 0.");
        else if (productd_admin_result(&a,
                                       speedy_sale_stock(&a.act, r->id, variant,
                                                         units, &s,
                                                         &adjustment),
                                       &s) == 0)
            stock_told(&a, variant, units, adjustment);
    }
    productd_admin_end(&a);
}

void productd_admin_sale_release(struct speedy_request *r, void *data)
{
    static const char *const names[] = {"variant", "units", "reason", "version",
                                        NULL};
    struct productd_admin a;
    struct speedy_sale s = {0};
    const char *variant = NULL;
    int64_t units = UNITS_MOST, released = 0;

    (void)data;
    if (productd_admin_begin(&a, r, names) &&
        productd_take_id(&a, "variant", false, "variant_invalid", &variant) ==
            0 &&
        productd_take_number(&a, "units", 1, UNITS_MOST, "units_invalid",
                             &units) == 0 &&
        productd_admin_result(
            &a,
            speedy_sale_release(&a.act, r->id, variant, units, &s, &released),
            &s) == 0)
        told(&a, "released", released);
    productd_admin_end(&a);
}

void productd_admin_sale_extend_holds(struct speedy_request *r, void *data)
{
    static const char *const names[] = {"seconds", "reason", "version", NULL};
    struct productd_admin a;
    struct speedy_sale s = {0};
    int64_t seconds = 0;
    long orders = 0;

    (void)data;
    if (productd_admin_begin(&a, r, names) &&
        productd_take_number(&a, "seconds", 1, SPEEDY_HOLD_MAX_MS / 1000,
                             "seconds_invalid", &seconds) == 0) {
        if (seconds == 0)
            productd_bad(r, "/seconds", "seconds_invalid",
                         "seconds from 1 to 86400 are needed.");
        else if (productd_admin_result(&a,
                                       speedy_sale_extend_holds(&a.act, r->id,
                                                                seconds * 1000,
                                                                &s, &orders),
                                       &s) == 0)
            told(&a, "orders", orders);
    }
    productd_admin_end(&a);
}
