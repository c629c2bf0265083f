/*
 * SQL of maild. All times are the database's: NOW(3) of one statement, in
 * sessions that are UTC.
 */
#include "claim.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../common/crypto.h"
#include "../common/loop.h"

#define WAITING "state IN ('QUEUED', 'SENDING') AND next_at <= NOW(3)"
#define USEFUL "(expires_at IS NULL OR expires_at > NOW(3))"
#define OURS                                                                   \
    " WHERE id = ? AND state = 'SENDING' AND claimed_by = ? AND attempts = ?"
#define AFTER "NOW(3) + INTERVAL ? * 1000 MICROSECOND"

void maild_rows_init(struct maild_rows *r, struct speedy_db *db, int instance,
                     long claim_ms)
{
    unsigned char random[8];
    char hex[17];

    speedy_random(random, sizeof(random));
    speedy_hex(random, sizeof(random), hex);
    r->db = db;
    r->claim_ms = claim_ms;
    snprintf(r->owner, sizeof(r->owner), "maild_%d %d %s", instance,
             (int)getpid(), hex);
}

struct page {
    unsigned char (*id)[16];
    int count;
};

static int on_due(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct page *p = data;

    (void)cols;
    if (col[0].kind == SPEEDY_DB_BYTES && col[0].len == 16)
        memcpy(p->id[p->count++], col[0].bytes, 16);
    return p->count == MAILD_PAGE;
}

int maild_rows_due(struct maild_rows *r, unsigned char id[][16])
{
    struct page p = {id, 0};
    int rc =
        speedy_db_query(r->db,
                        "SELECT id FROM mails WHERE " WAITING " AND " USEFUL
                        " ORDER BY verification_id IS NULL, expires_at IS NULL,"
                        " expires_at, next_at LIMIT 32",
                        DB_NONE, on_due, &p);

    return rc == SPEEDY_DB_OK ? p.count : rc;
}

static void text(const struct speedy_db_value *v, char *out, size_t size)
{
    snprintf(out, size, "%s",
             v->kind == SPEEDY_DB_BYTES ? (const char *)v->bytes : "");
}

static int on_claim(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct maild_claim *c = data;

    (void)cols;
    text(&col[0], c->kind, sizeof(c->kind));
    text(&col[1], c->request_id, sizeof(c->request_id));
    c->attempts = col[2].number;
    return 0;
}

int maild_rows_claim(struct maild_rows *r, const unsigned char id[16],
                     struct maild_claim *out)
{
    long changed = 0;
    int rc;

    memset(out, 0, sizeof(*out));
    memcpy(out->id, id, 16);
    out->taken_at = speedy_now_boot();
    rc = speedy_db_exec(
        r->db,
        "UPDATE mails SET state = 'SENDING',"
        " attempts = attempts + 1, claimed_by = ?, next_at ="
        " " AFTER " WHERE id = ? AND " WAITING " AND " USEFUL,
        DB_ARGS(DB_TEXT(r->owner), DB_INT(r->claim_ms), DB_BYTES(id, 16)),
        &changed);
    if (rc != SPEEDY_DB_OK || changed == 0)
        return rc;
    rc = speedy_db_query(r->db,
                         "SELECT kind, request_id, attempts FROM mails"
                         " WHERE id = ? AND state = 'SENDING'"
                         " AND claimed_by = ?",
                         DB_ARGS(DB_BYTES(id, 16), DB_TEXT(r->owner)), on_claim,
                         out);
    if (rc != SPEEDY_DB_OK)
        return rc;
    return out->attempts > 0;
}

int maild_rows_end(struct maild_rows *r, const struct maild_claim *c,
                   const char *state, int code, const char *reply)
{
    long changed = 0;
    int rc = speedy_db_exec(
        r->db,
        "UPDATE mails SET state = ?, ended_at = NOW(3),"
        " claimed_by = NULL, reply_code = ?, reply = ?" OURS,
        DB_ARGS(DB_TEXT(state), DB_INT(code), DB_TEXT(reply),
                DB_BYTES(c->id, 16), DB_TEXT(r->owner), DB_INT(c->attempts)),
        &changed);

    return rc == SPEEDY_DB_OK ? changed > 0 : rc;
}

int maild_rows_again(struct maild_rows *r, const struct maild_claim *c, long ms,
                     int code, const char *reply)
{
    long changed = 0;
    int rc =
        speedy_db_exec(r->db,
                       "UPDATE mails SET ended_at = IF(expires_at <= " AFTER
                       ", NOW(3), NULL), state = IF(expires_at <= " AFTER
                       ", 'FAILED', 'QUEUED'), next_at = " AFTER
                       ", claimed_by = NULL, reply_code = ?, reply = ?" OURS,
                       DB_ARGS(DB_INT(ms), DB_INT(ms), DB_INT(ms), DB_INT(code),
                               DB_TEXT(reply), DB_BYTES(c->id, 16),
                               DB_TEXT(r->owner), DB_INT(c->attempts)),
                       &changed);

    return rc == SPEEDY_DB_OK ? changed > 0 : rc;
}

int maild_rows_put_back(struct maild_rows *r, const struct maild_claim *c,
                        long ms, int code, const char *reply)
{
    long changed = 0;
    int rc = speedy_db_exec(
        r->db,
        "UPDATE mails SET state = 'QUEUED', attempts = attempts - 1,"
        " next_at = LEAST(" AFTER ", COALESCE(expires_at, " AFTER
        ")), claimed_by = NULL, reply_code = ?, reply = ?" OURS,
        DB_ARGS(DB_INT(ms), DB_INT(ms), DB_INT(code), DB_TEXT(reply),
                DB_BYTES(c->id, 16), DB_TEXT(r->owner), DB_INT(c->attempts)),
        &changed);

    return rc == SPEEDY_DB_OK ? changed > 0 : rc;
}

long maild_rows_expire(struct speedy_db *db)
{
    long changed = 0;
    int rc = speedy_db_exec(db,
                            "UPDATE mails SET state = 'EXPIRED', ended_at ="
                            " NOW(3), claimed_by = NULL WHERE " WAITING
                            " AND expires_at <= NOW(3) LIMIT 500",
                            DB_NONE, &changed);

    return rc == SPEEDY_DB_OK ? changed : rc;
}

struct queue {
    int64_t count, age;
};

static int on_queue(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct queue *q = data;

    (void)cols;
    q->count = col[0].number;
    q->age = col[1].kind == SPEEDY_DB_INT ? col[1].number : 0;
    return 0;
}

int maild_rows_queue(struct speedy_db *db, int64_t *count, int64_t *age)
{
    struct queue q = {0};
    int rc = speedy_db_query(db,
                             "SELECT COUNT(*), TIMESTAMPDIFF(MICROSECOND,"
                             " MIN(created_at), NOW(3)) DIV 1000 FROM mails"
                             " WHERE state IN ('QUEUED', 'SENDING')",
                             DB_NONE, on_queue, &q);

    *count = q.count;
    *age = q.age;
    return rc;
}
