/*
 * stockd keeps Redis true to MySQL: gate, rebuild, sweeper, releases, stock
 * changes, archive. Each duty is a thread with its own connections, so that
 * one that waits never delays another; what they share is here: settings,
 * who leads, and metrics. The shop as MySQL tells it is in catalogue.h.
 */
#ifndef SPEEDY_STOCKD_H
#define SPEEDY_STOCKD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/conf.h"
#include "../common/lease.h"
#include "../common/metrics.h"
#include "../common/redis.h"

#define STOCKD_ROLE "stockd"

/* Section [stockd], milliseconds; read-only once threads run. */
struct stockd_settings {
    long lease_ttl, gate_ttl, gate_interval, catalogue_interval;
    long release_interval, sweep_after, scan_interval, scan_after;
    long archive_after, archive_closed;
};
extern struct stockd_settings stockd_settings;
extern const struct speedy_setting stockd_setting_table[];

/*
 * A duty: open() makes what it needs (nothing connects yet), run() does a
 * bounded turn and says how long to pause (loop.h), close() comes after the
 * threads have ended.
 */
struct stockd_duty {
    const char *name;
    int (*open)(int instance);
    long (*run)(void *data);
    void (*close)(void);
};
extern const struct stockd_duty stockd_lead_duty, stockd_catalogue_duty,
    stockd_gate_duty, stockd_rebuild_duty, stockd_sweep_duty, stockd_relay_duty,
    stockd_adjust_duty, stockd_register_duty, stockd_scan_duty,
    stockd_archive_duty;

/*
 * Leadership (lead.c); any thread. A token is 0 when this process does not
 * lead. It leads on while MySQL is away, until a script answers SUPERSEDED.
 */
int64_t stockd_token(void);
/* The lease of that token, for speedy_lease_lock(). False: it is gone. */
bool stockd_lease(int64_t token, struct speedy_lease *out);
/* A script refused this token: a younger leader lives. */
void stockd_superseded(int64_t token);
/*
 * The gate's duty has written this token into every loaded sale of the
 * Redis with this run_id. Only then may the other duties act: a script of
 * the leader before can no longer land between ours.
 */
void stockd_claimed(int64_t token, const char *run_id);
/* The token claimed in that Redis, or 0: not leading, not claimed. */
int64_t stockd_token_claimed(const char *run_id);
/*
 * For a duty's turn: connects rc if needed, tells its run_id, and returns
 * the token to act with, or 0: not now.
 */
int64_t stockd_acting(struct speedy_redis *rc, char run_id[41]);

/* Readiness, noted by the duties that look often; any thread. */
void stockd_mysql_seen(void);
void stockd_redis_seen(void);
const char *stockd_not_ready(void);

/*
 * The word of a script's reply (a status, a string, or the first of an
 * array); "" for NULL and for anything else.
 */
const char *stockd_word(const redisReply *reply);

extern struct speedy_metric stockd_m_leader, stockd_m_token, stockd_m_rebuilds,
    stockd_m_rebuild_failures, stockd_m_rebuild_ms, stockd_m_snapshot_ms,
    stockd_m_fenced, stockd_m_sweeps, stockd_m_repended, stockd_m_releases,
    stockd_m_release_lag_ms, stockd_m_adjustments, stockd_m_archived;
void stockd_metrics_register(void);

#endif
