#include "rig.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "../../../daemons/common/log.h"
#include "../../../daemons/common/loop.h"
#include "../../../daemons/productd/board.h"
#include "../../../daemons/productd/productd.h"
#include "../common/servers.h"
#include "../common/shop_db.h"

struct speedy_buf rig_body, rig_headers;
static char path_of_socket[200], images[200];

static int staff_add(const char *id, const char *login, const char *role,
                     const char *state)
{
    return shop_db_do("INSERT INTO staff (id, login, role, state, "
                      "password_hash, sealed_totp, data_key, master_key) "
                      "VALUES ('%s', '%s', '%s', '%s', 'x', 'x', 'x', 'm1')",
                      id, login, role, state);
}

int rig_start(void **state)
{
    const struct speedy_http http = {
        .role = PRODUCTD_ROLE,
        .instance = 1,
        .routes = productd_routes,
        .max_body = PRODUCTD_IMAGE_MOST,
    };

    (void)state;
    speedy_log_init("test", 0);
    speedy_log_level_set("error");
    if (speedy_conf.redis_timeout == 0)
        speedy_conf.redis_timeout = 1000;
    if (shop_db_start() != 0 || servers_redis_start() != 0 ||
        staff_add("t1", "kim", "OPERATOR", "ACTIVE") != 0 ||
        staff_add("t2", "lee", "VIEWER", "ACTIVE") != 0 ||
        staff_add("t3", "park", "OPERATOR", "ENDED") != 0)
        return -1;
    servers_file("cursor-key",
                 "00112233445566778899aabbccddeeff"
                 "00112233445566778899aabbccddeeff",
                 0400);
    snprintf(images, sizeof(images), "%s/images", servers_dir());
    mkdir(images, 0755);
    productd_settings.images = images;
    productd_settings.max_age = 1000;
    productd_settings.stale = 2000;
    speedy_conf.http_directory = strdup(servers_dir());
    snprintf(path_of_socket, sizeof(path_of_socket), "%s/productd_1.sock",
             servers_dir());
    if (productd_cursor_init() != 0 || productd_board_init() != 0 ||
        speedy_stores_init(PRODUCTD_ROLE, 2) != 0)
        return -1;
    return speedy_http_start(&http);
}

int rig_stop(void **state)
{
    (void)state;
    speedy_http_stop();
    speedy_stores_free();
    productd_board_free();
    productd_cursor_free();
    speedy_buf_free(&rig_body);
    speedy_buf_free(&rig_headers);
    free(speedy_conf.http_directory);
    servers_stop();
    return 0;
}

static size_t take(char *data, size_t size, size_t n, void *buf)
{
    speedy_buf_add(buf, data, size * n);
    return size * n;
}

static struct curl_slist *line(struct curl_slist *list, const char *name,
                               const char *value)
{
    char text[600];

    if (value == NULL)
        return list;
    snprintf(text, sizeof(text), "%s: %s", name, value);
    return curl_slist_append(list, text);
}

long rig_ask(const char *method, const char *path, const char *user,
             const char *role, const char *type, const void *body, size_t len,
             const char *header)
{
    CURL *curl = curl_easy_init();
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    char url[8192];
    long status = 0;

    rig_body.len = rig_headers.len = 0;
    snprintf(url, sizeof(url), "http://productd%s", path);
    list = line(list, "X-Speedy-User", user);
    list = line(list, "X-Speedy-Role", role);
    list = line(list, "Content-Type", type);
    if (header != NULL)
        list = curl_slist_append(list, header);
    curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, path_of_socket);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &rig_body);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &rig_headers);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 20L);
    if (body != NULL) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)len);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    }
    curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(list);
    curl_easy_cleanup(curl);
    speedy_buf_add(&rig_body, "", 1);
    speedy_buf_add(&rig_headers, "", 1);
    return status;
}

long rig_get(const char *path)
{
    return rig_ask("GET", path, NULL, NULL, NULL, NULL, 0, NULL);
}

long rig_act(const char *method, const char *path, const char *json)
{
    return rig_ask(method, path, "t1", "OPERATOR",
                   json != NULL ? "application/json" : NULL, json,
                   json != NULL ? strlen(json) : 0, NULL);
}

bool rig_says(const char *text)
{
    if (strstr(rig_body.data, text) != NULL)
        return true;
    fprintf(stderr, "no %s in: %s\n", text, rig_body.data);
    return false;
}

const char *rig_member(const char *name)
{
    static char value[4096];
    char key[80];
    const char *at;

    snprintf(key, sizeof(key), "\"%s\":\"", name);
    at = strstr(rig_body.data, key);
    if (at == NULL)
        return "";
    at += strlen(key);
    snprintf(value, sizeof(value), "%.*s", (int)strcspn(at, "\""), at);
    return value;
}

static bool is_old(void *made)
{
    return speedy_now_boot() - *(int64_t *)made > 1000;
}

void rig_board_age(void)
{
    struct productd_board *b = productd_board_get();
    int64_t made = b != NULL ? b->made : 0;

    productd_board_put(b);
    servers_wait(is_old, &made, 5000);
}
