/* The internal client against our own server, and against bad ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../daemons/common/conf.h"
#include "../../../daemons/common/http_client.h"
#include "../../../daemons/common/http_server.h"
#include "../../../daemons/common/log.h"
#include "../../../daemons/common/loop.h"
#include "../../../daemons/common/metrics.h"
#include "capture.h"
#include "odd_server.h"
#include "servers.h"

#define MANY 200

static struct odd_server *one, *two;
static struct speedy_client *client;
static char callee[20];

/* --- our own server --- */

static void show(struct speedy_request *r, void *data)
{
    const char *type = speedy_request_header(r, "Content-Type");
    const char *expect = speedy_request_header(r, "Expect");

    (void)data;
    r->status = 201;
    speedy_buf_printf(&r->out, "%s %s|%s|%s|%s|%s|%s|%.*s", r->method, r->path,
                      r->user, r->role, r->request_id,
                      type != NULL ? type : "-", expect != NULL ? expect : "-",
                      (int)r->body_len, r->body);
}

static void budget(struct speedy_request *r, void *data)
{
    (void)data;
    r->status = 200;
    speedy_buf_printf(&r->out, "%ld", speedy_request_budget(r));
}

static void missing(struct speedy_request *r, void *data)
{
    (void)data;
    speedy_problem(r, 404, "user_unknown", "Nobody.");
}

static const struct speedy_route routes[] = {
    {.method = "GET", .path = "/show", .handle = show, .anyone = true},
    {.method = "POST", .path = "/show", .handle = show, .anyone = true},
    {.method = "PUT", .path = "/show", .handle = show, .anyone = true},
    {.method = "DELETE", .path = "/show", .handle = show, .anyone = true},
    {.method = "GET", .path = "/budget", .handle = budget, .anyone = true},
    {.method = "GET", .path = "/missing", .handle = missing, .anyone = true},
    {0},
};

static int start(void **state)
{
    static const struct speedy_http http = {.role = "real",
                                            .instance = 1,
                                            .routes = routes,
                                            .max_body = 200000,
                                            .threads = 0};

    (void)state;
    speedy_conf.http_directory = (char *)servers_dir();
    /* a proxy of the environment is no way to a neighbour */
    setenv("http_proxy", "http://127.0.0.1:1/", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1/", 1);
    return speedy_http_start(&http);
}

static int stop(void **state)
{
    (void)state;
    speedy_http_stop();
    servers_stop();
    return 0;
}

/* Two odd instances of a callee of its own for each test. */
static int fresh(void **state)
{
    static int number;

    (void)state;
    snprintf(callee, sizeof(callee), "odd%d", ++number);
    one = odd_start(callee, 1);
    two = odd_start(callee, 2);
    client = speedy_client_new(callee, 2);
    return client == NULL ? -1 : 0;
}

static int over(void **state)
{
    (void)state;
    speedy_client_free(client);
    odd_stop(one);
    odd_stop(two);
    return 0;
}

static void both(enum odd_mode mode)
{
    odd_set(one, mode);
    odd_set(two, mode);
}

static int sent(const char *method)
{
    return odd_requests(one, method) + odd_requests(two, method);
}

static struct speedy_call get(const char *path, long timeout_ms)
{
    return (struct speedy_call){.method = "GET",
                                .path = path,
                                .timeout_ms = timeout_ms,
                                .idempotent = true,
                                .max_answer = 10000};
}

static struct speedy_call post(const char *path, long timeout_ms)
{
    return (struct speedy_call){.method = "POST",
                                .path = path,
                                .body = "{}",
                                .body_len = 2,
                                .timeout_ms = timeout_ms,
                                .max_answer = 10000};
}

/* One call of these; the answer is thrown away. *status may be NULL. */
static enum speedy_call_result ask(struct speedy_call call, int *status)
{
    enum speedy_call_result result = speedy_client_call(client, &call);

    if (status != NULL)
        *status = call.status;
    speedy_buf_free(&call.out);
    return result;
}

static double metric(const char *name, const char *more)
{
    struct speedy_buf out = {0};
    double value = -1;
    char line[200];
    const char *at;

    snprintf(line, sizeof(line), "\n%s{callee=\"%s\"%s} ", name, callee, more);
    speedy_metrics_write(&out);
    at = strstr(out.data, line);
    if (at != NULL)
        value = atof(at + strlen(line));
    speedy_buf_free(&out);
    return value;
}

/* --- answers --- */

static void calls_arrive_whole(void **state)
{
    struct speedy_client *c = speedy_client_new("real", 1);
    static char big[150001];
    struct speedy_call call = get("/show?a=%20b", 2000);

    (void)state;
    call.request_id = "request-1";
    call.user = "u1";
    call.role = "USER";
    assert_int_equal(speedy_client_call(c, &call), SPEEDY_CALL_ANSWERED);
    assert_int_equal(call.status, 201);
    assert_string_equal(call.out.data, "GET /show|u1|USER|request-1|-|-|");
    /* the struct again, on the kept connection */
    call.method = "PUT";
    call.body = "{\"a\":1}";
    call.body_len = 7;
    call.user = call.role = NULL;
    assert_int_equal(speedy_client_call(c, &call), SPEEDY_CALL_ANSWERED);
    assert_string_equal(call.out.data,
                        "PUT /show|||request-1|application/json|-|{\"a\":1}");
    call.method = "DELETE";
    call.body = NULL;
    assert_int_equal(speedy_client_call(c, &call), SPEEDY_CALL_ANSWERED);
    assert_string_equal(call.out.data, "DELETE /show|||request-1|-|-|");
    call.method = "POST";
    call.idempotent = false;
    assert_int_equal(speedy_client_call(c, &call), SPEEDY_CALL_ANSWERED);
    assert_non_null(strstr(call.out.data, "POST /show|"));
    memset(big, 'x', sizeof(big) - 1);
    call.body = big;
    call.body_len = sizeof(big) - 1;
    call.max_answer = 200000;
    assert_int_equal(speedy_client_call(c, &call), SPEEDY_CALL_ANSWERED);
    assert_non_null(strstr(call.out.data, big));
    speedy_buf_free(&call.out);
    speedy_client_free(c);
}

static void every_status_is_an_answer(void **state)
{
    struct speedy_client *c = speedy_client_new("real", 1);
    struct speedy_call call = get("/missing", 2000);

    (void)state;
    assert_int_equal(speedy_client_call(c, &call), SPEEDY_CALL_ANSWERED);
    assert_int_equal(call.status, 404);
    assert_non_null(strstr(call.out.data, "user_unknown"));
    speedy_buf_free(&call.out);
    speedy_client_free(c);
}

static void the_budget_travels_along(void **state)
{
    struct speedy_client *c = speedy_client_new("real", 1);
    struct speedy_call call = get("/budget", 3000);

    (void)state;
    assert_int_equal(speedy_client_call(c, &call), SPEEDY_CALL_ANSWERED);
    assert_in_range(atol(call.out.data), 2500, 3000);
    call.timeout_ms = 0;
    assert_int_equal(speedy_client_call(c, &call), SPEEDY_CALL_REFUSED);
    speedy_buf_free(&call.out);
    speedy_client_free(c);
}

static void malformed_calls_are_not_made(void **state)
{
    static const char *const paths[] = {
        "/a b", "/a\r\nX-Speedy-User: u1", "a", "", "@host/", "/a\x7f"};

    (void)state;
    capture_start();
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        assert_int_equal(ask(get(paths[i], 1000), NULL), SPEEDY_CALL_REFUSED);
    assert_non_null(strstr(capture_stop(), "malformed"));
    assert_int_equal(sent("GET"), 0);
    /* a header that would bring its own lines is left out */
    {
        struct speedy_call call = get("/", 1000);

        call.request_id = "x\r\nX-Speedy-Role: OWNER";
        assert_int_equal(ask(call, NULL), SPEEDY_CALL_ANSWERED);
        assert_null(strstr(odd_head(one), "OWNER"));
    }
}

static void calls_go_round(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++)
        assert_int_equal(ask(get("/", 1000), NULL), SPEEDY_CALL_ANSWERED);
    assert_int_equal(odd_requests(one, "GET"), 10);
    assert_int_equal(odd_requests(two, "GET"), 10);
    /* one connection each, used again */
    assert_int_equal(odd_connections(one), 1);
    assert_int_equal(odd_connections(two), 1);
    assert_int_equal(
        metric("speedy_client_calls_total", ",result=\"answered\""), 20);
    assert_int_equal(metric("speedy_client_seconds_count", ""), 20);
}

/* --- what goes wrong --- */

static void time_outs_hold(void **state)
{
    struct speedy_call calls[2] = {get("/", 400), post("/", 400)};

    (void)state;
    both(ODD_STALL);
    for (int i = 0; i < 2; i++) {
        int64_t before = speedy_now_boot(), took;

        assert_int_equal(ask(calls[i], NULL), SPEEDY_CALL_TIMEOUT);
        took = speedy_now_boot() - before;
        assert_in_range(took, 390, 900);
    }
    assert_int_equal(sent("POST"), 1);
}

/* Whatever happens to it: the servers count what reached them. */
static void what_is_not_idempotent_is_never_sent_twice(void **state)
{
    static const enum odd_mode modes[] = {
        ODD_UNAVAILABLE, ODD_ERROR,   ODD_STALL,   ODD_RESET,
        ODD_TORN,        ODD_GARBAGE, ODD_ENDLESS, ODD_TIRED};

    (void)state;
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        struct speedy_client *own = client;

        client = speedy_client_new(callee, 2); /* with a closed breaker */
        both(modes[i]);
        odd_reset(one);
        odd_reset(two);
        for (int n = 1; n <= 5; n++) {
            ask(post("/", 200), NULL);
            assert_int_equal(sent("POST"), n);
        }
        speedy_client_free(client);
        client = own;
    }
}

/* libcurl sends again by itself on a kept connection that turns out dead. */
static void a_tired_connection_is_not_used_for_it(void **state)
{
    int status;

    (void)state;
    odd_stop(two);
    two = NULL;
    odd_set(one, ODD_TIRED);
    assert_int_equal(ask(get("/", 1000), &status), SPEEDY_CALL_ANSWERED);
    assert_int_equal(status, 200);
    for (int n = 1; n <= 5; n++) {
        assert_int_equal(ask(post("/", 1000), &status), SPEEDY_CALL_ANSWERED);
        assert_int_equal(odd_requests(one, "POST"), n);
        assert_int_equal(ask(get("/", 1000), &status), SPEEDY_CALL_ANSWERED);
    }
}

static void an_instance_that_is_away_is_passed_over(void **state)
{
    int failed = 0;

    (void)state;
    odd_stop(one);
    one = NULL;
    /* nothing was sent to it: this holds for any call */
    for (int i = 0; i < 20; i++)
        failed += ask(post("/", 1000), NULL) != SPEEDY_CALL_ANSWERED;
    assert_int_equal(failed, 0);
    assert_int_equal(odd_requests(two, "POST"), 20);
    /* a frozen one costs a part of the budget, once a second at most */
    one = odd_start(callee, 1);
    odd_set(one, ODD_STALL);
    for (int i = 0; i < 20; i++)
        failed += ask(get("/", 300), NULL) != SPEEDY_CALL_ANSWERED;
    assert_int_equal(failed, 0);
    assert_in_range(odd_requests(one, "GET"), 0, 3);
}

static void nobody_there_is_told_at_once(void **state)
{
    int64_t before = speedy_now_boot();

    (void)state;
    odd_stop(one);
    odd_stop(two);
    one = two = NULL;
    assert_int_equal(ask(post("/", 5000), NULL), SPEEDY_CALL_REFUSED);
    assert_int_equal(ask(get("/", 5000), NULL), SPEEDY_CALL_REFUSED);
    assert_true(speedy_now_boot() - before < 1000);
}

static void retries_heal_what_they_can(void **state)
{
    int status;

    (void)state;
    odd_set(one, ODD_RESET);
    for (int i = 0; i < 2; i++)
        assert_int_equal(ask(get("/", 1000), NULL), SPEEDY_CALL_ANSWERED);
    odd_set(one, ODD_OK);
    odd_set(two, ODD_UNAVAILABLE);
    assert_int_equal(ask(get("/", 1000), &status), SPEEDY_CALL_ANSWERED);
    assert_int_equal(status, 200);
    assert_true(metric("speedy_client_retries_total", "") >= 1);
}

static void too_much_is_refused(void **state)
{
    struct speedy_call call = get("/", 2000);

    (void)state;
    both(ODD_ENDLESS);
    call.max_answer = 100000;
    assert_int_equal(ask(call, NULL), SPEEDY_CALL_FAILED);
    /* it would be as much again */
    assert_int_equal(sent("GET"), 1);
    both(ODD_TORN);
    odd_reset(one);
    odd_reset(two);
    assert_int_equal(ask(get("/", 2000), NULL), SPEEDY_CALL_FAILED);
    assert_in_range(sent("GET"), 1, 3);
}

/* --- breaker and budget --- */

/* All fails for a while: what is sent stays near the number of calls. */
static void retries_never_become_the_load(void **state)
{
    int calls = 0, refused = 0;
    int64_t end = speedy_now_boot() + 3500;

    (void)state;
    both(ODD_UNAVAILABLE);
    capture_start();
    while (speedy_now_boot() < end) {
        calls++;
        refused += ask(get("/", 500), NULL) == SPEEDY_CALL_REFUSED;
        speedy_pause(2);
    }
    capture_stop();
    /* ten calls open it; then one trial after 1 s and one after 2 s more */
    assert_int_equal(calls - refused, 12);
    assert_in_range(sent("GET"), 12, 12 + 3 + 1);
    assert_int_equal(metric("speedy_client_retries_total", ""),
                     sent("GET") - 12);
    assert_int_equal(metric("speedy_client_breaker_state", ""), 2);
    assert_int_equal(metric("speedy_client_calls_total", ",result=\"refused\""),
                     refused);
}

static bool call_works(void *unused)
{
    (void)unused;
    return ask(get("/", 300), NULL) == SPEEDY_CALL_ANSWERED;
}

static void the_breaker_opens_and_heals(void **state)
{
    const char *said;
    int64_t before;

    (void)state;
    both(ODD_STALL);
    capture_start();
    for (int i = 0; i < 10; i++)
        assert_int_equal(ask(get("/", 30), NULL), SPEEDY_CALL_TIMEOUT);
    assert_int_equal(metric("speedy_client_breaker_state", ""), 2);
    /* refused without a wait, and nothing sent */
    odd_reset(one);
    odd_reset(two);
    before = speedy_now_boot();
    for (int i = 0; i < 100; i++)
        assert_int_equal(ask(post("/", 500), NULL), SPEEDY_CALL_REFUSED);
    assert_true(speedy_now_boot() - before < 500);
    assert_int_equal(sent("POST"), 0);
    both(ODD_OK);
    assert_true(servers_wait(call_works, NULL, 5000));
    assert_int_equal(metric("speedy_client_breaker_state", ""), 0);
    for (int i = 0; i < 20; i++)
        assert_int_equal(ask(get("/", 300), NULL), SPEEDY_CALL_ANSWERED);
    said = capture_stop();
    assert_non_null(strstr(said, "calls are held back"));
    assert_non_null(strstr(said, "calls go out again"));
}

static void answers_of_500_are_no_failures(void **state)
{
    int status;

    (void)state;
    both(ODD_ERROR);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(ask(get("/", 1000), &status), SPEEDY_CALL_ANSWERED);
        assert_int_equal(status, 500);
    }
    assert_int_equal(sent("GET"), 50);
    assert_int_equal(metric("speedy_client_breaker_state", ""), 0);
}

/* --- many at once --- */

struct worker {
    pthread_t thread;
    int answered, other;
    long budget, longest;
};

static void *work(void *data)
{
    struct worker *w = data;

    for (int i = 0; i < 20; i++) {
        int64_t before = speedy_now_boot();
        long took;

        if (ask(get("/", w->budget), NULL) == SPEEDY_CALL_ANSWERED)
            w->answered++;
        else
            w->other++;
        took = (long)(speedy_now_boot() - before);
        w->longest = took > w->longest ? took : w->longest;
    }
    return NULL;
}

static void many_threads_share_few_connections(void **state)
{
    static struct worker w[MANY];
    int answered = 0;

    (void)state;
    for (int i = 0; i < MANY; i++) {
        w[i].budget = 20000; /* a free connection is waited for */
        pthread_create(&w[i].thread, NULL, work, &w[i]);
    }
    for (int i = 0; i < MANY; i++) {
        pthread_join(w[i].thread, NULL);
        answered += w[i].answered;
    }
    assert_int_equal(answered, MANY * 20);
    assert_true(odd_connections(one) + odd_connections(two) <= 64);
}

/* Nothing answers, and 200 threads ask: each gets its word in time. */
static void a_stalled_callee_costs_its_budget_only(void **state)
{
    static struct worker w[MANY];

    (void)state;
    memset(w, 0, sizeof(w));
    both(ODD_STALL);
    capture_start();
    for (int i = 0; i < MANY; i++) {
        w[i].budget = 1000;
        pthread_create(&w[i].thread, NULL, work, &w[i]);
    }
    for (int i = 0; i < MANY; i++)
        pthread_join(w[i].thread, NULL);
    capture_stop();
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(w[i].answered, 0);
        assert_true(w[i].longest < 1600);
    }
    assert_true(sent("GET") < 100);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, fresh, over)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_arrive_whole),
        cmocka_unit_test(every_status_is_an_answer),
        cmocka_unit_test(the_budget_travels_along),
        TEST(malformed_calls_are_not_made),
        TEST(calls_go_round),
        TEST(time_outs_hold),
        TEST(what_is_not_idempotent_is_never_sent_twice),
        TEST(a_tired_connection_is_not_used_for_it),
        TEST(an_instance_that_is_away_is_passed_over),
        TEST(nobody_there_is_told_at_once),
        TEST(retries_heal_what_they_can),
        TEST(too_much_is_refused),
        TEST(retries_never_become_the_load),
        TEST(the_breaker_opens_and_heals),
        TEST(answers_of_500_are_no_failures),
        TEST(many_threads_share_few_connections),
        TEST(a_stalled_callee_costs_its_budget_only),
    };

    speedy_loop_init();
    speedy_log_init("http_client_test", 0);
    return cmocka_run_group_tests_name("http_client", tests, start, stop);
}
