/*
 * GET /products: pages, newest first, narrowed by words, category and the
 * state of the product's sale; or the products of ?ids=a,b,c at once. And
 * GET /products/{id}.
 *
 * A page ends at (created_at, id): what is inserted later stands before the
 * first page and shifts nothing. One statement a page; what is said of the
 * sales comes from the board.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../shop/act.h"
#include "../shop/event.h"
#include "../shop/product.h"
#include "../shop/text.h"
#include "board.h"
#include "list.h"
#include "productd.h"

#define QUERY_MAX 100 /* characters */
#define QUERY_BYTES 400
#define WORDS_MAX 8
#define IDS_MAX 100
#define IDS_PADDED 128

struct asked {
    bool staff;
    int limit;
    char words[QUERY_BYTES + 1]; /* folded */
    const char *category;        /* "" : any */
    int kind;                    /* enum productd_kind, -1: any */
    struct speedy_buf canonical; /* what a cursor is bound to */
    int64_t before;
    char before_id[SPEEDY_ID_MAX + 1];
    struct speedy_buf pattern[WORDS_MAX];
};

struct page {
    struct speedy_buf *out;
    const struct productd_board *board;
    bool staff, whole; /* whole: description and options too */
    int limit, count;
    int64_t last_at, version;
    char last[SPEEDY_ID_MAX + 1];
};

#define COLUMNS                                                                                   \
    "SELECT p.id, p.name, p.price, p.currency, p.category, p.state, "                             \
    "p.version, " SPEEDY_MS("p.created_at") ", " SPEEDY_MS(                                       \
        "p.updated_at") ", EXISTS (SELECT 1 FROM sales s WHERE s.product_id = p.id), "            \
                        "(SELECT GROUP_CONCAT(CONCAT(i.hash, '.', i.type, ' ', i.width, ' ', "    \
                        "i.height) ORDER BY pi.place, i.hash SEPARATOR ';') FROM product_images " \
                        "pi JOIN images i ON i.hash = pi.hash WHERE pi.product_id = p.id), "      \
                        "p.description, p.options FROM products p WHERE 1 = 1"

void productd_sql(struct productd_statement *s, const char *text)
{
    speedy_buf_add(&s->sql, text, strlen(text));
}

void productd_sql_with(struct productd_statement *s, const char *text,
                       struct speedy_db_value value)
{
    if (s->count == PRODUCTD_ARGS_MAX)
        abort();
    productd_sql(s, text);
    s->args[s->count++] = value;
}

/* --- one product --- */

/* `hash.type width height;…` */
static void images_write(struct speedy_buf *b, const char *list)
{
    char file[SPEEDY_HASH_HEX + 8];
    int width, height, n = 0;

    speedy_buf_printf(b, ",\"images\":[");
    while (list != NULL && *list != '\0') {
        if (sscanf(list, "%71[0-9a-z.] %d %d", file, &width, &height) != 3)
            break;
        speedy_buf_printf(b,
                          "%s{\"url\":\"/images/%s\",\"width\":%d,"
                          "\"height\":%d}",
                          n++ > 0 ? "," : "", file, width, height);
        list += strcspn(list, ";");
        list += *list == ';';
    }
    speedy_buf_printf(b, "]");
}

static void sale_write(struct speedy_buf *b, const struct page *page,
                       const char *product, bool had_sales)
{
    const struct productd_board_sale *s =
        productd_board_product_find(page->board, product);

    if (s == NULL) {
        speedy_buf_printf(b, ",\"state\":%s,\"sale\":null",
                          had_sales ? "\"closed\"" : "null");
        return;
    }
    speedy_buf_printf(b,
                      ",\"state\":\"%s\",\"sale\":{\"id\":\"%s\",\"paused\":"
                      "%s,\"opens_at\":",
                      productd_kind_words[s->kind], s->id,
                      s->paused ? "true" : "false");
    productd_time(b, s->opens_at);
    speedy_buf_printf(b, ",\"closes_at\":");
    productd_time(b, s->closes_at);
    speedy_buf_printf(b, "}");
}

static void product_write(struct speedy_buf *b, const struct page *page,
                          const struct speedy_db_value *col)
{
    speedy_buf_printf(b,
                      "{\"id\":\"%s\",\"name\":", (const char *)col[0].bytes);
    speedy_buf_json(b, col[1].bytes);
    speedy_buf_printf(b, ",\"price\":%lld,\"currency\":\"%s\",\"category\":",
                      (long long)col[2].number, (const char *)col[3].bytes);
    speedy_buf_json(b, col[4].len > 0 ? col[4].bytes : NULL);
    images_write(b, col[10].kind == SPEEDY_DB_BYTES ? col[10].bytes : NULL);
    if (page->whole) {
        speedy_buf_printf(b, ",\"description\":");
        speedy_buf_json(b, col[11].bytes);
        /* JSON of ours: it was made when the product was written */
        speedy_buf_printf(b, ",\"options\":");
        speedy_buf_add(b, col[12].bytes, col[12].len);
    }
    sale_write(b, page, col[0].bytes, col[9].number == 1);
    if (page->staff)
        speedy_buf_printf(b, ",\"hidden\":%s,\"version\":%lld",
                          strcmp(col[5].bytes, "HIDDEN") == 0 ? "true"
                                                              : "false",
                          (long long)col[6].number);
    speedy_buf_printf(b, ",\"created_at\":");
    productd_time(b, col[7].number);
    speedy_buf_printf(b, ",\"updated_at\":");
    productd_time(b, col[8].number);
    speedy_buf_printf(b, "}");
}

static int page_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct page *page = data;

    (void)cols;
    page->count++;
    if (page->limit > 0 && page->count > page->limit)
        return 1; /* there is a next page */
    if (page->count > 1)
        speedy_buf_add(page->out, ",", 1);
    product_write(page->out, page, col);
    page->last_at = col[7].number;
    page->version = col[6].number;
    snprintf(page->last, sizeof(page->last), "%s", (const char *)col[0].bytes);
    return 0;
}

/* --- what is asked --- */

static int words_asked(struct speedy_request *r, struct asked *a)
{
    const char *q = speedy_request_query(r, "q");
    struct speedy_buf folded = {0};
    long length = q == NULL ? 0 : speedy_text_length(q);

    if (q == NULL)
        return 0;
    if (length < 0)
        return productd_bad(r, "/q", "query_invalid", "q is no UTF-8 text.");
    if (length > QUERY_MAX)
        return productd_bad(r, "/q", "query_too_long",
                            "q has at most 100 characters.");
    speedy_text_fold(&folded, q, QUERY_BYTES);
    snprintf(a->words, sizeof(a->words), "%s", folded.data);
    speedy_buf_free(&folded);
    return 0;
}

static int kind_asked(struct speedy_request *r, struct asked *a)
{
    const char *state = speedy_request_query(r, "state");

    a->kind = -1;
    if (state == NULL)
        return 0;
    for (int i = 0; i <= PRODUCTD_ENDED; i++) {
        if (strcmp(state, productd_kind_words[i]) == 0)
            a->kind = i;
    }
    if (a->kind >= 0)
        return 0;
    return productd_bad(r, "/state", "state_invalid",
                        "state is upcoming, open, sold_out or closed.");
}

/* 0, or -1 after answering. */
static int page_asked(struct speedy_request *r, struct asked *a)
{
    static const char *const names[] = {"q",     "category", "state", "cursor",
                                        "limit", "ids",      NULL};
    const char *cursor = speedy_request_query(r, "cursor");

    if (productd_known_query(r, names) != 0 ||
        productd_limit(r, &a->limit) != 0 || words_asked(r, a) != 0 ||
        kind_asked(r, a) != 0)
        return -1;
    a->category = speedy_request_query(r, "category");
    if (a->category == NULL)
        a->category = "";
    else if (!speedy_id_valid(a->category, strlen(a->category)))
        return productd_bad(r, "/category", "category_invalid",
                            "category is 1-40 of [A-Za-z0-9_-].");
    speedy_buf_printf(&a->canonical, "products%s\n%s\n%s\n%d",
                      a->staff ? "+" : "", a->words, a->category, a->kind);
    if (cursor == NULL || productd_cursor_read(cursor, a->canonical.data,
                                               &a->before, a->before_id) == 0)
        return 0;
    return productd_bad(r, "/cursor", "cursor_invalid",
                        "cursor is the next_cursor of the page before, of "
                        "the same query.");
}

/* --- the statement --- */

static void add_words(struct productd_statement *s, struct asked *a)
{
    const char *at = a->words;

    for (int i = 0; i < WORDS_MAX && *at != '\0'; i++) {
        size_t n = strcspn(at, " ");

        speedy_text_like(&a->pattern[i], at, n);
        productd_sql_with(s, " AND p.search LIKE ? ESCAPE '|'",
                          DB_BYTES(a->pattern[i].data, a->pattern[i].len));
        at += n;
        at += strspn(at, " ");
    }
}

static struct speedy_db_value id_list(const struct productd_board *b, int kind)
{
    const struct speedy_buf *list = &b->products[kind];

    return DB_BYTES(list->len > 0 ? list->data : "", list->len);
}

/* Ids are compared byte by byte, whatever the connection's collation. */
#define IN_LIST                                                                \
    "FIND_IN_SET(p.id, CAST(? AS CHAR CHARACTER SET ascii) COLLATE ascii_bin)"

static void add_kind(struct productd_statement *s, const struct asked *a,
                     const struct productd_board *b)
{
    if (a->kind < 0)
        return;
    if (a->kind != PRODUCTD_ENDED) {
        productd_sql_with(s, " AND " IN_LIST " > 0", id_list(b, a->kind));
        return;
    }
    productd_sql_with(s, " AND " IN_LIST " = 0", id_list(b, PRODUCTD_ENDED));
    productd_sql(s, " AND EXISTS (SELECT 1 FROM sales s WHERE s.product_id = "
                    "p.id)");
}

static void statement_make(struct productd_statement *s, struct asked *a,
                           const struct productd_board *b)
{
    productd_sql(s, COLUMNS);
    if (!a->staff)
        productd_sql(s, " AND p.state = 'SHOWN'");
    if (*a->category != '\0')
        productd_sql_with(s, " AND p.category = ?", DB_TEXT(a->category));
    add_words(s, a);
    add_kind(s, a, b);
    if (*a->before_id != '\0') {
        productd_sql_with(s, " AND (p.created_at < " SPEEDY_DATETIME,
                          DB_INT(a->before));
        productd_sql_with(s, " OR (p.created_at = " SPEEDY_DATETIME,
                          DB_INT(a->before));
        productd_sql_with(s, " AND p.id < ?))", DB_TEXT(a->before_id));
    }
    productd_sql_with(s, " ORDER BY p.created_at DESC, p.id DESC LIMIT ?",
                      DB_INT(a->limit + 1));
}

/* --- answers --- */

static int run(struct productd_statement *s, struct page *page)
{
    struct speedy_stores *stores = speedy_stores_take();
    int n = SPEEDY_DB_RETRY;

    if (stores == NULL)
        return n;
    if (speedy_db_ready(stores->db) == 0)
        n = speedy_db_query(stores->db, s->sql.data, s->args, s->count,
                            page_row, page);
    speedy_stores_give(stores);
    return n;
}

static void answer(struct speedy_request *r, bool staff, int64_t version)
{
    if (staff)
        productd_private(r, 200, version);
    else
        productd_public(r, 0);
}

static void page_answer(struct speedy_request *r, struct asked *a)
{
    struct productd_statement s = {0};
    struct page page = {.out = &r->out,
                        .board = productd_board_get(),
                        .staff = a->staff,
                        .limit = a->limit};
    int n = SPEEDY_DB_RETRY;

    speedy_buf_printf(&r->out, "{\"data\":[");
    if (page.board != NULL) {
        statement_make(&s, a, page.board);
        n = run(&s, &page);
    }
    productd_board_put((struct productd_board *)page.board);
    speedy_buf_free(&s.sql);
    if (n != SPEEDY_DB_OK) {
        productd_unavailable(r);
        return;
    }
    if (page.count > page.limit) {
        speedy_buf_printf(&r->out, "],\"has_more\":true,\"next_cursor\":\"");
        productd_cursor_write(&r->out, a->canonical.data, page.last_at,
                              page.last);
        speedy_buf_printf(&r->out, "\"}\n");
    } else {
        speedy_buf_printf(&r->out,
                          "],\"has_more\":false,\"next_cursor\":null}\n");
    }
    answer(r, a->staff, 0);
}

/* ids into args; their number, or -1 after answering. */
static int ids_asked(struct speedy_request *r, const char *ids,
                     struct speedy_db_value args[IDS_PADDED])
{
    static const char *const names[] = {"ids", NULL};
    int count = 0;

    if (productd_known_query(r, names) != 0)
        return -1;
    for (const char *at = ids;; at++) {
        size_t len = strcspn(at, ",");

        if (!speedy_id_valid(at, len) || count == IDS_MAX)
            return productd_bad(r, "/ids", "ids_invalid",
                                "ids are 1-100 ids, separated by commas.");
        args[count++] = DB_BYTES(at, len);
        at += len;
        if (*at == '\0')
            return count;
    }
}

/* ?ids=a,b,c: those of them that there are, by id. */
static void ids_answer(struct speedy_request *r, const char *ids, bool staff)
{
    struct page page = {.out = &r->out, .staff = staff};
    struct speedy_db_value args[IDS_PADDED];
    int count = ids_asked(r, ids, args), n = SPEEDY_DB_RETRY;
    struct speedy_stores *stores;
    size_t padded;

    if (count < 0)
        return;
    padded = speedy_db_padded((size_t)count);
    for (size_t i = (size_t)count; i < padded; i++)
        args[i] = args[0];
    page.board = productd_board_get();
    stores = page.board == NULL ? NULL : speedy_stores_take();
    if (stores != NULL) {
        speedy_buf_printf(&r->out, "{\"data\":[");
        n = speedy_db_query_many(
            stores->db,
            staff ? COLUMNS " AND p.id IN ("
                  : COLUMNS " AND p.state = 'SHOWN' AND p.id IN (",
            "?", padded, ") ORDER BY p.id", args, padded, page_row, &page);
        speedy_stores_give(stores);
    }
    productd_board_put((struct productd_board *)page.board);
    if (n != SPEEDY_DB_OK) {
        productd_unavailable(r);
        return;
    }
    speedy_buf_printf(&r->out, "],\"has_more\":false,\"next_cursor\":null}\n");
    answer(r, staff, 0);
}

void productd_products_list(struct speedy_request *r, void *staff)
{
    const char *ids = speedy_request_query(r, "ids");
    struct asked a = {.staff = staff != NULL};

    if (ids != NULL) {
        ids_answer(r, ids, staff != NULL);
        return;
    }
    if (page_asked(r, &a) == 0)
        page_answer(r, &a);
    speedy_buf_free(&a.canonical);
    for (size_t i = 0; i < WORDS_MAX; i++)
        speedy_buf_free(&a.pattern[i]);
}

static void not_found(struct speedy_request *r)
{
    speedy_problem(r, 404, "product_not_found", "There is no such product.");
}

void productd_product_show(struct speedy_request *r, void *staff)
{
    static const char *const names[] = {NULL};
    struct productd_statement s = {0};
    struct page page = {.out = &r->out, .staff = staff != NULL, .whole = true};
    int n;

    if (productd_known_query(r, names) != 0)
        return;
    if (!speedy_id_valid(r->id, strlen(r->id))) {
        not_found(r);
        return;
    }
    page.board = productd_board_get();
    productd_sql(&s, COLUMNS);
    if (staff == NULL)
        productd_sql(&s, " AND p.state = 'SHOWN'");
    productd_sql_with(&s, " AND p.id = ?", DB_TEXT(r->id));
    n = run(&s, &page);
    productd_board_put((struct productd_board *)page.board);
    speedy_buf_free(&s.sql);
    if (n != SPEEDY_DB_OK) {
        productd_unavailable(r);
    } else if (page.count == 0) {
        not_found(r);
    } else {
        speedy_buf_printf(&r->out, "\n");
        answer(r, page.staff, page.version);
    }
}
