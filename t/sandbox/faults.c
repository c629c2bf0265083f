/*
 * Faults to order: a short table, looked through by each call of the API. A
 * fault is taken when all it names fits, and lives until its count is used up.
 */
#include "sandbox.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define FAULTS_MAX 64

const char *const answer_names[ANSWER_COUNT] = {
    "true", "silence", "close", "reset", "status", "refuse", "slow",
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct fault table[FAULTS_MAX];
static size_t count;
static int last_id;

static char *copy(const char *text)
{
    return text != NULL ? strdup(text) : NULL;
}

void fault_free(struct fault *f)
{
    free(f->body);
    free(f->value);
    f->body = f->value = NULL;
}

static void drop(size_t i)
{
    fault_free(&table[i]);
    memmove(&table[i], &table[i + 1], (--count - i) * sizeof(table[0]));
}

/* One that is used up stays for its hits, as long as there is room. */
static void make_room(void)
{
    for (size_t i = 0; i < count && count == FAULTS_MAX; i++) {
        if (table[i].count == 0)
            drop(i);
    }
}

int fault_add(const struct fault *f)
{
    int id = -1;

    pthread_mutex_lock(&lock);
    make_room();
    if (count < FAULTS_MAX) {
        table[count] = *f;
        id = table[count++].id = ++last_id;
    }
    pthread_mutex_unlock(&lock);
    return id;
}

static bool fits(const struct fault *f, enum operation op, const char *tid,
                 const char *order_id)
{
    return (f->operation == OP_COUNT || f->operation == (int)op) &&
           (f->tid[0] == '\0' || strcmp(f->tid, tid) == 0) &&
           (f->order_id[0] == '\0' || strcmp(f->order_id, order_id) == 0) &&
           f->count != 0;
}

bool fault_take(enum operation op, const char *tid, const char *order_id,
                struct fault *out)
{
    bool found = false;

    *out = (struct fault){.effect = true, .answer = ANSWER_TRUE};
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < count && !found; i++) {
        struct fault *f = &table[i];

        if (!fits(f, op, tid, order_id))
            continue;
        if (f->skip > 0) {
            f->skip--;
            continue;
        }
        f->hits++;
        f->count -= f->count > 0;
        *out = *f;
        out->body = copy(f->body);
        out->value = copy(f->value);
        found = true;
    }
    pthread_mutex_unlock(&lock);
    return found;
}

bool fault_remove(int id)
{
    bool found = false;

    pthread_mutex_lock(&lock);
    for (size_t i = count; i > 0; i--) {
        if (id == 0 || table[i - 1].id == id) {
            drop(i - 1);
            found = true;
        }
    }
    pthread_mutex_unlock(&lock);
    return found;
}

void faults_write(struct speedy_buf *b)
{
    pthread_mutex_lock(&lock);
    speedy_buf_printf(b, "[");
    for (size_t i = 0; i < count; i++) {
        const struct fault *f = &table[i];

        speedy_buf_printf(
            b,
            "%s{\"id\":%d,\"operation\":\"%s\",\"answer\":\"%s\","
            "\"left\":%ld,\"hits\":%ld}",
            i > 0 ? "," : "", f->id,
            f->operation == OP_COUNT ? "any" : operation_names[f->operation],
            answer_names[f->answer], f->count, f->hits);
    }
    speedy_buf_printf(b, "]\n");
    pthread_mutex_unlock(&lock);
}
