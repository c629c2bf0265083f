/*
 * Requests and replies of both generations: every documented reply, every
 * documented error, and what only looks like a reply.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../../../daemons/common/json.h"
#include "../../../daemons/payd/kakao.h"

#define ORDER "018f2c5a-7d3e-7c1b-9a2d-4b5c6d7e8f90"
#define USER "uAAAAAAAAAAAAAAAAAAAAAA"
#define TID "T1234567890123456789"
#define NAMES                                                                  \
    "\"tid\":\"" TID "\",\"cid\":\"TC0ONETIME\",\"partner_order_id\":\"" ORDER \
    "\",\"partner_user_id\":\"" USER "\""
#define AMOUNT                                                                 \
    "\"amount\":{\"total\":26000,\"tax_free\":0,\"vat\":2364,\"point\":0,"     \
    "\"discount\":0,\"green_deposit\":0}"
#define URLS                                                                   \
    "\"next_redirect_app_url\":\"https://online-payment.kakaopay.com/a\","     \
    "\"next_redirect_mobile_url\":\"https://online-payment.kakaopay.com/m\","  \
    "\"next_redirect_pc_url\":\"https://online-payment.kakaopay.com/p\""
#define PAID_ACTION                                                            \
    "\"payment_action_details\":[{\"aid\":\"A1\",\"payment_action_type\":"     \
    "\"PAYMENT\",\"amount\":26000,\"payment_method_type\":\"MONEY\"}]"

static struct payd_payment p;
static struct payd_ask ask;
static struct payd_reply reply;

static int setup(void **state)
{
    (void)state;
    memset(&ask, 0, sizeof(ask));
    p = (struct payd_payment){.order_text = ORDER,
                              .user = USER,
                              .api = "open",
                              .cid = "TC0ONETIME",
                              .tid = TID,
                              .quantity = 1,
                              .goods = 20000,
                              .shipping = 6000,
                              .total = 26000,
                              .vat = 2364};
    ask.p = &p;
    return 0;
}

static enum payd_outcome judged(enum payd_kind kind, long status,
                                const char *body)
{
    ask.kind = kind;
    payd_kakao_judge(&ask, true, status, body, strlen(body), NULL, &reply);
    return reply.outcome;
}

static enum payd_outcome refused(enum payd_kind kind, long status, int code,
                                 const char *why)
{
    char body[300];

    snprintf(body, sizeof(body),
             "{\"%s\":%d,\"%s\":\"failed\",\"extras\":{"
             "\"method_result_code\":\"%s\",\"method_result_message\":\"x\"}}",
             ask.legacy ? "code" : "error_code", code,
             ask.legacy ? "msg" : "error_message", why);
    return judged(kind, status, body);
}

static void requests(void **state)
{
    struct speedy_buf out = {0};

    (void)state;
    ask.kind = PAYD_READY;
    ask.item = "신발 \"A\" & (270)";
    ask.callback = "https://shop.example.com/pay/kakaopay/N";
    payd_kakao_write(&ask, &out);
    assert_string_equal(
        out.data,
        "{\"cid\":\"TC0ONETIME\",\"partner_order_id\":\"" ORDER
        "\",\"partner_user_id\":\"" USER
        "\",\"item_name\":\"신발 \\\"A\\\" & (270)\",\"quantity\":1,"
        "\"total_amount\":26000,\"tax_free_amount\":0,\"vat_amount\":2364,"
        "\"approval_url\":\"https://shop.example.com/pay/kakaopay/N/approve\","
        "\"cancel_url\":\"https://shop.example.com/pay/kakaopay/N/cancel\","
        "\"fail_url\":\"https://shop.example.com/pay/kakaopay/N/fail\"}");
    assert_string_equal(payd_kakao_path(&ask), "/online/v1/payment/ready");
    speedy_buf_free(&out);
    ask.legacy = true;
    ask.kind = PAYD_APPROVE;
    ask.pg_token = "a b&c";
    payd_kakao_write(&ask, &out);
    assert_string_equal(out.data,
                        "cid=TC0ONETIME&tid=" TID "&partner_order_id=" ORDER
                        "&partner_user_id=" USER
                        "&pg_token=a%20b%26c&total_amount=26000");
    assert_string_equal(payd_kakao_path(&ask), "/v1/payment/approve");
    speedy_buf_free(&out);
    ask.kind = PAYD_CANCEL;
    ask.amount = 13000;
    ask.vat = 1182;
    ask.available = 26000;
    payd_kakao_write(&ask, &out);
    assert_string_equal(out.data,
                        "cid=TC0ONETIME&tid=" TID "&cancel_amount=13000"
                        "&cancel_tax_free_amount=0"
                        "&cancel_vat_amount=1182"
                        "&cancel_available_amount=26000");
    speedy_buf_free(&out);
    ask.legacy = false;
    ask.kind = PAYD_INQUIRY;
    payd_kakao_write(&ask, &out);
    assert_string_equal(out.data,
                        "{\"cid\":\"TC0ONETIME\",\"tid\":\"" TID "\"}");
    assert_string_equal(payd_kakao_path(&ask), "/online/v1/payment/order");
    speedy_buf_free(&out);
}

static void ready_replies(void **state)
{
    (void)state;
    assert_int_equal(judged(PAYD_READY, 200,
                            "{\"tid\":\"" TID "\",\"tms_result\":false," URLS
                            ",\"created_at\":\"2026-11-23T14:00:00\"}"),
                     PAYD_DONE);
    assert_string_equal(reply.tid, TID);
    assert_string_equal(reply.pc, "https://online-payment.kakaopay.com/p");
    assert_int_equal(judged(PAYD_READY, 200, "{" URLS "}"), PAYD_UNKNOWN);
    assert_int_equal(judged(PAYD_READY, 200, "{\"tid\":\"" TID "\"}"),
                     PAYD_UNKNOWN);
    assert_int_equal(refused(PAYD_READY, 400, -401, ""), PAYD_REFUSED);
    assert_int_equal(refused(PAYD_READY, 500, -500, ""), PAYD_UNKNOWN);
}

static void redirects(void **state)
{
    static const char *const bad[] = {
        "https://evil.example.com/p",
        "http://online-payment.kakaopay.com/p",
        "https://kakaopay.com.example.com/p",
        "https://evilkakaopay.com/p",
        "https://online-payment.kakaopay.com@example.com/p",
        "https://example.com\\\\@kakaopay.com/p",
        "https://example.com#.kakaopay.com/p",
        "javascript:alert(1)",
    };
    char body[600];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(body, sizeof(body),
                 "{\"tid\":\"" TID "\",\"next_redirect_app_url\":\"%s\","
                 "\"next_redirect_mobile_url\":\"%s\","
                 "\"next_redirect_pc_url\":\"%s\"}",
                 bad[i], bad[i], bad[i]);
        assert_int_not_equal(judged(PAYD_READY, 200, body), PAYD_DONE);
    }
}

static void approve_replies(void **state)
{
    (void)state;
    assert_int_equal(
        judged(PAYD_APPROVE, 200,
               "{\"aid\":\"A1\"," NAMES "," AMOUNT
               ",\"payment_method_type\":\"MONEY\",\"item_name\":"
               "\"x\",\"quantity\":1,\"new_member\":{\"a\":[1.5]}}"),
        PAYD_DONE);
    assert_string_equal(reply.aid, "A1");
    /* one thing left out: not known */
    assert_int_equal(judged(PAYD_APPROVE, 200, "{" NAMES "," AMOUNT "}"),
                     PAYD_UNKNOWN);
    assert_int_equal(judged(PAYD_APPROVE, 200, "{\"aid\":\"A1\"," NAMES "}"),
                     PAYD_UNKNOWN);
    assert_int_equal(judged(PAYD_APPROVE, 200, "{\"aid\":\"A1\"," AMOUNT "}"),
                     PAYD_UNKNOWN);
    assert_int_equal(
        judged(PAYD_APPROVE, 500, "{\"aid\":\"A1\"," NAMES "," AMOUNT "}"),
        PAYD_UNKNOWN);
}

/* Each field that names the payment or its money, changed. */
static void what_differs(void **state)
{
    static const char *const good =
        "{\"aid\":\"A1\"," NAMES "," AMOUNT ",\"quantity\":1}";
    static const char *const change[][2] = {
        {TID, "T1234567890123456780"},
        {"TC0ONETIME", "TC0ONETIMF"},
        {ORDER, "018f2c5a-7d3e-7c1b-9a2d-4b5c6d7e8f91"},
        {USER, "uBAAAAAAAAAAAAAAAAAAAAA"},
        {"26000", "26001"},
        {"26000", "\"26000\""},
        {"26000", "26000.5"},
        {"\"tax_free\":0", "\"tax_free\":1"},
        {"2364", "2363"},
        {"\"quantity\":1", "\"quantity\":2"},
    };

    (void)state;
    assert_int_equal(judged(PAYD_APPROVE, 200, good), PAYD_DONE);
    for (size_t i = 0; i < sizeof(change) / sizeof(change[0]); i++) {
        const char *at = strstr(good, change[i][0]);
        char body[900];

        snprintf(body, sizeof(body), "%.*s%s%s", (int)(at - good), good,
                 change[i][1], at + strlen(change[i][0]));
        assert_int_equal(judged(PAYD_APPROVE, 200, body), PAYD_MISMATCH);
        assert_true(reply.detail[0] != '\0');
    }
}

static void approve_errors(void **state)
{
    static const int definite[] = {-701, -703, -704, -705, -706, -707, -708,
                                   -721, -722, -723, -724, -725, -726, -730,
                                   -731, -732, -733, -761, -797, -798, -799,
                                   -400, -401, -403, -404, -429};
    static const int open[] = {-702, -710, -711, -750, -751, -752, -753, -780,
                               -781, -782, -783, -784, -785, -500, -503, -1};

    (void)state;
    for (int legacy = 0; legacy < 2; legacy++) {
        ask.legacy = legacy;
        for (size_t i = 0; i < sizeof(definite) / sizeof(definite[0]); i++) {
            assert_int_equal(refused(PAYD_APPROVE, 400, definite[i], ""),
                             PAYD_REFUSED);
            assert_int_equal(reply.error_code, definite[i]);
        }
        for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++)
            assert_int_equal(refused(PAYD_APPROVE, 400, open[i], ""),
                             PAYD_UNKNOWN);
        assert_int_equal(refused(PAYD_APPROVE, 500, -780, "USER_LOCKED"),
                         PAYD_REFUSED);
        assert_int_equal(refused(PAYD_APPROVE, 400, -780, "BANK_FIRM_UNKNOWN"),
                         PAYD_UNKNOWN);
    }
    /* an error of the other generation is not understood */
    ask.legacy = false;
    assert_int_equal(judged(PAYD_APPROVE, 400, "{\"code\":-708}"),
                     PAYD_UNKNOWN);
}

static void statuses(void **state)
{
    static const struct {
        const char *status;
        enum payd_outcome outcome;
    } all[] = {{"READY", PAYD_PENDING},
               {"SEND_TMS", PAYD_PENDING},
               {"OPEN_PAYMENT", PAYD_PENDING},
               {"SELECT_METHOD", PAYD_PENDING},
               {"ARS_WAITING", PAYD_PENDING},
               {"AUTH_PASSWORD", PAYD_PENDING},
               {"ISSUED_SID", PAYD_UNKNOWN},
               {"SUCCESS_PAYMENT", PAYD_DONE},
               {"PART_CANCEL_PAYMENT", PAYD_PARTLY},
               {"CANCEL_PAYMENT", PAYD_CANCELLED},
               {"FAIL_AUTH_PASSWORD", PAYD_FAILED},
               {"QUIT_PAYMENT", PAYD_FAILED},
               {"FAIL_PAYMENT", PAYD_FAILED},
               {"SOMETHING_NEW", PAYD_UNKNOWN}};
    char body[900];

    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        snprintf(body, sizeof(body),
                 "{" NAMES ",\"status\":\"%s\"," AMOUNT "," PAID_ACTION
                 ",\"cancel_available_amount\":{\"total\":26000}}",
                 all[i].status);
        assert_int_equal(judged(PAYD_INQUIRY, 200, body), all[i].outcome);
    }
    assert_int_equal(judged(PAYD_INQUIRY, 200, "{" NAMES "," AMOUNT "}"),
                     PAYD_UNKNOWN);
    assert_int_equal(refused(PAYD_INQUIRY, 400, -721, ""), PAYD_NO_TID);
    assert_int_equal(refused(PAYD_INQUIRY, 400, -401, ""), PAYD_UNKNOWN);
}

static void inquiries(void **state)
{
    (void)state;
    /* without `amount`: its action says how much */
    assert_int_equal(judged(PAYD_INQUIRY, 200,
                            "{" NAMES
                            ",\"status\":\"SUCCESS_PAYMENT\"," PAID_ACTION "}"),
                     PAYD_DONE);
    assert_string_equal(reply.aid, "A1");
    assert_int_equal(judged(PAYD_INQUIRY, 200,
                            "{" NAMES ",\"status\":\"SUCCESS_PAYMENT\"," AMOUNT
                            "}"),
                     PAYD_UNKNOWN);
    p.total = 26001;
    assert_int_equal(judged(PAYD_INQUIRY, 200,
                            "{" NAMES ",\"status\":\"SUCCESS_PAYMENT\"," AMOUNT
                            "," PAID_ACTION
                            ",\"cancel_available_amount\":{\"total\":26000}}"),
                     PAYD_MISMATCH);
    assert_int_equal(reply.available, 26000);
}

static void cancels(void **state)
{
    static const char good[] =
        "{\"aid\":\"A2\"," NAMES ",\"status\":\"PART_CANCEL_PAYMENT\"," AMOUNT
        ",\"approved_cancel_amount\":{\"total\":6000},"
        "\"canceled_amount\":{\"total\":6000},"
        "\"cancel_available_amount\":{\"total\":20000}}";

    (void)state;
    ask.amount = 6000;
    ask.available = 26000;
    assert_int_equal(judged(PAYD_CANCEL, 200, good), PAYD_DONE);
    ask.available = 20000;
    assert_int_equal(judged(PAYD_CANCEL, 200, good), PAYD_MISMATCH);
    ask.available = 26000;
    ask.amount = 6001;
    assert_int_equal(judged(PAYD_CANCEL, 200, good), PAYD_MISMATCH);
    assert_int_equal(refused(PAYD_CANCEL, 400, -710, ""), PAYD_REFUSED);
    assert_int_equal(refused(PAYD_CANCEL, 400, -781, ""), PAYD_UNKNOWN);
    assert_int_equal(refused(PAYD_CANCEL, 400, -785, ""), PAYD_UNKNOWN);
}

static void what_is_no_reply(void **state)
{
    static const char *const bodies[] = {"",
                                         "<html>500</html>",
                                         "null",
                                         "[]",
                                         "1",
                                         "{",
                                         "{}",
                                         "{\"tid\":",
                                         "{\"aid\":\"A1\",\"aid\":\"A2\"}",
                                         "{\"error_code\":\"-701\"}",
                                         "{\"error_code\":-701.5}",
                                         "{\"a\":\"\xff\"}",
                                         "{\"a\":[[[[[[[[[[[[1]]]]]]]]]]]]}"};
    static char large[20000];

    (void)state;
    for (int kind = PAYD_READY; kind <= PAYD_CANCEL; kind++) {
        for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
            assert_int_equal(judged((enum payd_kind)kind, 200, bodies[i]),
                             PAYD_UNKNOWN);
        memset(large, ' ', sizeof(large) - 1);
        memcpy(large, "{\"error_code\":-708}", 19);
        assert_int_equal(judged((enum payd_kind)kind, 400, large),
                         PAYD_UNKNOWN);
        ask.kind = (enum payd_kind)kind;
        payd_kakao_judge(&ask, false, 0, NULL, 0, NULL, &reply);
        assert_int_equal(reply.outcome, PAYD_UNKNOWN);
    }
}

/* Parts add up to the whole, to the won. */
static void tax(void **state)
{
    (void)state;
    assert_int_equal(payd_vat(26000, 0), 2364);
    assert_int_equal(payd_vat(11, 0), 1);
    assert_int_equal(payd_vat(5, 0), 0);
    assert_int_equal(payd_vat(6, 0), 1);
    assert_int_equal(payd_vat(1100, 1100), 0);
    for (int64_t total = 0; total < 3000; total++) {
        int64_t vat = payd_vat(total, 0);

        assert_true(22 * vat <= 2 * total + 11 && 22 * vat > 2 * total - 11);
    }
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup(f, setup)
    const struct CMUnitTest tests[] = {
        CASE(requests),         CASE(ready_replies), CASE(redirects),
        CASE(approve_replies),  CASE(what_differs),  CASE(approve_errors),
        CASE(statuses),         CASE(inquiries),     CASE(cancels),
        CASE(what_is_no_reply), CASE(tax),
    };

    return cmocka_run_group_tests_name("payd kakao", tests, NULL, NULL);
}
