/*
 * A daemon's life. One eventfd is the stop: it is written once and never read,
 * so every poll() on it returns from then on, in any number of threads. Signals
 * come by signalfd to the main thread, which has nothing else to do; no code of
 * ours runs in a signal handler.
 */
#include "loop.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "crypto.h"
#include "log.h"

#define DUTIES_MAX 16

struct duty {
    const char *name;
    long (*run)(void *data);
    void *data;
    pthread_t thread;
    atomic_bool running;
};

static struct duty duties[DUTIES_MAX];
static size_t duty_count;
static atomic_bool stopping;
static int stop_fd = -1, signal_fd = -1, ended_fd = -1;

static void *duty_thread(void *arg);
static void wait_for_stop(void);
static bool wait_for_duties(int64_t deadline);
static void leave_now(const char *why);
static void *watch_the_rest(void *arg);

void speedy_loop_init(void)
{
    sigset_t set;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGQUIT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (signal_fd < 0 || stop_fd < 0 || ended_fd < 0) {
        speedy_log(SPEEDY_ERROR, "no descriptor for signals", "error=%s",
                   strerror(errno));
        _exit(1);
    }
}

bool speedy_stopping(void)
{
    return atomic_load(&stopping);
}

static void wake(int fd)
{
    uint64_t one = 1;

    /* it can only be refused when the count is full: then it is readable */
    if (write(fd, &one, sizeof(one)) < 0)
        return;
}

void speedy_stop(void)
{
    if (!atomic_exchange(&stopping, true))
        wake(stop_fd);
}

bool speedy_pause(long ms)
{
    int64_t deadline = speedy_now_boot() + ms;
    struct pollfd p = {.fd = stop_fd, .events = POLLIN};

    while (!speedy_stopping()) {
        int64_t left = deadline - speedy_now_boot();

        if (left <= 0)
            break;
        poll(&p, 1, left > 3600000 ? 3600000 : (int)left);
    }
    return speedy_stopping();
}

int speedy_duty_start(const char *name, long (*run)(void *data), void *data)
{
    struct duty *d = &duties[duty_count];
    sigset_t all, old;
    int error;

    if (duty_count == DUTIES_MAX) {
        speedy_log(SPEEDY_ERROR, "too many duties", "duty=%s", name);
        return -1;
    }
    d->name = name;
    d->run = run;
    d->data = data;
    atomic_store(&d->running, true);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    error = pthread_create(&d->thread, NULL, duty_thread, d);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (error != 0) {
        speedy_log(SPEEDY_ERROR, "cannot start a thread", "duty=%s error=%s",
                   name, strerror(error));
        return -1;
    }
    duty_count++;
    return 0;
}

static void *duty_thread(void *arg)
{
    struct duty *d = arg;

    while (!speedy_stopping()) {
        long pause = d->run(d->data);

        if (pause < 0)
            break;
        if (pause > 0)
            speedy_pause(pause);
    }
    atomic_store(&d->running, false);
    wake(ended_fd);
    return NULL;
}

int speedy_loop_run(long grace_ms)
{
    int64_t deadline;
    sigset_t set;
    pthread_t watch;
    static long left;

    wait_for_stop();
    deadline = speedy_now_boot() + grace_ms;
    speedy_log(SPEEDY_INFO, "stopping", "grace_ms=%ld", grace_ms);
    if (!wait_for_duties(deadline))
        leave_now("the stop took too long");
    for (size_t i = 0; i < duty_count; i++)
        pthread_join(duties[i].thread, NULL);
    duty_count = 0;

    /* What main() still closes has the rest of the grace, a second at least;
       a second signal now simply ends the process. */
    left = (long)(deadline - speedy_now_boot());
    left = left < 1000 ? 1000 : left;
    if (pthread_create(&watch, NULL, watch_the_rest, &left) == 0)
        pthread_detach(watch);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGQUIT);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    return 0;
}

static void wait_for_stop(void)
{
    struct pollfd p[] = {{.fd = signal_fd, .events = POLLIN},
                         {.fd = stop_fd, .events = POLLIN}};
    struct signalfd_siginfo info;

    while (!speedy_stopping()) {
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return;
        if (read(signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
            speedy_log(SPEEDY_INFO, "signal", "signal=%u", info.ssi_signo);
            speedy_stop();
        }
    }
}

static bool all_ended(void)
{
    for (size_t i = 0; i < duty_count; i++) {
        if (atomic_load(&duties[i].running))
            return false;
    }
    return true;
}

static bool wait_for_duties(int64_t deadline)
{
    struct pollfd p[] = {{.fd = signal_fd, .events = POLLIN},
                         {.fd = ended_fd, .events = POLLIN}};
    struct signalfd_siginfo info;
    uint64_t count;

    while (!all_ended()) {
        int64_t left = deadline - speedy_now_boot();

        if (left <= 0)
            return false;
        poll(p, 2, (int)left);
        if (read(ended_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
            return false;
        if (read(signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
            leave_now("a second signal");
    }
    return true;
}

static void leave_now(const char *why)
{
    char names[512] = "";
    size_t n = 0;

    for (size_t i = 0; i < duty_count && n < sizeof(names); i++) {
        if (atomic_load(&duties[i].running))
            n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%s",
                                  n > 0 ? "," : "", duties[i].name);
    }
    speedy_log(SPEEDY_ERROR, "leaving at once", "why=%s running=%s", why,
               names);
    _exit(1);
}

static void *watch_the_rest(void *arg)
{
    struct timespec span = {.tv_sec = *(long *)arg / 1000,
                            .tv_nsec = *(long *)arg % 1000 * 1000000};

    while (nanosleep(&span, &span) != 0 && errno == EINTR)
        ;
    speedy_log(SPEEDY_ERROR, "leaving at once", "why=%s",
               "closing took too long");
    _exit(1);
}

struct bounded {
    void (*work)(void *data);
    void *data;
    int fd;                /* written when done */
    atomic_int references; /* the last one frees */
};

static void bounded_release(struct bounded *b)
{
    if (atomic_fetch_sub(&b->references, 1) > 1)
        return;
    close(b->fd);
    free(b);
}

static void *bounded_thread(void *arg)
{
    struct bounded *b = arg;

    b->work(b->data);
    wake(b->fd);
    bounded_release(b);
    return NULL;
}

int speedy_bounded(const char *what, void (*work)(void *data), void *data,
                   long ms)
{
    struct bounded *b = calloc(1, sizeof(*b));
    struct pollfd p = {.events = POLLIN};
    int64_t deadline = speedy_now_boot() + ms, left = ms;
    pthread_t thread;
    int done = 0;

    if (b == NULL)
        abort();
    b->work = work;
    b->data = data;
    b->fd = p.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    atomic_store(&b->references, 2);
    if (b->fd < 0 || pthread_create(&thread, NULL, bounded_thread, b) != 0) {
        /* no means to watch it: better unwatched than not at all */
        work(data);
        if (b->fd >= 0)
            close(b->fd);
        free(b);
        return 0;
    }
    pthread_detach(thread);
    while (done == 0 && left > 0) {
        done = poll(&p, 1, (int)left) == 1;
        left = deadline - speedy_now_boot();
    }
    bounded_release(b);
    if (done == 0)
        speedy_log(SPEEDY_WARN, "gave up waiting", "what=%s ms=%ld", what, ms);
    return done != 0 ? 0 : -1;
}

static int64_t now(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t speedy_now_boot(void)
{
    return now(CLOCK_BOOTTIME);
}

int64_t speedy_now_real(void)
{
    return now(CLOCK_REALTIME);
}

void speedy_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attributes);
    pthread_condattr_destroy(&attributes);
}

struct timespec speedy_deadline(long ms)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += ms % 1000 * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

long speedy_jitter(long base_ms)
{
    uint32_t random;
    long half = base_ms / 2;

    speedy_random(&random, sizeof(random));
    return base_ms - (half > 0 ? (long)(random % (uint32_t)(half + 1)) : 0);
}
