/*
 * The two sections' tables are put together, because the command line takes
 * one. A claim must outlive the longest attempt, or two instances would send
 * the same mail while both live.
 */
#include "settings.h"

#include <stdio.h>
#include <string.h>

#include "../shop/mail_conf.h"
#include "compose.h"
#include "render.h"

#define CLAIM_SPARE_MS 5000
#define SETTINGS_MAX 64

struct maild_settings maild_settings;

static const struct speedy_setting own[] = {
    {"maild", "topic", SPEEDY_CONF_TEXT, &maild_settings.topic, "speedy.mail",
     0, 0},
    {"maild", "scan", SPEEDY_CONF_MSEC, &maild_settings.scan, "2s", 100, 60000},
    {"maild", "claim", SPEEDY_CONF_MSEC, &maild_settings.claim, "2m", 1000,
     3600000},
    {"maild", "attempts", SPEEDY_CONF_INT, &maild_settings.attempts, "20", 1,
     1000},
    {"maild", "backoff", SPEEDY_CONF_MSEC, &maild_settings.backoff, "5s", 100,
     3600000},
    {"maild", "backoff_max", SPEEDY_CONF_MSEC, &maild_settings.backoff_max,
     "1h", 100, 86400000},
    {"maild", "pause_limit", SPEEDY_CONF_MSEC, &maild_settings.pause_limit,
     "1h", 100, 86400000},
    {"maild", "pause_login", SPEEDY_CONF_MSEC, &maild_settings.pause_login,
     "10m", 100, 86400000},
    {"maild", "cool_max", SPEEDY_CONF_MSEC, &maild_settings.cool_max, "30s",
     100, 3600000},
    {"maild", "userd_instances", SPEEDY_CONF_INT,
     &maild_settings.userd_instances, "2", 1, 99},
};

const struct speedy_setting *maild_settings_table(void)
{
    static struct speedy_setting all[SETTINGS_MAX];
    size_t n = sizeof(own) / sizeof(own[0]), i = 0;

    memcpy(all, own, sizeof(own));
    do
        all[n++] = speedy_mail_conf_table[i];
    while (speedy_mail_conf_table[i++].section != NULL && n < SETTINGS_MAX);
    return all;
}

int maild_settings_check(void)
{
    const struct speedy_mail_conf *mail = &speedy_mail_conf;
    int bad = speedy_mail_conf_finish(stderr);

    if (bad == 0 && !maild_address_valid(mail->from)) {
        fprintf(stderr, "[mail] from is no plain address: shop@example.com\n");
        bad++;
    }
    if (mail->reply_to != NULL && !maild_address_valid(mail->reply_to)) {
        fprintf(stderr, "[mail] reply_to is no plain address\n");
        bad++;
    }
    if (maild_settings.claim <
        mail->timeout + MAILD_RENDER_MS + CLAIM_SPARE_MS) {
        fprintf(stderr,
                "[maild] claim (%ld ms) must be longer than an attempt may "
                "take: timeout of [mail] + %d ms\n",
                maild_settings.claim, MAILD_RENDER_MS + CLAIM_SPARE_MS);
        bad++;
    }
    return bad;
}
