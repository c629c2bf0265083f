/*
 * GET /admin/sales/{id}/report and …/report.html: what came of a sale.
 */
#include <string.h>

#include "../shop/event.h"
#include "../shop/report.h"
#include "productd.h"

static void answer(struct speedy_request *r, const struct speedy_report *report,
                   bool html)
{
    if (!html) {
        speedy_report_json(&r->out, report);
        speedy_buf_printf(&r->out, "\n");
        productd_private(r, 200, 0);
        return;
    }
    speedy_report_html(&r->out, report);
    r->content_type = "text/html; charset=utf-8";
    speedy_buf_printf(&r->headers,
                      "Content-Security-Policy: default-src 'none'; style-src "
                      "'unsafe-inline'\nX-Content-Type-Options: nosniff\n");
    productd_private(r, 200, 0);
}

void productd_admin_report(struct speedy_request *r, void *html)
{
    static const char *const names[] = {NULL};
    struct speedy_stores *stores;
    struct speedy_report *report = NULL;
    int n = SPEEDY_DB_RETRY;

    if (productd_known_query(r, names) != 0)
        return;
    stores = speedy_stores_take();
    if (stores != NULL) {
        if (speedy_db_ready(stores->db) == 0)
            n = speedy_report_read(stores->db, stores->rc, r->id, &report);
        speedy_stores_give(stores);
    }
    if (n == 1)
        answer(r, report, html != NULL);
    else if (n == 0)
        speedy_problem(r, 404, "sale_not_found", "There is no such sale.");
    else
        productd_unavailable(r);
    speedy_report_free(report);
}
