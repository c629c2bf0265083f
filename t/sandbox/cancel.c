/*
 * cancel: whole or in parts, never more than is left. A part's tax must fit
 * what is left of it; the last part takes exactly the rest.
 */
#include "sandbox.h"

#include <string.h>

static void wanted_read(const struct api_call *c, const struct amount *left,
                        struct amount *a)
{
    const struct params *f = &c->params;

    *a = (struct amount){.total = param_int(f, "cancel_amount", 0),
                         .tax_free = param_int(f, "cancel_tax_free_amount", 0)};
    a->vat = vat_of(a->total, a->tax_free);
    if (a->total == left->total || a->vat > left->vat)
        a->vat = left->vat;
    a->vat = param_int(f, "cancel_vat_amount", a->vat);
}

/* Points and discounts go back with the last won. */
static void rest_take(struct amount *a, const struct amount *left)
{
    if (a->total != left->total)
        return;
    a->point = left->point;
    a->discount = left->discount;
    a->green_deposit = left->green_deposit;
}

static bool tax_fits(const struct amount *a, const struct amount *left)
{
    int64_t total = left->total - a->total;
    int64_t tax_free = left->tax_free - a->tax_free, vat = left->vat - a->vat;

    return a->tax_free >= 0 && a->tax_free <= a->total && a->vat >= 0 &&
           a->vat <= a->total - a->tax_free && tax_free >= 0 &&
           tax_free <= total && vat >= 0 && vat <= total - tax_free;
}

static int judge(const struct api_call *c, const struct payment *p,
                 const struct amount *a, const struct amount *left)
{
    if (p->status != ST_SUCCESS_PAYMENT && p->status != ST_PART_CANCEL_PAYMENT)
        return -784;
    if (param_int(&c->params, "cancel_available_amount", left->total) !=
        left->total)
        return -722;
    if (a->total < 1)
        return -722;
    if (a->total > p->amount.total)
        return -711;
    if (a->total > left->total)
        return -710;
    if (a->total < left->total && (p->no_partial || p->amount.green_deposit))
        return -784;
    return tax_fits(a, left) ? 0 : -722;
}

static const char *message_of(int code)
{
    switch (code) {
    case -710:
        return "cancel amount is over the cancelable amount";
    case -711:
        return "cancel amount is over the approved amount";
    case -722:
        return "amount info is wrong";
    default:
        return "payment is not in a state to be canceled";
    }
}

static void canceled_add(struct payment *p, const struct amount *a)
{
    p->canceled.total += a->total;
    p->canceled.tax_free += a->tax_free;
    p->canceled.vat += a->vat;
    p->canceled.point += a->point;
    p->canceled.discount += a->discount;
    p->canceled.green_deposit += a->green_deposit;
}

static void answer(struct api_call *c, const struct payment *p,
                   const struct action *a)
{
    struct reply *r = &c->reply;
    struct amount left = ledger_left(p);

    reply_begin(r, NULL);
    reply_text(r, "", "aid", a->aid);
    reply_head(r, p);
    reply_text(r, "", "status", status_names[p->status]);
    reply_amount(r, "amount", &p->amount);
    reply_amount(r, "approved_cancel_amount", &a->amount);
    reply_amount(r, "canceled_amount", &p->canceled);
    reply_amount(r, "cancel_available_amount", &left);
    reply_goods(r, p);
    reply_text(r, "", "payload", a->payload);
    reply_end(r);
}

void cancel_do(struct api_call *c, struct payment *p)
{
    struct amount left = ledger_left(p), want;
    struct action *a;
    int code;

    wanted_read(c, &left, &want);
    code = judge(c, p, &want, &left);
    if (code != 0) {
        reply_error(&c->reply, code, message_of(code), NULL, NULL);
        return;
    }
    rest_take(&want, &left);
    canceled_add(p, &want);
    a = ledger_action(p, true, &want, param_text(&c->params, "payload"));
    p->canceled_at = a->at;
    p->status = p->canceled.total == p->amount.total ? ST_CANCEL_PAYMENT
                                                     : ST_PART_CANCEL_PAYMENT;
    journal_payment(p);
    answer(c, p, a);
}
