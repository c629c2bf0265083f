/* Addresses of faultproxy: TCP by name and port, and unix sockets by path. */
#include "proxy.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

int address_parse(struct address *a, const char *text)
{
    char host[256] = "127.0.0.1";
    const char *port = text;

    memset(a, 0, sizeof(*a));

    if (strncmp(text, "unix:", 5) == 0) {
        struct sockaddr_un *un = (struct sockaddr_un *)&a->ss;
        size_t len = strlen(text + 5);
        if (len == 0 || len >= sizeof(un->sun_path)) {
            return -1;
        }
        un->sun_family = AF_UNIX;
        memcpy(un->sun_path, text + 5, len + 1);
        a->len = sizeof(*un);
        return 0;
    }

    const char *colon = strrchr(text, ':');
    if (colon != NULL) {
        size_t len = (size_t)(colon - text);
        if (len >= sizeof(host)) {
            return -1;
        }
        memcpy(host, text, len);
        host[len] = '\0';
        port = colon + 1;
    }

    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    if (getaddrinfo(host, port, &hints, &found) != 0) {
        return -1;
    }
    memcpy(&a->ss, found->ai_addr, found->ai_addrlen);
    a->len = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

int address_listen(const struct address *a)
{
    int one = 1;
    int fd =
        socket(a->ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return -1;
    }
    if (a->ss.ss_family == AF_UNIX) {
        unlink(((const struct sockaddr_un *)&a->ss)->sun_path);
    } else {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    }
    if (bind(fd, (const struct sockaddr *)&a->ss, a->len) != 0 ||
        listen(fd, 1024) != 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}
