/*
 * Images on disk. A name is the digest of what it names: the same bytes twice
 * are one file, and a file, once there, never changes. A file without a row
 * (the act was refused after this) is harmless.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/crypto.h"
#include "../common/log.h"
#include "image.h"

static int failed(const char *what, const char *path)
{
    speedy_log(SPEEDY_ERROR, "image not stored", "step=%s path=%s error=\"%s\"",
               what, path, strerror(errno));
    return -1;
}

static int write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

/* The temporary file, on the disk when this returns 0. */
static int write_new(const char *path, const void *data, size_t len)
{
    int fd =
        open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    int rc;

    if (fd < 0)
        return -1;
    rc = write_all(fd, data, len);
    if (rc == 0)
        rc = fsync(fd);
    if (close(fd) != 0)
        rc = -1;
    return rc;
}

static void sync_directory(const char *directory)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

int productd_image_store(const char *directory, const void *data, size_t len,
                         const char *type, char hash[65])
{
    unsigned char digest[32], random[8];
    char path[1200], temporary[1200], name[17];
    struct stat st;

    speedy_sha256(data, len, digest);
    speedy_hex(digest, sizeof(digest), hash);
    speedy_random(random, sizeof(random));
    speedy_hex(random, sizeof(random), name);
    snprintf(path, sizeof(path), "%s/%s.%s", directory, hash, type);
    snprintf(temporary, sizeof(temporary), "%s/.new-%s", directory, name);
    if (stat(path, &st) == 0 && st.st_size == (off_t)len)
        return 0;
    if (write_new(temporary, data, len) != 0) {
        failed("write", temporary);
        unlink(temporary);
        return -1;
    }
    if (rename(temporary, path) != 0) {
        failed("rename", path);
        unlink(temporary);
        return -1;
    }
    sync_directory(directory);
    return 0;
}
