/*
 * `product`: what is shown. A product's price is what a sale of it asks.
 */
#include "../shop/product.h"
#include "../shop/sale.h"
#include "../shop/text.h"
#include "ctl.h"

#include <stdio.h>
#include <string.h>

/* Options that add and change share. 0, or an exit code after a message. */
static int parse(struct ctl *c, struct speedy_product *p)
{
    const char *price = ctl_option(c, "price");

    p->name = ctl_option(c, "name");
    p->description = ctl_option(c, "description");
    p->category = ctl_option(c, "category");
    p->image_count = -1;
    if (p->name != NULL && !speedy_text_valid(p->name, 1, SPEEDY_NAME_MAX, 0))
        return ctl_usage(c, "--name: 1-%d characters of text", SPEEDY_NAME_MAX);
    if (p->description != NULL &&
        !speedy_text_valid(p->description, 0, SPEEDY_DESCRIPTION_MAX, 1))
        return ctl_usage(c, "--description: at most %d characters of text",
                         SPEEDY_DESCRIPTION_MAX);
    if (p->category != NULL && *p->category != '\0' && !ctl_id(p->category))
        return ctl_usage(c, "--category: 1-40 of [A-Za-z0-9_-]");
    if (price != NULL && ctl_number(price, 1, SPEEDY_PRICE_MAX, &p->price) != 0)
        return ctl_usage(c, "--price: whole won from 1 to %d",
                         SPEEDY_PRICE_MAX);
    return 0;
}

static int told(struct ctl *c, int n, const struct speedy_product *p,
                const char *what)
{
    if (n == SPEEDY_ACT_EXISTS)
        return ctl_refuse(c, "product %s exists already: see product show %s",
                          p->id, p->id);
    if (n == SPEEDY_ACT_UNKNOWN)
        return ctl_refuse(c, "there is no product %s: see product list", p->id);
    if (n != 0)
        return ctl_db_failed(c, n);
    if (c->json)
        printf("{\"id\":\"%s\",\"version\":%lld}\n", p->id,
               (long long)p->version);
    else
        printf("product %s %s\n", p->id, what);
    return CTL_DONE;
}

int ctl_product_add(struct ctl *c)
{
    struct speedy_product p = {.id = ctl_option(c, "id")};
    struct speedy_act a;
    int code;

    if (p.id == NULL || !ctl_id(p.id))
        return ctl_usage(c, "--id: an id has 1-40 of [A-Za-z0-9_-]");
    code = parse(c, &p);
    if (code == 0 && (p.name == NULL || p.price == 0))
        code = ctl_usage(c, "--name and --price are needed");
    if (code != 0)
        return code;
    code = ctl_act_begin(c, &a);
    if (code == 0)
        code = told(c, speedy_product_add(&a, &p), &p, "added");
    speedy_buf_free(&a.detail);
    return code;
}

int ctl_product_change(struct ctl *c)
{
    struct speedy_product p = {.id = c->args[0]};
    bool hidden = ctl_option(c, "hide") != NULL;
    bool shown = ctl_option(c, "show") != NULL;
    struct speedy_act a;
    int code = parse(c, &p);

    if (code == 0 && hidden && shown)
        code = ctl_usage(c, "--hide or --show, not both");
    if (code != 0)
        return code;
    p.state = hidden ? "HIDDEN" : shown ? "SHOWN" : NULL;
    code = ctl_act_begin(c, &a);
    if (code == 0)
        code = told(c, speedy_product_change(&a, &p), &p, "changed");
    speedy_buf_free(&a.detail);
    return code;
}

struct listing {
    struct speedy_buf out;
    bool json;
    int n;
};

static int product_row(void *data, const struct speedy_db_value *col,
                       size_t cols)
{
    struct listing *l = data;

    (void)cols;
    if (l->json) {
        speedy_buf_printf(&l->out,
                          "%s{\"id\":\"%s\",\"name\":", l->n ? "," : "",
                          (const char *)col[0].bytes);
        speedy_buf_json(&l->out, col[1].bytes);
        speedy_buf_printf(&l->out,
                          ",\"price\":%lld,\"currency\":\"KRW\",\"sales\":%lld,"
                          "\"created_at\":",
                          (long long)col[2].number, (long long)col[3].number);
        ctl_json_time(&l->out, col[4].number);
        speedy_buf_printf(&l->out, "}");
    } else {
        speedy_buf_printf(&l->out, "%-20s %12lld won  %3lld sales  %s\n",
                          (const char *)col[0].bytes, (long long)col[2].number,
                          (long long)col[3].number, (const char *)col[1].bytes);
    }
    l->n++;
    return 0;
}

#define PRODUCT_COLUMNS                                                        \
    "SELECT p.id, p.name, p.price, (SELECT COUNT(*) FROM sales s WHERE "       \
    "s.product_id = p.id), " CTL_MS("p.created_at") " FROM products p "

int ctl_product_list(struct ctl *c)
{
    struct listing l = {.json = c->json};
    int n;

    if (ctl_db(c) == NULL)
        return CTL_REFUSED;
    if (c->json)
        speedy_buf_printf(&l.out, "{\"data\":[");
    n = speedy_db_query(c->db, PRODUCT_COLUMNS "ORDER BY p.id", DB_NONE,
                        product_row, &l);
    if (n != 0) {
        speedy_buf_free(&l.out);
        return ctl_db_failed(c, n);
    }
    if (c->json)
        speedy_buf_printf(&l.out, "]}");
    else if (l.n == 0)
        speedy_buf_printf(&l.out, "no products: speedyctl product add --id ID "
                                  "--name NAME --price WON");
    ctl_print(&l.out);
    return CTL_DONE;
}

int ctl_product_show(struct ctl *c)
{
    struct listing l = {.json = c->json};
    int n;

    if (ctl_db(c) == NULL)
        return CTL_REFUSED;
    n = speedy_db_query(c->db, PRODUCT_COLUMNS "WHERE p.id = ?",
                        DB_ARGS(DB_TEXT(c->args[0])), product_row, &l);
    if (n == 0 && l.n == 0)
        return ctl_refuse(c, "there is no product %s: see product list",
                          c->args[0]);
    ctl_print(&l.out);
    return n == 0 ? CTL_DONE : ctl_db_failed(c, n);
}
