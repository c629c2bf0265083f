/*
 * The slots of live stock in shared memory: for each watched sale the last
 * look of any worker, as text, and whose turn it is to look. A claim is due
 * 100 ms after the last one; that of a worker which died is due after a
 * second. A sale without a slot (all are taken, or its text does not fit) is
 * looked at by each worker for itself.
 *
 * The lock is the zone's; `writing` marks a slot whose writer died: it is
 * started over, and its text is not used again.
 */

#include "ngx_http_speedy_stock.h"


#define NGX_HTTP_SPEEDY_STOCK_CLAIM  1000000
#define NGX_HTTP_SPEEDY_STOCK_IDLE   10000000


static ngx_http_speedy_stock_slot_t *ngx_http_speedy_stock_zone_find(
    ngx_http_speedy_id_t *id);
static ngx_http_speedy_stock_slot_t *ngx_http_speedy_stock_zone_take(
    ngx_http_speedy_id_t *id);
static ngx_uint_t ngx_http_speedy_stock_zone_same(
    ngx_http_speedy_stock_slot_t *slot, ngx_http_speedy_stock_t *stock);
static ngx_int_t ngx_http_speedy_stock_zone_store(
    ngx_http_speedy_stock_slot_t *slot, ngx_http_speedy_stock_t *stock);
static size_t ngx_http_speedy_stock_zone_size(const size_t *len);


ngx_int_t
ngx_http_speedy_stock_zone_read(ngx_http_speedy_id_t *id, uint64_t generation,
    ngx_http_speedy_stock_t *stock, uint64_t *claim)
{
    int64_t                        now;
    ngx_int_t                      rc;
    ngx_slab_pool_t               *pool = ngx_http_speedy_zone_pool();
    ngx_http_speedy_stock_slot_t  *slot;

    rc = NGX_DECLINED;
    now = ngx_http_speedy_now();

    ngx_shmtx_lock(&pool->mutex);

    slot = ngx_http_speedy_stock_zone_find(id);
    if (slot == NULL) {
        goto done;
    }

    slot->touched = now;

    if (claim && (slot->claim == 0
                  ? now - slot->claimed >= NGX_HTTP_SPEEDY_STOCK_PERIOD
                  : now - slot->claimed >= NGX_HTTP_SPEEDY_STOCK_CLAIM))
    {
        slot->claimed = now;
        slot->claim = ++ngx_http_speedy_zone_stocks()->claims;
        *claim = slot->claim;
    }

    rc = NGX_AGAIN;
    stock->sent = slot->sent;
    stock->offset = slot->offset;
    stock->fenced = slot->fenced;

    if (slot->generation != generation && slot->sent) {
        rc = NGX_OK;
        stock->generation = slot->generation;
        ngx_memcpy(stock->len, slot->len, sizeof(slot->len));
        ngx_memcpy(stock->text, slot->text,
                   ngx_http_speedy_stock_zone_size(slot->len));
    }

done:

    ngx_shmtx_unlock(&pool->mutex);

    return rc;
}


void
ngx_http_speedy_stock_zone_publish(ngx_http_speedy_id_t *id,
    ngx_http_speedy_stock_t *stock, ngx_uint_t take)
{
    ngx_slab_pool_t               *pool = ngx_http_speedy_zone_pool();
    ngx_http_speedy_stock_slot_t  *slot;

    stock->generation = 0;

    ngx_shmtx_lock(&pool->mutex);

    slot = ngx_http_speedy_stock_zone_find(id);
    if (slot == NULL && take) {
        slot = ngx_http_speedy_stock_zone_take(id);
    }

    if (slot == NULL) {
        goto done;
    }

    slot->claim = 0;

    if (slot->sent >= stock->sent) {
        goto done;      /* an older look, overtaken */
    }

    slot->writing = 1;

    if (slot->fenced || !ngx_http_speedy_stock_zone_same(slot, stock)) {
        if (ngx_http_speedy_stock_zone_store(slot, stock) != NGX_OK) {
            slot->used = 0;
            slot->writing = 0;
            goto done;
        }

        slot->generation = ++ngx_http_speedy_zone_stocks()->generations;
        slot->fenced = 0;
    }

    slot->sent = stock->sent;
    slot->offset = stock->offset;
    slot->claimed = ngx_max(slot->claimed, stock->sent);
    slot->writing = 0;

    stock->generation = slot->generation;

done:

    ngx_shmtx_unlock(&pool->mutex);
}


ngx_uint_t
ngx_http_speedy_stock_zone_has(ngx_http_speedy_id_t *id)
{
    ngx_slab_pool_t               *pool = ngx_http_speedy_zone_pool();
    ngx_http_speedy_stock_slot_t  *slot;

    ngx_shmtx_lock(&pool->mutex);
    slot = ngx_http_speedy_stock_zone_find(id);
    ngx_shmtx_unlock(&pool->mutex);

    return slot != NULL;
}


void
ngx_http_speedy_stock_zone_fence(ngx_http_speedy_id_t *id, int64_t sent)
{
    ngx_slab_pool_t               *pool = ngx_http_speedy_zone_pool();
    ngx_http_speedy_stock_slot_t  *slot;

    ngx_shmtx_lock(&pool->mutex);

    slot = ngx_http_speedy_stock_zone_find(id);

    if (slot) {
        slot->claim = 0;

        if (slot->sent && slot->sent < sent) {
            if (!slot->fenced) {
                slot->fenced = 1;
                slot->generation =
                    ++ngx_http_speedy_zone_stocks()->generations;
            }

            slot->sent = sent;
        }
    }

    ngx_shmtx_unlock(&pool->mutex);
}


void
ngx_http_speedy_stock_zone_release(ngx_http_speedy_id_t *id, uint64_t claim)
{
    ngx_slab_pool_t               *pool = ngx_http_speedy_zone_pool();
    ngx_http_speedy_stock_slot_t  *slot;

    if (claim == 0) {
        return;
    }

    ngx_shmtx_lock(&pool->mutex);

    slot = ngx_http_speedy_stock_zone_find(id);
    if (slot && slot->claim == claim) {
        slot->claim = 0;
    }

    ngx_shmtx_unlock(&pool->mutex);
}


/* All below: the lock is held. */

static ngx_http_speedy_stock_slot_t *
ngx_http_speedy_stock_zone_find(ngx_http_speedy_id_t *id)
{
    uint64_t                       hash;
    ngx_uint_t                     i;
    ngx_http_speedy_stock_slot_t  *slot;

    hash = ngx_http_speedy_zone_hash(id->data, id->len);
    slot = ngx_http_speedy_zone_stocks()->slots;

    for (i = 0; i < NGX_HTTP_SPEEDY_STOCK_SLOTS; i++, slot++) {
        if (!slot->used || slot->hash != hash
            || !ngx_http_speedy_id_equal(&slot->id, id))
        {
            continue;
        }

        if (slot->writing) {
            slot->text = NULL;
            slot->room = 0;
            slot->sent = 0;
            slot->generation = 0;
            slot->claim = 0;
            ngx_memzero(slot->len, sizeof(slot->len));
            slot->writing = 0;
        }

        return slot;
    }

    return NULL;
}


/* A free slot, or that of the sale nobody has watched for longest. */

static ngx_http_speedy_stock_slot_t *
ngx_http_speedy_stock_zone_take(ngx_http_speedy_id_t *id)
{
    u_char                        *text;
    size_t                         room;
    int64_t                        now;
    ngx_uint_t                     i;
    ngx_http_speedy_stock_slot_t  *slot, *oldest;

    now = ngx_http_speedy_now();
    slot = ngx_http_speedy_zone_stocks()->slots;
    oldest = slot;

    for (i = 0; i < NGX_HTTP_SPEEDY_STOCK_SLOTS; i++, slot++) {
        if (!slot->used) {
            oldest = slot;
            break;
        }

        if (slot->touched < oldest->touched) {
            oldest = slot;
        }
    }

    if (oldest->used && now - oldest->touched < NGX_HTTP_SPEEDY_STOCK_IDLE) {
        return NULL;
    }

    text = oldest->writing ? NULL : oldest->text;
    room = oldest->writing ? 0 : oldest->room;

    oldest->used = 0;
    ngx_memzero(oldest, sizeof(ngx_http_speedy_stock_slot_t));
    oldest->text = text;
    oldest->room = room;
    oldest->id = *id;
    oldest->hash = ngx_http_speedy_zone_hash(id->data, id->len);
    oldest->touched = now;
    oldest->used = 1;

    return oldest;
}


static ngx_uint_t
ngx_http_speedy_stock_zone_same(ngx_http_speedy_stock_slot_t *slot,
    ngx_http_speedy_stock_t *stock)
{
    return slot->sent
           && ngx_memcmp(slot->len, stock->len, sizeof(slot->len)) == 0
           && ngx_memcmp(slot->text, stock->text,
                         ngx_http_speedy_stock_zone_size(slot->len))
              == 0;
}


static ngx_int_t
ngx_http_speedy_stock_zone_store(ngx_http_speedy_stock_slot_t *slot,
    ngx_http_speedy_stock_t *stock)
{
    size_t  size;

    size = ngx_http_speedy_stock_zone_size(stock->len);

    if (slot->room < size) {
        if (slot->text) {
            ngx_slab_free_locked(ngx_http_speedy_zone_pool(), slot->text);
        }

        slot->room = 0;
        slot->text = ngx_slab_alloc_locked(ngx_http_speedy_zone_pool(), size);
        if (slot->text == NULL) {
            return NGX_ERROR;
        }

        slot->room = size;
    }

    ngx_memcpy(slot->text, stock->text, size);
    ngx_memcpy(slot->len, stock->len, sizeof(slot->len));

    return NGX_OK;
}


static size_t
ngx_http_speedy_stock_zone_size(const size_t *len)
{
    return len[0] + len[1] + len[2];
}
