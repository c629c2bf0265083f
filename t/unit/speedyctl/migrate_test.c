/*
 * Migrations against a private MariaDB: each once, in order, under a lock;
 * a changed file and a file that stopped half way are refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "../../../daemons/common/log.h"
#include "../../../daemons/speedyctl/ctl.h"
#include "../common/capture.h"
#include "../common/servers.h"
#include "run.h"

static char sql_dir[600];

static void put(const char *name, const char *text)
{
    char path[64];

    snprintf(path, sizeof(path), "sql/%s", name);
    servers_file(path, text, 0644);
}

static int group_setup(void **state)
{
    (void)state;
    speedy_log_init("test", 0);
    run_settings();
    if (servers_mysql_start() != 0 ||
        servers_mysql_root("CREATE USER migrate@localhost IDENTIFIED BY "
                           "'secret'") != 0 ||
        servers_mysql_root("GRANT ALL ON speedy.* TO migrate@localhost") != 0)
        return -1;
    servers_file("mysql-migrate", "secret\n", 0400);
    snprintf(sql_dir, sizeof(sql_dir), "%s/sql", servers_dir());
    return mkdir(sql_dir, 0755);
}

static int group_teardown(void **state)
{
    (void)state;
    servers_stop();
    return 0;
}

static void forward(void **state)
{
    (void)state;
    put("001_a.sql", "-- first; with a semicolon in a comment\n"
                     "CREATE TABLE a (t VARCHAR(20) DEFAULT 'x;y');\n"
                     "INSERT INTO a (t) VALUES ('one;two');\n");
    put("002_b.sql", "ALTER TABLE a ADD COLUMN n INT NULL;\n");
    put("grants.sql", "this is no migration\n");
    assert_int_equal(run("migrate", "--sql", sql_dir, "--dry-run", NULL), 0);
    assert_non_null(strstr(run_out, "would run 001_a.sql"));
    assert_int_equal(servers_mysql_number("SELECT COUNT(*) FROM "
                                          "information_schema.tables WHERE "
                                          "table_schema = 'speedy'"),
                     0);
    assert_int_equal(run("migrate", "--sql", sql_dir, NULL), 0);
    assert_non_null(strstr(run_out, "applied 002_b.sql"));
    assert_int_equal(servers_mysql_number("SELECT COUNT(*) FROM a WHERE t = "
                                          "'one;two' AND n IS NULL"),
                     1);
    assert_int_equal(servers_mysql_number("SELECT COUNT(*) FROM "
                                          "schema_migrations WHERE applied_at "
                                          "IS NOT NULL"),
                     2);
    assert_int_equal(run("migrate", "--sql", sql_dir, NULL), 0);
    assert_non_null(strstr(run_out, "nothing to do"));
    put("003_c.sql", "CREATE TABLE c (n INT);\n");
    assert_int_equal(run("migrate", "--sql", sql_dir, "--json", NULL), 0);
    assert_string_equal(run_out, "{\"applied\":[\"003_c.sql\"],\"version\":3}"
                                 "\n");
}

static void changed_file(void **state)
{
    (void)state;
    put("003_c.sql", "CREATE TABLE c (n BIGINT);\n");
    put("004_d.sql", "CREATE TABLE d (n INT);\n");
    capture_start();
    assert_int_equal(run("migrate", "--sql", sql_dir, NULL), CTL_REFUSED);
    assert_non_null(strstr(capture_stop(), "003_c.sql was changed"));
    assert_int_equal(servers_mysql_number("SELECT COUNT(*) FROM "
                                          "information_schema.tables WHERE "
                                          "table_schema = 'speedy' AND "
                                          "table_name = 'd'"),
                     0);
    put("003_c.sql", "CREATE TABLE c (n INT);\n");
}

static void stopped_half_way(void **state)
{
    (void)state;
    put("004_d.sql", "CREATE TABLE d (n INT);\nCREATE TABLE d (n INT);\n");
    capture_start();
    assert_int_equal(run("migrate", "--sql", sql_dir, NULL), CTL_REFUSED);
    assert_int_equal(run("migrate", "--sql", sql_dir, NULL), CTL_REFUSED);
    assert_non_null(strstr(capture_stop(), "004_d.sql stopped half way"));
    assert_int_equal(servers_mysql_root("DROP TABLE d"), 0);
    assert_int_equal(servers_mysql_root("DELETE FROM schema_migrations WHERE "
                                        "version = 4"),
                     0);
    put("004_d.sql", "CREATE TABLE d (n INT);\n");
    assert_int_equal(run("migrate", "--sql", sql_dir, NULL), CTL_DONE);
}

static void gap_in_the_numbers(void **state)
{
    char path[700];

    (void)state;
    put("006_f.sql", "CREATE TABLE f (n INT);\n");
    capture_start();
    assert_int_equal(run("migrate", "--sql", sql_dir, NULL), CTL_REFUSED);
    assert_non_null(strstr(capture_stop(), "migration 005 is missing"));
    snprintf(path, sizeof(path), "%s/006_f.sql", sql_dir);
    unlink(path);
    snprintf(path, sizeof(path), "%s/004_d.sql", sql_dir);
    unlink(path);
    capture_start();
    assert_int_equal(run("migrate", "--sql", sql_dir, NULL), CTL_REFUSED);
    assert_non_null(strstr(capture_stop(), "not among the files"));
    put("004_d.sql", "CREATE TABLE d (n INT);\n");
}

static void locked(void **state)
{
    struct speedy_db *other = speedy_db_new("migrate");
    int64_t got = 0;

    (void)state;
    assert_int_equal(speedy_db_ready(other), 0);
    assert_int_equal(speedy_db_number(other,
                                      "SELECT GET_LOCK('speedy_migrate', 0)",
                                      DB_NONE, &got),
                     1);
    capture_start();
    assert_int_equal(run("migrate", "--sql", sql_dir, "--wait", "0s", NULL),
                     CTL_REFUSED);
    assert_non_null(strstr(capture_stop(), "another migration is running"));
    speedy_db_free(other);
    assert_int_equal(run("migrate", "--sql", sql_dir, NULL), CTL_DONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward),
        cmocka_unit_test(changed_file),
        cmocka_unit_test(stopped_half_way),
        cmocka_unit_test(gap_in_the_numbers),
        cmocka_unit_test(locked),
    };

    return cmocka_run_group_tests_name("speedyctl migrate", tests, group_setup,
                                       group_teardown);
}
