/*
 * `migrate`: brings the schema forward. Files NNN_what.sql run in the order
 * of their numbers, each once, under a lock of the database, by the account
 * `migrate`. An applied file must never change: its digest is kept.
 *
 * MySQL cannot roll back DDL. A file is therefore noted before it runs, and
 * marked as applied after its last statement; one that stopped half way is
 * told, and refused until somebody has looked.
 */
#include "ctl.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/conf.h"
#include "../common/crypto.h"

#define MIGRATE_FILES_MAX 999
#define MIGRATE_FILE_BYTES (1 << 20)
#define MIGRATE_TIMEOUT 3600000
#define MIGRATE_LOCK "speedy_migrate"
#define MIGRATE_SHARE "/usr/share/speedy/sql"

struct migration {
    int version;
    char name[200], sha[65];
    char *text;
    bool noted, applied; /* in schema_migrations */
};

struct migrations {
    struct migration at[MIGRATE_FILES_MAX];
    int count;
    struct ctl *c;
    int broken; /* applied rows that do not fit the files */
};

static int by_version(const void *a, const void *b)
{
    return ((const struct migration *)a)->version -
           ((const struct migration *)b)->version;
}

static char *file_read(const char *path, size_t *len)
{
    FILE *f = fopen(path, "re");
    char *text = NULL;

    if (f == NULL)
        return NULL;
    text = malloc(MIGRATE_FILE_BYTES + 1);
    if (text != NULL) {
        *len = fread(text, 1, MIGRATE_FILE_BYTES + 1, f);
        if (ferror(f) || *len > MIGRATE_FILE_BYTES) {
            free(text);
            text = NULL;
        } else {
            text[*len] = '\0';
        }
    }
    fclose(f);
    return text;
}

/* `NNN_what.sql`: its number, or -1. */
static int file_version(const char *name)
{
    size_t len = strlen(name);

    if (len < 9 || strspn(name, "0123456789") != 3 || name[3] != '_' ||
        strcmp(name + len - 4, ".sql") != 0 || len >= 200)
        return -1;
    return (name[0] - '0') * 100 + (name[1] - '0') * 10 + name[2] - '0';
}

static int file_add(struct migrations *all, const char *dir, const char *name)
{
    struct migration *m = &all->at[all->count];
    unsigned char sum[32];
    char path[1024];
    size_t len = 0;

    m->version = file_version(name);
    if (m->version < 0)
        return 0;
    if (all->count == MIGRATE_FILES_MAX - 1)
        return ctl_refuse(all->c, "%s: too many files", dir);
    snprintf(m->name, sizeof(m->name), "%s", name);
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    m->text = file_read(path, &len);
    if (m->text == NULL)
        return ctl_refuse(all->c, "%s: cannot be read (or exceeds 1 MiB)",
                          path);
    speedy_sha256(m->text, len, sum);
    speedy_hex(sum, sizeof(sum), m->sha);
    all->count++;
    return 0;
}

static int files_read(struct migrations *all, const char *dir)
{
    DIR *d = opendir(dir);
    const struct dirent *e;
    int code = 0;

    if (d == NULL)
        return ctl_refuse(all->c,
                          "%s: %s; name the directory of the "
                          "migrations by --sql DIR or [speedyctl] "
                          "sql_directory",
                          dir, strerror(errno));
    while (code == 0 && (e = readdir(d)) != NULL)
        code = file_add(all, dir, e->d_name);
    closedir(d);
    if (code != 0)
        return code;
    qsort(all->at, (size_t)all->count, sizeof(all->at[0]), by_version);
    for (int i = 0; i < all->count; i++) {
        if (all->at[i].version != i + 1)
            return ctl_refuse(all->c,
                              "%s: migration %03d is missing or "
                              "stands twice (found %s)",
                              dir, i + 1, all->at[i].name);
    }
    if (all->count == 0)
        return ctl_refuse(all->c, "%s: no file NNN_what.sql", dir);
    return 0;
}

/* The option, the setting, the share directory, or the source tree's. */
static const char *directory(const struct ctl *c)
{
    static char beside[1024];
    const char *given = ctl_option(c, "sql");
    ssize_t n;

    if (given != NULL)
        return given;
    if (ctl_settings.sql_directory != NULL)
        return ctl_settings.sql_directory;
    n = readlink("/proc/self/exe", beside, sizeof(beside) - 32);
    if (n > 0) {
        beside[n] = '\0';
        for (int up = 0; up < 3 && strrchr(beside, '/'); up++)
            *strrchr(beside, '/') = '\0';
        memcpy(beside + strlen(beside), "/sql", 5);
        if (access(beside, R_OK) == 0 && access(MIGRATE_SHARE, R_OK) != 0)
            return beside;
    }
    return MIGRATE_SHARE;
}

static int applied_row(void *data, const struct speedy_db_value *col,
                       size_t cols)
{
    struct migrations *all = data;
    struct migration *m;

    (void)cols;
    if (col[0].number < 1 || col[0].number > all->count) {
        ctl_refuse(all->c,
                   "the database has migration %03lld (%s), which is not "
                   "among the files: use a speedyctl as new as the database",
                   (long long)col[0].number, (const char *)col[1].bytes);
        all->broken++;
        return 0;
    }
    m = &all->at[col[0].number - 1];
    m->noted = true;
    m->applied = col[3].number == 1;
    if (strcmp(m->sha, col[2].bytes) != 0) {
        ctl_refuse(all->c,
                   "%s was changed after it ran: applied migrations are "
                   "never edited; put the old text back and add a new file",
                   m->name);
        all->broken++;
    } else if (!m->applied) {
        ctl_refuse(all->c,
                   "%s stopped half way in an earlier run: finish or undo its "
                   "statements by hand, then set applied_at of its row in "
                   "schema_migrations, or delete that row",
                   m->name);
        all->broken++;
    }
    return 0;
}

static int applied_read(struct migrations *all, struct speedy_db *db)
{
    int64_t exists = 0;
    int n;

    n = speedy_db_number(db,
                         "SELECT COUNT(*) FROM information_schema.tables WHERE "
                         "table_schema = DATABASE() AND table_name = "
                         "'schema_migrations'",
                         DB_NONE, &exists);
    if (n < 0)
        return ctl_db_failed(all->c, n);
    if (exists == 0)
        return 0;
    n = speedy_db_query(db,
                        "SELECT version, name, sha256, applied_at IS NOT NULL "
                        "FROM schema_migrations ORDER BY version",
                        DB_NONE, applied_row, all);
    if (n != 0)
        return ctl_db_failed(all->c, n);
    return all->broken ? CTL_REFUSED : 0;
}

static int apply(struct migrations *all, struct speedy_db *db,
                 const struct migration *m)
{
    int n;

    n = speedy_db_exec(
        db,
        "INSERT INTO schema_migrations (version, name, sha256) "
        "VALUES (?, ?, ?)",
        DB_ARGS(DB_INT(m->version), DB_TEXT(m->name), DB_TEXT(m->sha)), NULL);
    if (n != 0)
        return ctl_db_failed(all->c, n);
    if (speedy_db_script(db, m->text) != 0)
        return ctl_refuse(all->c,
                          "%s stopped; the line above names its statement. "
                          "What ran before it stands (MySQL cannot roll back "
                          "DDL)",
                          m->name);
    n = speedy_db_exec(db,
                       "UPDATE schema_migrations SET applied_at = "
                       "UTC_TIMESTAMP(3) WHERE version = ?",
                       DB_ARGS(DB_INT(m->version)), NULL);
    return n == 0 ? 0 : ctl_db_failed(all->c, n);
}

static int apply_all(struct migrations *all, struct speedy_db *db, bool dry)
{
    struct speedy_buf names = {0};
    int done = 0, code = 0;

    for (int i = 0; i < all->count && code == 0; i++) {
        struct migration *m = &all->at[i];

        if (m->applied)
            continue;
        if (!dry)
            code = apply(all, db, m);
        if (code != 0)
            break;
        if (!all->c->json)
            printf("%s %s\n", dry ? "would run" : "applied", m->name);
        speedy_buf_printf(&names, "%s\"%s\"", done ? "," : "", m->name);
        done++;
    }
    if (code == 0 && all->c->json)
        printf("{\"%s\":[%s],\"version\":%d}\n", dry ? "would_run" : "applied",
               names.len ? names.data : "", all->count);
    else if (code == 0 && done == 0)
        printf("nothing to do: the schema is at %03d\n", all->count);
    else if (code == 0 && !dry)
        printf("the schema is at %03d\n", all->count);
    speedy_buf_free(&names);
    return code;
}

static int migrate_locked(struct migrations *all, struct speedy_db *db,
                          bool dry)
{
    int code = applied_read(all, db);

    if (code != 0)
        return code;
    if (!dry && speedy_db_script(
                    db, "CREATE TABLE IF NOT EXISTS schema_migrations (\n"
                        "    version INT NOT NULL,\n"
                        "    name VARCHAR(200) NOT NULL,\n"
                        "    sha256 CHAR(64) CHARACTER SET ascii NOT NULL,\n"
                        "    applied_at DATETIME(3) NULL,\n"
                        "    PRIMARY KEY (version)\n"
                        ") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;\n") != 0)
        return ctl_refuse(all->c, "cannot create the table "
                                  "schema_migrations: see the line above");
    return apply_all(all, db, dry);
}

static int migrate_with(struct migrations *all, struct speedy_db *db,
                        int64_t wait_s, bool dry)
{
    int64_t got = 0;
    int code;

    if (speedy_db_ready(db) != 0)
        return ctl_refuse(all->c, "MySQL does not answer as account `migrate`: "
                                  "check [mysql] in speedy.conf and "
                                  "mysql-migrate among the secrets");
    if (speedy_db_number(db, "SELECT GET_LOCK('" MIGRATE_LOCK "', ?)",
                         DB_ARGS(DB_INT(wait_s)), &got) != 1 ||
        got != 1)
        return ctl_refuse(all->c,
                          "another migration is running (lock " MIGRATE_LOCK
                          "): wait for it, or give a longer --wait");
    code = migrate_locked(all, db, dry);
    speedy_db_number(db, "SELECT RELEASE_LOCK('" MIGRATE_LOCK "')", DB_NONE,
                     &got);
    return code;
}

int ctl_migrate(struct ctl *c)
{
    static struct migrations all; /* large */
    struct speedy_db *db;
    int64_t wait;
    int code;

    code = ctl_option_duration(c, "wait", 5000, &wait);
    if (code != 0)
        return code;
    /* DDL on large tables takes its time; the daemons' bound is not for it. */
    if (speedy_conf.mysql_timeout < MIGRATE_TIMEOUT)
        speedy_conf.mysql_timeout = MIGRATE_TIMEOUT;
    memset(&all, 0, sizeof(all));
    all.c = c;
    code = files_read(&all, directory(c));
    if (code == 0) {
        db = speedy_db_new("migrate");
        if (db == NULL)
            code = ctl_refuse(c,
                              "cannot read the password of account "
                              "`migrate`: %s/mysql-migrate",
                              speedy_conf.secrets_directory);
        else
            code = migrate_with(&all, db, wait / 1000,
                                ctl_option(c, "dry-run") != NULL);
        speedy_db_free(db);
    }
    for (int i = 0; i < all.count; i++)
        free(all.at[i].text);
    return code;
}
