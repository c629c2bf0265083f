/*
 * See duty_rig.h.
 */
#include "duty_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../../daemons/common/log.h"
#include "../../../daemons/common/loop.h"
#include "../common/servers.h"
#include "../common/shop_db.h"
#include "speedy_lua.h"

#define PARTITIONS 3
#define WAIT_MS 10000

struct speedy_redis *rig_redis;

static struct speedy_script reserve = {"reserve", SPEEDY_LUA_RESERVE, ""};
static char topic[] = "speedy.orders";
static const struct stockd_duty *const duties[] = {
    &stockd_lead_duty,    &stockd_catalogue_duty, &stockd_gate_duty,
    &stockd_rebuild_duty, &stockd_relay_duty,     &stockd_sweep_duty,
    &stockd_scan_duty,    &stockd_adjust_duty,    &stockd_register_duty,
    &stockd_archive_duty};
#define DUTIES (sizeof(duties) / sizeof(duties[0]))

int rig_start(void **state)
{
    rd_kafka_mock_cluster_t *cluster;

    (void)state;
    speedy_log_init("test", 0);
    if (servers_redis_start() != 0 || shop_db_start() != 0)
        return -1;
    cluster = servers_kafka_start();
    if (cluster == NULL ||
        rd_kafka_mock_topic_create(cluster, topic, PARTITIONS, 1) != 0)
        return -1;
    speedy_conf.kafka_orders_topic = topic;
    stockd_settings = (struct stockd_settings){
        .lease_ttl = 1000,
        .gate_ttl = 5000,
        .gate_interval = 100,
        .catalogue_interval = 100,
        .release_interval = 20,
        .sweep_after = 100,
        .scan_interval = 10,
        .scan_after = 1000,
        .archive_after = 1000,
        .archive_closed = 200,
    };
    rig_offsets(1000000);
    for (size_t i = 0; i < DUTIES; i++) {
        if (duties[i]->open(1) != 0)
            return -1;
    }
    rig_redis = speedy_redis_new();
    rig_lead();
    return 0;
}

int rig_stop(void **state)
{
    (void)state;
    for (size_t i = 0; i < DUTIES; i++)
        duties[i]->close();
    speedy_redis_free(rig_redis);
    servers_stop();
    return 0;
}

void rig_offsets(int64_t next)
{
    for (int i = 0; i < PARTITIONS; i++)
        shop_db_do("REPLACE INTO kafka_offsets (topic, part, next_offset,"
                   " token) VALUES ('%s', %d, %lld, 1)",
                   topic, i, (long long)next);
}

static bool lead(void *data)
{
    (void)data;
    stockd_lead_duty.run(NULL);
    return stockd_token() != 0;
}

void rig_lead(void)
{
    assert_true(servers_wait(lead, NULL, WAIT_MS));
}

void rig_turn(void)
{
    stockd_catalogue_duty.run(NULL);
    stockd_gate_duty.run(NULL);
    stockd_rebuild_duty.run(NULL);
    stockd_catalogue_duty.run(NULL);
    stockd_gate_duty.run(NULL);
}

static bool open_now(void *sale)
{
    rig_turn();
    return rig_gate(sale);
}

bool rig_until_open(const char *sale)
{
    return servers_wait(open_now, (void *)sale, WAIT_MS);
}

const char *rig_sale(long total)
{
    static char id[16];
    static int sales;

    snprintf(id, sizeof(id), "sale%d", ++sales);
    assert_int_equal(shop_db_sale(id, total, 600000, "immediate"), 0);
    return id;
}

void rig_order_id(unsigned n, unsigned char out[16])
{
    memset(out, 0, 16);
    out[0] = 1; /* some time in 2004: old */
    out[12] = (unsigned char)(n >> 24);
    out[13] = (unsigned char)(n >> 16);
    out[14] = (unsigned char)(n >> 8);
    out[15] = (unsigned char)n;
}

void rig_order(const char *sale, unsigned n, const char *user, long units,
               long seq)
{
    assert_int_equal(
        shop_db_do("INSERT INTO orders (id, sale_id, variant, user_id,"
                   " quantity, unit_price, state, units_live, epoch, seq,"
                   " key_digest, key_live, body_digest, reserved_at, pay_by)"
                   " VALUES (UNHEX(CONCAT('01', LPAD(HEX(%u), 30, '0'))),"
                   " '%s', 'default', '%s', GREATEST(%ld, 1), 1000, '%s', %ld,"
                   " 1, %ld, UNHEX(LPAD(HEX(%u), 32, '0')),"
                   " UNHEX(LPAD(HEX(%u), 32, '0')), UNHEX(REPEAT('0', 32)),"
                   " '2026-01-02 03:04:05.678', '2026-01-02 03:14:05.678')",
                   n, sale, user, units,
                   units > 0 ? "PENDING_PAYMENT" : "EXPIRED", units, seq, n, n),
        0);
    assert_int_equal(shop_db_do("UPDATE sale_variants SET held = held + %ld"
                                " WHERE sale_id = '%s'",
                                units, sale),
                     0);
}

const char *rig_reserve(const char *sale, unsigned n, const char *user)
{
    static char code[32];
    static const unsigned char zero[16];
    struct speedy_args a = {0};
    struct speedy_keys keys;
    unsigned char id[16], digest[16] = {0};
    redisReply *reply;

    rig_order_id(n, id);
    memcpy(digest, &n, sizeof(n));
    speedy_keys_make(&keys, sale);
    assert_int_equal(speedy_redis_ready(rig_redis), 0);
    speedy_args_text(&a, keys.gate);
    speedy_args_text(&a, keys.stock);
    speedy_args_text(&a, keys.resv);
    speedy_args_text(&a, keys.user);
    speedy_args_text(&a, keys.pend);
    speedy_args_text(&a, keys.log);
    speedy_args_text(&a, speedy_redis_run_id(rig_redis));
    speedy_args_add(&a, id, 16);
    speedy_args_text(&a, user);
    speedy_args_text(&a, "default");
    speedy_args_int(&a, 1);
    speedy_args_add(&a, digest, 16);
    speedy_args_add(&a, zero, 16);
    reply = speedy_redis_script(rig_redis, &reserve, 6, &a);
    snprintf(code, sizeof(code), "%s", stockd_word(reply));
    freeReplyObject(reply);
    speedy_args_free(&a);
    return code;
}

static redisReply *command(const char *name, const char *key, const char *field)
{
    struct speedy_args a = {0};
    redisReply *reply;

    speedy_args_text(&a, name);
    speedy_args_text(&a, key);
    if (field != NULL)
        speedy_args_text(&a, field);
    reply = speedy_redis_command(rig_redis, &a);
    if (reply == NULL && speedy_redis_ready(rig_redis) == 0)
        reply = speedy_redis_command(rig_redis, &a); /* a new incarnation */
    speedy_args_free(&a);
    return reply;
}

long rig_number(const char *name, const char *key, const char *field)
{
    redisReply *reply = command(name, key, field);
    long n = -1;

    if (reply == NULL)
        return -1;
    if (reply->type == REDIS_REPLY_INTEGER)
        n = (long)reply->integer;
    else if (reply->type == REDIS_REPLY_STRING)
        n = strtol(reply->str, NULL, 10);
    freeReplyObject(reply);
    return n;
}

const char *rig_text(const char *key, const char *field)
{
    static char text[64];
    redisReply *reply = command("HGET", key, field);

    snprintf(text, sizeof(text), "%s", stockd_word(reply));
    if (reply != NULL)
        freeReplyObject(reply);
    return text;
}

long rig_left(const char *sale)
{
    struct speedy_keys keys;

    speedy_keys_make(&keys, sale);
    return rig_number("HGET", keys.stock, "default");
}

bool rig_gate(const char *sale)
{
    struct speedy_keys keys;

    speedy_keys_make(&keys, sale);
    return rig_number("EXISTS", keys.gate, NULL) == 1;
}
