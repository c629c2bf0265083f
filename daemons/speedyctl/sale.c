/*
 * A sale as it is: read from MySQL, completed from Redis, shown.
 */
#include "sale.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/loop.h"
#include "../shop/scripts.h"

const struct sale_move sale_moves[] = {
    {"pause", "ACTIVE", "PAUSED", "operator"},
    {"resume", "PAUSED", "ACTIVE", "operator"},
    {"close", "ACTIVE", "CLOSED", "operator"},
    {"close", "PAUSED", "CLOSED", "operator"},
    {"archive", "CLOSED", "ARCHIVED", "stockd"},
};
const size_t sale_move_count = sizeof(sale_moves) / sizeof(sale_moves[0]);

const struct sale_move *sale_move_find(const char *act, const char *from)
{
    for (size_t i = 0; i < sale_move_count; i++) {
        if (strcmp(sale_moves[i].act, act) == 0 &&
            strcmp(sale_moves[i].from, from) == 0)
            return &sale_moves[i];
    }
    return NULL;
}

static void copy(char *out, size_t size, const struct speedy_db_value *v)
{
    snprintf(out, size, "%s",
             v->kind == SPEEDY_DB_BYTES ? (const char *)v->bytes : "");
}

static int sale_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct sale *s = data;

    (void)cols;
    copy(s->id, sizeof(s->id), &col[0]);
    copy(s->product, sizeof(s->product), &col[1]);
    copy(s->state, sizeof(s->state), &col[2]);
    copy(s->restock, sizeof(s->restock), &col[3]);
    copy(s->shipping, sizeof(s->shipping), &col[4]);
    s->opens_at = col[5].number;
    s->closes_at = col[6].number;
    s->limit = col[7].number;
    s->hold_ms = col[8].number;
    s->version = col[9].number;
    s->created_at = col[10].number;
    s->archived_at = col[11].number;
    s->now = col[12].number;
    return 0;
}

static int variant_row(void *data, const struct speedy_db_value *col,
                       size_t cols)
{
    struct sale *s = data;
    struct sale_variant *v = &s->variant[s->variant_count];

    (void)cols;
    if (s->variant_count == SALE_VARIANTS_MAX)
        return 1;
    copy(v->id, sizeof(v->id), &col[0]);
    v->price = col[1].number;
    v->total = col[2].number;
    v->held = col[3].number;
    v->sold = col[4].number;
    v->withheld = col[5].number;
    v->epoch = col[6].number;
    v->left = -1;
    s->variant_count++;
    return 0;
}

int sale_read(struct ctl *c, const char *id, struct sale *s)
{
    int n;

    memset(s, 0, sizeof(*s));
    if (ctl_db(c) == NULL)
        return CTL_REFUSED;
    n = speedy_db_query(
        c->db,
        /* clang-format off */
        "SELECT id, product_id, state, restock, shipping, " CTL_MS(
            "opens_at") ", " CTL_MS("closes_at") ", per_user_limit, hold_ms, "
        "version, " CTL_MS("created_at") ", " CTL_MS("archived_at") ", "
        CTL_MS("UTC_TIMESTAMP(3)") " FROM sales WHERE id = ?",
        /* clang-format on */
        DB_ARGS(DB_TEXT(id)), sale_row, s);
    if (n == 0 && s->id[0] == '\0')
        return ctl_refuse(c, "there is no sale %s: see sale list", id);
    if (n == 0)
        n = speedy_db_query(c->db,
                            "SELECT variant, price, total, held, sold, "
                            "withheld, epoch FROM sale_variants WHERE sale_id "
                            "= ? ORDER BY variant",
                            DB_ARGS(DB_TEXT(id)), variant_row, s);
    return n == 0 ? 0 : ctl_db_failed(c, n);
}

static redisReply *ask(struct ctl *c, const char *command, const char *key,
                       const char *a, const char *b)
{
    speedy_args_reset(&c->redis_args);
    speedy_args_text(&c->redis_args, command);
    speedy_args_text(&c->redis_args, key);
    if (a != NULL)
        speedy_args_text(&c->redis_args, a);
    if (b != NULL)
        speedy_args_text(&c->redis_args, b);
    return speedy_redis_command(c->redis, &c->redis_args);
}

/* A gate of another incarnation, or of another epoch, is no gate. */
static bool gate_stands(struct ctl *c, const struct sale *s,
                        const redisReply *r)
{
    return r->type == REDIS_REPLY_ARRAY && r->elements == 2 &&
           r->element[0]->type == REDIS_REPLY_STRING &&
           r->element[1]->type == REDIS_REPLY_STRING &&
           strcmp(r->element[0]->str, speedy_redis_run_id(c->redis)) == 0 &&
           s->variant_count > 0 &&
           strtoll(r->element[1]->str, NULL, 10) == s->variant[0].epoch;
}

void sale_read_redis(struct ctl *c, struct sale *s)
{
    struct speedy_keys keys;
    redisReply *r;

    s->redis_known = false;
    s->gate = false;
    if (c->redis == NULL)
        c->redis = speedy_redis_new();
    if (c->redis == NULL || speedy_redis_ready(c->redis) != 0)
        return;
    speedy_keys_make(&keys, s->id);
    r = ask(c, "HMGET", keys.gate, "run_id", "epoch");
    if (r == NULL)
        return;
    s->redis_known = true;
    s->gate = gate_stands(c, s, r);
    freeReplyObject(r);
    r = ask(c, "HLEN", keys.pend, NULL, NULL);
    if (r != NULL && r->type == REDIS_REPLY_INTEGER)
        s->pend = r->integer;
    freeReplyObject(r);
    for (int i = 0; i < s->variant_count && s->gate; i++) {
        r = ask(c, "HGET", keys.stock, s->variant[i].id, NULL);
        if (r != NULL && r->type == REDIS_REPLY_STRING)
            s->variant[i].left = strtoll(r->str, NULL, 10);
        freeReplyObject(r);
    }
}

const char *sale_word(const struct sale *s)
{
    if (strcmp(s->state, "ARCHIVED") == 0)
        return "archived";
    if (strcmp(s->state, "CLOSED") == 0)
        return "closed";
    if (s->closes_at != 0 && s->closes_at <= s->now)
        return "ended";
    if (strcmp(s->state, "PAUSED") == 0)
        return "paused";
    return s->opens_at > s->now ? "upcoming" : "open";
}

const char *sale_gate_word(const struct sale *s)
{
    if (strcmp(s->state, "ARCHIVED") == 0)
        return "removed";
    if (!s->redis_known)
        return "unknown (Redis is away)";
    return s->gate ? "up" : "fenced";
}

bool sale_wait_gate(struct ctl *c, struct sale *s, int64_t wait_ms)
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

static void variant_json(struct speedy_buf *b, const struct sale_variant *v)
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

static void show_json(struct speedy_buf *b, const struct sale *s)
{
    speedy_buf_printf(b,
                      "{\"id\":\"%s\",\"product\":\"%s\",\"state\":\"%s\","
                      "\"stored_state\":\"%s\",\"gate\":\"%s\",\"opens_at\":",
                      s->id, s->product, sale_word(s), s->state,
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
    speedy_buf_printf(b, ",\"variants\":[");
    for (int i = 0; i < s->variant_count; i++) {
        if (i > 0)
            speedy_buf_printf(b, ",");
        variant_json(b, &s->variant[i]);
    }
    speedy_buf_printf(b, "]}");
}

static void show_text(struct speedy_buf *b, const struct sale *s)
{
    speedy_buf_printf(b,
                      "sale      %s  (product %s)\nstate     %s\ngate      %s"
                      "\nopens     %s\ncloses    %s\nlimit     %lld a "
                      "shopper, %s to pay\nrestock   %s, shipping %s\n\n",
                      s->id, s->product, sale_word(s), sale_gate_word(s),
                      ctl_time_text(s->opens_at), ctl_time_text(s->closes_at),
                      (long long)s->limit, ctl_duration_text(s->hold_ms),
                      s->restock, s->shipping);
    speedy_buf_printf(b, "%-16s %10s %8s %8s %8s %8s %8s\n", "variant", "price",
                      "total", "left", "held", "sold", "withheld");
    for (int i = 0; i < s->variant_count; i++) {
        const struct sale_variant *v = &s->variant[i];
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
    static struct sale s;
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

struct list {
    struct ctl *c;
    struct speedy_buf out;
    int n;
};

static int list_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    static struct sale s;
    struct list *l = data;

    memset(&s, 0, sizeof(s));
    sale_row(&s, col, cols);
    if (!l->c->json) {
        speedy_buf_printf(&l->out, "%-20s %-9s %-20s %s  %lld of %lld taken\n",
                          s.id, sale_word(&s), s.product,
                          ctl_time_text(s.opens_at), (long long)col[14].number,
                          (long long)col[13].number);
    } else {
        speedy_buf_printf(&l->out,
                          "%s{\"id\":\"%s\",\"product\":\"%s\",\"state\":"
                          "\"%s\",\"opens_at\":",
                          l->n ? "," : "", s.id, s.product, sale_word(&s));
        ctl_json_time(&l->out, s.opens_at);
        speedy_buf_printf(&l->out, ",\"closes_at\":");
        ctl_json_time(&l->out, s.closes_at);
        speedy_buf_printf(&l->out, ",\"total\":%lld,\"taken\":%lld}",
                          (long long)col[13].number, (long long)col[14].number);
    }
    l->n++;
    return 0;
}

int ctl_sale_list(struct ctl *c)
{
    struct list l = {.c = c};
    int n;

    if (ctl_db(c) == NULL)
        return CTL_REFUSED;
    if (c->json)
        speedy_buf_printf(&l.out, "{\"data\":[");
    n = speedy_db_query(
        c->db,
        /* clang-format off */
        "SELECT id, product_id, state, restock, shipping, " CTL_MS(
            "opens_at") ", " CTL_MS("closes_at") ", per_user_limit, hold_ms, "
        "version, " CTL_MS("created_at") ", " CTL_MS("archived_at") ", "
        CTL_MS("UTC_TIMESTAMP(3)") ", CAST((SELECT SUM(total) FROM "
        "sale_variants v WHERE v.sale_id = s.id) AS SIGNED), CAST((SELECT "
        "SUM(held + sold + withheld) FROM sale_variants v WHERE v.sale_id = "
        "s.id) AS SIGNED) FROM sales s ORDER BY opens_at, id",
        /* clang-format on */
        DB_NONE, list_row, &l);
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
