/*
 * Rows of login_failures. `login_after` is compared with the start of the
 * statement: one that waited for the row's lock finds the time that the try
 * before it set, and is refused.
 */
#include "throttle.h"

#include "sessions.h"

void userd_throttle_subject(const char *kind, const char *name,
                            unsigned char subject[USERD_SUBJECT])
{
    speedy_blind_index(kind, name, subject);
}

/* 1 counted, 0 not: no row, or too early. */
static int count_again(struct speedy_db *db, const unsigned char *subject)
{
    const struct userd_session_settings *conf = &userd_session_settings;
    long affected = 0;
    int rc;

    rc = speedy_db_exec(
        db,
        "UPDATE login_failures SET login_after = IF(failures + 1 < ?, NULL,"
        " NOW(3) + INTERVAL LEAST(?, ? * (1 <<"
        " LEAST(GREATEST(failures + 1 - ?, 0), 20))) * 1000 MICROSECOND),"
        " failures = failures + 1, failed_at = NOW(3) WHERE subject = ?"
        " AND (login_after IS NULL OR login_after <= NOW(3))",
        DB_ARGS(DB_INT(conf->login_tries), DB_INT(conf->login_delay_most),
                DB_INT(conf->login_delay), DB_INT(conf->login_tries),
                DB_BYTES(subject, USERD_SUBJECT)),
        &affected);
    return rc != SPEEDY_DB_OK ? rc : affected > 0;
}

static int count_first(struct speedy_db *db, const unsigned char *subject)
{
    return speedy_db_exec(db,
                          "INSERT INTO login_failures (subject, failures,"
                          " failed_at) VALUES (?, 1, NOW(3))",
                          DB_ARGS(DB_BYTES(subject, USERD_SUBJECT)), NULL);
}

int userd_throttle_take(struct speedy_db *db,
                        const unsigned char subject[USERD_SUBJECT],
                        long *seconds)
{
    int64_t left;
    int rc;

    /* Twice: another may have inserted, or cleared, the row in between. */
    for (int i = 0; i < 2; i++) {
        rc = count_again(db, subject);
        if (rc != 0)
            return rc;
        rc = count_first(db, subject);
        if (rc != SPEEDY_DB_DUPLICATE)
            return rc == SPEEDY_DB_OK ? 1 : rc;
    }
    rc = speedy_db_number(
        db,
        "SELECT GREATEST(CEIL(TIMESTAMPDIFF(MICROSECOND, NOW(3), login_after)"
        " / 1000000), 1) FROM login_failures WHERE subject = ?",
        DB_ARGS(DB_BYTES(subject, USERD_SUBJECT)), &left);
    *seconds = rc == 1 ? (long)left : 1;
    return rc < 0 ? rc : 0;
}

int userd_throttle_clear(struct speedy_db *db,
                         const unsigned char subject[USERD_SUBJECT])
{
    return speedy_db_exec(db, "DELETE FROM login_failures WHERE subject = ?",
                          DB_ARGS(DB_BYTES(subject, USERD_SUBJECT)), NULL);
}

void userd_throttle_return(struct speedy_db *db,
                           const unsigned char subject[USERD_SUBJECT])
{
    speedy_db_exec(db,
                   "UPDATE login_failures SET failures = failures - 1"
                   " WHERE subject = ? AND failures > 0",
                   DB_ARGS(DB_BYTES(subject, USERD_SUBJECT)), NULL);
}
