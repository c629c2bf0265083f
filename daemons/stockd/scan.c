/*
 * Every 30 s each live sale's ledger is read through, a bounded number of
 * pages a turn, and its orders older than 60 s are looked up in MySQL. One
 * that is not there was acknowledged, left pend, and is not in MySQL: orderd
 * is behind, or Kafka has lost it. To tell these apart, markers are sent
 * (barrier.h); what MySQL still does not know once orderd has passed them was
 * lost, and goes back to pend for the sweeper. Without the markers, an orderd
 * that is down for ten minutes would find its log full of repetitions.
 *
 * Entries of stock changes (adj:<id>) are no orders: their names are not 16
 * bytes long.
 */
#include "scan.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/crypto.h"
#include "../common/db.h"
#include "../common/kafka.h"
#include "../common/log.h"
#include "../common/loop.h"
#include "barrier.h"
#include "catalogue.h"
#include "page.h"
#include "stockd.h"

#define TURN_MS 1000
#define PAGE 512
#define PAGES 20 /* a turn */
#define SUSPECTS 4096
#define MARKER_TIMEOUT_MS 5000

struct order_id {
    unsigned char at[16];
};
struct suspect {
    char sale[SPEEDY_ID_MAX + 1];
    struct order_id id;
};
/* Ids asked of MySQL at once. */
struct question {
    struct order_id id[PAGE];
    bool known[PAGE];
    size_t count;
};

static struct speedy_db *db;
static struct speedy_redis *rc;
static struct speedy_producer *producer;
static int instance_number;

static struct suspect *suspects;
static size_t suspect_count;
static struct stockd_barrier barrier;
static struct question question;

/* Where the scan stands: sale and cursor within it; none: it is over. */
static char at_sale[SPEEDY_ID_MAX + 1];
static char cursor[STOCKD_CURSOR_MAX];
static bool scanning;
static int64_t next_scan;

static pthread_mutex_t hold = PTHREAD_MUTEX_INITIALIZER;

void stockd_scan_hold(void)
{
    pthread_mutex_lock(&hold);
}

void stockd_scan_release(void)
{
    pthread_mutex_unlock(&hold);
}

static int by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, 16);
}

static int known_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct question *q = data;
    struct order_id *found;

    (void)cols;
    if (col[0].len != 16)
        return 0;
    found = bsearch(col[0].bytes, q->id, q->count, sizeof(q->id[0]), by_bytes);
    if (found != NULL)
        q->known[found - q->id] = true;
    return 0;
}

/* Sorts the ids, finds which MySQL knows. 0, or -1. */
static int ask(struct question *q)
{
    static struct speedy_db_value ids[PAGE];

    if (q->count == 0)
        return 0;
    memset(q->known, 0, sizeof(q->known));
    qsort(q->id, q->count, sizeof(q->id[0]), by_bytes);
    for (size_t i = 0; i < PAGE; i++)
        ids[i] = DB_BYTES(q->id[i < q->count ? i : 0].at, 16);
    return speedy_db_query_many(db, "SELECT id FROM orders WHERE id IN (", "?",
                                PAGE, ")", ids, PAGE, known_row,
                                q) == SPEEDY_DB_OK
               ? 0
               : -1;
}

/*
 * Takes out what is in pend: the sweeper has it. The rest was acknowledged,
 * so delivered, before now, and stands in Kafka before markers sent later.
 */
static size_t not_pending(struct suspect *s, size_t n)
{
    struct speedy_keys keys;
    struct speedy_args a = {0};
    redisReply *reply;
    size_t rest = 0;

    speedy_keys_make(&keys, s->sale);
    speedy_args_text(&a, "HMGET");
    speedy_args_text(&a, keys.pend);
    for (size_t i = 0; i < n; i++)
        speedy_args_add(&a, s[i].id.at, 16);
    reply = speedy_redis_command(rc, &a);
    speedy_args_free(&a);
    if (reply != NULL && reply->type == REDIS_REPLY_ARRAY &&
        reply->elements == n) {
        for (size_t i = 0; i < n; i++) {
            if (reply->element[i]->type == REDIS_REPLY_NIL)
                s[rest++] = s[i];
        }
    }
    if (reply != NULL)
        freeReplyObject(reply);
    return rest;
}

static void suspect_unknown(const char *sale)
{
    size_t first = suspect_count;

    for (size_t i = 0; i < question.count && suspect_count < SUSPECTS; i++) {
        struct suspect *s = &suspects[suspect_count];

        if (question.known[i])
            continue;
        snprintf(s->sale, sizeof(s->sale), "%s", sale);
        s->id = question.id[i];
        suspect_count++;
    }
    question.count = 0;
    if (suspect_count > first)
        suspect_count =
            first + not_pending(&suspects[first], suspect_count - first);
}

/* One page of one sale's ledger. 0, or -1. */
static int scan_page(const struct stockd_sale *s)
{
    int64_t old = speedy_now_real() - stockd_settings.scan_after;
    redisReply *reply = stockd_page(rc, s->keys.resv, cursor, PAGE);
    redisReply *page = reply == NULL ? NULL : reply->element[1];
    int failed = reply == NULL;

    question.count = 0;
    for (size_t i = 0; !failed && i + 1 < page->elements; i += 2) {
        const redisReply *id = page->element[i];

        if (id->len != 16 || speedy_uuid_time((unsigned char *)id->str) > old)
            continue;
        memcpy(question.id[question.count++].at, id->str, 16);
        if (question.count < PAGE)
            continue;
        failed = ask(&question);
        if (!failed)
            suspect_unknown(s->id);
    }
    if (!failed)
        failed = ask(&question);
    if (!failed)
        suspect_unknown(s->id);
    if (reply != NULL)
        freeReplyObject(reply);
    return failed ? -1 : 0;
}

/* The sale at or after at_sale in the catalogue's order. */
static const struct stockd_sale *sale_from(const struct stockd_catalogue *c)
{
    for (size_t i = 0; c != NULL && i < c->count; i++) {
        if (strcmp(c->sales[i].id, at_sale) >= 0)
            return &c->sales[i];
    }
    return NULL;
}

static void next_sale(const struct stockd_sale *s)
{
    /* the least id above this one: it, and the lowest character */
    snprintf(at_sale, sizeof(at_sale), "%s", s->id);
    if (strlen(at_sale) < SPEEDY_ID_MAX)
        snprintf(at_sale + strlen(at_sale), 2, "!");
    else
        at_sale[SPEEDY_ID_MAX - 1]++;
    snprintf(cursor, sizeof(cursor), "0");
}

static void scan_some(void)
{
    struct stockd_catalogue *c = stockd_catalogue_get();

    for (int i = 0; i < PAGES && suspect_count < SUSPECTS; i++) {
        const struct stockd_sale *s = sale_from(c);

        if (s == NULL) {
            scanning = false;
            next_scan = speedy_now_boot() + stockd_settings.scan_interval;
            break;
        }
        if (strcmp(s->id, at_sale) != 0) {
            snprintf(at_sale, sizeof(at_sale), "%s", s->id);
            snprintf(cursor, sizeof(cursor), "0");
        }
        if (speedy_stopping() || scan_page(s) != 0)
            break;
        if (strcmp(cursor, "0") == 0)
            next_sale(s);
    }
    stockd_catalogue_put(c);
}

/* Runs repend for some suspects of one sale. */
static void repend(const struct suspect *s, size_t n, int64_t token,
                   const char *run_id)
{
    struct speedy_keys keys;
    struct speedy_args a = {0};
    redisReply *reply;
    long long back = 0;

    speedy_keys_make(&keys, s->sale);
    speedy_args_text(&a, keys.loaded);
    speedy_args_text(&a, keys.resv);
    speedy_args_text(&a, keys.pend);
    speedy_args_int(&a, token);
    speedy_args_text(&a, run_id);
    speedy_args_text(&a, "repend");
    for (size_t i = 0; i < n; i++)
        speedy_args_add(&a, s[i].id.at, 16);
    reply = speedy_redis_script(rc, &speedy_script_sweep, 3, &a);
    speedy_args_free(&a);
    if (strcmp(stockd_word(reply), "SUPERSEDED") == 0)
        stockd_superseded(token);
    for (size_t i = 0; reply != NULL && reply->type == REDIS_REPLY_ARRAY &&
                       i < reply->elements;
         i++)
        back += reply->element[i]->integer;
    if (reply != NULL)
        freeReplyObject(reply);
    if (back == 0)
        return;
    speedy_metric_add(&stockd_m_repended, back);
    speedy_log(SPEEDY_ALARM, "orders are in the ledger, not in MySQL",
               "sale=%s orders=%lld", s->sale, back);
}

/* Suspects of one sale, at most a page: asked again, then put back. */
static int settle(const struct suspect *s, size_t n, int64_t token,
                  const char *run_id)
{
    static struct suspect lost[PAGE];
    size_t lost_count = 0;

    question.count = n;
    for (size_t i = 0; i < n; i++)
        question.id[i] = s[i].id;
    if (ask(&question) != 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (question.known[i])
            continue;
        lost[lost_count] = s[0];
        lost[lost_count++].id = question.id[i];
    }
    question.count = 0;
    if (lost_count > 0)
        repend(lost, lost_count, token, run_id);
    return 0;
}

/* Markers, then the wait over turns, then the verdict. */
static void judge_suspects(int64_t token, const char *run_id)
{
    char name[32];
    size_t at = 0;

    if (producer == NULL) {
        snprintf(name, sizeof(name), "stockd-%d-scan", instance_number);
        producer = speedy_producer_new(name, MARKER_TIMEOUT_MS);
        if (producer == NULL)
            return;
    }
    if (barrier.parts == 0) {
        stockd_barrier_mark(&barrier, producer, "scan", MARKER_TIMEOUT_MS);
        return;
    }
    if (stockd_barrier_passed(&barrier, db) != 1)
        return;
    stockd_scan_hold();
    while (at < suspect_count) {
        size_t n = 1;

        while (n < PAGE && at + n < suspect_count &&
               strcmp(suspects[at + n].sale, suspects[at].sale) == 0)
            n++;
        if (settle(&suspects[at], n, token, run_id) != 0)
            break;
        at += n;
    }
    stockd_scan_release();
    suspect_count = 0;
    stockd_barrier_free(&barrier);
}

static int scan_open(int instance)
{
    instance_number = instance;
    db = speedy_db_new(STOCKD_ROLE);
    rc = speedy_redis_new();
    suspects = calloc(SUSPECTS, sizeof(*suspects));
    return db == NULL || rc == NULL || suspects == NULL ? -1 : 0;
}

static void forget(void)
{
    suspect_count = 0;
    stockd_barrier_free(&barrier);
    scanning = false;
    next_scan = speedy_now_boot() + stockd_settings.scan_interval;
}

static long scan_run(void *data)
{
    int64_t token;
    char run_id[41];

    (void)data;
    if (speedy_db_ready(db) != 0)
        return TURN_MS;
    token = stockd_acting(rc, run_id);
    if (token == 0) {
        forget();
        return TURN_MS;
    }
    if (suspect_count > 0) {
        judge_suspects(token, run_id);
        return TURN_MS / 4;
    }
    if (!scanning && speedy_now_boot() >= next_scan) {
        scanning = true;
        snprintf(at_sale, sizeof(at_sale), "%s", "");
        snprintf(cursor, sizeof(cursor), "0");
    }
    if (scanning)
        scan_some();
    return suspect_count > 0 ? 0 : TURN_MS;
}

static void scan_close(void)
{
    speedy_producer_free(producer);
    speedy_redis_free(rc);
    speedy_db_free(db);
    stockd_barrier_free(&barrier);
    free(suspects);
    producer = NULL;
    rc = NULL;
    db = NULL;
    suspects = NULL;
    suspect_count = 0;
}

const struct stockd_duty stockd_scan_duty = {"scan", scan_open, scan_run,
                                             scan_close};
