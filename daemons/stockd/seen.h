/*
 * Since when this process has seen an order in `pend`. Ages are counted by
 * our own clock from our own first look: the stamps of other machines (and
 * of Redis) prove nothing. One thread.
 */
#ifndef SPEEDY_STOCKD_SEEN_H
#define SPEEDY_STOCKD_SEEN_H

#include <stddef.h>
#include <stdint.h>

struct stockd_seen_table {
    struct stockd_seen_entry *at;
    size_t count, size; /* size: 0 or a power of two */
};

struct stockd_seen {
    struct stockd_seen_table before, now; /* last look, this look */
};

/* A look begins: what is not met again until the next one is forgotten. */
void stockd_seen_begin(struct stockd_seen *s);
/*
 * An order met in this look: since when it has been there (`now` when it is
 * new, or when memory is short). now > 0.
 */
int64_t stockd_seen_meet(struct stockd_seen *s, const unsigned char id[16],
                         int64_t now);
/* Counts from now on again: it was tried and did not leave. */
void stockd_seen_again(struct stockd_seen *s, const unsigned char id[16],
                       int64_t now);
void stockd_seen_free(struct stockd_seen *s);

#endif
