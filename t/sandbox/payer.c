/*
 * The payer: opens the page, pays, quits or fails; and where his browser goes
 * then. Paying moves no money yet: it makes the pg_token that approve asks for.
 */
#include "sandbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *back_to_shop(const struct payment *p)
{
    size_t size = strlen(p->approval_url) + TOKEN_LEN + 16;
    char *url = malloc(size);

    if (url == NULL)
        abort();
    snprintf(url, size, "%s%spg_token=%s", p->approval_url,
             strchr(p->approval_url, '?') != NULL ? "&" : "?", p->pg_token);
    return url;
}

static char *pay(struct payment *p, const struct payer_act *a, const char **why)
{
    enum method m = a->method != METHOD_NONE   ? a->method
                    : p->wanted != METHOD_NONE ? p->wanted
                                               : METHOD_MONEY;

    if (p->wanted != METHOD_NONE && m != p->wanted) {
        *why = "the merchant wants another method";
        return NULL;
    }
    if (a->point < 0 || a->discount < 0 ||
        a->point + a->discount > p->amount.total) {
        *why = "points and discount are more than the amount";
        return NULL;
    }
    p->method = m;
    p->amount.point = a->point;
    p->amount.discount = a->discount;
    p->refusal = a->refusal;
    p->no_partial = a->no_partial;
    p->status = ST_AUTH_PASSWORD;
    hex_random(p->pg_token, TOKEN_LEN);
    return back_to_shop(p);
}

static char *act(struct payment *p, const struct payer_act *a, const char **why)
{
    if (strcmp(a->act, "open") == 0) {
        if (p->status == ST_READY)
            p->status = ST_OPEN_PAYMENT;
        return strdup("");
    }
    if (p->status == ST_AUTH_PASSWORD) {
        *why = "the payer has paid already";
        return NULL;
    }
    if (strcmp(a->act, "pay") == 0)
        return pay(p, a, why);
    if (strcmp(a->act, "quit") == 0) {
        p->status = ST_QUIT_PAYMENT;
        return strdup(p->cancel_url);
    }
    if (strcmp(a->act, "fail") == 0) {
        p->status = ST_FAIL_AUTH_PASSWORD;
        return strdup(p->fail_url);
    }
    *why = "an act is open, pay, quit or fail";
    return NULL;
}

char *payer_do(struct payment *p, const struct payer_act *a, const char **why)
{
    char *url;

    if (p->busy || p->status > ST_AUTH_PASSWORD) {
        *why = "the payment is settled";
        return NULL;
    }
    if (ledger_expired(p, clock_now()))
        return strdup(p->fail_url);
    url = act(p, a, why);
    if (url != NULL)
        journal_payment(p);
    return url;
}
