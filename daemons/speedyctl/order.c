/*
 * `order`: what is known of an order, in every store that knows it.
 */
#include "ctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/crypto.h"
#include "../shop/scripts.h"
#include "../shop/states.h"

struct view {
    struct ctl *c;
    struct speedy_buf out;
    int n;
    char sale[SPEEDY_ID_MAX + 1];
};

/* clang-format off */
#define ORDER_COLUMNS                                                          \
    "SELECT id, sale_id, variant, user_id, quantity, unit_price, state, "      \
    "version, units_live, units_withheld, epoch, seq, reject_reason, "         \
    CTL_MS("reserved_at") ", " CTL_MS("pay_by") ", " CTL_MS("created_at")      \
    ", " CTL_MS("updated_at") ", request_id FROM orders "
/* clang-format on */

static const char *id_text(const struct speedy_db_value *v)
{
    static char text[37];

    speedy_uuid_text(v->bytes, text);
    return text;
}

static void order_json(struct speedy_buf *b, const struct speedy_db_value *col)
{
    static const struct {
        const char *name;
        int column;
    } times[] = {{"reserved_at", 13},
                 {"pay_by", 14},
                 {"created_at", 15},
                 {"updated_at", 16}};

    speedy_buf_printf(
        b,
        "\"id\":\"%s\",\"sale_id\":\"%s\",\"variant\":\"%s\",\"user_id\":"
        "\"%s\",\"quantity\":%lld,\"unit_price\":%lld,\"state\":\"%s\","
        "\"version\":%lld,\"units_live\":%lld,\"units_withheld\":%lld,"
        "\"epoch\":%lld,\"seq\":%lld,\"reject_reason\":",
        id_text(&col[0]), (const char *)col[1].bytes,
        (const char *)col[2].bytes, (const char *)col[3].bytes,
        (long long)col[4].number, (long long)col[5].number,
        (const char *)col[6].bytes, (long long)col[7].number,
        (long long)col[8].number, (long long)col[9].number,
        (long long)col[10].number, (long long)col[11].number);
    speedy_buf_json(b, col[12].kind == SPEEDY_DB_NULL ? NULL : col[12].bytes);
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        speedy_buf_printf(b, ",\"%s\":", times[i].name);
        ctl_json_time(b, col[times[i].column].number);
    }
    speedy_buf_printf(b, ",\"request_id\":");
    speedy_buf_json(b, col[17].bytes);
}

static int show_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct view *v = data;
    struct speedy_buf *b = &v->out;

    (void)cols;
    v->n++;
    snprintf(v->sale, sizeof(v->sale), "%s", (const char *)col[1].bytes);
    if (v->c->json) {
        order_json(b, col);
        return 0;
    }
    speedy_buf_printf(
        b,
        "order      %s\nstate      %s%s%s (version %lld)\nsale       %s, "
        "variant %s, shopper %s\nunits      %lld of %lld won; live %lld, "
        "withheld %lld\nseq        %lld, epoch %lld\nreserved   %s\npay by   "
        "  %s\nin MySQL   %s, changed %s\nrequest    %s\n",
        id_text(&col[0]), (const char *)col[6].bytes,
        col[12].kind == SPEEDY_DB_NULL ? "" : ": ",
        col[12].kind == SPEEDY_DB_NULL ? "" : (const char *)col[12].bytes,
        (long long)col[7].number, (const char *)col[1].bytes,
        (const char *)col[2].bytes, (const char *)col[3].bytes,
        (long long)col[4].number, (long long)col[5].number,
        (long long)col[8].number, (long long)col[9].number,
        (long long)col[11].number, (long long)col[10].number,
        ctl_time_text(col[13].number), ctl_time_text(col[14].number),
        ctl_time_text(col[15].number), ctl_time_text(col[16].number),
        (const char *)col[17].bytes);
    return 0;
}

static int event_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct view *v = data;

    (void)cols;
    if (v->c->json) {
        speedy_buf_printf(&v->out,
                          "%s{\"version\":%lld,\"from\":\"%s\",\"to\":\"%s\","
                          "\"actor\":\"%s\",\"reason\":",
                          v->n ? "," : "", (long long)col[0].number,
                          (const char *)col[1].bytes,
                          (const char *)col[2].bytes,
                          (const char *)col[3].bytes);
        speedy_buf_json(&v->out, col[4].bytes);
        speedy_buf_printf(&v->out, ",\"at\":");
        ctl_json_time(&v->out, col[5].number);
        speedy_buf_printf(&v->out, "}");
    } else {
        speedy_buf_printf(
            &v->out, "event %3lld  %s  %s -> %s  by %s %s\n",
            (long long)col[0].number, ctl_time_text(col[5].number),
            col[1].len ? (const char *)col[1].bytes : "-",
            (const char *)col[2].bytes, (const char *)col[3].bytes,
            (const char *)col[4].bytes);
    }
    v->n++;
    return 0;
}

static int release_row(void *data, const struct speedy_db_value *col,
                       size_t cols)
{
    struct view *v = data;

    (void)cols;
    if (v->c->json) {
        speedy_buf_printf(&v->out,
                          "%s{\"id\":%lld,\"target\":%lld,\"epoch\":%lld,"
                          "\"created_at\":",
                          v->n ? "," : "", (long long)col[0].number,
                          (long long)col[1].number, (long long)col[2].number);
        ctl_json_time(&v->out, col[3].number);
        speedy_buf_printf(&v->out, ",\"done_at\":");
        ctl_json_time(&v->out, col[4].number);
        speedy_buf_printf(&v->out, "}");
    } else {
        speedy_buf_printf(&v->out,
                          "release %lld  to %lld units, epoch %lld, %s, done "
                          "%s\n",
                          (long long)col[0].number, (long long)col[1].number,
                          (long long)col[2].number,
                          ctl_time_text(col[3].number),
                          ctl_time_text(col[4].number));
    }
    v->n++;
    return 0;
}

/* The ledger's entry of the sale, as lookup.lua tells it. */
static void ledger(struct view *v, const unsigned char id[16])
{
    struct ctl *c = v->c;
    struct speedy_args *a = &c->redis_args;
    struct speedy_keys keys;
    redisReply *r = NULL;
    const redisReply *e = NULL;

    if (c->redis == NULL)
        c->redis = speedy_redis_new();
    if (c->redis != NULL && speedy_redis_ready(c->redis) == 0) {
        speedy_keys_make(&keys, v->sale);
        speedy_args_reset(a);
        speedy_args_text(a, keys.gate);
        speedy_args_text(a, keys.resv);
        speedy_args_text(a, keys.pend);
        speedy_args_text(a, speedy_redis_run_id(c->redis));
        speedy_args_add(a, id, 16);
        r = speedy_redis_script(c->redis, &speedy_script_lookup, 3, a);
    }
    if (r != NULL && r->type == REDIS_REPLY_ARRAY && r->elements == 1)
        e = r->element[0];
    if (v->c->json)
        speedy_buf_printf(&v->out, ",\"ledger\":");
    if (e == NULL)
        speedy_buf_printf(&v->out, c->json ? "null"
                                           : "ledger     unknown "
                                             "(Redis is away)\n");
    else if (e->elements < 9)
        speedy_buf_printf(&v->out, c->json ? "{}" : "ledger     no entry\n");
    else if (c->json)
        speedy_buf_printf(&v->out,
                          "{\"state\":\"%s\",\"user_id\":\"%s\",\"variant\":"
                          "\"%s\",\"quantity\":%s,\"epoch\":%s,\"seq\":%s}",
                          e->element[0]->str, e->element[1]->str,
                          e->element[2]->str, e->element[3]->str,
                          e->element[5]->str, e->element[8]->str);
    else
        speedy_buf_printf(
            &v->out,
            "ledger     %s units of %s for %s, epoch %s, seq "
            "%s%s\n",
            e->element[3]->str, e->element[2]->str, e->element[1]->str,
            e->element[5]->str, e->element[8]->str,
            strcmp(e->element[0]->str, "IN_DOUBT") == 0 ? " (in doubt)" : "");
    freeReplyObject(r);
}

static int histories(struct view *v, const unsigned char id[16])
{
    int n;

    v->n = 0;
    if (v->c->json)
        speedy_buf_printf(&v->out, ",\"events\":[");
    n = speedy_db_query(
        v->c->db,
        "SELECT version, from_state, to_state, actor, reason, " CTL_MS(
            "at") " FROM order_events WHERE order_id = ? "
                  "ORDER BY version",
        DB_ARGS(DB_BYTES(id, 16)), event_row, v);
    if (n != 0)
        return n;
    v->n = 0;
    if (v->c->json)
        speedy_buf_printf(&v->out, "],\"releases\":[");
    n = speedy_db_query(
        v->c->db,
        "SELECT id, target, epoch, " CTL_MS("created_at") ", " CTL_MS(
            "done_at") " FROM release_outbox WHERE sale_id "
                       "= ? AND order_id = ? ORDER BY id",
        DB_ARGS(DB_TEXT(v->sale), DB_BYTES(id, 16)), release_row, v);
    if (v->c->json)
        speedy_buf_printf(&v->out, "]");
    return n;
}

static int sale_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    char(*sales)[SPEEDY_ID_MAX + 1] = data;

    (void)cols;
    for (int i = 0; i < 64; i++) {
        if (sales[i][0] == '\0') {
            snprintf(sales[i], sizeof(sales[i]), "%s",
                     (const char *)col[0].bytes);
            return 0;
        }
    }
    return 1;
}

/* Not in MySQL yet: some ledger of a live sale may know it. */
static int show_unknown(struct view *v, const unsigned char id[16])
{
    static char sales[64][SPEEDY_ID_MAX + 1];
    struct ctl *c = v->c;
    size_t start;

    memset(sales, 0, sizeof(sales));
    speedy_db_query(c->db,
                    "SELECT id FROM sales WHERE state <> 'ARCHIVED' ORDER BY "
                    "opens_at DESC LIMIT 64",
                    DB_NONE, sale_row, sales);
    for (int i = 0; i < 64 && sales[i][0] != '\0'; i++) {
        memcpy(v->sale, sales[i], sizeof(v->sale));
        v->out.len = 0;
        if (c->json)
            speedy_buf_printf(&v->out, "{\"id\":\"%s\",\"sale_id\":\"%s\"",
                              c->args[0], v->sale);
        start = v->out.len;
        ledger(v, id);
        if (strstr(v->out.data + start, "quantity") == NULL &&
            strstr(v->out.data + start, "units of") == NULL)
            continue;
        speedy_buf_printf(&v->out,
                          c->json ? ",\"state\":null}"
                                  : "sale       %s\nnot yet in "
                                    "MySQL\n",
                          v->sale);
        ctl_print(&v->out);
        return CTL_DONE;
    }
    speedy_buf_free(&v->out);
    return ctl_refuse(c,
                      "there is no order %s, neither in MySQL nor in a "
                      "ledger",
                      c->args[0]);
}

int ctl_order_show(struct ctl *c)
{
    struct view v = {.c = c};
    unsigned char id[16];
    int n;

    if (speedy_uuid_parse(c->args[0], strlen(c->args[0]), id) != 0)
        return ctl_usage(c, "%s: give an order's id (a UUID)", c->args[0]);
    if (ctl_db(c) == NULL)
        return CTL_REFUSED;
    if (c->json)
        speedy_buf_printf(&v.out, "{");
    n = speedy_db_query(c->db, ORDER_COLUMNS "WHERE id = ?",
                        DB_ARGS(DB_BYTES(id, 16)), show_row, &v);
    if (n == 0 && v.n == 0)
        return show_unknown(&v, id);
    if (n == 0) {
        ledger(&v, id);
        n = histories(&v, id);
    }
    if (n != 0) {
        speedy_buf_free(&v.out);
        return ctl_db_failed(c, n);
    }
    if (c->json)
        speedy_buf_printf(&v.out, "}");
    ctl_print(&v.out);
    return CTL_DONE;
}

static int list_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct view *v = data;

    (void)cols;
    if (v->c->json) {
        speedy_buf_printf(&v->out, "%s{", v->n ? "," : "");
        order_json(&v->out, col);
        speedy_buf_printf(&v->out, "}");
    } else {
        speedy_buf_printf(&v->out, "%s  %-16s %-16s %-10s %-16s %4lld  %s\n",
                          id_text(&col[0]), (const char *)col[6].bytes,
                          (const char *)col[1].bytes,
                          (const char *)col[2].bytes,
                          (const char *)col[3].bytes, (long long)col[4].number,
                          ctl_time_text(col[13].number));
    }
    v->n++;
    return 0;
}

int ctl_order_list(struct ctl *c)
{
    struct view v = {.c = c};
    const char *sale = ctl_option(c, "sale"), *state = ctl_option(c, "state");
    int64_t limit;
    int n = ctl_option_number(c, "limit", 50, 1, 1000000, &limit);

    if (n != 0)
        return n;
    if (state != NULL && speedy_state_find(state) == NULL)
        return ctl_usage(c, "--state %s: there is no such state (see states)",
                         state);
    if (ctl_db(c) == NULL)
        return CTL_REFUSED;
    if (c->json)
        speedy_buf_printf(&v.out, "{\"data\":[");
    n = speedy_db_query(c->db,
                        ORDER_COLUMNS "WHERE (? = '' OR sale_id = ?) AND (? = "
                                      "'' OR state = ?) ORDER BY id DESC LIMIT "
                                      "?",
                        DB_ARGS(DB_TEXT(sale ? sale : ""),
                                DB_TEXT(sale ? sale : ""),
                                DB_TEXT(state ? state : ""),
                                DB_TEXT(state ? state : ""), DB_INT(limit)),
                        list_row, &v);
    if (n != 0) {
        speedy_buf_free(&v.out);
        return ctl_db_failed(c, n);
    }
    if (c->json)
        speedy_buf_printf(&v.out, "]}");
    else if (v.n == 0)
        speedy_buf_printf(&v.out, "no orders");
    ctl_print(&v.out);
    return CTL_DONE;
}
