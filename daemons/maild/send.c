/*
 * A turn: the page of due mails, each claimed, rendered, composed, sent and
 * settled. What a mail's fate does not depend on stops the page: a sender
 * that is paused (the account), or cools down (the server, or userd).
 *
 * After the server took a mail the row must learn of it, or another would send
 * it again: that UPDATE is tried until it is done or the claim is over.
 */
#include "send.h"

#include <stdio.h>
#include <string.h>

#include "../common/crypto.h"
#include "../common/failpoint.h"
#include "../common/log.h"
#include "../common/loop.h"
#include "compose.h"
#include "consume.h"
#include "metrics.h"
#include "policy.h"
#include "render.h"
#include "settings.h"

#define DB_RETRY_MS 500
#define COOL_FIRST_MS 1000
#define PAUSED_LOOK_MS 1000

/* One mail under way. */
struct job {
    struct maild_sender *s;
    struct maild_claim claim;
    char id[37];
    struct maild_letter letter;
    struct speedy_buf mime;
};

/* Words for `mails.reply`: the enhanced status, or why there is none. */
struct ending {
    enum maild_result result;
    int code;
    const char *reply;
    long ms; /* until the next attempt */
};

static void cool_down(struct maild_sender *s, const char *why)
{
    long most = maild_settings.cool_max;

    s->cool_ms = s->cool_ms == 0 ? COOL_FIRST_MS : s->cool_ms * 2;
    if (s->cool_ms > most)
        s->cool_ms = most;
    s->cool_until = speedy_now_boot() + speedy_jitter(s->cool_ms);
    speedy_log(SPEEDY_WARN, "sending cools down", "why=\"%s\" ms=%ld", why,
               s->cool_ms);
}

static void pause_sender(struct maild_sender *s, long ms, const char *why,
                         const struct maild_outcome *o)
{
    s->paused_until = speedy_now_boot() + ms;
    maild_metrics_paused(1);
    speedy_log(SPEEDY_ALARM, "the sender pauses",
               "why=\"%s\" code=%d status=%s seconds=%ld", why, o->code,
               o->status[0] ? o->status : "-", ms / 1000);
}

/* One settling statement. As maild_rows_end. */
static int settle_once(struct job *j, const struct ending *e)
{
    struct maild_rows *r = &j->s->rows;

    switch (e->result) {
    case MAILD_R_SENT:
        return maild_rows_end(r, &j->claim, "SENT", e->code, e->reply);
    case MAILD_R_FAILED:
        return maild_rows_end(r, &j->claim, "FAILED", e->code, e->reply);
    case MAILD_R_DROPPED:
        return maild_rows_end(r, &j->claim, "DROPPED", e->code, e->reply);
    case MAILD_R_RETRY:
        return maild_rows_again(r, &j->claim, e->ms, e->code, e->reply);
    default:
        return maild_rows_put_back(r, &j->claim, e->ms, e->code, e->reply);
    }
}

static int64_t claim_left(const struct job *j)
{
    return j->claim.taken_at + j->s->rows.claim_ms - speedy_now_boot();
}

static void settle(struct job *j, const struct ending *e)
{
    enum speedy_log_level level =
        e->result == MAILD_R_FAILED ? SPEEDY_WARN : SPEEDY_INFO;
    int rc = settle_once(j, e);
    bool sure = true; /* that an UPDATE without effect found no row of ours */

    while (rc < 0 && rc != SPEEDY_DB_ERROR && claim_left(j) > 0) {
        bool stop = speedy_pause(speedy_jitter(DB_RETRY_MS));

        sure = false;
        rc = settle_once(j, e);
        if (stop)
            break;
    }
    if (rc < 0 || (rc == 0 && sure))
        speedy_log(e->result == MAILD_R_SENT ? SPEEDY_ALARM : SPEEDY_WARN,
                   "what came of a mail was not written: it may come twice",
                   "mail=%s attempts=%lld", j->id,
                   (long long)j->claim.attempts);
    maild_metrics_result(e->result, 1);
    speedy_log(level, "mail",
               "mail=%s kind=%s attempt=%lld result=%s code=%d reply=\"%s\"",
               j->id, j->claim.kind, (long long)j->claim.attempts,
               maild_result_name(e->result), e->code, e->reply);
}

static void fail(struct job *j, const char *why)
{
    settle(j, &(struct ending){MAILD_R_FAILED, 0, why, 0});
}

/* Again after a pause that grows; FAILED after the last attempt. */
static void again(struct job *j, int code, const char *reply)
{
    struct ending e = {MAILD_R_RETRY, code, reply, 0};

    if (j->claim.attempts >= maild_settings.attempts)
        e.result = MAILD_R_FAILED;
    else
        e.ms = speedy_jitter(maild_backoff((int)j->claim.attempts,
                                           maild_settings.backoff,
                                           maild_settings.backoff_max));
    settle(j, &e);
}

/* -1: it is settled, there is nothing to send. */
static int ask_userd(struct job *j)
{
    switch (maild_render(j->s->userd, &j->claim, &j->letter)) {
    case MAILD_RENDERED:
        return 0;
    case MAILD_NOBODY:
        settle(j,
               &(struct ending){MAILD_R_DROPPED, 0, "not wanted any more", 0});
        return -1;
    case MAILD_UNKNOWN:
        fail(j, "userd does not know it");
        return -1;
    case MAILD_UNAVAILABLE:
        settle(j, &(struct ending){MAILD_R_PUT_BACK, 0, "userd is away",
                                   DB_RETRY_MS});
        cool_down(j->s, "userd is away");
        return -1;
    default:
        again(j, 0, "no usable answer of userd");
        return -1;
    }
}

static int compose(struct job *j)
{
    const struct speedy_mail_conf *conf = &speedy_mail_conf;
    const struct maild_letter *l = &j->letter;
    const struct maild_values values = {.name = l->name,
                                        .code = l->code,
                                        .link = l->link,
                                        .shop = conf->from_name,
                                        .url = conf->url,
                                        .params = l->params};
    struct maild_texts texts = {0};
    struct maild_message m = {.id = j->claim.id,
                              .from = conf->from,
                              .from_name = conf->from_name,
                              .reply_to = conf->reply_to,
                              .to = l->to,
                              .language =
                                  strcmp(l->language, "en") == 0 ? "en" : "ko",
                              .date = speedy_now_real()};
    const char *missing = NULL;
    int rc;

    rc = maild_templates_fill(j->s->templates, l->kind, m.language, &values,
                              &texts, &missing);
    if (rc != 0) {
        speedy_log(SPEEDY_ALARM, "a mail lacks what its template needs",
                   "mail=%s kind=%s missing=%s", j->id, j->claim.kind, missing);
        fail(j, "a value is missing");
    } else {
        m.subject = texts.subject.data;
        m.text = texts.text.data;
        m.html = texts.html.data;
        rc = maild_compose(&m, &j->mime);
        if (rc != 0)
            fail(j, maild_address_valid(l->to) ? "header refused"
                                               : "address refused");
    }
    maild_texts_free(&texts);
    return rc;
}

static void judged(struct job *j, const struct maild_outcome *o)
{
    struct maild_decision d = maild_decide(o);
    const char *reply = o->status[0] != '\0' ? o->status : d.why;
    struct maild_sender *s = j->s;

    if (d.cool)
        cool_down(s, d.why);
    else
        s->cool_ms = 0;
    switch (d.verdict) {
    case MAILD_SENT:
        settle(j, &(struct ending){MAILD_R_SENT, o->code, reply, 0});
        break;
    case MAILD_RETRY:
        again(j, o->code, reply);
        break;
    case MAILD_FAIL:
        settle(j, &(struct ending){MAILD_R_FAILED, o->code, reply, 0});
        break;
    case MAILD_PUT_BACK:
        settle(j, &(struct ending){MAILD_R_PUT_BACK, 0, reply, 0});
        break;
    default:
        pause_sender(s,
                     d.verdict == MAILD_PAUSE_LIMIT
                         ? maild_settings.pause_limit
                         : maild_settings.pause_login,
                     d.why, o);
        settle(j, &(struct ending){MAILD_R_PAUSED, o->code, reply, 0});
    }
}

static void send_one(struct job *j)
{
    struct maild_outcome o;

    /* Whoever stood still too long may not begin: another has the mail. */
    if (claim_left(j) < speedy_mail_conf.timeout) {
        settle(j, &(struct ending){MAILD_R_PUT_BACK, 0, "claim over", 0});
        return;
    }
    speedy_failpoint("maild.before_send");
    maild_smtp_send(j->s->smtp, j->letter.to, &j->mime, &o);
    speedy_failpoint("maild.after_send");
    maild_metrics_seconds(speedy_now_boot() - j->claim.taken_at);
    judged(j, &o);
}

/* 0, or enum speedy_db_status: the claim could not be asked for. */
static int handle(struct maild_sender *s, const unsigned char id[16])
{
    struct job j = {.s = s};
    int rc = maild_rows_claim(&s->rows, id, &j.claim);

    if (rc <= 0)
        return rc;
    speedy_uuid_text(id, j.id);
    speedy_failpoint("maild.claimed");
    /* Whoever died with it so often takes us along each time. */
    if (j.claim.attempts > maild_settings.attempts)
        fail(&j, "too many attempts");
    else if (ask_userd(&j) == 0 && compose(&j) == 0)
        send_one(&j);
    if (j.mime.data != NULL)
        explicit_bzero(j.mime.data, j.mime.len);
    speedy_buf_free(&j.mime);
    maild_letter_free(&j.letter);
    return 0;
}

/* Time until something may be sent; 0: now. */
static int64_t held_back(struct maild_sender *s)
{
    int64_t now = speedy_now_boot(), until = s->cool_until;

    if (s->paused_until != 0 && s->paused_until <= now) {
        s->paused_until = 0;
        maild_metrics_paused(0);
        speedy_log(SPEEDY_INFO, "the sender tries again", "");
    }
    if (s->paused_until > until)
        until = s->paused_until;
    return until > now ? until - now : 0;
}

long maild_send_turn(void *sender)
{
    struct maild_sender *s = sender;
    unsigned char due[MAILD_PAGE][16];
    int64_t held = held_back(s);
    int n, rc = 0;

    if (held > 0)
        return held < PAUSED_LOOK_MS ? (long)held : PAUSED_LOOK_MS;
    n = maild_rows_due(&s->rows, due);
    for (int i = 0; i < n && rc == 0; i++) {
        if (speedy_stopping() || held_back(s) > 0)
            return 0;
        rc = handle(s, due[i]);
    }
    if (n < 0 || rc < 0)
        return speedy_jitter(DB_RETRY_MS);
    if (n == 0)
        maild_wake_wait(maild_settings.scan);
    return 0;
}
