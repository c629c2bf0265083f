/*
 * One queue under a lock, sorted by the time that each job is due: nearly all
 * are due at once and go to its end.
 */
#include "jobs.h"

#include <pthread.h>
#include <stdatomic.h>

#include "../common/log.h"
#include "../common/loop.h"

#define THREADS_MOST 64

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;
static struct payd_job *first;
static bool ended;
static atomic_int_fast64_t answered;

static struct {
    pthread_t thread;
    struct speedy_db *db;
} workers[THREADS_MOST];
static int count;

/* The first job when it is due, or when nothing waits any longer. */
static struct payd_job *take(void)
{
    struct payd_job *job = NULL;

    pthread_mutex_lock(&lock);
    while (job == NULL) {
        long wait =
            first == NULL ? 1000 : (long)(first->due - speedy_now_boot());

        if (first != NULL && (wait <= 0 || ended || speedy_stopping())) {
            job = first;
            first = job->next;
        } else if (ended && first == NULL) {
            break;
        } else {
            struct timespec until = speedy_deadline(wait < 1000 ? wait : 1000);

            pthread_cond_timedwait(&changed, &lock, &until);
        }
    }
    pthread_mutex_unlock(&lock);
    return job;
}

static void *work(void *data)
{
    struct speedy_db *db = data;
    struct payd_job *job;

    while ((job = take()) != NULL) {
        job->run(job, db);
        atomic_store(&answered, speedy_now_boot());
    }
    return NULL;
}

int payd_jobs_start(const char *account, int threads)
{
    speedy_cond_init(&changed);
    ended = false;
    for (count = 0; count < threads && count < THREADS_MOST; count++) {
        workers[count].db = speedy_db_new(account);
        if (workers[count].db == NULL)
            return -1;
        if (pthread_create(&workers[count].thread, NULL, work,
                           workers[count].db) != 0) {
            speedy_log(SPEEDY_ERROR, "a worker was not started", "");
            speedy_db_free(workers[count].db);
            return -1;
        }
    }
    return 0;
}

bool payd_job_push(struct payd_job *job, long delay_ms)
{
    struct payd_job **at = &first;
    bool taken;

    job->due = speedy_now_boot() + delay_ms;
    pthread_mutex_lock(&lock);
    taken = !ended;
    if (taken) {
        while (*at != NULL && (*at)->due <= job->due)
            at = &(*at)->next;
        job->next = *at;
        *at = job;
        pthread_cond_signal(&changed);
    }
    pthread_mutex_unlock(&lock);
    return taken;
}

void payd_jobs_stop(void)
{
    pthread_mutex_lock(&lock);
    ended = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < count; i++) {
        pthread_join(workers[i].thread, NULL);
        speedy_db_free(workers[i].db);
    }
    count = 0;
}

int64_t payd_jobs_answered(void)
{
    return atomic_load(&answered);
}
