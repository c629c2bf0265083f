/*
 * Reading a Redis hash of orders page by page (HSCAN).
 */
#ifndef SPEEDY_STOCKD_PAGE_H
#define SPEEDY_STOCKD_PAGE_H

#include "../common/redis.h"

#define STOCKD_CURSOR_MAX 24

/*
 * One page of the hash from *cursor ("0" begins), which is moved on; "0"
 * again when the hash has been read to its end. The reply's second element
 * holds field, value, … NULL: the connection failed, or the reply is none of
 * HSCAN's. The caller frees it.
 */
redisReply *stockd_page(struct speedy_redis *rc, const char *key,
                        char cursor[STOCKD_CURSOR_MAX], int count);

#endif
