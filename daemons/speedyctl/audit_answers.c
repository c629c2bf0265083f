/*
 * What clients were told against what is true: I4 and I5. One pass over the
 * orders, in pages, marks what the client log knows.
 */
#include "audit.h"

#include <string.h>

#include "../common/crypto.h"

#define PAGE 5000

struct pass {
    struct audit *a;
    struct audit_line *l;
    unsigned char after[16];
    int page;
};

static int order_row(void *data, const struct speedy_db_value *col, size_t cols)
{
    struct pass *p = data;
    struct client_order o = {.id = col[0].bytes,
                             .key_digest = col[1].bytes,
                             .sale = col[2].bytes,
                             .state = col[3].bytes,
                             .reserved_at = col[4].number};
    const char *wrong;
    char id[37];

    (void)cols;
    if (col[0].len != 16 || col[1].len != 16)
        return 0;
    p->page++;
    memcpy(p->after, o.id, 16);
    wrong = client_log_order(p->a->log, &o);
    if (wrong != NULL) {
        speedy_uuid_text(o.id, id);
        audit_broken(p->l, "order %s of sale %s: %s", id, o.sale, wrong);
    }
    return 0;
}

static int client_pass(struct audit *a, struct audit_line *l)
{
    struct pass p = {.a = a, .l = l};

    client_log_reset(a->log);
    do {
        unsigned char after[16];

        p.page = 0;
        memcpy(after, p.after, sizeof(after));
        if (audit_db(l, speedy_db_query(
                            a->c->db,
                            "SELECT id, key_digest, sale_id, state, " CTL_MS(
                                "reserved_at") " FROM orders WHERE id > ? "
                                               "ORDER BY id LIMIT 5000",
                            DB_ARGS(DB_BYTES(after, 16)), order_row, &p)) != 0)
            return -1;
    } while (p.page == PAGE);
    return 0;
}

static int reject_row(void *data, const struct speedy_db_value *col,
                      size_t cols)
{
    struct audit_line *l = data;
    char id[37] = "?";

    (void)cols;
    if (col[0].len == 16)
        speedy_uuid_text(col[0].bytes, id);
    audit_broken(l, "order %s was REJECTED: %s", id,
                 col[1].len ? (const char *)col[1].bytes : "no reason");
    return 0;
}

/* A rejection for anything but a stale epoch should be impossible. */
void audit_rejections(struct audit *a, struct audit_line *l)
{
    int64_t stale = 0;

    if (audit_db(l, speedy_db_query(
                        a->c->db,
                        "SELECT id, reject_reason FROM orders WHERE state = "
                        "'REJECTED' AND COALESCE(reject_reason, '') <> "
                        "'STALE_EPOCH' AND (? = '' OR sale_id = ?) LIMIT 1000",
                        DB_ARGS(DB_TEXT(a->sale), DB_TEXT(a->sale)), reject_row,
                        l)) != 0)
        return;
    if (speedy_db_number(a->c->db,
                         "SELECT COUNT(*) FROM orders WHERE state = 'REJECTED' "
                         "AND (? = '' OR sale_id = ?)",
                         DB_ARGS(DB_TEXT(a->sale), DB_TEXT(a->sale)),
                         &stale) >= 0)
        audit_figures(l, "rejected=%lld", (long long)stale);
    if (a->log == NULL)
        audit_figures(l, "(without a client log)");
    else
        client_pass(a, l);
}

void audit_accepted(struct audit *a, struct audit_line *l)
{
    struct speedy_buf figures = {0};

    if (a->log == NULL) {
        audit_skip(l, "no --client-log was given");
        return;
    }
    a->lost = client_log_lost(a->log, l);
    client_log_figures(a->log, &figures);
    audit_figures(l, "%s lost=%lld", figures.data, (long long)a->lost);
    speedy_buf_free(&figures);
}
