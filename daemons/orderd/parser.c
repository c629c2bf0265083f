/*
 * One job at a time. Whoever comes first parses it: when the consumer needs
 * a load that the parser has not begun (it is busy, or has stopped), it does
 * the work itself.
 */
#include "parser.h"

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#define WAIT_MS 200 /* between two looks at the stop flag */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct orderd_load *given; /* not begun */
static bool busy;                 /* the parser's thread is at one */

static void parse(struct orderd_load *load)
{
    for (size_t i = 0; i < load->count; i++) {
        const rd_kafka_message_t *m = load->message[i];

        orderd_item_parse(&load->items[i], m->partition, m->offset, m->key,
                          m->key_len, m->payload, m->len);
    }
}

void orderd_parser_give(struct orderd_load *load)
{
    pthread_mutex_lock(&lock);
    given = load;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

void orderd_parser_wait(void)
{
    struct orderd_load *own;

    pthread_mutex_lock(&lock);
    own = given;
    given = NULL;
    while (busy)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    if (own != NULL)
        parse(own);
}

long orderd_parser_turn(void *data)
{
    struct orderd_load *load;
    struct timespec until;

    (void)data;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += WAIT_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_mutex_lock(&lock);
    if (given == NULL)
        pthread_cond_timedwait(&changed, &lock, &until);
    load = given;
    given = NULL;
    busy = load != NULL;
    pthread_mutex_unlock(&lock);
    if (load == NULL)
        return 0;
    parse(load);
    pthread_mutex_lock(&lock);
    busy = false;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    return 0;
}
