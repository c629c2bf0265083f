/*
 * Acts on products. A change takes the row's lock first, so that its folded
 * search text is made of what it will be.
 */
#include "product.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

#define SEARCH_BYTES 4400 /* of a column of 4500 characters */

struct current {
    bool found;
    int64_t version, price;
    char *name, *description, *category, *options, *state;
};

struct image_work {
    const char *product;
    const struct speedy_image *image;
    int64_t *version;
};

static char *copied(const struct speedy_db_value *v)
{
    char *out = calloc(1, v->len + 1);

    if (out == NULL)
        abort();
    if (v->kind == SPEEDY_DB_BYTES)
        memcpy(out, v->bytes, v->len);
    return out;
}

static void forget(struct current *c)
{
    free(c->name);
    free(c->description);
    free(c->category);
    free(c->options);
    free(c->state);
    memset(c, 0, sizeof(*c));
}

static int current_row(void *data, const struct speedy_db_value *col,
                       size_t cols)
{
    struct current *c = data;

    (void)cols;
    forget(c);
    c->found = true;
    c->version = col[0].number;
    c->price = col[1].number;
    c->name = copied(&col[2]);
    c->description = copied(&col[3]);
    c->category = copied(&col[4]);
    c->options = copied(&col[5]);
    c->state = copied(&col[6]);
    return 0;
}

/* Locks the row. 0, or why not. */
static int read_locked(struct speedy_act *a, const char *id, struct current *c)
{
    int n = speedy_db_query(a->db,
                            "SELECT version, price, name, description, "
                            "category, options, state FROM products WHERE id "
                            "= ? FOR UPDATE",
                            DB_ARGS(DB_TEXT(id)), current_row, c);

    if (n != 0)
        return n;
    if (!c->found)
        return SPEEDY_ACT_UNKNOWN;
    return a->version != 0 && a->version != c->version ? SPEEDY_ACT_VERSION : 0;
}

static void search_text(struct speedy_buf *b, const char *name,
                        const char *category, const char *description)
{
    struct speedy_buf all = {0};

    speedy_buf_printf(&all, "%s %s %s", name, category, description);
    speedy_text_fold(b, all.data, SEARCH_BYTES);
    speedy_buf_free(&all);
}

/* --- add --- */

static int add_work(struct speedy_act *a, void *data)
{
    const struct speedy_product *p = data;
    struct speedy_buf search = {0};
    int n;

    search_text(&search, p->name, p->category, p->description);
    n = speedy_db_exec(
        a->db,
        "INSERT INTO products (id, name, price, description, category, "
        "options, state, search) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        DB_ARGS(DB_TEXT(p->id), DB_TEXT(p->name), DB_INT(p->price),
                DB_TEXT(p->description), DB_TEXT(p->category),
                DB_TEXT(p->options), DB_TEXT(p->state),
                DB_BYTES(search.data, search.len)),
        NULL);
    speedy_buf_free(&search);
    speedy_buf_printf(&a->detail,
                      "\"price\":%lld,\"name\":", (long long)p->price);
    speedy_buf_json(&a->detail, p->name);
    return n == SPEEDY_DB_DUPLICATE ? (int)SPEEDY_ACT_EXISTS : n;
}

int speedy_product_add(struct speedy_act *a, struct speedy_product *p)
{
    p->description = p->description ? p->description : "";
    p->category = p->category ? p->category : "";
    p->options = p->options ? p->options : "[]";
    p->state = p->state ? p->state : "SHOWN";
    p->version = 1;
    return speedy_act_run(a, "product.add", p->id, add_work, p);
}

/* --- change --- */

/* One member of the audit row: what it was and what it is. */
static void note(struct speedy_act *a, const char *what, const char *from,
                 const char *to)
{
    if (to == NULL || strcmp(from, to) == 0)
        return;
    speedy_buf_printf(&a->detail, ",\"%s\":{\"from\":", what);
    speedy_buf_json(&a->detail, from);
    speedy_buf_printf(&a->detail, ",\"to\":");
    speedy_buf_json(&a->detail, to);
    speedy_buf_printf(&a->detail, "}");
}

static void note_changes(struct speedy_act *a, const struct speedy_product *p,
                         const struct current *c)
{
    speedy_buf_printf(&a->detail, "\"version\":%lld", (long long)c->version);
    if (p->price != 0 && p->price != c->price)
        speedy_buf_printf(&a->detail, ",\"price\":{\"from\":%lld,\"to\":%lld}",
                          (long long)c->price, (long long)p->price);
    note(a, "name", c->name, p->name);
    note(a, "category", c->category, p->category);
    note(a, "state", c->state, p->state);
    note(a, "options", c->options, p->options);
    if (p->description != NULL && strcmp(p->description, c->description) != 0)
        speedy_buf_printf(&a->detail, ",\"description\":\"changed\"");
    if (p->image_count >= 0)
        speedy_buf_printf(&a->detail, ",\"images\":%d", p->image_count);
}

/* The images that are given, in their order, instead of those that stand. */
static int images_replace(struct speedy_act *a, const struct speedy_product *p)
{
    int n =
        speedy_db_exec(a->db, "DELETE FROM product_images WHERE product_id = ?",
                       DB_ARGS(DB_TEXT(p->id)), NULL);

    for (int i = 0; i < p->image_count && n == 0; i++)
        n = speedy_db_exec(
            a->db,
            "INSERT INTO product_images (product_id, hash, "
            "place) VALUES (?, ?, ?)",
            DB_ARGS(DB_TEXT(p->id), DB_TEXT(p->images[i]), DB_INT(i + 1)),
            NULL);
    if (n == SPEEDY_DB_REFUSED || n == SPEEDY_DB_DUPLICATE)
        return SPEEDY_ACT_NO_IMAGE;
    return n;
}

static int change_locked(struct speedy_act *a, struct speedy_product *p,
                         const struct current *c)
{
    const char *name = p->name ? p->name : c->name;
    const char *category = p->category ? p->category : c->category;
    const char *description = p->description ? p->description : c->description;
    struct speedy_buf search = {0};
    int n;

    note_changes(a, p, c);
    search_text(&search, name, category, description);
    n = speedy_db_exec(
        a->db,
        "UPDATE products SET name = ?, price = ?, description = ?, category = "
        "?, options = ?, state = ?, search = ?, version = version + 1, "
        "updated_at = UTC_TIMESTAMP(3) WHERE id = ? AND version = ?",
        DB_ARGS(DB_TEXT(name), DB_INT(p->price ? p->price : c->price),
                DB_TEXT(description), DB_TEXT(category),
                DB_TEXT(p->options ? p->options : c->options),
                DB_TEXT(p->state ? p->state : c->state),
                DB_BYTES(search.data, search.len), DB_TEXT(p->id),
                DB_INT(c->version)),
        NULL);
    speedy_buf_free(&search);
    p->version = c->version + 1;
    return n == 0 && p->image_count >= 0 ? images_replace(a, p) : n;
}

static int change_work(struct speedy_act *a, void *data)
{
    struct speedy_product *p = data;
    struct current c = {0};
    int n = read_locked(a, p->id, &c);

    if (n == 0)
        n = change_locked(a, p, &c);
    forget(&c);
    return n;
}

int speedy_product_change(struct speedy_act *a, struct speedy_product *p)
{
    return speedy_act_run(a, "product.change", p->id, change_work, p);
}

/* --- image --- */

static int image_rows(struct speedy_act *a, const struct image_work *w)
{
    const struct speedy_image *i = w->image;
    int64_t count = 0;
    int n = speedy_db_number(a->db,
                             "SELECT COUNT(*) FROM product_images WHERE "
                             "product_id = ?",
                             DB_ARGS(DB_TEXT(w->product)), &count);

    if (n < 0)
        return n;
    if (count >= SPEEDY_IMAGES_MAX)
        return SPEEDY_ACT_TOO_MANY;
    n = speedy_db_exec(a->db,
                       "INSERT INTO images (hash, type, bytes, width, height) "
                       "VALUES (?, ?, ?, ?, ?)",
                       DB_ARGS(DB_TEXT(i->hash), DB_TEXT(i->type),
                               DB_INT(i->bytes), DB_INT(i->width),
                               DB_INT(i->height)),
                       NULL);
    if (n == 0 || n == SPEEDY_DB_DUPLICATE)
        n = speedy_db_exec(
            a->db,
            "INSERT INTO product_images (product_id, hash, "
            "place) VALUES (?, ?, ?)",
            DB_ARGS(DB_TEXT(w->product), DB_TEXT(i->hash), DB_INT(count + 1)),
            NULL);
    /* the product has it already: done */
    return n == SPEEDY_DB_DUPLICATE ? SPEEDY_DB_OK : n;
}

static int image_work(struct speedy_act *a, void *data)
{
    const struct image_work *w = data;
    struct current c = {0};
    int n = read_locked(a, w->product, &c);

    *w->version = c.version + 1;
    forget(&c);
    if (n == 0)
        n = image_rows(a, w);
    if (n != 0)
        return n;
    speedy_buf_printf(&a->detail, "\"hash\":\"%s\",\"type\":\"%s\"",
                      w->image->hash, w->image->type);
    return speedy_db_exec(a->db,
                          "UPDATE products SET version = version + 1, "
                          "updated_at = UTC_TIMESTAMP(3) WHERE id = ?",
                          DB_ARGS(DB_TEXT(w->product)), NULL);
}

int speedy_product_image(struct speedy_act *a, const char *product,
                         const struct speedy_image *image, int64_t *version)
{
    struct image_work w = {product, image, version};

    return speedy_act_run(a, "product.image", product, image_work, &w);
}
