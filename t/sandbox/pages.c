/*
 * The payer's pages: plain HTML with a button for each thing a payer can do,
 * which send the browser back to the shop by a redirect, as KakaoPay does.
 * The page's address holds 256 random bits and no tid.
 */
#include "sandbox.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char head[] =
    "<!doctype html><html lang=\"ko\"><meta charset=\"utf-8\">"
    "<meta name=\"viewport\" content=\"width=device-width\">"
    "<title>카카오페이 (모의 결제)</title><style>"
    "body{font:16px/1.6 sans-serif;max-width:26rem;margin:2rem auto;"
    "padding:0 1rem}button{font:inherit;display:block;width:100%;"
    "margin:.5rem 0;padding:.7rem;border:1px solid #888;border-radius:.4rem;"
    "background:#fff}button.pay{background:#fee500;border-color:#fee500}"
    "dt{color:#666}dd{margin:0 0 .6rem}</style>"
    "<h1>카카오페이 <small>모의 결제</small></h1>";

static void button(struct speedy_buf *b, const struct payment *p,
                   const char *act, const char *method, const char *label)
{
    speedy_buf_printf(b,
                      "<form method=\"post\" action=\"/mockup/v1/%s/%s\">"
                      "<input type=\"hidden\" name=\"method\" value=\"%s\">"
                      "<button id=\"%s%s\"%s>%s</button></form>",
                      p->page, act, method, act, method,
                      strcmp(act, "pay") == 0 ? " class=\"pay\"" : "", label);
}

static void page_write(struct exchange *x, const struct payment *p)
{
    struct speedy_buf *b = &x->out;

    speedy_buf_printf(b, "%s<dl><dt>상품</dt><dd>", head);
    speedy_buf_html(b, p->item_name);
    speedy_buf_printf(b,
                      "</dd><dt>수량</dt><dd>%" PRId64
                      "</dd><dt>결제 금액</dt><dd>%" PRId64 "원</dd></dl>",
                      p->quantity, p->amount.total);
    if (p->wanted != METHOD_CARD)
        button(b, p, "pay", "MONEY", "카카오페이머니로 결제하기");
    if (p->wanted != METHOD_MONEY)
        button(b, p, "pay", "CARD", "카드로 결제하기");
    button(b, p, "quit", "", "결제 그만두기");
    button(b, p, "fail", "", "비밀번호 틀리기 (실패)");
}

static void told(struct exchange *x, int status, const char *text)
{
    x->status = status;
    x->out.len = 0;
    speedy_buf_printf(&x->out, "%s<p>%s</p>", head, text);
}

static void page_act(struct exchange *x, struct payment *p, const char *act)
{
    static const char *const info[] = {"info", "mInfo", "aInfo", "order"};
    bool get = strcmp(x->method, "GET") == 0;
    struct payer_act a = {.act = get ? "open" : act};
    const char *why = NULL;
    char *url;

    if (get ? name_find(info, 4, act) < 0 : strcmp(act, "open") == 0) {
        told(x, 404, "없는 페이지입니다.");
        return;
    }
    if (!get && x->body_len == strlen("method=CARD") &&
        memcmp(x->body, "method=CARD", x->body_len) == 0)
        a.method = METHOD_CARD;
    if (!get && x->body_len == strlen("method=MONEY") &&
        memcmp(x->body, "method=MONEY", x->body_len) == 0)
        a.method = METHOD_MONEY;
    url = payer_do(p, &a, &why);
    if (url == NULL) {
        told(x, 409, "이미 처리된 결제입니다.");
    } else if (url[0] != '\0') {
        x->status = 302;
        x->location = url;
        return;
    } else {
        x->status = 200;
        page_write(x, p);
    }
    free(url);
}

/* /mockup/v1/<page>/<act> */
void pages_handle(struct exchange *x)
{
    static const char prefix[] = "/mockup/v1/";
    const char *at = x->path + strlen(prefix);
    char page[PAGE_LEN + 1];
    struct payment *p;
    uint64_t record = 0;

    x->content_type = "text/html; charset=utf-8";
    if (strncmp(x->path, prefix, strlen(prefix)) != 0 ||
        strcspn(at, "/") != PAGE_LEN || at[PAGE_LEN] != '/' ||
        (strcmp(x->method, "GET") != 0 && strcmp(x->method, "POST") != 0)) {
        told(x, 404, "없는 페이지입니다.");
        return;
    }
    memcpy(page, at, PAGE_LEN);
    page[PAGE_LEN] = '\0';
    ledger_lock();
    p = ledger_by_page(page);
    if (p == NULL) {
        told(x, 404, "없는 결제입니다.");
    } else {
        page_act(x, p, at + PAGE_LEN + 1);
        record = p->record;
    }
    ledger_unlock();
    journal_sync(record);
}
