/*
 * payd: payments by KakaoPay. Any number may run: what must be serialised is
 * so by MySQL.
 *
 * Threads: the HTTP pool (requests are taken along, none waits there), the
 * workers (transactions), one loop for all calls to KakaoPay, and the duties
 * `reconcile`, `refund`, `watch`.
 */
#include <stdio.h>

#include <curl/curl.h>

#include "../common/log.h"
#include "../common/loop.h"
#include "../common/seal.h"
#include "address.h"
#include "calls.h"
#include "jobs.h"
#include "metrics.h"
#include "payd.h"
#include "reconcile.h"
#include "refund.h"

#define GRACE_MS 14000
#define CALLS_MS 8000 /* an approve under way is waited for so long */
#define SILENCE_MS 15000
#define BODY_MOST 4096
#define CONNECTIONS 2048

static struct speedy_db *reconcile_db, *refund_db, *watch_db;
static int64_t watched;

static long watch(void *data)
{
    long pause = payd_watch_turn(data);

    if (speedy_db_ready(data) == 0)
        __atomic_store_n(&watched, speedy_now_boot(), __ATOMIC_RELAXED);
    return pause;
}

static const char *not_ready(void)
{
    int64_t at = __atomic_load_n(&watched, __ATOMIC_RELAXED);

    if (at == 0 || speedy_now_boot() - at > SILENCE_MS)
        return "MySQL does not answer";
    return NULL;
}

static int open_all(int instance)
{
    snprintf(payd_actor, sizeof(payd_actor), "payd:%d", instance);
    snprintf(payd_reconciler, sizeof(payd_reconciler), "reconciler:%d",
             instance);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    reconcile_db = speedy_db_new("payd");
    refund_db = speedy_db_new("payd");
    watch_db = speedy_db_new("payd");
    if (reconcile_db == NULL || refund_db == NULL || watch_db == NULL ||
        speedy_seal_init() != 0 || payd_address_init() != 0)
        return -1;
    if (payd_jobs_start("payd", (int)payd_settings.workers) != 0)
        return -1;
    return payd_calls_start();
}

static int start(int instance)
{
    const struct speedy_http http = {
        .role = "payd",
        .instance = instance,
        .routes = payd_routes,
        .not_ready = not_ready,
        .max_body = BODY_MOST,
        .threads = (unsigned)payd_settings.http_threads,
        .connections = CONNECTIONS,
        .later = true,
    };

    if (speedy_duty_start("watch", watch, watch_db) != 0 ||
        speedy_duty_start("reconcile", payd_reconcile_turn, reconcile_db) !=
            0 ||
        speedy_duty_start("refund", payd_refund_turn, refund_db) != 0)
        return -1;
    return speedy_http_start(&http);
}

static void close_all(void)
{
    payd_calls_stop(CALLS_MS);
    payd_jobs_stop();
    speedy_http_stop();
    payd_address_free();
    speedy_db_free(reconcile_db);
    speedy_db_free(refund_db);
    speedy_db_free(watch_db);
    speedy_seal_free();
    curl_global_cleanup();
}

int main(int argc, char **argv)
{
    struct speedy_options options;
    int rc;

    speedy_loop_init();
    rc =
        speedy_options_parse(argc, argv, "payd", payd_settings_table, &options);
    if (rc > 0 || (rc == 0 && !options.test))
        return rc;
    if (payd_settings_check() != 0)
        return 2;
    if (rc == 0)
        return 0;
    payd_metrics_register();
    if (open_all(options.instance) != 0 || start(options.instance) != 0)
        return 1;
    speedy_log(SPEEDY_INFO, "ready", "api=%s cid=%s sandbox=%ld",
               payd_settings.api, payd_settings.cid, payd_settings.sandbox);
    rc = speedy_loop_run(GRACE_MS);
    close_all();
    return rc == 0 ? 0 : 1;
}
