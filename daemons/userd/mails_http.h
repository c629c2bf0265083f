/*
 * POST /internal/mails/{id}/render: what maild needs to write a mail, asked
 * when it is about to be sent: 200 {id, kind, to, name, language, params,
 * code, link, message_id, request_id}; 404 `mail_not_found`; 410 `mail_over`
 * (it is not to be sent any more) or `nobody_to_tell`.
 *
 * For the kinds `verify` and `reset` this is the moment when code and link are
 * made; asked again, it makes others, and both work. They leave userd by this
 * answer alone. The route is for daemons; nginx does not lead to /internal/.
 */
#ifndef USERD_MAILS_HTTP_H
#define USERD_MAILS_HTTP_H

#include "../common/http_server.h"

void userd_mail_render(struct speedy_request *r, void *data);

#endif
