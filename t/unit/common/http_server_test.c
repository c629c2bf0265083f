/* The daemons' HTTP over its real socket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../../daemons/common/conf.h"
#include "../../../daemons/common/http_server.h"
#include "../../../daemons/common/log.h"
#include "../../../daemons/common/loop.h"
#include "capture.h"
#include "servers.h"

static const char *reason;
static char socket_path[100];

static const char *not_ready(void)
{
    return reason;
}

static void show(struct speedy_request *r, void *data)
{
    const char *q = speedy_request_query(r, "q");
    const char *header = speedy_request_header(r, "X-Probe");
    const char *unknown =
        speedy_request_unknown_query(r, (const char *const[]){"q", NULL});

    r->status = 200;
    speedy_buf_printf(&r->headers, "X-One: 1\nX-Two: a: b\n");
    speedy_buf_printf(&r->out, "%s|%s|%s|%s|%s|%zu:%s|%s|%s", (char *)data,
                      r->id, r->user, r->role, q != NULL ? q : "-", r->body_len,
                      r->body, header != NULL ? header : "-",
                      unknown != NULL ? unknown : "-");
}

static void slow(struct speedy_request *r, void *data)
{
    (void)data;
    speedy_pause(600);
    r->status = 200;
}

static void forgot(struct speedy_request *r, void *data)
{
    (void)r;
    (void)data;
}

static const struct speedy_route routes[] = {
    {"GET", "/api/v1/orders", show, "list", false},
    {"GET", "/api/v1/orders/*", show, "one", false},
    {"POST", "/api/v1/orders/*/cancel", show, "cancel", false},
    {"DELETE", "/api/v1/orders/*", show, "delete", false},
    {"POST", "/open", show, "open", true},
    {"GET", "/slow", slow, NULL, true},
    {"GET", "/forgot", forgot, NULL, true},
    {NULL, NULL, NULL, NULL, false},
};

static const struct speedy_http config = {.role = "orderd",
                                          .instance = 1,
                                          .routes = routes,
                                          .not_ready = not_ready,
                                          .max_body = 100,
                                          .threads = 4};

static int start(void **state)
{
    (void)state;
    speedy_conf.http_directory = (char *)servers_dir();
    snprintf(socket_path, sizeof(socket_path), "%s/orderd_1.sock",
             servers_dir());
    return speedy_http_start(&config);
}

static int stop(void **state)
{
    (void)state;
    speedy_http_stop();
    servers_stop();
    return 0;
}

static int dial(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct timeval wait = {.tv_sec = 5};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(a.sun_path, sizeof(a.sun_path), "%s", socket_path);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Sends text, reads until the server closes or is silent for 5 s. */
static const char *talk(const char *text, size_t len)
{
    static char answer[65536];
    size_t n = 0;
    int fd = dial();

    assert_true(fd >= 0);
    assert_int_equal(send(fd, text, len, MSG_NOSIGNAL), (ssize_t)len);
    for (;;) {
        ssize_t got = read(fd, answer + n, sizeof(answer) - 1 - n);

        if (got <= 0)
            break;
        n += (size_t)got;
    }
    close(fd);
    answer[n] = '\0';
    return answer;
}

#define USER "X-Speedy-User: u1\r\nX-Speedy-Role: USER\r\n"

/* One request on a connection of its own. */
static const char *ask(const char *line, const char *headers, const char *body)
{
    char text[4096];
    int n = snprintf(text, sizeof(text),
                     "%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s", line,
                     headers);

    if (body != NULL)
        n += snprintf(text + n, sizeof(text) - (size_t)n,
                      "Content-Length: %zu\r\n", strlen(body));
    n += snprintf(text + n, sizeof(text) - (size_t)n, "\r\n%s",
                  body != NULL ? body : "");
    return talk(text, (size_t)n);
}

static int status(const char *answer)
{
    assert_true(strncmp(answer, "HTTP/1.1 ", 9) == 0);
    return atoi(answer + 9);
}

static const char *body(const char *answer)
{
    const char *end = strstr(answer, "\r\n\r\n");

    assert_non_null(end);
    return end + 4;
}

static void assert_problem(const char *answer, int want, const char *code)
{
    struct speedy_json *v;
    enum speedy_json_error why;
    int64_t n;

    assert_int_equal(status(answer), want);
    assert_non_null(
        strstr(answer, "\r\nContent-Type: application/problem+json\r\n"));
    v = speedy_json_parse(body(answer), strlen(body(answer)), 4096, 1, &why);
    assert_non_null(v);
    assert_int_equal(speedy_json_count(v), 5);
    assert_string_equal(speedy_json_text(speedy_json_get(v, "type")),
                        "about:blank");
    assert_string_equal(speedy_json_text(speedy_json_get(v, "code")), code);
    assert_int_equal(
        speedy_json_int(speedy_json_get(v, "status"), want, want, &n), 0);
    assert_true(strlen(speedy_json_text(speedy_json_get(v, "title"))) > 3);
    assert_non_null(
        strstr(answer, speedy_json_text(speedy_json_get(v, "request_id"))));
    speedy_json_free(v);
}

static void routes_find_their_handlers(void **state)
{
    const char *a = ask("GET /api/v1/orders?q=a%2Bb+c%20d", USER, NULL);

    (void)state;
    assert_int_equal(status(a), 200);
    assert_string_equal(body(a), "list||u1|USER|a+b c d|0:|-|-");
    assert_non_null(strstr(a, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(a, "\r\nX-One: 1\r\n"));
    assert_non_null(strstr(a, "\r\nX-Two: a: b\r\n"));
    a = ask("GET /api/v1/orders/o%2D1?z=1", USER "X-Probe: p\r\n", NULL);
    assert_string_equal(body(a), "one|o-1|u1|USER|-|0:|p|z");
    a = ask("POST /api/v1/orders/o-1/cancel", USER, "{}");
    assert_string_equal(body(a), "cancel|o-1|u1|USER|-|2:{}|-|-");
    a = ask("POST /open", "", "x");
    assert_string_equal(body(a), "open||||-|1:x|-|-");
    a = ask("HEAD /api/v1/orders", USER, NULL);
    assert_int_equal(status(a), 200);
    assert_string_equal(body(a), "");
    a = ask("GET /api/v1/orders?q=%zz", USER, NULL);
    assert_non_null(strstr(body(a), "|%zz|"));
}

static void refusals_are_problems(void **state)
{
    const char *a;

    (void)state;
    assert_problem(ask("GET /nowhere", USER, NULL), 404, "not_found");
    assert_problem(ask("GET /api/v1/orders/", USER, NULL), 404, "not_found");
    assert_problem(ask("GET /api/v1/orders/a/b", USER, NULL), 404, "not_found");
    assert_problem(ask("GET /api/v1/orders/../orders/x/y", USER, NULL), 404,
                   "not_found");
    assert_problem(ask("GET /api/v1/orders/a%00b", USER, NULL), 400,
                   "invalid_request");
    assert_problem(ask("GET /api/v1/orders/a%2", USER, NULL), 400,
                   "invalid_request");
    assert_problem(ask("GET /api/v1/orders/a%2fb", USER, NULL), 400,
                   "invalid_request");
    a = ask("PATCH /api/v1/orders/a", USER, "{}");
    assert_problem(a, 405, "method_not_allowed");
    assert_non_null(strstr(a, "\r\nAllow: GET, DELETE\r\n"));
    assert_problem(ask("GET /api/v1/orders", "", NULL), 401, "token_missing");
    assert_int_equal(status(ask("GET /forgot", "", NULL)), 500);
}

static void bodies_are_bounded(void **state)
{
    char big[102];
    const char *a;

    (void)state;
    memset(big, 'x', sizeof(big) - 1);
    big[101] = '\0';
    assert_problem(ask("POST /open", "", big), 413, "too_large");
    big[100] = '\0';
    a = ask("POST /open", "", big);
    assert_int_equal(status(a), 200);
    assert_non_null(strstr(a, "|100:xxx"));
    a = ask("POST /open",
            "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n",
            NULL);
    assert_non_null(strstr(a, "|5:abcde|"));
}

static void request_ids(void **state)
{
    const char *a = ask("GET /healthz", "X-Request-Id: abc_DEF-1\r\n", NULL);

    (void)state;
    assert_non_null(strstr(a, "\r\nX-Request-Id: abc_DEF-1\r\n"));
    a = ask("GET /healthz", "X-Request-Id: short\r\n", NULL);
    assert_null(strstr(a, "short"));
    a = strstr(a, "\r\nX-Request-Id: ");
    assert_non_null(a);
    assert_int_equal(strspn(a + 16, "0123456789abcdef"), 32);
    a = ask("GET /nowhere", "X-Request-Id: bad\"quote1\r\n", NULL);
    assert_null(strstr(a, "bad\""));
    assert_problem(a, 404, "not_found");
}

static void every_daemon_tells_its_health(void **state)
{
    const char *a;

    (void)state;
    assert_string_equal(body(ask("GET /healthz", "", NULL)),
                        "{\"status\":\"ok\"}\n");
    assert_string_equal(body(ask("GET /readyz", "", NULL)),
                        "{\"ready\":true}\n");
    reason = "MySQL \"away\"";
    a = ask("GET /readyz", "", NULL);
    assert_int_equal(status(a), 503);
    assert_non_null(strstr(a, "\"reason\":\"MySQL \\\"away\\\"\""));
    reason = NULL;
    a = ask("GET /metrics", "", NULL);
    assert_non_null(strstr(a, "text/plain; version=0.0.4"));
    assert_non_null(strstr(a, "\nspeedy_alarms_total "));
}

static void connections_are_kept(void **state)
{
    static const char two[] = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
                              "GET /readyz HTTP/1.1\r\nHost: x\r\n"
                              "Connection: close\r\n\r\n";
    const char *a = talk(two, sizeof(two) - 1);

    (void)state;
    assert_non_null(strstr(a, "{\"status\":\"ok\"}"));
    assert_non_null(strstr(a, "{\"ready\":true}"));
}

static void nonsense_is_refused(void **state)
{
    static const char both[] =
        "POST /open HTTP/1.1\r\nHost: x\r\nContent-Length: x1\r\n\r\n";
    char long_header[20100];
    int n;

    (void)state;
    assert_int_equal(status(talk(both, sizeof(both) - 1)), 400);
    n = snprintf(long_header, sizeof(long_header),
                 "GET /healthz HTTP/1.1\r\nHost: x\r\nX: %020000d\r\n\r\n", 0);
    assert_true(status(talk(long_header, (size_t)n)) >= 400);
}

static void the_socket_is_ours_alone(void **state)
{
    struct stat st;
    int child;
    pid_t pid;

    (void)state;
    assert_int_equal(stat(socket_path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    /* a second instance of the same number refuses to start */
    pid = fork();
    if (pid == 0) {
        capture_start();
        child = speedy_http_start(&config);
        _exit(child == -1 && strstr(capture_stop(), "remedy=") != NULL ? 7 : 8);
    }
    assert_int_equal(waitpid(pid, &child, 0), pid);
    assert_int_equal(WEXITSTATUS(child), 7);
    assert_int_equal(status(ask("GET /healthz", "", NULL)), 200);
}

static void a_dead_predecessors_socket_is_replaced(void **state)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    (void)state;
    speedy_http_stop();
    assert_int_not_equal(access(socket_path, F_OK), 0);
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", socket_path);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    close(fd); /* the file stays, nobody listens */
    assert_int_equal(speedy_http_start(&config), 0);
    assert_int_equal(status(ask("GET /healthz", "", NULL)), 200);
}

static void *ask_slowly(void *out)
{
    static const char text[] = "GET /slow HTTP/1.1\r\nHost: x\r\n"
                               "Connection: close\r\n\r\n";
    char answer[1000] = "";
    int fd = dial();

    if (fd >= 0 && send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL) > 0 &&
        read(fd, answer, sizeof(answer) - 1) > 12)
        *(int *)out = atoi(answer + 9);
    close(fd);
    return NULL;
}

static void a_slow_handler_does_not_stop_the_others(void **state)
{
    int64_t before = speedy_now_boot();
    pthread_t thread;
    int slow_status = 0;

    (void)state;
    pthread_create(&thread, NULL, ask_slowly, &slow_status);
    for (int i = 0; i < 20; i++)
        assert_int_equal(status(ask("GET /healthz", "", NULL)), 200);
    assert_true(speedy_now_boot() - before < 5000);
    pthread_join(thread, NULL);
    assert_int_equal(slow_status, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_find_their_handlers),
        cmocka_unit_test(refusals_are_problems),
        cmocka_unit_test(bodies_are_bounded),
        cmocka_unit_test(request_ids),
        cmocka_unit_test(every_daemon_tells_its_health),
        cmocka_unit_test(connections_are_kept),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(the_socket_is_ours_alone),
        cmocka_unit_test(a_dead_predecessors_socket_is_replaced),
        cmocka_unit_test(a_slow_handler_does_not_stop_the_others),
    };

    speedy_loop_init();
    speedy_log_init("http_server_test", 0);
    return cmocka_run_group_tests_name("http_server", tests, start, stop);
}
