/*
 * GET /sales: pages of sales by state. GET /sales/{id}: one, with its
 * variants. What is left comes from the board.
 */
#include "sales_http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/loop.h"
#include "../shop/act.h"
#include "../shop/event.h"
#include "../shop/text.h"
#include "board.h"
#include "list.h"
#include "productd.h"

enum { UPCOMING = 1, OPEN = 2, ENDED = 4 };

struct asked {
    bool staff;
    int limit, states;
    struct speedy_buf canonical;
    int64_t at; /* of the cursor */
    char id[SPEEDY_ID_MAX + 1];
};

struct page {
    struct speedy_buf *out;
    const struct productd_board *board;
    int limit, count;
    int64_t last_at;
    char last[SPEEDY_ID_MAX + 1];
};

/* What shoppers are told: upcoming, open, paused, sold_out, ended. */
static const char *public_word(const struct speedy_sale *s,
                               const struct productd_board_sale *on)
{
    const char *word = speedy_sale_word(s);

    if (strcmp(word, "archived") == 0 || strcmp(word, "closed") == 0)
        return "ended";
    if (strcmp(word, "open") == 0 && on != NULL &&
        on->kind == PRODUCTD_SOLD_OUT)
        return "sold_out";
    return word;
}

static void head_write(struct speedy_buf *b, const struct speedy_sale *s,
                       const char *word)
{
    speedy_buf_printf(b,
                      "{\"id\":\"%s\",\"product_id\":\"%s\",\"state\":"
                      "\"%s\",\"opens_at\":",
                      s->id, s->product, word);
    productd_time(b, s->opens_at);
    speedy_buf_printf(b, ",\"closes_at\":");
    productd_time(b, s->closes_at);
    speedy_buf_printf(b, ",\"limit\":%lld,\"hold_seconds\":%lld,\"notice\":",
                      (long long)s->limit, (long long)(s->hold_ms / 1000));
    speedy_buf_json(b, *s->notice != '\0' ? s->notice : NULL);
}

/* --- the list --- */

static int states_asked(struct speedy_request *r, struct asked *a)
{
    static const struct {
        const char *word;
        int bit;
    } known[] = {{"upcoming", UPCOMING}, {"open", OPEN}, {"ended", ENDED}};
    const char *text = speedy_request_query(r, "state");

    a->states = text == NULL ? UPCOMING | OPEN : 0;
    for (const char *at = text; at != NULL;) {
        size_t n = strcspn(at, ","), i = 0;

        while (i < 3 && (strlen(known[i].word) != n ||
                         memcmp(known[i].word, at, n) != 0))
            i++;
        if (i == 3)
            return productd_bad(r, "/state", "state_invalid",
                                "state is a list of upcoming, open, ended.");
        a->states |= known[i].bit;
        at = at[n] == ',' ? at + n + 1 : NULL;
    }
    return 0;
}

static int page_asked(struct speedy_request *r, struct asked *a)
{
    static const char *const names[] = {"state", "cursor", "limit", NULL};
    const char *cursor = speedy_request_query(r, "cursor");

    if (productd_known_query(r, names) != 0 ||
        productd_limit(r, &a->limit) != 0 || states_asked(r, a) != 0)
        return -1;
    speedy_buf_printf(&a->canonical, "sales%s\n%d", a->staff ? "+" : "",
                      a->states);
    if (cursor == NULL ||
        productd_cursor_read(cursor, a->canonical.data, &a->at, a->id) == 0)
        return 0;
    return productd_bad(r, "/cursor", "cursor_invalid",
                        "cursor is the next_cursor of the page before, of "
                        "the same query.");
}

static void statement_make(struct productd_statement *s, const struct asked *a)
{
    /* what is still to come: the next first; what is over: the last first */
    bool rising = !(a->states & ENDED);

    productd_sql(
        s,
        "SELECT s.id, s.product_id, s.state, s.restock, "
        "s.shipping, " SPEEDY_MS("s.opens_at") ", " SPEEDY_MS(
            "s.closes_at") ", s.per_user_limit, s.hold_ms, "
                           "s.version, " SPEEDY_MS("s.created_at") ", " SPEEDY_MS("s.archived_at") ", " SPEEDY_MS(
                               "UTC_TIMESTAMP(3)") ", s.notice, " SPEEDY_MS("s.closed_at") ", p.name FROM sales s JOIN products p ON p.id = "
                                                                                           "s.product_id WHERE (0");
    if (a->states & UPCOMING)
        productd_sql(s, " OR (s.state IN ('ACTIVE', 'PAUSED') AND s.opens_at "
                        "> UTC_TIMESTAMP(3))");
    if (a->states & OPEN)
        productd_sql(s, " OR (s.state IN ('ACTIVE', 'PAUSED') AND s.opens_at "
                        "<= UTC_TIMESTAMP(3) AND (s.closes_at IS NULL OR "
                        "s.closes_at > UTC_TIMESTAMP(3)))");
    if (a->states & ENDED)
        productd_sql(s, " OR s.state IN ('CLOSED', 'ARCHIVED') OR s.closes_at "
                        "<= UTC_TIMESTAMP(3)");
    productd_sql(s, a->staff ? ")" : ") AND p.state = 'SHOWN'");
    if (*a->id != '\0') {
        productd_sql_with(s,
                          rising ? " AND (s.opens_at > " SPEEDY_DATETIME
                                 : " AND (s.opens_at < " SPEEDY_DATETIME,
                          DB_INT(a->at));
        productd_sql_with(s, " OR (s.opens_at = " SPEEDY_DATETIME,
                          DB_INT(a->at));
        productd_sql_with(s, rising ? " AND s.id > ?))" : " AND s.id < ?))",
                          DB_TEXT(a->id));
    }
    productd_sql_with(s,
                      rising ? " ORDER BY s.opens_at, s.id LIMIT ?"
                             : " ORDER BY s.opens_at DESC, s.id DESC LIMIT ?",
                      DB_INT(a->limit + 1));
}

static int page_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct page *page = data;
    const struct productd_board_sale *on;
    struct speedy_sale s = {0};

    (void)cols;
    page->count++;
    if (page->count > page->limit)
        return 1;
    speedy_sale_take(&s, col);
    on = productd_board_sale_find(page->board, s.id);
    if (page->count > 1)
        speedy_buf_add(page->out, ",", 1);
    head_write(page->out, &s, public_word(&s, on));
    speedy_buf_printf(page->out, ",\"product_name\":");
    speedy_buf_json(page->out, col[SPEEDY_SALE_COLUMN_COUNT].bytes);
    speedy_buf_printf(page->out, "}");
    page->last_at = s.opens_at;
    snprintf(page->last, sizeof(page->last), "%s", s.id);
    return 0;
}

static void page_answer(struct speedy_request *r, struct asked *a)
{
    struct productd_statement s = {0};
    struct page page = {.out = &r->out, .limit = a->limit};
    struct productd_board *board = productd_board_get();
    struct speedy_stores *stores = speedy_stores_take();
    int n = SPEEDY_DB_RETRY;

    page.board = board;
    speedy_buf_printf(&r->out, "{\"data\":[");
    statement_make(&s, a);
    if (stores != NULL && speedy_db_ready(stores->db) == 0)
        n = speedy_db_query(stores->db, s.sql.data, s.args, s.count, page_row,
                            &page);
    if (stores != NULL)
        speedy_stores_give(stores);
    productd_board_put(board);
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
    if (a->staff)
        productd_private(r, 200, 0);
    else
        productd_public(r, 0);
}

void productd_sales_list(struct speedy_request *r, void *staff)
{
    struct asked a = {.staff = staff != NULL};

    if (page_asked(r, &a) == 0)
        page_answer(r, &a);
    speedy_buf_free(&a.canonical);
}

/* --- one sale --- */

static int64_t left_of(const struct productd_board_sale *on,
                       const struct speedy_sale_variant *v)
{
    int64_t left = productd_board_left(on, v->id);

    if (left < 0)
        left = v->total - v->held - v->sold - v->withheld;
    return left > 0 ? left : 0;
}

static void variants_write(struct speedy_buf *b, const struct speedy_sale *s,
                           const struct productd_board_sale *on)
{
    bool over = strcmp(public_word(s, on), "ended") == 0;

    speedy_buf_printf(b, ",\"variants\":[");
    for (int i = 0; i < s->variant_count; i++) {
        const struct speedy_sale_variant *v = &s->variant[i];
        int64_t left = over ? 0 : left_of(on, v);

        speedy_buf_printf(b,
                          "%s{\"variant\":\"%s\",\"price\":%lld,\"currency\":"
                          "\"" SPEEDY_CURRENCY "\",\"left\":%lld,\"sold_out\":"
                          "%s}",
                          i > 0 ? "," : "", v->id, (long long)v->price,
                          (long long)left, left == 0 ? "true" : "false");
    }
    speedy_buf_printf(b, "]");
}

/* 1, 0 after answering. */
static int sale_asked(struct speedy_request *r, struct speedy_sale *s,
                      bool with_redis)
{
    static const char *const names[] = {NULL};
    struct speedy_stores *stores;
    int n = SPEEDY_DB_RETRY;

    if (productd_known_query(r, names) != 0)
        return 0;
    if (!speedy_id_valid(r->id, strlen(r->id))) {
        speedy_problem(r, 404, "sale_not_found", "There is no such sale.");
        return 0;
    }
    stores = speedy_stores_take();
    if (stores != NULL) {
        if (speedy_db_ready(stores->db) == 0)
            n = speedy_sale_read(stores->db, r->id, s);
        if (n == 1 && with_redis)
            speedy_sale_read_redis(stores->rc, s);
        speedy_stores_give(stores);
    }
    if (n == 0)
        speedy_problem(r, 404, "sale_not_found", "There is no such sale.");
    else if (n < 0)
        productd_unavailable(r);
    return n == 1;
}

void productd_sale_show(struct speedy_request *r, void *data)
{
    struct speedy_sale s;
    struct productd_board *board;
    const struct productd_board_sale *on;
    size_t same;

    (void)data;
    if (!sale_asked(r, &s, false))
        return;
    board = productd_board_get();
    on = productd_board_sale_find(board, s.id);
    head_write(&r->out, &s, public_word(&s, on));
    variants_write(&r->out, &s, on);
    productd_board_put(board);
    same = r->out.len;
    /* when this was made; nginx tells the moment of its answer by header */
    speedy_buf_printf(&r->out, ",\"server_time\":");
    productd_time(&r->out, s.now);
    speedy_buf_printf(&r->out, "}\n");
    productd_public(r, same);
}

void productd_sale_write_staff(struct speedy_buf *b,
                               const struct speedy_sale *s)
{
    head_write(b, s, speedy_sale_word(s));
    speedy_buf_printf(b,
                      ",\"stored_state\":\"%s\",\"restock\":\"%s\","
                      "\"shipping\":\"%s\",\"version\":%lld,\"gate\":%s,"
                      "\"created_at\":",
                      s->state, s->restock, s->shipping, (long long)s->version,
                      s->redis_known ? s->gate ? "\"up\"" : "\"fenced\""
                                     : "null");
    productd_time(b, s->created_at);
    speedy_buf_printf(b, ",\"closed_at\":");
    productd_time(b, s->closed_at);
    speedy_buf_printf(b, ",\"archived_at\":");
    productd_time(b, s->archived_at);
    speedy_buf_printf(b, ",\"variants\":[");
    for (int i = 0; i < s->variant_count; i++) {
        const struct speedy_sale_variant *v = &s->variant[i];

        speedy_buf_printf(b,
                          "%s{\"variant\":\"%s\",\"price\":%lld,\"currency\":"
                          "\"" SPEEDY_CURRENCY "\",\"total\":%lld,\"held\":"
                          "%lld,\"sold\":%lld,\"withheld\":%lld,\"left\":",
                          i > 0 ? "," : "", v->id, (long long)v->price,
                          (long long)v->total, (long long)v->held,
                          (long long)v->sold, (long long)v->withheld);
        if (v->left < 0)
            speedy_buf_printf(b, "null}");
        else
            speedy_buf_printf(b, "%lld}", (long long)v->left);
    }
    speedy_buf_printf(b, "]");
}

void productd_admin_sale_show(struct speedy_request *r, void *data)
{
    struct speedy_sale s;

    (void)data;
    if (!sale_asked(r, &s, true))
        return;
    productd_sale_write_staff(&r->out, &s);
    speedy_buf_printf(&r->out, "}\n");
    productd_private(r, 200, s.version);
}
