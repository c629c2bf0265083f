/*
 * POST /internal/replays: a purchase of a sale whose ledger is gone. The
 * gateway sends it on with its checked user, key, sale and body; MySQL alone
 * knows by now whether this key ever had an order.
 */
#include "orders_http.h"

#include <string.h>

#include "../common/crypto.h"
#include "../common/stores.h"
#include "../shop/event.h"
#include "../shop/states.h"
#include "order.h"

#define BODY_DEPTH 2
#define QUANTITY_MOST 1000000

struct replay {
    const char *sale, *key;
    char variant[SPEEDY_ID_MAX + 1];
    int64_t quantity;
};

/* Answers with the order's id beside the usual members. */
static void problem_of(struct speedy_request *r, int status, const char *code,
                       const char *title, const struct orderd_order *o)
{
    char id[37];

    speedy_problem(r, status, code, title);
    speedy_uuid_text(o->id, id);
    while (r->out.len > 0 && r->out.data[r->out.len] != '}')
        r->out.len--;
    speedy_buf_printf(&r->out, ",\"order_id\":\"%s\"}\n", id);
}

static int body_read(const struct speedy_json *o, struct replay *replay)
{
    const char *variant = speedy_json_text(speedy_json_get(o, "variant"));

    if (variant == NULL || !speedy_id_valid(variant, strlen(variant)))
        return -1;
    memcpy(replay->variant, variant, strlen(variant) + 1);
    return speedy_json_int(speedy_json_get(o, "quantity"), 1, QUANTITY_MOST,
                           &replay->quantity);
}

static int key_valid(const char *key)
{
    size_t len = key == NULL ? 0 : strlen(key);

    if (len == 0 || len > SPEEDY_IDEMPOTENCY_KEY_MAX)
        return 0;
    for (const char *c = key; *c != '\0'; c++) {
        if (*c < 0x21 || *c > 0x7e)
            return 0;
    }
    return 1;
}

/* 0, or -1 after answering 400. */
static int replay_asked(struct speedy_request *r, struct replay *replay)
{
    enum speedy_json_error why;
    struct speedy_json *o =
        speedy_json_parse(r->body, r->body_len, 4096, BODY_DEPTH, &why);
    int rc = body_read(o, replay);

    speedy_json_free(o);
    replay->sale = speedy_request_header(r, "X-Speedy-Sale");
    replay->key = speedy_request_header(r, "Idempotency-Key");
    if (rc != 0)
        speedy_problem(r, 400, "invalid_json",
                       "The body is {variant, quantity}.");
    else if (!key_valid(replay->key))
        speedy_problem(r, 400, "idempotency_key_invalid",
                       "Idempotency-Key is 1 to 255 printable characters.");
    else if (replay->sale == NULL ||
             !speedy_id_valid(replay->sale, strlen(replay->sale)))
        speedy_problem(r, 400, "invalid_request", "X-Speedy-Sale is no id.");
    else
        return 0;
    return -1;
}

static int on_order(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct orderd_order *o = data;

    if (orderd_order_take(o, col, cols) != 0)
        memset(o, 0, sizeof(*o));
    return 1;
}

static void accepted(struct speedy_request *r, const struct orderd_order *o)
{
    struct orderd_order shown = *o;
    char id[37];

    /* The same words as the first answer's. */
    memcpy(shown.state, "ACCEPTED", sizeof("ACCEPTED"));
    shown.created_at = 0;
    speedy_uuid_text(o->id, id);
    r->status = 202;
    speedy_buf_printf(&r->headers,
                      "Location: /api/v1/orders/%s\n"
                      "Idempotent-Replayed: true\n",
                      id);
    speedy_buf_printf(&r->out, "{");
    orderd_order_write(&r->out, &shown);
    speedy_buf_printf(&r->out, "}\n");
}

static void answer(struct speedy_request *r, const struct replay *replay,
                   const struct orderd_order *o)
{
    const struct speedy_state *state = speedy_state_find(o->state);
    unsigned char digest[SPEEDY_DIGEST_LEN];

    if (o->state[0] == '\0') {
        speedy_problem(r, 409, "sale_closed", "The sale is over.");
        return;
    }
    speedy_body_digest(replay->variant, replay->quantity, digest);
    if (memcmp(digest, o->body_digest, sizeof(digest)) != 0)
        speedy_problem(r, 422, "key_reused",
                       "This Idempotency-Key was used with another body.");
    else if (state == NULL || state->final)
        problem_of(r, 409, "order_ended", "The order of this key is over.", o);
    else
        accepted(r, o);
}

static void look(struct speedy_request *r, struct speedy_db *db,
                 const struct replay *replay)
{
    unsigned char key[SPEEDY_DIGEST_LEN];
    struct orderd_order o = {0};
    int64_t archived = 0;
    int rc = speedy_db_number(
        db, "SELECT state = 'ARCHIVED' FROM sales WHERE id = ?",
        DB_ARGS(DB_TEXT(replay->sale)), &archived);

    if (rc == 0) {
        speedy_problem(r, 404, "sale_not_found", "There is no such sale.");
        return;
    }
    if (rc > 0 && !archived) {
        speedy_problem_retry(r, 503, "sale_fenced",
                             "The sale is not open for answers right now.", 1);
        return;
    }
    speedy_key_digest(r->user, replay->key, strlen(replay->key), key);
    if (rc > 0)
        rc = speedy_db_query(
            db,
            "SELECT " ORDERD_ORDER_COLUMNS " FROM orders"
            " WHERE sale_id = ? AND user_id = ? AND key_live = ?",
            DB_ARGS(DB_TEXT(replay->sale), DB_TEXT(r->user),
                    DB_BYTES(key, sizeof(key))),
            on_order, &o);
    if (rc < 0)
        orderd_http_unavailable(r, "The orders cannot be read now.");
    else
        answer(r, replay, &o);
}

void orderd_http_replay(struct speedy_request *r, void *data)
{
    struct replay replay = {0};
    struct speedy_stores *s;

    (void)data;
    if (replay_asked(r, &replay) != 0)
        return;
    s = speedy_stores_take();
    if (s == NULL) {
        orderd_http_unavailable(r, "Too many requests at once.");
        return;
    }
    look(r, s->db, &replay);
    speedy_stores_give(s);
}
