/*
 * stockd: keeps the stock in Redis true to MySQL. See stockd.h for its
 * duties, docs/architecture.md for the protocol.
 */
#include <stdlib.h>

#include "../common/http_server.h"
#include "../common/log.h"
#include "../common/loop.h"
#include "stockd.h"

/* A duty in a script, a statement or a produce ends within this. */
#define GRACE_MS 10000

/* Opened and started in this order; lead is closed first, so that the other
 * instance takes over while we tidy up. */
static const struct stockd_duty *const duties[] = {
    &stockd_lead_duty,    &stockd_catalogue_duty, &stockd_gate_duty,
    &stockd_rebuild_duty, &stockd_relay_duty,     &stockd_sweep_duty,
    &stockd_scan_duty,    &stockd_adjust_duty,    &stockd_register_duty,
    &stockd_archive_duty,
};
#define DUTIES (sizeof(duties) / sizeof(duties[0]))

static void close_duties(void)
{
    for (size_t i = 0; i < DUTIES; i++)
        duties[i]->close();
}

static int start_duties(int instance)
{
    for (size_t i = 0; i < DUTIES; i++) {
        if (duties[i]->open(instance) != 0) {
            speedy_log(SPEEDY_ERROR, "a duty cannot open", "duty=%s",
                       duties[i]->name);
            return -1;
        }
    }
    for (size_t i = 0; i < DUTIES; i++) {
        if (speedy_duty_start(duties[i]->name, duties[i]->run, NULL) != 0)
            return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    const struct speedy_route no_routes[] = {{0}};
    struct speedy_options options;
    struct speedy_http http = {
        .role = STOCKD_ROLE,
        .routes = no_routes,
        .not_ready = stockd_not_ready,
        .max_body = 1024,
        .threads = 2,
    };
    int status;

    speedy_loop_init();
    status = speedy_options_parse(argc, argv, STOCKD_ROLE, stockd_setting_table,
                                  &options);
    if (status >= 0)
        return status;
    http.instance = options.instance;
    stockd_metrics_register();
    if (speedy_http_start(&http) != 0)
        return 1;
    if (start_duties(options.instance) != 0) {
        speedy_http_stop();
        return 1;
    }
    speedy_log(SPEEDY_INFO, "ready", "");
    status = speedy_loop_run(GRACE_MS) == 0 ? 0 : 1;
    close_duties();
    speedy_http_stop();
    return status;
}
