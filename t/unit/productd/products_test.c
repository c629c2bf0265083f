/*
 * The public lists: search, filters, pages, tags.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../../daemons/common/redis.h"
#include "../common/servers.h"
#include "../common/shop_db.h"
#include "rig.h"

static void add(const char *id, const char *name, const char *more)
{
    char json[6000];

    snprintf(json, sizeof(json),
             "{\"id\":\"%s\",\"name\":\"%s\",\"price\":129000,\"reason\":"
             "\"new\"%s}",
             id, name, more);
    assert_int_equal(rig_act("POST", "/admin/products", json), 201);
}

/* How many products the last answer holds. */
static int count(void)
{
    int n = 0;

    for (const char *at = rig_body.data;
         (at = strstr(at, "{\"id\":\"p")) != NULL; at++)
        n++;
    return n;
}

static int setup(void **state)
{
    if (rig_start(state) != 0)
        return -1;
    add("p-run", "Speed Runner", ",\"category\":\"shoes\"");
    add("p-kor", "\uc6b4\ub3d9\ud654 \uac80\uc815",
        ",\"category\":\"shoes\",\"description\":\"\ubc1c\uc774 \ud3b8\ud55c\"");
    add("p-pct", "100% wool_cap", ",\"category\":\"caps\"");
    add("p-emo", "Shoe \xf0\x9f\x91\x9f two", "");
    add("p-bar", "a|b back\\\\slash", "");
    add("p-hid", "Secret Runner", ",\"hidden\":true");
    return 0;
}

static int found(const char *q)
{
    char path[8000];

    snprintf(path, sizeof(path), "/api/v1/products?q=%s", q);
    assert_int_equal(rig_get(path), 200);
    return count();
}

static void words_are_found(void **state)
{
    (void)state;
    assert_int_equal(found("runner"), 1);
    assert_true(rig_says("\"p-run\""));
    assert_int_equal(found("RUNNER%20speed"), 1);
    assert_int_equal(found("runner+wool"), 0);
    /* full-width letters */
    assert_int_equal(found("%EF%BC%B3peed"), 1);
    assert_int_equal(found(""), 5);
    assert_int_equal(found("%20%20"), 5);
}

static void syllables_are_found(void **state)
{
    (void)state;
    assert_int_equal(found("%EC%9A%B4%EB%8F%99"), 1); /* the first two */
    assert_true(rig_says("\"p-kor\""));
    assert_int_equal(found("%EB%8F%99%ED%99%94"), 1); /* the last two */
    assert_int_equal(found("%ED%8E%B8%ED%95%9C"), 1); /* of the description */
    /* decomposed, as some systems type: U+110B U+116E U+11AB */
    assert_int_equal(found("%E1%84%8B%E1%85%AE%E1%86%AB"), 1);
    /* a syllable without its final is another one */
    assert_int_equal(found("%EC%9A%B0"), 0);
}

static void wildcards_are_letters(void **state)
{
    (void)state;
    assert_int_equal(found("%25"), 1);
    assert_true(rig_says("\"p-pct\""));
    assert_int_equal(found("_"), 1);
    assert_int_equal(found("100%25"), 1);
    assert_int_equal(found("s%25r"), 0);
    assert_int_equal(found("%7C"), 1);
    assert_true(rig_says("\"p-bar\""));
    assert_int_equal(found("%5C"), 1);
    assert_int_equal(found("%27%20OR%201=1--"), 0);
}

static void an_emoji_is_itself(void **state)
{
    (void)state;
    assert_int_equal(found("%F0%9F%91%9F"), 1);
    assert_true(rig_says("\"p-emo\""));
    assert_int_equal(found("%F0%9F%A7%A2"), 0); /* another one */
}

static void a_query_has_bounds(void **state)
{
    char path[4000];

    (void)state;
    snprintf(path, sizeof(path), "/api/v1/products?q=%0*d", 100, 0);
    assert_int_equal(rig_get(path), 200);
    snprintf(path, sizeof(path), "/api/v1/products?q=%0*d", 1000, 0);
    assert_int_equal(rig_get(path), 400);
    assert_true(rig_says("\"code\":\"query_too_long\""));
    assert_int_equal(rig_get("/api/v1/products?q=%FF%FE"), 400);
    assert_true(rig_says("\"code\":\"query_invalid\""));
    assert_int_equal(rig_get("/api/v1/products?state=Open"), 400);
    assert_true(rig_says("\"code\":\"state_invalid\""));
    assert_int_equal(rig_get("/api/v1/products?category=a%20b"), 400);
    assert_true(rig_says("\"code\":\"category_invalid\""));
    assert_int_equal(rig_get("/api/v1/products?limit=101"), 400);
    assert_int_equal(rig_get("/api/v1/products?page=2"), 400);
    assert_true(rig_says("\"code\":\"unknown_parameter\""));
}

static void a_hidden_one_is_the_staffs_alone(void **state)
{
    (void)state;
    assert_int_equal(rig_get("/api/v1/products/p-hid"), 404);
    assert_true(rig_says("product_not_found"));
    assert_int_equal(rig_get("/admin/products/p-hid"), 401);
    assert_int_equal(rig_ask("GET", "/admin/products/p-hid", "u1", "USER", NULL,
                             NULL, 0, NULL),
                     403);
    assert_int_equal(rig_ask("GET", "/admin/products/p-hid", "t2", "VIEWER",
                             NULL, NULL, 0, NULL),
                     200);
    assert_true(rig_says("\"hidden\":true,\"version\":1"));
    assert_int_equal(rig_get("/api/v1/products?ids=p-hid,p-run,nosuch,p-pct"),
                     200);
    assert_int_equal(count(), 2);
    assert_int_equal(rig_get("/api/v1/products?ids=p-run,,p-pct"), 400);
    assert_true(rig_says("\"code\":\"ids_invalid\""));
}

static void pages_stand_still_under_inserts(void **state)
{
    char path[400], seen[8][64];
    int n = 0;

    (void)state;
    /* of one moment: then the id decides */
    assert_int_equal(
        shop_db_do("UPDATE products SET created_at = '2026-01-01'"), 0);
    snprintf(path, sizeof(path), "/api/v1/products?limit=2");
    for (int page = 0; page < 4; page++) {
        const char *at;

        assert_int_equal(rig_get(path), 200);
        for (at = rig_body.data;
             n < 8 && (at = strstr(at, "{\"id\":\"p-")) != NULL; at++)
            snprintf(seen[n++], sizeof(seen[0]), "%.5s", at + 7);
        if (*rig_member("next_cursor") == '\0')
            break;
        snprintf(path, sizeof(path), "/api/v1/products?limit=2&cursor=%s",
                 rig_member("next_cursor"));
        /* what comes meanwhile stands before the first page */
        if (page == 0)
            add("p-new", "Newcomer", "");
    }
    assert_int_equal(n, 5);
    for (int i = 0; i < n; i++) {
        assert_string_not_equal(seen[i], "p-new");
        for (int k = 0; k < i; k++)
            assert_string_not_equal(seen[i], seen[k]);
    }
}

static void a_cursor_is_of_its_query(void **state)
{
    char cursor[200], path[400];

    (void)state;
    assert_int_equal(rig_get("/api/v1/products?limit=1"), 200);
    snprintf(cursor, sizeof(cursor), "%s", rig_member("next_cursor"));
    assert_true(strlen(cursor) > 20);
    /* another size of page is the same query */
    snprintf(path, sizeof(path), "/api/v1/products?limit=2&cursor=%s", cursor);
    assert_int_equal(rig_get(path), 200);
    for (int i = 0; i < 4; i++) {
        static const char *const other[] = {
            "/api/v1/products?q=run&cursor=",
            "/api/v1/products?state=open&cursor=",
            "/api/v1/products?category=shoes&cursor=", "/api/v1/sales?cursor="};

        snprintf(path, sizeof(path), "%s%s", other[i], cursor);
        assert_int_equal(rig_get(path), 400);
        assert_true(rig_says("\"code\":\"cursor_invalid\""));
    }
    for (size_t i = 0; i < strlen(cursor); i++) {
        char forged[200];

        snprintf(forged, sizeof(forged), "%s", cursor);
        forged[i] = forged[i] == 'A' ? 'B' : 'A';
        snprintf(path, sizeof(path), "/api/v1/products?cursor=%s", forged);
        /* the last character's low bits may not count: it is refused then */
        assert_int_equal(rig_get(path), 400);
        assert_true(rig_says("\"code\":\"cursor_invalid\""));
    }
    assert_int_equal(rig_get("/api/v1/products?cursor="), 400);
    assert_int_equal(rig_get("/api/v1/products?cursor=AAAA"), 400);
}

static void a_tag_saves_the_body(void **state)
{
    char tag[120], line[140];
    const char *at;

    (void)state;
    assert_int_equal(rig_get("/api/v1/products/p-run"), 200);
    assert_true(rig_says("\"state\":null,\"sale\":null"));
    assert_non_null(strstr(rig_headers.data, "Cache-Control: public, "
                                             "max-age=1, "
                                             "stale-while-revalidate=2"));
    at = strstr(rig_headers.data, "ETag: ");
    assert_non_null(at);
    snprintf(tag, sizeof(tag), "%.*s", (int)strcspn(at + 6, "\r\n"), at + 6);
    snprintf(line, sizeof(line), "If-None-Match: %s", tag);
    assert_int_equal(rig_ask("GET", "/api/v1/products/p-run", NULL, NULL, NULL,
                             NULL, 0, line),
                     304);
    assert_string_equal(rig_body.data, "");
    assert_int_equal(
        rig_act("PATCH", "/admin/products/p-run",
                "{\"price\":99000,\"version\":1,\"reason\":\"x\"}"),
        200);
    assert_int_equal(rig_ask("GET", "/api/v1/products/p-run", NULL, NULL, NULL,
                             NULL, 0, line),
                     200);
    assert_true(rig_says("\"price\":99000"));
}

/* Exactly this product is in the state's list. */
static void by_state(const char *kind, const char *id)
{
    char path[100], text[100];

    snprintf(path, sizeof(path), "/api/v1/products?state=%s", kind);
    assert_int_equal(rig_get(path), 200);
    snprintf(text, sizeof(text), "{\"id\":\"%s\"", id);
    assert_true(rig_says(text));
    assert_int_equal(count(), 1);
}

/* Without a gate in Redis MySQL's counters tell what is sold out. */
static void states_are_those_of_the_sales(void **state)
{
    static const char sale[] =
        "{\"id\":\"%s\",\"product\":\"%s\",\"stock\":%d,\"reason\":\"x\"%s}";
    char json[400];

    (void)state;
    snprintf(json, sizeof(json), sale, "open1", "p-run", 5, "");
    assert_int_equal(rig_act("POST", "/admin/sales", json), 201);
    snprintf(json, sizeof(json), sale, "out1", "p-pct", 1, "");
    assert_int_equal(rig_act("POST", "/admin/sales", json), 201);
    snprintf(json, sizeof(json), sale, "up1", "p-kor", 1,
             ",\"opens_at\":\"2040-01-01T00:00:00Z\"");
    assert_int_equal(rig_act("POST", "/admin/sales", json), 201);
    snprintf(json, sizeof(json), sale, "over1", "p-emo", 1, "");
    assert_int_equal(rig_act("POST", "/admin/sales", json), 201);
    assert_int_equal(
        rig_act("POST", "/admin/sales/over1/close", "{\"reason\":\"x\"}"), 200);
    assert_int_equal(shop_db_do("UPDATE sale_variants SET held = 1 WHERE "
                                "sale_id = 'out1'"),
                     0);
    rig_board_age();
    by_state("open", "p-run");
    by_state("sold_out", "p-pct");
    by_state("upcoming", "p-kor");
    by_state("closed", "p-emo");
    assert_int_equal(rig_get("/api/v1/products/p-pct"), 200);
    assert_true(rig_says("\"state\":\"sold_out\",\"sale\":{\"id\":\"out1\""));
    assert_int_equal(rig_get("/api/v1/sales?state=upcoming"), 200);
    assert_true(
        rig_says("{\"data\":[{\"id\":\"up1\",\"product_id\":\"p-kor\""));
    assert_int_equal(rig_get("/api/v1/sales?state=open"), 200);
    assert_true(rig_says("\"id\":\"open1\""));
    assert_true(rig_says("\"id\":\"out1\",\"product_id\":\"p-pct\",\"state\":"
                         "\"sold_out\""));
    assert_int_equal(rig_get("/api/v1/sales?state=ended"), 200);
    assert_true(rig_says("\"id\":\"over1\",\"product_id\":\"p-emo\",\"state\":"
                         "\"ended\""));
    assert_null(strstr(rig_body.data, "open1"));
    assert_int_equal(rig_get("/api/v1/sales?state=open,shut"), 400);
}

static void redis(size_t n, const char *const *words)
{
    struct speedy_redis *rc = speedy_redis_new();
    struct speedy_args a = {0};
    redisReply *reply;

    assert_int_equal(speedy_redis_ready(rc), 0);
    for (size_t i = 0; i < n; i++)
        speedy_args_text(&a, strcmp(words[i], "RUN_ID") == 0
                                 ? speedy_redis_run_id(rc)
                                 : words[i]);
    reply = speedy_redis_command(rc, &a);
    assert_non_null(reply);
    assert_int_not_equal(reply->type, REDIS_REPLY_ERROR);
    freeReplyObject(reply);
    speedy_args_free(&a);
    speedy_redis_free(rc);
}
#define REDIS(...)                                                             \
    redis(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *),         \
          (const char *const[]){__VA_ARGS__})

/* Sale `open1` of p-run: five units in MySQL, none of them taken. */
static void what_is_left_is_redis_to_say(void **state)
{
    (void)state;
    REDIS("HSET", "speedy:{open1}:gate", "run_id", "RUN_ID", "epoch", "1");
    REDIS("HSET", "speedy:{open1}:stock", "default", "2", "cool:default",
          "99999");
    rig_board_age();
    by_state("open", "p-run");
    assert_int_equal(rig_get("/api/v1/sales/open1"), 200);
    assert_true(rig_says("\"left\":2,\"sold_out\":false"));
    REDIS("HSET", "speedy:{open1}:stock", "default", "0");
    rig_board_age();
    assert_int_equal(rig_get("/api/v1/products/p-run"), 200);
    assert_true(rig_says("\"state\":\"sold_out\""));
    assert_int_equal(rig_get("/api/v1/sales/open1"), 200);
    assert_true(rig_says("\"state\":\"sold_out\""));
    assert_true(rig_says("\"left\":0,\"sold_out\":true"));
    /* a gate of another epoch, or incarnation, proves nothing */
    REDIS("HSET", "speedy:{open1}:gate", "epoch", "2");
    rig_board_age();
    by_state("open", "p-run");
    REDIS("HSET", "speedy:{open1}:gate", "epoch", "1", "run_id", "another");
    rig_board_age();
    assert_int_equal(rig_get("/api/v1/sales/open1"), 200);
    assert_true(rig_says("\"left\":5,\"sold_out\":false"));
    /* Redis away: MySQL tells, and nobody waits long */
    servers_redis_kill();
    rig_board_age();
    assert_int_equal(rig_get("/api/v1/sales/open1"), 200);
    assert_true(rig_says("\"left\":5"));
    assert_int_equal(rig_get("/internal/products?ids=p-run"), 200);
    assert_true(rig_says("\"state\":\"open\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_found),
        cmocka_unit_test(syllables_are_found),
        cmocka_unit_test(wildcards_are_letters),
        cmocka_unit_test(an_emoji_is_itself),
        cmocka_unit_test(a_query_has_bounds),
        cmocka_unit_test(a_hidden_one_is_the_staffs_alone),
        cmocka_unit_test(pages_stand_still_under_inserts),
        cmocka_unit_test(a_cursor_is_of_its_query),
        cmocka_unit_test(a_tag_saves_the_body),
        cmocka_unit_test(states_are_those_of_the_sales),
        cmocka_unit_test(what_is_left_is_redis_to_say),
    };

    return cmocka_run_group_tests_name("productd products", tests, setup,
                                       rig_stop);
}
