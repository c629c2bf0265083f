/*
 * One statement reads the sales, one pipelined look-up of Redis what is left
 * of those that are open. Without Redis (away, or a sale fenced) MySQL's
 * counters tell: they lag by the orders that are under way.
 */
#include "board.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/log.h"
#include "../common/loop.h"
#include "../common/redis.h"
#include "../shop/act.h"
#include "../shop/scripts.h"
#include "productd.h"
#include "speedy_lua.h"

#define FRESH_MS 1000
#define BATCH 64

const char *const productd_kind_words[] = {"open", "sold_out", "upcoming",
                                           "closed"};

static struct speedy_script left_script = {"left", SPEEDY_LUA_LEFT, ""};
static struct speedy_db *db;
static struct speedy_redis *rc;
static struct speedy_args args[BATCH];
static redisReply *replies[BATCH];

/* `making` is held by who makes the next board; `lock` only for moments. */
static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct productd_board *current;

struct reading {
    struct productd_board *b;
    size_t sale_size, variant_size;
};

int productd_board_init(void)
{
    db = speedy_db_new(PRODUCTD_ROLE);
    rc = speedy_redis_new();
    return db == NULL || rc == NULL ? -1 : 0;
}

void productd_board_free(void)
{
    productd_board_put(current);
    current = NULL;
    speedy_redis_free(rc);
    speedy_db_free(db);
    rc = NULL;
    db = NULL;
    for (size_t i = 0; i < BATCH; i++)
        speedy_args_free(&args[i]);
}

void productd_board_put(struct productd_board *b)
{
    if (b == NULL || atomic_fetch_sub(&b->refs, 1) > 1)
        return;
    for (size_t i = 0; i <= PRODUCTD_ENDED; i++)
        speedy_buf_free(&b->products[i]);
    free(b->sales);
    free(b->by_product);
    free(b->variants);
    free(b);
}

static void *grown(void *at, size_t count, size_t *size, size_t one)
{
    void *more;

    if (count < *size)
        return at;
    *size = *size * 2 + 64;
    more = realloc(at, *size * one);
    if (more == NULL)
        abort();
    return more;
}

static void sale_add(struct reading *rd, const struct speedy_db_value *col)
{
    struct productd_board *b = rd->b;
    struct productd_board_sale *s;

    b->sales = grown(b->sales, b->count, &rd->sale_size, sizeof(*s));
    s = &b->sales[b->count++];
    memset(s, 0, sizeof(*s));
    snprintf(s->id, sizeof(s->id), "%s", (const char *)col[0].bytes);
    snprintf(s->product, sizeof(s->product), "%s", (const char *)col[1].bytes);
    s->paused = strcmp(col[2].bytes, "PAUSED") == 0;
    s->opens_at = col[3].number;
    s->closes_at = col[4].number;
    s->kind = col[5].number == 1 ? PRODUCTD_OPEN : PRODUCTD_UPCOMING;
}

static int board_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct reading *rd = data;
    struct productd_board *b = rd->b;
    struct productd_board_variant *v;

    (void)cols;
    if (b->count == 0 || strcmp(b->sales[b->count - 1].id, col[0].bytes) != 0)
        sale_add(rd, col);
    b->variants =
        grown(b->variants, b->variant_count, &rd->variant_size, sizeof(*v));
    v = &b->variants[b->variant_count++];
    snprintf(v->id, sizeof(v->id), "%s", (const char *)col[6].bytes);
    v->left = col[7].number;
    b->sales[b->count - 1].epoch = col[8].number;
    b->sales[b->count - 1].variant_count++;
    return 0;
}

static int read_sales(struct productd_board *b)
{
    struct reading rd = {.b = b};
    struct productd_board_variant *v;
    int n;

    if (speedy_db_ready(db) != 0)
        return SPEEDY_DB_RETRY;
    n = speedy_db_query(
        db,
        "SELECT s.id, s.product_id, s.state, " SPEEDY_MS("s.opens_at") ", " SPEEDY_MS(
            "s.closes_at") ", s.opens_at <= UTC_TIMESTAMP(3), v.variant,"
                           " v.total - v.held - v.sold - v.withheld, v.epoch FROM sales s JOIN"
                           " sale_variants v ON v.sale_id = s.id WHERE s.state IN ('ACTIVE',"
                           " 'PAUSED') AND (s.closes_at IS NULL OR s.closes_at >"
                           " UTC_TIMESTAMP(3)) ORDER BY s.id, v.variant",
        DB_NONE, board_row, &rd);
    v = b->variants;
    for (size_t i = 0; i < b->count; i++) {
        b->sales[i].variants = v;
        v += b->sales[i].variant_count;
    }
    return n;
}

/* One sale's reply: the units left, where the gate of this epoch stands. */
static void take_left(struct productd_board *b, struct productd_board_sale *s,
                      const redisReply *r)
{
    struct productd_board_variant *v = &b->variants[s->variants - b->variants];
    const redisReply *list;

    if (r == NULL || r->type != REDIS_REPLY_ARRAY || r->elements != 3 ||
        r->element[1]->type != REDIS_REPLY_STRING ||
        strtoll(r->element[1]->str, NULL, 10) != s->epoch)
        return;
    list = r->element[2];
    for (size_t i = 0; i + 1 < list->elements; i += 2) {
        for (size_t k = 0; k < s->variant_count; k++) {
            if (strcmp(v[k].id, list->element[i]->str) == 0)
                v[k].left = strtoll(list->element[i + 1]->str, NULL, 10);
        }
    }
    s->from_redis = true;
}

static int ask_batch(struct productd_board *b, size_t *at)
{
    struct productd_board_sale *asked[BATCH];
    static struct speedy_keys keys[BATCH];
    size_t n = 0;

    for (; *at < b->count && n < BATCH; (*at)++) {
        if (b->sales[*at].kind != PRODUCTD_OPEN)
            continue;
        asked[n] = &b->sales[*at];
        speedy_keys_make(&keys[n], asked[n]->id);
        speedy_args_reset(&args[n]);
        speedy_args_text(&args[n], keys[n].gate);
        speedy_args_text(&args[n], keys[n].stock);
        speedy_args_text(&args[n], speedy_redis_run_id(rc));
        n++;
    }
    if (n == 0)
        return 0;
    if (speedy_redis_scripts(rc, &left_script, 2, args, n, replies) != 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        take_left(b, asked[i], replies[i]);
        if (replies[i] != NULL)
            freeReplyObject(replies[i]);
    }
    return 0;
}

static void read_left(struct productd_board *b)
{
    if (speedy_redis_ready(rc) != 0)
        return;
    for (size_t at = 0; at < b->count;) {
        if (ask_batch(b, &at) != 0)
            return;
    }
}

/* By product; of one product the open one, and the one that opens first. */
static int by_product(const void *a, const void *b)
{
    const struct productd_board_sale *x =
        *(const struct productd_board_sale *const *)a;
    const struct productd_board_sale *y =
        *(const struct productd_board_sale *const *)b;
    int n = strcmp(x->product, y->product);

    if (n == 0)
        n = (x->kind > y->kind) - (x->kind < y->kind);
    if (n == 0)
        n = (x->opens_at > y->opens_at) - (x->opens_at < y->opens_at);
    return n != 0 ? n : strcmp(x->id, y->id);
}

static void add_id(struct speedy_buf *list, const char *id)
{
    speedy_buf_printf(list, "%s%s", list->len > 0 ? "," : "", id);
}

static void index_make(struct productd_board *b)
{
    b->by_product = calloc(b->count + 1, sizeof(b->by_product[0]));
    if (b->by_product == NULL)
        abort();
    for (size_t i = 0; i < b->count; i++) {
        struct productd_board_sale *s = &b->sales[i];
        int64_t left = 0;

        for (size_t k = 0; k < s->variant_count; k++)
            left += s->variants[k].left;
        if (s->kind == PRODUCTD_OPEN && left <= 0)
            s->kind = PRODUCTD_SOLD_OUT;
        b->by_product[i] = s;
    }
    if (b->count > 0)
        qsort(b->by_product, b->count, sizeof(b->by_product[0]), by_product);
    for (size_t i = 0; i < b->count; i++) {
        const struct productd_board_sale *s = b->by_product[i];

        if (i > 0 && strcmp(s->product, b->by_product[i - 1]->product) == 0)
            continue;
        add_id(&b->products[s->kind], s->product);
        add_id(&b->products[PRODUCTD_ENDED], s->product);
    }
}

/* Holding `making`. */
static void make(void)
{
    struct productd_board *b = calloc(1, sizeof(*b)), *old;

    if (b == NULL)
        abort();
    atomic_init(&b->refs, 1);
    b->made = speedy_now_boot();
    if (read_sales(b) != SPEEDY_DB_OK) {
        productd_board_put(b);
        return;
    }
    read_left(b);
    index_make(b);
    pthread_mutex_lock(&lock);
    old = current;
    current = b;
    pthread_mutex_unlock(&lock);
    productd_board_put(old);
}

static struct productd_board *taken(void)
{
    struct productd_board *b;

    pthread_mutex_lock(&lock);
    b = current;
    if (b != NULL)
        atomic_fetch_add(&b->refs, 1);
    pthread_mutex_unlock(&lock);
    return b;
}

static bool fresh(const struct productd_board *b)
{
    return b != NULL && speedy_now_boot() - b->made < FRESH_MS;
}

struct productd_board *productd_board_get(void)
{
    struct productd_board *b = taken();

    if (fresh(b))
        return b;
    /* somebody makes the next one: only who has none at all, or one of an
       idle hour, waits for it */
    if (b != NULL && speedy_now_boot() - b->made < 5 * FRESH_MS) {
        if (pthread_mutex_trylock(&making) != 0)
            return b;
    } else {
        pthread_mutex_lock(&making);
    }
    productd_board_put(b);
    b = taken();
    if (!fresh(b)) {
        productd_board_put(b);
        make();
        b = taken();
    }
    pthread_mutex_unlock(&making);
    return b;
}

static int id_compare(const void *id, const void *sale)
{
    return strcmp(id, ((const struct productd_board_sale *)sale)->id);
}

const struct productd_board_sale *
productd_board_sale_find(const struct productd_board *b, const char *id)
{
    if (b == NULL || b->count == 0)
        return NULL;
    return bsearch(id, b->sales, b->count, sizeof(b->sales[0]), id_compare);
}

const struct productd_board_sale *
productd_board_product_find(const struct productd_board *b, const char *id)
{
    size_t low = 0, high = b == NULL ? 0 : b->count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (strcmp(b->by_product[middle]->product, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (b == NULL || low == b->count ||
        strcmp(b->by_product[low]->product, id) != 0)
        return NULL;
    return b->by_product[low];
}

int64_t productd_board_left(const struct productd_board_sale *s,
                            const char *variant)
{
    if (s == NULL)
        return -1;
    for (size_t i = 0; i < s->variant_count; i++) {
        if (strcmp(s->variants[i].id, variant) == 0)
            return s->variants[i].left;
    }
    return -1;
}
