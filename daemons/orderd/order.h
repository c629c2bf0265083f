/*
 * An order as the API shows it.
 */
#ifndef ORDERD_ORDER_H
#define ORDERD_ORDER_H

#include <stdint.h>

#include "../common/db.h"
#include "../common/json.h"
#include "../shop/names.h"

struct orderd_order {
    unsigned char id[16];
    char sale[SPEEDY_ID_MAX + 1], variant[SPEEDY_ID_MAX + 1];
    char user[SPEEDY_ID_MAX + 1];
    char state[24], reason[24]; /* reason: of a rejected one, or "" */
    unsigned char body_digest[SPEEDY_DIGEST_LEN];
    int64_t quantity, price, seq, reserved_at, pay_by;
    int64_t created_at, updated_at; /* 0: not in MySQL yet */
};

/* What a SELECT asks for so that orderd_order_take understands it. */
#define ORDERD_ORDER_COLUMNS                                                   \
    "id, sale_id, variant, user_id, state, COALESCE(reject_reason, ''),"       \
    " body_digest, quantity, unit_price, seq,"                                 \
    " CAST(UNIX_TIMESTAMP(reserved_at) * 1000 AS SIGNED),"                     \
    " CAST(UNIX_TIMESTAMP(pay_by) * 1000 AS SIGNED),"                          \
    " CAST(UNIX_TIMESTAMP(created_at) * 1000 AS SIGNED),"                      \
    " CAST(UNIX_TIMESTAMP(updated_at) * 1000 AS SIGNED)"

/* 0, or -1 when the row is not of these columns. */
int orderd_order_take(struct orderd_order *o, const struct speedy_db_value *col,
                      size_t cols);
/* The members, without the braces around them. */
void orderd_order_write(struct speedy_buf *out, const struct orderd_order *o);

/* Cursor of a page: the id of its last order. out holds 25. */
void orderd_cursor_text(const unsigned char id[16], char *out);
/* 0, or -1 when it is none of ours. */
int orderd_cursor_parse(const char *text, unsigned char id[16]);

/* Offset of the times shown: Seoul's, in minutes. */
#define ORDERD_OFFSET_MIN (9 * 60)

#endif
