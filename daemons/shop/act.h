/*
 * An act of an operator: what it changes and one audit_log row, in one
 * transaction, by the command line and by HTTP alike. Each side words the
 * result for its readers.
 */
#ifndef SPEEDY_ACT_H
#define SPEEDY_ACT_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/db.h"
#include "../common/json.h"

#define SPEEDY_ACTOR_MAX 64
#define SPEEDY_REASON_MAX 200

/* What a refused act was refused for; enum speedy_db_status is below 0. */
enum speedy_act_result {
    SPEEDY_ACT_DONE = 0,
    SPEEDY_ACT_UNKNOWN,     /* there is no such thing */
    SPEEDY_ACT_EXISTS,      /* the id is taken, for good */
    SPEEDY_ACT_VERSION,     /* somebody else changed it since */
    SPEEDY_ACT_MOVE,        /* the act does not start from its state */
    SPEEDY_ACT_OPENED,      /* the sale is open, or about to */
    SPEEDY_ACT_OVER,        /* closed, or archived */
    SPEEDY_ACT_WINDOW,      /* it would close before it opens */
    SPEEDY_ACT_PAST,        /* the time has passed */
    SPEEDY_ACT_NOT_LATER,   /* no later than the closing that stands */
    SPEEDY_ACT_NO_PRODUCT,  /* a sale of a product that is not there */
    SPEEDY_ACT_NO_VARIANT,  /* the sale has no such variant */
    SPEEDY_ACT_NO_IMAGE,    /* there is no image of this hash */
    SPEEDY_ACT_LIMIT_STOCK, /* a shopper may have more than there is */
    SPEEDY_ACT_TOO_MANY,    /* images, variants */
    SPEEDY_ACT_COUNTERS     /* units do not add up: the auditor's business */
};

struct speedy_act {
    struct speedy_db *db;
    const char *actor;  /* of at most SPEEDY_ACTOR_MAX bytes */
    const char *reason; /* of at most SPEEDY_REASON_MAX characters */
    int attempts;       /* 0: as many as a person at a terminal waits for */
    int64_t version;    /* the one that the operator saw; 0: any */
    /* JSON members for the row (`"a":1,"b":2`), filled in by work(); the
       caller frees it */
    struct speedy_buf detail;
};

/*
 * Runs work() and writes the row `act` on `object`; repeated when the
 * database says so. work() returns 0, an enum speedy_db_status, or why it
 * refuses; it may run more than once. Safe when the reply of a COMMIT is
 * lost: the row carries an id that is looked for before a repeat.
 */
int speedy_act_run(struct speedy_act *a, const char *act, const char *object,
                   int (*work)(struct speedy_act *a, void *data), void *data);

/* A row that was read before the UPDATE changed meanwhile: read it again. */
int speedy_act_changed_once(int status, long affected);

/* A DATETIME(3) column as Unix milliseconds, and back. */
#define SPEEDY_MS(column)                                                      \
    "TIMESTAMPDIFF(MICROSECOND,'1970-01-01'," column ") DIV 1000"
#define SPEEDY_DATETIME "TIMESTAMPADD(MICROSECOND, ? * 1000, '1970-01-01')"

#endif
