/*
 * The leases' duty. One SELECT observes all rows at once: who lives, and for
 * how long each row has stood unchanged; a step is made only for leases that
 * are held (a beat) or wanted.
 */
#include "partitions.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "../common/log.h"
#include "../common/loop.h"

#define LEASE_TTL_MS 3000
#define TURN_MS 500 /* a killed instance is noticed within ttl + 2 turns */
#define MEMBERS_MAX 64
#define MEMBER_PREFIX "orderd:instance:"

struct member {
    char name[64];
    int64_t token, beat, seen_at;
    bool gone; /* released in order */
};

struct slot {
    struct speedy_lease lease; /* the duty's */
    /* under the lock, for the consumer */
    bool held;
    int64_t token;
    bool lost;
};

static struct {
    pthread_mutex_t lock;
    struct speedy_db *db;
    char topic[128];
    int instance;
    int known; /* under the lock */
    int count; /* slots with an initialised lease */
    struct slot slot[ORDERD_PARTITIONS_MAX];
    struct speedy_lease self;
    struct member member[MEMBERS_MAX];
    int members;
    atomic_int_fast64_t answered;
} all = {.lock = PTHREAD_MUTEX_INITIALIZER};

int orderd_share(int partitions, int living)
{
    if (living < 1)
        living = 1;
    return (partitions + living - 1) / living;
}

void orderd_partitions_init(const char *topic, int instance,
                            struct speedy_db *db)
{
    char name[64];

    all.db = db;
    all.instance = instance;
    snprintf(all.topic, sizeof(all.topic), "%s", topic);
    snprintf(name, sizeof(name), MEMBER_PREFIX "%d", instance);
    speedy_lease_init(&all.self, name, "orderd", instance, LEASE_TTL_MS);
}

void orderd_partitions_known(int count)
{
    if (count > ORDERD_PARTITIONS_MAX) {
        speedy_log(SPEEDY_ALARM, "too many partitions",
                   "topic=%s partitions=%d most=%d", all.topic, count,
                   ORDERD_PARTITIONS_MAX);
        count = ORDERD_PARTITIONS_MAX;
    }
    pthread_mutex_lock(&all.lock);
    if (count > all.known)
        all.known = count;
    pthread_mutex_unlock(&all.lock);
}

/* What never changes in a lease: the rest belongs to the duty. */
static void copy_identity(struct speedy_lease *to,
                          const struct speedy_lease *from)
{
    memset(to, 0, sizeof(*to));
    memcpy(to->name, from->name, sizeof(to->name));
    memcpy(to->owner, from->owner, sizeof(to->owner));
}

int orderd_partitions_held(struct orderd_claim *out)
{
    int n = 0;

    pthread_mutex_lock(&all.lock);
    for (int i = 0; i < all.count; i++) {
        if (!all.slot[i].held || all.slot[i].lost)
            continue;
        out[n].partition = i;
        copy_identity(&out[n].lease, &all.slot[i].lease);
        out[n++].lease.token = all.slot[i].token;
    }
    pthread_mutex_unlock(&all.lock);
    return n;
}

void orderd_partitions_lost(int partition, int64_t token)
{
    pthread_mutex_lock(&all.lock);
    if (all.slot[partition].held && all.slot[partition].token == token)
        all.slot[partition].lost = true;
    pthread_mutex_unlock(&all.lock);
}

int64_t orderd_leases_answered(void)
{
    return atomic_load(&all.answered);
}

/* New partitions get their lease. */
static void grow(void)
{
    int known;

    pthread_mutex_lock(&all.lock);
    known = all.known;
    while (all.count < known) {
        char name[64];

        snprintf(name, sizeof(name), "orderd:%.40s:%d", all.topic, all.count);
        speedy_lease_init(&all.slot[all.count++].lease, name, "orderd",
                          all.instance, LEASE_TTL_MS);
    }
    pthread_mutex_unlock(&all.lock);
}

static void see_member(const char *name, bool gone, int64_t token, int64_t beat)
{
    int i = 0;

    while (i < all.members && strcmp(all.member[i].name, name) != 0)
        i++;
    if (i == all.members) {
        if (all.members == MEMBERS_MAX)
            return;
        all.members++;
        snprintf(all.member[i].name, sizeof(all.member[i].name), "%s", name);
        all.member[i].token = -1;
    }
    all.member[i].gone = gone;
    if (all.member[i].token == token && all.member[i].beat == beat)
        return;
    all.member[i].token = token;
    all.member[i].beat = beat;
    all.member[i].seen_at = speedy_now_boot();
}

static void see_partition(const char *name, int64_t token, int64_t beat)
{
    for (int i = 0; i < all.count; i++) {
        struct speedy_lease *l = &all.slot[i].lease;

        if (strcmp(l->name, name) != 0 || l->held)
            continue;
        if (l->seen_token != token || l->seen_beat != beat) {
            l->seen_token = token;
            l->seen_beat = beat;
            l->seen_at = speedy_now_boot();
        }
        return;
    }
}

static int on_lease(void *data, const struct speedy_db_value *col, size_t cols)
{
    const char *name = col[0].bytes;

    (void)data;
    (void)cols;
    if (strncmp(name, MEMBER_PREFIX, strlen(MEMBER_PREFIX)) == 0)
        see_member(name, col[1].len == 0, col[2].number, col[3].number);
    else
        see_partition(name, col[2].number, col[3].number);
    return 0;
}

static int living(void)
{
    int64_t now = speedy_now_boot();
    int n = 1; /* this one */

    for (int i = 0; i < all.members; i++) {
        const struct member *m = &all.member[i];

        if (strcmp(m->name, all.self.name) != 0 && !m->gone &&
            now - m->seen_at < LEASE_TTL_MS)
            n++;
    }
    return n;
}

/* Shows the consumer what the lease says. Returns 1 when held. */
static int publish(struct slot *slot)
{
    pthread_mutex_lock(&all.lock);
    slot->held = slot->lease.held;
    slot->token = slot->lease.token;
    if (!slot->held)
        slot->lost = false;
    pthread_mutex_unlock(&all.lock);
    return slot->held;
}

static void give_up(struct slot *slot, const char *why)
{
    speedy_log(SPEEDY_INFO, "partition given up", "lease=%s why=\"%s\"",
               slot->lease.name, why);
    pthread_mutex_lock(&all.lock);
    slot->held = false;
    slot->lost = false;
    pthread_mutex_unlock(&all.lock);
    speedy_lease_release(&slot->lease, all.db);
    slot->lease.held = false;
}

/* Beats for what is held, all in one transaction: a commit apiece would be
 * dozens a second. Returns how many are held afterwards. */
static int keep(void)
{
    int held = 0;

    for (int i = 0; i < all.count; i++) {
        struct slot *slot = &all.slot[i];

        if (!slot->lease.held)
            continue;
        if (slot->lost) {
            give_up(slot, "the stored offset is not ours");
            continue;
        }
        speedy_lease_step(&slot->lease, all.db);
        held += publish(slot);
    }
    return held;
}

static void balance(int held, int aim)
{
    for (int i = all.count - 1; i >= 0 && held > aim; i--) {
        if (all.slot[i].lease.held) {
            give_up(&all.slot[i], "another instance takes its share");
            held--;
        }
    }
    for (int i = 0; i < all.count && held < aim; i++) {
        if (all.slot[i].lease.held)
            continue;
        speedy_lease_step(&all.slot[i].lease, all.db);
        held += all.slot[i].lease.held;
    }
    /* All that is new is shown at once: the consumer opens it in one turn,
       and reads the oldest of all of it first. */
    for (int i = 0; i < all.count; i++)
        publish(&all.slot[i]);
}

long orderd_leases_turn(void *data)
{
    int rc, held;

    (void)data;
    grow();
    if (speedy_lease_step(&all.self, all.db) < 0)
        return TURN_MS;
    rc = speedy_db_query(all.db,
                         "SELECT name, owner, token, beat FROM leases"
                         " WHERE name LIKE 'orderd:%'",
                         DB_NONE, on_lease, NULL);
    if (rc != SPEEDY_DB_OK)
        return TURN_MS;
    atomic_store(&all.answered, speedy_now_boot());
    if (speedy_db_begin(all.db) != 0)
        return TURN_MS;
    held = keep();
    if (speedy_db_commit(all.db) != 0)
        return TURN_MS;
    balance(held, orderd_share(all.count, living()));
    return TURN_MS;
}

void orderd_leases_release(void)
{
    for (int i = 0; i < all.count; i++) {
        if (all.slot[i].lease.held)
            give_up(&all.slot[i], "stop");
    }
    if (all.self.held)
        speedy_lease_release(&all.self, all.db);
}
