/*
 * `keys`: which master key wraps what, and the change to another one.
 *
 * A rotation opens each data key with the master key that is named in its row
 * and wraps it with the current one; what the data key has sealed stays as it
 * is. A row is written only if it still is as it was read, key and name in
 * one UPDATE, so every row is readable at each moment, and any number of
 * rotations, readers and writers may run beside each other. A rotation that
 * was broken off is run again: it takes what is left.
 */
#include "keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../common/loop.h"
#include "../common/seal.h"

#define BATCH 64
#define BATCH_TEXT "64"
#define ATTEMPTS 8
#define ROW_MAX 40

/* The tables with data keys; statements are written out, none is built. */
static const struct keyed {
    const char *table, *count, *batch, *update;
} keyed[] = {
#define KEYED(t)                                                               \
    {                                                                          \
        t,                                                                     \
            "SELECT master_key, COUNT(*) FROM " t " WHERE data_key IS NOT "    \
            "NULL GROUP BY master_key ORDER BY master_key",                    \
            "SELECT id, data_key FROM " t " WHERE master_key = ? AND id > ? "  \
            "AND data_key IS NOT NULL ORDER BY id LIMIT " BATCH_TEXT,          \
            "UPDATE " t " SET data_key = ?, master_key = ? WHERE id = ? AND "  \
            "data_key = ? AND master_key = ?"                                  \
    }
    KEYED("users"), KEYED("verifications"), KEYED("staff"),
    KEYED("order_recipients")};
#define TABLES (sizeof(keyed) / sizeof(keyed[0]))

bool keys_file(const char *id, char *path, size_t size)
{
    struct stat st;

    snprintf(path, size, "%s/master-%s", speedy_conf.secrets_directory, id);
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static int count_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct keys_use *u = data;
    const char *id = col[0].kind == SPEEDY_DB_BYTES ? col[0].bytes : "";
    size_t i = 0;

    (void)cols;
    while (i < u->count && strcmp(u->key[i].id, id) != 0)
        i++;
    if (i == KEYS_MAX)
        return 0;
    if (i == u->count) {
        snprintf(u->key[i].id, sizeof(u->key[i].id), "%s", id);
        u->count++;
    }
    u->key[i].rows[u->table] = col[1].number;
    u->key[i].total += col[1].number;
    return 0;
}

int keys_use_read(struct ctl *c, struct keys_use *u)
{
    memset(u, 0, sizeof(*u));
    snprintf(u->key[0].id, sizeof(u->key[0].id), "%s", speedy_conf.keys_master);
    u->count = 1; /* the current one stands first, rows or not */
    for (u->table = 0; u->table < TABLES; u->table++) {
        int n = speedy_db_query(c->db, keyed[u->table].count, DB_NONE,
                                count_row, u);

        if (n != 0)
            return n;
    }
    return 0;
}

/* --- status --- */

static void status_line(struct speedy_buf *b, const struct keys_use *u,
                        size_t i, bool json)
{
    char path[512];
    bool file = keys_file(u->key[i].id, path, sizeof(path));

    if (json) {
        speedy_buf_printf(b, "%s{\"id\":", i ? "," : "");
        speedy_buf_json(b, u->key[i].id);
        speedy_buf_printf(b, ",\"current\":%s,\"file\":%s",
                          i == 0 ? "true" : "false", file ? "true" : "false");
        for (size_t t = 0; t < TABLES; t++)
            speedy_buf_printf(b, ",\"%s\":%lld", keyed[t].table,
                              (long long)u->key[i].rows[t]);
        speedy_buf_printf(b, "}");
        return;
    }
    speedy_buf_printf(b, "%-20s", u->key[i].id);
    for (size_t t = 0; t < TABLES; t++)
        speedy_buf_printf(b, "  %lld %s", (long long)u->key[i].rows[t],
                          keyed[t].table);
    speedy_buf_printf(b, "%s%s\n", i == 0 ? "  (current)" : "",
                      file ? "" : "  ITS FILE IS NOT HERE");
}

int ctl_keys_status(struct ctl *c)
{
    struct speedy_buf out = {0};
    struct keys_use u;
    bool lost = false;
    char path[512];
    int n;

    if (ctl_db(c) == NULL)
        return CTL_REFUSED;
    n = keys_use_read(c, &u);
    if (n != 0)
        return ctl_db_failed(c, n);
    if (c->json)
        speedy_buf_printf(&out, "{\"data\":[");
    for (size_t i = 0; i < u.count; i++) {
        status_line(&out, &u, i, c->json);
        lost |= !keys_file(u.key[i].id, path, sizeof(path));
    }
    if (c->json)
        speedy_buf_printf(&out, "]}");
    else if (u.count > 1)
        speedy_buf_printf(&out, "rows of other keys: speedyctl keys rotate\n");
    ctl_print(&out);
    return lost ? CTL_REFUSED : CTL_DONE;
}

/* --- rotate --- */

struct wrapped {
    unsigned char id[ROW_MAX], key[SPEEDY_WRAPPED_KEY],
        next[SPEEDY_WRAPPED_KEY];
    size_t id_len;
};

struct rotation {
    struct ctl *c;
    const struct keyed *t;
    const char *from;
    unsigned char after[ROW_MAX]; /* the last row that was looked at */
    size_t after_len;
    struct wrapped row[BATCH];
    size_t rows;
    long seen; /* of the query */
    /* sums */
    int64_t done[TABLES], failed, left_alone;
};

static int batch_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct rotation *r = data;
    struct wrapped *w = &r->row[r->rows];
    struct speedy_data_key k;

    (void)cols;
    r->seen++;
    if (col[0].len > ROW_MAX)
        return 0;
    memcpy(r->after, col[0].bytes, col[0].len);
    r->after_len = col[0].len;
    if (col[1].len != SPEEDY_WRAPPED_KEY ||
        speedy_data_key_open(&k, r->t->table, col[0].bytes, col[0].len, r->from,
                             col[1].bytes, col[1].len) != 0) {
        r->failed++;
        return 0;
    }
    memcpy(w->id, col[0].bytes, col[0].len);
    w->id_len = col[0].len;
    memcpy(w->key, col[1].bytes, SPEEDY_WRAPPED_KEY);
    speedy_data_key_wrap(&k, r->t->table, w->id, w->id_len, w->next);
    speedy_data_key_wipe(&k);
    r->rows++;
    return 0;
}

/* Writes the batch in one transaction; a status. */
static int batch_write(struct rotation *r, long *changed)
{
    const char *to = speedy_seal_master();

    *changed = 0;
    if (speedy_db_begin(r->c->db) != 0)
        return SPEEDY_DB_RETRY;
    for (size_t i = 0; i < r->rows; i++) {
        const struct wrapped *w = &r->row[i];
        long n = 0;
        int status = speedy_db_exec(
            r->c->db, r->t->update,
            DB_ARGS(DB_BYTES(w->next, SPEEDY_WRAPPED_KEY), DB_TEXT(to),
                    DB_BYTES(w->id, w->id_len),
                    DB_BYTES(w->key, SPEEDY_WRAPPED_KEY), DB_TEXT(r->from)),
            &n);

        if (status != 0) {
            speedy_db_rollback(r->c->db);
            return status;
        }
        *changed += n;
    }
    return speedy_db_commit(r->c->db);
}

/*
 * One batch. 1 there may be more, 0 this table has no more of this key, < 0
 * a status. After a lost COMMIT the batch is read again: what was written
 * has another key's name by then.
 */
static int batch(struct rotation *r)
{
    unsigned char after[ROW_MAX];
    size_t after_len = r->after_len;
    int64_t failed = r->failed;
    int n = SPEEDY_DB_RETRY;
    long changed = 0;

    memcpy(after, r->after, sizeof(after));
    for (int i = 0; i < ATTEMPTS && n == SPEEDY_DB_RETRY; i++) {
        if (i > 0)
            speedy_pause(speedy_jitter(50L << i));
        if (speedy_db_ready(r->c->db) != 0)
            continue;
        memcpy(r->after, after, sizeof(after));
        r->after_len = after_len;
        r->failed = failed;
        r->rows = 0;
        r->seen = 0;
        n = speedy_db_query(
            r->c->db, r->t->batch,
            DB_ARGS(DB_TEXT(r->from), DB_BYTES(after, after_len)), batch_row,
            r);
        if (n == 0)
            n = batch_write(r, &changed);
    }
    if (n != 0)
        return n;
    r->done[r->t - keyed] += changed;
    r->left_alone += (int64_t)r->rows - changed;
    return r->seen == BATCH;
}

static int rotate_from(struct rotation *r, const char *from)
{
    int n = 0;

    r->from = from;
    for (size_t t = 0; t < TABLES && n == 0; t++) {
        r->t = &keyed[t];
        r->after_len = 0;
        do
            n = batch(r);
        while (n == 1);
    }
    return n;
}

/* Nothing to change: the audit_log rows of begin and end. */
static int figures(struct ctl *c, void *data)
{
    const struct rotation *r = data;

    if (r != NULL)
        speedy_buf_printf(&c->detail,
                          "\"users\":%lld,\"verifications\":%lld,\"staff\":"
                          "%lld,\"recipients\":%lld,\"failed\":%lld",
                          (long long)r->done[0], (long long)r->done[1],
                          (long long)r->done[2], (long long)r->done[3],
                          (long long)r->failed);
    return 0;
}

/* Whether --to is what speedy.conf names, and its file is here. */
static int rotate_check(struct ctl *c)
{
    const char *to = ctl_option(c, "to"), *current = speedy_conf.keys_master;
    const char *dir = speedy_conf.secrets_directory;
    char path[512];

    if (to == NULL)
        to = current;
    if (*to == '\0' || strlen(to) >= SPEEDY_MASTER_ID ||
        strspn(to, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(to))
        return ctl_usage(c, "--to: an id of 1 to 20 of a-z, 0-9 and -");
    if (!keys_file(to, path, sizeof(path)))
        return ctl_refuse(c,
                          "there is no key %s. Make it on every host that runs "
                          "userd, the same everywhere:\n"
                          "  (umask 377; openssl rand -hex 32 > %s/master-%s)\n"
                          "then set [keys] master = %s in speedy.conf, restart "
                          "every userd, and run this again",
                          to, dir, to, to);
    if (strcmp(to, current) != 0)
        return ctl_refuse(c,
                          "[keys] master of speedy.conf is %s: set it to %s, "
                          "restart every userd (they must have the new key "
                          "before a row needs it), and run this again",
                          current, to);
    return keys_daemons_know(c, to) == 0 ? -1 : CTL_REFUSED;
}

static void rotate_told(const struct ctl *c, const struct rotation *r,
                        const struct keys_use *u)
{
    int64_t left = 0;

    for (size_t i = 1; i < u->count; i++)
        left += u->key[i].total;
    if (c->json) {
        printf("{\"to\":\"%s\",\"users\":%lld,\"verifications\":%lld,"
               "\"staff\":%lld,\"recipients\":%lld,\"failed\":%lld,"
               "\"left\":%lld}\n",
               speedy_conf.keys_master, (long long)r->done[0],
               (long long)r->done[1], (long long)r->done[2],
               (long long)r->done[3], (long long)r->failed, (long long)left);
        return;
    }
    printf("rewrapped with %s: %lld users, %lld verifications, %lld staff,"
           " %lld recipients of orders\n",
           speedy_conf.keys_master, (long long)r->done[0],
           (long long)r->done[1], (long long)r->done[2], (long long)r->done[3]);
    if (left == 0)
        printf("No row needs another master key: older files may be removed "
               "from %s\n(keep one with every backup that was made before "
               "now).\n",
               speedy_conf.secrets_directory);
    else
        printf("%lld rows still need another key: see keys status\n",
               (long long)left);
}

int ctl_keys_rotate(struct ctl *c)
{
    struct rotation r = {.c = c};
    struct keys_use u;
    int code = rotate_check(c), n = 0;

    if (code != -1)
        return code;
    if (speedy_seal_init() != 0)
        return ctl_refuse(c,
                          "the keys in %s cannot be used; the lines above "
                          "say why. Run this as the account that owns them",
                          speedy_conf.secrets_directory);
    code = ctl_act(c, "keys.rotate", speedy_conf.keys_master, figures, NULL);
    if (code == CTL_DONE)
        n = keys_use_read(c, &u);
    for (size_t i = 1; code == CTL_DONE && n == 0 && i < u.count; i++)
        n = rotate_from(&r, u.key[i].id);
    if (code == CTL_DONE && n == 0)
        n = keys_use_read(c, &u);
    speedy_seal_free();
    if (code != CTL_DONE)
        return code;
    if (n != 0)
        return ctl_db_failed(c, n);
    code = ctl_act(c, "keys.rotated", speedy_conf.keys_master, figures, &r);
    rotate_told(c, &r, &u);
    if (r.failed > 0)
        return ctl_refuse(c,
                          "%lld rows could not be opened (the lines above say "
                          "why): keep every old key's file",
                          (long long)r.failed);
    return code;
}
