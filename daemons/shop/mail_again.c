/*
 * The attempts are counted from none again; the record in the outbox only
 * saves the time until maild's next scan.
 */
#include "mail_again.h"

#include "mail.h"

int speedy_mail_again(struct speedy_db *db, const unsigned char id[16])
{
    long changed = 0;
    int rc = speedy_db_exec(
        db,
        "UPDATE mails SET expires_at = GREATEST(expires_at, NOW(3) + INTERVAL"
        " 1 HOUR), state = 'QUEUED', attempts = 0, next_at = NOW(3), ended_at = NULL"
        " WHERE id = ? AND state IN ('QUEUED', 'FAILED', 'EXPIRED')",
        DB_ARGS(DB_BYTES(id, 16)), &changed);

    if (rc != SPEEDY_DB_OK || changed == 0)
        return rc;
    rc = speedy_mail_announce(db, id);
    return rc == SPEEDY_DB_OK ? 1 : rc;
}
