/* An attempt's transactions. */
#ifndef PAYD_ATTEMPT_ROWS_H
#define PAYD_ATTEMPT_ROWS_H

#include "../shop/names.h"
#include "rows.h"
#include "task.h"

/* Verdicts of the transactions. */
enum payd_attempt_verdict {
    PAYD_A_REPLAY = 1, /* this key's attempt has its URLs already */
    PAYD_A_NEEDS_ADDRESS,
    PAYD_A_UNKNOWN,   /* that is no order's id */
    PAYD_A_NOT_READY, /* no such order of this user, yet */
    PAYD_A_NO_ADDRESS,
    PAYD_A_NO_DELIVERY,
    PAYD_A_KEY_REUSED,
    PAYD_A_BUSY,
    PAYD_A_OVER,
    PAYD_A_PAID,
    PAYD_A_ENDED,
    PAYD_A_KAKAO
};

struct payd_attempt {
    struct payd_task t; /* t.p: the row */
    struct speedy_request *r;
    char user[SPEEDY_ID_MAX + 1];
    unsigned char order[16], address[16], key_digest[16], body_digest[16];
    unsigned char nonce_hash[32];
    char callback[300]; /* holds the nonce */
    int64_t give_up;    /* boot time */
    bool has_address;
    struct payd_recipient to;
    char item[512];
    /* the answer */
    bool replayed;
    char pc[PAYD_URL_MOST + 1], mobile[PAYD_URL_MOST + 1];
    char app[PAYD_URL_MOST + 1];
    int64_t pay_by, left_ms;
};

/* work() for speedy_db_run: the row NEW. */
int payd_attempt_open(struct speedy_db *db, void *attempt, int repeat);
/* work() for speedy_db_run: the tid, the recipient, PAY_READY. */
int payd_attempt_store(struct speedy_db *db, void *attempt, int repeat);
/* Ready had no tid for us: the row may be taken up at once. */
void payd_attempt_ready_failed(struct speedy_db *db, struct payd_attempt *a);
/* What the shopper is told, from the row. */
int payd_attempt_shown(struct speedy_db *db, struct payd_attempt *a);

#endif
