/*
 * The workers: a few threads, each with its own connection to MySQL, that run
 * jobs in the order in which they are due.
 */
#ifndef PAYD_JOBS_H
#define PAYD_JOBS_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/db.h"

struct payd_job {
    void (*run)(struct payd_job *job, struct speedy_db *db);
    int64_t due; /* of jobs.c */
    struct payd_job *next;
};

/* 0, or -1 after logging. */
int payd_jobs_start(const char *account, int threads);
/*
 * Any thread. run() is called exactly once, after delay_ms (at once when the
 * daemon stops); false: the workers have ended, and it never will be.
 */
bool payd_job_push(struct payd_job *job, long delay_ms);
/* Runs what is queued, then ends the threads. */
void payd_jobs_stop(void);
/* Boot time, ms, of the last job that found MySQL there; 0: none. */
int64_t payd_jobs_answered(void);

#endif
