/*
 * Operators' acts over HTTP: who may, which version, what is refused and by
 * which code, and the row each leaves in the audit log.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../common/shop_db.h"
#include "rig.h"

#define SALE(more)                                                             \
    "{\"id\":\"s1\",\"product\":\"shoe\",\"reason\":\"drop\"," more "}"

/* Each refused as told, with its pointer. */
struct bad {
    const char *json;
    long status;
    const char *code;
};

static void refuse_all(const char *method, const char *path,
                       const struct bad *bad, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char code[80];

        assert_int_equal(rig_act(method, path, bad[i].json), bad[i].status);
        snprintf(code, sizeof(code), "\"code\":\"%s\"", bad[i].code);
        assert_true(rig_says(code));
    }
}
#define REFUSE_ALL(method, path, list)                                         \
    refuse_all(method, path, list, sizeof(list) / sizeof(list[0]))

static int setup(void **state)
{
    if (rig_start(state) != 0)
        return -1;
    return rig_act("POST", "/admin/products",
                   "{\"id\":\"shoe\",\"name\":\"Shoe\",\"price\":129000,"
                   "\"reason\":\"new\"}") == 201
               ? 0
               : -1;
}

static void only_an_operator_acts(void **state)
{
    static const char json[] = "{\"reason\":\"x\"}";
    static const struct {
        const char *user, *role;
        long status;
    } who[] = {
        {NULL, NULL, 401},       {"u1", "USER", 403},
        {"t2", "VIEWER", 403},   {"t2", "OPERATOR", 403}, /* MySQL knows */
        {"t3", "OPERATOR", 403}, {"t9", "OWNER", 403},
        {"t1", "OPERATOR", 200}, {"t1", "OWNER", 200},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(who) / sizeof(who[0]); i++)
        assert_int_equal(rig_ask("POST", "/admin/sales/stop-all", who[i].user,
                                 who[i].role, "application/json", json,
                                 strlen(json), NULL),
                         who[i].status);
    assert_int_equal(
        shop_db_number("SELECT COUNT(*) FROM audit_log WHERE act "
                       "= 'sale.stop-all' AND actor = 'staff:kim' AND "
                       "reason = 'x'"),
        2);
    assert_int_equal(rig_act("POST", "/admin/sales/stop-all", "{}"), 400);
    assert_true(rig_says("\"code\":\"reason_required\""));
    assert_int_equal(
        rig_act("POST", "/admin/sales/stop-all", "{\"reason\":\"\"}"), 400);
    assert_true(rig_says("\"code\":\"reason_invalid\""));
    assert_int_equal(rig_act("POST", "/admin/sales/stop-all", NULL), 415);
}

static void a_price_is_whole_won(void **state)
{
#define P(price)                                                               \
    "{\"id\":\"x\",\"name\":\"X\",\"reason\":\"r\",\"price\":" price "}"
    static const struct bad bad[] = {
        {P("0"), 400, "price_invalid"},
        {P("-1"), 400, "price_invalid"},
        {P("9007199254740992"), 400, "price_invalid"},
        {P("10.5"), 400, "price_invalid"},
        {P("1e3"), 400, "price_invalid"},
        {P("\"10\""), 400, "price_invalid"},
        {P("null"), 400, "price_invalid"},
        {P("1,\"price\":2"), 400, "duplicate_field"},
        {P("1,\"stock\":2"), 400, "unknown_field"},
        {"{\"id\":\"x\",\"name\":\"X\",\"reason\":\"r\"}", 400,
         "price_invalid"},
        {"{\"id\":\"a b\",\"name\":\"X\",\"price\":1,\"reason\":\"r\"}", 400,
         "id_invalid"},
        {"{\"id\":\"x\",\"name\":\"\",\"price\":1,\"reason\":\"r\"}", 400,
         "name_invalid"},
        {"{\"id\":\"x\",\"name\":\"a\\u0007b\",\"price\":1,\"reason\":\"r\"}",
         400, "name_invalid"},
        {"{\"id\":\"shoe\",\"name\":\"X\",\"price\":1,\"reason\":\"r\"}", 409,
         "product_exists"},
        {"{\"id\":\"x\"", 400, "invalid_json"},
    };

    (void)state;
    REFUSE_ALL("POST", "/admin/products", bad);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM products"), 1);
}

static void options_are_written_anew(void **state)
{
    (void)state;
    assert_int_equal(
        rig_act("POST", "/admin/products",
                "{\"id\":\"opt\",\"name\":\"O\",\"price\":1,\"reason\":\"r\","
                "\"options\":[ {\"values\":[\"270\",\"28\\\"0\"], "
                "\"name\":\"size\"}]}"),
        201);
    assert_int_equal(rig_get("/api/v1/products/opt"), 200);
    assert_true(rig_says("\"options\":[{\"name\":\"size\",\"values\":[\"270\","
                         "\"28\\\"0\"]}]"));
    assert_int_equal(rig_act("PATCH", "/admin/products/opt",
                             "{\"options\":[{\"name\":\"size\"}],\"version\":1,"
                             "\"reason\":\"r\"}"),
                     400);
    assert_true(rig_says("options_invalid"));
}

static void of_two_at_once_one_is_told(void **state)
{
    static const char json[] = "{\"price\":5000,\"reason\":\"r\"}";

    (void)state;
    assert_int_equal(rig_act("PATCH", "/admin/products/shoe", json), 428);
    assert_true(rig_says("version_required"));
    assert_int_equal(rig_ask("PATCH", "/admin/products/shoe", "t1", "OPERATOR",
                             "application/json", json, strlen(json),
                             "If-Match: \"1\""),
                     200);
    assert_non_null(strstr(rig_headers.data, "ETag: \"2\""));
    assert_int_equal(rig_ask("PATCH", "/admin/products/shoe", "t1", "OPERATOR",
                             "application/json", json, strlen(json),
                             "If-Match: \"1\""),
                     412);
    assert_true(rig_says("\"code\":\"version_conflict\""));
    assert_int_equal(rig_ask("PATCH", "/admin/products/shoe", "t1", "OPERATOR",
                             "application/json", json, strlen(json),
                             "If-Match: \"x\""),
                     400);
    assert_int_equal(rig_act("PATCH", "/admin/products/none",
                             "{\"version\":1,\"reason\":\"r\"}"),
                     404);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM audit_log WHERE act "
                                    "= 'product.change' AND detail LIKE "
                                    "'%%\"from\":129000,\"to\":5000%%'"),
                     1);
}

static void a_sale_is_checked_whole(void **state)
{
    static const struct bad bad[] = {
        {SALE("\"stock\":5,\"limit\":6"), 400, "limit_exceeds_stock"},
        {SALE("\"stock\":0"), 400, "limit_exceeds_stock"},
        {SALE("\"stock\":1000000000"), 400, "stock_invalid"},
        {SALE("\"stock\":-1"), 400, "stock_invalid"},
        {SALE("\"stock\":1.5"), 400, "stock_invalid"},
        {SALE("\"limit\":1"), 400, "stock_invalid"},
        {SALE("\"stock\":5,\"limit\":0"), 400, "limit_invalid"},
        {SALE("\"stock\":5,\"price\":0"), 400, "price_invalid"},
        {SALE("\"stock\":5,\"hold_seconds\":0"), 400, "hold_invalid"},
        {SALE("\"stock\":5,\"restock\":\"never\""), 400, "restock_invalid"},
        {SALE("\"stock\":5,\"opens_at\":\"tomorrow\""), 400,
         "opens_at_invalid"},
        {SALE("\"stock\":5,\"opens_at\":\"2040-01-02T00:00:00Z\",\"closes_at\":"
              "\"2040-01-01T00:00:00Z\""),
         400, "closes_before_opens"},
        {SALE("\"stock\":5,\"closes_at\":\"2020-01-01T00:00:00Z\""), 400,
         "closes_before_opens"},
        {SALE("\"variants\":[]"), 400, "variants_invalid"},
        {SALE("\"variants\":[{\"variant\":\"a\",\"stock\":1},{\"variant\":"
              "\"a\",\"stock\":1}]"),
         400, "variant_invalid"},
        {SALE("\"variants\":[{\"variant\":\"a b\",\"stock\":1}]"), 400,
         "variant_invalid"},
        {SALE("\"variants\":[{\"variant\":\"a\",\"stock\":1,\"x\":1}]"), 400,
         "unknown_field"},
        {SALE("\"variants\":[{\"variant\":\"a\",\"stock\":1,\"price\":0}]"),
         400, "price_invalid"},
        {"{\"product\":\"none\",\"stock\":1,\"reason\":\"r\"}", 404,
         "product_not_found"},
    };

    (void)state;
    REFUSE_ALL("POST", "/admin/sales", bad);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM sales"), 0);
    /* none of a variant is fine, while there is something to buy */
    assert_int_equal(rig_act("POST", "/admin/sales",
                             SALE("\"variants\":[{\"variant\":\"270\","
                                  "\"stock\":0},{\"variant\":\"280\",\"stock\":"
                                  "100000000,\"price\":7000}],\"opens_at\":"
                                  "\"2040-01-01T00:00:00Z\",\"limit\":2")),
                     201);
    assert_true(rig_says("\"opened_now\":false"));
    assert_true(rig_says("{\"variant\":\"270\",\"price\":5000"));
    assert_true(rig_says("{\"variant\":\"280\",\"price\":7000"));
    assert_int_equal(rig_act("POST", "/admin/sales", SALE("\"stock\":1")), 409);
    assert_true(rig_says("\"code\":\"sale_exists\""));
}

static void an_opening_in_the_past_is_now(void **state)
{
    (void)state;
    assert_int_equal(
        rig_act("POST", "/admin/sales",
                "{\"id\":\"past\",\"product\":\"shoe\",\"stock\":3,"
                "\"opens_at\":\"2020-01-01T00:00:00Z\","
                "\"reason\":\"r\"}"),
        201);
    assert_true(rig_says("\"opened_now\":true"));
    assert_true(rig_says("\"state\":\"open\""));
    assert_int_equal(shop_db_number("SELECT ABS(TIMESTAMPDIFF(SECOND, opens_at,"
                                    " UTC_TIMESTAMP())) < 30 FROM sales WHERE "
                                    "id = 'past'"),
                     1);
    assert_int_equal(rig_get("/api/v1/sales/past"), 200);
    assert_true(rig_says("\"state\":\"open\""));
    assert_true(rig_says("\"variants\":[{\"variant\":\"default\",\"price\":"
                         "5000,\"currency\":\"KRW\",\"left\":3,\"sold_out\":"
                         "false}]"));
    assert_true(rig_says("\"server_time\":\""));
    assert_int_equal(rig_get("/api/v1/sales/nosuch"), 404);
}

static void a_sale_is_changed_before_it_opens(void **state)
{
    static const struct bad open[] = {
        {"{\"variants\":[{\"variant\":\"default\",\"price\":1}],\"version\":1,"
         "\"reason\":\"r\"}",
         409, "sale_opened"},
        {"{\"limit\":2,\"version\":1,\"reason\":\"r\"}", 409, "sale_opened"},
    };
    static const struct bad bad[] = {
        {"{\"limit\":1,\"reason\":\"r\"}", 428, "version_required"},
        {"{\"opens_at\":\"2020-01-01T00:00:00Z\",\"version\":1,\"reason\":"
         "\"r\"}",
         400, "time_past"},
        {"{\"closes_at\":\"2030-01-01T00:00:00Z\",\"version\":1,\"reason\":"
         "\"r\"}",
         400, "closes_before_opens"},
        {"{\"variants\":[{\"variant\":\"999\",\"price\":1}],\"version\":1,"
         "\"reason\":\"r\"}",
         404, "variant_not_found"},
        {"{\"limit\":1,\"version\":7,\"reason\":\"r\"}", 412,
         "version_conflict"},
    };

    (void)state;
    REFUSE_ALL("PATCH", "/admin/sales/past", open);
    REFUSE_ALL("PATCH", "/admin/sales/s1", bad);
    assert_int_equal(
        rig_act("PATCH", "/admin/sales/s1",
                "{\"variants\":[{\"variant\":\"280\",\"price\":8000}],"
                "\"closes_at\":\"2040-01-01T02:00:00Z\",\"notice\":\"late\","
                "\"limit\":3,\"version\":1,\"reason\":\"r\"}"),
        200);
    assert_true(rig_says("\"limit\":3"));
    assert_true(rig_says("\"notice\":\"late\""));
    assert_true(rig_says("{\"variant\":\"280\",\"price\":8000"));
    assert_true(rig_says("\"version\":2"));
    assert_int_equal(rig_act("PATCH", "/admin/sales/s1",
                             "{\"closes_at\":null,\"version\":2,\"reason\":"
                             "\"r\"}"),
                     200);
    assert_true(rig_says("\"closes_at\":null"));
}

static void moves_follow_the_table(void **state)
{
    static const char why[] = "{\"reason\":\"drill\"}";

    (void)state;
    assert_int_equal(rig_act("POST", "/admin/sales/past/resume", why), 409);
    assert_true(rig_says("\"code\":\"move_not_allowed\""));
    assert_int_equal(rig_act("POST", "/admin/sales/past/pause", why), 200);
    assert_true(rig_says("\"stored_state\":\"PAUSED\",\"version\":2"));
    assert_int_equal(rig_act("POST", "/admin/sales/past/resume",
                             "{\"reason\":\"x\",\"version\":1}"),
                     412);
    assert_int_equal(rig_act("POST", "/admin/sales/past/resume",
                             "{\"reason\":\"x\",\"version\":2}"),
                     200);
    assert_int_equal(rig_act("POST", "/admin/sales/none/pause", why), 404);
    assert_true(rig_says("\"code\":\"sale_not_found\""));
    assert_int_equal(rig_act("POST", "/admin/sales/past/postpone",
                             "{\"opens_at\":\"2040-01-01T00:00:00Z\","
                             "\"reason\":\"r\"}"),
                     409);
    assert_true(rig_says("\"code\":\"sale_opened\""));
    assert_int_equal(rig_act("POST", "/admin/sales/s1/postpone", why), 400);
    assert_int_equal(rig_act("POST", "/admin/sales/s1/postpone",
                             "{\"opens_at\":\"2040-01-01T00:30:00Z\","
                             "\"reason\":\"r\"}"),
                     200);
    assert_int_equal(rig_act("POST", "/admin/sales/s1/extend",
                             "{\"closes_at\":\"2041-01-01T00:30:00Z\","
                             "\"reason\":\"r\"}"),
                     409); /* open end */
    assert_int_equal(
        rig_act("POST", "/admin/sales/past/notice",
                "{\"notice\":\"\uc774\ubca4\ud2b8 <b>\",\"reason\":"
                "\"r\"}"),
        200);
    assert_int_equal(rig_get("/api/v1/sales/past"), 200);
    assert_true(rig_says("\"notice\":\"\uc774\ubca4\ud2b8 <b>\""));
}

static void units_are_added_and_taken(void **state)
{
    (void)state;
    /* stockd is not here: the intent stands */
    assert_int_equal(rig_act("POST", "/admin/sales/past/stock",
                             "{\"units\":2,\"reason\":\"r\"}"),
                     202);
    assert_true(rig_says("\"state\":\"OPEN\""));
    assert_int_equal(shop_db_number("SELECT total FROM sale_variants WHERE "
                                    "sale_id = 'past'"),
                     5);
    assert_int_equal(
        shop_db_number("SELECT COUNT(*) FROM stock_adjustments "
                       "WHERE actor = 'staff:kim' AND kind = 'raise'"),
        1);
    assert_int_equal(rig_act("POST", "/admin/sales/past/stock",
                             "{\"units\":0,\"reason\":\"r\"}"),
                     400);
    assert_int_equal(rig_act("POST", "/admin/sales/past/stock",
                             "{\"units\":1000000000,\"reason\":\"r\"}"),
                     400);
    assert_true(rig_says("\"code\":\"units_invalid\""));
    assert_int_equal(rig_act("POST", "/admin/sales/past/stock",
                             "{\"units\":100000000,\"reason\":\"r\"}"),
                     409);
    assert_true(rig_says("\"code\":\"too_many\""));
    assert_int_equal(rig_act("POST", "/admin/sales/past/stock",
                             "{\"variant\":\"x\",\"units\":1,\"reason\":"
                             "\"r\"}"),
                     404);
    assert_int_equal(rig_act("POST", "/admin/sales/past/extend-holds",
                             "{\"seconds\":60,\"reason\":\"r\"}"),
                     200);
    assert_true(rig_says("\"orders\":0"));
    assert_int_equal(
        rig_act("POST", "/admin/sales/past/release", "{\"reason\":\"r\"}"),
        200);
    assert_true(rig_says("\"released\":0"));
}

static void order(int n, const char *in_state, int live)
{
    assert_int_equal(
        shop_db_do("INSERT INTO orders (id, sale_id, variant, user_id, "
                   "quantity, unit_price, state, units_live, epoch, seq, "
                   "key_digest, key_live, body_digest, reserved_at, pay_by) "
                   "VALUES (UNHEX(LPAD(HEX(%d), 32, '0')), 'past', 'default', "
                   "'u%d', 1, 5000, '%s', %d, 1, %d, UNHEX(MD5(%d)), "
                   "UNHEX(MD5(%d)), UNHEX(MD5('b')), '2026-01-01 00:00:0%d', "
                   "'2040-01-01')",
                   n, n, in_state, live, n, n, n, n % 3),
        0);
}

static void the_report_adds_up(void **state)
{
    (void)state;
    order(1, "PAID", 1);
    order(2, "EXPIRED", 0);
    order(4, "PENDING_PAYMENT", 1);
    assert_int_equal(shop_db_do("UPDATE sale_variants SET held = 1, sold = 1 "
                                "WHERE sale_id = 'past'"),
                     0);
    assert_int_equal(
        rig_act("POST", "/admin/sales/past/close", "{\"reason\":\"r\"}"), 200);
    assert_int_equal(shop_db_number("SELECT closed_at IS NOT NULL FROM sales "
                                    "WHERE id = 'past'"),
                     1);
    assert_int_equal(rig_act("GET", "/admin/sales/past/report", NULL), 200);
    assert_true(rig_says("\"offered_at_first\":3,\"added\":2,\"taken\":0,"
                         "\"offered\":5,\"held\":1,\"sold\":1,\"withheld\":0,"
                         "\"left\":null,\"expired\":1"));
    assert_true(rig_says("\"peak_orders_per_second\":2"));
    assert_true(rig_says("\"conserved\":true"));
    assert_int_equal(rig_act("GET", "/admin/sales/past/report.html", NULL),
                     200);
    assert_true(rig_says("<svg"));
    assert_null(strstr(rig_body.data, "<script"));
    assert_non_null(strstr(rig_headers.data, "text/html"));
    /* a unit that no order has */
    assert_int_equal(shop_db_do("UPDATE sale_variants SET sold = 2 WHERE "
                                "sale_id = 'past'"),
                     0);
    assert_int_equal(rig_act("GET", "/admin/sales/past/report", NULL), 200);
    assert_true(rig_says("\"conserved\":false"));
    assert_true(rig_says("sold 2, its orders own 1"));
    assert_int_equal(rig_act("GET", "/admin/sales/none/report", NULL), 404);
    assert_int_equal(rig_get("/admin/sales/past/report"), 401);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_an_operator_acts),
        cmocka_unit_test(a_price_is_whole_won),
        cmocka_unit_test(options_are_written_anew),
        cmocka_unit_test(of_two_at_once_one_is_told),
        cmocka_unit_test(a_sale_is_checked_whole),
        cmocka_unit_test(an_opening_in_the_past_is_now),
        cmocka_unit_test(a_sale_is_changed_before_it_opens),
        cmocka_unit_test(moves_follow_the_table),
        cmocka_unit_test(units_are_added_and_taken),
        cmocka_unit_test(the_report_adds_up),
    };

    return cmocka_run_group_tests_name("productd admin", tests, setup,
                                       rig_stop);
}
