/*
 * payd: payments by KakaoPay. What its files share: settings, a payment's
 * row, and the work that is under way for it.
 *
 * A piece of work (struct payd_task) is run by the workers (jobs.h), which
 * have the connections to MySQL; while KakaoPay is asked it belongs to the
 * loop of calls.h and holds no thread; its request, where there is one, is
 * answered by whoever ends it.
 */
#ifndef PAYD_H
#define PAYD_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/conf.h"
#include "../common/db.h"
#include "../common/http_server.h"

struct payd_settings {
    char *api;        /* open, legacy */
    char *base_url;   /* of KakaoPay, without a slash at its end */
    char *cid;        /* the shop's */
    char *key_file;   /* NULL: <secrets>/kakaopay-key */
    char *key_kind;   /* SECRET_KEY or DEV_SECRET_KEY: open only */
    char *ca_file;    /* NULL: the system's */
    char *shop_url;   /* without a slash at its end: callbacks lead there */
    char *result_url; /* where callbacks lead on to; NULL: a page of our own */
    long sandbox;     /* KakaoPay is a stand-in on loopback */
    long ready_timeout, approve_timeout, inquiry_timeout, cancel_timeout;
    long connections; /* to KakaoPay at once */
    long workers, http_threads;
    long tid_life;   /* of KakaoPay's: after it, nobody can pay */
    long order_wait; /* for an order that is not in MySQL yet */
    long inquiry_first, inquiry_most; /* pauses between inquiries */
    long late_look; /* one more inquiry, so long after the end of a tid */
    long refund_tries;
    long userd_instances;
};
extern struct payd_settings payd_settings;
extern const struct speedy_setting payd_settings_table[];
/* After loading. 0, or -1 after saying on stderr what is wrong. */
int payd_settings_check(void);

extern const struct speedy_route payd_routes[];

/* A row of `payments`, without the secrets. */
struct payd_payment {
    unsigned char id[16], order[16];
    char order_text[37];
    char user[41], state[11], api[7], cid[11], tid[41];
    int64_t quantity, goods, shipping, total, tax_free, vat, refunded;
    int64_t inquiries;
    bool dead; /* its tid is */
};

/* actor of what a request moves, and of what the reconciler moves */
extern char payd_actor[64], payd_reconciler[64];

/* Column into a text of this size; cut never, empty instead. */
void payd_text(const struct speedy_db_value *v, char *out, size_t size);

#endif
