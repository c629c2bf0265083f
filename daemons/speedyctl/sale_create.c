/*
 * `sale create`: the sale and its variants in one transaction; stockd finds
 * them and opens the gate, which this command waits for.
 */
#include "sale.h"

#include <stdio.h>
#include <string.h>

static int stock_item(const char *text, size_t len, struct speedy_sale *s)
{
    struct speedy_sale_variant *v = &s->variant[s->variant_count];
    const char *equals = memchr(text, '=', len);
    char number[16];
    size_t digits;

    if (equals == NULL || s->variant_count == SPEEDY_VARIANTS_MAX)
        return -1;
    digits = len - (size_t)(equals + 1 - text);
    if (equals == text || equals - text > SPEEDY_ID_MAX || digits == 0 ||
        digits >= sizeof(number))
        return -1;
    snprintf(v->id, sizeof(v->id), "%.*s", (int)(equals - text), text);
    snprintf(number, sizeof(number), "%.*s", (int)digits, equals + 1);
    if (!ctl_id(v->id) ||
        ctl_number(number, 0, SPEEDY_STOCK_MAX, &v->total) != 0)
        return -1;
    for (int i = 0; i < s->variant_count; i++) {
        if (strcmp(s->variant[i].id, v->id) == 0)
            return -1;
    }
    s->variant_count++;
    return 0;
}

int sale_stock_parse(const char *text, struct speedy_sale *s)
{
    s->variant_count = 0;
    if (strchr(text, '=') == NULL) {
        snprintf(s->variant[0].id, sizeof(s->variant[0].id), "default");
        s->variant_count = 1;
        return ctl_number(text, 0, SPEEDY_STOCK_MAX, &s->variant[0].total);
    }
    for (;;) {
        size_t n = strcspn(text, ",");

        if (stock_item(text, n, s) != 0)
            return -1;
        if (text[n] == '\0')
            return 0;
        text += n + 1;
    }
}

static int parse(struct ctl *c, struct speedy_sale *s, int64_t *wait)
{
    const char *id = ctl_option(c, "id"), *product = ctl_option(c, "product");
    const char *stock = ctl_option(c, "stock"), *word;
    const char *opens = ctl_option(c, "opens-at");
    const char *closes = ctl_option(c, "closes-at");
    int code;

    if (id == NULL || !ctl_id(id))
        return ctl_usage(c, "--id: an id has 1-40 of [A-Za-z0-9_-]");
    if (product == NULL || !ctl_id(product))
        return ctl_usage(c, "--product: the id of a product (product list)");
    if (stock == NULL || sale_stock_parse(stock, s) != 0)
        return ctl_usage(c, "--stock: units as 100, or of each variant as "
                            "270=10,280=5");
    if (ctl_time(opens ? opens : "now", &s->opens_at) != 0)
        return ctl_usage(c,
                         "--opens-at %s: give now, or RFC 3339 with offset "
                         "(2026-12-01T10:00:00+09:00)",
                         opens);
    if (closes != NULL &&
        (ctl_time(closes, &s->closes_at) != 0 || s->closes_at < 0))
        return ctl_usage(c,
                         "--closes-at %s: give RFC 3339 with offset "
                         "(2026-12-01T11:00:00+09:00)",
                         closes);
    if (s->closes_at != 0 && s->closes_at <= s->opens_at)
        return ctl_usage(c, "--closes-at must be later than --opens-at (%s)",
                         ctl_time_text(s->opens_at));
    snprintf(s->id, sizeof(s->id), "%s", id);
    snprintf(s->product, sizeof(s->product), "%s", product);
    code = ctl_option_number(c, "limit", 1, 1, SPEEDY_LIMIT_MAX, &s->limit);
    if (code == 0)
        code = ctl_option_duration(c, "hold", 600000, &s->hold_ms);
    if (code == 0)
        code = ctl_option_duration(c, "wait", 10000, wait);
    if (code == 0 &&
        (s->hold_ms < SPEEDY_HOLD_MIN_MS || s->hold_ms > SPEEDY_HOLD_MAX_MS))
        code = ctl_usage(c, "--hold: from 1s to 24h");
    if (code == 0)
        code = ctl_option_word(c, "restock", "immediate hold random", &word);
    if (code != 0)
        return code;
    snprintf(s->restock, sizeof(s->restock), "%s", word);
    code = ctl_option_word(c, "shipping", "scheduled manual", &word);
    if (code == 0)
        snprintf(s->shipping, sizeof(s->shipping), "%s", word);
    return code;
}

static int told(struct ctl *c, const struct speedy_sale *s, int64_t wait,
                bool opened_now)
{
    const char *gate = sale_gate_word(s);

    if (c->json)
        printf("{\"id\":\"%s\",\"state\":\"%s\",\"gate\":\"%s\","
               "\"opened_now\":%s}\n",
               s->id, speedy_sale_word(s), s->gate ? "up" : "fenced",
               opened_now ? "true" : "false");
    else if (s->gate)
        printf("sale %s is %s: its gate stands\n", s->id, speedy_sale_word(s));
    else
        printf("sale %s is created\n", s->id);
    if (!c->json && opened_now)
        printf("its opening time had passed: it opened now\n");
    if (s->gate || wait == 0)
        return CTL_DONE;
    return ctl_refuse(c,
                      "the sale exists, but its gate is %s after %s: is stockd "
                      "running? (sale show %s)",
                      gate, ctl_duration_text(wait), s->id);
}

int ctl_sale_create(struct ctl *c)
{
    static struct speedy_sale s;
    struct speedy_act a;
    bool opened_now = false;
    int64_t wait = 0, opens_at;
    int code;

    memset(&s, 0, sizeof(s));
    code = parse(c, &s, &wait);
    if (code != 0)
        return code;
    opens_at = s.opens_at;
    code = ctl_act_begin(c, &a);
    if (code == 0)
        code =
            sale_act_told(c, speedy_sale_create(&a, &s, &opened_now), s.id, &s);
    speedy_buf_free(&a.detail);
    if (code == 0)
        code = sale_read(c, ctl_option(c, "id"), &s);
    if (code != 0)
        return code;
    if (wait > 0)
        sale_wait_gate(c, &s, wait);
    return told(c, &s, wait, opened_now && opens_at > 0);
}
