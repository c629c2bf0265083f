/*
 * The Redis side of a rebuild's snapshot: staging keys, and the load.
 */
#ifndef SPEEDY_STOCKD_STAGE_H
#define SPEEDY_STOCKD_STAGE_H

#include "../common/redis.h"
#include "../shop/scripts.h"
#include "snapshot.h"

struct stockd_stage {
    struct speedy_keys keys;
    char resv[128], user[128], log[128]; /* staging keys, with the nonce */
};

void stockd_stage_init(struct stockd_stage *st, const char *sale,
                       const char *nonce);
/*
 * Sends the whole snapshot in pipelined chunks. 0, or -1: failed or unknown,
 * and then only a new fence helps.
 */
int stockd_stage_send(const struct stockd_stage *st, struct speedy_redis *rc,
                      const struct stockd_snapshot *s);
/* Runs load.lua. 0 when it said DONE. */
int stockd_stage_load(const struct stockd_stage *st, struct speedy_redis *rc,
                      const struct stockd_snapshot *s, int64_t token,
                      const char *run_id, const char *nonce);

#endif
