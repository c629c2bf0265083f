/*
 * KakaoPay's API in both generations: what is asked, and what a reply means.
 * Pure: no network, no database. A reply is believed only as far as every
 * field that names the payment or its money agrees with ours; what cannot be
 * understood is unknown, never a refusal.
 */
#ifndef PAYD_KAKAO_H
#define PAYD_KAKAO_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/json.h"
#include "payd.h"

#define PAYD_URL_MOST 1000

enum payd_kind { PAYD_READY, PAYD_APPROVE, PAYD_INQUIRY, PAYD_CANCEL };
const char *payd_kind_name(enum payd_kind kind);

struct payd_ask {
    enum payd_kind kind;
    bool legacy;
    const struct payd_payment *p;
    const char *item;     /* ready: at most 100 characters */
    const char *callback; /* ready: address up to the nonce */
    const char *pg_token; /* approve */
    /* cancel: what goes back, and what can go back before it */
    int64_t amount, tax_free, vat, available;
};

const char *payd_kakao_path(const struct payd_ask *ask);
/* The body of the request. */
void payd_kakao_write(const struct payd_ask *ask, struct speedy_buf *out);

enum payd_outcome {
    PAYD_DONE,     /* ready: a tid; approve, inquiry: paid; cancel: went back */
    PAYD_REFUSED,  /* for good: nothing was done, and nothing will be */
    PAYD_UNKNOWN,  /* it may have been done */
    PAYD_MISMATCH, /* of another payment, or of another amount */
    /* of an inquiry alone */
    PAYD_PENDING,
    PAYD_FAILED,
    PAYD_CANCELLED,
    PAYD_PARTLY,
    PAYD_NO_TID
};
const char *payd_outcome_name(enum payd_outcome outcome);

struct payd_reply {
    enum payd_outcome outcome;
    int error_code;  /* 0: none */
    char detail[61]; /* status, method_result_code, or what did not agree */
    char tid[41], aid[41];
    char pc[PAYD_URL_MOST + 1], mobile[PAYD_URL_MOST + 1];
    char app[PAYD_URL_MOST + 1];
    /* inquiry, cancel: by KakaoPay's word; -1: it did not say */
    int64_t total, available;
};

/*
 * whole: a complete reply came. Redirects are accepted to KakaoPay's own
 * hosts over https, and (stand_in, may be NULL) to addresses of this origin.
 */
void payd_kakao_judge(const struct payd_ask *ask, bool whole, long status,
                      const char *body, size_t len, const char *stand_in,
                      struct payd_reply *out);

/* round(taxed / 11): the tax within an amount, as KakaoPay splits it. */
int64_t payd_vat(int64_t total, int64_t tax_free);

#endif
