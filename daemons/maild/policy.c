/*
 * The table of reply codes. CURLcodes are not asked: libcurl gives the same
 * one for a login that was refused (535) and one to be tried later (454).
 *
 * Three kinds of trouble are told apart: the recipient's or the mail's own
 * (it is retried or has failed), the server's (the sender cools down, the mail
 * is retried), and the sender's own account or configuration: then no mail is
 * to blame, so the sender pauses and attempts are not counted.
 */
#include "policy.h"

#include <string.h>

/* A refusal before RCPT is about us, not about the recipient. */
static bool about_sender(const struct maild_outcome *o)
{
    return o->phase < MAILD_RCPT;
}

static struct maild_decision decide(enum maild_verdict verdict, bool cool,
                                    const char *why)
{
    return (struct maild_decision){verdict, cool, why};
}

static struct maild_decision without_reply(const struct maild_outcome *o)
{
    switch (o->trouble) {
    case MAILD_STOPPED:
        return decide(MAILD_PUT_BACK, false, "stopping");
    case MAILD_NO_TLS:
        return decide(MAILD_PAUSE_LOGIN, true, "no TLS");
    case MAILD_UNTRUSTED:
        return decide(MAILD_PAUSE_LOGIN, true, "certificate not trusted");
    case MAILD_LOCAL:
        return decide(MAILD_RETRY, true, "local trouble");
    case MAILD_UNREACHED:
        return decide(MAILD_RETRY, true, "no connection");
    case MAILD_STALLED:
        return decide(MAILD_RETRY, true,
                      o->phase == MAILD_BODY ? "time-out after DATA"
                                             : "time-out");
    default:
        return decide(MAILD_RETRY, true,
                      o->phase == MAILD_BODY ? "no reply after DATA"
                                             : "no reply");
    }
}

static struct maild_decision permanent(const struct maild_outcome *o)
{
    /* A rolling 24 hours: the one 5xx that heals by itself. */
    if (strcmp(o->status, "5.4.5") == 0)
        return decide(MAILD_PAUSE_LIMIT, false, "sending limit");
    if (o->code == 530 || o->code == 534 || o->code == 535)
        return decide(MAILD_PAUSE_LOGIN, false, "login refused");
    if (about_sender(o))
        return decide(MAILD_PAUSE_LOGIN, false, "sender refused");
    return decide(MAILD_FAIL, false, "refused");
}

struct maild_decision maild_decide(const struct maild_outcome *o)
{
    if (o->taken)
        return decide(MAILD_SENT, false, "");
    if (o->code >= 500 && o->code <= 599)
        return permanent(o);
    if (o->code >= 400 && o->code <= 499)
        return decide(MAILD_RETRY, o->code == 421 || about_sender(o), "later");
    return without_reply(o);
}

long maild_backoff(int n, long first_ms, long most_ms)
{
    long ms = first_ms;

    while (--n > 0 && ms < most_ms)
        ms *= 2;
    return ms < most_ms ? ms : most_ms;
}
