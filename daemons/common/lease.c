/*
 * Leases: see the header. Every write is conditional on the token, so that two
 * takers of one free row cannot both succeed, and one that was stopped in the
 * middle of a step finds out at its next. The row is judged free only by what
 * this process saw itself, between the *reply* of one look and the *sending*
 * of a later one.
 */
#include "lease.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "crypto.h"
#include "log.h"
#include "loop.h"

struct row {
    bool there;
    char owner[64];
    int64_t token, beat;
};

static int look(struct speedy_lease *l, struct speedy_db *db, struct row *row);
static int beat(struct speedy_lease *l, struct speedy_db *db);
static int take(struct speedy_lease *l, struct speedy_db *db,
                const struct row *row);

void speedy_lease_init(struct speedy_lease *l, const char *name,
                       const char *role, int instance, long ttl_ms)
{
    unsigned char random[6];
    char hex[13];

    memset(l, 0, sizeof(*l));
    speedy_random(random, sizeof(random));
    speedy_hex(random, sizeof(random), hex);
    snprintf(l->name, sizeof(l->name), "%s", name);
    snprintf(l->owner, sizeof(l->owner), "%.20s_%d %ld %s", role, instance,
             (long)getpid(), hex);
    l->ttl_ms = ttl_ms;
    l->seen_token = -1;
}

int speedy_lease_step(struct speedy_lease *l, struct speedy_db *db)
{
    int64_t sent = speedy_now_boot();
    struct row row;

    if (l->held)
        return beat(l, db);
    if (look(l, db, &row) != 0)
        return -1;
    if (strcmp(row.owner, l->owner) == 0) {
        /* an UPDATE of ours whose answer was lost */
        l->held = true;
        l->token = row.token;
        l->confirmed = sent;
        speedy_log(SPEEDY_INFO, "lease taken", "lease=%s token=%lld", l->name,
                   (long long)l->token);
        return 1;
    }
    if (row.owner[0] == '\0')
        return take(l, db, &row);
    if (row.token != l->seen_token || row.beat != l->seen_beat) {
        l->seen_token = row.token;
        l->seen_beat = row.beat;
        l->seen_at = speedy_now_boot();
        return 0;
    }
    return sent - l->seen_at >= l->ttl_ms ? take(l, db, &row) : 0;
}

static int take_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct row *row = data;

    if (cols != 3 || col[0].kind != SPEEDY_DB_BYTES)
        return 1;
    row->there = true;
    snprintf(row->owner, sizeof(row->owner), "%s", (const char *)col[0].bytes);
    row->token = col[1].number;
    row->beat = col[2].number;
    return 1;
}

static int look(struct speedy_lease *l, struct speedy_db *db, struct row *row)
{
    memset(row, 0, sizeof(*row));
    for (int attempt = 0; attempt < 2; attempt++) {
        int status = speedy_db_query(
            db, "SELECT owner, token, beat FROM leases WHERE name = ?",
            DB_ARGS(DB_TEXT(l->name)), take_row, row);

        if (status != SPEEDY_DB_OK)
            return -1;
        if (row->there)
            return 0;
        status = speedy_db_exec(db,
                                "INSERT INTO leases (name, owner, token, beat) "
                                "VALUES (?, '', 0, 0)",
                                DB_ARGS(DB_TEXT(l->name)), NULL);
        if (status != SPEEDY_DB_OK && status != SPEEDY_DB_DUPLICATE)
            return -1;
    }
    return -1;
}

static int beat(struct speedy_lease *l, struct speedy_db *db)
{
    int64_t sent = speedy_now_boot();
    long affected;

    if (speedy_db_exec(
            db,
            "UPDATE leases SET beat = beat + 1 "
            "WHERE name = ? AND owner = ? AND token = ?",
            DB_ARGS(DB_TEXT(l->name), DB_TEXT(l->owner), DB_INT(l->token)),
            &affected) != SPEEDY_DB_OK)
        return -1;
    if (affected == 1) {
        l->confirmed = sent;
        return 0;
    }
    l->held = false;
    l->seen_token = -1;
    speedy_log(SPEEDY_WARN, "lease lost", "lease=%s token=%lld", l->name,
               (long long)l->token);
    return 0;
}

static int take(struct speedy_lease *l, struct speedy_db *db,
                const struct row *row)
{
    int64_t sent = speedy_now_boot();
    long affected;

    if (speedy_db_exec(db,
                       "UPDATE leases SET owner = ?, token = token + 1, "
                       "beat = beat + 1 "
                       "WHERE name = ? AND token = ? AND beat = ?",
                       DB_ARGS(DB_TEXT(l->owner), DB_TEXT(l->name),
                               DB_INT(row->token), DB_INT(row->beat)),
                       &affected) != SPEEDY_DB_OK)
        return -1;
    l->seen_token = -1;
    if (affected != 1)
        return 0;
    l->held = true;
    l->token = row->token + 1;
    l->confirmed = sent;
    speedy_log(SPEEDY_INFO, "lease taken", "lease=%s token=%lld from=%s",
               l->name, (long long)l->token, row->owner);
    return 1;
}

void speedy_lease_release(struct speedy_lease *l, struct speedy_db *db)
{
    if (!l->held)
        return;
    l->held = false;
    l->seen_token = -1;
    if (speedy_db_exec(
            db,
            "UPDATE leases SET owner = '', beat = beat + 1 "
            "WHERE name = ? AND owner = ? AND token = ?",
            DB_ARGS(DB_TEXT(l->name), DB_TEXT(l->owner), DB_INT(l->token)),
            NULL) == SPEEDY_DB_OK)
        speedy_log(SPEEDY_INFO, "lease released", "lease=%s token=%lld",
                   l->name, (long long)l->token);
}

int speedy_lease_lock(const struct speedy_lease *l, struct speedy_db *db)
{
    struct row row = {0};
    int status = speedy_db_query(
        db, "SELECT owner, token, beat FROM leases WHERE name = ? FOR UPDATE",
        DB_ARGS(DB_TEXT(l->name)), take_row, &row);

    if (status != SPEEDY_DB_OK)
        return status;
    return row.there && row.token == l->token &&
           strcmp(row.owner, l->owner) == 0;
}
