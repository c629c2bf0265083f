/*
 * userd: who a shopper is. Any number may run: what must be serialised is so
 * by MySQL.
 *
 * Threads: one for each HTTP connection (they share a pool of connections to
 * MySQL), the hasher's workers, and the duties with connections of their own.
 */
#include <stdio.h>

#include "../common/log.h"
#include "../common/loop.h"
#include "../common/outbox.h"
#include "../common/seal.h"
#include "../common/stores.h"
#include "codes.h"
#include "hasher.h"
#include "housekeeping.h"
#include "routes.h"
#include "sessions.h"
#include "text.h"
#include "userd.h"
#include "wishes.h"
#include "wishes_notify.h"

#define GRACE_MS 15000 /* a password may wait and be hashed first */
#define BODY_MOST 16384

static struct {
    struct speedy_outbox_relay outbox;
    struct speedy_db *clean_db;
    struct userd_notifier notify;
} duty;

/* The keys are loaded before the socket opens. */
static const char *not_ready(void)
{
    struct speedy_stores *s = speedy_stores_take();
    int rc;

    if (s == NULL)
        return "too many requests at once";
    rc = speedy_db_ready(s->db);
    if (rc == 0) {
        int64_t one;

        rc = speedy_db_number(s->db, "SELECT 1", DB_NONE, &one) == 1 ? 0 : -1;
    }
    speedy_stores_give(s);
    return rc != 0 ? "MySQL does not answer" : NULL;
}

static int keys_load(void)
{
    if (userd_text_init() != 0 || speedy_seal_init() != 0 ||
        userd_code_key_load() != 0)
        return -1;
    return userd_hasher_start();
}

static void keys_wipe(void)
{
    userd_hasher_stop();
    userd_code_key_wipe();
    speedy_seal_free();
}

/* Mail rows' records into Kafka, old rows out of MySQL, and who is told that
 * a sale will open. */
static int duties_start(int instance)
{
    static char client[64];

    snprintf(client, sizeof(client), "userd-%d", instance);
    duty.outbox.db = speedy_db_new("userd");
    duty.outbox.producer = speedy_producer_new(client, SPEEDY_OUTBOX_SEND_MS);
    duty.clean_db = speedy_db_new("userd");
    duty.notify.db = speedy_db_new("userd");
    if (duty.outbox.db == NULL || duty.outbox.producer == NULL ||
        duty.clean_db == NULL || duty.notify.db == NULL)
        return -1;
    userd_notify_metrics();
    if (speedy_duty_start("outbox", speedy_outbox_turn, &duty.outbox) != 0)
        return -1;
    if (speedy_duty_start("housekeeping", userd_housekeeping_turn,
                          duty.clean_db) != 0)
        return -1;
    return speedy_duty_start("notify", userd_notify_turn, &duty.notify);
}

static void duties_close(void)
{
    speedy_producer_free(duty.outbox.producer);
    speedy_db_free(duty.outbox.db);
    speedy_db_free(duty.clean_db);
    userd_notify_free(&duty.notify);
    speedy_db_free(duty.notify.db);
}

static int start(int instance)
{
    const struct speedy_http http = {
        .role = "userd",
        .instance = instance,
        .routes = userd_routes,
        .not_ready = not_ready,
        .max_body = BODY_MOST,
        /* a thread each: one that waits for its password's turn holds up
         * nobody else's request */
        .connections = (unsigned)userd_settings.http_connections,
    };

    return speedy_http_start(&http);
}

int main(int argc, char **argv)
{
    struct speedy_options options;
    int rc;

    speedy_loop_init();
    rc = speedy_options_parse(argc, argv, "userd", userd_settings_table,
                              &options);
    if (rc >= 0)
        return rc;
    if (keys_load() != 0 ||
        speedy_stores_init("userd", (int)userd_settings.mysql_connections) != 0)
        return 1;
    if (userd_wishes_start() != 0 || duties_start(options.instance) != 0 ||
        userd_sessions_start() != 0 || start(options.instance) != 0)
        return 1;
    speedy_log(SPEEDY_INFO, "ready", "master_key=%s", speedy_seal_master());
    rc = speedy_loop_run(GRACE_MS);
    speedy_http_stop();
    userd_sessions_stop();
    duties_close();
    userd_wishes_stop();
    speedy_stores_free();
    keys_wipe();
    return rc == 0 ? 0 : 1;
}
