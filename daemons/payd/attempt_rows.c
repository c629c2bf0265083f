/* SQL of attempts: the order's row is locked before anything is judged. */
#include "attempt_rows.h"

#include <stdio.h>
#include <string.h>

#include "../common/crypto.h"
#include "../common/json.h"
#include "../shop/act.h"
#include "moves.h"

#define ITEM_CHARACTERS 100
#define CLAIM_SPARE_MS 5000

/* What an order in this state is to somebody who wants to pay; 0: payable. */
static int state_verdict(const char *state)
{
    static const char *const payable[] = {"PENDING_PAYMENT", "PAY_READY",
                                          "PAY_FAILED"};

    for (size_t i = 0; i < 3; i++) {
        if (strcmp(state, payable[i]) == 0)
            return 0;
    }
    if (strcmp(state, "PAY_APPROVING") == 0)
        return PAYD_A_BUSY;
    if (strcmp(state, "EXPIRED") == 0 || strcmp(state, "CANCELLED") == 0 ||
        strcmp(state, "REJECTED") == 0)
        return PAYD_A_ENDED;
    return PAYD_A_PAID;
}

struct known {
    unsigned char id[16];
    bool found, same_body, taken; /* taken: NEW, and its caller is at it */
    char state[11];
};

static int on_known(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct known *k = data;

    (void)cols;
    memcpy(k->id, col[0].bytes, 16);
    payd_text(&col[1], k->state, sizeof(k->state));
    k->same_body = col[2].number != 0;
    k->taken = col[3].number != 0;
    k->found = true;
    return 1;
}

/* The attempt of this key, if there is one. 0: there is none, or it is NEW and
 * nobody's (then it is in a->t.p); a verdict; a status. */
static int key_known(struct speedy_db *db, struct payd_attempt *a)
{
    struct known k = {.found = false};
    int rc = speedy_db_query(
        db,
        "SELECT id, state, body_digest = ?, COALESCE(next_at > NOW(3), 0)"
        " FROM payments WHERE order_id = ? AND key_digest = ?",
        DB_ARGS(DB_BYTES(a->body_digest, 16), DB_BYTES(a->order, 16),
                DB_BYTES(a->key_digest, 16)),
        on_known, &k);

    if (rc != SPEEDY_DB_OK || !k.found)
        return rc;
    if (!k.same_body)
        return PAYD_A_KEY_REUSED;
    if (strcmp(k.state, "FAILED") == 0 || strcmp(k.state, "REVOKED") == 0)
        return PAYD_A_OVER;
    rc = payd_payment_lock(db, k.id, &a->t.p);
    if (rc != 1)
        return rc < 0 ? rc : SPEEDY_DB_RETRY;
    if (strcmp(a->t.p.state, "NEW") != 0)
        return PAYD_A_REPLAY;
    return k.taken ? PAYD_A_BUSY : 0;
}

static int on_item(void *data, const struct speedy_db_value *col, size_t cols)
{
    (void)cols;
    payd_text(&col[0], data, 512);
    return 1;
}

/* The product and, where there is a choice, the variant; whole characters. */
static int item_read(struct speedy_db *db, const struct payd_order *o,
                     char item[512])
{
    size_t n = 0;
    int rc;

    item[0] = '\0';
    rc = speedy_db_query(
        db,
        "SELECT CONCAT(p.name, IF(? = 'default', '',"
        " CONCAT(' (', ?, ')'))) FROM sales s"
        " JOIN products p ON p.id = s.product_id"
        " WHERE s.id = ?",
        DB_ARGS(DB_TEXT(o->variant), DB_TEXT(o->variant), DB_TEXT(o->sale)),
        on_item, item);
    for (int i = 0; i < ITEM_CHARACTERS && item[n] != '\0'; i++) {
        size_t len = speedy_utf8_length(item + n, strlen(item + n));

        n += len > 0 ? len : 1;
    }
    item[n] = '\0';
    if (item[0] == '\0')
        snprintf(item, 512, "order");
    return rc;
}

static int revoke(struct speedy_db *db, const struct payd_attempt *a)
{
    return speedy_db_exec(
        db,
        "UPDATE payments SET state = 'REVOKED', live_order = NULL,"
        " next_at = NULL, ended_at = CURRENT_TIMESTAMP(3)"
        " WHERE live_order = ? AND state IN ('NEW', 'READY')"
        " AND key_digest <> ?",
        DB_ARGS(DB_BYTES(a->order, 16), DB_BYTES(a->key_digest, 16)), NULL);
}

static int insert(struct speedy_db *db, struct payd_attempt *a,
                  const struct payd_order *o, int64_t fee)
{
    struct payd_payment *p = &a->t.p;
    int64_t goods = o->quantity * o->unit_price, total = goods + fee;
    unsigned char id[16];
    int rc;

    speedy_uuid7(id);
    rc = speedy_db_exec(
        db,
        "INSERT INTO payments (id, order_id, live_order, user_id, api, cid,"
        " nonce_hash, key_digest, body_digest, quantity, goods_amount,"
        " shipping_fee, total_amount, tax_free_amount, vat_amount, next_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?,"
        " NOW(3) + INTERVAL ? * 1000 MICROSECOND)",
        DB_ARGS(DB_BYTES(id, 16), DB_BYTES(a->order, 16),
                DB_BYTES(a->order, 16), DB_TEXT(a->user),
                DB_TEXT(payd_settings.api), DB_TEXT(payd_settings.cid),
                DB_BYTES(a->nonce_hash, 32), DB_BYTES(a->key_digest, 16),
                DB_BYTES(a->body_digest, 16), DB_INT(o->quantity),
                DB_INT(goods), DB_INT(fee), DB_INT(total),
                DB_INT(payd_vat(total, 0)),
                DB_INT(payd_settings.ready_timeout + CLAIM_SPARE_MS)),
        NULL);
    if (rc == SPEEDY_DB_DUPLICATE)
        return PAYD_A_BUSY;
    if (rc != SPEEDY_DB_OK)
        return rc;
    rc = payd_payment_read(db, id, p);
    return rc == 1 ? SPEEDY_DB_OK : rc < 0 ? rc : SPEEDY_DB_ERROR;
}

/* A row whose ready had no answer: with a new nonce. */
static int retake(struct speedy_db *db, const struct payd_attempt *a)
{
    return speedy_db_exec(
        db,
        "UPDATE payments SET nonce_hash = ?,"
        " next_at = NOW(3) + INTERVAL ? * 1000 MICROSECOND"
        " WHERE id = ? AND state = 'NEW'",
        DB_ARGS(DB_BYTES(a->nonce_hash, 32),
                DB_INT(payd_settings.ready_timeout + CLAIM_SPARE_MS),
                DB_BYTES(a->t.p.id, 16)),
        NULL);
}

int payd_attempt_open(struct speedy_db *db, void *attempt, int repeat)
{
    struct payd_attempt *a = attempt;
    struct payd_order o = {.quantity = 0};
    int64_t fee = 0;
    int rc = payd_order_lock(db, a->order, &o);

    (void)repeat;
    memset(&a->t.p, 0, sizeof(a->t.p));
    if (rc != 1)
        return rc < 0 ? rc : PAYD_A_NOT_READY;
    /* another's looks like one that is not there */
    if (strcmp(o.user, a->user) != 0)
        return PAYD_A_NOT_READY;
    rc = key_known(db, a);
    if (rc != SPEEDY_DB_OK)
        return rc;
    rc = state_verdict(o.state);
    if (rc != 0)
        return rc;
    rc = payd_order_in_time(db, &o);
    if (rc != 1)
        return rc < 0 ? rc : PAYD_A_ENDED;
    if (!a->has_address)
        return PAYD_A_NEEDS_ADDRESS;
    rc = item_read(db, &o, a->item);
    if (rc == SPEEDY_DB_OK)
        rc = revoke(db, a);
    if (rc != SPEEDY_DB_OK)
        return rc;
    if (a->t.p.state[0] != '\0')
        return retake(db, a);
    rc = payd_shipping_fee(db, a->to.postcode, &fee);
    if (rc != 1)
        return rc < 0 ? rc : PAYD_A_NO_DELIVERY;
    return insert(db, a, &o, fee);
}

static int ready_row(struct speedy_db *db, const struct payd_attempt *a)
{
    const struct payd_reply *r = &a->t.reply;
    long changed = 0;
    int rc = speedy_db_exec(
        db,
        "UPDATE payments SET state = 'READY', tid = ?, pc_url = ?,"
        " mobile_url = ?, app_url = ?, error_code = NULL, error = '',"
        " ready_at = NOW(3), next_at = NULL,"
        " dead_at = NOW(3) + INTERVAL ? * 1000 MICROSECOND"
        " WHERE id = ? AND state = 'NEW' AND nonce_hash = ?",
        DB_ARGS(DB_TEXT(r->tid), DB_TEXT(r->pc), DB_TEXT(r->mobile),
                DB_TEXT(r->app), DB_INT(payd_settings.tid_life),
                DB_BYTES(a->t.p.id, 16), DB_BYTES(a->nonce_hash, 32)),
        &changed);

    if (rc != SPEEDY_DB_OK)
        return rc;
    return changed == 1 ? SPEEDY_DB_OK : PAYD_A_OVER;
}

int payd_attempt_store(struct speedy_db *db, void *attempt, int repeat)
{
    struct payd_attempt *a = attempt;
    struct payd_payment now = {.quantity = 0};
    struct payd_order o = {.quantity = 0};
    int rc = payd_order_lock(db, a->order, &o);

    if (rc == 1)
        rc = payd_payment_lock(db, a->t.p.id, &now);
    if (rc != 1)
        return rc < 0 ? rc : SPEEDY_DB_ERROR;
    /* a COMMIT whose reply was lost */
    if (repeat > 0 && strcmp(now.tid, a->t.reply.tid) == 0)
        return SPEEDY_DB_OK;
    rc = state_verdict(o.state);
    if (rc != 0)
        return rc;
    rc = ready_row(db, a);
    if (rc == SPEEDY_DB_DUPLICATE)
        return PAYD_A_KAKAO; /* a tid that another payment has */
    if (rc != SPEEDY_DB_OK)
        return rc;
    rc =
        payd_order_move(db, &o, "PAY_READY", payd_actor, "payment begun", true);
    if (rc != 1)
        return rc < 0 ? rc : PAYD_A_ENDED;
    return payd_recipient_put(db, a->order, &a->to);
}

void payd_attempt_ready_failed(struct speedy_db *db, struct payd_attempt *a)
{
    speedy_db_exec(db,
                   "UPDATE payments SET next_at = NULL, error_code = ?,"
                   " error = ? WHERE id = ? AND state = 'NEW'"
                   " AND nonce_hash = ?",
                   DB_ARGS(a->t.reply.error_code != 0
                               ? DB_INT(a->t.reply.error_code)
                               : DB_NULL,
                           DB_TEXT(a->t.reply.detail), DB_BYTES(a->t.p.id, 16),
                           DB_BYTES(a->nonce_hash, 32)),
                   NULL);
}

static int on_shown(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct payd_attempt *a = data;

    (void)cols;
    payd_text(&col[0], a->t.p.state, sizeof(a->t.p.state));
    payd_text(&col[1], a->pc, sizeof(a->pc));
    payd_text(&col[2], a->mobile, sizeof(a->mobile));
    payd_text(&col[3], a->app, sizeof(a->app));
    a->pay_by = col[4].number;
    a->left_ms = col[5].number;
    return 1;
}

int payd_attempt_shown(struct speedy_db *db, struct payd_attempt *a)
{
    return speedy_db_query(
        db,
        "SELECT p.state, p.pc_url, p.mobile_url, p.app_url,"
        " " SPEEDY_MS(
            "o.pay_by") ","
                        " TIMESTAMPDIFF(MICROSECOND, NOW(3), o.pay_by) DIV 1000"
                        " FROM payments p JOIN orders o ON o.id = p.order_id WHERE p.id = ?",
        DB_ARGS(DB_BYTES(a->t.p.id, 16)), on_shown, a);
}
