/*
 * From asking for a code to an account, and every way that must not lead
 * there.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../../daemons/userd/userd.h"
#include "../common/shop_db.h"
#include "people_rig.h"

#define ASK "/api/v1/email-verifications"
#define CONFIRM "/api/v1/email-verifications/confirm"
#define USERS "/api/v1/users"
#define EMAIL "shopper@example.com"

static void ask(const char *email, long status, const char *code)
{
    people_send("POST", ASK, NULL, status, code, "{\"email\":\"%s\"}", email);
}

static void confirm(const char *email, const char *text, long status,
                    const char *code)
{
    people_send("POST", CONFIRM, NULL, status, code,
                "{\"email\":\"%s\",\"code\":\"%s\"}", email, text);
}

/* Another code of six digits. */
static const char *wrong(const char *code)
{
    static char other[12];

    snprintf(other, sizeof(other), "%06d", (atoi(code) + 1) % 1000000);
    return other;
}

/* A shopper's way, and what each answer says. */
static void whole_way(void **state)
{
    struct people_mail m;
    char proof[64];

    (void)state;
    assert_string_equal(people_send("POST", ASK, NULL, 202, NULL,
                                    "{\"email\":\" Shopper@EXAMPLE.com \","
                                    "\"language\":\"en\"}"),
                        "{}\n");
    assert_int_equal(people_render("verify", &m), 200);
    assert_string_equal(m.to, EMAIL);
    assert_string_equal(m.name, "");
    assert_string_equal(m.language, "en");
    assert_int_equal(strlen(m.code), 6);
    assert_int_equal(strlen(m.message_id), 32);
    assert_memory_equal(m.link, "https://shop.example.com/verify#", 32);
    confirm(EMAIL, m.code, 200, NULL);
    snprintf(proof, sizeof(proof), "%s", people_member("verification"));
    assert_int_equal(strlen(proof), 43);
    people_send("POST", USERS, NULL, 201, NULL, "%s",
                people_body("SHOPPER@example.com", proof, NULL, NULL));
    assert_string_equal(people_member("email"), EMAIL);
    assert_string_equal(people_member("name"), "홍길동");
    assert_string_equal(people_member("phone"), "+821012345678");
    assert_string_equal(people_member("language"), "ko");
    assert_int_equal(people_member("id")[0], 'u');
    assert_int_equal(strlen(people_member("id")), 23);
    assert_int_equal(people_render("welcome", &m), 200);
    assert_string_equal(m.to, EMAIL);
    assert_string_equal(m.name, "홍길동");
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM consents"), 2);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM outbox"), 2);
    /* the proof is used up */
    people_send("POST", USERS, NULL, 400, "verification_invalid", "%s",
                people_body(EMAIL, proof, NULL, NULL));
}

/* Nothing that stands in the database tells a code, an address or a name. */
static void nothing_in_clear(void **state)
{
    static const char *const tables[] = {
        "users", "verifications", "verification_codes", "mails", "outbox"};
    struct people_mail m;

    (void)state;
    ask(EMAIL, 202, NULL);
    assert_int_equal(people_render("verify", &m), 200);
    people_age(61);
    people_signup("other@example.com");
    assert_int_equal(
        shop_db_number("SELECT COUNT(*) FROM verification_codes WHERE"
                       " LOCATE('%s', code_mac) > 0 OR LOCATE('%s', link_hash)",
                       m.code, people_token(&m)),
        0);
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        const char *column = strcmp(tables[i], "users") == 0
                                 ? "CONCAT(sealed_email, sealed_name,"
                                   " sealed_phone)"
                             : strcmp(tables[i], "verifications") == 0
                                 ? "sealed_email"
                             : strcmp(tables[i], "mails") == 0  ? "params"
                             : strcmp(tables[i], "outbox") == 0 ? "record_value"
                                                                : "code_mac";

        assert_int_equal(
            shop_db_number("SELECT COUNT(*) FROM %s WHERE LOCATE("
                           "'example', %s) > 0 OR LOCATE('홍길동', %s) > 0 OR"
                           " LOCATE('12345678', %s) > 0",
                           tables[i], column, column, column),
            0);
    }
}

static void code_as_typed(void **state)
{
    static const char *const digit[] = {"０", "１", "２", "３", "４",
                                        "５", "６", "７", "８", "９"};
    struct people_mail m;
    struct speedy_buf text = {0};

    (void)state;
    ask(EMAIL, 202, NULL);
    assert_int_equal(people_render("verify", &m), 200);
    for (int i = 0; i < 6; i++) {
        speedy_buf_printf(&text, " %s%s", digit[m.code[i] - '0'],
                          i == 2 ? "　" : "");
    }
    confirm(EMAIL, text.data, 200, NULL);
    speedy_buf_free(&text);
}

static void link_instead(void **state)
{
    struct people_mail m;

    (void)state;
    ask(EMAIL, 202, NULL);
    assert_int_equal(people_render("verify", &m), 200);
    people_send("POST", CONFIRM, NULL, 400, "code_invalid",
                "{\"link\":\"AAAA%s\"}", people_token(&m) + 4);
    people_send("POST", CONFIRM, NULL, 400, "code_invalid",
                "{\"link\":\"AAAA\"}");
    people_send("POST", "/api/v1/password-resets/confirm", NULL, 400,
                "code_invalid",
                "{\"link\":\"%s\",\"password\":\"" PEOPLE_PASSWORD "\"}",
                people_token(&m));
    people_send("POST", CONFIRM, NULL, 400, "invalid_request",
                "{\"link\":\"%s\",\"email\":\"" EMAIL "\"}", people_token(&m));
    people_send("POST", CONFIRM, NULL, 200, NULL, "{\"link\":\"%s\"}",
                people_token(&m));
    people_send("POST", CONFIRM, NULL, 409, "code_used", "{\"link\":\"%s\"}",
                people_token(&m));
    confirm(EMAIL, m.code, 409, "code_used");
}

/* Wrong, foreign, old and used codes. */
static void bad_codes(void **state)
{
    struct people_mail m, second;

    (void)state;
    confirm(EMAIL, "123456", 400, "code_invalid"); /* nobody asked */
    ask(EMAIL, 202, NULL);
    confirm(EMAIL, "123456", 400, "code_invalid"); /* no mail yet */
    assert_int_equal(people_render("verify", &m), 200);
    confirm(EMAIL, wrong(m.code), 400, "code_invalid");
    confirm("other@example.com", m.code, 400, "code_invalid");
    confirm(EMAIL, "12345", 400, "code_invalid");
    confirm(EMAIL, "abcdef", 400, "code_invalid");
    confirm(EMAIL, "", 400, "code_invalid");
    confirm(EMAIL, "123\\u0000456", 400, "code_invalid");
    people_send("POST", "/api/v1/password-resets/confirm", NULL, 400,
                "code_invalid",
                "{\"email\":\"" EMAIL "\",\"code\":\"%s\",\"password\":"
                "\"" PEOPLE_PASSWORD "\"}",
                m.code);
    people_age(599);
    confirm(EMAIL, m.code, 200, NULL);
    confirm(EMAIL, m.code, 409, "code_used");
    ask(EMAIL, 202, NULL);
    assert_int_equal(people_render("verify", &second), 200);
    confirm(EMAIL, m.code, 400, "code_invalid"); /* of an older mail */
    people_age(601);
    confirm(EMAIL, second.code, 400, "code_expired");
    people_send("POST", CONFIRM, NULL, 400, "code_expired", "{\"link\":\"%s\"}",
                people_token(&second));
    confirm(EMAIL, wrong(second.code), 400, "code_invalid");
}

/* A mail that is written twice has two codes; of six, five work. */
static void written_again(void **state)
{
    struct people_mail m[6];

    (void)state;
    ask(EMAIL, 202, NULL);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(people_render("verify", &m[i]), 200);
        assert_string_equal(m[i].message_id, m[0].message_id);
    }
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM verification_codes"),
                     5);
    people_send("POST", CONFIRM, NULL, 400, "code_invalid", "{\"link\":\"%s\"}",
                people_token(&m[0]));
    confirm(EMAIL, m[1].code, 200, NULL);
    /* a confirmed one is not mailed again */
    assert_int_equal(people_render("verify", &m[0]), 410);
}

static void mails_not_due(void **state)
{
    struct people_mail m;

    (void)state;
    ask(EMAIL, 202, NULL);
    shop_db_do("UPDATE mails SET expires_at = CURRENT_TIMESTAMP(3)"
               " - INTERVAL 1 SECOND");
    assert_int_equal(people_render("verify", &m), 410);
    shop_db_do("UPDATE mails SET expires_at = NULL, state = 'SENT'");
    assert_int_equal(people_render("verify", &m), 410);
    shop_db_do("UPDATE mails SET state = 'SENDING'");
    assert_int_equal(people_render("verify", &m), 200);
    shop_db_do("DELETE FROM verifications");
    assert_int_equal(people_render("verify", &m), 410);
    people_send("POST",
                "/internal/mails/01890000-0000-7000-8000-000000000000"
                "/render",
                NULL, 404, "mail_not_found", NULL);
    people_send("POST", "/internal/mails/x/render", NULL, 404, "mail_not_found",
                NULL);
}

/* --- many at once --- */

#define THREADS 8

struct guesses {
    const char *email, *right;
    int first, count;
    int judged, refused, other, good, used;
};

static void *guess(void *data)
{
    struct guesses *g = data;
    char body[200];

    for (int i = g->first; i < g->first + g->count; i++) {
        struct rig_call c = {.method = "POST", .path = CONFIRM, .body = body};

        snprintf(body, sizeof(body), "{\"email\":\"%s\",\"code\":\"%06d\"}",
                 g->email, g->right != NULL ? atoi(g->right) : i);
        rig_send(&c);
        if (c.status == 200)
            g->good++;
        else if (strstr(c.out.data, "\"code_invalid\"") != NULL)
            g->judged++;
        else if (strstr(c.out.data, "\"code_tries_exceeded\"") != NULL)
            g->refused++;
        else if (c.status == 409 && strstr(c.out.data, "code_used") != NULL)
            g->used++;
        else
            g->other++;
        rig_free(&c);
    }
    return NULL;
}

static struct guesses guess_all(const char *email, const char *right,
                                int threads, int each)
{
    struct guesses g[THREADS], sum = {0};
    pthread_t t[THREADS];

    for (int i = 0; i < threads; i++) {
        g[i] = (struct guesses){
            .email = email, .right = right, .first = i * each, .count = each};
        assert_int_equal(pthread_create(&t[i], NULL, guess, &g[i]), 0);
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(t[i], NULL);
        sum.judged += g[i].judged;
        sum.refused += g[i].refused;
        sum.other += g[i].other;
        sum.good += g[i].good;
        sum.used += g[i].used;
    }
    return sum;
}

/* The code lies beyond what is guessed, so all thousand are wrong. */
static void thousand_wrong_codes(void **state)
{
    struct people_mail m;
    struct guesses sum;

    (void)state;
    ask(EMAIL, 202, NULL);
    do {
        assert_int_equal(people_render("verify", &m), 200);
    } while (atoi(m.code) < 1000);
    shop_db_do("DELETE FROM verification_codes WHERE n <"
               " (SELECT m FROM (SELECT MAX(n) AS m FROM verification_codes)"
               " AS newest)");
    sum = guess_all(EMAIL, NULL, THREADS, 125);
    assert_int_equal(sum.judged, 5);
    assert_int_equal(sum.refused, 995);
    assert_int_equal(sum.good + sum.used + sum.other, 0);
    assert_int_equal(shop_db_number("SELECT tries FROM verifications"), 5);
    /* the right one is too late; the link, which nobody can guess, is not */
    confirm(EMAIL, m.code, 400, "code_tries_exceeded");
    people_send("POST", CONFIRM, NULL, 200, NULL, "{\"link\":\"%s\"}",
                people_token(&m));
}

/* Of parallel confirmations one wins; the others are told. */
static void parallel_confirm(void **state)
{
    (void)state;
    for (int round = 0; round < 5; round++) {
        struct people_mail m;
        struct guesses sum;

        people_clean(state);
        ask(EMAIL, 202, NULL);
        assert_int_equal(people_render("verify", &m), 200);
        sum = guess_all(EMAIL, m.code, 4, 1);
        assert_int_equal(sum.good, 1);
        assert_int_equal(sum.used, 3);
    }
}

struct poster {
    const char *path, *body;
    int made, refused, other;
    const char *refusal;
};

static void *post_once(void *data)
{
    struct poster *p = data;
    struct rig_call c = {.method = "POST", .path = p->path, .body = p->body};

    rig_send(&c);
    p->made = c.status == 201 || c.status == 202;
    p->refused = !p->made && strstr(c.out.data, p->refusal) != NULL;
    p->other = !p->made && !p->refused;
    rig_free(&c);
    return NULL;
}

static struct poster post_all(const char *path, const char *body,
                              const char *refusal)
{
    struct poster p[THREADS], sum = {0};
    pthread_t t[THREADS];

    for (int i = 0; i < THREADS; i++) {
        p[i] = (struct poster){.path = path, .body = body, .refusal = refusal};
        assert_int_equal(pthread_create(&t[i], NULL, post_once, &p[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(t[i], NULL);
        sum.made += p[i].made;
        sum.refused += p[i].refused;
        sum.other += p[i].other;
    }
    return sum;
}

static void parallel_signup(void **state)
{
    char *body = strdup(people_body(EMAIL, people_proof(EMAIL), NULL, NULL));
    struct poster sum = post_all(USERS, body, "verification_invalid");

    (void)state;
    free(body);
    assert_int_equal(sum.made, 1);
    assert_int_equal(sum.refused, THREADS - 1);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM users"), 1);
    assert_int_equal(
        shop_db_number("SELECT COUNT(*) FROM mails WHERE kind = 'welcome'"), 1);
}

/* The limits of an address hold for requests that come at once. */
static void parallel_asking(void **state)
{
    struct poster sum =
        post_all(ASK, "{\"email\":\"" EMAIL "\"}", "too_many_requests");

    (void)state;
    assert_int_equal(sum.made, 1);
    assert_int_equal(sum.refused, THREADS - 1);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM mails"), 1);
}

/* --- limits and who is told what --- */

static void limits(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        ask(EMAIL, 202, NULL);
        ask(EMAIL, 429, "too_many_requests");
        assert_non_null(strstr(people_headers(), "Retry-After: "));
        ask("Shopper@example.com", 429, "too_many_requests");
        people_age(61);
    }
    ask(EMAIL, 429, "too_many_requests");
    ask("other@example.com", 202, NULL);
    /* purposes are apart */
    people_send("POST", "/api/v1/password-resets", NULL, 202, NULL,
                "{\"email\":\"" EMAIL "\"}");
    people_age(3600 - 5 * 61 + 1);
    ask(EMAIL, 202, NULL);
}

/* The same answers, headers and rows; only the mails differ. */
static void known_address(void **state)
{
    char known[2000], unknown[2000], id[64];
    struct people_mail m;

    (void)state;
    snprintf(id, sizeof(id), "%s", people_signup(EMAIL));
    people_age(61);
    shop_db_do("DELETE FROM mails");
    ask(EMAIL, 202, NULL);
    snprintf(
        known, sizeof(known), "%s",
        people_send("POST", ASK, NULL, 429, NULL, "{\"email\":\"" EMAIL "\"}"));
    ask("other@example.com", 202, NULL);
    snprintf(unknown, sizeof(unknown), "%s",
             people_send("POST", ASK, NULL, 429, NULL,
                         "{\"email\":\"other@example.com\"}"));
    *strstr(known, "\"request_id\"") = '\0';
    *strstr(unknown, "\"request_id\"") = '\0';
    assert_string_equal(known, unknown);
    assert_int_equal(people_render("signup_known", &m), 200);
    assert_string_equal(m.to, EMAIL);
    assert_string_equal(m.code, "");
    assert_string_equal(m.link, "");
    /* wrong codes are answered alike, as long as there are tries */
    assert_int_equal(people_render("verify", &m), 200);
    for (int i = 0; i < 5; i++) {
        confirm(EMAIL, wrong(m.code), 400, "code_invalid");
        confirm("other@example.com", wrong(m.code), 400, "code_invalid");
    }
    confirm(EMAIL, wrong(m.code), 400, "code_tries_exceeded");
    confirm("other@example.com", wrong(m.code), 400, "code_tries_exceeded");
}

/* Who has proven an address may learn that it is taken, nobody else. */
static void taken(void **state)
{
    char body[1000];

    (void)state;
    snprintf(body, sizeof(body), "%s",
             people_body(EMAIL, people_proof(EMAIL), NULL, NULL));
    people_age(61);
    people_signup(EMAIL);
    people_send("POST", USERS, NULL, 409, "email_taken", "%s", body);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM users"), 1);
    people_send("POST", USERS, NULL, 400, "verification_invalid", "%s",
                people_body(EMAIL,
                            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", NULL,
                            NULL));
}

/* The defect of the system that this one replaces: sign-up without proof. */
static void signup_needs_its_proof(void **state)
{
    char proof[64];

    (void)state;
    snprintf(proof, sizeof(proof), "%s", people_proof(EMAIL));
    people_send("POST", USERS, NULL, 400, "verification_invalid", "%s",
                people_body(EMAIL, proof, "verification", ""));
    people_send("POST", USERS, NULL, 400, "verification_invalid", "%s",
                people_body(EMAIL, "", NULL, NULL));
    people_send("POST", USERS, NULL, 400, "verification_invalid", "%s",
                people_body(EMAIL, "123456", NULL, NULL));
    people_send("POST", USERS, NULL, 400, "invalid_request", "%s",
                people_body(EMAIL, proof, "verification", "true"));
    people_send("POST", USERS, NULL, 400, "verification_invalid", "%s",
                people_body("other@example.com", proof, NULL, NULL));
    people_age(1801);
    people_send("POST", USERS, NULL, 400, "verification_invalid", "%s",
                people_body(EMAIL, proof, NULL, NULL));
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM users"), 0);
    people_age(-1801);
    people_send("POST", USERS, NULL, 201, NULL, "%s",
                people_body(EMAIL, proof, NULL, NULL));
}

/* A proof of reading an address for a reset makes no account of it. */
static void purposes_are_apart(void **state)
{
    struct people_mail m;

    (void)state;
    people_signup(EMAIL);
    people_send("POST", "/api/v1/password-resets", NULL, 202, NULL,
                "{\"email\":\"" EMAIL "\"}");
    assert_int_equal(people_render("reset", &m), 200);
    people_send("POST", CONFIRM, NULL, 400, "code_invalid", "{\"link\":\"%s\"}",
                people_token(&m));
    people_age(61);
    ask(EMAIL, 202, NULL);
    confirm(EMAIL, m.code, 400, "code_invalid");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, people_clean)
    const struct CMUnitTest tests[] = {
        T(whole_way),
        T(nothing_in_clear),
        T(code_as_typed),
        T(link_instead),
        T(bad_codes),
        T(written_again),
        T(mails_not_due),
        T(thousand_wrong_codes),
        T(parallel_confirm),
        T(parallel_signup),
        T(parallel_asking),
        T(limits),
        T(known_address),
        T(taken),
        T(signup_needs_its_proof),
        T(purposes_are_apart),
    };

    return cmocka_run_group_tests(tests, people_setup, people_teardown);
}
