/*
 * The scripts' texts, from the header that lua/embed makes.
 */
#include "scripts.h"

#include <stdio.h>

#include "speedy_lua.h"

struct speedy_script speedy_script_ack = {"ack", SPEEDY_LUA_ACK, ""};
struct speedy_script speedy_script_adjust = {"adjust", SPEEDY_LUA_ADJUST, ""};
struct speedy_script speedy_script_archive = {"archive", SPEEDY_LUA_ARCHIVE,
                                              ""};
struct speedy_script speedy_script_claim = {"claim", SPEEDY_LUA_CLAIM, ""};
struct speedy_script speedy_script_fence = {"fence", SPEEDY_LUA_FENCE, ""};
struct speedy_script speedy_script_load = {"load", SPEEDY_LUA_LOAD, ""};
struct speedy_script speedy_script_lookup = {"lookup", SPEEDY_LUA_LOOKUP, ""};
struct speedy_script speedy_script_release = {"release", SPEEDY_LUA_RELEASE,
                                              ""};
struct speedy_script speedy_script_renew = {"renew", SPEEDY_LUA_RENEW, ""};
struct speedy_script speedy_script_sessions = {"sessions", SPEEDY_LUA_SESSIONS,
                                               ""};
struct speedy_script speedy_script_snapshot = {"snapshot", SPEEDY_LUA_SNAPSHOT,
                                               ""};
struct speedy_script speedy_script_stage = {"stage", SPEEDY_LUA_STAGE, ""};
struct speedy_script speedy_script_sweep = {"sweep", SPEEDY_LUA_SWEEP, ""};

void speedy_keys_make(struct speedy_keys *k, const char *sale)
{
    struct {
        char *out;
        const char *what;
    } all[] = {
        {k->loaded, SPEEDY_KEY_LOADED}, {k->gate, SPEEDY_KEY_GATE},
        {k->stock, SPEEDY_KEY_STOCK},   {k->resv, SPEEDY_KEY_RESV},
        {k->user, SPEEDY_KEY_USER},     {k->pend, SPEEDY_KEY_PEND},
        {k->log, SPEEDY_KEY_LOG},       {k->adj, SPEEDY_KEY_ADJ},
    };

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        snprintf(all[i].out, sizeof(k->loaded), SPEEDY_KEY_PREFIX "%.*s%s",
                 SPEEDY_ID_MAX, sale, all[i].what);
}
