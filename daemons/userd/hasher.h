/*
 * The hashes of ../common/password.h, computed by a bounded pool of threads
 * of the lowest priority, so that a storm of logins takes what purchases
 * leave over and never more than workers × memory.
 *
 * The calls block until a worker is done. A job that finds the queue full, or
 * waits in it for longer than `hash_wait`, is given up: BUSY, answered as 503
 * with Retry-After. Any thread; between userd_hasher_start and _stop.
 */
#ifndef USERD_HASHER_H
#define USERD_HASHER_H

#include <stdbool.h>

#include "../common/conf.h"
#include "../common/password.h"

#define USERD_HASH_SIZE SPEEDY_PASSWORD_HASH

enum userd_hash_result {
    USERD_HASH_OK,    /* hashed; or: it is the password */
    USERD_HASH_NO,    /* it is not the password */
    USERD_HASH_BUSY,  /* too many at once: ask again in a moment */
    USERD_HASH_FAILED /* no memory, or a malformed hash: logged */
};

/*
 * Rows of a daemon's table of settings ([userd] hash_…). Defaults and floors
 * are OWASP's minimum: 19 MiB, 2 passes, 1 lane. Workers 0: one for every two
 * processors.
 */
struct userd_hasher_settings {
    long memory, passes, lanes, workers, queue, wait;
};
extern struct userd_hasher_settings userd_hasher_settings;
/* clang-format off */
#define USERD_HASHER_SETTINGS                                                 \
    {"userd", "hash_memory", SPEEDY_CONF_SIZE,                                \
     &userd_hasher_settings.memory, "19m", 19922944, 1073741824},             \
    {"userd", "hash_passes", SPEEDY_CONF_INT,                                 \
     &userd_hasher_settings.passes, "2", 2, 64},                              \
    {"userd", "hash_lanes", SPEEDY_CONF_INT,                                  \
     &userd_hasher_settings.lanes, "1", 1, 16},                               \
    {"userd", "hash_workers", SPEEDY_CONF_INT,                                \
     &userd_hasher_settings.workers, "0", 0, 64},                             \
    {"userd", "hash_queue", SPEEDY_CONF_INT,                                  \
     &userd_hasher_settings.queue, "64", 1, 10000},                           \
    {"userd", "hash_wait", SPEEDY_CONF_MSEC,                                  \
     &userd_hasher_settings.wait, "5s", 100, 60000}
/* clang-format on */

/* Loads the pepper and starts the workers. 0, or -1 after logging. */
int userd_hasher_start(void);
/* Waits for what is under way; queued jobs end as BUSY. */
void userd_hasher_stop(void);

/* OK and the hash in out (a NUL-ended text), BUSY or FAILED. */
enum userd_hash_result userd_hash_password(const char *password,
                                           char out[USERD_HASH_SIZE]);

/*
 * Whether it is the password of this hash. hash NULL (nobody of that name):
 * the same work on a hash of nobody, and NO. *stale (may be NULL) is set when
 * it is the password but was hashed with other parameters than today's: the
 * caller hashes it anew.
 */
enum userd_hash_result userd_verify_password(const char *password,
                                             const char *hash, bool *stale);

#endif
