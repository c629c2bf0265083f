/*
 * The stores, opened by need, and the frame of every act of an operator.
 */
#include "ctl.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/conf.h"
#include "../common/crypto.h"
#include "../common/loop.h"

#define ACT_ATTEMPTS 8

struct speedy_db *ctl_db(struct ctl *c)
{
    if (c->db == NULL)
        c->db = speedy_db_new("speedyctl");
    if (c->db == NULL) {
        ctl_refuse(c,
                   "cannot read the password file %s/mysql-speedyctl: check "
                   "[secrets] directory and who may read it",
                   speedy_conf.secrets_directory);
        return NULL;
    }
    if (speedy_db_ready(c->db) != 0) {
        ctl_refuse(c, "MySQL does not answer: check [mysql] in speedy.conf "
                      "and that the server runs");
        return NULL;
    }
    return c->db;
}

struct speedy_redis *ctl_redis(struct ctl *c)
{
    if (c->redis == NULL)
        c->redis = speedy_redis_new();
    if (c->redis == NULL || speedy_redis_ready(c->redis) != 0) {
        ctl_refuse(c, "Redis does not answer: check [redis] in speedy.conf "
                      "and that the server runs");
        return NULL;
    }
    return c->redis;
}

void ctl_close(struct ctl *c)
{
    speedy_args_free(&c->redis_args);
    speedy_buf_free(&c->detail);
    speedy_redis_free(c->redis);
    speedy_db_free(c->db);
    c->redis = NULL;
    c->db = NULL;
}

int ctl_db_failed(const struct ctl *c, int status)
{
    switch (status) {
    case SPEEDY_DB_RETRY:
        return ctl_refuse(c, "MySQL was lost or busy: run it again");
    case SPEEDY_DB_DUPLICATE:
        return ctl_refuse(c, "it exists already");
    case SPEEDY_DB_REFUSED:
        return ctl_refuse(c, "a constraint of the schema refuses it");
    default:
        return ctl_refuse(c, "MySQL refused; the line above says why (is the "
                             "schema current? speedyctl migrate)");
    }
}

int64_t ctl_db_now(struct ctl *c)
{
    int64_t ms = 0;
    int n;

    if (ctl_db(c) == NULL)
        return -1;
    n = speedy_db_number(c->db, "SELECT " CTL_MS("UTC_TIMESTAMP(3)"), DB_NONE,
                         &ms);
    if (n == 1)
        return ms;
    ctl_db_failed(c, n);
    return -1;
}

int64_t ctl_int(const struct speedy_db_value *v)
{
    if (v->kind == SPEEDY_DB_INT)
        return v->number;
    if (v->kind == SPEEDY_DB_BYTES && v->len > 0)
        return strtoll(v->bytes, NULL, 10);
    return 0;
}

static const char *actor(const struct ctl *c)
{
    static char name[64];
    const char *given = ctl_option(c, "actor");
    const struct passwd *pw;

    if (given != NULL)
        return given;
    pw = getpwuid(getuid());
    if (pw != NULL)
        snprintf(name, sizeof(name), "%s", pw->pw_name);
    else
        snprintf(name, sizeof(name), "uid:%u", (unsigned)getuid());
    return name;
}

/* One attempt. 0 done, 1 refused, < 0 a status. */
static int act_once(struct ctl *c, const char *id, const char *act,
                    const char *object, int (*work)(struct ctl *c, void *data),
                    void *data)
{
    const char *reason = ctl_option(c, "reason");
    struct speedy_buf row = {0};
    int n;

    c->detail.len = 0;
    if (speedy_db_begin(c->db) != 0)
        return SPEEDY_DB_RETRY;
    n = work(c, data);
    if (n == 0) {
        speedy_buf_printf(&row, "{\"act_id\":\"%s\"%s%s}", id,
                          c->detail.len ? "," : "",
                          c->detail.len ? c->detail.data : "");
        n = speedy_db_exec(
            c->db,
            "INSERT INTO audit_log (actor, act, object, reason,"
            " detail) VALUES (?, ?, ?, ?, ?)",
            DB_ARGS(DB_TEXT(actor(c)), DB_TEXT(act), DB_TEXT(object),
                    DB_TEXT(reason ? reason : ""), DB_BYTES(row.data, row.len)),
            NULL);
        speedy_buf_free(&row);
    }
    if (n == 0)
        return speedy_db_commit(c->db);
    speedy_db_rollback(c->db);
    return n;
}

/* Whether an attempt whose COMMIT was not answered was committed after all. */
static int act_committed(struct ctl *c, const char *id, const char *object)
{
    int64_t n = 0;
    int status;

    status = speedy_db_number(
        c->db,
        "SELECT COUNT(*) FROM audit_log WHERE object = ? AND detail LIKE "
        "CONCAT('{\"act_id\":\"', ?, '\"%')",
        DB_ARGS(DB_TEXT(object), DB_TEXT(id)), &n);
    return status < 0 ? status : n > 0;
}

int ctl_act(struct ctl *c, const char *act, const char *object,
            int (*work)(struct ctl *c, void *data), void *data)
{
    unsigned char raw[16];
    char id[37];
    int n = SPEEDY_DB_RETRY;

    if (strlen(actor(c)) > 64 ||
        (ctl_option(c, "reason") && strlen(ctl_option(c, "reason")) > 200))
        return ctl_usage(c, "--actor has 64, --reason 200 bytes at the most");
    speedy_uuid7(raw);
    speedy_uuid_text(raw, id);
    for (int i = 0; i < ACT_ATTEMPTS; i++) {
        if (i > 0)
            speedy_pause(speedy_jitter(50L << i));
        if (ctl_db(c) == NULL)
            continue;
        if (i > 0) {
            n = act_committed(c, id, object);
            if (n == 1)
                return CTL_DONE;
            if (n < 0)
                continue;
        }
        n = act_once(c, id, act, object, work, data);
        if (n == 0)
            return CTL_DONE;
        if (n == 1)
            return CTL_REFUSED;
        if (n != SPEEDY_DB_RETRY)
            break;
    }
    return ctl_db_failed(c, n);
}

void ctl_print(struct speedy_buf *b)
{
    if (b->len > 0) {
        fwrite(b->data, 1, b->len, stdout);
        if (b->data[b->len - 1] != '\n')
            fputc('\n', stdout);
    }
    speedy_buf_free(b);
}
