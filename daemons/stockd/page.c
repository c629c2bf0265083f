/*
 * See page.h.
 */
#include "page.h"

#include <stdio.h>

redisReply *stockd_page(struct speedy_redis *rc, const char *key,
                        char cursor[STOCKD_CURSOR_MAX], int count)
{
    struct speedy_args a = {0};
    redisReply *reply;

    speedy_args_text(&a, "HSCAN");
    speedy_args_text(&a, key);
    speedy_args_text(&a, cursor);
    speedy_args_text(&a, "COUNT");
    speedy_args_int(&a, count);
    reply = speedy_redis_command(rc, &a);
    speedy_args_free(&a);
    if (reply != NULL &&
        (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
         reply->element[0]->type != REDIS_REPLY_STRING ||
         reply->element[1]->type != REDIS_REPLY_ARRAY)) {
        freeReplyObject(reply);
        reply = NULL;
    }
    if (reply != NULL)
        snprintf(cursor, STOCKD_CURSOR_MAX, "%s", reply->element[0]->str);
    return reply;
}
