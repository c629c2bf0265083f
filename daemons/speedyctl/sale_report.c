/*
 * `sale report`: what came of a sale, from MySQL (and what is left, from
 * Redis while the sale lives).
 */
#include "sale.h"

#include <stdio.h>
#include <string.h>

struct report {
    struct ctl *c;
    struct speedy_buf states;
    int64_t orders, units, expired, cancelled, rejected, first, last, peak;
    int n;
};

static int state_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct report *r = data;
    const char *state = col[0].bytes;

    (void)cols;
    speedy_buf_printf(&r->states, r->c->json ? "%s\"%s\":%lld" : "%s%s %lld",
                      r->n++ ? (r->c->json ? "," : ", ") : "", state,
                      (long long)col[1].number);
    if (strcmp(state, "REJECTED") == 0) {
        r->rejected = col[1].number;
        return 0;
    }
    r->orders += col[1].number;
    r->units += col[2].number;
    if (strcmp(state, "EXPIRED") == 0)
        r->expired = col[2].number;
    if (strcmp(state, "CANCELLED") == 0)
        r->cancelled = col[2].number;
    if (r->first == 0 || col[3].number < r->first)
        r->first = col[3].number;
    if (col[4].number > r->last)
        r->last = col[4].number;
    return 0;
}

static int read_report(struct report *r, const char *sale)
{
    int n = speedy_db_query(
        r->c->db,
        /* clang-format off */
        "SELECT state, COUNT(*), CAST(SUM(quantity) AS SIGNED), " CTL_MS(
            "MIN(reserved_at)") ", " CTL_MS("MAX(reserved_at)") " FROM orders "
        "WHERE sale_id = ? GROUP BY state ORDER BY state",
        /* clang-format on */
        DB_ARGS(DB_TEXT(sale)), state_row, r);

    if (n != 0)
        return n;
    n = speedy_db_number(
        r->c->db,
        "SELECT COUNT(*) AS n FROM orders WHERE sale_id = ? AND state <> "
        "'REJECTED' GROUP BY TIMESTAMPDIFF(SECOND, '1970-01-01', reserved_at) "
        "ORDER BY n DESC LIMIT 1",
        DB_ARGS(DB_TEXT(sale)), &r->peak);
    return n < 0 ? n : 0;
}

static void print_json(const struct speedy_sale *s, const struct report *r,
                       const int64_t sum[5])
{
    struct speedy_buf b = {0};

    speedy_buf_printf(&b,
                      "{\"sale\":\"%s\",\"state\":\"%s\",\"offered\":%lld,"
                      "\"held\":%lld,\"sold\":%lld,\"withheld\":%lld,",
                      s->id, speedy_sale_word(s), (long long)sum[0],
                      (long long)sum[1], (long long)sum[2], (long long)sum[3]);
    if (sum[4] >= 0)
        speedy_buf_printf(&b, "\"left\":%lld,", (long long)sum[4]);
    else
        speedy_buf_printf(&b, "\"left\":null,");
    speedy_buf_printf(&b,
                      "\"expired\":%lld,\"cancelled\":%lld,\"rejected\":%lld,"
                      "\"orders\":%lld,\"orders_by_state\":{%s},"
                      "\"peak_orders_per_second\":%lld,\"first_order\":",
                      (long long)r->expired, (long long)r->cancelled,
                      (long long)r->rejected, (long long)r->orders,
                      r->states.len ? r->states.data : "", (long long)r->peak);
    ctl_json_time(&b, r->first);
    speedy_buf_printf(&b, ",\"last_order\":");
    ctl_json_time(&b, r->last);
    speedy_buf_printf(&b, "}");
    ctl_print(&b);
}

static void print_text(const struct speedy_sale *s, const struct report *r,
                       const int64_t sum[5])
{
    printf("sale %s: %s\noffered    %lld units\nheld       %lld\nsold       "
           "%lld\nwithheld   %lld\n",
           s->id, speedy_sale_word(s), (long long)sum[0], (long long)sum[1],
           (long long)sum[2], (long long)sum[3]);
    if (sum[4] >= 0)
        printf("left       %lld\n", (long long)sum[4]);
    else
        printf("left       not known (%s)\n", sale_gate_word(s));
    printf("expired    %lld units\ncancelled  %lld units\norders     %lld "
           "(%s)\nfirst      %s\nlast       %s\npeak       %lld orders a "
           "second\n",
           (long long)r->expired, (long long)r->cancelled, (long long)r->orders,
           r->states.len ? r->states.data : "none", ctl_time_text(r->first),
           ctl_time_text(r->last), (long long)r->peak);
}

int ctl_sale_report(struct ctl *c)
{
    static struct speedy_sale s;
    struct report r = {.c = c};
    int64_t sum[5] = {0}; /* total, held, sold, withheld, left */
    int code = sale_read(c, c->args[0], &s), n;

    if (code != 0)
        return code;
    sale_read_redis(c, &s);
    n = read_report(&r, s.id);
    if (n != 0) {
        speedy_buf_free(&r.states);
        return ctl_db_failed(c, n);
    }
    for (int i = 0; i < s.variant_count; i++) {
        sum[0] += s.variant[i].total;
        sum[1] += s.variant[i].held;
        sum[2] += s.variant[i].sold;
        sum[3] += s.variant[i].withheld;
        sum[4] = s.variant[i].left < 0 || sum[4] < 0
                     ? -1
                     : sum[4] + s.variant[i].left;
    }
    if (c->json)
        print_json(&s, &r, sum);
    else
        print_text(&s, &r, sum);
    speedy_buf_free(&r.states);
    return CTL_DONE;
}
