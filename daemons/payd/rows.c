/* SQL of payments. All times are the database's. */
#include "rows.h"

#include <stdio.h>
#include <string.h>

#include "../common/crypto.h"
#include "../common/log.h"
#include "../common/loop.h"
#include "../common/seal.h"

#define SEALED 5

void payd_text(const struct speedy_db_value *v, char *out, size_t size)
{
    out[0] = '\0';
    if (v->kind != SPEEDY_DB_BYTES || v->len >= size)
        return;
    memcpy(out, v->bytes, v->len);
    out[v->len] = '\0';
}

struct reading {
    struct payd_payment *p;
    int found;
};

static int on_payment(void *data, const struct speedy_db_value *col,
                      size_t cols)
{
    struct reading *reading = data;
    struct payd_payment *p = reading->p;

    (void)cols;
    if (col[0].len != 16 || col[1].len != 16)
        return 1;
    memcpy(p->id, col[0].bytes, 16);
    memcpy(p->order, col[1].bytes, 16);
    speedy_uuid_text(p->order, p->order_text);
    payd_text(&col[2], p->user, sizeof(p->user));
    payd_text(&col[3], p->state, sizeof(p->state));
    payd_text(&col[4], p->api, sizeof(p->api));
    payd_text(&col[5], p->cid, sizeof(p->cid));
    payd_text(&col[6], p->tid, sizeof(p->tid));
    p->quantity = col[7].number;
    p->goods = col[8].number;
    p->shipping = col[9].number;
    p->total = col[10].number;
    p->tax_free = col[11].number;
    p->vat = col[12].number;
    p->refunded = col[13].number;
    p->inquiries = col[14].number;
    p->dead = col[15].number != 0;
    reading->found = 1;
    return 1;
}

#define COLUMNS                                                                \
    "SELECT id, order_id, user_id, state, api, cid, tid, quantity,"            \
    " goods_amount, shipping_fee, total_amount, tax_free_amount, vat_amount,"  \
    " refunded_amount, inquiries,"                                             \
    " COALESCE(dead_at <= NOW(3), 0) FROM payments WHERE "

static int read_one(struct speedy_db *db, const char *sql, const void *key,
                    size_t len, struct payd_payment *p)
{
    struct reading reading = {p, 0};
    int rc;

    memset(p, 0, sizeof(*p));
    rc = speedy_db_query(db, sql, DB_ARGS(DB_BYTES(key, len)), on_payment,
                         &reading);
    return rc == SPEEDY_DB_OK ? reading.found : rc;
}

int payd_payment_lock(struct speedy_db *db, const unsigned char id[16],
                      struct payd_payment *p)
{
    return read_one(db, COLUMNS "id = ? FOR UPDATE", id, 16, p);
}

int payd_payment_read(struct speedy_db *db, const unsigned char id[16],
                      struct payd_payment *p)
{
    return read_one(db, COLUMNS "id = ?", id, 16, p);
}

int payd_payment_find(struct speedy_db *db, const unsigned char hash[32],
                      struct payd_payment *p)
{
    return read_one(db, COLUMNS "nonce_hash = ?", hash, 32, p);
}

void payd_call_log(struct speedy_db *db, const struct payd_ask *ask,
                   const struct payd_call *call, const struct payd_reply *reply,
                   const unsigned char *refund)
{
    int rc = speedy_db_exec(
        db,
        "INSERT INTO payment_calls (payment_id, refund_id, kind, outcome,"
        " http_status, curl_code, error_code, detail, ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        DB_ARGS(DB_BYTES(ask->p->id, 16),
                refund != NULL ? DB_BYTES(refund, 16) : DB_NULL,
                DB_TEXT(payd_kind_name(ask->kind)),
                DB_TEXT(payd_outcome_name(reply->outcome)),
                DB_INT(call->status), DB_INT(call->code),
                reply->error_code != 0 ? DB_INT(reply->error_code) : DB_NULL,
                DB_TEXT(reply->detail), DB_INT(call->ms)),
        NULL);

    if (rc != SPEEDY_DB_OK)
        speedy_log(SPEEDY_WARN, "a call was not noted", "order=%s kind=%s",
                   ask->p->order_text, payd_kind_name(ask->kind));
}

long payd_inquiry_pause(int64_t inquiries)
{
    long pause = payd_settings.inquiry_first;

    for (int64_t i = 0; i < inquiries && pause < payd_settings.inquiry_most;
         i++)
        pause *= 2;
    return speedy_jitter(pause < payd_settings.inquiry_most
                             ? pause
                             : payd_settings.inquiry_most);
}

int payd_recipient_put(struct speedy_db *db, const unsigned char order[16],
                       const struct payd_recipient *to)
{
    static const char *const columns[SEALED] = {
        "sealed_recipient", "sealed_phone", "sealed_postcode", "sealed_line1",
        "sealed_line2"};
    const char *const texts[SEALED] = {to->recipient, to->phone, to->postcode,
                                       to->line1, to->line2};
    unsigned char wrapped[SPEEDY_WRAPPED_KEY];
    unsigned char sealed[SEALED][512 + SPEEDY_SEAL_EXTRA];
    size_t len[SEALED];
    struct speedy_data_key key;
    int rc;

    speedy_data_key_new(&key, "order_recipients", order, 16, wrapped);
    for (int i = 0; i < SEALED; i++) {
        struct speedy_seal_place at = {"order_recipients", columns[i], order,
                                       16};

        len[i] = speedy_seal(&key, &at, texts[i], strlen(texts[i]), sealed[i]);
    }
    speedy_data_key_wipe(&key);
    rc = speedy_db_exec(db, "DELETE FROM order_recipients WHERE id = ?",
                        DB_ARGS(DB_BYTES(order, 16)), NULL);
    if (rc != SPEEDY_DB_OK)
        return rc;
    return speedy_db_exec(
        db,
        "INSERT INTO order_recipients (id, sealed_recipient, sealed_phone,"
        " sealed_postcode, sealed_line1, sealed_line2, data_key, master_key)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        DB_ARGS(DB_BYTES(order, 16), DB_BYTES(sealed[0], len[0]),
                DB_BYTES(sealed[1], len[1]), DB_BYTES(sealed[2], len[2]),
                DB_BYTES(sealed[3], len[3]), DB_BYTES(sealed[4], len[4]),
                DB_BYTES(wrapped, sizeof(wrapped)),
                DB_TEXT(speedy_seal_master())),
        NULL);
}

int payd_shipping_fee(struct speedy_db *db, const char *postcode, int64_t *fee)
{
    return speedy_db_number(db,
                            "SELECT CAST(SUM(fee) AS SIGNED) FROM shipping_fees"
                            " WHERE ? BETWEEN first_postcode AND last_postcode",
                            DB_ARGS(DB_TEXT(postcode)), fee);
}
