/* From a task to a call and back. */
#include "task.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "../common/log.h"
#include "metrics.h"
#include "rows.h"

static void ended(struct payd_call *call)
{
    struct payd_task *t =
        (struct payd_task *)((char *)call - offsetof(struct payd_task, call));

    t->job.run = t->then;
    if (!payd_job_push(&t->job, 0))
        speedy_log(SPEEDY_ERROR, "a call ended after the workers", "order=%s",
                   t->p.order_text);
}

static long timeout_of(enum payd_kind kind)
{
    const long times[] = {
        payd_settings.ready_timeout, payd_settings.approve_timeout,
        payd_settings.inquiry_timeout, payd_settings.cancel_timeout};

    return times[kind];
}

void payd_task_ask(struct payd_task *t,
                   void (*then)(struct payd_job *job, struct speedy_db *db))
{
    enum payd_kind kind = t->ask.kind;

    t->then = then;
    t->ask.p = &t->p;
    t->ask.legacy = strcmp(t->p.api, "legacy") == 0;
    memset(&t->call, 0, sizeof(t->call));
    t->call.path = payd_kakao_path(&t->ask);
    t->call.fresh = kind == PAYD_APPROVE || kind == PAYD_CANCEL;
    t->call.timeout_ms = timeout_of(kind);
    t->call.done = ended;
    payd_kakao_write(&t->ask, &t->call.body);
    payd_calls_submit(&t->call);
}

void payd_task_judge(struct payd_task *t, struct speedy_db *db,
                     const unsigned char *refund)
{
    payd_kakao_judge(&t->ask, t->call.whole, t->call.status, t->call.reply.data,
                     t->call.reply.len,
                     payd_settings.sandbox ? payd_settings.base_url : NULL,
                     &t->reply);
    speedy_buf_free(&t->call.reply);
    payd_metrics_call(t->ask.kind, t->reply.outcome, t->call.ms);
    payd_call_log(db, &t->ask, &t->call, &t->reply, refund);
    if (t->reply.error_code == -401 || t->reply.error_code == -403 ||
        t->reply.error_code == -730 || t->reply.error_code == -731 ||
        t->reply.error_code == -733 || t->reply.error_code == -798 ||
        t->reply.error_code == -799)
        speedy_log(SPEEDY_ALARM, "KakaoPay refuses our settings",
                   "code=%d remedy=\"key, cid, domain and address as"
                   " registered there\"",
                   t->reply.error_code);
}
