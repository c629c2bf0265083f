/*
 * The HTTP of orderd over its unix socket, with a real MariaDB and Redis.
 */
#include <curl/curl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "speedy_lua.h"

#include "../../../daemons/common/conf.h"
#include "../../../daemons/common/crypto.h"
#include "../../../daemons/common/http_server.h"
#include "../../../daemons/common/log.h"
#include "../../../daemons/common/loop.h"
#include "../../../daemons/orderd/orders_http.h"
#include "../../../daemons/common/stores.h"
#include "../../../daemons/shop/event.h"
#include "../../../daemons/shop/names.h"
#include "../common/servers.h"
#include "../common/shop_db.h"

static struct speedy_redis *rc;
static struct speedy_buf answer, headers;
static char path[200];

static size_t take(char *data, size_t size, size_t n, void *buf)
{
    speedy_buf_add(buf, data, size * n);
    return size * n;
}

/* Returns the status; the body is in `answer`. */
static long ask(const char *url_path, const char *user, const char *body,
                const char *extra)
{
    CURL *curl = curl_easy_init();
    struct curl_slist *list = NULL;
    char url[400], name[128];
    long status = 0;

    answer.len = headers.len = 0;
    snprintf(url, sizeof(url), "http://orderd%s", url_path);
    snprintf(name, sizeof(name), "X-Speedy-User: %s", user);
    list = curl_slist_append(list, name);
    list = curl_slist_append(list, "X-Speedy-Role: USER");
    list = curl_slist_append(list, "Expect:");
    if (extra != NULL) {
        list = curl_slist_append(list, extra);
        list = curl_slist_append(list, "X-Speedy-Sale: old");
    }
    curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, path);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &headers);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 10L);
    if (body != NULL)
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(list);
    curl_easy_cleanup(curl);
    speedy_buf_add(&answer, "", 0);
    speedy_buf_add(&headers, "", 0);
    return status;
}

static bool says(const char *text)
{
    return strstr(answer.data, text) != NULL;
}

static redisReply *command(size_t n, const char *const *words)
{
    struct speedy_args a = {0};
    redisReply *reply;

    assert_int_equal(speedy_redis_ready(rc), 0);
    for (size_t i = 0; i < n; i++)
        speedy_args_text(&a, words[i]);
    reply = speedy_redis_command(rc, &a);
    speedy_args_free(&a);
    assert_non_null(reply);
    return reply;
}
#define REDIS(...)                                                             \
    freeReplyObject(                                                           \
        command(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *),   \
                (const char *const[]){__VA_ARGS__}))

/* Sale `live` as stockd would keep it. */
static void ledger_make(void)
{
    const char *run;

    assert_int_equal(speedy_redis_ready(rc), 0);
    run = speedy_redis_run_id(rc);
    REDIS("FLUSHALL");
    REDIS("HSET", "speedy:sales", "live", "live", ":complete", run);
    REDIS("HSET", "speedy:{live}:loaded", "run_id", run, "epoch", "1");
    REDIS("HSET", "speedy:{live}:gate", "run_id", run, "epoch", "1", "state",
          "ACTIVE", "opens_at", "1", "closes_at", "0", "limit", "5", "hold_ms",
          "600000", "seq_base", "0", "price:default", "1000");
    REDIS("HSET", "speedy:{live}:stock", "default", "10");
}

static void reserve(const unsigned char id[16], const char *user)
{
    static struct speedy_script script = {"reserve", SPEEDY_LUA_RESERVE, ""};
    struct speedy_args a = {0};
    redisReply *reply;

    speedy_args_text(&a, "speedy:{live}:gate");
    speedy_args_text(&a, "speedy:{live}:stock");
    speedy_args_text(&a, "speedy:{live}:resv");
    speedy_args_text(&a, "speedy:{live}:user");
    speedy_args_text(&a, "speedy:{live}:pend");
    speedy_args_text(&a, "speedy:{live}:log");
    speedy_args_text(&a, speedy_redis_run_id(rc));
    speedy_args_add(&a, id, 16);
    speedy_args_text(&a, user);
    speedy_args_text(&a, "default");
    speedy_args_text(&a, "2");
    speedy_args_add(&a, id, 16);
    speedy_args_add(&a, id, 16);
    reply = speedy_redis_script(rc, &script, 6, &a);
    speedy_args_free(&a);
    assert_non_null(reply);
    assert_string_equal(reply->element[0]->str, "RESERVED");
    freeReplyObject(reply);
}

/* An order in MySQL; its id is left in id. */
static void insert(const char *sale, const char *user, const char *state,
                   const char *key, const char *reason, unsigned char id[16])
{
    unsigned char digest[16], body[16];
    char hex[33], key_hex[33], body_hex[33];

    speedy_uuid7(id);
    speedy_hex(id, 16, hex);
    speedy_key_digest(user, key, strlen(key), digest);
    speedy_hex(digest, 16, key_hex);
    speedy_body_digest("default", 2, body);
    speedy_hex(body, 16, body_hex);
    assert_int_equal(
        shop_db_do("INSERT INTO orders (id, sale_id, variant, user_id,"
                   " quantity, unit_price, state, units_live, epoch, seq,"
                   " key_digest, key_live, body_digest, reject_reason,"
                   " reserved_at, pay_by, created_at) VALUES (x'%s', '%s',"
                   " 'default', '%s', 2, 1000, '%s', 2, 1, 7, x'%s', %s%s%s,"
                   " x'%s', %s, '2023-11-14 22:13:20.123',"
                   " '2023-11-14 22:23:20', '2023-11-14 22:13:21')",
                   hex, sale, user, state, key_hex, reason ? "" : "x'",
                   reason ? "NULL" : key_hex, reason ? "" : "'", body_hex,
                   reason ? reason : "NULL"),
        0);
    shop_db_do("INSERT INTO order_events (order_id, version, from_state,"
               " to_state, actor, reason, at) VALUES (x'%s', 1, '', '%s',"
               " 'orderd:1', 'accepted', '2023-11-14 22:13:21')",
               hex, state);
}

static long ask_order(const unsigned char id[16], const char *user)
{
    char url[80] = "/api/v1/orders/";

    speedy_uuid_text(id, url + strlen(url));
    return ask(url, user, NULL, NULL);
}

static int group_setup(void **state)
{
    struct speedy_http http = {.role = "orderd",
                               .instance = 1,
                               .routes = orderd_routes,
                               .max_body = 4096,
                               .threads = 2};

    (void)state;
    speedy_log_init("test", 0);
    if (shop_db_start() != 0 || servers_redis_start() != 0 ||
        shop_db_sale("live", 10, 600000, "immediate") != 0 ||
        shop_db_sale("old", 10, 600000, "immediate") != 0)
        return -1;
    speedy_conf.http_directory = strdup(servers_dir());
    snprintf(path, sizeof(path), "%s/orderd_1.sock", servers_dir());
    rc = speedy_redis_new();
    if (rc == NULL || speedy_stores_init("orderd", 2) != 0)
        return -1;
    return speedy_http_start(&http);
}

static int group_teardown(void **state)
{
    (void)state;
    speedy_http_stop();
    speedy_stores_free();
    speedy_redis_free(rc);
    speedy_buf_free(&answer);
    speedy_buf_free(&headers);
    free(speedy_conf.http_directory);
    servers_stop();
    return 0;
}

static int setup(void **state)
{
    (void)state;
    ledger_make();
    return 0;
}

static void an_order_is_shown_to_its_owner_alone(void **state)
{
    unsigned char id[16];

    (void)state;
    insert("live", "u1", "PENDING_PAYMENT", "k1", NULL, id);
    assert_int_equal(ask_order(id, "u1"), 200);
    assert_true(says("\"state\":\"PENDING_PAYMENT\""));
    assert_true(says("\"amount\":2000,\"currency\":\"KRW\",\"seq\":7"));
    assert_true(says("\"reserved_at\":\"2023-11-15T07:13:20.123+09:00\""));
    assert_true(says("\"events\":[{\"version\":1,\"from\":\"\",\"to\":"
                     "\"PENDING_PAYMENT\",\"actor\":\"orderd\""));
    assert_int_equal(ask_order(id, "u2"), 404);
    assert_true(says("\"code\":\"order_unknown\""));
    assert_int_equal(ask("/api/v1/orders/x", "u1", NULL, NULL), 404);
    assert_true(says("order_unknown"));
    assert_int_equal(ask("/api/v1/orders", "", NULL, NULL), 401);
}

static void a_rejected_order_says_why(void **state)
{
    unsigned char id[16];

    (void)state;
    insert("live", "u1", "REJECTED", "k9", "'STALE_EPOCH'", id);
    assert_int_equal(ask_order(id, "u1"), 200);
    assert_true(says("\"state\":\"REJECTED\""));
    assert_true(says("\"reason\":\"STALE_EPOCH\""));
}

static void an_order_of_the_ledger_is_shown(void **state)
{
    unsigned char id[16];

    (void)state;
    speedy_uuid7(id);
    id[15] = 0; /* not only text */
    reserve(id, "u1");
    assert_int_equal(ask_order(id, "u1"), 200);
    assert_true(says("\"state\":\"IN_DOUBT\""));
    assert_true(says("\"sale_id\":\"live\",\"variant\":\"default\","
                     "\"quantity\":2,\"unit_price\":1000"));
    assert_int_equal(ask_order(id, "u2"), 404);
    REDIS("DEL", "speedy:{live}:pend");
    assert_int_equal(ask_order(id, "u1"), 200);
    assert_true(says("\"state\":\"ACCEPTED\""));
    REDIS("DEL", "speedy:{live}:gate");
    assert_int_equal(ask_order(id, "u1"), 200);
    assert_true(says("\"state\":\"IN_DOUBT\""));
}

static void silence_of_an_unproven_ledger_is_no_404(void **state)
{
    unsigned char id[16];

    (void)state;
    speedy_uuid7(id);
    assert_int_equal(ask_order(id, "u1"), 404);
    REDIS("HDEL", "speedy:{live}:loaded", "epoch");
    assert_int_equal(ask_order(id, "u1"), 503);
    assert_true(says("\"code\":\"unavailable\""));
    assert_non_null(strstr(headers.data, "Retry-After: 1"));
    ledger_make();
    REDIS("HDEL", "speedy:sales", ":complete");
    assert_int_equal(ask_order(id, "u1"), 503);
    ledger_make();
    REDIS("HSET", "speedy:sales", ":complete",
          "0123456789012345678901234567890123456789");
    assert_int_equal(ask_order(id, "u1"), 503);
}

static bool answers_404(void *id)
{
    ledger_make();
    return ask_order(id, "u1") == 404;
}

static void redis_away_is_503(void **state)
{
    unsigned char id[16];

    (void)state;
    speedy_uuid7(id);
    servers_redis_kill();
    assert_int_equal(ask_order(id, "u1"), 503);
    assert_int_equal(servers_redis_start(), 0);
    speedy_redis_drop(rc);
    assert_true(servers_wait(answers_404, id, 5000));
}

static void lists_have_pages(void **state)
{
    unsigned char id[5][16];
    char url[100], text[5][37], *cursor;

    (void)state;
    for (int i = 0; i < 5; i++) {
        char key[8];

        snprintf(key, sizeof(key), "list%d", i);
        insert("live", "lister", "PENDING_PAYMENT", key, NULL, id[i]);
        speedy_uuid_text(id[i], text[i]);
        speedy_pause(2); /* ids of another millisecond */
    }
    assert_int_equal(ask("/api/v1/orders?limit=2", "lister", NULL, NULL), 200);
    assert_true(says(text[4]) && says(text[3]) && !says(text[2]));
    assert_true(says("\"has_more\":true"));
    cursor = strstr(answer.data, "\"next_cursor\":\"");
    assert_non_null(cursor);
    snprintf(url, sizeof(url), "/api/v1/orders?limit=3&cursor=%.22s",
             cursor + strlen("\"next_cursor\":\""));
    assert_int_equal(ask(url, "lister", NULL, NULL), 200);
    assert_true(says(text[2]) && says(text[1]) && says(text[0]));
    assert_true(!says(text[3]));
    assert_true(says("\"has_more\":false,\"next_cursor\":null"));
    assert_int_equal(ask("/api/v1/orders", "nobody", NULL, NULL), 200);
    assert_string_equal(answer.data, "{\"data\":[],\"has_more\":false,"
                                     "\"next_cursor\":null}\n");
}

static void bad_parameters_are_refused(void **state)
{
    static const char *const bad[][2] = {
        {"limit=0", "invalid_limit"},    {"limit=101", "invalid_limit"},
        {"limit=-1", "invalid_limit"},   {"limit=2x", "invalid_limit"},
        {"limit=", "invalid_limit"},     {"cursor=abc", "invalid_cursor"},
        {"page=2", "unknown_parameter"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char url[64];

        snprintf(url, sizeof(url), "/api/v1/orders?%s", bad[i][0]);
        assert_int_equal(ask(url, "u1", NULL, NULL), 400);
        assert_true(says(bad[i][1]));
    }
}

static void replays_of_an_archived_sale(void **state)
{
    const char *body = "{\"variant\":\"default\",\"quantity\":2}";
    const char *other = "{\"variant\":\"default\",\"quantity\":1}";
    unsigned char live[16], ended[16];
    char text[37];

    (void)state;
    insert("old", "u1", "PAID", "key-1", NULL, live);
    insert("old", "u1", "EXPIRED", "key-2", NULL, ended);
    assert_int_equal(
        ask("/internal/replays", "u1", body, "Idempotency-Key: key-1"), 503);
    assert_true(says("sale_fenced"));
    shop_db_do("UPDATE sales SET state = 'ARCHIVED' WHERE id = 'old'");
    assert_int_equal(
        ask("/internal/replays", "u1", body, "Idempotency-Key: key-1"), 202);
    speedy_uuid_text(live, text);
    assert_true(says(text) && says("\"state\":\"ACCEPTED\""));
    assert_non_null(strstr(headers.data, "Idempotent-Replayed: true"));
    assert_non_null(strstr(headers.data, "Location: /api/v1/orders/"));
    assert_int_equal(
        ask("/internal/replays", "u1", other, "Idempotency-Key: key-1"), 422);
    assert_true(says("key_reused"));
    assert_int_equal(
        ask("/internal/replays", "u1", body, "Idempotency-Key: key-2"), 409);
    speedy_uuid_text(ended, text);
    assert_true(says("\"code\":\"order_ended\"") && says(text));
    assert_int_equal(
        ask("/internal/replays", "u2", body, "Idempotency-Key: key-1"), 409);
    assert_true(says("sale_closed"));
    assert_int_equal(
        ask("/internal/replays", "u1", "{", "Idempotency-Key: key-1"), 400);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup(f, setup)
    const struct CMUnitTest tests[] = {
        CASE(an_order_is_shown_to_its_owner_alone),
        CASE(a_rejected_order_says_why),
        CASE(an_order_of_the_ledger_is_shown),
        CASE(silence_of_an_unproven_ledger_is_no_404),
        CASE(redis_away_is_503),
        CASE(lists_have_pages),
        CASE(bad_parameters_are_refused),
        CASE(replays_of_an_archived_sale),
    };

    speedy_loop_init();
    return cmocka_run_group_tests_name("orderd http", tests, group_setup,
                                       group_teardown);
}
