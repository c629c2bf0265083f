/* Sections of speedy.conf that payd reads, and what they must agree on. */
#include <stdio.h>
#include <string.h>

#include "../common/loop.h"
#include "payd.h"

#define DAY_MS 86400000

struct payd_settings payd_settings;
char payd_actor[64] = "payd", payd_reconciler[64] = "reconciler";

#define S payd_settings
const struct speedy_setting payd_settings_table[] = {
    {"payd", "api", SPEEDY_CONF_TEXT, &S.api, "open", 0, 0},
    {"payd", "base_url", SPEEDY_CONF_TEXT, &S.base_url, NULL, 0, 0},
    {"payd", "cid", SPEEDY_CONF_TEXT, &S.cid, "TC0ONETIME", 0, 0},
    {"payd", "key_file", SPEEDY_CONF_TEXT, &S.key_file, NULL, 0, 0},
    {"payd", "key_kind", SPEEDY_CONF_TEXT, &S.key_kind, "SECRET_KEY", 0, 0},
    {"payd", "ca_file", SPEEDY_CONF_TEXT, &S.ca_file, NULL, 0, 0},
    {"payd", "shop_url", SPEEDY_CONF_TEXT, &S.shop_url, "http://127.0.0.1:8080",
     0, 0},
    {"payd", "result_url", SPEEDY_CONF_TEXT, &S.result_url, NULL, 0, 0},
    {"payd", "sandbox", SPEEDY_CONF_BOOL, &S.sandbox, "off", 0, 0},
    {"payd", "ready_timeout", SPEEDY_CONF_MSEC, &S.ready_timeout, "5s", 100,
     60000},
    {"payd", "approve_timeout", SPEEDY_CONF_MSEC, &S.approve_timeout, "15s",
     100, 60000},
    {"payd", "inquiry_timeout", SPEEDY_CONF_MSEC, &S.inquiry_timeout, "10s",
     100, 60000},
    {"payd", "cancel_timeout", SPEEDY_CONF_MSEC, &S.cancel_timeout, "15s", 100,
     60000},
    {"payd", "connections", SPEEDY_CONF_INT, &S.connections, "400", 1, 10000},
    {"payd", "workers", SPEEDY_CONF_INT, &S.workers, "8", 1, 64},
    {"payd", "http_threads", SPEEDY_CONF_INT, &S.http_threads, "2", 1, 16},
    {"payd", "tid_life", SPEEDY_CONF_MSEC, &S.tid_life, "15m", 1000, DAY_MS},
    {"payd", "order_wait", SPEEDY_CONF_MSEC, &S.order_wait, "2s", 0, 8000},
    {"payd", "inquiry_first", SPEEDY_CONF_MSEC, &S.inquiry_first, "1s", 50,
     60000},
    {"payd", "inquiry_most", SPEEDY_CONF_MSEC, &S.inquiry_most, "30s", 50,
     3600000},
    {"payd", "late_look", SPEEDY_CONF_MSEC, &S.late_look, "10m", 100, DAY_MS},
    {"payd", "refund_tries", SPEEDY_CONF_INT, &S.refund_tries, "10", 1, 1000},
    {"payd", "userd_instances", SPEEDY_CONF_INT, &S.userd_instances, "2", 1,
     99},
    {NULL, NULL, SPEEDY_CONF_TEXT, NULL, NULL, 0, 0},
};

static int wrong(const char *what)
{
    fprintf(stderr, "[payd] %s\n", what);
    return -1;
}

static bool loopback(const char *url)
{
    static const char *const hosts[] = {
        "http://127.0.0.1:", "http://localhost:", "https://127.0.0.1:",
        "https://localhost:"};

    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        if (strncmp(url, hosts[i], strlen(hosts[i])) == 0)
            return strchr(url + strlen(hosts[i]), '/') == NULL;
    }
    return false;
}

static void cut_slash(char *url)
{
    size_t len = strlen(url);

    while (len > 0 && url[len - 1] == '/')
        url[--len] = '\0';
}

int payd_settings_check(void)
{
    static char open_api[] = "https://open-api.kakaopay.com";
    static char legacy_api[] = "https://kapi.kakao.com";
    bool legacy = strcmp(S.api, "legacy") == 0;
    char *own = legacy ? legacy_api : open_api;

    if (!legacy && strcmp(S.api, "open") != 0)
        return wrong("api is open or legacy");
    if (S.base_url == NULL)
        S.base_url = own;
    cut_slash(S.base_url);
    cut_slash(S.shop_url);
    if (S.sandbox ? !loopback(S.base_url) : strcmp(S.base_url, own) != 0)
        return wrong("base_url: leave it out for KakaoPay itself; with"
                     " sandbox = on, a stand-in on 127.0.0.1 and its port");
    if (strlen(S.cid) != 10)
        return wrong("cid has 10 characters, as KakaoPay gave it");
    if (strcmp(S.key_kind, "SECRET_KEY") != 0 &&
        strcmp(S.key_kind, "DEV_SECRET_KEY") != 0)
        return wrong("key_kind is SECRET_KEY or DEV_SECRET_KEY");
    if (strlen(S.shop_url) > 180 || strncmp(S.shop_url, "http", 4) != 0)
        return wrong("shop_url is an address of at most 180 characters");
    if (S.result_url != NULL && strlen(S.result_url) > 400)
        return wrong("result_url is too long");
    return 0;
}
