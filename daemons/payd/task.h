/*
 * A piece of work that asks KakaoPay. Its first member is the job, so that a
 * larger struct may begin with it.
 */
#ifndef PAYD_TASK_H
#define PAYD_TASK_H

#include "calls.h"
#include "jobs.h"
#include "kakao.h"
#include "payd.h"

struct payd_task {
    struct payd_job job;
    struct payd_call call;
    struct payd_payment p;
    struct payd_ask ask;
    struct payd_reply reply;
    void (*then)(struct payd_job *job, struct speedy_db *db);
};

/*
 * Asks for t->ask of t->p; `then` is run by a worker when the call has ended,
 * however it did. When the workers have ended it runs on the calling thread,
 * without a database: never here, since they end after the calls.
 */
void payd_task_ask(struct payd_task *t,
                   void (*then)(struct payd_job *job, struct speedy_db *db));
/* On a worker, after the call: t->reply, the log of calls, the metrics. */
void payd_task_judge(struct payd_task *t, struct speedy_db *db,
                     const unsigned char *refund);

#endif
