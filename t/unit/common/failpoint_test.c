/* Failpoints: killed once, paused until let go, else nothing. */
#ifndef SPEEDY_FAILPOINTS
#define SPEEDY_FAILPOINTS
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../../daemons/common/failpoint.h"
#include "../../../daemons/common/loop.h"
#include "capture.h"
#include "servers.h"

static char file[600];

static void words(const char *text)
{
    snprintf(file, sizeof(file), "%s", servers_file("fail", text, 0600));
    setenv("SPEEDY_FAILPOINTS_FILE", file, 1);
}

static const char *words_left(void)
{
    static char text[200];
    int fd = open(file, O_RDONLY);
    ssize_t n = read(fd, text, sizeof(text) - 1);

    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

/* A child that passes the point; true when it was killed there. */
static bool killed_at(const char *name)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        capture_start();
        speedy_failpoint(name);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static void nothing_is_set(void **state)
{
    (void)state;
    unsetenv("SPEEDY_FAILPOINTS_FILE");
    assert_false(killed_at("a"));
    setenv("SPEEDY_FAILPOINTS_FILE", "/nonexistent", 1);
    assert_false(killed_at("a"));
}

static void a_word_kills_once(void **state)
{
    (void)state;
    words("other=kill  a=kill\n b=kill");
    assert_true(killed_at("a"));
    assert_string_equal(words_left(), "other=kill  \n b=kill");
    assert_false(killed_at("a"));
    assert_false(killed_at("oth"));
    assert_true(killed_at("b"));
    assert_true(killed_at("other"));
}

static void the_environment_kills_too(void **state)
{
    (void)state;
    unsetenv("SPEEDY_FAILPOINTS_FILE");
    setenv("SPEEDY_FAILPOINTS", "x=unknown a=kill", 1);
    assert_true(killed_at("a"));
    assert_false(killed_at("x"));
    unsetenv("SPEEDY_FAILPOINTS");
}

static bool exists(void *path)
{
    return access(path, F_OK) == 0;
}

static void a_pause_lasts_until_let_go(void **state)
{
    char text[700], hit[700];
    int status;
    pid_t pid;

    (void)state;
    snprintf(text, sizeof(text), "a=pause:%s/p", servers_dir());
    snprintf(hit, sizeof(hit), "%s/p.hit", servers_dir());
    words(text);
    pid = fork();
    if (pid == 0) {
        capture_start();
        speedy_failpoint("a");
        _exit(7);
    }
    assert_true(servers_wait(exists, hit, 5000));
    assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
    /* the file is not held while somebody waits */
    words("");
    unlink(hit);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_set),
        cmocka_unit_test(a_word_kills_once),
        cmocka_unit_test(the_environment_kills_too),
        cmocka_unit_test(a_pause_lasts_until_let_go),
    };

    servers_dir();
    return cmocka_run_group_tests_name("failpoint", tests, NULL, NULL);
}
