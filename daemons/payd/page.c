/*
 * Static pages in Korean and English. Whether an order is paid is told by the
 * order alone: these pages say only where to look.
 */
#include "page.h"

#include "payd.h"

static void plain_headers(struct speedy_request *r)
{
    speedy_buf_printf(&r->headers, "Cache-Control: no-store\n"
                                   "Referrer-Policy: no-referrer\n");
}

static void page(struct speedy_request *r, int status, const char *ko,
                 const char *en)
{
    r->status = status;
    r->content_type = "text/html; charset=utf-8";
    r->out.len = 0;
    speedy_buf_printf(
        &r->out,
        "<!doctype html>\n<html lang=\"ko\"><meta charset=\"utf-8\">"
        "<meta name=\"viewport\" content=\"width=device-width\">"
        "<title>sleek speedy</title>\n<p>%s</p>\n<p lang=\"en\">%s</p>\n"
        "</html>\n",
        ko, en);
    plain_headers(r);
}

void payd_page_go(struct speedy_request *r, const char *order)
{
    r->status = 303;
    if (payd_settings.result_url != NULL)
        speedy_buf_printf(&r->headers, "Location: %s%s\n",
                          payd_settings.result_url, order);
    else
        speedy_buf_printf(&r->headers, "Location: /pay/kakaopay/done\n");
    plain_headers(r);
}

void payd_page_refuse(struct speedy_request *r)
{
    page(r, 404,
         "더 이상 유효하지 않은 결제입니다. 주문 화면에서 확인해 주세요.",
         "This payment is not valid any more. Please look at your order.");
}

void payd_page_unavailable(struct speedy_request *r)
{
    page(r, 503,
         "지금은 결제를 처리할 수 없습니다. 이 화면을 새로 고침해 주세요.",
         "The payment cannot be handled now. Please reload this page.");
    speedy_buf_printf(&r->headers, "Retry-After: 2\n");
}

void payd_page_done(struct speedy_request *r, void *data)
{
    (void)data;
    page(
        r, 200,
        "결제 화면이 끝났습니다. 결과는 쇼핑 앱의 주문 화면에서 확인해 주세요.",
        "You have left KakaoPay. Your order shows whether it is paid.");
}
