/*
 * The pool: callers put a job that lies on their own stack into a ring and
 * wait; a worker takes the oldest. A caller whose patience ends takes its job
 * out again unless a worker has it by then: what is being computed is waited
 * for, a few hundredths of a second on a quiet machine.
 *
 * Workers run in SCHED_IDLE (else SCHED_BATCH) with nice 19: a purchase that
 * wakes up takes the processor from them at once.
 *
 * The password stays where its caller has it, who wipes it; libargon2 wipes
 * its own memory.
 */
#include "hasher.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../common/log.h"
#include "../common/loop.h"
#include "../common/metrics.h"

#define WORKERS_MOST 64

struct job {
    const char *password;
    const char *verify; /* a hash, or NULL: nobody's */
    char *out;          /* or NULL: verify */
    bool stale;
    enum userd_hash_result result;
    enum { QUEUED, RUNNING, DONE } state;
    pthread_cond_t done;
    struct job *next;
};

struct userd_hasher_settings userd_hasher_settings;

static struct {
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct job *first, **last;
    long queued;
    bool stop;
    pthread_t workers[WORKERS_MOST];
    long count;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct speedy_metric m_queue = {
    .name = "speedy_userd_hash_queue",
    .help = "Passwords that wait for a worker.",
    .type = SPEEDY_GAUGE,
    .labels = "",
};
static struct speedy_metric m_seconds = {
    .name = "speedy_userd_hash_seconds",
    .help = "Time of one Argon2id.",
    .type = SPEEDY_HISTOGRAM,
    .labels = "",
};
static struct speedy_metric m_refused = {
    .name = "speedy_userd_hash_refused_total",
    .help = "Passwords given up because too many waited.",
    .type = SPEEDY_COUNTER,
    .labels = "",
};

static enum userd_hash_result make(struct job *job)
{
    size_t len = strlen(job->password);

    return speedy_password_hash(job->password, len, job->out) == 0
               ? USERD_HASH_OK
               : USERD_HASH_FAILED;
}

static enum userd_hash_result verify(struct job *job)
{
    switch (speedy_password_verify(job->verify, job->password,
                                   strlen(job->password))) {
    case SPEEDY_PASSWORD_STALE:
        job->stale = true;
        return USERD_HASH_OK;
    case SPEEDY_PASSWORD_RIGHT:
        return USERD_HASH_OK;
    case SPEEDY_PASSWORD_WRONG:
        return USERD_HASH_NO;
    default:
        return USERD_HASH_FAILED;
    }
}

static void job_run(struct job *job)
{
    int64_t began = speedy_now_boot();

    job->result = job->out != NULL ? make(job) : verify(job);
    speedy_metric_observe(&m_seconds, speedy_now_boot() - began);
}

static void lower_priority(void)
{
    struct sched_param none = {0};

    if (sched_setscheduler(0, SCHED_IDLE, &none) != 0)
        sched_setscheduler(0, SCHED_BATCH, &none);
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 19);
}

static void *worker(void *data)
{
    (void)data;
    lower_priority();
    pthread_mutex_lock(&pool.lock);
    for (;;) {
        struct job *job;
        int64_t began;
        long took;

        while (pool.first == NULL && !pool.stop)
            pthread_cond_wait(&pool.work, &pool.lock);
        job = pool.first;
        if (pool.stop)
            break;
        pool.first = job->next;
        if (pool.first == NULL)
            pool.last = &pool.first;
        pool.queued--;
        job->state = RUNNING;
        pthread_mutex_unlock(&pool.lock);
        began = speedy_now_boot();
        job_run(job);
        took = (long)(speedy_now_boot() - began);
        pthread_mutex_lock(&pool.lock);
        job->state = DONE;
        pthread_cond_signal(&job->done);
        pthread_mutex_unlock(&pool.lock);
        /* Priority does not share memory's bandwidth: a worker rests for as
           long as it worked, or a storm of logins triples a purchase's p99. */
        speedy_pause(took);
        pthread_mutex_lock(&pool.lock);
    }
    pthread_mutex_unlock(&pool.lock);
    return NULL;
}

static void job_take_out(struct job *job)
{
    struct job **at = &pool.first;

    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
    if (*at == NULL)
        pool.last = at;
    pool.queued--;
}

/* Under the lock. */
static void job_wait(struct job *job)
{
    struct timespec until = speedy_deadline(userd_hasher_settings.wait);
    int rc = 0;

    while (job->state == QUEUED && rc != ETIMEDOUT && !pool.stop)
        rc = pthread_cond_timedwait(&job->done, &pool.lock, &until);
    if (job->state == QUEUED) {
        job_take_out(job);
        job->result = USERD_HASH_BUSY;
        return;
    }
    while (job->state != DONE)
        pthread_cond_wait(&job->done, &pool.lock);
}

static enum userd_hash_result ask(struct job *job)
{
    speedy_cond_init(&job->done);
    job->result = USERD_HASH_BUSY;
    pthread_mutex_lock(&pool.lock);
    if (!pool.stop && pool.queued < userd_hasher_settings.queue) {
        *pool.last = job;
        pool.last = &job->next;
        pool.queued++;
        speedy_metric_set(&m_queue, pool.queued);
        pthread_cond_signal(&pool.work);
        job_wait(job);
    }
    speedy_metric_set(&m_queue, pool.queued);
    pthread_mutex_unlock(&pool.lock);
    pthread_cond_destroy(&job->done);
    if (job->result == USERD_HASH_BUSY)
        speedy_metric_add(&m_refused, 1);
    return job->result;
}

enum userd_hash_result userd_hash_password(const char *password,
                                           char out[USERD_HASH_SIZE])
{
    struct job job = {.password = password, .out = out};

    return ask(&job);
}

enum userd_hash_result userd_verify_password(const char *password,
                                             const char *hash, bool *stale)
{
    struct job job = {.password = password, .verify = hash};
    enum userd_hash_result result = ask(&job);

    if (stale != NULL)
        *stale = job.stale;
    return result;
}

static long workers_wanted(void)
{
    long n = userd_hasher_settings.workers;

    if (n == 0)
        n = sysconf(_SC_NPROCESSORS_ONLN) / 2;
    if (n < 1)
        n = 1;
    return n < WORKERS_MOST ? n : WORKERS_MOST;
}

static void metrics_register(void)
{
    static atomic_flag done = ATOMIC_FLAG_INIT;

    if (atomic_flag_test_and_set(&done))
        return;
    speedy_metric_register(&m_queue);
    speedy_metric_register(&m_seconds);
    speedy_metric_register(&m_refused);
}

int userd_hasher_start(void)
{
    sigset_t all, before;
    long wanted = workers_wanted();

    if (speedy_password_init() != 0)
        return -1;
    speedy_password_cost.memory_kib = userd_hasher_settings.memory / 1024;
    speedy_password_cost.passes = userd_hasher_settings.passes;
    speedy_password_cost.lanes = userd_hasher_settings.lanes;
    metrics_register();
    pool.last = &pool.first;
    pool.stop = false;
    pthread_cond_init(&pool.work, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (pool.count = 0; pool.count < wanted; pool.count++) {
        int rc = pthread_create(&pool.workers[pool.count], NULL, worker, NULL);

        if (rc != 0) {
            speedy_log(SPEEDY_ERROR, "cannot start a thread", "error=%s",
                       strerror(rc));
            break;
        }
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (pool.count > 0)
        return 0;
    speedy_password_free();
    return -1;
}

void userd_hasher_stop(void)
{
    pthread_mutex_lock(&pool.lock);
    pool.stop = true;
    for (struct job *job = pool.first; job != NULL; job = job->next)
        pthread_cond_signal(&job->done);
    pthread_cond_broadcast(&pool.work);
    pthread_mutex_unlock(&pool.lock);
    for (long i = 0; i < pool.count; i++)
        pthread_join(pool.workers[i], NULL);
    pool.count = 0;
    speedy_password_free();
}
