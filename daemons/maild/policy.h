/* What is done about an attempt, decided by the reply code alone. */
#ifndef MAILD_POLICY_H
#define MAILD_POLICY_H

#include "outcome.h"

enum maild_verdict {
    MAILD_SENT,
    MAILD_RETRY,       /* this mail again, later; an attempt was used */
    MAILD_FAIL,        /* never again */
    MAILD_PAUSE_LIMIT, /* the account's quota: the sender pauses */
    MAILD_PAUSE_LOGIN, /* login, TLS, sender address: the sender pauses */
    MAILD_PUT_BACK     /* as if it had not been tried */
};

struct maild_decision {
    enum maild_verdict verdict;
    /* the server, not the mail, is in trouble: others need not try at once */
    bool cool;
    const char *why; /* fixed words, for `mails.reply` and the log */
};

struct maild_decision maild_decide(const struct maild_outcome *o);

/* Pause before attempt n + 1, n from 1: doubled each time, without jitter. */
long maild_backoff(int n, long first_ms, long most_ms);

#endif
