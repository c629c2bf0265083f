/*
 * `sale stock`, `release`, `extend-holds`: acts on a sale's units in words.
 * A change of stock waits for what stockd makes of it.
 */
#include "sale.h"

#include <stdio.h>
#include <string.h>

static int stock_told(struct ctl *c, const char *sale, const char *variant,
                      int64_t units, int64_t adjustment, const char *state)
{
    if (c->json)
        printf("{\"sale\":\"%s\",\"variant\":\"%s\",\"units\":%lld,"
               "\"adjustment\":%lld,\"state\":\"%s\"}\n",
               sale, variant, (long long)units, (long long)adjustment, state);
    else
        printf("sale %s, %s: %+lld units: %s\n", sale, variant,
               (long long)units, state);
    if (strcmp(state, "DONE") == 0)
        return CTL_DONE;
    if (strcmp(state, "REFUSED") == 0)
        return ctl_refuse(c, "so many units are not left: see sale show %s",
                          sale);
    if (strcmp(state, "VOID") == 0)
        return ctl_refuse(c, "the ledger was rebuilt meanwhile, which voids a "
                             "lowering: give it again");
    return ctl_refuse(c,
                      "stockd has not finished it yet; it will, when it "
                      "runs (adjustment %lld)",
                      (long long)adjustment);
}

int ctl_sale_stock(struct ctl *c)
{
    static struct speedy_sale s;
    const char *text = c->args[c->arg_count - 1], *variant;
    struct speedy_act a;
    int64_t units, wait, adjustment = 0;
    char state[16];
    int code, n;

    if ((*text != '+' && *text != '-') ||
        ctl_number(text, -SPEEDY_STOCK_MAX, SPEEDY_STOCK_MAX, &units) != 0 ||
        units == 0)
        return ctl_usage(c, "%s: give +N to add or -N to take units", text);
    code = ctl_option_duration(c, "wait", 10000, &wait);
    if (code == 0)
        code = sale_read(c, c->args[0], &s);
    if (code != 0)
        return code;
    variant = c->arg_count == 3 ? c->args[1] : s.variant[0].id;
    if (c->arg_count == 2 && s.variant_count != 1)
        return ctl_usage(c, "sale %s has %d variants: say which", s.id,
                         s.variant_count);
    code = ctl_act_begin(c, &a);
    if (code == 0)
        code = sale_act_told(
            c,
            speedy_sale_stock(&a, c->args[0], variant, units, &s, &adjustment),
            c->args[0], &s);
    speedy_buf_free(&a.detail);
    if (code != 0)
        return code;
    n = speedy_sale_stock_state(c->db, adjustment, wait, state);
    if (n != 0)
        return ctl_db_failed(c, n);
    return stock_told(c, s.id, variant, units, adjustment, state);
}

int ctl_sale_extend_holds(struct ctl *c)
{
    static struct speedy_sale s;
    struct speedy_act a;
    int64_t ms;
    long orders = 0;
    int code;

    if (ctl_duration(c->args[1], &ms) != 0 || ms < 1000 || ms > 86400000)
        return ctl_usage(c, "%s: give a time from 1s to 24h, as 10m",
                         c->args[1]);
    code = ctl_act_begin(c, &a);
    if (code == 0)
        code = sale_act_told(
            c, speedy_sale_extend_holds(&a, c->args[0], ms, &s, &orders),
            c->args[0], &s);
    speedy_buf_free(&a.detail);
    if (code != 0)
        return code;
    if (c->json)
        printf("{\"sale\":\"%s\",\"orders\":%ld,\"ms\":%lld}\n", c->args[0],
               orders, (long long)ms);
    else
        printf("sale %s: %ld unpaid orders have %s more\n", c->args[0], orders,
               ctl_duration_text(ms));
    return CTL_DONE;
}

int ctl_sale_release(struct ctl *c)
{
    static struct speedy_sale s;
    struct speedy_act a;
    int64_t units, released = 0;
    int code = ctl_option_number(c, "units", INT32_MAX, 1, INT32_MAX, &units);

    if (code != 0)
        return code;
    code = ctl_act_begin(c, &a);
    if (code == 0)
        code = sale_act_told(c,
                             speedy_sale_release(&a, c->args[0],
                                                 ctl_option(c, "variant"),
                                                 units, &s, &released),
                             c->args[0], &s);
    speedy_buf_free(&a.detail);
    if (code != 0)
        return code;
    if (c->json)
        printf("{\"sale\":\"%s\",\"released\":%lld}\n", c->args[0],
               (long long)released);
    else
        printf("sale %s: %lld withheld units are sellable again\n", c->args[0],
               (long long)released);
    return CTL_DONE;
}
