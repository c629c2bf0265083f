/*
 * A daemon's life: signals blocked before any thread starts, one stop flag,
 * duties as threads that run a function again and again with a pause that a
 * stop cuts short. SIGTERM, SIGINT and SIGQUIT set the flag; SIGPIPE is
 * ignored. A second signal, or a stop that takes longer than the grace time,
 * leaves by _exit(1) after a line that says what was still running.
 */
#ifndef SPEEDY_LOOP_H
#define SPEEDY_LOOP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* Blocks the signals; first call of main(), before any library starts. */
void speedy_loop_init(void);

/* True once a stop was asked for. Any thread. */
bool speedy_stopping(void);
/* Asks for a stop, as SIGTERM does. Any thread. */
void speedy_stop(void);
/* Sleeps for ms, or less when a stop comes. Returns speedy_stopping(). */
bool speedy_pause(long ms);

/*
 * Starts a thread that calls run(data) until stop; run returns the number of
 * milliseconds to pause before the next call (0: at once; < 0: ends the
 * duty). name is kept by reference and shown in logs; threads have all
 * signals blocked. At most 16. 0, or -1 after logging.
 */
int speedy_duty_start(const char *name, long (*run)(void *data), void *data);

/*
 * Waits for a signal, then for the duties (at most grace_ms). 0 when all
 * ended in time; what main() closes then has the rest of the grace, at least
 * a second, until the process is ended with status 1. Main thread, once.
 */
int speedy_loop_run(long grace_ms);

/*
 * Runs work(data) on a thread of its own and waits at most ms: closing a
 * client library may hang for ever when its server does. 0, or -1 when it is
 * still running then (logged with `what`); data must outlive it in that case.
 */
int speedy_bounded(const char *what, void (*work)(void *data), void *data,
                   long ms);

/* Milliseconds: CLOCK_BOOTTIME for spans, CLOCK_REALTIME for stamps. */
int64_t speedy_now_boot(void);
int64_t speedy_now_real(void);

/*
 * For pthread_cond_timedwait: a condition that is waited on by
 * CLOCK_MONOTONIC, and the moment ms from now by that clock.
 */
void speedy_cond_init(pthread_cond_t *cond);
struct timespec speedy_deadline(long ms);

/* A random pause in [base/2, base], for retries. */
long speedy_jitter(long base_ms);

#endif
