/*
 * `payments`: attempts to pay, what was asked of KakaoPay for each, and what
 * went back. No secret and no personal data stands in those rows.
 */
#include "ctl.h"

#include <stdio.h>
#include <string.h>

#include "../common/crypto.h"

#define STATES "NEW READY APPROVING PAID FAILED REVOKED"
#define LIMIT_MOST 10000

struct view {
    struct ctl *c;
    struct speedy_buf out;
    int n;
};

static const char *id_text(const struct speedy_db_value *v)
{
    static char text[4][37];
    static int turn;
    char *out = text[turn++ % 4];

    speedy_uuid_text(v->bytes, out);
    return out;
}

static const char *words(const struct speedy_db_value *v)
{
    return v->kind == SPEEDY_DB_BYTES && v->len > 0 ? v->bytes : "-";
}

/* clang-format off */
#define PAYMENTS                                                               \
    "SELECT id, order_id, user_id, state, total_amount, shipping_fee, tid, "   \
    CTL_MS("created_at") ", " CTL_MS("dead_at") ", error_code, error, "        \
    "inquiries FROM payments "
/* clang-format on */

static int payment_row(void *data, const struct speedy_db_value *col,
                       size_t cols)
{
    struct view *v = data;
    struct speedy_buf *b = &v->out;

    (void)cols;
    if (!v->c->json) {
        speedy_buf_printf(b, "%s  %-9s %9lld  order %s  tid %s  %s%s\n",
                          id_text(&col[0]), words(&col[3]),
                          (long long)col[4].number, id_text(&col[1]),
                          words(&col[6]), ctl_time_text(col[7].number),
                          col[9].kind == SPEEDY_DB_NULL ? "" : "  refused");
        v->n++;
        return 0;
    }
    speedy_buf_printf(b,
                      "%s{\"id\":\"%s\",\"order_id\":\"%s\",\"user_id\":\"%s\","
                      "\"state\":\"%s\",\"total_amount\":%lld,"
                      "\"shipping_fee\":%lld,\"inquiries\":%lld,\"tid\":",
                      v->n++ > 0 ? "," : "", id_text(&col[0]), id_text(&col[1]),
                      words(&col[2]), words(&col[3]), (long long)col[4].number,
                      (long long)col[5].number, (long long)col[11].number);
    speedy_buf_json(b, col[6].kind == SPEEDY_DB_NULL ? NULL : col[6].bytes);
    speedy_buf_printf(b, ",\"created_at\":");
    ctl_json_time(b, col[7].number);
    speedy_buf_printf(b, ",\"dead_at\":");
    ctl_json_time(b, col[8].kind == SPEEDY_DB_NULL ? 0 : col[8].number);
    speedy_buf_printf(b, ",\"error_code\":");
    if (col[9].kind == SPEEDY_DB_NULL)
        speedy_buf_printf(b, "null");
    else
        speedy_buf_printf(b, "%lld", (long long)col[9].number);
    speedy_buf_printf(b, ",\"error\":");
    speedy_buf_json(b, col[10].bytes);
    speedy_buf_printf(b, "}");
    return 0;
}

int ctl_payments_list(struct ctl *c)
{
    const char *state = ctl_option(c, "state");
    struct view v = {.c = c};
    int64_t limit;
    int code = ctl_option_number(c, "limit", 50, 1, LIMIT_MOST, &limit), n;

    if (code != 0)
        return code;
    if (state != NULL && ctl_option_word(c, "state", STATES, &state) != 0)
        return CTL_USAGE;
    if (ctl_db(c) == NULL)
        return CTL_REFUSED;
    if (c->json)
        speedy_buf_printf(&v.out, "[");
    n = speedy_db_query(c->db,
                        PAYMENTS "WHERE ? = '' OR state = ?"
                                 " ORDER BY id DESC LIMIT ?",
                        DB_ARGS(DB_TEXT(state != NULL ? state : ""),
                                DB_TEXT(state != NULL ? state : ""),
                                DB_INT(limit)),
                        payment_row, &v);
    speedy_buf_printf(&v.out, c->json ? "]\n" : "");
    if (n != 0) {
        speedy_buf_free(&v.out);
        return ctl_db_failed(c, n);
    }
    ctl_print(&v.out);
    return CTL_DONE;
}

static int call_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct view *v = data;

    (void)cols;
    if (v->c->json)
        speedy_buf_printf(&v->out,
                          "%s{\"kind\":\"%s\",\"outcome\":\"%s\",\"status\":"
                          "%lld,\"curl\":%lld,\"error_code\":%lld,\"ms\":%lld,"
                          "\"detail\":",
                          v->n++ > 0 ? "," : "", words(&col[0]), words(&col[1]),
                          (long long)col[2].number, (long long)col[3].number,
                          (long long)col[4].number, (long long)col[6].number);
    else
        speedy_buf_printf(
            &v->out,
            "  %s  %-8s %-9s http %lld curl %lld code %lld %s %lld ms\n",
            ctl_time_text(col[7].number), words(&col[0]), words(&col[1]),
            (long long)col[2].number, (long long)col[3].number,
            (long long)col[4].number, words(&col[5]), (long long)col[6].number);
    if (!v->c->json)
        return 0;
    speedy_buf_json(&v->out, col[5].bytes);
    speedy_buf_printf(&v->out, ",\"at\":");
    ctl_json_time(&v->out, col[7].number);
    speedy_buf_printf(&v->out, "}");
    return 0;
}

static int refund_row(void *data, const struct speedy_db_value *col,
                      size_t cols)
{
    struct view *v = data;

    (void)cols;
    speedy_buf_printf(
        &v->out,
        v->c->json ? "%s{\"id\":\"%s\",\"kind\":\"%s\",\"state\":\"%s\","
                     "\"amount\":%lld,\"calls\":%lld}"
                   : "%s  refund %s  %s  %s  %lld won  %lld calls\n",
        v->c->json && v->n++ > 0 ? "," : "", id_text(&col[0]), words(&col[1]),
        words(&col[2]), (long long)col[3].number, (long long)col[4].number);
    return 0;
}

/* The rows of one order: its attempts, then calls, then refunds. */
static int show(struct ctl *c, struct view *v, const unsigned char id[16])
{
    int n = speedy_db_query(c->db, PAYMENTS "WHERE order_id = ? ORDER BY id",
                            DB_ARGS(DB_BYTES(id, 16)), payment_row, v);

    if (n != 0 || v->n == 0)
        return n;
    speedy_buf_printf(&v->out, c->json ? "],\"calls\":[" : "");
    v->n = 0;
    n = speedy_db_query(
        c->db,
        "SELECT k.kind, k.outcome, k.http_status, k.curl_code,"
        " COALESCE(k.error_code, 0), k.detail, k.ms, " CTL_MS(
            "k.at") " FROM payment_calls k JOIN payments p ON p.id ="
                    " k.payment_id WHERE p.order_id = ? ORDER BY k.id",
        DB_ARGS(DB_BYTES(id, 16)), call_row, v);
    speedy_buf_printf(&v->out, c->json ? "],\"refunds\":[" : "");
    v->n = 0;
    if (n == 0)
        n = speedy_db_query(c->db,
                            "SELECT id, kind, state, amount, calls FROM refunds"
                            " WHERE order_id = ? ORDER BY id",
                            DB_ARGS(DB_BYTES(id, 16)), refund_row, v);
    v->n = 1;
    return n;
}

int ctl_payments_show(struct ctl *c)
{
    struct view v = {.c = c};
    unsigned char id[16];
    int n;

    if (speedy_uuid_parse(c->args[0], strlen(c->args[0]), id) != 0)
        return ctl_usage(c, "%s is no order's id", c->args[0]);
    if (ctl_db(c) == NULL)
        return CTL_REFUSED;
    speedy_buf_printf(&v.out, c->json ? "{\"payments\":[" : "");
    n = show(c, &v, id);
    if (n == 0 && v.n > 0) {
        speedy_buf_printf(&v.out, c->json ? "]}\n" : "");
        ctl_print(&v.out);
        return CTL_DONE;
    }
    speedy_buf_free(&v.out);
    return n != 0 ? ctl_db_failed(c, n)
                  : ctl_refuse(c, "nobody has tried to pay %s", c->args[0]);
}
