/*
 * schedd: the moves that time makes. Holds that end are in expire.c; shipping,
 * delivery and returns get a file each beside it, and a duty here.
 *
 * `schedd --once` does what is due and leaves, for cron.
 */
#include <stdio.h>
#include <string.h>

#include "../common/conf.h"
#include "../common/http_server.h"
#include "../common/log.h"
#include "../common/loop.h"
#include "expire.h"

#define GRACE_MS 8000
#define SILENCE_MS 10000
#define TRIES_ONCE 20

static struct schedd_expire expire;

static const char *not_ready(void)
{
    int64_t answered = schedd_expire_answered();

    if (answered == 0 || speedy_now_boot() - answered > SILENCE_MS)
        return "MySQL does not answer";
    return NULL;
}

/* Takes `--once` out of argv. Returns whether it was there. */
static bool take_once(int *argc, char **argv)
{
    bool once = false;
    int kept = 0;

    for (int i = 0; i < *argc; i++) {
        if (strcmp(argv[i], "--once") == 0)
            once = true;
        else
            argv[kept++] = argv[i];
    }
    argv[kept] = NULL;
    *argc = kept;
    return once;
}

/* All that is due now. Exit status. */
static int run_once(void)
{
    int total = 0, tries = 0;

    while (tries < TRIES_ONCE) {
        int n = schedd_expire_batch(&expire);

        if (n == 0) {
            speedy_log(SPEEDY_INFO, "done", "orders=%d", total);
            return 0;
        }
        if (n > 0) {
            total += n;
            continue;
        }
        tries++;
        if (speedy_pause(speedy_jitter(200)))
            break;
    }
    speedy_log(SPEEDY_ERROR, "given up", "orders=%d", total);
    return 1;
}

static int run(int instance)
{
    const struct speedy_http http = {
        .role = "schedd",
        .instance = instance,
        .not_ready = not_ready,
        .max_body = 1024,
        .threads = 1,
    };
    int rc;

    schedd_expire_metrics();
    if (speedy_duty_start("expire", schedd_expire_turn, &expire) != 0 ||
        speedy_http_start(&http) != 0)
        return 1;
    speedy_log(SPEEDY_INFO, "ready", "");
    rc = speedy_loop_run(GRACE_MS);
    speedy_http_stop();
    return rc == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct speedy_options options;
    bool once = take_once(&argc, argv);
    struct speedy_db *db;
    int rc;

    speedy_loop_init();
    rc = speedy_options_parse(argc, argv, "schedd", NULL, &options);
    if (rc >= 0)
        return rc;
    db = speedy_db_new("schedd");
    if (db == NULL)
        return 1;
    schedd_expire_init(&expire, db, options.instance);
    rc = once ? run_once() : run(options.instance);
    speedy_db_free(db);
    return rc;
}
