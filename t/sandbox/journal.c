/*
 * One line for each change of a payment, on disk before anybody is told of
 * it. Whoever waits first writes for all that came meanwhile (group commit),
 * so that hundreds of calls in flight share one fdatasync. A line that a kill
 * cut off is dropped when the file is read back: nobody had been told.
 */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../daemons/common/log.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t written = PTHREAD_COND_INITIALIZER;
static struct speedy_buf waiting;
static uint64_t appended, synced;
static bool writing;
static int fd = -1;

/* What was promised can not be kept: better dead than wrong. */
static void fail(const char *what)
{
    speedy_log(SPEEDY_ERROR, "journal", "call=%s error=%s", what,
               strerror(errno));
    abort();
}

static void write_all(int to, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(to, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            fail("write");
        data += n;
        len -= (size_t)n;
    }
    if (fdatasync(to) != 0)
        fail("fdatasync");
}

/* The file's lines into the ledger; how many. */
static long read_back(const char *path)
{
    FILE *in = fopen(path, "r");
    char *line = NULL;
    size_t size = 0;
    ssize_t n;
    long lines = 0;

    if (in == NULL)
        return 0;
    while ((n = getline(&line, &size, in)) > 0) {
        if (line[n - 1] != '\n' || snapshot_read(line, (size_t)n) != 0) {
            speedy_log(SPEEDY_WARN, "a line of the state is not whole",
                       "line=%ld", lines + 1);
            break;
        }
        lines++;
    }
    free(line);
    fclose(in);
    return lines;
}

static void settings_line(struct speedy_buf *b)
{
    speedy_buf_printf(
        b, "{\"clock_offset\":%lld,\"settings\":", (long long)clock_offset());
    settings_write(b);
    speedy_buf_add(b, "}\n", 2);
}

int journal_open(const char *path)
{
    struct speedy_buf b = {0};
    char next[4096];
    long lines;

    if (snprintf(next, sizeof(next), "%s.new", path) >= (int)sizeof(next))
        return -1;
    lines = read_back(path);
    settings_line(&b);
    for (size_t i = 0; i < ledger_count(); i++)
        snapshot_write(&b, ledger_at(i));
    fd = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) {
        speedy_log(SPEEDY_ERROR, "no state file", "path=%s error=%s", next,
                   strerror(errno));
        speedy_buf_free(&b);
        return -1;
    }
    write_all(fd, b.data, b.len);
    speedy_buf_free(&b);
    if (rename(next, path) != 0)
        fail("rename");
    speedy_log(SPEEDY_INFO, "state read", "lines=%ld payments=%zu", lines,
               ledger_count());
    return 0;
}

static uint64_t append(const struct speedy_buf *line)
{
    uint64_t n;

    if (fd < 0)
        return 0;
    pthread_mutex_lock(&lock);
    speedy_buf_add(&waiting, line->data, line->len);
    n = ++appended;
    pthread_mutex_unlock(&lock);
    return n;
}

void journal_payment(struct payment *p)
{
    struct speedy_buf line = {0};

    if (fd < 0)
        return;
    snapshot_write(&line, p);
    p->record = append(&line);
    speedy_buf_free(&line);
}

uint64_t journal_settings(void)
{
    struct speedy_buf line = {0};
    uint64_t n;

    settings_line(&line);
    n = append(&line);
    speedy_buf_free(&line);
    return n;
}

void journal_sync(uint64_t n)
{
    pthread_mutex_lock(&lock);
    while (synced < n) {
        struct speedy_buf mine = waiting;
        uint64_t upto = appended;

        if (writing) {
            pthread_cond_wait(&written, &lock);
            continue;
        }
        writing = true;
        waiting = (struct speedy_buf){0};
        pthread_mutex_unlock(&lock);
        write_all(fd, mine.data, mine.len);
        speedy_buf_free(&mine);
        pthread_mutex_lock(&lock);
        writing = false;
        synced = upto;
        pthread_cond_broadcast(&written);
    }
    pthread_mutex_unlock(&lock);
}

void journal_clear(void)
{
    if (fd < 0)
        return;
    pthread_mutex_lock(&lock);
    while (writing)
        pthread_cond_wait(&written, &lock);
    speedy_buf_free(&waiting);
    synced = appended;
    if (ftruncate(fd, 0) != 0)
        fail("ftruncate");
    pthread_mutex_unlock(&lock);
}
