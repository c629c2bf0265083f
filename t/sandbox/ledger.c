/*
 * All payments, found by tid, by page and by the merchant's order; kept for
 * the sandbox's whole life. One lock for everything: each holder takes some
 * microseconds, and what waits (answers, the disk) waits without it.
 */
#include "sandbox.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "../../daemons/common/crypto.h"
#include "../../daemons/common/loop.h"

#define BUCKETS 65536

const char *const operation_names[OP_COUNT] = {"ready", "approve", "cancel",
                                               "order"};
const char *const status_names[ST_COUNT] = {
    "READY",          "OPEN_PAYMENT",       "SELECT_METHOD",
    "AUTH_PASSWORD",  "SUCCESS_PAYMENT",    "PART_CANCEL_PAYMENT",
    "CANCEL_PAYMENT", "FAIL_AUTH_PASSWORD", "QUIT_PAYMENT",
    "FAIL_PAYMENT",
};
const char *const method_names[3] = {"", "CARD", "MONEY"};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct payment *by_tid[BUCKETS], *by_page[BUCKETS];
static struct payment **all;
static size_t count, room;
static _Atomic int64_t offset;

int name_find(const char *const *names, int n, const char *name)
{
    for (int i = 0; i < n; i++) {
        if (strcmp(names[i], name) == 0)
            return i;
    }
    return -1;
}

void ledger_lock(void)
{
    pthread_mutex_lock(&lock);
}

void ledger_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

static unsigned bucket(const char *text)
{
    uint32_t h = 2166136261u;

    for (; *text != '\0'; text++)
        h = (h ^ (unsigned char)*text) * 16777619u;
    return (h ^ h >> 16) % BUCKETS;
}

struct payment *ledger_new(void)
{
    struct payment *p = calloc(1, sizeof(*p));

    if (p == NULL)
        abort();
    p->tid[0] = 'T';
    hex_random(p->tid + 1, TID_LEN - 1);
    hex_random(p->page, PAGE_LEN);
    return p;
}

void ledger_add(struct payment *p)
{
    unsigned t = bucket(p->tid), g = bucket(p->page);

    p->next_tid = by_tid[t];
    by_tid[t] = p;
    p->next_page = by_page[g];
    by_page[g] = p;
    if (count == room) {
        room = room > 0 ? 2 * room : 1024;
        all = realloc(all, room * sizeof(struct payment *));
        if (all == NULL)
            abort();
    }
    all[count++] = p;
}

struct payment *ledger_by_tid(const char *tid)
{
    struct payment *p = by_tid[bucket(tid)];

    while (p != NULL && strcmp(p->tid, tid) != 0)
        p = p->next_tid;
    return p;
}

struct payment *ledger_by_page(const char *page)
{
    struct payment *p = by_page[bucket(page)];

    while (p != NULL && strcmp(p->page, page) != 0)
        p = p->next_page;
    return p;
}

struct payment *ledger_by_order(const char *order_id)
{
    for (size_t i = count; i > 0; i--) {
        if (strcmp(all[i - 1]->order_id, order_id) == 0)
            return all[i - 1];
    }
    return NULL;
}

size_t ledger_count(void)
{
    return count;
}

struct payment *ledger_at(size_t i)
{
    return all[i];
}

static void payment_free(struct payment *p)
{
    for (size_t i = 0; i < p->actions; i++)
        free(p->action[i].payload);
    free(p->action);
    free(p->order_id);
    free(p->user_id);
    free(p->item_name);
    free(p->item_code);
    free(p->approval_url);
    free(p->cancel_url);
    free(p->fail_url);
    free(p);
}

void ledger_clear(void)
{
    for (size_t i = 0; i < count; i++)
        payment_free(all[i]);
    count = 0;
    memset(by_tid, 0, sizeof(by_tid));
    memset(by_page, 0, sizeof(by_page));
}

struct action *ledger_action(struct payment *p, bool cancel,
                             const struct amount *a, const char *payload)
{
    struct action *at;

    p->action = realloc(p->action, (p->actions + 1) * sizeof(*p->action));
    if (p->action == NULL)
        abort();
    at = &p->action[p->actions++];
    *at = (struct action){.cancel = cancel, .at = clock_now(), .amount = *a};
    at->aid[0] = 'A';
    hex_random(at->aid + 1, TID_LEN - 1);
    at->payload = payload != NULL ? strdup(payload) : NULL;
    return at;
}

struct amount ledger_left(const struct payment *p)
{
    struct amount a = p->amount;

    if (!ledger_paid(p))
        return (struct amount){0};
    a.total -= p->canceled.total;
    a.tax_free -= p->canceled.tax_free;
    a.vat -= p->canceled.vat;
    a.point -= p->canceled.point;
    a.discount -= p->canceled.discount;
    a.green_deposit -= p->canceled.green_deposit;
    return a;
}

bool ledger_paid(const struct payment *p)
{
    return p->status == ST_SUCCESS_PAYMENT ||
           p->status == ST_PART_CANCEL_PAYMENT ||
           p->status == ST_CANCEL_PAYMENT;
}

bool ledger_expired(const struct payment *p, int64_t at)
{
    return at >= p->created_at + settings.life_ms;
}

int64_t clock_now(void)
{
    return speedy_now_real() + atomic_load(&offset);
}

int64_t clock_offset(void)
{
    return atomic_load(&offset);
}

void clock_offset_set(int64_t ms)
{
    atomic_store(&offset, ms);
}

void hex_random(char *out, size_t digits)
{
    unsigned char bytes[PAGE_LEN];
    char text[2 * PAGE_LEN + 1];
    size_t n = (digits + 1) / 2;

    speedy_random(bytes, n);
    speedy_hex(bytes, n, text);
    memcpy(out, text, digits);
    out[digits] = '\0';
}
