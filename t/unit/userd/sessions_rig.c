#include "sessions_rig.h"

#include <curl/curl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../../daemons/common/conf.h"
#include "../../../daemons/common/crypto.h"
#include "../../../daemons/common/http_server.h"
#include "../../../daemons/common/log.h"
#include "../../../daemons/common/loop.h"
#include "../../../daemons/common/seal.h"
#include "../../../daemons/common/stores.h"
#include "../../../daemons/userd/hasher.h"
#include "../../../daemons/userd/routes.h"
#include "../../../daemons/userd/sessions.h"
#include "../../../daemons/userd/userd.h"
#include "../common/servers.h"
#include "../common/shop_db.h"

static struct speedy_redis *rc;
static char socket_path[200];
static char password_hash[USERD_HASH_SIZE];

static void settings(void)
{
    static char alg[] = "HS256", kid[] = "k1", key[] = "jwt-current",
                name[] = "speedy", url[] = "https://shop.example.com",
                origins[] = "https://m.example.com, https://desk.example.com/";

    userd_settings.shop_url = url;
    userd_session_settings = (struct userd_session_settings){
        .alg = alg,
        .kid = kid,
        .key = key,
        .issuer = name,
        .audience = name,
        .origins = origins,
        .token_life = 900000,
        .life = 30L * 86400000,
        .staff_life = 12 * 3600000,
        .refresh_grace = 10000,
        .most = 20,
        .login_tries = 5,
        .login_delay = 5000,
        .login_delay_most = 900000,
    };
    userd_hasher_settings = (struct userd_hasher_settings){
        .memory = 19922944,
        .passes = 2,
        .lanes = 1,
        .workers = 2,
        .queue = 64,
        .wait = 20000,
    };
}

static void secrets(void)
{
    static const char *const names[] = {"pepper", "refresh-key", "master-m1",
                                        "blind-index", "jwt-current"};
    static char master[] = "m1";
    unsigned char noise[32];
    char hex[65];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        speedy_random(noise, sizeof(noise));
        speedy_hex(noise, sizeof(noise), hex);
        servers_file(names[i], hex, 0400);
    }
    speedy_conf.keys_master = master;
}

int rig_setup(void **state)
{
    struct speedy_http http = {.role = "userd",
                               .instance = 1,
                               .routes = userd_routes,
                               .max_body = 16384};

    (void)state;
    speedy_log_init("test", 0);
    settings();
    if (shop_db_start() != 0 || servers_redis_start() != 0)
        return -1;
    secrets();
    speedy_conf.http_directory = strdup(servers_dir());
    snprintf(socket_path, sizeof(socket_path), "%s/userd_1.sock",
             servers_dir());
    rc = speedy_redis_new();
    if (rc == NULL || speedy_seal_init() != 0 || userd_hasher_start() != 0 ||
        userd_hash_password(RIG_PASSWORD, password_hash) != USERD_HASH_OK ||
        speedy_stores_init("userd", 16) != 0 || userd_sessions_start() != 0)
        return -1;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    return speedy_http_start(&http);
}

int rig_teardown(void **state)
{
    (void)state;
    speedy_stop();
    speedy_http_stop();
    userd_hasher_stop();
    speedy_redis_free(rc);
    servers_stop();
    return 0;
}

int rig_clean(void **state)
{
    static const char *const tables[] = {
        "refresh_tokens", "sessions", "login_failures", "outbox",
        "mails",          "users",    "staff",
    };

    (void)state;
    settings();
    if (servers_redis_start() != 0 || servers_mysql_start() != 0)
        return -1;
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        if (shop_db_do("DELETE FROM %s", tables[i]) != 0)
            return -1;
    }
    return 0;
}

void rig_user(const char *id, const char *email)
{
    const struct speedy_seal_place at = {"users", "sealed_email", id,
                                         strlen(id)};
    unsigned char index[SPEEDY_BLIND_INDEX], wrapped[SPEEDY_WRAPPED_KEY];
    unsigned char sealed[256 + SPEEDY_SEAL_EXTRA];
    char hex[33], key_hex[2 * SPEEDY_WRAPPED_KEY + 1], mail_hex[600];
    struct speedy_data_key key;

    speedy_blind_index("email", email, index);
    speedy_hex(index, sizeof(index), hex);
    speedy_data_key_new(&key, "users", id, strlen(id), wrapped);
    speedy_hex(wrapped, sizeof(wrapped), key_hex);
    speedy_hex(sealed, speedy_seal(&key, &at, email, strlen(email), sealed),
               mail_hex);
    assert_int_equal(
        shop_db_do("INSERT INTO users (id, email_index, sealed_email,"
                   " data_key, master_key, password_hash) VALUES ('%s',"
                   " x'%s', x'%s', x'%s', 'm1', '%s')",
                   id, hex, mail_hex, key_hex, password_hash),
        0);
}

void rig_staff(const char *id, const char *role)
{
    assert_int_equal(
        shop_db_do("INSERT INTO staff (id, login, role, password_hash,"
                   " sealed_totp, data_key, master_key) VALUES ('%s', '%s',"
                   " '%s', '%s', 'x', 'x', 'm1')",
                   id, id, role, password_hash),
        0);
}

static size_t take(char *data, size_t size, size_t n, void *buf)
{
    speedy_buf_add(buf, data, size * n);
    return size * n;
}

static struct curl_slist *header(struct curl_slist *list, const char *name,
                                 const char *value)
{
    char line[2048];

    if (value == NULL)
        return list;
    snprintf(line, sizeof(line), "%s: %s", name, value);
    return curl_slist_append(list, line);
}

/* What stands between a mark and one of the ends. */
static void cut(const char *text, const char *mark, const char *ends, char *out,
                size_t size)
{
    const char *at = text == NULL ? NULL : strstr(text, mark);

    out[0] = '\0';
    if (at == NULL)
        return;
    at += strlen(mark);
    snprintf(out, size, "%.*s", (int)strcspn(at, ends), at);
}

void rig_send(struct rig_call *c)
{
    CURL *curl = curl_easy_init();
    struct curl_slist *list = NULL;
    char url[300];

    rig_free(c);
    snprintf(url, sizeof(url), "http://userd%s", c->path);
    list = header(list, "X-Speedy-User", c->user);
    list = header(list, "X-Speedy-Role",
                  c->role != NULL || c->user == NULL ? c->role : "USER");
    list = header(list, "X-Speedy-Session", c->session);
    list = header(list, "Cookie", c->cookie);
    list = header(list, "Origin", c->origin);
    list = header(list, "User-Agent", c->agent);
    list = header(list, "Content-Type",
                  c->type != NULL ? c->type : "application/json");
    curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket_path);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, c->method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &c->out);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &c->headers);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 30L);
    if (c->body != NULL)
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, c->body);
    curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &c->status);
    curl_slist_free_all(list);
    curl_easy_cleanup(curl);
    speedy_buf_add(&c->out, "", 0);
    speedy_buf_add(&c->headers, "", 0);
    cut(c->headers.data, "Set-Cookie: ", "\r\n", c->set_cookie,
        sizeof(c->set_cookie));
    cut(c->set_cookie, "=", ";", c->refresh, sizeof(c->refresh));
    cut(c->out.data, "\"session_id\":\"", "\"", c->session_id,
        sizeof(c->session_id));
}

void rig_free(struct rig_call *c)
{
    speedy_buf_free(&c->out);
    speedy_buf_free(&c->headers);
}

void rig_expect(struct rig_call *c, long status, const char *code)
{
    char told[64];

    rig_send(c);
    cut(c->out.data, "\"code\":\"", "\"", told, sizeof(told));
    if (c->status != status || (code != NULL && strcmp(told, code) != 0))
        fail_msg("%s %s: %ld %s\n%s", c->method, c->path, c->status,
                 c->out.data, c->headers.data);
}

void rig_told(struct rig_call c, long status, const char *code)
{
    rig_expect(&c, status, code);
    rig_free(&c);
}

struct rig_call rig_login(const char *email, const char *agent)
{
    struct rig_call c = {
        .method = "POST", .path = "/api/v1/sessions", .agent = agent};
    char body[400];

    snprintf(body, sizeof(body),
             "{\"email\":\"%s\",\"password\":\"" RIG_PASSWORD "\"}", email);
    c.body = body;
    rig_expect(&c, 201, NULL);
    c.body = NULL;
    return c;
}

struct rig_call rig_refresh(const char *token)
{
    static _Thread_local char cookie[256];

    snprintf(cookie, sizeof(cookie), "theme=dark; speedy_refresh=%s", token);
    return (struct rig_call){
        .method = "POST", .path = "/api/v1/sessions/refresh", .cookie = cookie};
}

static redisReply *command(const char *const *words)
{
    struct speedy_args a = {0};
    redisReply *reply;

    for (; *words != NULL; words++)
        speedy_args_text(&a, *words);
    reply = speedy_redis_command(rc, &a);
    speedy_args_free(&a);
    return reply;
}

long long rig_redis(const char *const *words)
{
    redisReply *reply = command(words);
    long long n = -1;

    if (reply != NULL && reply->type == REDIS_REPLY_INTEGER)
        n = reply->integer;
    else if (reply != NULL && reply->type != REDIS_REPLY_NIL)
        n = (long long)reply->len;
    if (reply != NULL)
        freeReplyObject(reply);
    return n;
}

const char *rig_redis_get(const char *key)
{
    static char text[128];
    redisReply *reply = command((const char *const[]){"GET", key, NULL});

    text[0] = '\0';
    if (reply != NULL && reply->type == REDIS_REPLY_STRING)
        snprintf(text, sizeof(text), "%s", reply->str);
    if (reply != NULL)
        freeReplyObject(reply);
    return text;
}

const char *rig_run_id(void)
{
    /* a connection that was cut shows it at its next command */
    rig_redis((const char *const[]){"PING", NULL});
    return speedy_redis_ready(rc) == 0 ? speedy_redis_run_id(rc) : "";
}

bool rig_published(const char *sid)
{
    return rig_redis((const char *const[]){"ZSCORE", "speedy:sessions:ended",
                                           sid, NULL}) > 0;
}
