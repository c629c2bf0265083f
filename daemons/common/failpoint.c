/*
 * Failpoints: see the header. Always compiled, yet linked only into binaries
 * that call it: the object stays in the archive otherwise. The file is locked
 * while a `kill` word is taken out of it, so that of two daemons that reach
 * the point at once only one dies for one word.
 */
#ifndef SPEEDY_FAILPOINTS
#define SPEEDY_FAILPOINTS
#endif
#include "failpoint.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "loop.h"

#define WORDS_MAX_BYTES 4096
#define PAUSE_MAX_MS 60000

/* The action of name's word; *at and *len give the word's place. */
static const char *find(const char *words, const char *name, const char **at,
                        size_t *len)
{
    size_t name_len = strlen(name);

    while (*(words += strspn(words, " \t\n")) != '\0') {
        *len = strcspn(words, " \t\n");
        if (*len > name_len && memcmp(words, name, name_len) == 0 &&
            words[name_len] == '=') {
            *at = words;
            return words + name_len + 1;
        }
        words += *len;
    }
    return NULL;
}

static void pause_at(const char *name, const char *path, size_t len)
{
    char hit[1024];
    int64_t end = speedy_now_boot() + PAUSE_MAX_MS;
    struct timespec tick = {.tv_nsec = 5000000};
    int fd;

    snprintf(hit, sizeof(hit), "%.*s.hit", (int)len, path);
    fd = open(hit, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return;
    close(fd);
    speedy_log(SPEEDY_WARN, "failpoint: pause", "name=%s", name);
    while (access(hit, F_OK) == 0 && speedy_now_boot() < end)
        nanosleep(&tick, NULL);
}

static void act(const char *name, const char *words, int fd)
{
    const char *at = NULL;
    size_t len = 0;
    const char *action = find(words, name, &at, &len);
    size_t rest;

    if (action == NULL)
        return;
    rest = len - (size_t)(action - at);
    if (rest > 6 && memcmp(action, "pause:", 6) == 0) {
        if (fd >= 0)
            flock(fd, LOCK_UN);
        pause_at(name, action + 6, rest - 6);
        return;
    }
    if (rest != 4 || memcmp(action, "kill", 4) != 0) {
        speedy_log(SPEEDY_WARN, "failpoint: unknown action", "name=%s", name);
        return;
    }
    if (fd >= 0) {
        size_t head = (size_t)(at - words), tail = strlen(at + len);

        if (pwrite(fd, at + len, tail, (off_t)head) != (ssize_t)tail ||
            ftruncate(fd, (off_t)(head + tail)) != 0)
            return;
    }
    speedy_log(SPEEDY_WARN, "failpoint: kill", "name=%s", name);
    kill(getpid(), SIGKILL);
}

void speedy_failpoint_hit(const char *name)
{
    const char *words = getenv("SPEEDY_FAILPOINTS");
    const char *file = getenv("SPEEDY_FAILPOINTS_FILE");
    char text[WORDS_MAX_BYTES];
    ssize_t n;
    int fd;

    if (words != NULL)
        act(name, words, -1);
    if (file == NULL)
        return;
    fd = open(file, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    flock(fd, LOCK_EX);
    n = pread(fd, text, sizeof(text) - 1, 0);
    if (n > 0) {
        text[n] = '\0';
        act(name, text, fd);
    }
    close(fd);
}
