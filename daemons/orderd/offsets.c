/*
 * kafka_offsets rows when a partition changes hands.
 */
#include "offsets.h"

#include <string.h>

#include "../common/log.h"

struct row {
    int64_t next, token;
    bool found;
};

static int on_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct row *row = data;

    (void)cols;
    row->next = col[0].number;
    row->token = col[1].number;
    row->found = true;
    return 1;
}

static enum orderd_taking give_back(struct speedy_db *db, int rc)
{
    speedy_db_rollback(db);
    return rc < 0 ? ORDERD_TAKE_RETRY : ORDERD_TAKE_LOST;
}

enum orderd_taking orderd_offset_take(struct speedy_db *db, const char *topic,
                                      int partition,
                                      const struct speedy_lease *lease,
                                      int64_t *next)
{
    struct row row = {0};
    int rc;

    if (speedy_db_begin(db) != 0)
        return ORDERD_TAKE_RETRY;
    rc = speedy_lease_lock(lease, db);
    if (rc != 1)
        return give_back(db, rc);
    rc = speedy_db_query(db,
                         "SELECT next_offset, token FROM kafka_offsets"
                         " WHERE topic = ? AND part = ? FOR UPDATE",
                         DB_ARGS(DB_TEXT(topic), DB_INT(partition)), on_row,
                         &row);
    if (rc != SPEEDY_DB_OK)
        return give_back(db, rc);
    if (!row.found) {
        speedy_db_rollback(db);
        return ORDERD_TAKE_ABSENT;
    }
    if (row.token > lease->token) {
        speedy_log(SPEEDY_ALARM, "stored token is younger than the lease",
                   "topic=%s partition=%d stored=%lld lease=%lld", topic,
                   partition, (long long)row.token, (long long)lease->token);
        return give_back(db, 0);
    }
    rc = speedy_db_exec(
        db,
        "UPDATE kafka_offsets SET token = ?"
        " WHERE topic = ? AND part = ?",
        DB_ARGS(DB_INT(lease->token), DB_TEXT(topic), DB_INT(partition)), NULL);
    if (rc != SPEEDY_DB_OK)
        return give_back(db, rc);
    if (speedy_db_commit(db) != 0)
        return give_back(db, SPEEDY_DB_RETRY);
    *next = row.next;
    return ORDERD_TAKEN;
}

enum orderd_taking orderd_offset_create(struct speedy_db *db, const char *topic,
                                        int partition,
                                        const struct speedy_lease *lease)
{
    int rc;

    if (speedy_db_begin(db) != 0)
        return ORDERD_TAKE_RETRY;
    rc = speedy_lease_lock(lease, db);
    if (rc != 1)
        return give_back(db, rc);
    rc = speedy_db_exec(
        db,
        "INSERT INTO kafka_offsets (topic, part, next_offset,"
        " token) VALUES (?, ?, 0, ?)",
        DB_ARGS(DB_TEXT(topic), DB_INT(partition), DB_INT(lease->token)), NULL);
    if (rc != SPEEDY_DB_OK)
        return give_back(db, rc);
    if (speedy_db_commit(db) != 0)
        return give_back(db, SPEEDY_DB_RETRY);
    return ORDERD_TAKEN;
}
