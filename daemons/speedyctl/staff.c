/*
 * `staff`: operators from outside the desk: the first OWNER, and those who
 * lost their authenticator. What is handed over (a random password, the
 * authenticator's secret) is printed once and kept nowhere.
 */
#include "ctl.h"

#include <stdio.h>
#include <string.h>

#include "../common/http_server.h"
#include "../common/password.h"
#include "../shop/staff.h"

#define SECRET_MAX 1024

/* An operator and what an act makes anew. */
struct person {
    char id[SPEEDY_STAFF_ID], role[11], state[11];
    const char *login;
    char *given; /* the password of --password-file, or NULL */
    char random[SPEEDY_STAFF_PASSWORD], hash[SPEEDY_PASSWORD_HASH];
    unsigned char totp[SPEEDY_TOTP_SECRET];
    long sessions;
};

/* Loads keys and pepper. 0, or CTL_REFUSED after a message. */
static int secrets_load(struct ctl *c)
{
    if (speedy_seal_init() == 0 && speedy_password_init() == 0)
        return 0;
    return ctl_refuse(c,
                      "the keys in %s cannot be used; the lines above say "
                      "why. Run this as the account that owns them",
                      speedy_conf.secrets_directory);
}

static void secrets_wipe(struct person *p)
{
    speedy_secret_free(p->given);
    explicit_bzero(p, sizeof(*p));
    speedy_password_free();
    speedy_seal_free();
}

/* A password into p: that of the file, or a random one; and its hash. */
static int password_take(struct ctl *c, struct person *p)
{
    const char *file = ctl_option(c, "password-file");
    size_t len;

    if (file == NULL) {
        speedy_staff_password_make(p->random);
    } else {
        p->given = speedy_secret_read(file, SECRET_MAX, &len);
        if (p->given == NULL)
            return ctl_refuse(c, "--password-file: the line above says why");
        if (len < SPEEDY_STAFF_PASSWORD_MIN ||
            len > SPEEDY_STAFF_PASSWORD_MAX || strlen(p->given) != len)
            return ctl_refuse(c, "--password-file: %d to %d bytes of text",
                              SPEEDY_STAFF_PASSWORD_MIN,
                              SPEEDY_STAFF_PASSWORD_MAX);
    }
    if (speedy_password_hash(p->given ? p->given : p->random,
                             strlen(p->given ? p->given : p->random),
                             p->hash) != 0)
        return ctl_refuse(c, "the password could not be hashed");
    return 0;
}

/* What the person needs, printed once. */
static void hand_over(const struct ctl *c, const struct person *p)
{
    struct speedy_buf out = {0}, uri = {0};
    char secret[SPEEDY_TOTP_BASE32];

    speedy_base32(p->totp, sizeof(p->totp), secret);
    speedy_totp_uri(&uri, SPEEDY_STAFF_ISSUER, p->login, p->totp);
    if (c->json) {
        speedy_buf_printf(&out,
                          "{\"id\":\"%s\",\"login\":\"%s\",\"role\":\"%s\","
                          "\"password\":",
                          p->id, p->login, p->role);
        speedy_buf_json(&out, p->given ? NULL : p->random);
        speedy_buf_printf(&out,
                          ",\"totp_secret\":\"%s\",\"totp_uri\":", secret);
        speedy_buf_json(&out, uri.data);
        speedy_buf_printf(&out, "}");
    } else {
        speedy_buf_printf(&out,
                          "staff %s (%s, %s)\n  password       %s\n"
                          "  authenticator  %s\n                 %s\n"
                          "Shown once: hand both over by different ways.",
                          p->login, p->role, p->id,
                          p->given ? "as in --password-file" : p->random,
                          secret, uri.data);
    }
    explicit_bzero(secret, sizeof(secret));
    if (out.data != NULL) {
        fwrite(out.data, 1, out.len, stdout);
        fputc('\n', stdout);
        explicit_bzero(out.data, out.len);
    }
    explicit_bzero(uri.data, uri.len);
    speedy_buf_free(&uri);
    speedy_buf_free(&out);
}

/* --- add --- */

static int add_work(struct ctl *c, void *data)
{
    struct person *p = data;
    struct speedy_staff_new s = {
        .login = p->login, .role = p->role, .password_hash = p->hash};
    int n = speedy_staff_insert(c->db, &s);

    memcpy(p->id, s.id, sizeof(p->id));
    memcpy(p->totp, s.totp, sizeof(p->totp));
    explicit_bzero(s.totp, sizeof(s.totp));
    speedy_buf_printf(&c->detail, "\"staff\":\"%s\",\"role\":\"%s\"", p->id,
                      p->role);
    if (n != SPEEDY_DB_DUPLICATE)
        return n;
    ctl_refuse(c, "login %s is taken: see staff list, or staff reset %s",
               p->login, p->login);
    return 1;
}

int ctl_staff_add(struct ctl *c)
{
    struct person p = {.login = ctl_option(c, "login")};
    const char *role = ctl_option(c, "role");
    int code;

    if (p.login == NULL || !speedy_staff_login_valid(p.login))
        return ctl_usage(c, "--login: a letter, then letters, digits and "
                            ". _ - (lower case), 2 to 40 in all");
    if (role == NULL || speedy_staff_rank(role) == 0)
        return ctl_usage(c, "--role: VIEWER, CS, OPERATOR or OWNER");
    snprintf(p.role, sizeof(p.role), "%s", role);
    code = secrets_load(c);
    if (code == 0)
        code = password_take(c, &p);
    if (code == 0)
        code = ctl_act(c, "staff.add", p.login, add_work, &p);
    if (code == CTL_DONE)
        hand_over(c, &p);
    secrets_wipe(&p);
    return code;
}

/* --- end, reset --- */

static int person_row(void *data, const struct speedy_db_value *col,
                      size_t cols)
{
    struct person *p = data;

    (void)cols;
    snprintf(p->id, sizeof(p->id), "%s", (const char *)col[0].bytes);
    snprintf(p->role, sizeof(p->role), "%s", (const char *)col[1].bytes);
    snprintf(p->state, sizeof(p->state), "%s", (const char *)col[2].bytes);
    return 1;
}

/* Locks the row; 0, 1 after telling that there is none, or a status. */
static int person_lock(struct ctl *c, struct person *p)
{
    int n;

    p->id[0] = '\0';
    n = speedy_db_query(
        c->db, "SELECT id, role, state FROM staff WHERE login = ? FOR UPDATE",
        DB_ARGS(DB_TEXT(p->login)), person_row, p);
    if (n != 0)
        return n;
    if (p->id[0] != '\0' && strcmp(p->state, "ACTIVE") == 0)
        return 0;
    ctl_refuse(c, "there is no %slogin %s: see staff list",
               p->id[0] != '\0' ? "active " : "", p->login);
    return 1;
}

static int end_work(struct ctl *c, void *data)
{
    struct person *p = data;
    long others;
    int n = person_lock(c, p);

    if (n != 0)
        return n;
    if (strcmp(p->role, "OWNER") == 0) {
        others = speedy_staff_other_owners(c->db, p->id);
        if (others < 0)
            return (int)others;
        if (others == 0) {
            ctl_refuse(c,
                       "%s is the last OWNER: add another first (staff add "
                       "--login NAME --role OWNER)",
                       p->login);
            return 1;
        }
    }
    n = speedy_db_exec(c->db,
                       "UPDATE staff SET state = 'ENDED', version = version + "
                       "1 WHERE id = ?",
                       DB_ARGS(DB_TEXT(p->id)), NULL);
    if (n == 0)
        n = speedy_sessions_end_of(c->db, p->id, "staff_ended", &p->sessions);
    speedy_buf_printf(&c->detail, "\"staff\":\"%s\",\"sessions\":%ld", p->id,
                      p->sessions);
    return n;
}

int ctl_staff_end(struct ctl *c)
{
    struct person p = {.login = c->args[0]};
    int code;

    if (!speedy_staff_login_valid(p.login))
        return ctl_usage(c, "LOGIN is a login name: see staff list");
    code = ctl_act(c, "staff.end", p.login, end_work, &p);
    if (code == CTL_DONE && c->json)
        printf("{\"id\":\"%s\",\"login\":\"%s\",\"state\":\"ENDED\","
               "\"sessions_ended\":%ld}\n",
               p.id, p.login, p.sessions);
    else if (code == CTL_DONE)
        printf("staff %s ended, %ld sessions with it\n", p.login, p.sessions);
    return code;
}

static int reset_work(struct ctl *c, void *data)
{
    struct person *p = data;
    int n = person_lock(c, p);

    if (n == 0)
        n = speedy_staff_renew(c->db, p->id, p->hash, p->totp);
    if (n == 0)
        n = speedy_sessions_end_of(c->db, p->id, "staff_reset", &p->sessions);
    speedy_buf_printf(&c->detail, "\"staff\":\"%s\",\"sessions\":%ld", p->id,
                      p->sessions);
    return n;
}

int ctl_staff_reset(struct ctl *c)
{
    struct person p = {.login = c->args[0]};
    int code;

    if (!speedy_staff_login_valid(p.login))
        return ctl_usage(c, "LOGIN is a login name: see staff list");
    code = secrets_load(c);
    if (code == 0)
        code = password_take(c, &p);
    if (code == 0)
        code = ctl_act(c, "staff.reset", p.login, reset_work, &p);
    if (code == CTL_DONE)
        hand_over(c, &p);
    secrets_wipe(&p);
    return code;
}

/* --- list --- */

struct listing {
    struct speedy_buf out;
    bool json;
    int n;
};

static int list_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct listing *l = data;
    const char *login = col[1].bytes, *role = col[2].bytes,
               *state = col[3].bytes;

    (void)cols;
    if (l->json) {
        speedy_buf_printf(&l->out,
                          "%s{\"id\":\"%s\",\"login\":\"%s\",\"role\":\"%s\","
                          "\"state\":\"%s\",\"sessions\":%lld,\"created_at\":",
                          l->n ? "," : "", (const char *)col[0].bytes, login,
                          role, state, (long long)col[4].number);
        ctl_json_time(&l->out, col[5].number);
        speedy_buf_printf(&l->out, ",\"last_code_at\":");
        ctl_json_time(&l->out, col[6].number);
        speedy_buf_printf(&l->out, "}");
    } else {
        speedy_buf_printf(&l->out, "%-20s %-9s %-7s %2lld sessions  last %s\n",
                          login, role, state, (long long)col[4].number,
                          ctl_time_text(col[6].number));
    }
    l->n++;
    return 0;
}

int ctl_staff_list(struct ctl *c)
{
    struct listing l = {.json = c->json};
    int n;

    if (ctl_db(c) == NULL)
        return CTL_REFUSED;
    if (c->json)
        speedy_buf_printf(&l.out, "{\"data\":[");
    n = speedy_db_query(
        c->db,
        "SELECT id, login, role, state, (SELECT COUNT(*) FROM"
        " sessions s WHERE s.owner_id = staff.id AND s.ended_at IS NULL AND"
        " s.expires_at > UTC_TIMESTAMP(3)), " CTL_MS(
            "created_at") ","
                          " totp_step * 30000 FROM staff ORDER BY login",
        DB_NONE, list_row, &l);
    if (n != 0) {
        speedy_buf_free(&l.out);
        return ctl_db_failed(c, n);
    }
    if (c->json)
        speedy_buf_printf(&l.out, "]}");
    else if (l.n == 0)
        speedy_buf_printf(&l.out, "no staff: speedyctl staff add --login NAME "
                                  "--role OWNER");
    ctl_print(&l.out);
    return CTL_DONE;
}
