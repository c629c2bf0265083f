/*
 * `doctor`, accounts: the keys of personal data and passwords, and somebody
 * who may run the desk.
 */
#include <stdio.h>
#include <string.h>

#include "../common/conf.h"
#include "doctor.h"
#include "keys.h"

/* Keys of 64 hex digits, besides the master key. */
static void key_files(struct doctor *d)
{
    static const char *const names[] = {"blind-index", "pepper", "code-key",
                                        "refresh-key"};
    unsigned char key[SPEEDY_SECRET_KEY];
    char found[256] = "";
    int bad = 0;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t len = strlen(found);

        if (speedy_secret_key(names[i], key) != 0)
            snprintf(found + len, sizeof(found) - len, "%s%s",
                     bad++ ? ", " : "cannot be used: ", names[i]);
    }
    explicit_bzero(key, sizeof(key));
    doctor_say(d, bad ? DOCTOR_FAIL : DOCTOR_OK, "keys of accounts",
               bad ? found : "blind-index, pepper, code-key, refresh-key",
               "each is made once, by (umask 377; openssl rand -hex 32 > "
               "FILE), and the same on every host; a lost one cannot be "
               "replaced");
}

static void master_file(struct doctor *d)
{
    char name[64], path[512], found[600];
    unsigned char key[SPEEDY_SECRET_KEY];
    bool good;

    snprintf(name, sizeof(name), "master-%.20s", speedy_conf.keys_master);
    keys_file(speedy_conf.keys_master, path, sizeof(path));
    good = speedy_secret_key(name, key) == 0;
    explicit_bzero(key, sizeof(key));
    snprintf(found, sizeof(found), "[keys] master = %.20s%s",
             speedy_conf.keys_master, good ? "" : ", its file cannot be used");
    doctor_say(d, good ? DOCTOR_OK : DOCTOR_FAIL, "master key", found,
               "name one that <secrets>/master-<id> holds: docs/operations.md, "
               "Master keys");
}

static void master_use(struct doctor *d)
{
    char found[200] = "none but the current one", path[512];
    struct keys_use u;
    size_t lost = 0;
    int64_t old = 0;

    if (keys_use_read(d->c, &u) != 0)
        return;
    for (size_t i = 1; i < u.count; i++) {
        old += u.key[i].total;
        if (!keys_file(u.key[i].id, path, sizeof(path))) {
            snprintf(found, sizeof(found), "%s is needed by %lld rows",
                     u.key[i].id, (long long)u.key[i].total);
            lost++;
        }
    }
    if (lost > 0) {
        doctor_say(d, DOCTOR_FAIL, "master keys in use", found,
                   "its file is not here: those rows cannot be read; bring it "
                   "back from the backup of the secrets");
        return;
    }
    if (old > 0)
        snprintf(found, sizeof(found), "%lld rows have an older one",
                 (long long)old);
    doctor_say(d, old ? DOCTOR_WARN : DOCTOR_OK, "master keys in use", found,
               "speedyctl keys rotate");
}

static void owners(struct doctor *d)
{
    char found[64];
    int64_t n = 0;

    if (speedy_db_number(d->c->db,
                         "SELECT COUNT(*) FROM staff WHERE role = 'OWNER' AND "
                         "state = 'ACTIVE'",
                         DB_NONE, &n) != 1)
        return;
    snprintf(found, sizeof(found), "%lld active", (long long)n);
    doctor_say(d, n > 0 ? DOCTOR_OK : DOCTOR_WARN, "owners", found,
               "speedyctl staff add --login NAME --role OWNER");
}

void doctor_accounts(struct doctor *d, bool mysql)
{
    key_files(d);
    master_file(d);
    if (mysql) {
        master_use(d);
        owners(d);
    }
}
