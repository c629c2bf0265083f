/*
 * The pool: a stack under a lock. The last one given is the first one taken,
 * so that few connections stay warm.
 */
#include "stores.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define WAIT_SECONDS 1

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t given = PTHREAD_COND_INITIALIZER;
static struct speedy_stores *idle;

static void stores_free(struct speedy_stores *s)
{
    speedy_db_free(s->db);
    speedy_redis_free(s->rc);
    free(s);
}

int speedy_stores_init(const char *account, int count)
{
    for (int i = 0; i < count; i++) {
        struct speedy_stores *s = calloc(1, sizeof(*s));

        if (s == NULL)
            return -1;
        s->db = speedy_db_new(account);
        s->rc = speedy_redis_new();
        if (s->db == NULL || s->rc == NULL) {
            stores_free(s);
            return -1;
        }
        s->next = idle;
        idle = s;
    }
    return 0;
}

void speedy_stores_free(void)
{
    while (idle != NULL) {
        struct speedy_stores *s = idle;

        idle = s->next;
        stores_free(s);
    }
}

struct speedy_stores *speedy_stores_take(void)
{
    struct speedy_stores *s;
    struct timespec until;
    int rc = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_SECONDS;
    pthread_mutex_lock(&lock);
    while (idle == NULL && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&given, &lock, &until);
    s = idle;
    if (s != NULL)
        idle = s->next;
    pthread_mutex_unlock(&lock);
    return s;
}

void speedy_stores_give(struct speedy_stores *s)
{
    pthread_mutex_lock(&lock);
    s->next = idle;
    idle = s;
    pthread_mutex_unlock(&lock);
    pthread_cond_signal(&given);
}
