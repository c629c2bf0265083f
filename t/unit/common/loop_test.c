/* A daemon's life, in children: signals, duties, grace. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../../daemons/common/log.h"
#include "../../../daemons/common/loop.h"
#include "capture.h"
#include "servers.h"

static int ready[2];
static atomic_int turns;

static void say_ready(void)
{
    if (write(ready[1], "r", 1) != 1)
        _exit(99);
}

static long ticking(void *data)
{
    (void)data;
    if (atomic_fetch_add(&turns, 1) == 2)
        say_ready();
    return 1;
}

static long once(void *data)
{
    atomic_fetch_add((atomic_int *)data, 1);
    say_ready();
    return -1;
}

static long stubborn(void *data)
{
    sigset_t set;

    (void)data;
    /* a duty's thread takes no signals */
    pthread_sigmask(SIG_BLOCK, NULL, &set);
    if (!sigismember(&set, SIGTERM) || !sigismember(&set, SIGUSR1))
        _exit(98);
    say_ready();
    for (;;)
        pause();
    return 0;
}

static long stops_itself(void *data)
{
    (void)data;
    speedy_stop();
    speedy_stop();
    return 0;
}

static long sleepy(void *data)
{
    (void)data;
    say_ready();
    return 3600000;
}

static long closing(void *data)
{
    (void)data;
    say_ready();
    return 3600000;
}

/* A daemon with one duty; its exit status tells what happened. */
static pid_t daemon_start(long (*duty)(void *), void *data, long grace,
                          int hang)
{
    pid_t pid;
    char byte;

    assert_int_equal(pipe(ready), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        speedy_loop_init();
        if (speedy_duty_start("the-duty", duty, data) != 0)
            _exit(97);
        if (speedy_loop_run(grace) != 0)
            _exit(96);
        while (hang)
            pause();
        _exit(data != NULL ? atomic_load((atomic_int *)data) : 0);
    }
    close(ready[1]);
    if (duty != stops_itself)
        assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

static int status_of(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void assert_ends(pid_t pid, int code)
{
    int status = status_of(pid);

    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), code);
}

static void sigterm_ends_in_order(void **state)
{
    pid_t pid = daemon_start(ticking, NULL, 5000, 0);

    (void)state;
    kill(pid, SIGTERM);
    assert_ends(pid, 0);
}

static void a_stop_cuts_a_pause_short(void **state)
{
    int64_t before = speedy_now_boot();
    pid_t pid = daemon_start(sleepy, NULL, 5000, 0);

    (void)state;
    kill(pid, SIGINT);
    assert_ends(pid, 0);
    assert_true(speedy_now_boot() - before < 3000);
}

static void a_duty_may_stop_the_daemon(void **state)
{
    (void)state;
    assert_ends(daemon_start(stops_itself, NULL, 5000, 0), 0);
}

static void a_duty_that_ended_is_not_run_again(void **state)
{
    static atomic_int runs;
    pid_t pid = daemon_start(once, &runs, 5000, 0);

    (void)state;
    kill(pid, SIGQUIT);
    assert_ends(pid, 1); /* runs == 1 */
}

static void the_grace_is_bounded_and_names_the_duty(void **state)
{
    pid_t pid;

    (void)state;
    capture_start();
    pid = daemon_start(stubborn, NULL, 200, 0);
    kill(pid, SIGTERM);
    assert_ends(pid, 1);
    assert_non_null(strstr(capture_stop(), "running=the-duty"));
}

static void a_second_signal_ends_at_once(void **state)
{
    int64_t before = speedy_now_boot();
    pid_t pid;
    int status;

    (void)state;
    capture_start();
    pid = daemon_start(stubborn, NULL, 60000, 0);
    /* two signals of one kind may be taken as one: send until it is gone */
    while (waitpid(pid, &status, WNOHANG) == 0 &&
           speedy_now_boot() - before < 10000) {
        kill(pid, SIGTERM);
        speedy_pause(5);
    }
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    assert_non_null(strstr(capture_stop(), "why=\"a second signal\""));
}

static void what_is_closed_after_the_loop_is_bounded_too(void **state)
{
    int64_t before = speedy_now_boot();
    pid_t pid;

    (void)state;
    capture_start();
    pid = daemon_start(closing, NULL, 100, 1);
    kill(pid, SIGTERM);
    assert_ends(pid, 1);
    assert_non_null(strstr(capture_stop(), "closing took too long"));
    assert_true(speedy_now_boot() - before < 5000);
}

static void sigpipe_is_ignored(void **state)
{
    pid_t pid = daemon_start(ticking, NULL, 5000, 0);

    (void)state;
    kill(pid, SIGPIPE);
    kill(pid, SIGTERM);
    assert_ends(pid, 0);
}

static atomic_int worked;

static void work_short(void *data)
{
    atomic_fetch_add((atomic_int *)data, 1);
}

static void work_for_ever(void *data)
{
    (void)data;
    for (;;)
        pause();
}

static void bounded_work(void **state)
{
    int64_t before = speedy_now_boot();

    (void)state;
    assert_int_equal(speedy_bounded("short", work_short, &worked, 5000), 0);
    assert_int_equal(atomic_load(&worked), 1);
    capture_start();
    assert_int_equal(speedy_bounded("long", work_for_ever, NULL, 50), -1);
    assert_non_null(strstr(capture_stop(), "what=long"));
    assert_in_range(speedy_now_boot() - before, 50, 4000);
}

static void pauses_and_jitter(void **state)
{
    int64_t before = speedy_now_boot();

    (void)state;
    assert_false(speedy_pause(30));
    assert_in_range(speedy_now_boot() - before, 30, 3000);
    for (int i = 0; i < 1000; i++)
        assert_in_range(speedy_jitter(100), 50, 100);
    assert_int_equal(speedy_jitter(0), 0);
    assert_true(speedy_now_real() > INT64_C(1700000000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sigterm_ends_in_order),
        cmocka_unit_test(a_stop_cuts_a_pause_short),
        cmocka_unit_test(a_duty_may_stop_the_daemon),
        cmocka_unit_test(a_duty_that_ended_is_not_run_again),
        cmocka_unit_test(the_grace_is_bounded_and_names_the_duty),
        cmocka_unit_test(a_second_signal_ends_at_once),
        cmocka_unit_test(what_is_closed_after_the_loop_is_bounded_too),
        cmocka_unit_test(sigpipe_is_ignored),
        cmocka_unit_test(bounded_work),
        cmocka_unit_test(pauses_and_jitter),
    };

    speedy_log_init("loop_test", 0);
    return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
