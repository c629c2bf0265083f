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

static void more(struct speedy_request *r, void *data)
{
    const char *cookie = speedy_request_cookie(r, "refresh");

    (void)data;
    r->status = 200;
    speedy_buf_printf(&r->out, "%s|%s|%s|%s|%ld", r->id, r->id2, r->session,
                      cookie != NULL ? cookie : "-", speedy_request_budget(r));
}

static void none(struct speedy_request *r, void *data)
{
    (void)data;
    r->status = 204;
}

static void strict(struct speedy_request *r, void *data)
{
    static const char *const names[] = {"email", "inner", NULL};
    static const char *const inner[] = {"a", NULL};
    static const struct speedy_field bad[] = {
        {"/email", "email_invalid"}, {"/inner/a", "a \"quoted\" code"}};
    const struct speedy_json *o = speedy_body_parse(r, names);

    (void)data;
    if (o == NULL)
        return;
    if (!speedy_object_known(r, "/inner", speedy_json_get(o, "inner"), inner))
        return;
    if (speedy_json_text(speedy_json_get(o, "email")) == NULL) {
        speedy_problem_fields(r, 400, "invalid_request", "Wrong values.", bad,
                              1);
        return;
    }
    r->status = 200;
    speedy_buf_printf(&r->out, "%s",
                      speedy_json_text(speedy_json_get(o, "email")));
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

#define ROUTE(m, p, h, d)                                                      \
    {                                                                          \
        .method = (m), .path = (p), .handle = (h), .data = (d)                 \
    }
#define OPEN(m, p, h, d)                                                       \
    {                                                                          \
        .method = (m), .path = (p), .handle = (h), .data = (d), .anyone = true \
    }
#define STAFF(p, r)                                                            \
    {                                                                          \
        .method = "GET", .path = (p), .handle = show, .data = (p), .role = (r) \
    }

static const struct speedy_route routes[] = {
    ROUTE("GET", "/api/v1/orders", show, "list"),
    ROUTE("GET", "/api/v1/orders/mine", show, "mine"),
    ROUTE("GET", "/api/v1/orders/*", show, "one"),
    ROUTE("POST", "/api/v1/orders/*/cancel", show, "cancel"),
    ROUTE("DELETE", "/api/v1/orders/*", show, "delete"),
    OPEN("POST", "/open", show, "open"),
    OPEN("PUT", "/open", show, "put"),
    OPEN("PATCH", "/open", show, "patch"),
    OPEN("GET", "/two/*/of/*", more, NULL),
    OPEN("GET", "/more", more, NULL),
    OPEN("DELETE", "/more", none, NULL),
    OPEN("POST", "/strict", strict, NULL),
    OPEN("GET", "/slow", slow, NULL),
    OPEN("GET", "/forgot", forgot, NULL),
    STAFF("/admin/viewer", "VIEWER"),
    STAFF("/admin/cs", "CS"),
    STAFF("/admin/operator", "OPERATOR"),
    STAFF("/admin/owner", "OWNER"),
    STAFF("/admin/misspelt", "owner"),
    {0},
};

static const struct speedy_http config = {.role = "orderd",
                                          .instance = 1,
                                          .routes = routes,
                                          .not_ready = not_ready,
                                          .max_body = 300,
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
static const char *talk_quietly(const char *text, size_t len)
{
    static char answer[65536];
    size_t n = 0;
    int fd = dial();

    if (fd >= 0 && send(fd, text, len, MSG_NOSIGNAL) == (ssize_t)len) {
        for (;;) {
            ssize_t got = read(fd, answer + n, sizeof(answer) - 1 - n);

            if (got <= 0)
                break;
            n += (size_t)got;
        }
    }
    close(fd);
    answer[n] = '\0';
    return answer;
}

static const char *talk(const char *text, size_t len)
{
    const char *answer = talk_quietly(text, len);

    assert_string_not_equal(answer, "");
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
    assert_problem(ask("GET /api/v1/orders/%EA%B0%80", USER, NULL), 400,
                   "invalid_request");
    assert_problem(ask("GET /api/v1/orders/a%0Ab", USER, NULL), 400,
                   "invalid_request");
    assert_problem(ask("GET /api/v1/orders/a%2", USER, NULL), 400,
                   "invalid_request");
    assert_problem(ask("GET /api/v1/orders/a%2fb", USER, NULL), 400,
                   "invalid_request");
    a = ask("PATCH /api/v1/orders/a", USER, "{}");
    assert_problem(a, 405, "method_not_allowed");
    assert_non_null(strstr(a, "\r\nAllow: GET, DELETE\r\n"));
    assert_problem(ask("GET /api/v1/orders", "", NULL), 401, "token_missing");
    assert_problem(ask("GET /forgot", "", NULL), 500, "internal_error");
}

static void the_first_route_that_fits_is_taken(void **state)
{
    (void)state;
    assert_non_null(
        strstr(ask("GET /api/v1/orders/mine", USER, NULL), "mine|"));
    assert_non_null(
        strstr(ask("DELETE /api/v1/orders/mine", USER, NULL), "delete|mine"));
    assert_non_null(strstr(ask("PUT /api/v1/orders/mine", USER, "x"),
                           "\r\nAllow: GET, DELETE\r\n"));
}

static void every_method_has_its_body(void **state)
{
    (void)state;
    assert_non_null(strstr(ask("PUT /open", "", "abc"), "put||||-|3:abc|"));
    assert_non_null(strstr(ask("PATCH /open", "", "ab"), "patch||||-|2:ab|"));
    /* nothing at all */
    assert_int_equal(status(ask("DELETE /more", "", NULL)), 204);
    assert_string_equal(body(ask("DELETE /more", "", NULL)), "");
    assert_null(strstr(ask("DELETE /more", "", NULL), "Content-Type"));
}

static void paths_may_have_two_stars(void **state)
{
    (void)state;
    assert_non_null(
        strstr(body(ask("GET /two/a%41/of/b", "", NULL)), "aA|b||-|"));
    assert_problem(ask("GET /two//of/b", "", NULL), 404, "not_found");
    assert_problem(ask("GET /two/a/of/b/", "", NULL), 404, "not_found");
    assert_problem(ask("GET /two/a/of/b%2f", "", NULL), 400, "invalid_request");
}

/* Roles in rising order; each passes where its own rank or less is asked. */
static void roles_pass_by_their_rank(void **state)
{
    static const char *const roles[] = {"",   "USER",     "viewer", "VIEWER",
                                        "CS", "OPERATOR", "OWNER",  "OWNER2"};
    static const int rank[] = {0, 0, 0, 1, 2, 3, 4, 0};
    static const char *const paths[] = {"/admin/viewer", "/admin/cs",
                                        "/admin/operator", "/admin/owner"};
    char line[100], headers[200];

    (void)state;
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        assert_int_equal(speedy_staff_rank(roles[i]), rank[i]);
        snprintf(headers, sizeof(headers),
                 "X-Speedy-User: t1\r\nX-Speedy-Role: %s\r\n", roles[i]);
        for (int p = 0; p < 4; p++) {
            snprintf(line, sizeof(line), "GET %s", paths[p]);
            if (rank[i] >= p + 1)
                assert_int_equal(status(ask(line, headers, NULL)), 200);
            else
                assert_problem(ask(line, headers, NULL), 403, "role_required");
        }
        assert_problem(ask("GET /admin/misspelt", headers, NULL), 403,
                       "role_required");
        /* a shopper's route is for shoppers */
        if (strcmp(roles[i], "USER") == 0)
            assert_int_equal(status(ask("GET /api/v1/orders", headers, NULL)),
                             200);
        else
            assert_problem(ask("GET /api/v1/orders", headers, NULL), 403,
                           "role_required");
    }
    assert_problem(ask("GET /admin/owner", "X-Speedy-Role: OWNER\r\n", NULL),
                   401, "token_missing");
}

static void identity_is_checked(void **state)
{
    static const char *const nobody[] = {
        "X-Speedy-User: a b\r\n", "X-Speedy-User: \r\n",
        "X-Speedy-User: u1;\r\n", "X_Speedy_User: u1\r\n",
        "X-Speedy-User: 12345678901234567890123456789012345678901\r\n"};
    char headers[200];

    (void)state;
    for (size_t i = 0; i < sizeof(nobody) / sizeof(nobody[0]); i++) {
        snprintf(headers, sizeof(headers), "%sX-Speedy-Role: USER\r\n",
                 nobody[i]);
        assert_problem(ask("GET /api/v1/orders", headers, NULL), 401,
                       "token_missing");
    }
    assert_non_null(strstr(ask("GET /more", "X-Speedy-Session: s-1\r\n", NULL),
                           "||s-1|-|"));
    assert_non_null(
        strstr(ask("GET /more", "X-Speedy-Session: s,\r\n", NULL), "|||-|"));
}

/* What handler `more` sees of the cookie named refresh. */
static const char *cookie(const char *header)
{
    static char seen[300];
    char line[400], *end;

    snprintf(line, sizeof(line), "Cookie: %s\r\n", header);
    snprintf(seen, sizeof(seen), "%s", body(ask("GET /more", line, NULL)) + 3);
    end = strrchr(seen, '|');
    assert_non_null(end);
    *end = '\0';
    return seen;
}

static void cookies_are_read_exactly(void **state)
{
    (void)state;
    assert_string_equal(cookie("refresh=abc_-1"), "abc_-1");
    assert_string_equal(cookie("a=1; refresh=x=y; b=2"), "x=y");
    assert_string_equal(cookie("a=1;refresh=x ;b"), "x");
    assert_string_equal(cookie("refresh="), "");
    assert_string_equal(cookie("Refresh=a; xrefresh=b; refreshx=c"), "-");
    assert_string_equal(cookie("refresh"), "-");
    assert_string_equal(cookie("refresh=a; refresh=b"), "-");
    assert_string_equal(cookie("; ;;"), "-");
    /* as nginx hands it on; the library refuses this one in its own place */
    assert_non_null(strstr(ask("GET /more",
                               "X-Speedy-Cookie: x=\"; refresh=a; y=\"\r\n"
                               "Cookie: refresh=b\r\n",
                               NULL),
                           "a|"));
}

static long budget(const char *header)
{
    const char *answer = body(ask("GET /more", header, NULL));

    return atol(strrchr(answer, '|') + 1);
}

static void the_callers_time_is_kept(void **state)
{
    (void)state;
    assert_in_range(budget("X-Speedy-Timeout: 700\r\n"), 300, 700);
    assert_int_equal(budget("X-Speedy-Timeout: 0\r\n"), 0);
    assert_in_range(budget(""), 9000, 10000);
    assert_in_range(budget("X-Speedy-Timeout: 1x\r\n"), 9000, 10000);
    assert_in_range(budget("X-Speedy-Timeout: -1\r\n"), 9000, 10000);
    assert_in_range(budget("X-Speedy-Timeout: 99999999999\r\n"), 9000, 10000);
    assert_in_range(budget("X-Speedy-Timeout: 600000\r\n"), 59000, 60000);
}

#define JSON "Content-Type: application/json\r\n"

static void bodies_are_strict(void **state)
{
    static const char *const types[] = {
        "", "Content-Type: text/plain\r\n",
        "Content-Type: application/jsonx\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        "Content-Type: application/json; charset=euc-kr\r\n"};
    const char *a;

    (void)state;
    a = ask("POST /strict", "Content-Type: Application/JSON; charset=UTF-8\r\n",
            "{\"email\":\"홍길동\"}");
    assert_string_equal(body(a), "홍길동");
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        assert_problem(ask("POST /strict", types[i], "{}"), 415,
                       "unsupported_media_type");
    assert_problem(ask("POST /strict", JSON, ""), 400, "invalid_json");
    assert_problem(ask("POST /strict", JSON, "{\"email\":"), 400,
                   "invalid_json");
    assert_problem(ask("POST /strict", JSON, "{} {}"), 400, "invalid_json");
    assert_problem(ask("POST /strict", JSON, "{\"email\":\"\xc0\x80\"}"), 400,
                   "invalid_json");
    assert_problem(
        ask("POST /strict", JSON, "{\"inner\":[[[[[[[[[[1]]]]]]]]]]}"), 400,
        "invalid_json");
    assert_problem(
        ask("POST /strict", JSON, "{\"email\":\"a\",\"email\":\"b\"}"), 400,
        "duplicate_field");
}

static void wrong_fields_are_pointed_at(void **state)
{
    static const struct {
        const char *body, *code, *errors;
    } cases[] = {
        {"[]", "invalid_request",
         "[{\"pointer\":\"\",\"code\":\"wrong_type\"}]"},
        {"1", "invalid_request",
         "[{\"pointer\":\"\",\"code\":\"wrong_type\"}]"},
        {"{\"Email\":1}", "unknown_field",
         "[{\"pointer\":\"/Email\",\"code\":\"unknown_field\"}]"},
        {"{\"a/b~c\\n\":1}", "unknown_field",
         "[{\"pointer\":\"/a~1b~0c\\u000a\",\"code\":\"unknown_field\"}]"},
        {"{\"inner\":{\"a\":1,\"b\":2}}", "unknown_field",
         "[{\"pointer\":\"/inner/b\",\"code\":\"unknown_field\"}]"},
        {"{\"email\":7}", "invalid_request",
         "[{\"pointer\":\"/email\",\"code\":\"email_invalid\"}]"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *a = ask("POST /strict", JSON, cases[i].body);
        enum speedy_json_error why;
        struct speedy_json *v =
            speedy_json_parse(body(a), strlen(body(a)), 4096, 3, &why);

        assert_int_equal(status(a), 400);
        assert_non_null(v);
        assert_string_equal(speedy_json_text(speedy_json_get(v, "code")),
                            cases[i].code);
        assert_int_equal(speedy_json_count(v), 6);
        assert_non_null(strstr(a, cases[i].errors));
        speedy_json_free(v);
    }
}

static void bodies_are_bounded(void **state)
{
    char big[302];
    const char *a;

    (void)state;
    memset(big, 'x', sizeof(big) - 1);
    big[301] = '\0';
    assert_problem(ask("POST /open", "", big), 413, "too_large");
    big[300] = '\0';
    a = ask("POST /open", "", big);
    assert_int_equal(status(a), 200);
    assert_non_null(strstr(a, "|300:xxx"));
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
    char long_header[140100];
    int n;

    (void)state;
    assert_int_equal(status(talk(both, sizeof(both) - 1)), 400);
    n = snprintf(long_header, sizeof(long_header),
                 "GET /healthz HTTP/1.1\r\nHost: x\r\nX: %0140000d\r\n\r\n", 0);
    assert_true(status(talk(long_header, (size_t)n)) >= 400);
}

/* Whatever nginx takes is answered by us, not by the library's own page. */
static void long_headers_of_nginx_are_taken(void **state)
{
    char text[20000];
    int n = snprintf(text, sizeof(text),
                     "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: "
                     "close\r\nA: %04000d\r\nB: %04000d\r\nCookie: a=1",
                     0, 0);

    (void)state;
    for (int i = 0; i < 900; i++)
        n += snprintf(text + n, sizeof(text) - (size_t)n, ";%x=%d", i, i % 10);
    n += snprintf(text + n, sizeof(text) - (size_t)n, "\r\n\r\n");
    assert_true(n > 12000);
    assert_int_equal(status(talk(text, (size_t)n)), 200);
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

/* A request on a connection of its own is answered. */
static bool serves(void *data)
{
    static const char text[] = "GET /healthz HTTP/1.1\r\nHost: x\r\n"
                               "Connection: close\r\n\r\n";

    (void)data;
    return strncmp(talk_quietly(text, sizeof(text) - 1), "HTTP/1.1 200", 12) ==
           0;
}

#define SLEEPERS 12

/* Twelve handlers of 600 ms wait beside one another; what comes above the
 * bound is turned away or waits, and the rest goes on. */
static void each_connection_may_have_a_thread(void **state)
{
    struct speedy_http each = config;
    int slow_status[SLEEPERS] = {0}, extra[24];
    pthread_t thread[SLEEPERS];
    int64_t before;

    (void)state;
    speedy_http_stop();
    each.threads = 0;
    each.connections = 16;
    assert_int_equal(speedy_http_start(&each), 0);
    before = speedy_now_boot();
    for (int i = 0; i < SLEEPERS; i++)
        pthread_create(&thread[i], NULL, ask_slowly, &slow_status[i]);
    assert_int_equal(status(ask("GET /healthz", "", NULL)), 200);
    for (int i = 0; i < SLEEPERS; i++) {
        pthread_join(thread[i], NULL);
        assert_int_equal(slow_status[i], 200);
    }
    assert_true(speedy_now_boot() - before < SLEEPERS * 600 / 2);
    /* more idle connections than there may be, then they are gone again */
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 24; i++)
            extra[i] = dial();
        for (int i = 0; i < 24; i++)
            close(extra[i]);
    }
    assert_true(servers_wait(serves, NULL, 5000));
    assert_int_equal(status(ask("POST /open", "", "abc")), 200);
    speedy_http_stop();
    assert_int_equal(speedy_http_start(&config), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_find_their_handlers),
        cmocka_unit_test(refusals_are_problems),
        cmocka_unit_test(the_first_route_that_fits_is_taken),
        cmocka_unit_test(every_method_has_its_body),
        cmocka_unit_test(paths_may_have_two_stars),
        cmocka_unit_test(roles_pass_by_their_rank),
        cmocka_unit_test(identity_is_checked),
        cmocka_unit_test(cookies_are_read_exactly),
        cmocka_unit_test(the_callers_time_is_kept),
        cmocka_unit_test(bodies_are_strict),
        cmocka_unit_test(wrong_fields_are_pointed_at),
        cmocka_unit_test(bodies_are_bounded),
        cmocka_unit_test(request_ids),
        cmocka_unit_test(every_daemon_tells_its_health),
        cmocka_unit_test(connections_are_kept),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(long_headers_of_nginx_are_taken),
        cmocka_unit_test(the_socket_is_ours_alone),
        cmocka_unit_test(a_dead_predecessors_socket_is_replaced),
        cmocka_unit_test(a_slow_handler_does_not_stop_the_others),
        cmocka_unit_test(each_connection_may_have_a_thread),
    };

    speedy_loop_init();
    speedy_log_init("http_server_test", 0);
    return cmocka_run_group_tests_name("http_server", tests, start, stop);
}
