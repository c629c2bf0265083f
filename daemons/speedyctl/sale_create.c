/*
 * `sale create`: the sale and its variants in one transaction; stockd finds
 * them and opens the gate, which this command waits for.
 */
#include "sale.h"

#include <stdio.h>
#include <string.h>

#define STOCK_MAX 100000000

static int stock_item(const char *text, size_t len, struct sale *s)
{
    struct sale_variant *v = &s->variant[s->variant_count];
    const char *equals = memchr(text, '=', len);
    char number[16];
    size_t digits;

    if (equals == NULL || s->variant_count == SALE_VARIANTS_MAX)
        return -1;
    digits = len - (size_t)(equals + 1 - text);
    if (equals == text || equals - text > SPEEDY_ID_MAX || digits == 0 ||
        digits >= sizeof(number))
        return -1;
    snprintf(v->id, sizeof(v->id), "%.*s", (int)(equals - text), text);
    snprintf(number, sizeof(number), "%.*s", (int)digits, equals + 1);
    if (!ctl_id(v->id) || ctl_number(number, 0, STOCK_MAX, &v->total) != 0)
        return -1;
    for (int i = 0; i < s->variant_count; i++) {
        if (strcmp(s->variant[i].id, v->id) == 0)
            return -1;
    }
    s->variant_count++;
    return 0;
}

int sale_stock_parse(const char *text, struct sale *s)
{
    s->variant_count = 0;
    if (strchr(text, '=') == NULL) {
        snprintf(s->variant[0].id, sizeof(s->variant[0].id), "default");
        s->variant_count = 1;
        return ctl_number(text, 0, STOCK_MAX, &s->variant[0].total);
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

static int parse(struct ctl *c, struct sale *s, int64_t *wait)
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
    snprintf(s->id, sizeof(s->id), "%s", id);
    snprintf(s->product, sizeof(s->product), "%s", product);
    code = ctl_option_number(c, "limit", 1, 1, 1000000, &s->limit);
    if (code == 0)
        code = ctl_option_duration(c, "hold", 600000, &s->hold_ms);
    if (code == 0)
        code = ctl_option_duration(c, "wait", 10000, wait);
    if (code == 0 && (s->hold_ms < 1000 || s->hold_ms > 86400000))
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

static int refused(struct ctl *c, const char *text, const char *id)
{
    ctl_refuse(c, text, id);
    return 1;
}

static int insert_variants(struct ctl *c, const struct sale *s, int64_t price)
{
    int n = 0;

    for (int i = 0; i < s->variant_count && n == 0; i++)
        n = speedy_db_exec(c->db,
                           "INSERT INTO sale_variants (sale_id, variant, "
                           "price, total, epoch) VALUES (?, ?, ?, ?, 1)",
                           DB_ARGS(DB_TEXT(s->id), DB_TEXT(s->variant[i].id),
                                   DB_INT(price), DB_INT(s->variant[i].total)),
                           NULL);
    return n;
}

static int insert(struct ctl *c, void *data)
{
    const struct sale *s = data;
    int64_t price = 0;
    int n;

    n = speedy_db_number(c->db, "SELECT price FROM products WHERE id = ?",
                         DB_ARGS(DB_TEXT(s->product)), &price);
    if (n == 0) {
        ctl_refuse(c,
                   "there is no product %s: speedyctl product add --id %s "
                   "--name NAME --price WON",
                   s->product, s->product);
        return 1;
    }
    if (n < 0)
        return n;
    n = speedy_db_exec(
        c->db,
        /* clang-format off */
        "INSERT INTO sales (id, product_id, opens_at, closes_at, "
        "per_user_limit, hold_ms, restock, shipping) VALUES (?, ?, "
        CTL_DATETIME ", " CTL_DATETIME ", ?, ?, ?, ?)",
        /* clang-format on */
        DB_ARGS(DB_TEXT(s->id), DB_TEXT(s->product), DB_INT(s->opens_at),
                s->closes_at ? DB_INT(s->closes_at) : DB_NULL, DB_INT(s->limit),
                DB_INT(s->hold_ms), DB_TEXT(s->restock), DB_TEXT(s->shipping)),
        NULL);
    if (n == SPEEDY_DB_DUPLICATE)
        return refused(c, "sale %s exists already; an id is never used again",
                       s->id);
    if (n == 0)
        n = insert_variants(c, s, price);
    speedy_buf_printf(&c->detail,
                      "\"product\":\"%s\",\"price\":%lld,\"variants\":%d",
                      s->product, (long long)price, s->variant_count);
    return n;
}

static int told(struct ctl *c, const struct sale *s, int64_t wait)
{
    const char *gate = sale_gate_word(s);

    if (c->json)
        printf("{\"id\":\"%s\",\"state\":\"%s\",\"gate\":\"%s\"}\n", s->id,
               sale_word(s), s->gate ? "up" : "fenced");
    else if (s->gate)
        printf("sale %s is %s: its gate stands\n", s->id, sale_word(s));
    else
        printf("sale %s is created\n", s->id);
    if (s->gate || wait == 0)
        return CTL_DONE;
    return ctl_refuse(c,
                      "the sale exists, but its gate is %s after %s: is stockd "
                      "running? (sale show %s)",
                      gate, ctl_duration_text(wait), s->id);
}

int ctl_sale_create(struct ctl *c)
{
    static struct sale s;
    int64_t wait = 0;
    int code;

    memset(&s, 0, sizeof(s));
    code = parse(c, &s, &wait);
    if (code != 0)
        return code;
    if (s.opens_at < 0)
        s.opens_at = ctl_db_now(c);
    if (s.opens_at < 0)
        return CTL_REFUSED;
    if (s.closes_at != 0 && s.closes_at <= s.opens_at)
        return ctl_usage(c, "--closes-at must be later than --opens-at (%s)",
                         ctl_time_text(s.opens_at));
    code = ctl_act(c, "sale.create", s.id, insert, &s);
    if (code == 0)
        code = sale_read(c, ctl_option(c, "id"), &s);
    if (code != 0)
        return code;
    if (wait > 0)
        sale_wait_gate(c, &s, wait);
    return told(c, &s, wait);
}
