/*
 * order: what KakaoPay knows of a tid. Changes nothing.
 */
#include "sandbox.h"

#include <stdio.h>

static void card_write(struct reply *r, const struct payment *p)
{
    char months[8];

    if (p->method != METHOD_CARD || !ledger_paid(p))
        return;
    snprintf(months, sizeof(months), "%02d", p->install_month);
    reply_begin(r, "selected_card_info");
    reply_text(r, "selected_card_info", "card_bin", "621640");
    reply_text(r, "selected_card_info", "install_month", months);
    reply_text(r, "selected_card_info", "card_corp_name", "KB국민카드");
    reply_text(r, "selected_card_info", "interest_free_install", "N");
    reply_end(r);
}

static void action_write(struct reply *r, const struct payment *p,
                         const struct action *a)
{
    static const char in[] = "payment_action_details";

    reply_begin(r, NULL);
    reply_text(r, in, "aid", a->aid);
    reply_time(r, in, "approved_at", a->at);
    reply_int(r, in, "amount", a->amount.total);
    reply_int(r, in, "point_amount", a->amount.point);
    reply_int(r, in, "discount_amount", a->amount.discount);
    reply_int(r, in, "green_deposit", a->amount.green_deposit);
    reply_text(r, in, "payment_action_type", a->cancel ? "CANCEL" : "PAYMENT");
    if (r->gen == GEN_LEGACY)
        reply_text(r, in, "payment_method_type", method_names[p->method]);
    reply_text(r, in, "payload", a->payload);
    reply_end(r);
}

void order_do(struct api_call *c, struct payment *p)
{
    struct reply *r = &c->reply;
    struct amount left = ledger_left(p);

    reply_begin(r, NULL);
    reply_head(r, p);
    reply_text(r, "", "status", status_names[p->status]);
    reply_amount(r, "amount", &p->amount);
    reply_amount(r, "canceled_amount", &p->canceled);
    reply_amount(r, "cancel_available_amount", &left);
    reply_goods(r, p);
    card_write(r, p);
    if (p->actions > 0) {
        speedy_buf_printf(&r->out, ",\"payment_action_details\":[");
        for (size_t i = 0; i < p->actions; i++) {
            if (i > 0)
                speedy_buf_add(&r->out, ",", 1);
            action_write(r, p, &p->action[i]);
        }
        speedy_buf_add(&r->out, "]", 1);
    }
    reply_end(r);
}
