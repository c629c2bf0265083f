/*
 * Who leads. One lease row in MySQL; its token grows with each holder and
 * stands in every script that stockd runs, so that a leader which was paused
 * and goes on is refused by Redis. MySQL away: the leader leads on, for no
 * other can take the row either; it stops when a script says SUPERSEDED.
 *
 * The state is a small struct under a lock. The lease itself is used by this
 * duty alone; others get copies.
 */
#include "stockd.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "../common/db.h"
#include "../common/log.h"
#include "../common/loop.h"

/* A standby looks more often: a killed leader is noticed within ttl + this. */
#define STANDBY_MS 250

static struct speedy_lease lease;
static struct speedy_db *db;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    bool leads;
    struct speedy_lease lease; /* copy of the last step */
    int64_t refused;           /* token that a script refused */
    int64_t claimed;
    char claimed_run_id[41];
} state;

int64_t stockd_token(void)
{
    int64_t token;

    pthread_mutex_lock(&lock);
    token = state.leads ? state.lease.token : 0;
    pthread_mutex_unlock(&lock);
    return token;
}

bool stockd_lease(int64_t token, struct speedy_lease *out)
{
    bool ours;

    pthread_mutex_lock(&lock);
    ours = state.leads && state.lease.token == token;
    *out = state.lease;
    pthread_mutex_unlock(&lock);
    return ours;
}

void stockd_superseded(int64_t token)
{
    bool news = false;

    pthread_mutex_lock(&lock);
    if (state.leads && state.lease.token == token) {
        state.leads = false;
        state.refused = token;
        news = true;
    }
    pthread_mutex_unlock(&lock);
    if (news) {
        speedy_metric_set(&stockd_m_leader, 0);
        speedy_metric_set(&stockd_m_token, 0);
        speedy_log(SPEEDY_WARN, "superseded by a younger leader", "token=%lld",
                   (long long)token);
    }
}

void stockd_claimed(int64_t token, const char *run_id)
{
    pthread_mutex_lock(&lock);
    if (state.leads && state.lease.token == token &&
        strlen(run_id) < sizeof(state.claimed_run_id)) {
        state.claimed = token;
        memcpy(state.claimed_run_id, run_id, strlen(run_id) + 1);
    }
    pthread_mutex_unlock(&lock);
}

int64_t stockd_token_claimed(const char *run_id)
{
    int64_t token = 0;

    pthread_mutex_lock(&lock);
    if (state.leads && state.claimed == state.lease.token &&
        run_id[0] != '\0' && strcmp(state.claimed_run_id, run_id) == 0)
        token = state.lease.token;
    pthread_mutex_unlock(&lock);
    return token;
}

int64_t stockd_acting(struct speedy_redis *rc, char run_id[41])
{
    struct speedy_args a = {0};
    redisReply *reply;
    int64_t token;

    if (speedy_redis_ready(rc) != 0)
        return 0;
    snprintf(run_id, 41, "%s", speedy_redis_run_id(rc));
    token = stockd_token_claimed(run_id);
    if (token != 0 || stockd_token() == 0)
        return token;
    /* Perhaps this connection is to a Redis that is gone: one that nobody
       uses would never notice. */
    speedy_args_text(&a, "PING");
    reply = speedy_redis_command(rc, &a);
    speedy_args_free(&a);
    if (reply != NULL)
        freeReplyObject(reply);
    return 0;
}

static int lead_open(int instance)
{
    db = speedy_db_new(STOCKD_ROLE);
    if (db == NULL)
        return -1;
    memset(&state, 0, sizeof(state));
    speedy_lease_init(&lease, STOCKD_ROLE, STOCKD_ROLE, instance,
                      stockd_settings.lease_ttl);
    return 0;
}

/*
 * A refused token is given up, so that the next holder's is higher. That is
 * also the way out when Redis remembers a higher token than a MySQL that was
 * restored from a backup: the token climbs until it passes.
 */
static void give_up_refused(void)
{
    int64_t refused;

    pthread_mutex_lock(&lock);
    refused = state.refused;
    state.refused = 0;
    pthread_mutex_unlock(&lock);
    if (refused != 0 && lease.held && lease.token == refused) {
        speedy_lease_release(&lease, db);
        lease.held = false;
    }
}

static void publish(bool taken)
{
    bool lost;

    pthread_mutex_lock(&lock);
    lost = state.leads && (!lease.held || lease.token != state.lease.token);
    if (state.refused != 0 && state.refused == lease.token) {
        pthread_mutex_unlock(&lock); /* refused meanwhile: next turn */
        return;
    }
    state.lease = lease;
    state.leads = lease.held;
    pthread_mutex_unlock(&lock);
    speedy_metric_set(&stockd_m_leader, lease.held);
    speedy_metric_set(&stockd_m_token, lease.held ? lease.token : 0);
    if (taken)
        speedy_log(SPEEDY_INFO, "leading", "token=%lld",
                   (long long)lease.token);
    else if (lost && !lease.held)
        speedy_log(SPEEDY_WARN, "the lease is another's", "token=%lld",
                   (long long)lease.token);
}

static long lead_run(void *data)
{
    int rc;

    (void)data;
    give_up_refused();
    rc = speedy_lease_step(&lease, db);
    if (rc >= 0)
        stockd_mysql_seen();
    publish(rc == 1);
    if (!lease.held)
        return speedy_jitter(STANDBY_MS);
    return stockd_settings.lease_ttl / 5;
}

/* All duties have ended: the other instance may take over at once. */
static void lead_close(void)
{
    if (db == NULL)
        return;
    if (lease.held)
        speedy_lease_release(&lease, db);
    pthread_mutex_lock(&lock);
    state.leads = false;
    pthread_mutex_unlock(&lock);
    speedy_db_free(db);
    db = NULL;
}

const struct stockd_duty stockd_lead_duty = {"lead", lead_open, lead_run,
                                             lead_close};
