/*
 * Requests that are answered later, from another thread: many at once on two
 * threads of the pool, clients that have left, and a stop meanwhile.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "../../../daemons/common/conf.h"
#include "../../../daemons/common/http_server.h"
#include "../../../daemons/common/log.h"
#include "../../../daemons/common/loop.h"
#include "servers.h"

#define MANY 40
#define WAIT_MS 300

static char socket_path[100];
static atomic_int taken, answered;

static void *finish(void *data)
{
    struct speedy_request *r = data;

    speedy_pause(WAIT_MS);
    r->status = 200;
    speedy_buf_printf(&r->out, "%s %s\n", r->id, r->path);
    speedy_buf_printf(&r->headers, "X-Later: yes\n");
    atomic_fetch_add(&answered, 1);
    speedy_request_finish(r);
    return NULL;
}

static void later(struct speedy_request *r, void *data)
{
    pthread_t thread;

    (void)data;
    r = speedy_request_later(r);
    atomic_fetch_add(&taken, 1);
    pthread_create(&thread, NULL, finish, r);
    pthread_detach(thread);
}

static const struct speedy_route routes[] = {
    {.method = "GET", .path = "/later/*", .handle = later, .anyone = true},
    {0},
};

static const struct speedy_http config = {.role = "payd",
                                          .instance = 1,
                                          .routes = routes,
                                          .max_body = 100,
                                          .threads = 2,
                                          .later = true};

static int start(void **state)
{
    (void)state;
    speedy_log_init("test", 0);
    speedy_conf.http_directory = (char *)servers_dir();
    snprintf(socket_path, sizeof(socket_path), "%s/payd_1.sock", servers_dir());
    atomic_store(&taken, 0);
    atomic_store(&answered, 0);
    return speedy_http_start(&config);
}

static int stop(void **state)
{
    (void)state;
    speedy_http_stop();
    return 0;
}

/* Asks for /later/<i>; the connection. */
static int ask(int i)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct timeval wait = {.tv_sec = 5};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), n;
    char text[100];

    snprintf(a.sun_path, sizeof(a.sun_path), "%s", socket_path);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    n = snprintf(text, sizeof(text),
                 "GET /later/%d HTTP/1.1\r\nHost: x\r\n\r\n", i);
    assert_int_equal(send(fd, text, (size_t)n, MSG_NOSIGNAL), n);
    return fd;
}

/* Whether the answer on this connection is that of /later/<i>. */
static bool told(int fd, int i)
{
    char answer[1000] = "", want[64];
    size_t n = 0;
    ssize_t got;

    snprintf(want, sizeof(want), "\r\n\r\n%d /later/%d\n", i, i);
    while (strstr(answer, want) == NULL && n < sizeof(answer) - 1 &&
           (got = read(fd, answer + n, sizeof(answer) - 1 - n)) > 0)
        n += (size_t)got;
    return strncmp(answer, "HTTP/1.1 200", 12) == 0 &&
           strstr(answer, "X-Later: yes") != NULL &&
           strstr(answer, want) != NULL;
}

static void many_wait_on_two_threads(void **state)
{
    int fd[MANY];
    int64_t before = speedy_now_boot();

    (void)state;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < MANY; i++)
            fd[i] = ask(i);
        for (int i = 0; i < MANY; i++)
            assert_true(told(fd[i], i));
        for (int i = 0; i < MANY; i++)
            close(fd[i]);
    }
    assert_true(speedy_now_boot() - before < MANY * WAIT_MS / 4);
}

static void clients_that_left(void **state)
{
    int fd;

    (void)state;
    for (int i = 0; i < MANY; i++)
        close(ask(i));
    fd = ask(0);
    assert_true(told(fd, 0));
    close(fd);
}

static bool is_taken(void *data)
{
    (void)data;
    return atomic_load(&taken) == 1;
}

static void a_stop_waits_for_them(void **state)
{
    int fd = ask(7);

    (void)state;
    assert_true(servers_wait(is_taken, NULL, 5000));
    speedy_http_stop();
    assert_int_equal(atomic_load(&answered), 1);
    close(fd);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, start, stop)
    const struct CMUnitTest tests[] = {
        CASE(many_wait_on_two_threads),
        CASE(clients_that_left),
        CASE(a_stop_waits_for_them),
    };

    return cmocka_run_group_tests_name("http later", tests, NULL, NULL);
}
