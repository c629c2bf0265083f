/*
 * Tokens: verified by the library that the nginx module verifies them by.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <jwt.h>

#include "../../../daemons/common/crypto.h"
#include "../../../daemons/common/loop.h"
#include "../../../daemons/speedyctl/ctl.h"
#include "../common/capture.h"
#include "../common/servers.h"
#include "run.h"

#define KEY "0123456789abcdef0123456789abcdef"

static int group_setup(void **state)
{
    static char directory[512];

    (void)state;
    run_settings();
    snprintf(directory, sizeof(directory), "%s", servers_dir());
    speedy_conf.secrets_directory = directory;
    servers_file("jwt-current", KEY "\n", 0400);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    servers_stop();
    return 0;
}

static jwt_t *verified(const char *token)
{
    jwt_t *jwt = NULL;

    assert_int_equal(
        jwt_decode(&jwt, token, (const unsigned char *)KEY, strlen(KEY)), 0);
    assert_int_equal(jwt_get_alg(jwt), JWT_ALG_HS256);
    return jwt;
}

static void header_is_exact(const char *token)
{
    char text[128];
    long n = speedy_unbase64url(token, strcspn(token, "."), text, sizeof(text));

    assert_true(n > 0 && (size_t)n < sizeof(text));
    text[n] = '\0';
    assert_string_equal(text,
                        "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"k1\"}");
}

static void one_token(void **state)
{
    jwt_t *jwt;
    long now = (long)(speedy_now_real() / 1000);

    (void)state;
    assert_int_equal(run("token", "--user", "alice", "--role", "OPERATOR",
                         "--ttl", "5m", NULL),
                     CTL_DONE);
    run_out[strcspn(run_out, "\n")] = '\0';
    header_is_exact(run_out);
    jwt = verified(run_out);
    assert_string_equal(jwt_get_grant(jwt, "iss"), "speedy");
    assert_string_equal(jwt_get_grant(jwt, "aud"), "speedy");
    assert_string_equal(jwt_get_grant(jwt, "sub"), "alice");
    assert_string_equal(jwt_get_grant(jwt, "role"), "OPERATOR");
    assert_string_equal(jwt_get_grant(jwt, "typ"), "access");
    assert_int_equal(strlen(jwt_get_grant(jwt, "sid")), 32);
    assert_int_equal(strlen(jwt_get_grant(jwt, "jti")), 32);
    assert_in_range(jwt_get_grant_int(jwt, "iat"), now - 1, now + 2);
    assert_int_equal(
        jwt_get_grant_int(jwt, "exp") - jwt_get_grant_int(jwt, "iat"), 300);
    jwt_free(jwt);
}

static void a_range(void **state)
{
    char *save = NULL;
    int n = 0;
    char name[16];

    (void)state;
    assert_int_equal(run("token", "--users", "8-12", "--prefix", "u", NULL),
                     CTL_DONE);
    for (char *t = strtok_r(run_out, "\n", &save); t != NULL;
         t = strtok_r(NULL, "\n", &save)) {
        jwt_t *jwt = verified(t);

        snprintf(name, sizeof(name), "u%d", 8 + n++);
        assert_string_equal(jwt_get_grant(jwt, "sub"), name);
        assert_string_equal(jwt_get_grant(jwt, "role"), "USER");
        jwt_free(jwt);
    }
    assert_int_equal(n, 5);
}

static void weak_or_open_keys(void **state)
{
    (void)state;
    capture_start();
    servers_file("jwt-current", "short", 0400);
    assert_int_equal(run("token", "--user", "a", NULL), CTL_REFUSED);
    servers_file("jwt-current", KEY, 0444);
    assert_int_equal(run("token", "--user", "a", NULL), CTL_REFUSED);
    servers_file("jwt-current", KEY, 0400);
    assert_non_null(
        strstr(capture_stop(), "a key of HS256 has 32 bytes or more"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_token),
        cmocka_unit_test(a_range),
        cmocka_unit_test(weak_or_open_keys),
    };

    return cmocka_run_group_tests_name("speedyctl token", tests, group_setup,
                                       group_teardown);
}
