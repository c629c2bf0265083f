/*
 * Answers that are the same on every route.
 */
#include "userd.h"

#define BUSY_SECONDS 2

void userd_unavailable(struct speedy_request *r)
{
    speedy_problem_retry(r, 503, "unavailable", "This cannot be answered now.",
                         1);
}

void userd_busy(struct speedy_request *r)
{
    speedy_problem_retry(r, 503, "busy", "Too many passwords at once.",
                         BUSY_SECONDS);
}

bool userd_no_query(struct speedy_request *r)
{
    static const char *const names[] = {NULL};

    if (speedy_request_unknown_query(r, names) == NULL)
        return true;
    speedy_problem(r, 400, "unknown_parameter", "No parameter is known here.");
    return false;
}

void userd_no_store(struct speedy_request *r)
{
    speedy_buf_printf(&r->headers, "Cache-Control: no-store\n");
}

void userd_no_content(struct speedy_request *r)
{
    r->status = 204;
    r->out.len = 0;
}
