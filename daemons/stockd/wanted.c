/*
 * A small array under a lock: a shop has few sales that are not archived.
 */
#include "wanted.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rebuild.h"

struct wanted {
    stockd_sale_id id;
    int64_t not_before;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct wanted *list;
static size_t count, size;

static struct wanted *find(const char *sale)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i].id, sale) == 0)
            return &list[i];
    }
    return NULL;
}

/* No memory: it will be asked again half a second later. */
static struct wanted *add(const char *sale)
{
    struct wanted *w = find(sale);

    if (w != NULL)
        return w;
    if (count == size) {
        struct wanted *more = realloc(list, (size * 2 + 16) * sizeof(*list));

        if (more == NULL)
            return NULL;
        list = more;
        size = size * 2 + 16;
    }
    w = &list[count++];
    w->not_before = 0;
    snprintf(w->id, sizeof(w->id), "%s", sale);
    return w;
}

void stockd_wanted_add(const char *sale)
{
    pthread_mutex_lock(&lock);
    add(sale);
    pthread_mutex_unlock(&lock);
}

void stockd_rebuild_ask(const char *sale)
{
    stockd_wanted_add(sale);
}

size_t stockd_wanted_due(stockd_sale_id *out, size_t max, int64_t now)
{
    size_t n = 0;

    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < count && n < max; i++) {
        if (list[i].not_before <= now)
            memcpy(out[n++], list[i].id, sizeof(stockd_sale_id));
    }
    pthread_mutex_unlock(&lock);
    return n;
}

void stockd_wanted_done(const char *sale)
{
    struct wanted *w;

    pthread_mutex_lock(&lock);
    w = find(sale);
    if (w != NULL)
        *w = list[--count];
    pthread_mutex_unlock(&lock);
}

void stockd_wanted_later(const char *sale, int64_t not_before)
{
    struct wanted *w;

    pthread_mutex_lock(&lock);
    w = add(sale);
    if (w != NULL)
        w->not_before = not_before;
    pthread_mutex_unlock(&lock);
}

void stockd_wanted_clear(void)
{
    pthread_mutex_lock(&lock);
    free(list);
    list = NULL;
    count = size = 0;
    pthread_mutex_unlock(&lock);
}
