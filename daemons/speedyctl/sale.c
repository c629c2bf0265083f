/*
 * A sale shown and listed, and its acts' results in words.
 */
#include "sale.h"

#include <stdio.h>
#include <string.h>

#include "../common/loop.h"

int sale_read(struct ctl *c, const char *id, struct speedy_sale *s)
{
    int n;

    if (ctl_db(c) == NULL)
        return CTL_REFUSED;
    n = speedy_sale_read(c->db, id, s);
    if (n == 0)
        return ctl_refuse(c, "there is no sale %s: see sale list", id);
    return n == 1 ? 0 : ctl_db_failed(c, n);
}

void sale_read_redis(struct ctl *c, struct speedy_sale *s)
{
    if (c->redis == NULL)
        c->redis = speedy_redis_new();
    speedy_sale_read_redis(c->redis, s);
}

const char *sale_gate_word(const struct speedy_sale *s)
{
    if (strcmp(s->state, "ARCHIVED") == 0)
        return "removed";
    if (!s->redis_known)
        return "unknown (Redis is away)";
    return s->gate ? "up" : "fenced";
}

bool sale_wait_gate(struct ctl *c, struct speedy_sale *s, int64_t wait_ms)
{
    int64_t until = speedy_now_boot() + wait_ms;
    char id[SPEEDY_ID_MAX + 1];

    snprintf(id, sizeof(id), "%s", s->id);
    for (;;) {
        sale_read_redis(c, s);
        if (s->gate || speedy_now_boot() >= until)
            return s->gate;
        speedy_pause(50);
        /* the rebuild that opens the gate raises the epoch */
        if (sale_read(c, id, s) != 0)
            return false;
    }
}

int sale_act_told(const struct ctl *c, int result, const char *id,
                  const struct speedy_sale *s)
{
    const char *verb = strchr(c->command->name, ' ') + 1;

    switch (result) {
    case SPEEDY_ACT_DONE:
        return CTL_DONE;
    case SPEEDY_ACT_UNKNOWN:
        return ctl_refuse(c, "there is no sale %s: see sale list", id);
    case SPEEDY_ACT_EXISTS:
        return ctl_refuse(
            c, "sale %s exists already; an id is never used again", id);
    case SPEEDY_ACT_VERSION:
        return ctl_refuse(c, "sale %s was changed since: look at it again", id);
    case SPEEDY_ACT_MOVE:
        return ctl_refuse(c, "sale %s is %s: %s does not start from there", id,
                          speedy_sale_word(s), verb);
    case SPEEDY_ACT_OPENED:
        return ctl_refuse(c, "sale %s opens at %s, or did: pause it instead",
                          id, ctl_time_text(s->opens_at));
    case SPEEDY_ACT_OVER:
        return ctl_refuse(c, "sale %s is %s: make a new sale", id,
                          speedy_sale_word(s));
    case SPEEDY_ACT_WINDOW:
        return ctl_refuse(c,
                          "the opening must lie before the closing (%s): sale "
                          "extend moves the closing",
                          ctl_time_text(s->closes_at));
    case SPEEDY_ACT_PAST:
        return ctl_refuse(c, "this time has passed: give a later one");
    case SPEEDY_ACT_NOT_LATER:
        return ctl_refuse(c, "sale %s closes at %s%s: give a later time", id,
                          ctl_time_text(s->closes_at),
                          s->closes_at ? "" : " (open end)");
    case SPEEDY_ACT_NO_PRODUCT:
        return ctl_refuse(c,
                          "there is no product %s: speedyctl product add --id "
                          "%s --name NAME --price WON",
                          s->product, s->product);
    case SPEEDY_ACT_NO_VARIANT:
        return ctl_refuse(c, "sale %s has no such variant: see sale show %s",
                          id, id);
    case SPEEDY_ACT_LIMIT_STOCK:
        return ctl_refuse(c,
                          "a shopper may not have more than there is: lower "
                          "--limit (%lld), or raise the stock",
                          (long long)s->limit);
    case SPEEDY_ACT_TOO_MANY:
        return ctl_refuse(c, "a variant has at most %d units",
                          SPEEDY_STOCK_MAX);
    case SPEEDY_ACT_COUNTERS:
        return ctl_refuse(c,
                          "sale %s counts fewer withheld units than its "
                          "orders have: run speedyctl audit (I1)",
                          id);
    default:
        return ctl_db_failed(c, result);
    }
}

static void variant_json(struct speedy_buf *b,
                         const struct speedy_sale_variant *v)
{
    speedy_buf_printf(b, "{\"variant\":\"%s\",\"price\":%lld,\"total\":%lld,",
                      v->id, (long long)v->price, (long long)v->total);
    if (v->left >= 0)
        speedy_buf_printf(b, "\"left\":%lld,", (long long)v->left);
    else
        speedy_buf_printf(b, "\"left\":null,");
    speedy_buf_printf(b,
                      "\"held\":%lld,\"sold\":%lld,\"withheld\":%lld,"
                      "\"epoch\":%lld}",
                      (long long)v->held, (long long)v->sold,
                      (long long)v->withheld, (long long)v->epoch);
}

static void show_json(struct speedy_buf *b, const struct speedy_sale *s)
{
    speedy_buf_printf(b,
                      "{\"id\":\"%s\",\"product\":\"%s\",\"state\":\"%s\","
                      "\"stored_state\":\"%s\",\"gate\":\"%s\",\"opens_at\":",
                      s->id, s->product, speedy_sale_word(s), s->state,
                      s->redis_known || strcmp(s->state, "ARCHIVED") == 0
                          ? sale_gate_word(s)
                          : "unknown");
    ctl_json_time(b, s->opens_at);
    speedy_buf_printf(b, ",\"closes_at\":");
    ctl_json_time(b, s->closes_at);
    speedy_buf_printf(b,
                      ",\"limit\":%lld,\"hold_ms\":%lld,\"restock\":\"%s\","
                      "\"shipping\":\"%s\",\"version\":%lld,\"pend\":",
                      (long long)s->limit, (long long)s->hold_ms, s->restock,
                      s->shipping, (long long)s->version);
    if (s->redis_known)
        speedy_buf_printf(b, "%lld", (long long)s->pend);
    else
        speedy_buf_printf(b, "null");
    speedy_buf_printf(b, ",\"notice\":");
    speedy_buf_json(b, s->notice);
    speedy_buf_printf(b, ",\"variants\":[");
    for (int i = 0; i < s->variant_count; i++) {
        if (i > 0)
            speedy_buf_printf(b, ",");
        variant_json(b, &s->variant[i]);
    }
    speedy_buf_printf(b, "]}");
}

static void show_text(struct speedy_buf *b, const struct speedy_sale *s)
{
    speedy_buf_printf(b,
                      "sale      %s  (product %s)\nstate     %s\ngate      %s"
                      "\nopens     %s\ncloses    %s\nlimit     %lld a "
                      "shopper, %s to pay\nrestock   %s, shipping %s\n%s%s%s"
                      "\n",
                      s->id, s->product, speedy_sale_word(s), sale_gate_word(s),
                      ctl_time_text(s->opens_at), ctl_time_text(s->closes_at),
                      (long long)s->limit, ctl_duration_text(s->hold_ms),
                      s->restock, s->shipping, *s->notice ? "notice    " : "",
                      s->notice, *s->notice ? "\n" : "");
    speedy_buf_printf(b, "%-16s %10s %8s %8s %8s %8s %8s\n", "variant", "price",
                      "total", "left", "held", "sold", "withheld");
    for (int i = 0; i < s->variant_count; i++) {
        const struct speedy_sale_variant *v = &s->variant[i];
        char left[24] = "-";

        if (v->left >= 0)
            snprintf(left, sizeof(left), "%lld", (long long)v->left);
        speedy_buf_printf(b, "%-16s %10lld %8lld %8s %8lld %8lld %8lld\n",
                          v->id, (long long)v->price, (long long)v->total, left,
                          (long long)v->held, (long long)v->sold,
                          (long long)v->withheld);
    }
}

int ctl_sale_show(struct ctl *c)
{
    static struct speedy_sale s;
    struct speedy_buf out = {0};
    int code = sale_read(c, c->args[0], &s);

    if (code != 0)
        return code;
    sale_read_redis(c, &s);
    if (c->json)
        show_json(&out, &s);
    else
        show_text(&out, &s);
    ctl_print(&out);
    return CTL_DONE;
}

/* The columns after those of the sale. */
enum { OFFERED = SPEEDY_SALE_COLUMN_COUNT, TAKEN };

struct list {
    struct ctl *c;
    struct speedy_buf out;
    int n;
};

static int list_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    static struct speedy_sale s;
    struct list *l = data;

    memset(&s, 0, sizeof(s));
    (void)cols;
    speedy_sale_take(&s, col);
    if (!l->c->json) {
        speedy_buf_printf(
            &l->out, "%-20s %-9s %-20s %s  %lld of %lld taken\n", s.id,
            speedy_sale_word(&s), s.product, ctl_time_text(s.opens_at),
            (long long)col[TAKEN].number, (long long)col[OFFERED].number);
    } else {
        speedy_buf_printf(&l->out,
                          "%s{\"id\":\"%s\",\"product\":\"%s\",\"state\":"
                          "\"%s\",\"opens_at\":",
                          l->n ? "," : "", s.id, s.product,
                          speedy_sale_word(&s));
        ctl_json_time(&l->out, s.opens_at);
        speedy_buf_printf(&l->out, ",\"closes_at\":");
        ctl_json_time(&l->out, s.closes_at);
        speedy_buf_printf(&l->out, ",\"total\":%lld,\"taken\":%lld}",
                          (long long)col[OFFERED].number,
                          (long long)col[TAKEN].number);
    }
    l->n++;
    return 0;
}

int ctl_sale_list(struct ctl *c)
{
    struct list l = {.c = c};
    char sql[1024];
    int n;

    if (ctl_db(c) == NULL)
        return CTL_REFUSED;
    if (c->json)
        speedy_buf_printf(&l.out, "{\"data\":[");
    snprintf(sql, sizeof(sql),
             "SELECT %s, CAST((SELECT SUM(total) FROM sale_variants v WHERE "
             "v.sale_id = s.id) AS SIGNED), CAST((SELECT SUM(held + sold + "
             "withheld) FROM sale_variants v WHERE v.sale_id = s.id) AS "
             "SIGNED) FROM sales s ORDER BY opens_at, id",
             speedy_sale_columns);
    n = speedy_db_query(c->db, sql, DB_NONE, list_row, &l);
    if (n != 0) {
        speedy_buf_free(&l.out);
        return ctl_db_failed(c, n);
    }
    if (c->json)
        speedy_buf_printf(&l.out, "]}");
    else if (l.n == 0)
        speedy_buf_printf(&l.out, "no sales: see help sale create");
    ctl_print(&l.out);
    return CTL_DONE;
}
