/*
 * APPROVING rows that are due, and FAILED ones whose last look is.
 */
#include "reconcile.h"

#include <stdlib.h>
#include <string.h>

#include "../common/log.h"
#include "../common/loop.h"
#include "metrics.h"
#include "moves.h"
#include "rows.h"
#include "task.h"

#define PAGE 64
#define TURN_MS 250
#define WATCH_MS 2000
#define CLAIM_SPARE_MS 3000
#define SPARE_MS 60000 /* after the end of a tid: nobody answers */

static void after_inquiry(struct payd_job *job, struct speedy_db *db)
{
    struct payd_task *t = (struct payd_task *)job;
    int rc;

    payd_task_judge(t, db, NULL);
    rc = payd_settle(db, &t->ask, &t->reply, payd_reconciler);
    if (rc > 0 && rc != PAYD_S_OPEN)
        speedy_log(SPEEDY_INFO, "settled by inquiry",
                   "order=%s outcome=%s detail=%s result=%s", t->p.order_text,
                   payd_outcome_name(t->reply.outcome), t->reply.detail,
                   payd_settled_name((enum payd_settled)rc));
    free(t);
}

static void start(struct payd_job *job, struct speedy_db *db)
{
    struct payd_task *t = (struct payd_task *)job;
    unsigned char id[16];

    memcpy(id, t->p.id, 16);
    if (payd_payment_read(db, id, &t->p) != 1 || t->p.tid[0] == '\0') {
        free(t);
        return;
    }
    t->ask.kind = PAYD_INQUIRY;
    payd_task_ask(t, after_inquiry);
}

struct page {
    unsigned char id[PAGE][16];
    size_t count;
};

static int on_due(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct page *page = data;

    (void)cols;
    memcpy(page->id[page->count++], col[0].bytes, 16);
    return page->count == PAGE;
}

static int claim(struct speedy_db *db, void *data, int attempt)
{
    struct page *page = data;
    int rc;

    (void)attempt;
    page->count = 0;
    rc = speedy_db_query(db,
                         "SELECT id FROM payments WHERE state IN"
                         " ('APPROVING', 'FAILED') AND next_at <= NOW(3)"
                         " ORDER BY next_at LIMIT 64 FOR UPDATE SKIP LOCKED",
                         DB_NONE, on_due, page);
    for (size_t i = 0; rc == SPEEDY_DB_OK && i < page->count; i++)
        rc = speedy_db_exec(
            db,
            "UPDATE payments SET next_at ="
            " NOW(3) + INTERVAL ? * 1000 MICROSECOND WHERE id = ?",
            DB_ARGS(DB_INT(payd_settings.inquiry_timeout + CLAIM_SPARE_MS),
                    DB_BYTES(page->id[i], 16)),
            NULL);
    return rc;
}

long payd_reconcile_turn(void *data)
{
    struct page page = {.count = 0};

    if (speedy_db_run(data, claim, &page) != SPEEDY_DB_OK)
        return speedy_jitter(TURN_MS * 4);
    for (size_t i = 0; i < page.count; i++) {
        struct payd_task *t = calloc(1, sizeof(*t));

        if (t == NULL)
            break;
        memcpy(t->p.id, page.id[i], 16);
        t->job.run = start;
        if (!payd_job_push(&t->job, 0))
            free(t);
    }
    return page.count == PAGE ? 0 : speedy_jitter(TURN_MS);
}

static int64_t number(struct speedy_db *db, const char *sql)
{
    int64_t n = 0;

    return speedy_db_number(db, sql, DB_NONE, &n) == 1 ? n : 0;
}

long payd_watch_turn(void *data)
{
    static bool told;
    struct speedy_db *db = data;
    int64_t oldest = number(
        db, "SELECT CAST(COALESCE(MAX(TIMESTAMPDIFF(MICROSECOND, approve_at,"
            " NOW(3)) DIV 1000), 0) AS SIGNED) FROM payments"
            " WHERE state = 'APPROVING'");
    bool late = oldest > payd_settings.tid_life + SPARE_MS;

    payd_metrics_gauges(
        number(db, "SELECT COUNT(*) FROM payments WHERE state = 'APPROVING'"),
        oldest, number(db, "SELECT COUNT(*) FROM refunds WHERE state = 'OPEN'"),
        number(db, "SELECT COUNT(*) FROM refunds WHERE state = 'STUCK'"));
    if (late && !told)
        speedy_log(SPEEDY_ALARM, "a payment is open after the end of its tid",
                   "seconds=%lld", (long long)(oldest / 1000));
    told = late;
    return WATCH_MS;
}
