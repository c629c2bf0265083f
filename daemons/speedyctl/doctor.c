/*
 * `doctor`: is this machine, and what the daemons stand on, as the design
 * needs it? Every check says ok, warn or fail, and what to do.
 */
#include "doctor.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "../common/conf.h"
#include "audit.h"

#define NOFILE_WANTED 8192
#define SKEW_MS 1000

void doctor_say(struct doctor *d, enum doctor_level level, const char *what,
                const char *found, const char *remedy)
{
    static const char *const words[] = {"ok", "warn", "fail"};
    struct speedy_buf *b = &d->json;

    d->warned += level == DOCTOR_WARN;
    d->failed += level == DOCTOR_FAIL;
    if (level == DOCTOR_OK)
        remedy = NULL;
    if (!d->c->json) {
        printf("%-4s  %s: %s\n", words[level], what, found);
        if (remedy != NULL)
            printf("      -> %s\n", remedy);
        return;
    }
    speedy_buf_printf(b, "%s{\"check\":", d->count++ ? "," : "");
    speedy_buf_json(b, what);
    speedy_buf_printf(b, ",\"state\":\"%s\",\"found\":", words[level]);
    speedy_buf_json(b, found);
    speedy_buf_printf(b, ",\"remedy\":");
    speedy_buf_json(b, remedy);
    speedy_buf_printf(b, "}");
}

static void machine(struct doctor *d)
{
    struct rlimit limit;
    char found[64];

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    snprintf(found, sizeof(found), "%llu (hard %llu)",
             (unsigned long long)limit.rlim_cur,
             (unsigned long long)limit.rlim_max);
    doctor_say(d, limit.rlim_max >= NOFILE_WANTED ? DOCTOR_OK : DOCTOR_WARN,
               "open files", found,
               "raise LimitNOFILE to 8192 or more (nginx: two for each "
               "connection)");
}

/* One file of the secrets; modes only, never what is in it. */
static void secret(struct doctor *d, int dir, const char *name)
{
    struct stat st;
    char found[320];

    if (fstatat(dir, name, &st, 0) != 0 || !S_ISREG(st.st_mode))
        return;
    if ((st.st_mode & 077) == 0 && st.st_size > 0)
        return;
    snprintf(found, sizeof(found), "%s: mode %04o, %lld bytes", name,
             (unsigned)(st.st_mode & 07777), (long long)st.st_size);
    doctor_say(d, DOCTOR_FAIL, "secret", found,
               "chmod 0400, owned by the account that needs it; never empty");
}

static void secrets(struct doctor *d)
{
    const char *path = speedy_conf.secrets_directory;
    DIR *dir = opendir(path);
    const struct dirent *e;
    int before = d->failed, n = 0;
    char found[600];

    if (dir == NULL) {
        doctor_say(d, DOCTOR_FAIL, "secrets", path,
                   "cannot be read: [secrets] directory, and run this as an "
                   "account that may");
        return;
    }
    while ((e = readdir(dir)) != NULL) {
        if (e->d_name[0] == '.')
            continue;
        secret(d, dirfd(dir), e->d_name);
        n++;
    }
    closedir(dir);
    snprintf(found, sizeof(found), "%d files in %.500s", n, path);
    if (d->failed == before)
        doctor_say(d, DOCTOR_OK, "secrets", found, NULL);
}

static int variable_row(void *data, const struct speedy_db_value *col,
                        size_t cols)
{
    (void)cols;
    snprintf(data, 1024, "%s",
             col[0].kind == SPEEDY_DB_BYTES ? (const char *)col[0].bytes : "");
    return 0;
}

/* A server variable as text; "" when it cannot be read. */
static const char *variable(struct doctor *d, const char *sql)
{
    static char value[1024];

    value[0] = '\0';
    speedy_db_query(d->c->db, sql, DB_NONE, variable_row, value);
    return value;
}

static void mysql_settings(struct doctor *d)
{
    const char *v = variable(d, "SELECT VERSION()");
    bool maria = strstr(v, "MariaDB") != NULL;
    int major = atoi(v);
    bool right;

    right =
        maria ? major > 10 || (major == 10 && atoi(v + 3) >= 11) : major >= 8;
    doctor_say(d, right ? DOCTOR_OK : DOCTOR_FAIL, "mysql version", v,
               "MySQL 8.0 or MariaDB 10.11, or newer");
    v = variable(d, "SELECT @@global.sql_mode");
    doctor_say(d, strstr(v, "STRICT_") ? DOCTOR_OK : DOCTOR_FAIL,
               "mysql sql_mode", v, "add STRICT_ALL_TABLES");
    v = variable(d, "SELECT CONCAT(@@global.innodb_flush_log_at_trx_commit)");
    doctor_say(d, strcmp(v, "1") == 0 ? DOCTOR_OK : DOCTOR_FAIL,
               "mysql innodb_flush_log_at_trx_commit", v,
               "set it to 1: a commit must be on the disk");
    v = variable(d, "SELECT CONCAT(@@global.log_bin + 0, '/', "
                    "@@global.sync_binlog)");
    doctor_say(d,
               strncmp(v, "0/", 2) == 0 || strcmp(v, "1/1") == 0 ? DOCTOR_OK
                                                                 : DOCTOR_WARN,
               "mysql log_bin/sync_binlog", v,
               "with a binary log, set sync_binlog to 1");
    v = variable(d, "SELECT CONCAT(@@session.time_zone)");
    doctor_say(d, strcmp(v, "+00:00") == 0 ? DOCTOR_OK : DOCTOR_FAIL,
               "mysql session's time zone", v, "sessions must be UTC");
    v = variable(d, "SELECT CONCAT(MAX(version), ' applied ', MAX(applied_at)) "
                    "FROM schema_migrations WHERE applied_at IS NOT NULL");
    doctor_say(d, *v ? DOCTOR_OK : DOCTOR_FAIL, "schema",
               *v ? v : "not migrated", "speedyctl migrate");
}

/* The value of a line of INFO, copied into out. */
static const char *info(const char *text, const char *name, char out[64])
{
    const char *at = strstr(text, name);

    out[0] = '\0';
    if (at != NULL)
        snprintf(out, 64, "%.*s", (int)strcspn(at + strlen(name), "\r\n"),
                 at + strlen(name));
    return out;
}

static void redis_config(struct doctor *d)
{
    struct speedy_args *a = &d->c->redis_args;
    redisReply *r;

    speedy_args_reset(a);
    speedy_args_text(a, "CONFIG");
    speedy_args_text(a, "GET");
    speedy_args_text(a, "lazyfree-lazy-server-del");
    r = speedy_redis_command(d->c->redis, a);
    if (r != NULL && r->type == REDIS_REPLY_ARRAY && r->elements == 2)
        doctor_say(
            d, strcmp(r->element[1]->str, "yes") == 0 ? DOCTOR_OK : DOCTOR_WARN,
            "redis lazyfree-lazy-server-del", r->element[1]->str,
            "set it to yes: a rebuild renames over large keys");
    else
        doctor_say(d, DOCTOR_OK, "redis lazyfree-lazy-server-del",
                   "not told to this account (as it should be): it must be "
                   "yes",
                   NULL);
    freeReplyObject(r);
}

static void redis_settings(struct doctor *d)
{
    struct speedy_args *a = &d->c->redis_args;
    char value[64];
    redisReply *r;

    speedy_args_reset(a);
    speedy_args_text(a, "INFO");
    r = speedy_redis_command(d->c->redis, a);
    if (r == NULL || r->type != REDIS_REPLY_STRING) {
        doctor_say(d, DOCTOR_WARN, "redis INFO", "not told",
                   "allow +info to this account");
        freeReplyObject(r);
        return;
    }
    info(r->str, "redis_version:", value);
    doctor_say(d, atoi(value) >= 7 ? DOCTOR_OK : DOCTOR_FAIL, "redis version",
               value, "Redis 7.0 or newer (scripts use flags)");
    info(r->str, "maxmemory_policy:", value);
    doctor_say(d, strcmp(value, "noeviction") == 0 ? DOCTOR_OK : DOCTOR_FAIL,
               "redis maxmemory-policy", value,
               "set it to noeviction: an evicted ledger entry is an oversell");
    info(r->str, "aof_enabled:", value);
    doctor_say(d, DOCTOR_OK, "redis append-only file",
               strcmp(value, "1") == 0 ? "on (costs half of the hot path, no "
                                         "promise needs it)"
                                       : "off",
               NULL);
    freeReplyObject(r);
    doctor_say(d, speedy_conf.redis_user ? DOCTOR_OK : DOCTOR_WARN,
               "redis account",
               speedy_conf.redis_user ? speedy_conf.redis_user : "default",
               "give an ACL user of the needed commands: [redis] user, "
               "password_file");
    redis_config(d);
}

static void clocks(struct doctor *d)
{
    int64_t db, redis;
    char found[96];

    if (audit_clock_skew(d->c, &db, &redis) != 0)
        return;
    snprintf(found, sizeof(found), "mysql %+lld ms, redis %+lld ms",
             (long long)db, (long long)redis);
    doctor_say(d,
               llabs(db) < SKEW_MS && llabs(redis) < SKEW_MS ? DOCTOR_OK
                                                             : DOCTOR_FAIL,
               "clocks against this host", found,
               "run a time service (chrony) on every host");
}

int ctl_doctor(struct ctl *c)
{
    struct doctor d = {.c = c};
    bool mysql, redis;

    if (c->json)
        speedy_buf_printf(&d.json, "{\"checks\":[");
    machine(&d);
    secrets(&d);
    mysql = ctl_db(c) != NULL;
    if (mysql)
        mysql_settings(&d);
    else
        doctor_say(&d, DOCTOR_FAIL, "mysql", "no answer",
                   "check [mysql] and that the server runs");
    redis = ctl_redis(c) != NULL;
    if (redis)
        redis_settings(&d);
    else
        doctor_say(&d, DOCTOR_FAIL, "redis", "no answer",
                   "check [redis] and that the server runs");
    if (mysql && redis)
        clocks(&d);
    doctor_kafka(&d);
    doctor_mail(&d);
    doctor_accounts(&d, mysql);
    if (c->json) {
        speedy_buf_printf(&d.json, "],\"warned\":%d,\"failed\":%d}", d.warned,
                          d.failed);
        ctl_print(&d.json);
    } else {
        printf("%d to look at, %d wrong\n", d.warned, d.failed);
    }
    return d.failed ? CTL_REFUSED : CTL_DONE;
}
