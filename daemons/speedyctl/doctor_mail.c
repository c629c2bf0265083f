/*
 * `doctor` on mail: can the server that [mail] names carry what a sale brings,
 * and does nobody read along on the way?
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../shop/mail_conf.h"
#include "doctor.h"

#define RUSH 2000 /* sign-ups of an ordinary rush: fewer a day will not do */
#define WAITING_MS 300000

static void limit(struct doctor *d)
{
    const struct speedy_mail_conf *m = &speedy_mail_conf;
    int64_t day = 0;
    char found[160];

    if (d->c->db != NULL)
        speedy_db_number(d->c->db,
                         "SELECT COUNT(*) FROM mails WHERE created_at >"
                         " NOW(3) - INTERVAL 1 DAY",
                         DB_NONE, &day);
    if (m->daily_limit == 0) {
        snprintf(found, sizeof(found), "none known; %lld mails in 24 h",
                 (long long)day);
        doctor_say(d, DOCTOR_OK, "mail daily limit", found, NULL);
        return;
    }
    snprintf(found, sizeof(found), "%ld a day; %lld mails in the last 24 h",
             m->daily_limit, (long long)day);
    doctor_say(d,
               m->daily_limit < RUSH || day * 2 > m->daily_limit ? DOCTOR_WARN
                                                                 : DOCTOR_OK,
               "mail daily limit", found,
               "a rush of sign-ups does not fit: each is a mail at the least, "
               "and nobody buys without one; take a provider or a relay "
               "without such a limit");
}

static void sender(struct doctor *d)
{
    const struct speedy_mail_conf *m = &speedy_mail_conf;
    bool here = strcmp(m->host, "127.0.0.1") == 0 ||
                strcmp(m->host, "localhost") == 0 ||
                strcmp(m->host, "[::1]") == 0;
    char found[400];

    snprintf(found, sizeof(found), "%s:%ld, tls %s, %s", m->host, m->port,
             m->tls, m->user ? "with a login" : "without a login");
    if (m->tls_mode == SPEEDY_MAIL_TLS_OFF)
        doctor_say(d, here ? DOCTOR_WARN : DOCTOR_FAIL, "mail server", found,
                   "codes and addresses go in clear text: set tls = starttls "
                   "or implicit");
    else
        doctor_say(d, DOCTOR_OK, "mail server", found, NULL);
    if (m->ca_file != NULL && access(m->ca_file, R_OK) != 0)
        doctor_say(d, DOCTOR_FAIL, "mail ca_file", m->ca_file,
                   "cannot be read: no server is trusted");
    if (strncmp(m->url, "http://127.", 11) == 0 ||
        strncmp(m->url, "http://localhost", 16) == 0)
        doctor_say(d, DOCTOR_WARN, "mail url", m->url,
                   "links in mails lead to this machine: set url to the "
                   "shop's address");
}

static void queue(struct doctor *d)
{
    int64_t age = 0, failed = 0;
    char found[96];

    if (d->c->db == NULL)
        return;
    speedy_db_number(d->c->db,
                     "SELECT TIMESTAMPDIFF(MICROSECOND, MIN(created_at), "
                     "NOW(3)) DIV 1000 FROM mails WHERE state IN ('QUEUED', "
                     "'SENDING')",
                     DB_NONE, &age);
    speedy_db_number(d->c->db,
                     "SELECT COUNT(*) FROM mails WHERE state = 'FAILED' AND "
                     "ended_at > NOW(3) - INTERVAL 1 DAY",
                     DB_NONE, &failed);
    snprintf(found, sizeof(found), "oldest waits %lld s; %lld failed in 24 h",
             (long long)age / 1000, (long long)failed);
    doctor_say(d, age > WAITING_MS || failed > 0 ? DOCTOR_WARN : DOCTOR_OK,
               "mail queue", found,
               "speedyctl mail list --state FAILED, maild's log, and the "
               "metric speedy_mail_paused");
}

void doctor_mail(struct doctor *d)
{
    int bad = speedy_mail_conf_finish(d->c->json ? stderr : stdout);
    char found[48];

    if (bad > 0) {
        snprintf(found, sizeof(found), "%d wrong", bad);
        doctor_say(d, DOCTOR_FAIL, "mail settings", found,
                   "correct [mail] of speedy.conf; maild -t tells the same");
        return;
    }
    sender(d);
    limit(d);
    queue(d);
}
