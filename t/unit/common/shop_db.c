/*
 * Migrations by the account `tester`, grants by root, one password for all.
 */
#include "shop_db.h"

#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../daemons/common/db.h"
#include "servers.h"

static char *file_read(const char *path)
{
    FILE *f = fopen(path, "r");
    char *text = calloc(1, 65536);

    if (f == NULL || text == NULL) {
        fprintf(stderr, "%s cannot be read\n", path);
        abort();
    }
    if (fread(text, 1, 65535, f) == 0)
        abort();
    fclose(f);
    return text;
}

static int migrate(void)
{
    struct speedy_db *db = speedy_db_new("tester");
    int rc = db == NULL ? -1 : 0;
    glob_t files;

    if (rc != 0 || glob("sql/[0-9]*.sql", 0, NULL, &files) != 0) {
        speedy_db_free(db);
        return -1;
    }
    for (size_t i = 0; rc == 0 && i < files.gl_pathc; i++) {
        char *text = file_read(files.gl_pathv[i]);

        rc = speedy_db_script(db, text);
        free(text);
    }
    globfree(&files);
    speedy_db_free(db);
    return rc;
}

static int accounts(void)
{
    static const char *const names[] = {"stockd", "orderd",    "schedd",
                                        "userd",  "maild",     "productd",
                                        "payd",   "speedyctl", "reader"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char file[64];

        snprintf(file, sizeof(file), "mysql-%s", names[i]);
        servers_file(file, "secret\n", 0400);
        if (shop_db_do("CREATE USER %s@localhost IDENTIFIED BY 'secret'",
                       names[i]) != 0)
            return -1;
    }
    return 0;
}

/* Statement by statement: the administrator's helper takes one. */
static int grants(void)
{
    char *text = file_read("sql/grants.sql"), *save = NULL;
    int rc = 0;

    for (char *line = strstr(text, "GRANT"); rc == 0 && line != NULL;) {
        char *statement = strtok_r(line, ";", &save);

        if (statement == NULL || strstr(statement, "GRANT") == NULL)
            break;
        rc = servers_mysql_root(strstr(statement, "GRANT"));
        line = NULL;
        if (save != NULL && strstr(save, "GRANT") != NULL)
            line = save;
    }
    free(text);
    return rc;
}

int shop_db_start(void)
{
    static int done;

    if (servers_mysql_start() != 0)
        return -1;
    if (done)
        return 0;
    if (migrate() != 0 || accounts() != 0 || grants() != 0)
        return -1;
    done = 1;
    return 0;
}

int shop_db_sale(const char *sale, long total, long hold_ms,
                 const char *restock)
{
    if (shop_db_do("INSERT IGNORE INTO products (id, name, price)"
                   " VALUES ('shoe', 'Shoe', 1000)") != 0)
        return -1;
    if (shop_db_do("INSERT INTO sales (id, product_id, opens_at, hold_ms,"
                   " restock) VALUES ('%s', 'shoe', UTC_TIMESTAMP(), %ld,"
                   " '%s')",
                   sale, hold_ms, restock) != 0)
        return -1;
    return shop_db_do("INSERT INTO sale_variants (sale_id, variant, price,"
                      " total) VALUES ('%s', 'default', 1000, %ld)",
                      sale, total);
}

int shop_db_do(const char *format, ...)
{
    char sql[2048];
    va_list args;

    va_start(args, format);
    vsnprintf(sql, sizeof(sql), format, args);
    va_end(args);
    return servers_mysql_root(sql);
}

long shop_db_number(const char *format, ...)
{
    char sql[2048];
    va_list args;

    va_start(args, format);
    vsnprintf(sql, sizeof(sql), format, args);
    va_end(args);
    return servers_mysql_number(sql);
}
