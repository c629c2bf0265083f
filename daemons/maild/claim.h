/*
 * Rows of `mails`: who sends which, and what came of it. Every move is one
 * conditional UPDATE, so any number of instances may try. A claim ends by
 * itself: of a killed instance another takes the mail.
 */
#ifndef MAILD_CLAIM_H
#define MAILD_CLAIM_H

#include <stdint.h>

#include "../common/db.h"

#define MAILD_PAGE 32

struct maild_claim {
    unsigned char id[16];
    char kind[31], request_id[65];
    int64_t attempts; /* this one included; also what tells our claim apart */
    int64_t taken_at; /* boot time before it was asked for */
};

struct maild_rows {
    struct speedy_db *db;
    char owner[64]; /* of this process: instance, pid, random */
    long claim_ms;
};

void maild_rows_init(struct maild_rows *r, struct speedy_db *db, int instance,
                     long claim_ms);

/*
 * Ids of mails that are due: codes first, which somebody waits for while the
 * whole shop may be told of an opening; then what is soon of no use. The number
 * of them, or enum speedy_db_status < 0.
 */
int maild_rows_due(struct maild_rows *r, unsigned char id[][16]);
/* 1: it is ours until now + claim_ms; 0: not due, or another's; < 0 as above */
int maild_rows_claim(struct maild_rows *r, const unsigned char id[16],
                     struct maild_claim *out);

/*
 * The ends of a claim. 1: done; 0: the claim had ended and another has the
 * mail; < 0: enum speedy_db_status, nothing is known.
 */
int maild_rows_end(struct maild_rows *r, const struct maild_claim *c,
                   const char *state, int code, const char *reply);
/* Due again after ms; FAILED instead when it would be of no use by then. */
int maild_rows_again(struct maild_rows *r, const struct maild_claim *c, long ms,
                     int code, const char *reply);
/* As if it had not been tried. */
int maild_rows_put_back(struct maild_rows *r, const struct maild_claim *c,
                        long ms, int code, const char *reply);

/* Ends what waited until it was of no use. How many, or < 0. */
long maild_rows_expire(struct speedy_db *db);
/* Mails that wait, and the age of the oldest in ms. 0 or < 0. */
int maild_rows_queue(struct speedy_db *db, int64_t *count, int64_t *age);

#endif
