/*
 * The ledger as tests read it: each payment, the sums, a day's settlement.
 */
#include "sandbox.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../daemons/common/json.h"

#define DAY_MS 86400000

static void text(struct speedy_buf *b, const char *name, const char *value)
{
    speedy_buf_printf(b, ",\"%s\":", name);
    speedy_buf_json(b, value);
}

static int64_t charged(const struct payment *p)
{
    int64_t sum = 0;

    for (size_t i = 0; i < p->actions; i++)
        sum += p->action[i].cancel ? 0 : p->action[i].amount.total;
    return sum;
}

static size_t approvals(const struct payment *p)
{
    size_t n = 0;

    for (size_t i = 0; i < p->actions; i++)
        n += !p->action[i].cancel;
    return n;
}

static void actions_write(struct speedy_buf *b, const struct payment *p)
{
    speedy_buf_printf(b, ",\"actions\":[");
    for (size_t i = 0; i < p->actions; i++) {
        const struct action *a = &p->action[i];

        speedy_buf_printf(
            b,
            "%s{\"aid\":\"%s\",\"type\":\"%s\",\"at\":%" PRId64
            ",\"amount\":%" PRId64 ",\"tax_free\":%" PRId64 ",\"vat\":%" PRId64,
            i > 0 ? "," : "", a->aid, a->cancel ? "CANCEL" : "PAYMENT", a->at,
            a->amount.total, a->amount.tax_free, a->amount.vat);
        text(b, "payload", a->payload);
        speedy_buf_add(b, "}", 1);
    }
    speedy_buf_add(b, "]", 1);
}

void report_payment(struct speedy_buf *b, const struct payment *p)
{
    speedy_buf_printf(b, "{\"tid\":\"%s\",\"api\":\"%s\",\"status\":\"%s\"",
                      p->tid, p->gen == GEN_OPEN ? "open" : "legacy",
                      status_names[p->status]);
    text(b, "cid", p->cid);
    text(b, "partner_order_id", p->order_id);
    text(b, "partner_user_id", p->user_id);
    text(b, "item_name", p->item_name);
    text(b, "method", method_names[p->method]);
    text(b, "approval_url", p->approval_url);
    text(b, "cancel_url", p->cancel_url);
    text(b, "fail_url", p->fail_url);
    text(b, "page", p->page);
    speedy_buf_printf(
        b,
        ",\"quantity\":%" PRId64 ",\"total\":%" PRId64 ",\"tax_free\":%" PRId64
        ",\"vat\":%" PRId64 ",\"charged\":%" PRId64 ",\"canceled\":%" PRId64
        ",\"net\":%" PRId64 ",\"approvals\":%zu,\"cancels\":%zu"
        ",\"created_at\":%" PRId64 ",\"approved_at\":%" PRId64
        ",\"canceled_at\":%" PRId64 ",\"expired\":%s,\"busy\":%s",
        p->quantity, p->amount.total, p->amount.tax_free, p->amount.vat,
        charged(p), p->canceled.total, charged(p) - p->canceled.total,
        approvals(p), p->actions - approvals(p), p->created_at, p->approved_at,
        p->canceled_at, ledger_expired(p, clock_now()) ? "true" : "false",
        p->busy ? "true" : "false");
    actions_write(b, p);
    speedy_buf_printf(b, ",\"calls\":{");
    for (int i = 0; i < OP_COUNT; i++)
        speedy_buf_printf(b, "%s\"%s\":%" PRId64, i > 0 ? "," : "",
                          operation_names[i], p->calls[i]);
    speedy_buf_printf(b, "}}");
}

void report_ledger(struct speedy_buf *b, const char *order_id)
{
    bool comma = false;

    speedy_buf_printf(b, "{\"now\":%" PRId64 ",\"payments\":[", clock_now());
    for (size_t i = 0; i < ledger_count(); i++) {
        const struct payment *p = ledger_at(i);

        if (order_id != NULL && strcmp(order_id, p->order_id) != 0)
            continue;
        if (comma)
            speedy_buf_printf(b, ",\n");
        report_payment(b, p);
        comma = true;
    }
    speedy_buf_printf(b, "]}\n");
}

static int compare_orders(const void *a, const void *b)
{
    return strcmp((*(struct payment *const *)a)->order_id,
                  (*(struct payment *const *)b)->order_id);
}

/* Orders that two or more tids hold money of. */
static size_t orders_twice(void)
{
    size_t n = 0, twice = 0;
    bool before = false;
    struct payment **held = malloc((ledger_count() + 1) * sizeof(*held));

    if (held == NULL)
        abort();
    for (size_t i = 0; i < ledger_count(); i++) {
        struct payment *p = ledger_at(i);

        if (charged(p) > p->canceled.total)
            held[n++] = p;
    }
    qsort(held, n, sizeof(*held), compare_orders);
    for (size_t i = 1; i < n; i++) {
        bool same = strcmp(held[i]->order_id, held[i - 1]->order_id) == 0;

        twice += same && !before;
        before = same;
    }
    free(held);
    return twice;
}

void report_totals(struct speedy_buf *b)
{
    int64_t taken = 0, back = 0;
    size_t approved = 0, cancels = 0, over = 0, by_status[ST_COUNT] = {0};

    for (size_t i = 0; i < ledger_count(); i++) {
        const struct payment *p = ledger_at(i);
        size_t n = approvals(p);

        taken += charged(p);
        back += p->canceled.total;
        approved += n;
        cancels += p->actions - n;
        over += n > 1 || p->canceled.total > charged(p);
        by_status[p->status]++;
    }
    speedy_buf_printf(b,
                      "{\"payments\":%zu,\"charged\":%" PRId64
                      ",\"canceled\":%" PRId64 ",\"net\":%" PRId64
                      ",\"approvals\":%zu,\"cancels\":%zu"
                      ",\"orders_charged_twice\":%zu,\"impossible\":%zu,",
                      ledger_count(), taken, back, taken - back, approved,
                      cancels, orders_twice(), over);
    api_numbers_write(b);
    speedy_buf_printf(b, ",\"status\":{");
    for (int i = 0; i < ST_COUNT; i++)
        speedy_buf_printf(b, "%s\"%s\":%zu", i > 0 ? "," : "", status_names[i],
                          by_status[i]);
    speedy_buf_printf(b, "}}\n");
}

static void settled_write(struct speedy_buf *b, const struct payment *p,
                          const struct action *a, bool comma)
{
    speedy_buf_printf(b, "%s{\"tid\":\"%s\",\"aid\":\"%s\",\"type\":\"%s\"",
                      comma ? ",\n" : "", p->tid, a->aid,
                      a->cancel ? "CANCEL" : "PAYMENT");
    text(b, "cid", p->cid);
    text(b, "partner_order_id", p->order_id);
    speedy_buf_printf(b,
                      ",\"amount\":%" PRId64 ",\"tax_free\":%" PRId64
                      ",\"vat\":%" PRId64 ",\"at\":%" PRId64 "}",
                      a->amount.total, a->amount.tax_free, a->amount.vat,
                      a->at);
}

int report_settlement(struct speedy_buf *b, const char *day)
{
    char start[64];
    int64_t from, paid = 0, back = 0;
    bool comma = false;

    snprintf(start, sizeof(start), "%.20sT00:00:00+09:00", day);
    if (speedy_time_parse(start, &from) != 0)
        return -1;
    speedy_buf_printf(b, "{\"day\":\"%s\",\"actions\":[", day);
    for (size_t i = 0; i < ledger_count(); i++) {
        const struct payment *p = ledger_at(i);

        for (size_t k = 0; k < p->actions; k++) {
            const struct action *a = &p->action[k];

            if (a->at < from || a->at >= from + DAY_MS)
                continue;
            settled_write(b, p, a, comma);
            comma = true;
            *(a->cancel ? &back : &paid) += a->amount.total;
        }
    }
    speedy_buf_printf(b,
                      "],\"paid\":%" PRId64 ",\"canceled\":%" PRId64
                      ",\"net\":%" PRId64 "}\n",
                      paid, back, paid - back);
    return 0;
}
