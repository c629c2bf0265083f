/* One address of one user. */
#include "address_http.h"

#include <string.h>

#include "../common/crypto.h"
#include "../common/stores.h"
#include "address.h"
#include "userd.h"

struct found {
    struct speedy_buf *out;
    bool any;
};

static void on_address(void *data, const struct userd_address *a)
{
    struct found *found = data;

    userd_address_write(found->out, a);
    found->any = true;
}

/* 1 found and written, 0 not, or enum speedy_db_status. */
static int read_one(struct speedy_request *r, struct speedy_db *db,
                    const unsigned char id[16])
{
    struct found found = {&r->out, false};
    struct userd_person p;
    int rc = userd_person_read(db, r->id, false, &p);

    if (rc == 1) {
        rc = userd_address_read(db, &p, id, on_address, &found);
        rc = rc == SPEEDY_DB_OK ? found.any : rc;
    }
    userd_person_wipe(&p);
    return rc;
}

void userd_address_internal(struct speedy_request *r, void *data)
{
    struct speedy_stores *s;
    unsigned char id[16];
    int rc = 0;

    (void)data;
    if (speedy_uuid_parse(r->id2, strlen(r->id2), id) == 0) {
        s = speedy_stores_take();
        rc = SPEEDY_DB_RETRY;
        if (s != NULL) {
            rc = read_one(r, s->db, id);
            speedy_stores_give(s);
        }
    }
    if (rc == 0) {
        speedy_problem(r, 404, "address_not_found",
                       "There is no such address.");
    } else if (rc < 0) {
        userd_unavailable(r);
    } else {
        r->status = 200;
        userd_no_store(r);
    }
}
