/*
 * The Lua scripts, embedded at build time, and the names of their keys.
 */
#ifndef SPEEDY_SCRIPTS_H
#define SPEEDY_SCRIPTS_H

#include "../common/redis.h"
#include "names.h"

extern struct speedy_script speedy_script_ack, speedy_script_adjust,
    speedy_script_archive, speedy_script_claim, speedy_script_fence,
    speedy_script_load, speedy_script_lookup, speedy_script_release,
    speedy_script_renew, speedy_script_sessions, speedy_script_snapshot,
    speedy_script_stage, speedy_script_sweep;

/* The keys of one sale, made once and kept. */
struct speedy_keys {
    char loaded[64], gate[64], stock[64], resv[64], user[64], pend[64], log[64],
        adj[64];
};
void speedy_keys_make(struct speedy_keys *k, const char *sale);

#endif
