#include "people_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../../daemons/common/crypto.h"
#include "../../../daemons/userd/codes.h"
#include "../../../daemons/userd/userd.h"
#include "../common/servers.h"
#include "../common/shop_db.h"

struct speedy_db *people_db;
static struct rig_call last;
static struct speedy_json *json;

int people_setup(void **state)
{
    if (rig_setup(state) != 0)
        return -1;
    servers_file("code-key",
                 "00112233445566778899aabbccddeeff"
                 "00112233445566778899aabbccddeeff",
                 0400);
    people_db = speedy_db_new("userd");
    return people_db == NULL ? -1 : userd_code_key_load();
}

int people_teardown(void **state)
{
    rig_free(&last);
    speedy_json_free(json);
    speedy_db_free(people_db);
    return rig_teardown(state);
}

int people_clean(void **state)
{
    static const char *const tables[] = {"consents", "addresses",
                                         "verifications", "verification_locks"};

    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        if (shop_db_do("DELETE FROM %s", tables[i]) != 0)
            return -1;
    }
    if (rig_clean(state) != 0)
        return -1;
    userd_settings.code_life = 600000;
    userd_settings.code_tries = 5;
    userd_settings.code_pause = 60000;
    userd_settings.codes_an_hour = 5;
    userd_settings.proof_life = 1800000;
    userd_settings.verification_life = 86400000;
    return 0;
}

const char *people_send(const char *method, const char *path, const char *user,
                        long status, const char *code, const char *body, ...)
{
    static char text[70000];
    enum speedy_json_error why;
    va_list args;

    rig_free(&last);
    memset(&last, 0, sizeof(last));
    last.method = method;
    last.path = path;
    last.user = user;
    if (body != NULL) {
        va_start(args, body);
        vsnprintf(text, sizeof(text), body, args);
        va_end(args);
        last.body = text;
    }
    rig_expect(&last, status, code);
    speedy_json_free(json);
    json = speedy_json_parse(last.out.data, last.out.len, 1 << 20, 20, &why);
    return last.out.data;
}

const char *people_member(const char *name)
{
    const char *text = speedy_json_text(speedy_json_get(json, name));

    return text == NULL ? "" : text;
}

const char *people_headers(void)
{
    return last.headers.data;
}

static int on_id(void *data, const struct speedy_db_value *col, size_t cols)
{
    (void)cols;
    memcpy(data, col[0].bytes, 16);
    return 1;
}

long people_render(const char *kind, struct people_mail *m)
{
    unsigned char id[16] = {0};
    char path[80], text[37];

    memset(m, 0, sizeof(*m));
    assert_int_equal(speedy_db_query(people_db,
                                     "SELECT id FROM mails WHERE kind = ?"
                                     " ORDER BY id DESC LIMIT 1",
                                     DB_ARGS(DB_TEXT(kind)), on_id, id),
                     SPEEDY_DB_OK);
    if (id[0] == 0)
        return 0;
    speedy_uuid_text(id, text);
    snprintf(path, sizeof(path), "/internal/mails/%s/render", text);
    rig_free(&last);
    memset(&last, 0, sizeof(last));
    last.method = "POST";
    last.path = path;
    rig_send(&last);
    if (last.status == 200) {
        enum speedy_json_error why;

        speedy_json_free(json);
        json = speedy_json_parse(last.out.data, last.out.len, 65536, 20, &why);
        assert_non_null(json);
        snprintf(m->kind, sizeof(m->kind), "%s", people_member("kind"));
        snprintf(m->to, sizeof(m->to), "%s", people_member("to"));
        snprintf(m->name, sizeof(m->name), "%s", people_member("name"));
        snprintf(m->code, sizeof(m->code), "%s", people_member("code"));
        snprintf(m->link, sizeof(m->link), "%s", people_member("link"));
        snprintf(m->language, sizeof(m->language), "%s",
                 people_member("language"));
        snprintf(m->message_id, sizeof(m->message_id), "%s",
                 people_member("message_id"));
    }
    return last.status;
}

const char *people_token(const struct people_mail *m)
{
    const char *hash = strchr(m->link, '#');

    assert_non_null(hash);
    return hash + 1;
}

const char *people_proof(const char *email)
{
    static char proof[64];
    struct people_mail m;

    people_send("POST", "/api/v1/email-verifications", NULL, 202, NULL,
                "{\"email\":\"%s\"}", email);
    assert_int_equal(people_render("verify", &m), 200);
    people_send("POST", "/api/v1/email-verifications/confirm", NULL, 200, NULL,
                "{\"email\":\"%s\",\"code\":\"%s\"}", email, m.code);
    snprintf(proof, sizeof(proof), "%s", people_member("verification"));
    return proof;
}

static void member(struct speedy_buf *b, const char *name,
                   const char *json_text, const char *changed,
                   const char *value)
{
    if (changed != NULL && strcmp(name, changed) == 0)
        json_text = value;
    if (json_text[0] != '\0')
        speedy_buf_printf(b, "%s\"%s\":%s", b->len > 1 ? "," : "", name,
                          json_text);
}

const char *people_body(const char *email, const char *proof, const char *name,
                        const char *value)
{
    static struct speedy_buf b;
    char quoted[600], proof_quoted[100];

    b.len = 0;
    snprintf(quoted, sizeof(quoted), "\"%s\"", email);
    snprintf(proof_quoted, sizeof(proof_quoted), "\"%s\"", proof);
    speedy_buf_printf(&b, "{");
    member(&b, "email", quoted, name, value);
    member(&b, "password", "\"" PEOPLE_PASSWORD "\"", name, value);
    member(&b, "name", "\"홍길동\"", name, value);
    member(&b, "phone", "\"010-1234-5678\"", name, value);
    member(&b, "verification", proof_quoted, name, value);
    member(&b, "consents", PEOPLE_CONSENTS, name, value);
    member(&b, "age_over_14", "true", name, value);
    if (name != NULL && strcmp(name, "language") == 0)
        member(&b, "language", value, NULL, NULL);
    speedy_buf_printf(&b, "}");
    return b.data;
}

const char *people_signup(const char *email)
{
    static char id[64];
    const char *proof = people_proof(email);

    people_send("POST", "/api/v1/users", NULL, 201, NULL, "%s",
                people_body(email, proof, NULL, NULL));
    snprintf(id, sizeof(id), "%s", people_member("id"));
    return id;
}

void people_age(long seconds)
{
    assert_int_equal(shop_db_do("UPDATE verifications SET"
                                " created_at = created_at - INTERVAL %ld"
                                " SECOND, proof_expires_at = proof_expires_at"
                                " - INTERVAL %ld SECOND",
                                seconds, seconds),
                     0);
    assert_int_equal(shop_db_do("UPDATE verification_codes SET created_at ="
                                " created_at - INTERVAL %ld SECOND",
                                seconds),
                     0);
}
