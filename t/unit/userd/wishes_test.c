/*
 * Wish lists: their rows, pages, and what becomes of them when productd is
 * slow, away or of another opinion.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../../../daemons/common/loop.h"
#include "../../../daemons/userd/wishes.h"
#include "../common/servers.h"
#include "../common/shop_db.h"
#include "fake_productd.h"
#include "people_rig.h"

#define WISHES "/api/v1/users/me/wishes"
#define LATE_MS 1500 /* this machine may be slow */

static char id[64], other[64];

static int group_setup(void **state)
{
    if (fake_productd_start() != 0 || people_setup(state) != 0)
        return -1;
    userd_wishes_settings.productd_instances = 1;
    return 0;
}

/* Each test has a client whose breaker knows nothing of the one before. */
static int setup(void **state)
{
    fake_productd_reset();
    userd_wishes_stop();
    if (shop_db_do("DELETE FROM wishes") != 0 || people_clean(state) != 0 ||
        userd_wishes_start() != 0)
        return -1;
    snprintf(id, sizeof(id), "u-one");
    snprintf(other, sizeof(other), "u-other");
    rig_user(id, "shopper@example.com");
    rig_user(other, "other@example.com");
    return 0;
}

static int teardown(void **state)
{
    fake_productd_freeze(false);
    userd_wishes_stop();
    return people_teardown(state);
}

static const char *wish(const char *user, const char *product, long status,
                        const char *body)
{
    char path[160];

    snprintf(path, sizeof(path), WISHES "/%s", product);
    return people_send("PUT", path, user, status, NULL,
                       body == NULL ? NULL : "%s", body);
}

static const char *list(const char *user, const char *query)
{
    char path[300];

    snprintf(path, sizeof(path), WISHES "%s", query);
    return people_send("GET", path, user, 200, NULL, NULL);
}

static bool says(const char *answer, const char *text)
{
    if (strstr(answer, text) != NULL)
        return true;
    fprintf(stderr, "no %s in: %s\n", text, answer);
    return false;
}

static int times(const char *answer, const char *text)
{
    int n = 0;

    for (; (answer = strstr(answer, text)) != NULL; answer++)
        n++;
    return n;
}

/* --- rows --- */

static void life(void **state)
{
    const char *a;

    (void)state;
    assert_string_equal(list(id, ""),
                        "{\"products_unavailable\":false,\"data\":[],"
                        "\"has_more\":false,\"next_cursor\":null}\n");
    assert_int_equal(fake_productd->product_calls, 0);
    a = wish(id, "p1", 201, NULL);
    assert_true(says(a, "{\"product_id\":\"p1\",\"notify\":false,"));
    assert_true(says(people_headers(), "Cache-Control: no-store"));
    assert_true(says(wish(id, "p1", 200, "{}"), "\"notify\":false"));
    assert_true(
        says(wish(id, "p1", 200, "{\"notify\":true}"), "\"notify\":true"));
    assert_true(says(wish(id, "p1", 200, NULL), "\"notify\":true"));
    assert_true(
        says(wish(id, "p2", 201, "{\"notify\":true}"), "\"notify\":true"));
    assert_true(
        says(wish(id, "p2", 200, "{\"notify\":false}"), "\"notify\":false"));
    a = list(id, "");
    assert_true(strstr(a, "\"product_id\":\"p2\"") <
                strstr(a, "\"product_id\":\"p1\""));
    assert_true(says(a, "\"product\":{\"id\":\"p1\",\"name\":\"상품 "
                        "\\\"p1\\\"\",\"price\":129000,\"images\":[{\"url\":"
                        "\"/images/x.png\",\"width\":64}],\"sale\":null,"
                        "\"hidden\":false}}"));
    assert_int_equal(times(list(other, ""), "product_id"), 0);
    people_send("DELETE", WISHES "/p1", other, 204, NULL, NULL);
    assert_int_equal(times(list(id, ""), "product_id"), 2);
    people_send("DELETE", WISHES "/p1", id, 204, NULL, NULL);
    people_send("DELETE", WISHES "/p1", id, 204, NULL, NULL);
    assert_int_equal(times(list(id, ""), "product_id"), 1);
}

static void bad_input(void **state)
{
    static const struct {
        const char *body, *code;
    } bad[] = {
        {"[]", "invalid_request"},
        {"{\"notify\":\"yes\"}", "invalid_request"},
        {"{\"notify\":null}", "invalid_request"},
        {"{\"notify\":1}", "invalid_request"},
        {"{\"notify\":true,\"notify\":true}", "duplicate_field"},
        {"{\"price\":1}", "unknown_field"},
        {"{", "invalid_json"},
    };
    static const char *const ids[] = {
        "a%20b", "a.b", "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddE"};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        people_send("PUT", WISHES "/p1", id, 400, bad[i].code, "%s",
                    bad[i].body);
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        char path[120];

        snprintf(path, sizeof(path), WISHES "/%s", ids[i]);
        people_send("PUT", path, id, 404, "product_not_found", NULL);
        people_send("DELETE", path, id, 404, "product_not_found", NULL);
    }
    people_send("PUT", WISHES "/%EC%8B%A0", id, 400, "invalid_request", NULL);
    people_send("PUT", WISHES "/p1?notify=true", id, 400, "unknown_parameter",
                NULL);
    people_send("PUT", WISHES "/p1", "u-nobody", 404, "user_not_found", NULL);
    people_send("GET", WISHES, "u-nobody", 404, "user_not_found", NULL);
    people_send("GET", WISHES, NULL, 401, "token_missing", NULL);
    people_send("GET", WISHES "?limit=0", id, 400, "invalid_limit", NULL);
    people_send("GET", WISHES "?limit=101", id, 400, "invalid_limit", NULL);
    people_send("GET", WISHES "?page=2", id, 400, "unknown_parameter", NULL);
    people_send("GET", WISHES "?cursor=x", id, 400, "invalid_cursor", NULL);
    /* of the right length, made up */
    people_send("GET", WISHES "?cursor=AAAAAAAAAAUAAAAAAAAAAA", id, 400,
                "invalid_cursor", NULL);
    people_send("GET", WISHES "?cursor=_____________________w", id, 400,
                "invalid_cursor", NULL);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM wishes"), 0);
}

static void wishes_add(const char *user, int count, const char *format)
{
    char product[64];

    for (int i = 1; i <= count; i++) {
        snprintf(product, sizeof(product), "%s%02d", format, i);
        assert_int_equal(
            shop_db_do("INSERT INTO wishes (user_id, product_id) VALUES"
                       " ('%s', '%s')",
                       user, product),
            0);
    }
}

/* However many products: one call a page; and no wish twice, or left out,
 * when others come in between. */
static void pages(void **state)
{
    char query[200], cursor[100], mark[40];

    (void)state;
    wishes_add(id, 45, "p-");
    query[0] = '\0';
    for (int page = 0; page < 3; page++) {
        const char *a;
        int count = page < 2 ? 20 : 5;

        a = list(id, query);
        assert_int_equal(times(a, "\"product\":{"), count);
        snprintf(mark, sizeof(mark), "\"product_id\":\"p-%02d\"",
                 45 - 20 * page);
        assert_true(says(a, mark));
        assert_int_equal(fake_productd->product_calls, page + 1);
        assert_int_equal(fake_productd->ids, count);
        snprintf(cursor, sizeof(cursor), "%s", people_member("next_cursor"));
        assert_int_equal(cursor[0] != '\0', page < 2);
        if (page == 0) {
            snprintf(query, sizeof(query), WISHES "?cursor=%s", cursor);
            people_send("GET", query, other, 400, "invalid_cursor", NULL);
            wish(id, "p-new", 201, NULL);
            atomic_store(&fake_productd->product_calls, 1);
        }
        snprintf(query, sizeof(query), "?cursor=%s", cursor);
    }
}

static void largest_page(void **state)
{
    char format[40];

    (void)state;
    memset(format, 'x', 37);
    format[37] = '\0';
    wishes_add(id, 99, format);
    format[36] = 'y';
    wishes_add(id, 2, format);
    assert_int_equal(times(list(id, "?limit=100"), "\"product\":{"), 100);
    assert_int_equal(fake_productd->product_calls, 1);
    assert_int_equal(fake_productd->ids, 100);
}

static void *put_some(void *data)
{
    int *n = data, first = *n;

    *n = 0;
    for (int i = 0; i < 60; i++) {
        char path[120];
        struct rig_call c = {.method = "PUT", .path = path, .user = id};

        snprintf(path, sizeof(path), WISHES "/p%d", first + i);
        rig_send(&c);
        assert_true(c.status == 201 || c.status == 409);
        *n += c.status == 201;
        rig_free(&c);
    }
    return NULL;
}

static void two_hundred(void **state)
{
    pthread_t t[4];
    int n[4];

    (void)state;
    for (int i = 0; i < 4; i++) {
        n[i] = i * 100;
        pthread_create(&t[i], NULL, put_some, &n[i]);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    assert_int_equal(n[0] + n[1] + n[2] + n[3], 200);
    people_send("PUT", WISHES "/p-more", id, 409, "too_many_wishes", NULL);
    wish(other, "p-more", 201, NULL);
    people_send("DELETE", WISHES "/p0", id, 204, NULL, NULL);
    people_send("PUT", WISHES "/p-more", id, 201, NULL, NULL);
}

static void ended_account(void **state)
{
    const char *who;

    (void)state;
    who = people_signup("third@example.com");
    wish(who, "p1", 201, "{\"notify\":true}");
    people_send("DELETE", "/api/v1/users/me", who, 204, NULL,
                "{\"password\":\"" PEOPLE_PASSWORD "\"}");
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM wishes"), 0);
    people_send("PUT", WISHES "/p1", who, 404, "user_not_found", NULL);
}

/* --- productd --- */

static void gone(void **state)
{
    const char *a;

    (void)state;
    people_send("PUT", WISHES "/gone-1", id, 404, "product_not_found", NULL);
    wish(id, "p1", 201, NULL);
    shop_db_do("UPDATE wishes SET product_id = 'gone-2'");
    wish(id, "p3", 201, NULL);
    a = list(id, "");
    assert_true(says(a, "\"products_unavailable\":false"));
    assert_int_equal(times(a, "\"gone\":true}"), 1);
    assert_int_equal(times(a, "\"product\":{"), 1);
    assert_true(strstr(a, "gone-2") < strstr(a, "\"gone\":true"));
    /* what stands on the list is not judged again */
    atomic_store(&fake_productd->product_calls, 0);
    wish(id, "gone-2", 200, "{\"notify\":true}");
    assert_int_equal(fake_productd->product_calls, 0);
}

static void away(void **state)
{
    const char *a;

    (void)state;
    wish(id, "p1", 201, NULL);
    atomic_store(&fake_productd->out_of_use, true);
    /* a wish must not fail because of productd */
    wish(id, "gone-3", 201, NULL);
    a = list(id, "");
    assert_true(says(a, "{\"products_unavailable\":true,\"data\":["));
    assert_int_equal(times(a, "product_id"), 2);
    assert_int_equal(times(a, "\"product\":"), 0);
    assert_int_equal(times(a, "gone\":"), 0);
    atomic_store(&fake_productd->out_of_use, false);
    assert_int_equal(times(list(id, ""), "\"gone\":true"), 1);
}

/* As a daemon that gives userd 300 ms; ms of the answer. */
static int64_t in_300_ms(void)
{
    struct speedy_client *c = speedy_client_new("userd", 1);
    struct speedy_call call = {.method = "GET",
                               .path = WISHES,
                               .user = id,
                               .role = "USER",
                               .timeout_ms = 300,
                               .max_answer = 10000};
    int64_t began = speedy_now_boot();

    assert_int_equal(speedy_client_call(c, &call), SPEEDY_CALL_ANSWERED);
    began = speedy_now_boot() - began;
    assert_int_equal(call.status, 200);
    assert_true(says(call.out.data, "\"products_unavailable\":true"));
    speedy_buf_free(&call.out);
    speedy_client_free(c);
    return began;
}

static void within_budget(void **state)
{
    int64_t began;

    (void)state;
    wish(id, "p1", 201, NULL);
    fake_productd_freeze(true);
    began = speedy_now_boot();
    assert_true(says(list(id, ""), "\"products_unavailable\":true"));
    began = speedy_now_boot() - began;
    print_message("answered without productd in %ld ms, in %ld ms of 300\n",
                  (long)began, (long)in_300_ms());
    assert_true(began >= USERD_ANSWER_MS / 2 && began < LATE_MS);
    fake_productd_freeze(false);
}

static void *get_one(void *data)
{
    struct rig_call c = {.method = "GET", .path = WISHES, .user = id};

    rig_send(&c);
    *(bool *)data =
        c.status == 200 && strstr(c.out.data, "\"products_unavailable\":true");
    rig_free(&c);
    return NULL;
}

static bool has_products(void *data)
{
    (void)data;
    return strstr(list(id, ""), "\"products_unavailable\":false") != NULL;
}

static void breaker(void **state)
{
    pthread_t t[20];
    bool good[20];
    int64_t began, most = 0;
    int calls;

    (void)state;
    wish(id, "p1", 201, NULL);
    atomic_store(&fake_productd->out_of_use, true);
    for (int i = 0; i < 20; i++)
        pthread_create(&t[i], NULL, get_one, &good[i]);
    for (int i = 0; i < 20; i++) {
        pthread_join(t[i], NULL);
        assert_true(good[i]);
    }
    atomic_store(&fake_productd->product_calls, 0);
    for (int i = 0; i < 40; i++) {
        began = speedy_now_boot();
        assert_true(says(list(id, ""), "\"products_unavailable\":true"));
        began = speedy_now_boot() - began;
        most = began > most ? began : most;
    }
    /* forty lists take less than the pause, or a trial may have gone out */
    calls = fake_productd->product_calls;
    assert_in_range(calls, 0, 1);
    assert_true(most < USERD_ANSWER_MS);
    atomic_store(&fake_productd->out_of_use, false);
    began = speedy_now_boot();
    assert_true(servers_wait(has_products, NULL, 15000));
    print_message("%d calls while open, the slowest list %ld ms; healed after "
                  "%ld ms\n",
                  calls, (long)most, (long)(speedy_now_boot() - began));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        T(life),          T(bad_input),     T(pages), T(largest_page),
        T(two_hundred),   T(ended_account), T(gone),  T(away),
        T(within_budget), T(breaker),
    };

    return cmocka_run_group_tests(tests, group_setup, teardown);
}
