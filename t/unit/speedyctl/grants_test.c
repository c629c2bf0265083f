/*
 * The grant matrix: what sql/grants.sql gives each account, as MariaDB tells
 * it, equals grants.expected. Whoever changes a grant changes that file too,
 * and a reviewer sees who may write what. With SPEEDY_GRANTS_WRITE=FILE in
 * the environment the matrix is written there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../../daemons/common/db.h"
#include "../../../daemons/common/json.h"
#include "../../../daemons/common/log.h"
#include "../common/servers.h"
#include "../common/shop_db.h"
#include "run.h"

#define EXPECTED "t/unit/speedyctl/grants.expected"

struct lines {
    char text[64][512];
    size_t count;
};

static int group_setup(void **state)
{
    (void)state;
    speedy_log_init("test", 0);
    run_settings();
    return shop_db_start();
}

static int group_teardown(void **state)
{
    (void)state;
    servers_stop();
    return 0;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* MariaDB lists the columns of a grant in no order of its own: sorts them. */
static void sort_columns(char *text)
{
    char column[32][64], *open = strchr(text, '('), *save = NULL;
    char *close = open != NULL ? strchr(open, ')') : NULL;
    size_t n = 0;

    if (close == NULL)
        return;
    *close = '\0';
    for (char *c = strtok_r(open + 1, ", ", &save); c != NULL && n < 32;
         c = strtok_r(NULL, ", ", &save))
        snprintf(column[n++], sizeof(column[0]), "%s", c);
    qsort(column, n, sizeof(column[0]), by_text);
    for (size_t i = 0, at = (size_t)(open + 1 - text); i < n; i++) {
        size_t len = strlen(column[i]);

        if (i > 0) {
            memcpy(text + at, ", ", 2);
            at += 2;
        }
        memcpy(text + at, column[i], len);
        at += len;
    }
    *close = ')';
}

static int grant_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct lines *l = data;
    const char *text = col[0].bytes;
    const char *password = strstr(text, " IDENTIFIED");
    size_t n = password != NULL ? (size_t)(password - text) : strlen(text);

    (void)cols;
    assert_true(l->count < 64);
    snprintf(l->text[l->count], sizeof(l->text[0]), "%.*s", (int)n, text);
    sort_columns(l->text[l->count++]);
    return 0;
}

static void matrix(struct speedy_buf *out)
{
    static const char *const accounts[] = {"maild",     "orderd", "payd",
                                           "productd",  "reader", "schedd",
                                           "speedyctl", "stockd", "userd"};
    static struct lines l;

    for (size_t i = 0; i < sizeof(accounts) / sizeof(accounts[0]); i++) {
        struct speedy_db *db = speedy_db_new(accounts[i]);

        l.count = 0;
        assert_int_equal(speedy_db_ready(db), 0);
        assert_int_equal(
            speedy_db_query(db, "SHOW GRANTS", DB_NONE, grant_row, &l), 0);
        speedy_db_free(db);
        qsort(l.text, l.count, sizeof(l.text[0]), by_text);
        for (size_t k = 0; k < l.count; k++)
            speedy_buf_printf(out, "%s\n", l.text[k]);
    }
}

static void equals_the_file(void **state)
{
    static char expected[32768];
    const char *write = getenv("SPEEDY_GRANTS_WRITE");
    struct speedy_buf out = {0};
    FILE *f;
    size_t n;

    (void)state;
    matrix(&out);
    if (write != NULL) {
        f = fopen(write, "w");
        assert_non_null(f);
        fputs(out.data, f);
        fclose(f);
    }
    f = fopen(EXPECTED, "r");
    assert_non_null(f);
    n = fread(expected, 1, sizeof(expected) - 1, f);
    expected[n] = '\0';
    fclose(f);
    assert_string_equal(out.data, expected);
    speedy_buf_free(&out);
}

/* What must never be possible, tried. */
static void refused(void **state)
{
    static const struct {
        const char *account, *sql;
    } tries[] = {
        {"speedyctl", "DELETE FROM audit_log"},
        {"speedyctl", "UPDATE audit_log SET actor = 'x'"},
        {"speedyctl", "UPDATE orders SET state = 'PAID'"},
        {"speedyctl", "UPDATE sale_variants SET epoch = 9"},
        {"orderd", "DELETE FROM order_events"},
        {"orderd", "UPDATE orders SET quantity = 1"},
        {"schedd", "UPDATE sale_variants SET total = 9"},
        {"stockd", "UPDATE orders SET units_live = 0"},
        {"userd", "DELETE FROM audit_log"},
        {"userd", "UPDATE audit_log SET reason = 'x'"},
        {"userd", "DELETE FROM staff"},
        {"userd", "UPDATE staff SET login = 'x'"},
        {"speedyctl", "UPDATE staff SET role = 'OWNER'"},
        {"userd", "UPDATE consents SET agreed = 1"},
        {"userd", "DELETE FROM users"},
        {"userd", "SELECT 1 FROM orders"},
        {"maild", "SELECT 1 FROM users"},
        {"maild", "UPDATE mails SET params = '{}'"},
        {"productd", "SELECT password_hash FROM staff"},
        {"productd", "UPDATE sale_variants SET held = 0"},
        {"productd", "UPDATE orders SET state = 'PAID'"},
        {"productd", "DELETE FROM audit_log"},
        {"productd", "SELECT 1 FROM users"},
        {"payd", "UPDATE orders SET pay_by = NOW()"},
        {"payd", "UPDATE payments SET total_amount = 1"},
        {"payd", "DELETE FROM payments"},
        {"payd", "UPDATE payment_calls SET outcome = ''"},
        {"payd", "SELECT 1 FROM users"},
        {"payd", "SELECT 1 FROM addresses"},
        {"speedyctl", "UPDATE users SET password_hash = 'x'"},
        {"reader", "INSERT INTO products (id, name, price) VALUES "
                   "('x', 'x', 1)"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
        struct speedy_db *db = speedy_db_new(tries[i].account);

        assert_int_equal(speedy_db_exec(db, tries[i].sql, DB_NONE, NULL),
                         SPEEDY_DB_ERROR);
        speedy_db_free(db);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_the_file),
        cmocka_unit_test(refused),
    };

    return cmocka_run_group_tests_name("speedyctl grants", tests, group_setup,
                                       group_teardown);
}
