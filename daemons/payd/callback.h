/*
 * GET /pay/kakaopay/{nonce}/approve, /cancel, /fail: a browser that comes
 * back. Nonce and pg_token authorize, nothing else is believed: cancel and
 * fail change nothing at all.
 */
#ifndef PAYD_CALLBACK_H
#define PAYD_CALLBACK_H

#include "../common/http_server.h"

void payd_callback_approve(struct speedy_request *r, void *data);
void payd_callback_hint(struct speedy_request *r, void *data);

#endif
