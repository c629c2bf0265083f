/*
 * `sale change`: what is given of a sale that has not opened yet.
 */
#include <stdio.h>
#include <string.h>

#include "sale.h"

/* `5000` for every variant of the sale, or `270=5000,280=6000`. 0 or -1. */
static int prices_parse(const char *text, const struct speedy_sale *s,
                        struct speedy_sale_change *ch)
{
    static struct speedy_sale parsed;

    memset(&parsed, 0, sizeof(parsed));
    if (sale_stock_parse(text, &parsed) != 0)
        return -1;
    if (strchr(text, '=') == NULL) {
        int64_t price = parsed.variant[0].total;

        parsed.variant_count = s->variant_count;
        for (int i = 0; i < s->variant_count; i++) {
            parsed.variant[i] = s->variant[i];
            parsed.variant[i].total = price;
        }
    }
    for (int i = 0; i < parsed.variant_count; i++) {
        ch->price[i].variant = parsed.variant[i].id;
        ch->price[i].price = parsed.variant[i].total;
        if (ch->price[i].price < 1)
            return -1;
    }
    ch->price_count = parsed.variant_count;
    return 0;
}

static int times_parse(struct ctl *c, struct speedy_sale_change *ch)
{
    const char *opens = ctl_option(c, "opens-at");
    const char *closes = ctl_option(c, "closes-at");

    if (opens != NULL &&
        (ctl_time(opens, &ch->opens_at) != 0 || ch->opens_at <= 0))
        return ctl_usage(c, "--opens-at %s: give RFC 3339 with offset", opens);
    ch->closes_given = closes != NULL;
    if (closes == NULL || strcmp(closes, "never") == 0)
        return 0;
    if (ctl_time(closes, &ch->closes_at) != 0 || ch->closes_at <= 0)
        return ctl_usage(
            c, "--closes-at %s: give never, or RFC 3339 with offset", closes);
    return 0;
}

static int parse(struct ctl *c, const struct speedy_sale *s,
                 struct speedy_sale_change *ch)
{
    const char *price = ctl_option(c, "price");
    int code = times_parse(c, ch);

    if (code == 0)
        code =
            ctl_option_number(c, "limit", 0, 1, SPEEDY_LIMIT_MAX, &ch->limit);
    if (code == 0)
        code = ctl_option_duration(c, "hold", 0, &ch->hold_ms);
    if (code == 0 && ch->hold_ms != 0 &&
        (ch->hold_ms < SPEEDY_HOLD_MIN_MS || ch->hold_ms > SPEEDY_HOLD_MAX_MS))
        code = ctl_usage(c, "--hold: from 1s to 24h");
    if (code == 0 && ctl_option(c, "restock") != NULL)
        code = ctl_option_word(c, "restock", "immediate hold random",
                               &ch->restock);
    if (code == 0 && ctl_option(c, "shipping") != NULL)
        code =
            ctl_option_word(c, "shipping", "scheduled manual", &ch->shipping);
    if (code == 0 && price != NULL && prices_parse(price, s, ch) != 0)
        code = ctl_usage(c, "--price: whole won, or of each variant as "
                            "270=5000,280=6000");
    return code;
}

int ctl_sale_change(struct ctl *c)
{
    static struct speedy_sale s;
    static struct speedy_sale_change ch;
    struct speedy_act a;
    int code;

    memset(&ch, 0, sizeof(ch));
    ch.id = c->args[0];
    code = sale_read(c, ch.id, &s);
    if (code == 0)
        code = parse(c, &s, &ch);
    if (code != 0)
        return code;
    code = ctl_act_begin(c, &a);
    a.version = s.version;
    if (code == 0)
        code = sale_act_told(c, speedy_sale_change(&a, &ch, &s), ch.id, &s);
    speedy_buf_free(&a.detail);
    if (code != 0)
        return code;
    if (c->json)
        printf("{\"id\":\"%s\",\"version\":%lld}\n", ch.id,
               (long long)s.version + 1);
    else
        printf("sale %s changed: it opens at %s\n", ch.id,
               ctl_time_text(s.opens_at));
    return CTL_DONE;
}
