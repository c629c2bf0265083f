/*
 * Two open-addressing tables, of the last look and of this one: forgetting is
 * dropping the older. Order ids are random in their last 8 bytes, which are
 * the hash.
 */
#include "seen.h"

#include <stdlib.h>
#include <string.h>

struct stockd_seen_entry {
    unsigned char id[16];
    int64_t since; /* 0: free */
};

static struct stockd_seen_entry *slot(const struct stockd_seen_table *t,
                                      const unsigned char id[16])
{
    uint64_t hash;

    memcpy(&hash, id + 8, sizeof(hash));
    for (size_t i = hash & (t->size - 1);; i = (i + 1) & (t->size - 1)) {
        if (t->at[i].since == 0 || memcmp(t->at[i].id, id, 16) == 0)
            return &t->at[i];
    }
}

static int grow(struct stockd_seen_table *t)
{
    struct stockd_seen_table more = {NULL, t->count,
                                     t->size == 0 ? 256 : t->size * 2};

    if (t->count * 2 < t->size)
        return 0;
    more.at = calloc(more.size, sizeof(*more.at));
    if (more.at == NULL)
        return -1;
    for (size_t i = 0; i < t->size; i++) {
        if (t->at[i].since != 0)
            *slot(&more, t->at[i].id) = t->at[i];
    }
    free(t->at);
    *t = more;
    return 0;
}

void stockd_seen_begin(struct stockd_seen *s)
{
    free(s->before.at);
    s->before = s->now;
    memset(&s->now, 0, sizeof(s->now));
}

int64_t stockd_seen_meet(struct stockd_seen *s, const unsigned char id[16],
                         int64_t now)
{
    struct stockd_seen_entry *old, *e;

    if (grow(&s->now) != 0)
        return now;
    e = slot(&s->now, id);
    if (e->since != 0)
        return e->since;
    memcpy(e->id, id, 16);
    e->since = now;
    s->now.count++;
    if (s->before.size > 0) {
        old = slot(&s->before, id);
        if (old->since != 0)
            e->since = old->since;
    }
    return e->since;
}

void stockd_seen_again(struct stockd_seen *s, const unsigned char id[16],
                       int64_t now)
{
    struct stockd_seen_entry *e;

    if (s->now.size == 0)
        return;
    e = slot(&s->now, id);
    if (e->since != 0)
        e->since = now;
}

void stockd_seen_free(struct stockd_seen *s)
{
    free(s->before.at);
    free(s->now.at);
    memset(s, 0, sizeof(*s));
}
