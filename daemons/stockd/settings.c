/*
 * Settings of section [stockd], metrics, and what the duties noted for
 * /readyz.
 */
#include "stockd.h"

#include <stdatomic.h>

#include "../common/loop.h"

/* A store that no duty has reached for so long is "away". */
#define SEEN_MS 5000

struct stockd_settings stockd_settings;

const struct speedy_setting stockd_setting_table[] = {
    {STOCKD_ROLE, "lease_ttl", SPEEDY_CONF_MSEC, &stockd_settings.lease_ttl,
     "3s", 1000, 60000},
    {STOCKD_ROLE, "gate_ttl", SPEEDY_CONF_MSEC, &stockd_settings.gate_ttl, "5s",
     1000, 60000},
    {STOCKD_ROLE, "gate_interval", SPEEDY_CONF_MSEC,
     &stockd_settings.gate_interval, "500ms", 50, 500},
    {STOCKD_ROLE, "catalogue_interval", SPEEDY_CONF_MSEC,
     &stockd_settings.catalogue_interval, "250ms", 50, 500},
    {STOCKD_ROLE, "release_interval", SPEEDY_CONF_MSEC,
     &stockd_settings.release_interval, "50ms", 10, 500},
    {STOCKD_ROLE, "sweep_after", SPEEDY_CONF_MSEC, &stockd_settings.sweep_after,
     "5s", 100, 600000},
    {STOCKD_ROLE, "scan_interval", SPEEDY_CONF_MSEC,
     &stockd_settings.scan_interval, "30s", 100, 3600000},
    {STOCKD_ROLE, "scan_after", SPEEDY_CONF_MSEC, &stockd_settings.scan_after,
     "60s", 1000, 3600000},
    {STOCKD_ROLE, "archive_after", SPEEDY_CONF_MSEC,
     &stockd_settings.archive_after, "24h", 1000, 0x7fffffff},
    {STOCKD_ROLE, "archive_closed", SPEEDY_CONF_MSEC,
     &stockd_settings.archive_closed, "5s", 1000, 3600000},
    {NULL, NULL, SPEEDY_CONF_INT, NULL, NULL, 0, 0},
};

#define GAUGE(n, h)                                                            \
    {                                                                          \
        .name = n, .help = h, .type = SPEEDY_GAUGE, .labels = ""               \
    }
#define COUNTER(n, h)                                                          \
    {                                                                          \
        .name = n, .help = h, .type = SPEEDY_COUNTER, .labels = ""             \
    }
#define HISTOGRAM(n, h)                                                        \
    {                                                                          \
        .name = n, .help = h, .type = SPEEDY_HISTOGRAM, .labels = ""           \
    }

struct speedy_metric stockd_m_leader =
    GAUGE("speedy_stockd_leader", "1 while this instance leads");
struct speedy_metric stockd_m_token =
    GAUGE("speedy_stockd_token", "fencing token while leading, else 0");
struct speedy_metric stockd_m_rebuilds =
    COUNTER("speedy_stockd_rebuilds_total", "sales put in place");
struct speedy_metric stockd_m_rebuild_failures = COUNTER(
    "speedy_stockd_rebuild_failures_total", "rebuilds that were started over");
struct speedy_metric stockd_m_rebuild_ms =
    HISTOGRAM("speedy_stockd_rebuild_seconds", "fence to open gate, a sale");
struct speedy_metric stockd_m_snapshot_ms = HISTOGRAM(
    "speedy_stockd_snapshot_seconds", "transaction of a rebuild, a sale");
struct speedy_metric stockd_m_fenced = GAUGE(
    "speedy_stockd_sales_fenced", "live sales whose gate could not be renewed");
struct speedy_metric stockd_m_sweeps = COUNTER(
    "speedy_stockd_swept_total", "orders of pend that were produced again");
struct speedy_metric stockd_m_repended =
    COUNTER("speedy_stockd_repended_total",
            "ledger entries that MySQL did not know, put back into pend");
struct speedy_metric stockd_m_releases =
    COUNTER("speedy_stockd_releases_total", "release rows done");
struct speedy_metric stockd_m_release_lag_ms =
    HISTOGRAM("speedy_stockd_release_lag_seconds",
              "commit of a release row to its units being sellable");
struct speedy_metric stockd_m_adjustments =
    COUNTER("speedy_stockd_adjustments_total", "stock changes finished");
struct speedy_metric stockd_m_archived =
    COUNTER("speedy_stockd_archived_total", "sales archived");

static atomic_int_fast64_t mysql_seen, redis_seen;

void stockd_metrics_register(void)
{
    struct speedy_metric *all[] = {
        &stockd_m_leader,         &stockd_m_token,
        &stockd_m_rebuilds,       &stockd_m_rebuild_failures,
        &stockd_m_rebuild_ms,     &stockd_m_snapshot_ms,
        &stockd_m_fenced,         &stockd_m_sweeps,
        &stockd_m_repended,       &stockd_m_releases,
        &stockd_m_release_lag_ms, &stockd_m_adjustments,
        &stockd_m_archived,
    };

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        speedy_metric_register(all[i]);
}

void stockd_mysql_seen(void)
{
    atomic_store(&mysql_seen, speedy_now_boot());
}

void stockd_redis_seen(void)
{
    atomic_store(&redis_seen, speedy_now_boot());
}

static bool recent(atomic_int_fast64_t *seen)
{
    int64_t at = atomic_load(seen);

    return at != 0 && speedy_now_boot() - at < SEEN_MS;
}

const char *stockd_not_ready(void)
{
    if (!recent(&mysql_seen))
        return "MySQL cannot be reached";
    if (!recent(&redis_seen))
        return "Redis cannot be reached";
    return NULL;
}

const char *stockd_word(const redisReply *reply)
{
    if (reply != NULL && reply->type == REDIS_REPLY_ARRAY &&
        reply->elements > 0)
        reply = reply->element[0];
    if (reply != NULL && (reply->type == REDIS_REPLY_STRING ||
                          reply->type == REDIS_REPLY_STATUS))
        return reply->str;
    return "";
}
