/*
 * The call may be repeated: a mail written twice has two codes that work. Its
 * answer is wiped after use.
 */
#include "render.h"

#include <stdio.h>
#include <string.h>

#include "../common/crypto.h"
#include "../common/log.h"

#define ANSWER_MAX 16384
#define DEPTH_MAX 4

static int take(struct maild_letter *l, const char *body, size_t len)
{
    enum speedy_json_error error;

    l->json = speedy_json_parse(body, len, ANSWER_MAX, DEPTH_MAX, &error);
    l->to = speedy_json_text(speedy_json_get(l->json, "to"));
    l->name = speedy_json_text(speedy_json_get(l->json, "name"));
    l->language = speedy_json_text(speedy_json_get(l->json, "language"));
    l->kind = speedy_json_text(speedy_json_get(l->json, "kind"));
    l->code = speedy_json_text(speedy_json_get(l->json, "code"));
    l->link = speedy_json_text(speedy_json_get(l->json, "link"));
    l->params = speedy_json_get(l->json, "params");
    return l->to != NULL && l->kind != NULL && l->language != NULL ? 0 : -1;
}

static enum maild_rendered judge(const struct speedy_call *call,
                                 struct maild_letter *out)
{
    switch (call->status) {
    case 200:
        return take(out, call->out.data, call->out.len) == 0 ? MAILD_RENDERED
                                                             : MAILD_UNUSABLE;
    case 404:
        return MAILD_UNKNOWN;
    case 410:
        return MAILD_NOBODY;
    case 429:
    case 502:
    case 503:
    case 504:
        return MAILD_UNAVAILABLE;
    default:
        return MAILD_UNUSABLE;
    }
}

enum maild_rendered maild_render(struct speedy_client *userd,
                                 const struct maild_claim *c,
                                 struct maild_letter *out)
{
    char id[37], path[80];
    struct speedy_call call = {.method = "POST",
                               .path = path,
                               .request_id =
                                   *c->request_id ? c->request_id : NULL,
                               .timeout_ms = MAILD_RENDER_MS,
                               .idempotent = true,
                               .max_answer = ANSWER_MAX};
    enum maild_rendered result = MAILD_UNAVAILABLE;

    memset(out, 0, sizeof(*out));
    speedy_uuid_text(c->id, id);
    snprintf(path, sizeof(path), "/internal/mails/%s/render", id);
    if (speedy_client_call(userd, &call) == SPEEDY_CALL_ANSWERED)
        result = judge(&call, out);
    if (result == MAILD_UNUSABLE)
        speedy_log(SPEEDY_ALARM, "userd's answer cannot be used",
                   "mail=%s status=%d", id, call.status);
    if (call.out.data != NULL)
        explicit_bzero(call.out.data, call.out.len);
    speedy_buf_free(&call.out);
    return result;
}

void maild_letter_free(struct maild_letter *letter)
{
    speedy_json_free(letter->json);
    letter->json = NULL;
}
