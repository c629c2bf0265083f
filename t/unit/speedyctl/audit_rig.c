#include "audit_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../../daemons/common/crypto.h"
#include "../../../daemons/common/log.h"
#include "../../../daemons/common/loop.h"
#include "../../../daemons/shop/event.h"
#include "../../../daemons/shop/scripts.h"
#include "../common/servers.h"
#include "../common/shop_db.h"
#include "run.h"

#define TOPIC "speedy.orders"

static const struct rig_order {
    const char *user, *key, *variant, *state;
    int quantity, live, withheld;
    const char *moves[4], *actors[4]; /* after PENDING_PAYMENT */
} orders[] = {
    {"u1", "k1", "a", "PENDING_PAYMENT", 1, 1, 0, {NULL}, {NULL}},
    {"u2",
     "k2",
     "a",
     "PAID",
     2,
     2,
     0,
     {"PAY_READY", "PAY_APPROVING", "PAID", NULL},
     {"payd", "payd", "payd:1", NULL}},
    {"u3", "k3", "b", "EXPIRED", 1, 0, 0, {"EXPIRED", NULL}, {"schedd", NULL}},
    {"u4",
     "k4",
     "b",
     "CANCELLED",
     1,
     0,
     1,
     {"CANCELLED", NULL},
     {"shopper", NULL}},
    {"u5", "k5", "b", "REJECTED", 1, 0, 0, {NULL}, {NULL}},
};
#define ORDERS 5

struct audit rig_audit;
int64_t rig_reserved_at;
static struct ctl c;
static struct audit_line lines[32];
static struct speedy_consumer *kafka;
static struct speedy_args args;
static char log_path[512];

static void id_of(int n, unsigned char id[16])
{
    static const unsigned char base[16] = {0x01, 0x90, 0xc0, 0xde, 0,
                                           0,    0x70, 0,    0x80};

    memcpy(id, base, 16);
    id[15] = (unsigned char)n;
}

static void event_of(int n, struct speedy_event *e)
{
    const struct rig_order *o = &orders[n - 1];

    memset(e, 0, sizeof(*e));
    id_of(n, e->order_id);
    snprintf(e->sale, sizeof(e->sale), RIG_SALE);
    snprintf(e->variant, sizeof(e->variant), "%s", o->variant);
    snprintf(e->user, sizeof(e->user), "%s", o->user);
    e->quantity = o->quantity;
    e->unit_price = 1000;
    e->epoch = 1;
    e->seq = n;
    e->reserved_at = rig_reserved_at;
    e->pay_by = rig_reserved_at + 3600000;
    speedy_key_digest(o->user, o->key, strlen(o->key), e->key_digest);
    speedy_body_digest(o->variant, o->quantity, e->body_digest);
}

static void produce(void)
{
    struct speedy_producer *p = speedy_producer_new("rig", 5000);
    struct speedy_buf value[ORDERS + 2] = {{0}};
    struct speedy_message m[ORDERS + 2] = {{0}};
    struct speedy_event e;

    assert_non_null(p);
    for (int n = 1; n <= ORDERS; n++) {
        event_of(n, &e);
        speedy_event_write(&value[n - 1], &e);
    }
    speedy_buf_printf(&value[ORDERS], "garbage");
    speedy_marker_write(&value[ORDERS + 1], "rig");
    for (int i = 0; i < ORDERS + 2; i++) {
        m[i].topic = TOPIC;
        m[i].partition = i < ORDERS ? 0 : 1;
        m[i].key = "k";
        m[i].key_len = 1;
        m[i].value = value[i].data;
        m[i].value_len = value[i].len;
    }
    assert_int_equal(speedy_producer_send(p, m, ORDERS + 2, 10000), ORDERS + 2);
    speedy_producer_free(p);
    for (int i = 0; i < ORDERS + 2; i++)
        speedy_buf_free(&value[i]);
}

/* Nothing arrives any more: a reader need not wait for it. */
static void read_at_once(void)
{
    static char key[] = "fetch.wait.max.ms", value[] = "10";
    static struct speedy_pairs pairs;

    pairs.at = calloc(1, sizeof(*pairs.at));
    assert_non_null(pairs.at);
    pairs.at[0].key = key;
    pairs.at[0].value = value;
    pairs.count = 1;
    speedy_conf.kafka = pairs;
}

int rig_audit_start(void **state)
{
    rd_kafka_mock_cluster_t *cluster;

    (void)state;
    speedy_log_init("test", 0);
    run_settings();
    rig_reserved_at = speedy_now_real() - 60000;
    cluster = servers_kafka_start();
    if (cluster == NULL || shop_db_start() != 0 || servers_redis_start() != 0)
        return -1;
    if (rd_kafka_mock_topic_create(cluster, TOPIC, 2, 1) != 0)
        return -1;
    /* the tests write what the schema would refuse */
    if (shop_db_do("SET GLOBAL check_constraint_checks = 0") != 0)
        return -1;
    produce();
    read_at_once();
    c.db = speedy_db_new("speedyctl");
    c.redis = speedy_redis_new();
    return c.db != NULL && c.redis != NULL ? 0 : -1;
}

int rig_audit_stop(void **state)
{
    (void)state;
    speedy_consumer_free(kafka);
    free(speedy_conf.kafka.at);
    speedy_conf.kafka.count = 0;
    ctl_close(&c);
    speedy_args_free(&args);
    servers_stop();
    return 0;
}

static void insert_order(int n)
{
    const struct rig_order *o = &orders[n - 1];
    bool rejected = strcmp(o->state, "REJECTED") == 0;
    const char *from = rejected ? "REJECTED" : "PENDING_PAYMENT";
    int version = 1;
    struct speedy_event e;
    char key[33], body[33];

    event_of(n, &e);
    speedy_hex(e.key_digest, 16, key);
    speedy_hex(e.body_digest, 16, body);
    assert_int_equal(
        shop_db_do("INSERT INTO order_events VALUES (0x0190c0de0000700080000000"
                   "0000000%d, 1, '', '%s', 'orderd:1', 'x', NOW(3))",
                   n, from),
        0);
    for (int i = 0; i < 4 && o->moves[i] != NULL; i++) {
        assert_int_equal(
            shop_db_do("INSERT INTO order_events VALUES (0x0190c0de00007000800"
                       "000000000000%d, %d, '%s', '%s', '%s', 'x', NOW(3))",
                       n, ++version, from, o->moves[i], o->actors[i]),
            0);
        from = o->moves[i];
    }
    assert_int_equal(
        shop_db_do(
            "INSERT INTO orders (id, sale_id, variant, user_id, quantity, "
            "unit_price, state, version, units_live, units_withheld, epoch, "
            "seq, key_digest, key_live, body_digest, reject_reason, "
            "reserved_at, pay_by) VALUES (0x0190c0de00007000800000000000000%d, "
            "'s1', '%s', '%s', %d, 1000, '%s', %d, %d, %d, 1, %d, 0x%s, %s%s, "
            "0x%s, %s, TIMESTAMPADD(MICROSECOND, %lld000, '1970-01-01'), "
            "UTC_TIMESTAMP(3) + INTERVAL 1 HOUR)",
            n, o->variant, o->user, o->quantity, o->state, version, o->live,
            o->withheld, n, key, rejected ? "NULL" : "0x", rejected ? "" : key,
            body, rejected ? "'STALE_EPOCH'" : "NULL",
            (long long)rig_reserved_at),
        0);
}

static void good_mysql(void)
{
    static const char *const tables[] = {
        "release_outbox", "stock_adjustments", "order_events",  "orders",
        "kafka_offsets",  "dead_letters",      "sale_variants", "sales",
        "products"};

    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
        assert_int_equal(shop_db_do("DELETE FROM %s", tables[i]), 0);
    assert_int_equal(shop_db_do("INSERT INTO products (id, name, price) VALUES "
                                "('shoe', 'Shoe', 1000)"),
                     0);
    assert_int_equal(shop_db_do("INSERT INTO sales (id, product_id, opens_at, "
                                "per_user_limit) VALUES ('s1', 'shoe', "
                                "UTC_TIMESTAMP() - INTERVAL 1 HOUR, 2)"),
                     0);
    assert_int_equal(
        shop_db_do("INSERT INTO sale_variants (sale_id, variant, price, total, "
                   "held, sold, withheld) VALUES ('s1', 'a', 1000, 10, 1, 2, "
                   "0), ('s1', 'b', 1000, 5, 0, 0, 1)"),
        0);
    for (int n = 1; n <= ORDERS; n++)
        insert_order(n);
    assert_int_equal(shop_db_do("INSERT INTO kafka_offsets (topic, part, "
                                "next_offset, token) VALUES ('" TOPIC "', 0, "
                                "5, 1), ('" TOPIC "', 1, 2, 1)"),
                     0);
    assert_int_equal(shop_db_do("INSERT INTO dead_letters (topic, part, "
                                "offset_at, record_key, record_value, error, "
                                "resolved_at, resolution) VALUES ('" TOPIC
                                "', 1, 0, 'k', 'garbage', 'not JSON', NOW(3), "
                                "'test')"),
                     0);
}

static const char *word(redisReply *r)
{
    static char text[64];

    assert_non_null(r);
    snprintf(text, sizeof(text), "%s",
             r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS
                 ? r->str
                 : "?");
    freeReplyObject(r);
    return text;
}

static const char *const stage[] = {"speedy:{s1}:stage:n:resv",
                                    "speedy:{s1}:stage:n:user",
                                    "speedy:{s1}:stage:n:log"};

static void stage_order(int n)
{
    struct speedy_event e;

    event_of(n, &e);
    speedy_args_reset(&args);
    for (int i = 0; i < 3; i++)
        speedy_args_text(&args, stage[i]);
    speedy_args_int(&args, 60000);
    speedy_args_add(&args, e.order_id, 16);
    speedy_args_text(&args, e.user);
    speedy_args_text(&args, e.variant);
    speedy_args_int(&args, orders[n - 1].live + orders[n - 1].withheld);
    speedy_args_int(&args, e.unit_price);
    speedy_args_int(&args, e.epoch);
    speedy_args_int(&args, e.reserved_at);
    speedy_args_int(&args, e.pay_by);
    speedy_args_int(&args, e.seq);
    speedy_args_add(&args, e.key_digest, 16);
    speedy_args_add(&args, e.body_digest, 16);
    freeReplyObject(
        speedy_redis_script(c.redis, &speedy_script_stage, 3, &args));
}

static void good_redis(void)
{
    struct speedy_keys k;
    const char *const keys[] = {k.loaded, k.gate, k.stock, k.resv,
                                k.user,   k.pend, k.log,   k.adj};

    rig_redis("FLUSHALL", NULL);
    assert_int_equal(speedy_redis_ready(c.redis), 0);
    speedy_keys_make(&k, RIG_SALE);
    speedy_args_reset(&args);
    speedy_args_text(&args, k.loaded);
    speedy_args_text(&args, k.gate);
    speedy_args_int(&args, 1);
    speedy_args_text(&args, speedy_redis_run_id(c.redis));
    speedy_args_text(&args, "n");
    assert_string_equal(
        word(speedy_redis_script(c.redis, &speedy_script_fence, 2, &args)),
        "DONE");
    for (int n = 1; n <= 4; n++)
        stage_order(n);
    speedy_args_reset(&args);
    for (int i = 0; i < 8; i++)
        speedy_args_text(&args, keys[i]);
    for (int i = 0; i < 3; i++)
        speedy_args_text(&args, stage[i]);
    speedy_args_int(&args, 1);
    speedy_args_text(&args, speedy_redis_run_id(c.redis));
    speedy_args_text(&args, "n");
    speedy_args_int(&args, 1);  /* epoch */
    speedy_args_int(&args, 10); /* seq_base */
    speedy_args_int(&args, 3);
    speedy_args_int(&args, 4);
    speedy_args_text(&args, "a");
    speedy_args_int(&args, 7);
    speedy_args_text(&args, "b");
    speedy_args_int(&args, 4);
    assert_string_equal(
        word(speedy_redis_script(c.redis, &speedy_script_load, 11, &args)),
        "DONE");
    speedy_args_reset(&args);
    for (int i = 0; i < 3; i++)
        speedy_args_text(&args, keys[i]);
    speedy_args_int(&args, 1);
    speedy_args_text(&args, speedy_redis_run_id(c.redis));
    speedy_args_int(&args, 1);
    speedy_args_int(&args, 600000);
    speedy_args_text(&args, "state");
    speedy_args_text(&args, "ACTIVE");
    assert_string_equal(
        word(speedy_redis_script(c.redis, &speedy_script_renew, 3, &args)),
        "DONE");
}

void rig_redis(const char *first, ...)
{
    static unsigned char ids[8][16];
    int used = 0;
    va_list ap;

    assert_int_equal(speedy_redis_ready(c.redis), 0);
    speedy_args_reset(&args);
    va_start(ap, first);
    for (const char *w = first; w != NULL; w = va_arg(ap, const char *)) {
        if (w[0] == '%' && used < 8) {
            id_of(atoi(w + 1), ids[used]);
            speedy_args_add(&args, ids[used++], 16);
        } else {
            speedy_args_text(&args, w);
        }
    }
    va_end(ap);
    freeReplyObject(speedy_redis_command(c.redis, &args));
}

void rig_client_log(const char *text)
{
    log_path[0] = '\0';
    if (text != NULL)
        snprintf(log_path, sizeof(log_path), "%s",
                 servers_file("client.log", text, 0600));
}

void rig_audit_good(void)
{
    char text[1024];

    good_mysql();
    good_redis();
    snprintf(
        text, sizeof(text),
        "{\"time\":%lld,\"user\":\"u1\",\"key\":\"k1\",\"status\":503,"
        "\"code\":\"in_doubt\",\"order_id\":\"\",\"attempt\":1}\n"
        "{\"time\":%lld,\"user\":\"u1\",\"key\":\"k1\",\"status\":202,"
        "\"code\":\"\",\"order_id\":\"" RIG_TEXT(
            1) "\",\"attempt\":2}\n"
               "{\"time\":%lld,\"user\":\"u9\",\"key\":\"k9\",\"status\":409,"
               "\"code\":\"sold_out\",\"order_id\":\"\",\"attempt\":1}\n",
        (long long)rig_reserved_at + 5, (long long)rig_reserved_at + 20,
        (long long)rig_reserved_at + 30);
    rig_client_log(text);
}

void rig_audit_run(long wait_ms)
{
    for (size_t i = 0; i < audit_check_count; i++) {
        speedy_buf_free(&lines[i].figures);
        speedy_buf_free(&lines[i].examples);
    }
    memset(lines, 0, sizeof(lines));
    memset(&rig_audit, 0, sizeof(rig_audit));
    rig_audit.c = &c;
    rig_audit.sale = "";
    rig_audit.rounds = 1;
    rig_audit.wait_ms = wait_ms;
    rig_audit.kafka = kafka;
    if (log_path[0] != '\0') {
        rig_audit.log = client_log_new();
        assert_int_equal(client_log_read(rig_audit.log, log_path), 0);
    }
    assert_int_equal(speedy_db_ready(c.db), 0);
    assert_int_equal(audit_load_sales(&rig_audit), 0);
    audit_run(&rig_audit, lines);
    kafka = rig_audit.kafka;
    rig_audit.kafka = NULL;
    audit_free(&rig_audit);
}

const struct audit_line *rig_audit_line(const char *name)
{
    for (size_t i = 0; i < audit_check_count; i++) {
        if (strcmp(audit_checks[i].name, name) == 0)
            return &lines[i];
    }
    fail_msg("there is no line %s", name);
    return NULL;
}
