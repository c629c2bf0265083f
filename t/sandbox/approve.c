/*
 * approve: the only moment when money moves to the merchant, once for a tid.
 */
#include "sandbox.h"

#include <stdio.h>
#include <string.h>

/* What is wrong with the call, as KakaoPay's codes; 0 when nothing is. */
static int judge(const struct api_call *c, const struct payment *p)
{
    const struct params *f = &c->params;

    if (strcmp(param_text(f, "partner_order_id"), p->order_id) != 0)
        return -706;
    if (strcmp(param_text(f, "partner_user_id"), p->user_id) != 0)
        return -707;
    if (ledger_paid(p))
        return -702;
    if (p->status >= ST_FAIL_AUTH_PASSWORD)
        return -783;
    /* one that came in time may land after it */
    if (ledger_expired(p, c->arrived))
        return -723;
    if (p->status != ST_AUTH_PASSWORD)
        return -701;
    if (strcmp(param_text(f, "pg_token"), p->pg_token) != 0)
        return -708;
    if (param_int(f, "total_amount", p->amount.total) != p->amount.total)
        return -725;
    return 0;
}

static const char *message_of(int code)
{
    switch (code) {
    case -701:
        return "payment is not authenticated yet";
    case -702:
        return "payment is already done!";
    case -706:
        return "partner_order_id is not matched with ready request";
    case -707:
        return "partner_user_id is not matched with ready request";
    case -708:
        return "invalid pg_token";
    case -723:
        return "payment is expired";
    case -725:
        return "total_amount is not matched with ready request";
    default:
        return "payment is not in a state to be approved";
    }
}

static void card_write(struct reply *r, const struct payment *p)
{
    char months[8];

    if (p->method != METHOD_CARD)
        return;
    snprintf(months, sizeof(months), "%02d", p->install_month);
    reply_begin(r, "card_info");
    reply_text(r, "card_info", "kakaopay_purchase_corp", "KB국민카드");
    reply_text(r, "card_info", "kakaopay_purchase_corp_code", "110");
    reply_text(r, "card_info", "kakaopay_issuer_corp", "KB국민카드");
    reply_text(r, "card_info", "kakaopay_issuer_corp_code", "110");
    if (r->gen == GEN_LEGACY) {
        reply_text(r, "card_info", "purchase_corp", "KB국민카드");
        reply_text(r, "card_info", "purchase_corp_code", "01");
        reply_text(r, "card_info", "issuer_corp", "KB국민카드");
        reply_text(r, "card_info", "issuer_corp_code", "01");
    }
    reply_text(r, "card_info", "bin", "621640");
    reply_text(r, "card_info", "card_type", "체크");
    reply_text(r, "card_info", "install_month", months);
    reply_text(r, "card_info", "approved_id", "12345678");
    reply_text(r, "card_info", "card_mid", "123456789");
    reply_text(r, "card_info", "interest_free_install", "N");
    if (r->gen == GEN_OPEN)
        reply_text(r, "card_info", "installment_type", "CARD_INSTALLMENT");
    reply_text(r, "card_info", "card_item_code", "");
    reply_end(r);
}

static void answer(struct api_call *c, const struct payment *p,
                   const struct action *a)
{
    struct reply *r = &c->reply;

    reply_begin(r, NULL);
    reply_text(r, "", "aid", a->aid);
    reply_head(r, p);
    reply_amount(r, "amount", &p->amount);
    card_write(r, p);
    reply_goods(r, p);
    reply_text(r, "", "payload", a->payload);
    reply_end(r);
}

void approve_do(struct api_call *c, struct payment *p)
{
    const struct refusal *no = &p->refusal;
    int code = judge(c, p);
    struct action *a;

    if (code != 0) {
        reply_error(&c->reply, code, message_of(code), NULL, NULL);
        return;
    }
    if (no->code != 0) {
        p->status = ST_FAIL_PAYMENT;
        journal_payment(p);
        reply_error(&c->reply, no->code, "approval failure!", no->extra_code,
                    no->extra_message);
        return;
    }
    a = ledger_action(p, false, &p->amount, param_text(&c->params, "payload"));
    p->status = ST_SUCCESS_PAYMENT;
    p->approved_at = a->at;
    journal_payment(p);
    answer(c, p, a);
}
