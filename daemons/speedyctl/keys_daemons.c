/*
 * The userd that run on this host: does each of them know a master key? A row
 * that is wrapped by a key which they have not loaded is one that they cannot
 * read until they are started again.
 */
#include <curl/curl.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>

#include "keys.h"

#define TIMEOUT_MS 3000L

static size_t ignore(char *data, size_t size, size_t n, void *user)
{
    (void)data;
    (void)user;
    return size * n;
}

/* 1 it does, 0 it does not, -1 nobody listens at this socket, -2 no answer. */
static int knows(const char *socket, const char *id)
{
    CURL *curl = curl_easy_init();
    char url[128];
    long status = 0;
    CURLcode rc;

    if (curl == NULL)
        return -2;
    snprintf(url, sizeof(url), "http://userd/internal/master-keys/%s", id);
    curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, ignore);
    rc = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(curl);
    if (rc == CURLE_COULDNT_CONNECT)
        return -1;
    if (rc != CURLE_OK || (status != 204 && status != 404))
        return -2;
    return status == 204;
}

int keys_daemons_know(struct ctl *c, const char *id)
{
    char pattern[600];
    glob_t sockets;
    int code = 0;

    if (speedy_conf.http_directory == NULL)
        return 0;
    snprintf(pattern, sizeof(pattern), "%s/userd_*.sock",
             speedy_conf.http_directory);
    if (glob(pattern, 0, NULL, &sockets) != 0)
        return 0;
    for (size_t i = 0; code == 0 && i < sockets.gl_pathc; i++) {
        int n = knows(sockets.gl_pathv[i], id);

        if (n == 0)
            code = ctl_refuse(c,
                              "the userd at %s has not loaded key %s: restart "
                              "every userd, on every host, then run this again",
                              sockets.gl_pathv[i], id);
        else if (n == -2)
            code = ctl_refuse(c,
                              "the userd at %s does not say whether it knows "
                              "key %s: see that it answers, or stop it",
                              sockets.gl_pathv[i], id);
    }
    globfree(&sockets);
    return code;
}
