/*
 * Logging in: the answer and its token, what strangers learn, the throttle,
 * the password's change; tokens checked by the library of nginx's module.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <jwt.h>
#include <openssl/ec.h>
#include <openssl/pem.h>

#include "../../../daemons/common/conf.h"
#include "../../../daemons/common/crypto.h"
#include "../../../daemons/common/loop.h"
#include "../../../daemons/common/password.h"
#include "../../../daemons/userd/sessions.h"
#include "../../../daemons/userd/tokens.h"
#include "../common/capture.h"
#include "../common/servers.h"
#include "../common/shop_db.h"
#include "sessions_rig.h"

#define EMAIL "shopper@example.com"
#define CHROME                                                                 \
    "Mozilla/5.0 (Linux; Android 14; SM-S918N) AppleWebKit/537.36 (KHTML, "    \
    "like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36"
#define LOGIN(...)                                                             \
    (struct rig_call)                                                          \
    {                                                                          \
        .method = "POST", .path = "/api/v1/sessions", __VA_ARGS__              \
    }
#define RIGHT "{\"email\":\"" EMAIL "\",\"password\":\"" RIG_PASSWORD "\"}"
#define WRONG "{\"email\":\"" EMAIL "\",\"password\":\"wrong horse\"}"
#define NOBODY                                                                 \
    "{\"email\":\"nobody@example.com\",\"password\":\"" RIG_PASSWORD "\"}"
#define PUT_BY(who, ...)                                                       \
    (struct rig_call)                                                          \
    {                                                                          \
        .method = "PUT", .path = "/api/v1/users/me/password", .user = (who),   \
        __VA_ARGS__                                                            \
    }
#define PUT(...) PUT_BY("u1", __VA_ARGS__)
#define CHANGE                                                                 \
    "{\"current_password\":\"" RIG_PASSWORD                                    \
    "\",\"new_password\":\"staple 배터리 42\"}"

/* The member's text in a JSON body, copied. */
static char *member(const struct rig_call *c, const char *name)
{
    char mark[64];
    const char *at;

    snprintf(mark, sizeof(mark), "\"%s\":\"", name);
    at = strstr(c->out.data, mark);
    assert_non_null(at);
    at += strlen(mark);
    return strndup(at, strcspn(at, "\""));
}

static jwt_t *verified(const struct rig_call *c, const char *key)
{
    char *token = member(c, "access_token");
    jwt_t *jwt = NULL;

    assert_int_equal(
        jwt_decode(&jwt, token, (const unsigned char *)key, (int)strlen(key)),
        0);
    free(token);
    return jwt;
}

static void a_session(void **state)
{
    struct rig_call c;
    char path[300], *key;
    jwt_t *jwt;

    (void)state;
    rig_user("u1", EMAIL);
    c = rig_login("  Shopper@EXAMPLE.com ", CHROME);
    assert_non_null(strstr(c.out.data, "\"token_type\":\"Bearer\""));
    assert_non_null(strstr(c.out.data, "\"expires_in\":900,"));
    assert_non_null(strstr(c.headers.data, "Cache-Control: no-store"));
    assert_int_equal(strlen(c.refresh), 43);
    assert_int_equal(strlen(c.session_id), 23);
    assert_non_null(strstr(c.set_cookie,
                           "; Max-Age=2592000; Path=/api/v1/sessions;"
                           " HttpOnly; Secure; SameSite=Lax"));
    assert_null(strstr(c.out.data, c.refresh));
    snprintf(path, sizeof(path), "%s/jwt-current", servers_dir());
    key = speedy_secret_read(path, 100, NULL);
    jwt = verified(&c, key);
    speedy_secret_free(key);
    assert_int_equal(jwt_get_alg(jwt), JWT_ALG_HS256);
    assert_string_equal(jwt_get_grant(jwt, "iss"), "speedy");
    assert_string_equal(jwt_get_grant(jwt, "aud"), "speedy");
    assert_string_equal(jwt_get_grant(jwt, "sub"), "u1");
    assert_string_equal(jwt_get_grant(jwt, "sid"), c.session_id);
    assert_string_equal(jwt_get_grant(jwt, "role"), "USER");
    assert_string_equal(jwt_get_grant(jwt, "typ"), "access");
    assert_int_equal(
        jwt_get_grant_int(jwt, "exp") - jwt_get_grant_int(jwt, "iat"), 900);
    jwt_free(jwt);
    assert_int_equal(shop_db_number("SELECT device = 'Chrome, Android' FROM"
                                    " sessions WHERE id = '%s'",
                                    c.session_id),
                     1);
    /* only digests are kept */
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM refresh_tokens WHERE"
                                    " used_at IS NULL"),
                     1);
    rig_free(&c);
}

static void bad_input(void **state)
{
    (void)state;
    rig_user("u1", EMAIL);
    rig_told(LOGIN(.body = "{\"email\":\"" EMAIL "\"}"), 400,
             "invalid_request");
    rig_told(LOGIN(.body = "{\"email\":\"" EMAIL "\",\"password\":1}"), 400,
             "invalid_request");
    rig_told(LOGIN(.body = "{\"email\":\"a@b@example.com\","
                           "\"password\":\"xxxxxxxx\"}"),
             400, "email_invalid");
    rig_told(LOGIN(.body = "{\"email\":\"" EMAIL "\",\"password\":\"x\","
                           "\"role\":\"OWNER\"}"),
             400, "unknown_field");
    rig_told(LOGIN(.body = "{\"email\":\"" EMAIL "\",\"password\":\"x\","
                           "\"email\":\"x\"}"),
             400, "duplicate_field");
    rig_told(LOGIN(.body = "{"), 400, "invalid_json");
    rig_told(LOGIN(.body = RIGHT, .type = "text/plain"), 415,
             "unsupported_media_type");
    rig_told(LOGIN(.body = RIGHT, .origin = "https://evil.example.net"), 403,
             "origin_refused");
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM login_failures"), 0);
}

static void strangers_learn_nothing(void **state)
{
    struct rig_call known = LOGIN(.body = WRONG),
                    unknown = LOGIN(.body = NOBODY);
    size_t len;

    (void)state;
    rig_user("u1", EMAIL);
    rig_expect(&known, 401, "credentials_invalid");
    rig_expect(&unknown, 401, "credentials_invalid");
    len = (size_t)(strstr(known.out.data, "request_id") - known.out.data);
    assert_memory_equal(known.out.data, unknown.out.data, len);
    assert_string_equal(known.set_cookie, "");
    rig_free(&known);
    rig_free(&unknown);
    /* the same rows too */
    assert_int_equal(
        shop_db_number("SELECT COUNT(*) FROM login_failures WHERE failures = 1"
                       " AND login_after IS NULL"),
        2);
}

static long hashes(void)
{
    struct rig_call c = {.method = "GET", .path = "/metrics"};
    const char *at;
    long n;

    rig_expect(&c, 200, NULL);
    at = strstr(c.out.data, "\nspeedy_userd_hash_seconds_count ");
    assert_non_null(at);
    n = atol(strrchr(strndupa(at, strcspn(at + 1, "\n") + 1), ' '));
    rig_free(&c);
    return n;
}

/* One Argon2 for each try, whoever it is; and so the same time. */
static void the_same_work(void **state)
{
    int64_t spent[2] = {0, 0}, began;
    long before;

    (void)state;
    rig_user("u1", EMAIL);
    userd_session_settings.login_tries = 100;
    for (int i = 0; i < 20; i++) {
        before = hashes();
        began = speedy_now_boot();
        rig_told(LOGIN(.body = i % 2 ? WRONG : NOBODY), 401,
                 "credentials_invalid");
        spent[i % 2] += speedy_now_boot() - began;
        assert_int_equal(hashes() - before, 1);
    }
    assert_true(spent[0] < 2 * spent[1] && spent[1] < 2 * spent[0]);
    print_message("10 tries: nobody %ld ms, somebody %ld ms\n", (long)spent[0],
                  (long)spent[1]);
}

static bool login_waits(void *data)
{
    (void)data;
    return shop_db_number(
               "SELECT COUNT(*) FROM information_schema.processlist"
               " WHERE user = 'userd' AND info LIKE '%%FOR UPDATE'") == 1;
}

static void *login_run(void *data)
{
    rig_send(data);
    return NULL;
}

/*
 * The password was right when it was judged, but what it opened is no more
 * when the session would be.
 */
static void changed_meanwhile(void **state)
{
    static const char *const changes[] = {
        "UPDATE users SET password_hash = 'x'",
        "UPDATE users SET state = 'BLOCKED'",
        "UPDATE users SET state = 'ENDED', email_index = NULL, sealed_email ="
        " NULL, data_key = NULL, password_hash = NULL",
    };
    struct speedy_db *db = speedy_db_new("tester");

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct rig_call c = LOGIN(.body = RIGHT);
        pthread_t thread;

        rig_clean(NULL);
        rig_user("u1", EMAIL);
        assert_int_equal(speedy_db_begin(db), 0);
        assert_int_equal(speedy_db_exec(db, changes[i], DB_NONE, NULL), 0);
        pthread_create(&thread, NULL, login_run, &c);
        assert_true(servers_wait(login_waits, NULL, 10000));
        assert_int_equal(speedy_db_commit(db), 0);
        pthread_join(thread, NULL);
        assert_int_equal(c.status, 401);
        assert_int_equal(shop_db_number("SELECT COUNT(*) FROM sessions"), 0);
        rig_free(&c);
    }
    speedy_db_free(db);
}

static void blocked_and_ended(void **state)
{
    (void)state;
    rig_user("u1", EMAIL);
    shop_db_do("UPDATE users SET state = 'BLOCKED'");
    rig_told(LOGIN(.body = RIGHT), 403, "account_blocked");
    rig_told(LOGIN(.body = WRONG), 401, "credentials_invalid");
    shop_db_do("UPDATE users SET state = 'ENDED', email_index = NULL,"
               " sealed_email = NULL, data_key = NULL, password_hash = NULL");
    rig_told(LOGIN(.body = RIGHT), 401, "credentials_invalid");
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM sessions"), 0);
}

static long retry_after(const struct rig_call *c)
{
    const char *at = strstr(c->headers.data, "Retry-After: ");

    assert_non_null(at);
    return atol(at + 13);
}

static void guess(const char *body, const char *right)
{
    struct rig_call c = LOGIN(.body = right);

    for (int i = 0; i < 5; i++)
        rig_told(LOGIN(.body = body), 401, "credentials_invalid");
    rig_told(LOGIN(.body = body), 429, "login_later");
    /* the right password too, and it is not even looked at */
    rig_expect(&c, 429, "login_later");
    assert_in_range(retry_after(&c), 1, 5);
    rig_free(&c);
}

static void five_tries(void **state)
{
    (void)state;
    rig_user("u1", EMAIL);
    guess(WRONG, RIGHT);
    guess(NOBODY, NOBODY); /* nobody has it: the same */
    shop_db_do("UPDATE login_failures SET login_after ="
               " NOW(3) - INTERVAL 1 SECOND");
    rig_told(LOGIN(.body = RIGHT), 201, NULL);
    /* forgotten */
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM login_failures"), 1);
    rig_told(LOGIN(.body = WRONG), 401, "credentials_invalid");
    rig_told(LOGIN(.body = RIGHT), 201, NULL);
}

static void the_wait_doubles(void **state)
{
    static const long expected[] = {5,   10,  20,  40,  80, 160,
                                    320, 640, 900, 900, 900};

    (void)state;
    for (int i = 0; i < 4; i++)
        rig_told(LOGIN(.body = NOBODY), 401, NULL);
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        rig_told(LOGIN(.body = NOBODY), 401, NULL);
        assert_int_equal(
            shop_db_number("SELECT TIMESTAMPDIFF(SECOND, failed_at,"
                           " login_after) FROM login_failures"),
            expected[i]);
        shop_db_do("UPDATE login_failures SET login_after ="
                   " NOW(3) - INTERVAL 1 SECOND");
    }
    /* far beyond what a shift could hold */
    shop_db_do("UPDATE login_failures SET failures = 1000000");
    rig_told(LOGIN(.body = NOBODY), 401, NULL);
    assert_int_equal(shop_db_number("SELECT TIMESTAMPDIFF(SECOND, failed_at,"
                                    " login_after) FROM login_failures"),
                     900);
}

static atomic_int judged, refused;

static void *guess_once(void *data)
{
    struct rig_call c = LOGIN(.body = data);

    rig_send(&c);
    if (c.status == 401)
        atomic_fetch_add(&judged, 1);
    else if (c.status == 429)
        atomic_fetch_add(&refused, 1);
    rig_free(&c);
    return NULL;
}

static void a_burst_of_guesses(void **state)
{
    pthread_t threads[40];

    (void)state;
    rig_user("u1", EMAIL);
    atomic_store(&judged, 0);
    atomic_store(&refused, 0);
    for (size_t i = 0; i < 40; i++)
        pthread_create(&threads[i], NULL, guess_once, WRONG);
    for (size_t i = 0; i < 40; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(judged, 5);
    assert_int_equal(refused, 35);
}

/* A hash of another cost is made anew by the first login. */
static void an_old_hash(void **state)
{
    char hash[SPEEDY_PASSWORD_HASH];

    (void)state;
    rig_user("u1", EMAIL);
    speedy_password_cost.passes = 3;
    assert_int_equal(
        speedy_password_hash(RIG_PASSWORD, strlen(RIG_PASSWORD), hash), 0);
    speedy_password_cost.passes = 2;
    shop_db_do("UPDATE users SET password_hash = '%s'", hash);
    rig_told(LOGIN(.body = RIGHT), 201, NULL);
    assert_int_equal(shop_db_number("SELECT password_hash LIKE '%%t=2,p=1%%'"
                                    " FROM users"),
                     1);
    rig_told(LOGIN(.body = RIGHT), 201, NULL);
}

static void twenty_sessions(void **state)
{
    struct rig_call first, c;

    (void)state;
    rig_user("u1", EMAIL);
    rig_user("u2", "other@example.com");
    c = rig_login("other@example.com", NULL);
    rig_free(&c);
    first = rig_login(EMAIL, NULL);
    shop_db_do("UPDATE sessions SET seen_at = seen_at - INTERVAL 1 MINUTE"
               " WHERE id = '%s'",
               first.session_id);
    for (int i = 0; i < 19; i++) {
        c = rig_login(EMAIL, NULL);
        rig_free(&c);
    }
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM sessions WHERE"
                                    " ended_at IS NULL AND owner_id = 'u1'"),
                     20);
    c = rig_login(EMAIL, NULL);
    rig_free(&c);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM sessions WHERE"
                                    " ended_at IS NULL"),
                     21); /* one of them the other's */
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM sessions WHERE"
                                    " end_reason = 'too_many' AND id = '%s'",
                                    first.session_id),
                     1);
    assert_true(rig_published(first.session_id));
    rig_free(&first);
}

static void a_new_password(void **state)
{
    struct rig_call here, there, c = PUT(.body = CHANGE, .session = "x");

    (void)state;
    rig_user("u1", EMAIL);
    here = rig_login(EMAIL, NULL);
    there = rig_login(EMAIL, NULL);
    rig_told(PUT(.body = "{\"current_password\":\"wrong horse\","
                         "\"new_password\":\"staple 배터리 42\"}"),
             403, "credentials_invalid");
    rig_told(PUT(.body = "{\"current_password\":\"" RIG_PASSWORD
                         "\",\"new_password\":\"short\"}"),
             400, "password_too_short");
    rig_told(PUT(.body = "{\"current_password\":\"" RIG_PASSWORD
                         "\",\"new_password\":\"password1\"}"),
             400, "password_common");
    rig_told(PUT(.body = "{\"current_password\":\"" RIG_PASSWORD
                         "\",\"new_password\":\"Shopper@Example.com\"}"),
             400, "password_common");
    rig_told(PUT(.body = "{\"new_password\":\"staple 배터리 42\"}"), 400,
             "invalid_request");
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM mails"), 0);
    rig_expect(&c, 204, NULL);
    /* in force before the answer */
    assert_true(rig_published(here.session_id));
    assert_true(rig_published(there.session_id));
    assert_non_null(strstr(c.set_cookie, "speedy_refresh=; Max-Age=0;"));
    rig_free(&c);
    assert_int_equal(
        shop_db_number("SELECT COUNT(*) FROM sessions WHERE end_reason ="
                       " 'password_changed'"),
        2);
    assert_int_equal(
        shop_db_number("SELECT COUNT(*) FROM mails WHERE kind ="
                       " 'password_changed' AND user_id = 'u1' AND state ="
                       " 'QUEUED'"),
        1);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM outbox WHERE topic ="
                                    " 'speedy.mail'"),
                     1);
    c = rig_refresh(here.refresh);
    rig_expect(&c, 401, "session_ended");
    rig_free(&c);
    rig_told(LOGIN(.body = RIGHT), 401, "credentials_invalid");
    rig_told(LOGIN(.body = "{\"email\":\"" EMAIL
                           "\",\"password\":\"staple 배터리 42\"}"),
             201, NULL);
    rig_free(&here);
    rig_free(&there);
}

/* With a stolen token too, a password is guessed at five times. */
static void guessing_at_the_change(void **state)
{
    struct rig_call wrong =
        PUT(.body = "{\"current_password\":\"wrong horse\","
                    "\"new_password\":\"staple 배터리 42\"}");

    (void)state;
    rig_user("u1", EMAIL);
    for (int i = 0; i < 5; i++)
        rig_expect(&wrong, 403, "credentials_invalid");
    rig_expect(&wrong, 429, "login_later");
    rig_free(&wrong);
    rig_told(PUT(.body = CHANGE), 429, "login_later");
    /* the login does not suffer */
    rig_told(LOGIN(.body = RIGHT), 201, NULL);
}

static void only_shoppers(void **state)
{
    (void)state;
    rig_user("u1", EMAIL);
    rig_told(PUT_BY(NULL, .body = CHANGE), 401, "token_missing");
    rig_told(PUT(.body = CHANGE, .role = "OPERATOR"), 403, NULL);
    /* of somebody who is not there, as with a wrong password */
    rig_told(PUT_BY("u2", .body = CHANGE), 403, "credentials_invalid");
}

struct wanted {
    const char *kid;
    struct rig_call c;
};

static bool signed_by(void *data)
{
    struct wanted *w = data;
    char header[128], *token;
    long n;

    rig_free(&w->c);
    w->c = rig_login(EMAIL, NULL);
    token = member(&w->c, "access_token");
    n = speedy_unbase64url(token, strcspn(token, "."), header,
                           sizeof(header) - 1);
    free(token);
    assert_true(n > 0);
    header[n] = '\0';
    return strstr(header, w->kid) != NULL;
}

/* The key changes while userd runs; a bad one leaves the last in force. */
static void the_key_changes(void **state)
{
    EVP_PKEY *pkey = EVP_EC_gen("P-256");
    BIO *secret = BIO_new(BIO_s_mem()), *public = BIO_new(BIO_s_mem());
    struct wanted w = {.kid = "\"kid\":\"e2\""};
    char *text;
    jwt_t *jwt;

    (void)state;
    rig_user("u1", EMAIL);
    PEM_write_bio_PrivateKey(secret, pkey, NULL, NULL, 0, NULL, NULL);
    BIO_write(secret, "", 1);
    BIO_get_mem_data(secret, &text);
    servers_file("jwt-e2", text, 0400);
    PEM_write_bio_PUBKEY(public, pkey);
    BIO_write(public, "", 1);
    BIO_get_mem_data(public, &text);
    servers_file("token-signer", "ES256 e2 jwt-e2\n", 0400);
    assert_true(servers_wait(signed_by, &w, 10000));
    jwt = verified(&w.c, text);
    assert_int_equal(jwt_get_alg(jwt), JWT_ALG_ES256);
    jwt_free(jwt);
    capture_start();
    servers_file("token-signer", "ES256 e3 jwt-absent\n", 0400);
    userd_tokens_turn(NULL);
    capture_stop();
    assert_true(signed_by(&w));
    rig_free(&w.c);
    unlink(servers_file("token-signer", "", 0400));
    BIO_free(secret);
    BIO_free(public);
    EVP_PKEY_free(pkey);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup(f, rig_clean)
    const struct CMUnitTest tests[] = {
        CASE(a_session),
        CASE(bad_input),
        CASE(strangers_learn_nothing),
        CASE(the_same_work),
        CASE(changed_meanwhile),
        CASE(blocked_and_ended),
        CASE(five_tries),
        CASE(the_wait_doubles),
        CASE(a_burst_of_guesses),
        CASE(an_old_hash),
        CASE(twenty_sessions),
        CASE(a_new_password),
        CASE(guessing_at_the_change),
        CASE(only_shoppers),
        CASE(the_key_changes),
    };

    return cmocka_run_group_tests_name("userd login", tests, rig_setup,
                                       rig_teardown);
}
