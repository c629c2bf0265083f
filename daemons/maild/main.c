/*
 * maild: mail that others queued, handed to an SMTP server. Any number may
 * run.
 *
 * Threads: `send` (rows, userd, the server), `consume` (Kafka wakes it),
 * `watch` (what expires, the queue's age), the HTTP pool.
 */
#include <stdio.h>

#include <curl/curl.h>

#include "../common/conf.h"
#include "../common/http_server.h"
#include "../common/log.h"
#include "../common/loop.h"
#include "consume.h"
#include "metrics.h"
#include "send.h"
#include "settings.h"

#define GRACE_MS 12000
#define SILENCE_MS 15000
#define GROUP "speedy-maild"

static struct {
    struct maild_sender sender;
    struct speedy_db *send_db, *watch_db;
    struct speedy_group *group;
    struct maild_templates *templates;
} all;

static const char *not_ready(void)
{
    int64_t answered = maild_watch_answered();

    if (answered == 0 || speedy_now_boot() - answered > SILENCE_MS)
        return "MySQL does not answer";
    return NULL;
}

/* Settings and templates. 0, or the exit status. */
static int check(void)
{
    int bad = maild_settings_check();

    if (bad == 0)
        all.templates =
            maild_templates_load(speedy_mail_conf.templates, stderr);
    return all.templates == NULL ? 2 : 0;
}

static int open_all(int instance)
{
    char client[64];

    snprintf(client, sizeof(client), "maild-%d", instance);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    all.send_db = speedy_db_new("maild");
    all.watch_db = speedy_db_new("maild");
    all.group = speedy_group_new(client, GROUP, maild_settings.topic);
    all.sender.smtp = maild_smtp_new(&speedy_mail_conf);
    all.sender.userd =
        speedy_client_new("userd", (int)maild_settings.userd_instances);
    all.sender.templates = all.templates;
    if (all.send_db == NULL || all.watch_db == NULL || all.group == NULL ||
        all.sender.smtp == NULL || all.sender.userd == NULL ||
        maild_wake_init() != 0)
        return -1;
    maild_rows_init(&all.sender.rows, all.send_db, instance,
                    maild_settings.claim);
    return 0;
}

static int start(int instance)
{
    const struct speedy_http http = {
        .role = "maild",
        .instance = instance,
        .not_ready = not_ready,
        .max_body = 1024,
        .threads = 1,
    };

    if (speedy_duty_start("watch", maild_watch_turn, all.watch_db) != 0 ||
        speedy_duty_start("send", maild_send_turn, &all.sender) != 0 ||
        speedy_duty_start("consume", maild_consume_turn, all.group) != 0)
        return -1;
    return speedy_http_start(&http);
}

static void close_all(void)
{
    speedy_group_free(all.group);
    maild_smtp_free(all.sender.smtp);
    speedy_client_free(all.sender.userd);
    speedy_db_free(all.watch_db);
    speedy_db_free(all.send_db);
    maild_templates_free(all.templates);
    curl_global_cleanup();
}

int main(int argc, char **argv)
{
    struct speedy_options options;
    int rc;

    speedy_loop_init();
    rc = speedy_options_parse(argc, argv, "maild", maild_settings_table(),
                              &options);
    if (rc > 0 || (rc == 0 && !options.test))
        return rc;
    rc = check();
    if (rc == 0 && options.test)
        printf("%s: %zu templates are well\n", speedy_mail_conf.templates,
               maild_templates_files());
    if (rc != 0 || options.test)
        return rc;
    maild_metrics_register();
    if (open_all(options.instance) != 0 || start(options.instance) != 0)
        return 1;
    speedy_log(SPEEDY_INFO, "ready", "server=%s:%ld from=%s",
               speedy_mail_conf.host, speedy_mail_conf.port,
               speedy_mail_conf.helo);
    rc = speedy_loop_run(GRACE_MS);
    speedy_http_stop();
    close_all();
    return rc == 0 ? 0 : 1;
}
