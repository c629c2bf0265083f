/*
 * The register tells gateways an unknown sale (404) from a lost one (503). It
 * is written as a whole, in one command with its `:complete` field, so that a
 * flush in the middle cannot leave a part of it that calls itself complete.
 * Looked at in every turn; written anew when it is missing, when the set of
 * live sales has changed, and once a minute in any case.
 */
#include "register.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "../common/db.h"
#include "../common/log.h"
#include "../common/loop.h"
#include "catalogue.h"
#include "stockd.h"

#define TURN_MS 250
#define ANEW_MS 60000

static struct speedy_db *db;
static struct speedy_redis *rc;
static struct speedy_args args;
static atomic_bool again;
static int64_t written_at;
static uint64_t written_sales;

struct listing {
    char (*id)[SPEEDY_ID_MAX + 1];
    bool *archived;
    size_t count, size;
    bool failed;
};

void stockd_register_again(void)
{
    atomic_store(&again, true);
}

/* FNV-1a over the live sales' ids: whether the set is the one written. */
static uint64_t live_sales(void)
{
    struct stockd_catalogue *c = stockd_catalogue_get();
    uint64_t hash = 14695981039346656037u;

    for (size_t i = 0; c != NULL && i < c->count; i++) {
        for (const char *p = c->sales[i].id;; p++) {
            hash = (hash ^ (unsigned char)*p) * 1099511628211u;
            if (*p == '\0')
                break;
        }
    }
    stockd_catalogue_put(c);
    return hash;
}

static int add_sale(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct listing *l = data;

    (void)cols;
    if (l->count == l->size) {
        size_t size = l->size * 2 + 64;
        void *id = realloc(l->id, size * sizeof(*l->id));
        void *archived;

        if (id != NULL)
            l->id = id;
        archived = id == NULL
                       ? NULL
                       : realloc(l->archived, size * sizeof(*l->archived));
        if (archived == NULL) {
            l->failed = true;
            return 1;
        }
        l->archived = archived;
        l->size = size;
    }
    if (col[0].len > SPEEDY_ID_MAX)
        return 0;
    memcpy(l->id[l->count], col[0].bytes, col[0].len + 1);
    l->archived[l->count++] = col[1].number != 0;
    return 0;
}

/* 1: the register of this incarnation stands; 0: not; -1: unknown. */
static int complete(void)
{
    redisReply *reply;
    int stands = -1;

    speedy_args_reset(&args);
    speedy_args_text(&args, "HGET");
    speedy_args_text(&args, SPEEDY_KEY_SALES);
    speedy_args_text(&args, SPEEDY_SALES_COMPLETE);
    reply = speedy_redis_command(rc, &args);
    if (reply != NULL && reply->type != REDIS_REPLY_ERROR)
        stands = strcmp(stockd_word(reply), speedy_redis_run_id(rc)) == 0;
    if (reply != NULL)
        freeReplyObject(reply);
    return stands;
}

static int write_all(void)
{
    struct listing l = {0};
    redisReply *reply = NULL;
    int written;

    if (speedy_db_query(db, "SELECT id, state = 'ARCHIVED' FROM sales", DB_NONE,
                        add_sale, &l) == SPEEDY_DB_OK &&
        !l.failed) {
        speedy_args_reset(&args);
        speedy_args_text(&args, "HSET");
        speedy_args_text(&args, SPEEDY_KEY_SALES);
        for (size_t i = 0; i < l.count; i++) {
            speedy_args_text(&args, l.id[i]);
            speedy_args_text(&args, l.archived[i] ? SPEEDY_SALE_ARCHIVED
                                                  : SPEEDY_SALE_LIVE);
        }
        speedy_args_text(&args, SPEEDY_SALES_COMPLETE);
        speedy_args_text(&args, speedy_redis_run_id(rc));
        reply = speedy_redis_command(rc, &args);
    }
    written = reply != NULL && reply->type == REDIS_REPLY_INTEGER;
    if (reply != NULL)
        freeReplyObject(reply);
    speedy_args_reset(&args);
    free(l.id);
    free(l.archived);
    return written ? 0 : -1;
}

static int register_open(int instance)
{
    (void)instance;
    db = speedy_db_new(STOCKD_ROLE);
    rc = speedy_redis_new();
    return db == NULL || rc == NULL ? -1 : 0;
}

static long register_run(void *data)
{
    uint64_t sales = live_sales();
    int64_t now = speedy_now_boot();
    bool asked;
    int stands;

    (void)data;
    if (stockd_token() == 0 || speedy_redis_ready(rc) != 0)
        return TURN_MS;
    stands = complete();
    asked = atomic_exchange(&again, false);
    if (stands < 0 || (stands == 1 && !asked && sales == written_sales &&
                       now - written_at < ANEW_MS && written_at != 0))
        return TURN_MS;
    if (write_all() == 0) {
        written_at = now;
        written_sales = sales;
    } else if (asked) {
        atomic_store(&again, true);
    }
    return TURN_MS;
}

static void register_close(void)
{
    speedy_redis_free(rc);
    speedy_db_free(db);
    speedy_args_free(&args);
    rc = NULL;
    db = NULL;
    written_at = 0;
}

const struct stockd_duty stockd_register_duty = {"register", register_open,
                                                 register_run, register_close};
