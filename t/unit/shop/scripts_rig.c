/*
 * The scripts as C functions over one connection to a private Redis.
 */
#include "scripts_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../common/servers.h"
#include "speedy_lua.h"

struct speedy_redis *rig;
struct speedy_keys rig_keys;

static struct speedy_script reserve = {"reserve", SPEEDY_LUA_RESERVE, ""};
static struct speedy_args args;
static redisReply *last;

static redisReply *run(struct speedy_script *script, size_t keys)
{
    freeReplyObject(last);
    last = speedy_redis_script(rig, script, keys, &args);
    assert_non_null(last);
    return last;
}

static const char *word(const redisReply *r)
{
    static char text[32];

    if (r->type == REDIS_REPLY_ARRAY) {
        assert_true(r->elements > 0);
        r = r->element[0];
    }
    assert_non_null(r->str);
    snprintf(text, sizeof(text), "%s", r->str);
    return text;
}

static int64_t number(const redisReply *r)
{
    return r->type == REDIS_REPLY_INTEGER ? r->integer
                                          : strtoll(r->str, NULL, 10);
}

static const void *keep_id(unsigned n)
{
    static unsigned char ids[8][16];
    static unsigned turn;
    unsigned char *id = ids[turn++ % 8];

    rig_id(n, id);
    return id;
}

void rig_id(unsigned n, unsigned char out[16])
{
    memset(out, 0, 16);
    memcpy(out, &n, sizeof(n));
}

void rig_flush(void)
{
    speedy_args_reset(&args);
    speedy_args_text(&args, "FLUSHALL");
    freeReplyObject(speedy_redis_command(rig, &args));
}

int64_t rig_number(const char *command, const char *key, const char *arg)
{
    redisReply *r;
    int64_t n;

    speedy_args_reset(&args);
    speedy_args_text(&args, command);
    speedy_args_text(&args, key);
    if (arg != NULL)
        speedy_args_text(&args, arg);
    r = speedy_redis_command(rig, &args);
    assert_non_null(r);
    n = r->type == REDIS_REPLY_NIL ? -1 : number(r);
    freeReplyObject(r);
    return n;
}

void rig_set(const char *key, const char *field, const char *value)
{
    speedy_args_reset(&args);
    speedy_args_text(&args, "HSET");
    speedy_args_text(&args, key);
    speedy_args_text(&args, field);
    speedy_args_text(&args, value);
    freeReplyObject(speedy_redis_command(rig, &args));
}

const char *rig_fence(int64_t token, const char *nonce)
{
    speedy_args_reset(&args);
    speedy_args_text(&args, rig_keys.loaded);
    speedy_args_text(&args, rig_keys.gate);
    speedy_args_int(&args, token);
    speedy_args_text(&args, speedy_redis_run_id(rig));
    speedy_args_text(&args, nonce);
    return word(run(&speedy_script_fence, 2));
}

static void stage_keys(const char *nonce)
{
    static char names[3][128];
    static const char *const what[] = {"resv", "user", "log"};

    for (int i = 0; i < 3; i++) {
        snprintf(names[i], sizeof(names[i]),
                 SPEEDY_KEY_PREFIX RIG_SALE SPEEDY_KEY_STAGE "%s:%s", nonce,
                 what[i]);
        speedy_args_text(&args, names[i]);
    }
}

void rig_stage(const char *nonce, unsigned order, const char *user,
               int64_t units, int64_t epoch, unsigned key)
{
    speedy_args_reset(&args);
    stage_keys(nonce);
    speedy_args_int(&args, 60000);
    speedy_args_add(&args, keep_id(order), 16);
    speedy_args_text(&args, user);
    speedy_args_text(&args, "v");
    speedy_args_int(&args, units);
    speedy_args_int(&args, 100);
    speedy_args_int(&args, epoch);
    speedy_args_int(&args, 1);
    speedy_args_int(&args, 2);
    speedy_args_int(&args, order);
    speedy_args_add(&args, keep_id(key), 16);
    speedy_args_add(&args, keep_id(0), 16);
    run(&speedy_script_stage, 3);
}

const char *rig_load(int64_t token, const char *nonce, int64_t epoch,
                     int64_t staged, int64_t users, int64_t stock)
{
    const char *keys[] = {rig_keys.loaded, rig_keys.gate, rig_keys.stock,
                          rig_keys.resv,   rig_keys.user, rig_keys.pend,
                          rig_keys.log,    rig_keys.adj};

    speedy_args_reset(&args);
    for (size_t i = 0; i < 8; i++)
        speedy_args_text(&args, keys[i]);
    stage_keys(nonce);
    speedy_args_int(&args, token);
    speedy_args_text(&args, speedy_redis_run_id(rig));
    speedy_args_text(&args, nonce);
    speedy_args_int(&args, epoch);
    speedy_args_int(&args, 1000);
    speedy_args_int(&args, staged);
    speedy_args_int(&args, users);
    speedy_args_text(&args, "v");
    speedy_args_int(&args, stock);
    return word(run(&speedy_script_load, 11));
}

const char *rig_renew(int64_t token, int64_t epoch, int64_t limit,
                      const char *state, int64_t opens_at, int64_t closes_at)
{
    speedy_args_reset(&args);
    speedy_args_text(&args, rig_keys.loaded);
    speedy_args_text(&args, rig_keys.gate);
    speedy_args_text(&args, rig_keys.stock);
    speedy_args_int(&args, token);
    speedy_args_text(&args, speedy_redis_run_id(rig));
    speedy_args_int(&args, epoch);
    speedy_args_int(&args, 60000);
    speedy_args_text(&args, "state");
    speedy_args_text(&args, state);
    speedy_args_text(&args, "opens_at");
    speedy_args_int(&args, opens_at);
    speedy_args_text(&args, "closes_at");
    speedy_args_int(&args, closes_at);
    speedy_args_text(&args, "limit");
    speedy_args_int(&args, limit);
    speedy_args_text(&args, "hold_ms");
    speedy_args_int(&args, 600000);
    speedy_args_text(&args, "price:v");
    speedy_args_int(&args, 100);
    speedy_args_text(&args, "held:v");
    speedy_args_int(&args, 3);
    return word(run(&speedy_script_renew, 3));
}

const char *rig_claim(int64_t token)
{
    speedy_args_reset(&args);
    speedy_args_text(&args, rig_keys.loaded);
    speedy_args_int(&args, token);
    speedy_args_text(&args, speedy_redis_run_id(rig));
    return word(run(&speedy_script_claim, 1));
}

void rig_open(int64_t epoch, int64_t limit, int64_t stock)
{
    rig_flush();
    assert_string_equal(rig_fence(RIG_TOKEN, RIG_NONCE), "DONE");
    assert_string_equal(rig_load(RIG_TOKEN, RIG_NONCE, epoch, 0, 0, stock),
                        "DONE");
    assert_string_equal(rig_renew(RIG_TOKEN, epoch, limit, "ACTIVE", 0, 0),
                        "DONE");
}

struct rig_reply rig_reserve(const char *user, int64_t quantity, unsigned order,
                             unsigned key, unsigned body)
{
    struct rig_reply out = {0};
    const redisReply *r;
    const redisReply *id;

    speedy_args_reset(&args);
    speedy_args_text(&args, rig_keys.gate);
    speedy_args_text(&args, rig_keys.stock);
    speedy_args_text(&args, rig_keys.resv);
    speedy_args_text(&args, rig_keys.user);
    speedy_args_text(&args, rig_keys.pend);
    speedy_args_text(&args, rig_keys.log);
    speedy_args_text(&args, speedy_redis_run_id(rig));
    speedy_args_add(&args, keep_id(order), 16);
    speedy_args_text(&args, user);
    speedy_args_text(&args, "v");
    speedy_args_int(&args, quantity);
    speedy_args_add(&args, keep_id(key), 16);
    speedy_args_add(&args, keep_id(body), 16);
    r = run(&reserve, 6);
    out.code = word(r);
    for (size_t i = 1; i < r->elements && i <= 8; i++) {
        if (r->element[i]->type == REDIS_REPLY_INTEGER ||
            r->element[i]->len < 16)
            out.number[i - 1] = number(r->element[i]);
    }
    id = strcmp(out.code, "LIMIT") == 0 ? r->element[3]
                                        : r->element[1 % r->elements];
    if (id->type == REDIS_REPLY_STRING && id->len == 16) {
        memcpy(out.id, id->str, 16);
        out.has_id = 1;
    }
    return out;
}

int rig_ack(int64_t epoch, unsigned order)
{
    speedy_args_reset(&args);
    speedy_args_text(&args, rig_keys.gate);
    speedy_args_text(&args, rig_keys.pend);
    speedy_args_text(&args, speedy_redis_run_id(rig));
    speedy_args_int(&args, epoch);
    speedy_args_add(&args, keep_id(order), 16);
    return (int)run(&speedy_script_ack, 2)->element[0]->integer;
}

const char *rig_release(int64_t token, unsigned order, int64_t target,
                        int64_t epoch)
{
    speedy_args_reset(&args);
    speedy_args_text(&args, rig_keys.loaded);
    speedy_args_text(&args, rig_keys.stock);
    speedy_args_text(&args, rig_keys.resv);
    speedy_args_text(&args, rig_keys.user);
    speedy_args_text(&args, rig_keys.pend);
    speedy_args_int(&args, token);
    speedy_args_text(&args, speedy_redis_run_id(rig));
    speedy_args_add(&args, keep_id(order), 16);
    speedy_args_int(&args, target);
    speedy_args_int(&args, epoch);
    return word(run(&speedy_script_release, 5));
}

const char *rig_adjust(const char *operation, const char *id, int64_t units,
                       int64_t epoch)
{
    speedy_args_reset(&args);
    speedy_args_text(&args, rig_keys.loaded);
    speedy_args_text(&args, rig_keys.stock);
    speedy_args_text(&args, rig_keys.resv);
    speedy_args_text(&args, rig_keys.adj);
    speedy_args_int(&args, RIG_TOKEN);
    speedy_args_text(&args, speedy_redis_run_id(rig));
    speedy_args_text(&args, operation);
    speedy_args_text(&args, id);
    speedy_args_text(&args, "v");
    speedy_args_int(&args, units);
    speedy_args_int(&args, epoch);
    return word(run(&speedy_script_adjust, 4));
}

int64_t rig_stock(void)
{
    return rig_number("HGET", rig_keys.stock, "v");
}

struct rig_sums rig_snapshot(void)
{
    struct rig_sums out;
    const redisReply *r;

    speedy_args_reset(&args);
    speedy_args_text(&args, rig_keys.loaded);
    speedy_args_text(&args, rig_keys.gate);
    speedy_args_text(&args, rig_keys.stock);
    speedy_args_text(&args, rig_keys.resv);
    speedy_args_text(&args, rig_keys.user);
    speedy_args_text(&args, rig_keys.pend);
    speedy_args_text(&args, speedy_redis_run_id(rig));
    r = run(&speedy_script_snapshot, 6);
    out.left = number(r->element[2]->element[1]);
    out.ledger = number(r->element[2]->element[2]);
    out.entries = r->element[3]->integer;
    out.pend = r->element[4]->integer;
    out.orphans = r->element[5]->integer;
    out.differ = r->element[6]->integer;
    return out;
}

int rig_start(void **state)
{
    (void)state;
    if (servers_redis_start() != 0)
        return -1;
    rig = speedy_redis_new();
    speedy_keys_make(&rig_keys, RIG_SALE);
    return rig == NULL ? -1 : speedy_redis_ready(rig);
}

int rig_stop(void **state)
{
    (void)state;
    freeReplyObject(last);
    last = NULL;
    speedy_args_free(&args);
    speedy_redis_free(rig);
    servers_stop();
    return 0;
}
