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
#include "../shop/text.h"

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

int ctl_act_begin(struct ctl *c, struct speedy_act *a)
{
    const char *reason = ctl_option(c, "reason");
    long length = speedy_text_length(reason ? reason : "");

    memset(a, 0, sizeof(*a));
    if (strlen(actor(c)) > SPEEDY_ACTOR_MAX || length < 0 ||
        length > SPEEDY_REASON_MAX)
        return ctl_usage(c,
                         "--actor has %d bytes, --reason %d characters at the "
                         "most",
                         SPEEDY_ACTOR_MAX, SPEEDY_REASON_MAX);
    if (ctl_db(c) == NULL)
        return CTL_REFUSED;
    a->db = c->db;
    a->actor = actor(c);
    a->reason = reason ? reason : "";
    return 0;
}

struct ctl_work {
    struct ctl *c;
    int (*work)(struct ctl *c, void *data);
    void *data;
};

static int act_work(struct speedy_act *a, void *data)
{
    struct ctl_work *w = data;
    int n;

    w->c->detail.len = 0;
    n = w->work(w->c, w->data);
    if (n == 0 && w->c->detail.len > 0)
        speedy_buf_add(&a->detail, w->c->detail.data, w->c->detail.len);
    return n;
}

int ctl_act(struct ctl *c, const char *act, const char *object,
            int (*work)(struct ctl *c, void *data), void *data)
{
    struct ctl_work w = {c, work, data};
    struct speedy_act a;
    int n = ctl_act_begin(c, &a);

    if (n != 0)
        return n;
    n = speedy_act_run(&a, act, object, act_work, &w);
    speedy_buf_free(&a.detail);
    if (n < 0)
        return ctl_db_failed(c, n);
    return n == 0 ? CTL_DONE : CTL_REFUSED;
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
