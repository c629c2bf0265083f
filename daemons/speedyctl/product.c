/*
 * `product`: what is shown. A product's price is what a sale of it asks.
 */
#include "ctl.h"

#include <stdio.h>
#include <string.h>

#define PRICE_MAX 1000000000

struct product {
    const char *id, *name;
    int64_t price;
};

static int insert(struct ctl *c, void *data)
{
    const struct product *p = data;
    int n;

    n = speedy_db_exec(
        c->db,
        "INSERT INTO products (id, name, price) VALUES (?, ?, "
        "?)",
        DB_ARGS(DB_TEXT(p->id), DB_TEXT(p->name), DB_INT(p->price)), NULL);
    speedy_buf_printf(&c->detail, "\"price\":%lld", (long long)p->price);
    if (n != SPEEDY_DB_DUPLICATE)
        return n;
    ctl_refuse(c, "product %s exists already: see product show %s", p->id,
               p->id);
    return 1;
}

int ctl_product_add(struct ctl *c)
{
    struct product p = {ctl_option(c, "id"), ctl_option(c, "name"), 0};
    const char *price = ctl_option(c, "price");
    int code;

    if (p.id == NULL || !ctl_id(p.id))
        return ctl_usage(c, "--id: an id has 1-40 of [A-Za-z0-9_-]");
    if (p.name == NULL || *p.name == '\0' || strlen(p.name) > 200)
        return ctl_usage(c, "--name: 1-200 bytes of text");
    if (price == NULL || ctl_number(price, 1, PRICE_MAX, &p.price) != 0)
        return ctl_usage(c, "--price: whole won from 1 to %d", PRICE_MAX);
    code = ctl_act(c, "product.add", p.id, insert, &p);
    if (code == CTL_DONE && c->json)
        printf("{\"id\":\"%s\",\"price\":%lld,\"currency\":\"KRW\"}\n", p.id,
               (long long)p.price);
    else if (code == CTL_DONE)
        printf("product %s added: %lld won\n", p.id, (long long)p.price);
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
