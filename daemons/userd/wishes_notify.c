/*
 * Any number of userd share the work by a row of `wish_rounds` a sale: who
 * locks it takes the next batch of wishes, queues the mails and moves the
 * row's position, in one transaction; the others pass it by (SKIP LOCKED). A
 * userd that dies leaves the row as it was before its batch. A round goes
 * through all wishes of the product; from its end to the next one's beginning
 * passes notify_every. Rounds are repeated until the sale opens, for those who
 * ask late: who was told is found by the mail's once_key, which is unique in
 * any case.
 *
 * A turn asks productd anew, so a sale that was postponed, paused or closed
 * meanwhile is left alone; and it ends after two seconds, whatever is left.
 */
#include "wishes_notify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/log.h"
#include "../common/loop.h"
#include "../common/metrics.h"
#include "../shop/event.h"
#include "../shop/mail.h"
#include "wishes.h"

#define KIND "sale_opens"
#define ASK_MS 2000
#define TURN_MS 2000
#define RETRY_MS 5000
#define PAGES_MOST 50 /* of a hundred sales */
#define ANSWER_MOST 1048576
#define DEPTH_MOST 6
#define PATH_BYTES 400
#define CURSOR_BYTES 300
#define PARAMS_BYTES 1900
#define OLD_HOURS 24
#define BUSY 1 /* verdict of batch(): nothing to do here now */

static struct speedy_metric queued = {
    .name = "speedy_userd_sale_mails_total",
    .help = "Mails queued for those who wished to know when a sale opens",
    .type = SPEEDY_COUNTER,
    .labels = ""};

void userd_notify_metrics(void)
{
    static bool done;

    if (!done)
        speedy_metric_register(&queued);
    done = true;
}

static void sales_forget(struct userd_notifier *n)
{
    for (size_t i = 0; i < n->count; i++)
        free(n->sale[i].params);
    n->count = 0;
}

void userd_notify_free(struct userd_notifier *n)
{
    sales_forget(n);
    free(n->sale);
    n->sale = NULL;
    n->size = 0;
}

/* --- which sales --- */

/* The parameters of its mails; NULL when they would be too long. */
static char *params_make(const char *sale, const char *product,
                         const char *opens_at)
{
    struct speedy_buf b = {0};

    speedy_buf_printf(&b, "{\"sale_id\":");
    speedy_buf_json(&b, sale);
    speedy_buf_printf(&b, ",\"product\":");
    speedy_buf_json(&b, product);
    speedy_buf_printf(&b, ",\"opens_at\":");
    speedy_buf_json(&b, opens_at);
    speedy_buf_printf(&b, "}");
    if (b.len <= PARAMS_BYTES)
        return b.data;
    speedy_buf_free(&b);
    return NULL;
}

static void sale_add(struct userd_notifier *n, const char *id,
                     const char *product, int64_t opens_at, char *params)
{
    struct userd_notify_sale *s;

    if (n->count == n->size) {
        n->size = n->size * 2 + 16;
        n->sale = realloc(n->sale, n->size * sizeof(n->sale[0]));
        if (n->sale == NULL)
            abort();
    }
    s = &n->sale[n->count++];
    memset(s, 0, sizeof(*s));
    snprintf(s->id, sizeof(s->id), "%s", id);
    snprintf(s->product, sizeof(s->product), "%s", product);
    s->opens_at = opens_at;
    s->params = params;
}

static bool is_id(const char *text)
{
    return text != NULL && speedy_id_valid(text, strlen(text));
}

/* One sale of the list. Its opens_at; -1 when it cannot be read. */
static int64_t sale_take(struct userd_notifier *n, const struct speedy_json *j,
                         int64_t now)
{
    const char *id = speedy_json_text(speedy_json_get(j, "id"));
    const char *product = speedy_json_text(speedy_json_get(j, "product_id"));
    const char *name = speedy_json_text(speedy_json_get(j, "product_name"));
    const char *state = speedy_json_text(speedy_json_get(j, "state"));
    const char *opens = speedy_json_text(speedy_json_get(j, "opens_at"));
    int64_t at;
    char *params;

    if (!is_id(id) || !is_id(product) || name == NULL || state == NULL ||
        opens == NULL || speedy_time_parse(opens, &at) != 0)
        return -1;
    if (at - userd_wishes_settings.notify_ahead > now || at <= now ||
        strcmp(state, "upcoming") != 0)
        return at;
    params = params_make(id, name, opens);
    if (params != NULL)
        sale_add(n, id, product, at, params);
    return at;
}

/*
 * One page, the next to open first. 1: there is another that matters, and
 * cursor leads to it; 0: no; -1: it cannot be used. *next: when the first sale
 * is due that is not yet.
 */
static int page_take(struct userd_notifier *n, const struct speedy_call *call,
                     char cursor[CURSOR_BYTES], int64_t *next)
{
    enum speedy_json_error why;
    struct speedy_json *o = speedy_json_parse(call->out.data, call->out.len,
                                              ANSWER_MOST, DEPTH_MOST, &why);
    const struct speedy_json *data = speedy_json_get(o, "data");
    const char *more = speedy_json_text(speedy_json_get(o, "next_cursor"));
    int64_t now = speedy_now_real(), at = 0;
    int rc = data == NULL ? -1 : 0;

    for (size_t i = 0; rc == 0 && i < speedy_json_count(data); i++) {
        at = sale_take(n, speedy_json_at(data, i), now);
        if (at < 0)
            rc = -1;
        if (at - userd_wishes_settings.notify_ahead > now) {
            *next = at - userd_wishes_settings.notify_ahead;
            break;
        }
    }
    if (rc == 0 && *next == 0 && more != NULL && strlen(more) < CURSOR_BYTES) {
        snprintf(cursor, CURSOR_BYTES, "%s", more);
        rc = 1;
    }
    speedy_json_free(o);
    return rc;
}

static int page_ask(struct userd_notifier *n, char cursor[CURSOR_BYTES],
                    int64_t *next)
{
    char path[PATH_BYTES];
    struct speedy_call call = {.method = "GET",
                               .path = path,
                               .timeout_ms = ASK_MS,
                               .idempotent = true,
                               .max_answer = ANSWER_MOST};
    int rc = -1;

    snprintf(path, sizeof(path), "/api/v1/sales?state=upcoming&limit=100%s%s",
             cursor[0] != '\0' ? "&cursor=" : "", cursor);
    if (userd_productd() != NULL &&
        speedy_client_call(userd_productd(), &call) == SPEEDY_CALL_ANSWERED &&
        call.status == 200)
        rc = page_take(n, &call, cursor, next);
    speedy_buf_free(&call.out);
    return rc;
}

/* Fills n->sale. 0, or -1. */
static int sales_ask(struct userd_notifier *n, int64_t *next)
{
    char cursor[CURSOR_BYTES] = "";
    int rc = 1;

    *next = 0;
    sales_forget(n);
    for (int page = 0; rc == 1 && page < PAGES_MOST; page++)
        rc = page_ask(n, cursor, next);
    if ((rc < 0) != n->away)
        speedy_log(rc < 0 ? SPEEDY_WARN : SPEEDY_INFO,
                   rc < 0 ? "productd does not tell what will open"
                          : "productd tells what will open",
                   "");
    n->away = rc < 0;
    return rc < 0 ? -1 : 0;
}

/* --- whom --- */

static int on_wish(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct userd_notifier *n = data;

    (void)cols;
    if (n->page_count == USERD_NOTIFY_BATCH)
        return 1;
    snprintf(n->page[n->page_count].user, sizeof(n->page[0].user), "%s",
             (const char *)col[0].bytes);
    n->page[n->page_count++].tell = col[1].number != 0;
    return 0;
}

static int page_read(struct userd_notifier *n,
                     const struct userd_notify_sale *s, const char *position)
{
    char prefix[SPEEDY_ID_MAX + sizeof(KIND) + 4];

    snprintf(prefix, sizeof(prefix), KIND ":%s:", s->id);
    n->page_count = 0;
    return speedy_db_query(
        n->db,
        "SELECT w.user_id, u.state = 'ACTIVE' AND NOT EXISTS (SELECT 1"
        " FROM mails m WHERE m.once_key = CONCAT(CAST(? AS CHAR CHARACTER SET"
        " ascii), w.user_id) COLLATE ascii_bin)"
        " FROM wishes w JOIN users u ON u.id = w.user_id"
        " WHERE w.product_id = ? AND w.notify = 1 AND w.user_id > ?"
        " ORDER BY w.user_id LIMIT ?",
        DB_ARGS(DB_TEXT(prefix), DB_TEXT(s->product), DB_TEXT(position),
                DB_INT(USERD_NOTIFY_BATCH)),
        on_wish, n);
}

static int tell(struct speedy_db *db, const struct userd_notify_sale *s,
                const char *user, int64_t *told)
{
    char once[2 * SPEEDY_ID_MAX + sizeof(KIND) + 4];
    struct speedy_mail m = {.kind = KIND,
                            .user_id = user,
                            .params = s->params,
                            .once_key = once,
                            .useful_ms = s->opens_at - speedy_now_real()};
    int rc;

    if (m.useful_ms <= 0)
        return SPEEDY_DB_OK;
    snprintf(once, sizeof(once), KIND ":%s:%s", s->id, user);
    rc = speedy_mail_queue(db, &m);
    *told += rc == SPEEDY_DB_OK && !m.told;
    return rc;
}

struct batch {
    struct userd_notifier *n;
    const struct userd_notify_sale *sale;
    char position[SPEEDY_ID_MAX + 1];
    bool mine, last;
    int64_t told;
};

static int on_round(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct batch *b = data;

    (void)cols;
    snprintf(b->position, sizeof(b->position), "%s",
             (const char *)col[0].bytes);
    b->mine = col[1].number != 0;
    return 1;
}

static int round_move(struct speedy_db *db, const struct batch *b)
{
    const struct userd_notifier *n = b->n;

    return speedy_db_exec(
        db,
        "UPDATE wish_rounds SET position = ?, next_at = CURRENT_TIMESTAMP(3)"
        " + INTERVAL ? MICROSECOND WHERE sale_id = ?",
        DB_ARGS(DB_TEXT(b->last ? "" : n->page[n->page_count - 1].user),
                DB_INT(b->last ? userd_wishes_settings.notify_every * 1000 : 0),
                DB_TEXT(b->sale->id)),
        NULL);
}

static int batch(struct speedy_db *db, void *data, int attempt)
{
    struct batch *b = data;
    struct userd_notifier *n = b->n;
    int rc;

    (void)attempt;
    b->mine = false;
    b->told = 0;
    /* by its key alone: with a lock of by_age too, two would wait crosswise */
    rc = speedy_db_query(db,
                         "SELECT position, next_at <= CURRENT_TIMESTAMP(3)"
                         " FROM wish_rounds WHERE sale_id = ?"
                         " FOR UPDATE SKIP LOCKED",
                         DB_ARGS(DB_TEXT(b->sale->id)), on_round, b);
    if (rc == SPEEDY_DB_OK && !b->mine)
        return BUSY;
    if (rc == SPEEDY_DB_OK)
        rc = page_read(n, b->sale, b->position);
    b->last = n->page_count < USERD_NOTIFY_BATCH;
    for (size_t i = 0; rc == SPEEDY_DB_OK && i < n->page_count; i++) {
        if (n->page[i].tell)
            rc = tell(db, b->sale, n->page[i].user, &b->told);
    }
    return rc == SPEEDY_DB_OK ? round_move(db, b) : rc;
}

/* --- rounds --- */

/* The row that rounds of a sale are shared by. */
static int round_there(struct speedy_db *db, const char *sale)
{
    int64_t one;
    int rc = speedy_db_number(db, "SELECT 1 FROM wish_rounds WHERE sale_id = ?",
                              DB_ARGS(DB_TEXT(sale)), &one);

    if (rc != 0)
        return rc < 0 ? rc : SPEEDY_DB_OK;
    rc = speedy_db_exec(db, "INSERT INTO wish_rounds (sale_id) VALUES (?)",
                        DB_ARGS(DB_TEXT(sale)), NULL);
    return rc == SPEEDY_DB_DUPLICATE ? SPEEDY_DB_OK : rc;
}

/* One batch of one sale. enum speedy_db_status, or BUSY. */
static int one_batch(struct userd_notifier *n, struct userd_notify_sale *s)
{
    struct batch b = {.n = n, .sale = s};
    int rc = round_there(n->db, s->id);

    if (rc == SPEEDY_DB_OK)
        rc = speedy_db_run(n->db, batch, &b);
    s->done = rc != SPEEDY_DB_OK || b.last;
    if (rc != SPEEDY_DB_OK || b.told == 0)
        return rc;
    speedy_metric_add(&queued, b.told);
    speedy_log(SPEEDY_INFO, "told of an opening", "sale=%s mails=%lld", s->id,
               (long long)b.told);
    return rc;
}

/* A batch of each sale in turn. 1: time is up; 0: all done; -1: MySQL. */
static int rounds(struct userd_notifier *n)
{
    int64_t until = speedy_now_boot() + TURN_MS;
    size_t left = n->count;

    while (left > 0) {
        left = 0;
        for (size_t i = 0; i < n->count; i++) {
            int rc = SPEEDY_DB_OK;

            if (speedy_stopping() || speedy_now_boot() >= until)
                return 1;
            if (!n->sale[i].done)
                rc = one_batch(n, &n->sale[i]);
            if (rc < 0)
                return -1;
            left += !n->sale[i].done;
        }
    }
    return 0;
}

/* Each by its key, as above: whoever is at a young row is not waited for. */
static int old_delete(void *data, const struct speedy_db_value *col,
                      size_t cols)
{
    (void)cols;
    return speedy_db_exec(data, "DELETE FROM wish_rounds WHERE sale_id = ?",
                          DB_ARGS(DB_BYTES(col[0].bytes, col[0].len)), NULL);
}

static void olds_delete(struct speedy_db *db)
{
    speedy_db_query(db,
                    "SELECT sale_id FROM wish_rounds WHERE next_at <"
                    " CURRENT_TIMESTAMP(3) - INTERVAL ? HOUR LIMIT 100",
                    DB_ARGS(DB_INT(OLD_HOURS)), old_delete, db);
}

long userd_notify_turn(void *notifier)
{
    struct userd_notifier *n = notifier;
    long pause = userd_wishes_settings.notify_every;
    int64_t next;
    int rc;

    userd_notify_metrics();
    if (sales_ask(n, &next) != 0)
        return speedy_jitter(pause < RETRY_MS ? pause : RETRY_MS);
    rc = rounds(n);
    if (rc != 0)
        return rc > 0 ? 0 : speedy_jitter(RETRY_MS);
    olds_delete(n->db);
    if (next > 0 && next - speedy_now_real() < pause)
        pause = (long)(next - speedy_now_real());
    return pause > 0 ? pause : 0;
}
