/*
 * ready: a payment begins. The fields' forms are known to be right; here is
 * what depends on the merchant (CID, registered domains) and on the amounts.
 */
#include "sandbox.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int64_t vat_of(int64_t total, int64_t tax_free)
{
    return (2 * (total - tax_free) + 11) / 22;
}

/* A name, an address or a number that a person is called by. */
static bool is_personal(const char *id)
{
    size_t digits = 0;

    for (const char *c = id; *c != '\0'; c++) {
        if ((unsigned char)*c >= 0x80 || *c == '@')
            return true;
        digits += *c >= '0' && *c <= '9';
    }
    return strspn(id, "0123456789+-.() ") == strlen(id) && digits >= 9 &&
           digits <= 13;
}

/* scheme://host[:port] of the URL into out. 0, or -1 when it has none. */
static int origin_of(const char *url, char *out, size_t size)
{
    const char *host = strstr(url, "://");
    size_t len;

    if (host == NULL ||
        (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0))
        return -1;
    host += 3;
    len = (size_t)(host - url) + strcspn(host, "/?#");
    if (len >= size || host[strcspn(host, "/?#@ ")] == '@' ||
        strcspn(host, "/?#:") == 0 || strpbrk(url, " <>\"\\") != NULL)
        return -1;
    memcpy(out, url, len);
    out[len] = '\0';
    return 0;
}

/* http is for tests only: localhost, or an address in digits. */
static bool plain_is_local(const char *origin)
{
    const char *host = strstr(origin, "://") + 3;
    size_t len = strcspn(host, ":");

    return strncmp(origin, "https://", 8) == 0 ||
           (len == 9 && strncmp(host, "localhost", 9) == 0) ||
           strspn(host, "0123456789.") == len;
}

static bool is_registered(const char *url)
{
    char origin[256];

    if (origin_of(url, origin, sizeof(origin)) != 0 || !plain_is_local(origin))
        return false;
    for (size_t i = 0; i < merchant.domains; i++) {
        if (fnmatch(merchant.domain[i], origin, 0) == 0)
            return true;
    }
    return merchant.domains == 0;
}

static int amounts_check(struct reply *r, const struct amount *a)
{
    if (a->total < 1)
        reply_error(r, -725, "total_amount is wrong", NULL, NULL);
    else if (a->tax_free < 0 || a->tax_free > a->total)
        reply_error(r, -724, "tax_free_amount is wrong", NULL, NULL);
    else if (a->vat < 0 || a->vat > a->total - a->tax_free ||
             a->green_deposit < 0 || a->green_deposit > a->total)
        reply_error(r, -722, "amount info is wrong", NULL, NULL);
    else if (settings.limit > 0 && a->total > settings.limit)
        reply_error(r, -797, "over the limit of one payment", NULL, NULL);
    else
        return 0;
    return -1;
}

static int method_check(struct api_call *c, struct payment *p)
{
    const char *method = param_text(&c->params, "payment_method_type");
    int64_t months = param_int(&c->params, "install_month", 0);
    int m = method != NULL ? name_find(method_names, 3, method) : 0;

    if (m < 0 || (method != NULL && m == METHOD_NONE)) {
        reply_error(&c->reply, -705, "method is neither CARD nor MONEY", NULL,
                    NULL);
        return -1;
    }
    if (months < 0 || months > 12) {
        reply_error(&c->reply, -2,
                    "invalid param(install_month has invalid value)", NULL,
                    NULL);
        return -1;
    }
    p->wanted = (enum method)m;
    p->install_month = (int)months;
    return 0;
}

static int check(struct api_call *c, struct payment *p)
{
    struct params *f = &c->params;
    struct reply *r = &c->reply;

    if (is_personal(param_text(f, "partner_user_id"))) {
        reply_error(r, -2, "invalid param(partner_user_id is personal data)",
                    NULL, NULL);
        return -1;
    }
    if (p->quantity < 1) {
        reply_error(r, -726, "order info is wrong", NULL, NULL);
        return -1;
    }
    if (!is_registered(param_text(f, "approval_url")) ||
        !is_registered(param_text(f, "cancel_url")) ||
        !is_registered(param_text(f, "fail_url"))) {
        reply_error(r, -799, "domain is not registered", NULL, NULL);
        return -1;
    }
    return amounts_check(r, &p->amount) != 0 ? -1 : method_check(c, p);
}

static void fill(struct api_call *c, struct payment *p)
{
    struct params *f = &c->params;
    struct amount *a = &p->amount;

    p->gen = c->gen;
    p->key = c->key;
    snprintf(p->cid, sizeof(p->cid), "%s", param_text(f, "cid"));
    p->quantity = param_int(f, "quantity", 0);
    p->created_at = clock_now();
    a->total = param_int(f, "total_amount", 0);
    a->tax_free = param_int(f, "tax_free_amount", 0);
    a->vat = param_int(f, "vat_amount", vat_of(a->total, a->tax_free));
    a->green_deposit = param_int(f, "green_deposit", 0);
}

static void texts_take(struct api_call *c, struct payment *p)
{
    struct params *f = &c->params;
    const char *code = param_text(f, "item_code");

    p->order_id = strdup(param_text(f, "partner_order_id"));
    p->user_id = strdup(param_text(f, "partner_user_id"));
    p->item_name = strdup(param_text(f, "item_name"));
    p->item_code = code != NULL ? strdup(code) : NULL;
    p->approval_url = strdup(param_text(f, "approval_url"));
    p->cancel_url = strdup(param_text(f, "cancel_url"));
    p->fail_url = strdup(param_text(f, "fail_url"));
}

static void answer(struct api_call *c, const struct payment *p)
{
    static const struct {
        const char *name, *page;
    } urls[] = {{"next_redirect_app_url", "aInfo"},
                {"next_redirect_mobile_url", "mInfo"},
                {"next_redirect_pc_url", "info"}};
    char url[512];

    reply_begin(&c->reply, NULL);
    reply_text(&c->reply, "", "tid", p->tid);
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        snprintf(url, sizeof(url), "%s/mockup/v1/%s/%s", merchant.pages_url,
                 p->page, urls[i].page);
        reply_text(&c->reply, "", urls[i].name, url);
    }
    if (c->gen == GEN_LEGACY) { /* not in the tables, but in its replies */
        snprintf(url, sizeof(url),
                 "kakaotalk://kakaopay/pg?url=%s/mockup/v1/%s"
                 "/order",
                 merchant.pages_url, p->page);
        reply_text(&c->reply, "", "android_app_scheme", url);
        reply_text(&c->reply, "", "ios_app_scheme", url);
        speedy_buf_printf(&c->reply.out, ",\"tms_result\":false");
    }
    reply_time(&c->reply, "", "created_at", p->created_at);
    reply_end(&c->reply);
}

void ready_do(struct api_call *c)
{
    struct payment *p = ledger_new();

    fill(c, p);
    if (check(c, p) != 0) {
        free(p);
        return;
    }
    texts_take(c, p);
    p->calls[OP_READY] = 1;
    snprintf(c->tid, sizeof(c->tid), "%s", p->tid);
    ledger_add(p);
    journal_payment(p);
    answer(c, p);
}
