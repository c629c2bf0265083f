/*
 * Memory shared by the workers: what is known of sales, counters, gauges.
 *
 * A sale's slot answers "sold out" without Redis only when all of this holds:
 * the last probe reported 0 left for the variant; `log` had then been read to
 * its end into the set of users who hold units, page by page, of one
 * (run_id, epoch); that probe was *sent* less than 250 ms ago; the user is not
 * in the set. Units that come back onto 0 cannot be reserved for 300 ms, so no
 * answer is given while a unit is sold again, and a holder's retry is never
 * masked. "Not open" is answered up to 50 ms before the opening, by an upper
 * bound of Redis' clock, while `log` is empty.
 *
 * The set holds 64-bit hashes under a random key of the zone: a collision only
 * costs a trip to Redis. A set that does not fit makes the zone silent about
 * its sale.
 *
 * One lock, the slab pool's, because nginx's master opens that one when a
 * worker dies holding it. `writing` marks a slot under change: whoever finds
 * it set starts the slot over.
 */

#include "ngx_http_speedy_stock.h"

#include <openssl/rand.h>

#include <signal.h>


#define NGX_HTTP_SPEEDY_ZONE_MIN     (1024 * 1024)
#define NGX_HTTP_SPEEDY_SALES        64
#define NGX_HTTP_SPEEDY_SET_FIRST    1024

/* microseconds */
#define NGX_HTTP_SPEEDY_VALID        250000
#define NGX_HTTP_SPEEDY_PERIOD       100000
#define NGX_HTTP_SPEEDY_KICK         5000
#define NGX_HTTP_SPEEDY_CLAIM        1000000  /* a claim's holder died */
#define NGX_HTTP_SPEEDY_IDLE         10000000
#define NGX_HTTP_SPEEDY_MARGIN       50       /* ms before opens_at */


typedef struct {
    ngx_http_speedy_id_t        id;
    uint64_t                    hash;
    ngx_uint_t                  used;
    ngx_uint_t                  writing;

    int64_t                     touched;    /* last traffic */
    int64_t                     claimed;    /* last claim */
    uint64_t                    claim;      /* 0: nobody probes */
    ngx_uint_t                  kick;       /* probe sooner */

    u_char                      run_id[NGX_HTTP_SPEEDY_RUN_ID_LEN];
    int64_t                     epoch;
    int64_t                     sent;       /* of the last good probe */
    int64_t                     offset;     /* Redis ms ahead of `sent` / 1000 */
    int64_t                     opens_at;
    uint64_t                    log_len;
    uint64_t                    log_read;
    ngx_uint_t                  full;       /* the set did not fit */
    ngx_uint_t                  nvariants;
    ngx_http_speedy_zone_variant_t variants[NGX_HTTP_SPEEDY_ZONE_VARIANTS];

    uint64_t                   *set;        /* open addressing, 0 is free */
    ngx_uint_t                  set_size;   /* a power of two */
    ngx_uint_t                  set_used;
} ngx_http_speedy_sale_t;


typedef struct {
    u_char                      secret[16];
    uint64_t                    claims;
    ngx_http_speedy_sale_t      sales[NGX_HTTP_SPEEDY_SALES];
    ngx_http_speedy_ended_t     ended;
    ngx_http_speedy_stocks_t    stocks;
    ngx_http_speedy_gauges_t    workers[NGX_HTTP_SPEEDY_WORKERS];
    ngx_atomic_t                codes[NGX_HTTP_SPEEDY_NCODES];
    ngx_atomic_t                counters[NGX_HTTP_SPEEDY_NCOUNTERS];
} ngx_http_speedy_shared_t;


static ngx_int_t ngx_http_speedy_zone_init(ngx_shm_zone_t *zone, void *data);
static void ngx_http_speedy_zone_tick(ngx_event_t *ev);
static ngx_http_speedy_sale_t *ngx_http_speedy_zone_find(
    ngx_http_speedy_id_t *id);
static ngx_http_speedy_sale_t *ngx_http_speedy_zone_take(
    ngx_http_speedy_id_t *id, int64_t now);
static void ngx_http_speedy_zone_over(ngx_http_speedy_sale_t *sale);
static ngx_http_speedy_sale_t *ngx_http_speedy_zone_claimed(
    ngx_http_speedy_claim_t *claim);
static ngx_uint_t ngx_http_speedy_zone_has(ngx_http_speedy_sale_t *sale,
    uint64_t user);
static ngx_int_t ngx_http_speedy_zone_add(ngx_http_speedy_sale_t *sale,
    uint64_t user);
static ngx_int_t ngx_http_speedy_zone_grow(ngx_http_speedy_sale_t *sale);


static ngx_slab_pool_t           *ngx_http_speedy_shpool;
static ngx_http_speedy_shared_t  *ngx_http_speedy_shared;
static ngx_http_speedy_gauges_t  *ngx_http_speedy_mine;
static ngx_event_t                ngx_http_speedy_second;


char *
ngx_http_speedy_zone_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_speedy_main_conf_t  *smcf = conf;

    u_char     *p;
    ssize_t     size;
    ngx_str_t  *value, name, text;

    if (smcf->zone) {
        return "is duplicate";
    }

    value = cf->args->elts;

    p = (u_char *) ngx_strchr(value[1].data, '=');
    if (p == NULL || p == value[1].data) {
        return "must be NAME=SIZE, as in \"speedy=32m\"";
    }

    name.data = value[1].data;
    name.len = p - value[1].data;
    text.data = p + 1;
    text.len = value[1].data + value[1].len - text.data;

    size = ngx_parse_size(&text);

    if (size < NGX_HTTP_SPEEDY_ZONE_MIN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the size in \"speedy_zone %V\" must be a number "
                           "with k or m, at least 1m: about 32m for a million "
                           "buyers", &value[1]);
        return NGX_CONF_ERROR;
    }

    smcf->zone = ngx_shared_memory_add(cf, &name, size,
                                       &ngx_http_speedy_module);
    if (smcf->zone == NULL) {
        return NGX_CONF_ERROR;
    }

    smcf->zone->init = ngx_http_speedy_zone_init;
    smcf->zone->data = smcf;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_speedy_zone_init(ngx_shm_zone_t *zone, void *data)
{
    ngx_slab_pool_t           *shpool;
    ngx_http_speedy_shared_t  *sh;

    shpool = (ngx_slab_pool_t *) zone->shm.addr;

    if (data || zone->shm.exists) {
        return NGX_OK;      /* a reload: what is known goes on being known */
    }

    sh = ngx_slab_calloc(shpool, sizeof(ngx_http_speedy_shared_t));
    if (sh == NULL) {
        return NGX_ERROR;
    }

    if (RAND_bytes(sh->secret, sizeof(sh->secret)) != 1) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                      "speedy: no random numbers for zone \"%V\"",
                      &zone->shm.name);
        return NGX_ERROR;
    }

    shpool->data = sh;

    /* a set that does not fit is told once, by us */

    shpool->log_nomem = 0;

    return NGX_OK;
}


void
ngx_http_speedy_zone_init_worker(ngx_shm_zone_t *zone)
{
    ngx_uint_t                 i;
    ngx_http_speedy_gauges_t  *g;
    static ngx_connection_t    dummy;

    ngx_http_speedy_shpool = (ngx_slab_pool_t *) zone->shm.addr;
    ngx_http_speedy_shared = ngx_http_speedy_shpool->data;

    ngx_shmtx_lock(&ngx_http_speedy_shpool->mutex);

    for (i = 0; i < NGX_HTTP_SPEEDY_WORKERS; i++) {
        g = &ngx_http_speedy_shared->workers[i];

        if (g->pid && kill(g->pid, 0) == -1 && ngx_errno == NGX_ESRCH) {
            g->pid = 0;     /* it was killed: it counts nothing any more */
        }

        if (g->pid == 0 && ngx_http_speedy_mine == NULL) {
            ngx_memzero(g, sizeof(ngx_http_speedy_gauges_t));
            g->pid = ngx_pid;
            ngx_http_speedy_mine = g;
        }
    }

    ngx_shmtx_unlock(&ngx_http_speedy_shpool->mutex);

    dummy.fd = (ngx_socket_t) -1;
    ngx_http_speedy_second.handler = ngx_http_speedy_zone_tick;
    ngx_http_speedy_second.log = ngx_cycle->log;
    ngx_http_speedy_second.data = &dummy;
    ngx_http_speedy_second.cancelable = 1;
    ngx_add_timer(&ngx_http_speedy_second, 1000);
}


void
ngx_http_speedy_zone_exit_worker(void)
{
    if (ngx_http_speedy_second.timer_set) {
        ngx_del_timer(&ngx_http_speedy_second);
    }

    if (ngx_http_speedy_mine) {
        ngx_http_speedy_mine->pid = 0;
        ngx_http_speedy_mine = NULL;
    }
}


static void
ngx_http_speedy_zone_tick(ngx_event_t *ev)
{
    ngx_http_speedy_zone_gauges();

    if (!ngx_exiting) {
        ngx_add_timer(ev, 1000);
    }
}


void
ngx_http_speedy_zone_gauges(void)
{
    ngx_http_speedy_gauges_t  *g = ngx_http_speedy_mine;

    if (g) {
        g->redis_ready = ngx_http_speedy_redis_ready();
        g->redis_waiting = ngx_http_speedy_redis_waiting();
        g->kafka_ready = ngx_http_speedy_kafka_ready();
        g->kafka_waiting = ngx_http_speedy_kafka_waiting();
        g->jobs = ngx_http_speedy_job_count();
        g->sessions_known = ngx_http_speedy_sessions_known();
        g->sessions_ended = ngx_http_speedy_sessions_count();
        g->stock_streams = ngx_http_speedy_stock_streams();
        g->stock_sales = ngx_http_speedy_stock_sales();
    }
}


uint64_t
ngx_http_speedy_zone_hash(const u_char *user, size_t len)
{
    uint64_t  hash;

    hash = ngx_http_speedy_siphash(ngx_http_speedy_shared->secret, user, len);

    return hash ? hash : 1;
}


void
ngx_http_speedy_zone_ask(ngx_http_speedy_ctx_t *ctx,
    ngx_http_speedy_zone_view_t *view)
{
    int64_t                          now;
    uint64_t                         user;
    ngx_uint_t                       i;
    ngx_http_speedy_sale_t          *sale;
    ngx_http_speedy_zone_variant_t  *v;

    view->answer = NGX_HTTP_SPEEDY_ZONE_ASK;
    view->claim.claim = 0;

    user = ngx_http_speedy_zone_hash(ctx->who.user.data,
                                     ctx->who.user.len);

    ngx_shmtx_lock(&ngx_http_speedy_shpool->mutex);

    sale = ngx_http_speedy_zone_find(&ctx->sale);
    if (sale == NULL) {
        goto done;
    }

    now = ngx_http_speedy_now();
    sale->touched = now;

    if (now - sale->claimed >= NGX_HTTP_SPEEDY_CLAIM
        || (sale->claim == 0
            && now - sale->claimed >= (sale->kick ? NGX_HTTP_SPEEDY_KICK
                                                  : NGX_HTTP_SPEEDY_PERIOD)))
    {
        sale->kick = 0;
        sale->claimed = now;
        sale->claim = ++ngx_http_speedy_shared->claims;

        view->claim.sale = sale->id;
        view->claim.claim = sale->claim;
        view->claim.first = sale->log_read;
        view->claim.most = sale->full ? 0 : NGX_HTTP_SPEEDY_ZONE_PAGE;
    }

    if (sale->sent == 0 || now - sale->sent >= NGX_HTTP_SPEEDY_VALID) {
        goto done;
    }

    if (sale->log_len == 0
        && now / 1000 + sale->offset
           < sale->opens_at - NGX_HTTP_SPEEDY_MARGIN)
    {
        view->answer = NGX_HTTP_SPEEDY_ZONE_IS_NOT_OPEN;
        view->now = now / 1000 + sale->offset;
        view->opens_at = sale->opens_at;
        goto done;
    }

    if (sale->full || sale->log_read < sale->log_len) {
        goto done;
    }

    for (i = 0; i < sale->nvariants; i++) {
        v = &sale->variants[i];

        if (v->left == 0
            && ngx_http_speedy_id_equal(&v->variant, &ctx->variant)
            && !ngx_http_speedy_zone_has(sale, user))
        {
            view->answer = NGX_HTTP_SPEEDY_ZONE_IS_SOLD_OUT;
            view->holds = v->holds;
            break;
        }
    }

done:

    ngx_shmtx_unlock(&ngx_http_speedy_shpool->mutex);
}


void
ngx_http_speedy_zone_watch(ngx_http_speedy_id_t *id, ngx_uint_t kick)
{
    int64_t                  now;
    ngx_http_speedy_sale_t  *sale;

    now = ngx_http_speedy_now();

    ngx_shmtx_lock(&ngx_http_speedy_shpool->mutex);

    sale = ngx_http_speedy_zone_find(id);
    if (sale == NULL) {
        sale = ngx_http_speedy_zone_take(id, now);
    }

    /* a fresh picture needs no kick */

    if (sale && kick && now - sale->sent >= NGX_HTTP_SPEEDY_PERIOD) {
        sale->kick = 1;
    }

    ngx_shmtx_unlock(&ngx_http_speedy_shpool->mutex);
}


ngx_int_t
ngx_http_speedy_zone_probed(ngx_http_speedy_claim_t *claim,
    ngx_http_speedy_probed_t *probed)
{
    ngx_int_t                rc;
    ngx_uint_t               i, warn;
    ngx_http_speedy_sale_t  *sale;

    warn = 0;
    rc = NGX_OK;

    ngx_shmtx_lock(&ngx_http_speedy_shpool->mutex);

    sale = ngx_http_speedy_zone_claimed(claim);
    if (sale == NULL) {
        ngx_shmtx_unlock(&ngx_http_speedy_shpool->mutex);
        return NGX_DECLINED;
    }

    sale->writing = 1;

    if (sale->epoch != probed->epoch
        || ngx_memcmp(sale->run_id, probed->run_id, NGX_HTTP_SPEEDY_RUN_ID_LEN)
           != 0
        || probed->log_len < sale->log_read)
    {
        ngx_http_speedy_zone_over(sale);
        ngx_memcpy(sale->run_id, probed->run_id, NGX_HTTP_SPEEDY_RUN_ID_LEN);
        sale->epoch = probed->epoch;
    }

    if (claim->first == sale->log_read && !sale->full) {
        for (i = 0; i < probed->nusers; i++) {
            if (ngx_http_speedy_zone_add(sale, probed->users[i]) != NGX_OK) {
                sale->full = 1;
                warn = 1;
                break;
            }
        }

        sale->log_read += i;
    }

    sale->sent = probed->sent;
    sale->offset = probed->now - probed->sent / 1000;
    sale->opens_at = probed->opens_at;
    sale->log_len = probed->log_len;
    sale->nvariants = ngx_min(probed->nvariants,
                              NGX_HTTP_SPEEDY_ZONE_VARIANTS);
    ngx_memcpy(sale->variants, probed->variants,
               sale->nvariants * sizeof(ngx_http_speedy_zone_variant_t));

    /* each page brings some on, or it was the claim of a set started over */

    if (!sale->full && sale->log_read < sale->log_len
        && (probed->nusers || claim->first != sale->log_read
            || claim->most == 0))
    {
        sale->claimed = ngx_http_speedy_now();
        claim->first = sale->log_read;
        claim->most = NGX_HTTP_SPEEDY_ZONE_PAGE;
        rc = NGX_AGAIN;

    } else {
        sale->claim = 0;
    }

    sale->writing = 0;

    ngx_shmtx_unlock(&ngx_http_speedy_shpool->mutex);

    if (warn) {
        ngx_http_speedy_count(NGX_HTTP_SPEEDY_COUNT_ZONE_FULL);
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "speedy: the buyers of sale \"%*s\" do not fit "
                      "\"speedy_zone\": Redis is asked each time; make the "
                      "zone larger", (size_t) claim->sale.len,
                      claim->sale.data);
    }

    return rc;
}


void
ngx_http_speedy_zone_release(ngx_http_speedy_claim_t *claim,
    ngx_uint_t forget)
{
    ngx_http_speedy_sale_t  *sale;

    ngx_shmtx_lock(&ngx_http_speedy_shpool->mutex);

    sale = ngx_http_speedy_zone_claimed(claim);
    if (sale) {
        sale->claim = 0;

        if (forget) {
            sale->sent = 0;
        }
    }

    ngx_shmtx_unlock(&ngx_http_speedy_shpool->mutex);
}


/* All below: the lock is held. */

static ngx_http_speedy_sale_t *
ngx_http_speedy_zone_find(ngx_http_speedy_id_t *id)
{
    uint64_t                 hash;
    ngx_uint_t               i;
    ngx_http_speedy_sale_t  *sale;

    hash = ngx_http_speedy_zone_hash(id->data, id->len);
    sale = ngx_http_speedy_shared->sales;

    for (i = 0; i < NGX_HTTP_SPEEDY_SALES; i++, sale++) {
        if (sale->used && sale->hash == hash
            && ngx_http_speedy_id_equal(&sale->id, id))
        {
            if (sale->writing) {
                ngx_http_speedy_zone_over(sale);
                sale->writing = 0;
            }

            return sale;
        }
    }

    return NULL;
}


/* A free slot, or that of the sale nobody has asked for longest. */

static ngx_http_speedy_sale_t *
ngx_http_speedy_zone_take(ngx_http_speedy_id_t *id, int64_t now)
{
    ngx_uint_t               i;
    ngx_http_speedy_sale_t  *sale, *oldest;

    oldest = &ngx_http_speedy_shared->sales[0];

    for (i = 0; i < NGX_HTTP_SPEEDY_SALES; i++) {
        sale = &ngx_http_speedy_shared->sales[i];

        if (!sale->used) {
            oldest = sale;
            break;
        }

        if (sale->touched < oldest->touched) {
            oldest = sale;
        }
    }

    if (oldest->used && now - oldest->touched < NGX_HTTP_SPEEDY_IDLE) {
        return NULL;
    }

    oldest->used = 0;
    ngx_http_speedy_zone_over(oldest);

    if (oldest->set) {
        ngx_slab_free_locked(ngx_http_speedy_shpool, oldest->set);
    }

    ngx_memzero(oldest, sizeof(ngx_http_speedy_sale_t));
    oldest->id = *id;
    oldest->hash = ngx_http_speedy_zone_hash(id->data, id->len);
    oldest->touched = now;
    oldest->used = 1;

    return oldest;
}


/* Nothing is known; the set's memory is kept for what comes. */

static void
ngx_http_speedy_zone_over(ngx_http_speedy_sale_t *sale)
{
    sale->sent = 0;
    sale->epoch = 0;
    sale->log_len = 0;
    sale->log_read = 0;
    sale->full = 0;
    sale->nvariants = 0;
    sale->set_used = 0;

    if (sale->set) {
        ngx_memzero(sale->set, sale->set_size * sizeof(uint64_t));
    }
}


static ngx_http_speedy_sale_t *
ngx_http_speedy_zone_claimed(ngx_http_speedy_claim_t *claim)
{
    ngx_http_speedy_sale_t  *sale;

    sale = ngx_http_speedy_zone_find(&claim->sale);

    return (sale && sale->claim == claim->claim) ? sale : NULL;
}


static ngx_uint_t
ngx_http_speedy_zone_has(ngx_http_speedy_sale_t *sale, uint64_t user)
{
    ngx_uint_t  i;

    if (sale->set_used == 0) {
        return 0;
    }

    for (i = user & (sale->set_size - 1);
         sale->set[i];
         i = (i + 1) & (sale->set_size - 1))
    {
        if (sale->set[i] == user) {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_speedy_zone_add(ngx_http_speedy_sale_t *sale, uint64_t user)
{
    ngx_uint_t  i;

    if (sale->set_used * 3 >= sale->set_size * 2
        && ngx_http_speedy_zone_grow(sale) != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = user & (sale->set_size - 1);
         sale->set[i];
         i = (i + 1) & (sale->set_size - 1))
    {
        if (sale->set[i] == user) {
            return NGX_OK;
        }
    }

    sale->set[i] = user;
    sale->set_used++;

    return NGX_OK;
}


static ngx_int_t
ngx_http_speedy_zone_grow(ngx_http_speedy_sale_t *sale)
{
    uint64_t    *fresh;
    ngx_uint_t   i, k, size;

    size = sale->set_size ? sale->set_size * 2 : NGX_HTTP_SPEEDY_SET_FIRST;

    fresh = ngx_slab_calloc_locked(ngx_http_speedy_shpool,
                                   size * sizeof(uint64_t));
    if (fresh == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < sale->set_size; i++) {
        if (sale->set[i] == 0) {
            continue;
        }

        for (k = sale->set[i] & (size - 1); fresh[k]; k = (k + 1) & (size - 1))
        {
            /* void */
        }

        fresh[k] = sale->set[i];
    }

    if (sale->set) {
        ngx_slab_free_locked(ngx_http_speedy_shpool, sale->set);
    }

    sale->set = fresh;
    sale->set_size = size;

    return NGX_OK;
}


void
ngx_http_speedy_count(ngx_http_speedy_counter_e counter)
{
    ngx_http_speedy_count_add(counter, 1);
}


void
ngx_http_speedy_count_add(ngx_http_speedy_counter_e counter, ngx_uint_t n)
{
    if (ngx_http_speedy_shared) {
        (void) ngx_atomic_fetch_add(&ngx_http_speedy_shared->counters[counter],
                                    n);
    }
}


void
ngx_http_speedy_count_code(ngx_http_speedy_code_e code)
{
    if (ngx_http_speedy_shared) {
        (void) ngx_atomic_fetch_add(&ngx_http_speedy_shared->codes[code], 1);
    }
}


ngx_slab_pool_t *
ngx_http_speedy_zone_pool(void)
{
    return ngx_http_speedy_shpool;
}


ngx_http_speedy_ended_t *
ngx_http_speedy_zone_ended(void)
{
    return &ngx_http_speedy_shared->ended;
}


ngx_http_speedy_stocks_t *
ngx_http_speedy_zone_stocks(void)
{
    return &ngx_http_speedy_shared->stocks;
}


ngx_atomic_t *
ngx_http_speedy_zone_codes(void)
{
    return ngx_http_speedy_shared->codes;
}


ngx_atomic_t *
ngx_http_speedy_zone_counters(void)
{
    return ngx_http_speedy_shared->counters;
}


ngx_http_speedy_gauges_t *
ngx_http_speedy_zone_workers(void)
{
    return ngx_http_speedy_shared->workers;
}
