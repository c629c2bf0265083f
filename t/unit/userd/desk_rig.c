#include "desk_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../../daemons/common/crypto.h"
#include "../../../daemons/common/db.h"
#include "../../../daemons/common/log.h"
#include "../../../daemons/common/loop.h"
#include "../../../daemons/userd/hasher.h"
#include "../../../daemons/userd/text.h"
#include "../common/shop_db.h"

static struct speedy_db *db;
static char hash[USERD_HASH_SIZE];

int desk_setup(void **state)
{
    if (rig_setup(state) != 0 || userd_text_init() != 0 ||
        userd_hash_password(DESK_PASSWORD, hash) != USERD_HASH_OK)
        return -1;
    speedy_log_level_set("error");
    db = speedy_db_new("userd");
    return db != NULL ? 0 : -1;
}

int desk_teardown(void **state)
{
    speedy_db_free(db);
    return rig_teardown(state);
}

struct desk_person desk_add(const char *login, const char *role)
{
    struct speedy_staff_new s = {
        .login = login, .role = role, .password_hash = hash};
    struct desk_person p = {.role = role};

    assert_int_equal(speedy_staff_insert(db, &s), 0);
    memcpy(p.id, s.id, sizeof(p.id));
    memcpy(p.totp, s.totp, sizeof(p.totp));
    snprintf(p.login, sizeof(p.login), "%s", login);
    return p;
}

void desk_code(const struct desk_person *p, int steps,
               char out[SPEEDY_TOTP_CODE])
{
    speedy_totp_code(p->totp, sizeof(p->totp),
                     speedy_totp_step(speedy_now_real() / 1000) + steps, out);
}

long desk_login(struct rig_call *c, const char *login, const char *password,
                const char *code)
{
    char body[400];

    snprintf(body, sizeof(body),
             "{\"login\":\"%s\",\"password\":\"%s\",\"totp\":\"%s\"}", login,
             password, code);
    *c = (struct rig_call){
        .method = "POST", .path = "/admin/sessions", .body = body};
    rig_send(c);
    c->body = NULL;
    return c->status;
}

struct rig_call desk_ask(const struct desk_person *who, const char *method,
                         const char *body, const char *path, ...)
{
    struct rig_call c = {.method = method, .body = body};
    char line[600];
    va_list args;

    va_start(args, path);
    vsnprintf(line, sizeof(line), path, args);
    va_end(args);
    c.path = line;
    if (who != NULL) {
        c.user = who->id;
        c.role = who->role;
    }
    rig_send(&c);
    c.path = NULL;
    return c;
}

void desk_expect(const struct desk_person *who, const char *method,
                 const char *body, const char *path, long status,
                 const char *code)
{
    struct rig_call c = desk_ask(who, method, body, "%s", path);

    if (c.status != status ||
        (code != NULL && strcmp(desk_member(&c, "code"), code) != 0))
        fail_msg("%s %s: %ld %s", method, path, c.status, c.out.data);
    rig_free(&c);
}

const char *desk_member(const struct rig_call *c, const char *name)
{
    static char value[512];
    enum speedy_json_error error;
    struct speedy_json *j =
        speedy_json_parse(c->out.data, c->out.len, 1048576, 16, &error);
    const char *text = speedy_json_text(speedy_json_get(j, name));

    snprintf(value, sizeof(value), "%s", text != NULL ? text : "");
    speedy_json_free(j);
    return value;
}

static size_t seal(const struct speedy_data_key *k, const char *column,
                   const char *id, const char *text, unsigned char *out)
{
    const struct speedy_seal_place at = {"users", column, id, strlen(id)};

    return speedy_seal(k, &at, text, strlen(text), out);
}

void desk_user(const char *id, const char *email, const char *name,
               const char *phone)
{
    unsigned char wrapped[SPEEDY_WRAPPED_KEY], index[SPEEDY_BLIND_INDEX],
        a[400], b[400], c[200];
    struct speedy_data_key k;
    size_t la, lb, lc;

    speedy_data_key_new(&k, "users", id, strlen(id), wrapped);
    speedy_blind_index("email", email, index);
    la = seal(&k, "sealed_email", id, email, a);
    lb = seal(&k, "sealed_name", id, name, b);
    lc = seal(&k, "sealed_phone", id, phone, c);
    assert_int_equal(
        speedy_db_exec(db,
                       "INSERT INTO users (id, email_index, sealed_email,"
                       " sealed_name, sealed_phone, data_key, master_key,"
                       " password_hash) VALUES (?, ?, ?, ?, ?, ?, 'm1', 'x')",
                       DB_ARGS(DB_TEXT(id), DB_BYTES(index, sizeof(index)),
                               DB_BYTES(a, la), DB_BYTES(b, lb),
                               DB_BYTES(c, lc),
                               DB_BYTES(wrapped, sizeof(wrapped))),
                       NULL),
        0);
}

void desk_session(const char *sid, const char *owner, const char *kind,
                  const char *role)
{
    assert_int_equal(
        shop_db_do("INSERT INTO sessions (id, kind, owner_id, role, device,"
                   " expires_at) VALUES ('%s', '%s', '%s', '%s', 'desk',"
                   " UTC_TIMESTAMP(3) + INTERVAL 1 HOUR)",
                   sid, kind, owner, role),
        0);
}
