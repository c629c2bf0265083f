/*
 * Reads sales and variants in one statement (one instant) each 250 ms. They
 * are few, so the whole is read again instead of asking what has changed.
 */
#include "catalogue.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/log.h"
#include "stockd.h"

static struct speedy_db *db;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct stockd_catalogue *current;

struct reading {
    struct stockd_catalogue *c;
    size_t sale_size, variant_count, variant_size;
    bool failed;
};

static const char catalogue_sql[] =
    "SELECT s.id, s.state,"
    " TIMESTAMPDIFF(MICROSECOND, '1970-01-01', s.opens_at) DIV 1000,"
    " TIMESTAMPDIFF(MICROSECOND, '1970-01-01', s.closes_at) DIV 1000,"
    " s.per_user_limit, s.hold_ms, v.variant, v.price, v.held, v.epoch,"
    " s.notice"
    " FROM sales s JOIN sale_variants v ON v.sale_id = s.id"
    " WHERE s.state IN ('ACTIVE', 'PAUSED', 'CLOSED')"
    " ORDER BY s.id, v.variant";

struct stockd_catalogue *stockd_catalogue_get(void)
{
    struct stockd_catalogue *c;

    pthread_mutex_lock(&lock);
    c = current;
    if (c != NULL)
        atomic_fetch_add(&c->refs, 1);
    pthread_mutex_unlock(&lock);
    return c;
}

void stockd_catalogue_put(struct stockd_catalogue *c)
{
    if (c == NULL || atomic_fetch_sub(&c->refs, 1) > 1)
        return;
    free(c->sales);
    free(c->variants);
    free(c);
}

static int by_id(const void *key, const void *sale)
{
    return strcmp(key, ((const struct stockd_sale *)sale)->id);
}

const struct stockd_sale *
stockd_catalogue_find(const struct stockd_catalogue *c, const char *id)
{
    if (c == NULL || c->count == 0)
        return NULL;
    return bsearch(id, c->sales, c->count, sizeof(c->sales[0]), by_id);
}

static void *grown(void *at, size_t count, size_t *size, size_t one)
{
    void *more;

    if (count < *size)
        return at;
    more = realloc(at, (*size * 2 + 16) * one);
    if (more != NULL)
        *size = *size * 2 + 16;
    return more;
}

static void copy(char *out, size_t size, const struct speedy_db_value *v)
{
    size_t len = v->len < size ? v->len : size - 1;

    memcpy(out, v->bytes, len);
    out[len] = '\0';
}

static struct stockd_sale *add_sale(struct reading *rd,
                                    const struct speedy_db_value *col)
{
    struct stockd_catalogue *c = rd->c;
    struct stockd_sale *s =
        grown(c->sales, c->count, &rd->sale_size, sizeof(*s));

    if (s == NULL)
        return NULL;
    c->sales = s;
    s += c->count++;
    memset(s, 0, sizeof(*s));
    copy(s->id, sizeof(s->id), &col[0]);
    copy(s->state, sizeof(s->state), &col[1]);
    s->opens_at = col[2].number;
    s->closes_at = col[3].kind == SPEEDY_DB_NULL ? 0 : col[3].number;
    s->limit = col[4].number;
    s->hold_ms = col[5].number;
    copy(s->notice, sizeof(s->notice), &col[10]);
    speedy_keys_make(&s->keys, s->id);
    return s;
}

static int catalogue_row(void *data, const struct speedy_db_value *col,
                         size_t cols)
{
    struct reading *rd = data;
    struct stockd_catalogue *c = rd->c;
    struct stockd_sale *s = c->count > 0 ? &c->sales[c->count - 1] : NULL;
    struct stockd_variant *v =
        grown(c->variants, rd->variant_count, &rd->variant_size, sizeof(*v));

    (void)cols;
    if (v != NULL) {
        c->variants = v;
        if (s == NULL || strcmp(s->id, col[0].bytes) != 0)
            s = add_sale(rd, col);
    }
    if (v == NULL || s == NULL) {
        rd->failed = true;
        return 1;
    }
    v += rd->variant_count++;
    copy(v->name, sizeof(v->name), &col[6]);
    snprintf(v->price_field, sizeof(v->price_field), "price:%s", v->name);
    snprintf(v->held_field, sizeof(v->held_field), "held:%s", v->name);
    v->price = col[7].number;
    v->held = col[8].number;
    if (col[9].number > s->epoch)
        s->epoch = col[9].number;
    s->variant_count++;
    return 0;
}

int stockd_catalogue_read(struct speedy_db *from)
{
    struct reading rd = {.c = calloc(1, sizeof(*rd.c))};
    struct stockd_catalogue *old;
    struct stockd_variant *v;

    if (rd.c == NULL)
        return -1;
    atomic_init(&rd.c->refs, 1);
    if (speedy_db_ready(from) != 0 ||
        speedy_db_query(from, catalogue_sql, DB_NONE, catalogue_row, &rd) !=
            SPEEDY_DB_OK ||
        rd.failed) {
        stockd_catalogue_put(rd.c);
        return -1;
    }
    v = rd.c->variants;
    for (size_t i = 0; i < rd.c->count; i++) {
        rd.c->sales[i].variants = v;
        v += rd.c->sales[i].variant_count;
    }
    pthread_mutex_lock(&lock);
    old = current;
    current = rd.c;
    pthread_mutex_unlock(&lock);
    stockd_catalogue_put(old);
    return 0;
}

static int catalogue_open(int instance)
{
    (void)instance;
    db = speedy_db_new(STOCKD_ROLE);
    return db == NULL ? -1 : 0;
}

static long catalogue_run(void *data)
{
    (void)data;
    if (stockd_catalogue_read(db) == 0)
        stockd_mysql_seen();
    return stockd_settings.catalogue_interval;
}

static void catalogue_close(void)
{
    speedy_db_free(db);
    db = NULL;
    stockd_catalogue_put(current);
    current = NULL;
}

const struct stockd_duty stockd_catalogue_duty = {
    "catalogue", catalogue_open, catalogue_run, catalogue_close};
