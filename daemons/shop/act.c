/*
 * The frame of an act: transaction, audit row, repeats.
 */
#include "act.h"

#include <string.h>

#include "../common/crypto.h"
#include "../common/loop.h"

#define ATTEMPTS 8

int speedy_act_changed_once(int status, long affected)
{
    return status == 0 && affected == 0 ? SPEEDY_DB_RETRY : status;
}

static int once(struct speedy_act *a, const char *id, const char *act,
                const char *object,
                int (*work)(struct speedy_act *a, void *data), void *data)
{
    struct speedy_buf row = {0};
    int n;

    a->detail.len = 0;
    if (speedy_db_begin(a->db) != 0)
        return SPEEDY_DB_RETRY;
    n = work(a, data);
    if (n == 0) {
        speedy_buf_printf(&row, "{\"act_id\":\"%s\"%s", id,
                          a->detail.len ? "," : "");
        speedy_buf_add(&row, a->detail.len ? a->detail.data : "",
                       a->detail.len);
        speedy_buf_printf(&row, "}");
        n = speedy_db_exec(a->db,
                           "INSERT INTO audit_log (actor, act, object, reason,"
                           " detail) VALUES (?, ?, ?, ?, ?)",
                           DB_ARGS(DB_TEXT(a->actor), DB_TEXT(act),
                                   DB_TEXT(object), DB_TEXT(a->reason),
                                   DB_BYTES(row.data, row.len)),
                           NULL);
        speedy_buf_free(&row);
    }
    if (n == 0)
        return speedy_db_commit(a->db);
    speedy_db_rollback(a->db);
    return n;
}

/* Whether an attempt whose COMMIT was not answered was committed after all. */
static int committed(struct speedy_act *a, const char *id, const char *object)
{
    int64_t n = 0;
    int status;

    status = speedy_db_number(
        a->db,
        "SELECT COUNT(*) FROM audit_log WHERE object = ? AND detail LIKE "
        "CONCAT('{\"act_id\":\"', ?, '\"%')",
        DB_ARGS(DB_TEXT(object), DB_TEXT(id)), &n);
    return status < 0 ? status : n > 0;
}

int speedy_act_run(struct speedy_act *a, const char *act, const char *object,
                   int (*work)(struct speedy_act *a, void *data), void *data)
{
    int attempts = a->attempts > 0 ? a->attempts : ATTEMPTS;
    unsigned char raw[16];
    char id[37];
    int n = SPEEDY_DB_RETRY;

    speedy_uuid7(raw);
    speedy_uuid_text(raw, id);
    for (int i = 0; i < attempts; i++) {
        if (i > 0)
            speedy_pause(speedy_jitter(50L << i));
        if (speedy_db_ready(a->db) != 0)
            continue;
        if (i > 0) {
            n = committed(a, id, object);
            if (n == 1)
                return SPEEDY_ACT_DONE;
            if (n < 0)
                continue;
        }
        n = once(a, id, act, object, work, data);
        if (n != SPEEDY_DB_RETRY)
            return n;
    }
    return n;
}
