/*
 * A sale as it is: read from MySQL, completed from Redis.
 */
#include "sale.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "act.h"
#include "scripts.h"

const struct speedy_sale_move speedy_sale_moves[] = {
    {"pause", "ACTIVE", "PAUSED", "operator"},
    {"resume", "PAUSED", "ACTIVE", "operator"},
    {"close", "ACTIVE", "CLOSED", "operator"},
    {"close", "PAUSED", "CLOSED", "operator"},
    {"archive", "CLOSED", "ARCHIVED", "stockd"},
};
const size_t speedy_sale_move_count =
    sizeof(speedy_sale_moves) / sizeof(speedy_sale_moves[0]);

const char speedy_sale_columns[] =
    "id, product_id, state, restock, shipping, " SPEEDY_MS("opens_at") ", " SPEEDY_MS("closes_at") ", per_user_limit, hold_ms, version, " SPEEDY_MS(
        "created_at") ", " SPEEDY_MS("archived_at") ", " SPEEDY_MS("UTC_TIMESTAMP(3)") ", notice, " SPEEDY_MS("closed_at");

const struct speedy_sale_move *speedy_sale_move_find(const char *act,
                                                     const char *from)
{
    for (size_t i = 0; i < speedy_sale_move_count; i++) {
        if (strcmp(speedy_sale_moves[i].act, act) == 0 &&
            strcmp(speedy_sale_moves[i].from, from) == 0)
            return &speedy_sale_moves[i];
    }
    return NULL;
}

static void copy(char *out, size_t size, const struct speedy_db_value *v)
{
    snprintf(out, size, "%s",
             v->kind == SPEEDY_DB_BYTES ? (const char *)v->bytes : "");
}

void speedy_sale_take(struct speedy_sale *s, const struct speedy_db_value *col)
{
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
    copy(s->notice, sizeof(s->notice), &col[13]);
    s->closed_at = col[14].number;
}

static int sale_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    (void)cols;
    speedy_sale_take(data, col);
    return 0;
}

static int variant_row(void *data, const struct speedy_db_value *col,
                       size_t cols)
{
    struct speedy_sale *s = data;
    struct speedy_sale_variant *v = &s->variant[s->variant_count];

    (void)cols;
    if (s->variant_count == SPEEDY_VARIANTS_MAX)
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

int speedy_sale_read(struct speedy_db *db, const char *id,
                     struct speedy_sale *s)
{
    char sql[1024];
    int n;

    memset(s, 0, sizeof(*s));
    snprintf(sql, sizeof(sql), "SELECT %s FROM sales WHERE id = ?",
             speedy_sale_columns);
    n = speedy_db_query(db, sql, DB_ARGS(DB_TEXT(id)), sale_row, s);
    if (n != 0 || s->id[0] == '\0')
        return n;
    n = speedy_db_query(db,
                        "SELECT variant, price, total, held, sold, withheld, "
                        "epoch FROM sale_variants WHERE sale_id = ? ORDER BY "
                        "variant",
                        DB_ARGS(DB_TEXT(id)), variant_row, s);
    return n == 0 ? 1 : n;
}

static redisReply *ask(struct speedy_redis *rc, const char *command,
                       const char *key, const char *a, const char *b)
{
    struct speedy_args args = {0};
    redisReply *r;

    speedy_args_text(&args, command);
    speedy_args_text(&args, key);
    if (a != NULL)
        speedy_args_text(&args, a);
    if (b != NULL)
        speedy_args_text(&args, b);
    r = speedy_redis_command(rc, &args);
    speedy_args_free(&args);
    return r;
}

/* A gate of another incarnation, or of another epoch, is no gate. */
static bool gate_stands(struct speedy_redis *rc, const struct speedy_sale *s,
                        const redisReply *r)
{
    return r->type == REDIS_REPLY_ARRAY && r->elements == 2 &&
           r->element[0]->type == REDIS_REPLY_STRING &&
           r->element[1]->type == REDIS_REPLY_STRING &&
           strcmp(r->element[0]->str, speedy_redis_run_id(rc)) == 0 &&
           s->variant_count > 0 &&
           strtoll(r->element[1]->str, NULL, 10) == s->variant[0].epoch;
}

void speedy_sale_read_redis(struct speedy_redis *rc, struct speedy_sale *s)
{
    struct speedy_keys keys;
    redisReply *r;

    s->redis_known = false;
    s->gate = false;
    if (rc == NULL || speedy_redis_ready(rc) != 0)
        return;
    speedy_keys_make(&keys, s->id);
    r = ask(rc, "HMGET", keys.gate, "run_id", "epoch");
    if (r == NULL)
        return;
    s->redis_known = true;
    s->gate = gate_stands(rc, s, r);
    freeReplyObject(r);
    r = ask(rc, "HLEN", keys.pend, NULL, NULL);
    if (r != NULL && r->type == REDIS_REPLY_INTEGER)
        s->pend = r->integer;
    freeReplyObject(r);
    for (int i = 0; i < s->variant_count && s->gate; i++) {
        r = ask(rc, "HGET", keys.stock, s->variant[i].id, NULL);
        if (r != NULL && r->type == REDIS_REPLY_STRING)
            s->variant[i].left = strtoll(r->str, NULL, 10);
        freeReplyObject(r);
    }
}

const char *speedy_sale_word(const struct speedy_sale *s)
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

bool speedy_sale_has_variant(const struct speedy_sale *s, const char *id)
{
    for (int i = 0; i < s->variant_count; i++) {
        if (strcmp(s->variant[i].id, id) == 0)
            return true;
    }
    return false;
}
