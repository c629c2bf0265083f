/*
 * What this process knows of master keys: keys_http.h.
 */
#include "keys_http.h"

#include "../common/seal.h"
#include "userd.h"

void userd_master_key_get(struct speedy_request *r, void *data)
{
    (void)data;
    if (!userd_no_query(r))
        return;
    if (speedy_seal_knows(r->id))
        userd_no_content(r);
    else
        speedy_problem(r, 404, "not_found", "This key was not loaded.");
}
