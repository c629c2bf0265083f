/*
 * Orders in MySQL: I2 limit and key, I3 histories, I14 deadlines, I17
 * sequence. Large tables are read in pages by primary key, so that memory
 * is bounded and no statement runs for long.
 */
#include "audit.h"

#include <stdio.h>
#include <string.h>

#include "../common/crypto.h"
#include "../shop/states.h"

static const char *uuid(const struct speedy_db_value *v)
{
    static char text[4][37];
    static unsigned turn;
    char *out = text[turn++ % 4];

    if (v->len != 16)
        return "?";
    speedy_uuid_text(v->bytes, out);
    return out;
}

/* sale, user, live units, limit, live orders, their keys, one of them, rows
 * whose key_live does not fit, one of those */
static int user_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct audit_line *l = data;
    const char *sale = col[0].bytes, *user = col[1].bytes;

    (void)cols;
    if (col[2].number > col[3].number)
        audit_broken(l, "sale %s: user %s has %lld units, limit %lld", sale,
                     user, (long long)col[2].number, (long long)col[3].number);
    if (col[4].number != col[5].number)
        audit_broken(l,
                     "sale %s: user %s has %lld orders of %lld keys, one is %s",
                     sale, user, (long long)col[4].number,
                     (long long)col[5].number, uuid(&col[6]));
    if (col[7].number > 0)
        audit_broken(l, "order %s: key_live does not fit its state",
                     uuid(&col[8]));
    return 0;
}

#define LIVE "CASE WHEN o.state <> 'REJECTED' THEN "
#define UNFIT                                                                  \
    "(o.state = 'REJECTED') <> (o.key_live IS NULL) OR o.key_live <> "         \
    "o.key_digest"

/* One pass over the orders by user: units, keys, and the key's column. */
void audit_limits(struct audit *a, struct audit_line *l)
{
    if (audit_db(
            l,
            speedy_db_query(
                a->c->db,
                "SELECT o.sale_id, o.user_id, CAST(SUM(o.units_live) "
                "AS SIGNED) AS units, s.per_user_limit, COUNT(" LIVE
                "1 END) AS live, COUNT(DISTINCT " LIVE
                "o.key_digest END) AS used, MIN(o.id), COUNT(CASE WHEN " UNFIT
                " THEN 1 END) AS unfit, MIN(CASE WHEN " UNFIT
                " THEN o.id END) FROM orders o JOIN sales s ON s.id = "
                "o.sale_id WHERE ? = '' OR o.sale_id = ? GROUP BY "
                "o.sale_id, o.user_id, s.per_user_limit HAVING units > "
                "s.per_user_limit OR live <> used OR unfit > 0 LIMIT "
                "1000",
                DB_ARGS(DB_TEXT(a->sale), DB_TEXT(a->sale)), user_row, l)) == 0)
        audit_figures(l, "sales=%zu", a->sale_count);
}

/* The walk through the events of one order after another. */
struct walk {
    struct audit_line *l;
    unsigned char id[16];
    bool any;
    char state[24], to[24];
    int64_t version, last; /* orders.version; of the last event */
    long orders, events, page;
};

static void order_ended(struct walk *w)
{
    struct speedy_db_value id = DB_BYTES(w->id, 16);

    if (!w->any)
        return;
    if (w->last == 0)
        audit_broken(w->l, "order %s (%s) has no event", uuid(&id), w->state);
    else if (strcmp(w->to, w->state) != 0)
        audit_broken(w->l, "order %s is %s, its last event says %s", uuid(&id),
                     w->state, w->to);
    else if (w->last != w->version)
        audit_broken(w->l, "order %s has version %lld, its last event %lld",
                     uuid(&id), (long long)w->version, (long long)w->last);
}

static void one_event(struct walk *w, const struct speedy_db_value *col)
{
    const char *from = col[4].bytes, *to = col[5].bytes;

    w->events++;
    if (col[3].number != w->last + 1)
        audit_broken(w->l, "order %s: event %lld follows event %lld",
                     uuid(&col[0]), (long long)col[3].number,
                     (long long)w->last);
    if (strcmp(from, w->to) != 0)
        audit_broken(w->l, "order %s: event %lld starts from %s, it was %s",
                     uuid(&col[0]), (long long)col[3].number,
                     *from ? from : "nothing", *w->to ? w->to : "new");
    if (speedy_move_find(from, to, col[6].bytes) == NULL)
        audit_broken(w->l, "order %s: no such move: %s -> %s by %s",
                     uuid(&col[0]), *from ? from : "new", to,
                     (const char *)col[6].bytes);
    w->last = col[3].number;
    snprintf(w->to, sizeof(w->to), "%s", to);
}

static int walk_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct walk *w = data;

    (void)cols;
    if (col[0].len != 16)
        return 0;
    if (!w->any || memcmp(w->id, col[0].bytes, 16) != 0) {
        order_ended(w);
        w->any = true;
        memcpy(w->id, col[0].bytes, 16);
        snprintf(w->state, sizeof(w->state), "%s", (const char *)col[1].bytes);
        w->to[0] = '\0';
        w->version = col[2].number;
        w->last = 0;
        w->orders++;
        w->page++;
    }
    if (col[3].kind != SPEEDY_DB_NULL)
        one_event(w, col);
    return 0;
}

static int orphan_row(void *data, const struct speedy_db_value *col,
                      size_t cols)
{
    (void)cols;
    audit_broken(data, "event %lld of order %s, which does not exist",
                 (long long)col[1].number, uuid(&col[0]));
    return 0;
}

void audit_histories(struct audit *a, struct audit_line *l)
{
    struct walk w = {.l = l};
    unsigned char after[16] = {0};

    do {
        w.page = 0;
        if (audit_db(l, speedy_db_query(
                            a->c->db,
                            "SELECT o.id, o.state, o.version, e.version, "
                            "e.from_state, e.to_state, e.actor FROM (SELECT "
                            "id, state, version FROM orders WHERE id > ? AND "
                            "(? = '' OR sale_id = ?) ORDER BY id LIMIT 5000) o "
                            "LEFT JOIN order_events e ON e.order_id = o.id "
                            "ORDER BY o.id, e.version",
                            DB_ARGS(DB_BYTES(after, 16), DB_TEXT(a->sale),
                                    DB_TEXT(a->sale)),
                            walk_row, &w)) != 0)
            return;
        memcpy(after, w.id, 16);
    } while (w.page == 5000);
    order_ended(&w);
    if (a->sale[0] == '\0' &&
        audit_db(l, speedy_db_query(
                        a->c->db,
                        "SELECT e.order_id, e.version FROM order_events e LEFT "
                        "JOIN orders o ON o.id = e.order_id WHERE o.id IS NULL "
                        "LIMIT 1000",
                        DB_NONE, orphan_row, l)) != 0)
        return;
    audit_figures(l, "orders=%ld events=%ld", w.orders, w.events);
}

static int late_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    (void)cols;
    audit_broken(data, "order %s is %s, %lld ms past its deadline",
                 uuid(&col[0]), (const char *)col[1].bytes,
                 (long long)col[2].number);
    return 0;
}

void audit_deadlines(struct audit *a, struct audit_line *l)
{
    int64_t unpaid = 0;

    if (audit_db(l, speedy_db_query(
                        a->c->db,
                        "SELECT id, state, TIMESTAMPDIFF(MICROSECOND, pay_by, "
                        "UTC_TIMESTAMP(3)) DIV 1000 FROM orders WHERE state IN "
                        "('PENDING_PAYMENT', 'PAY_READY', 'PAY_FAILED') AND "
                        "pay_by < TIMESTAMPADD(MICROSECOND, ? * -1000, "
                        "UTC_TIMESTAMP(3)) AND (? = '' OR sale_id = ?) ORDER "
                        "BY pay_by LIMIT 1000",
                        DB_ARGS(DB_INT(ctl_settings.expiry_grace),
                                DB_TEXT(a->sale), DB_TEXT(a->sale)),
                        late_row, l)) != 0)
        return;
    if (speedy_db_number(a->c->db,
                         "SELECT COUNT(*) FROM orders WHERE state IN "
                         "('PENDING_PAYMENT', 'PAY_READY', 'PAY_FAILED') AND "
                         "(? = '' OR sale_id = ?)",
                         DB_ARGS(DB_TEXT(a->sale), DB_TEXT(a->sale)),
                         &unpaid) >= 0)
        audit_figures(l, "unpaid=%lld grace=%ldms", (long long)unpaid,
                      ctl_settings.expiry_grace);
}

/* Per sale and epoch: the ranges of seq must not overlap, and grow. */
struct ranges {
    struct audit_line *l;
    char sale[SPEEDY_ID_MAX + 1];
    int64_t epoch, last, orders;
    bool shared;
};

static int range_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct ranges *r = data;

    (void)cols;
    if (strcmp(r->sale, col[0].bytes) != 0) {
        snprintf(r->sale, sizeof(r->sale), "%s", (const char *)col[0].bytes);
        r->last = 0;
        r->epoch = 0;
    }
    r->orders += col[2].number;
    if (col[2].number != col[3].number)
        r->shared = true;
    if (col[4].number <= r->last)
        audit_broken(r->l,
                     "sale %s: seq %lld of epoch %lld, but epoch %lld went up "
                     "to %lld",
                     r->sale, (long long)col[4].number,
                     (long long)col[1].number, (long long)r->epoch,
                     (long long)r->last);
    r->epoch = col[1].number;
    r->last = col[5].number;
    return 0;
}

static int shared_row(void *data, const struct speedy_db_value *col,
                      size_t cols)
{
    struct ranges *r = data;

    (void)cols;
    audit_broken(r->l, "sale %s: seq %lld is shared by %s and %s",
                 (const char *)col[0].bytes, (long long)col[1].number,
                 uuid(&col[2]), uuid(&col[3]));
    return 0;
}

void audit_sequence(struct audit *a, struct audit_line *l)
{
    struct ranges r = {.l = l};

    if (audit_db(l, speedy_db_query(
                        a->c->db,
                        "SELECT sale_id, epoch, COUNT(*), COUNT(DISTINCT seq), "
                        "MIN(seq), MAX(seq) FROM orders WHERE state <> "
                        "'REJECTED' AND (? = '' OR sale_id = ?) GROUP BY "
                        "sale_id, epoch ORDER BY sale_id, epoch",
                        DB_ARGS(DB_TEXT(a->sale), DB_TEXT(a->sale)), range_row,
                        &r)) != 0)
        return;
    if (r.shared &&
        audit_db(l, speedy_db_query(
                        a->c->db,
                        "SELECT sale_id, seq, MIN(id), MAX(id) FROM orders "
                        "WHERE state <> 'REJECTED' AND (? = '' OR sale_id = ?) "
                        "GROUP BY sale_id, epoch, seq HAVING COUNT(*) > 1 "
                        "LIMIT 1000",
                        DB_ARGS(DB_TEXT(a->sale), DB_TEXT(a->sale)), shared_row,
                        &r)) != 0)
        return;
    audit_figures(l, "orders=%lld", (long long)r.orders);
}
