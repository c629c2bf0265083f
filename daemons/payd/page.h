/* What a browser sees that KakaoPay has sent back: no secret, no state. */
#ifndef PAYD_PAGE_H
#define PAYD_PAGE_H

#include "../common/http_server.h"

/* 303 to the result page of this order (text). */
void payd_page_go(struct speedy_request *r, const char *order);
/* 404: no payment of ours, or none of this browser's. */
void payd_page_refuse(struct speedy_request *r);
/* 503, with a word about trying again. */
void payd_page_unavailable(struct speedy_request *r);
/* GET /pay/kakaopay/done */
void payd_page_done(struct speedy_request *r, void *data);

#endif
