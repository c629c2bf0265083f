/*
 * orderd: accepted orders from Kafka into MySQL, and a shopper's view of
 * them. Any number may run; partitions are shared by leases.
 *
 * Threads: `leases` (who reads what), `consume` (batches) with `parse` beside
 * it, the HTTP pool; each has connections of its own.
 */
#include <stdio.h>
#include <string.h>

#include "../common/conf.h"
#include "../common/log.h"
#include "../common/loop.h"
#include "../common/stores.h"
#include "consume.h"
#include "metrics.h"
#include "orders_http.h"
#include "parser.h"
#include "partitions.h"

#define GRACE_MS 8000
#define SILENCE_MS 15000 /* a store that answered this long ago is away */
#define GROUP "speedy-orderd"
#define BODY_MOST 4096

static struct {
    long http_threads;
} conf;

static const struct speedy_setting conf_table[] = {
    {"orderd", "http_threads", SPEEDY_CONF_INT, &conf.http_threads, "4", 1, 64},
    {NULL, NULL, SPEEDY_CONF_TEXT, NULL, NULL, 0, 0},
};

static struct {
    struct speedy_db *lease_db, *consume_db;
    struct speedy_consumer *kc;
} all;

static bool silent(int64_t answered)
{
    return answered == 0 || speedy_now_boot() - answered > SILENCE_MS;
}

static const char *not_ready(void)
{
    struct speedy_stores *s;
    int redis;

    if (silent(orderd_leases_answered()))
        return "MySQL does not answer";
    if (silent(orderd_consume_answered()))
        return "Kafka does not answer";
    s = speedy_stores_take();
    if (s == NULL)
        return "too many requests at once";
    redis = speedy_redis_ready(s->rc);
    speedy_stores_give(s);
    return redis != 0 ? "Redis does not answer" : NULL;
}

static int stores_open(int instance)
{
    char client[64];

    snprintf(client, sizeof(client), "orderd-%d", instance);
    all.lease_db = speedy_db_new("orderd");
    all.consume_db = speedy_db_new("orderd");
    all.kc = speedy_consumer_new_marking(client, GROUP);
    if (all.lease_db == NULL || all.consume_db == NULL || all.kc == NULL)
        return -1;
    orderd_partitions_init(speedy_conf.kafka_orders_topic, instance,
                           all.lease_db);
    if (orderd_consume_init(speedy_conf.kafka_orders_topic, instance,
                            all.consume_db, all.kc) != 0)
        return -1;
    return speedy_stores_init("orderd", (int)conf.http_threads);
}

static int start(int instance)
{
    const struct speedy_http http = {
        .role = "orderd",
        .instance = instance,
        .routes = orderd_routes,
        .not_ready = not_ready,
        .max_body = BODY_MOST,
        .threads = (unsigned)conf.http_threads,
    };

    if (speedy_duty_start("leases", orderd_leases_turn, NULL) != 0 ||
        speedy_duty_start("parse", orderd_parser_turn, NULL) != 0 ||
        speedy_duty_start("consume", orderd_consume_turn, NULL) != 0)
        return -1;
    return speedy_http_start(&http);
}

static void stores_close(void)
{
    orderd_consume_free();
    speedy_consumer_free(all.kc);
    speedy_db_free(all.consume_db);
    speedy_db_free(all.lease_db);
    speedy_stores_free();
}

int main(int argc, char **argv)
{
    struct speedy_options options;
    int rc;

    speedy_loop_init();
    rc = speedy_options_parse(argc, argv, "orderd", conf_table, &options);
    if (rc >= 0)
        return rc;
    orderd_metrics_register();
    if (stores_open(options.instance) != 0)
        return 1;
    if (start(options.instance) != 0)
        return 1;
    speedy_log(SPEEDY_INFO, "ready", "topic=%s",
               speedy_conf.kafka_orders_topic);
    rc = speedy_loop_run(GRACE_MS);
    speedy_http_stop();
    orderd_leases_release();
    stores_close();
    return rc == 0 ? 0 : 1;
}
