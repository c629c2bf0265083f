/*
 * Ids, digests, hashes and times: small functions without state.
 */

#include "ngx_http_speedy.h"

#include <openssl/rand.h>
#include <openssl/sha.h>

#include <time.h>


ngx_int_t
ngx_http_speedy_id_set(ngx_http_speedy_id_t *id, const u_char *text,
    size_t len)
{
    u_char  ch;
    size_t  i;

    if (len == 0 || len > SPEEDY_ID_MAX) {
        return NGX_ERROR;
    }

    for (i = 0; i < len; i++) {
        ch = text[i];

        if (!((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z')
              || (ch >= '0' && ch <= '9') || ch == '_' || ch == '-'))
        {
            return NGX_ERROR;
        }
    }

    ngx_memcpy(id->data, text, len);
    id->len = (u_char) len;

    return NGX_OK;
}


ngx_uint_t
ngx_http_speedy_id_equal(const ngx_http_speedy_id_t *a,
    const ngx_http_speedy_id_t *b)
{
    return a->len == b->len && ngx_memcmp(a->data, b->data, a->len) == 0;
}


/* As daemons/shop/event.c makes them; t/ compares both with known values. */

ngx_int_t
ngx_http_speedy_digests(ngx_http_speedy_ctx_t *ctx)
{
    u_char  *p;
    u_char   text[sizeof(SPEEDY_KEY_DIGEST) + SPEEDY_ID_MAX + 1
                  + SPEEDY_IDEMPOTENCY_KEY_MAX + NGX_INT64_LEN];
    u_char   sum[SHA256_DIGEST_LENGTH];

    if (ctx->digests) {
        return NGX_OK;
    }

    if (ctx->key.len == 0 || ctx->key.len > SPEEDY_IDEMPOTENCY_KEY_MAX) {
        return NGX_DECLINED;
    }

    p = ngx_cpymem(text, SPEEDY_KEY_DIGEST, sizeof(SPEEDY_KEY_DIGEST));
    p = ngx_cpymem(p, ctx->who.user.data, ctx->who.user.len);
    *p++ = '\0';
    p = ngx_cpymem(p, ctx->key.data, ctx->key.len);

    if (SHA256(text, p - text, sum) == NULL) {
        return NGX_ERROR;
    }
    ngx_memcpy(ctx->key_digest, sum, SPEEDY_DIGEST_LEN);

    p = ngx_cpymem(text, SPEEDY_BODY_DIGEST, sizeof(SPEEDY_BODY_DIGEST));
    p = ngx_cpymem(p, ctx->variant.data, ctx->variant.len);
    *p++ = '\0';
    p = ngx_sprintf(p, "%ui", ctx->quantity);

    if (SHA256(text, p - text, sum) == NULL) {
        return NGX_ERROR;
    }
    ngx_memcpy(ctx->body_digest, sum, SPEEDY_DIGEST_LEN);

    ctx->digests = 1;

    return NGX_OK;
}


/*
 * OpenSSL's generator costs 1 to 3 microseconds a call, whatever the size:
 * it is asked for many bytes at a time, and what was given out is wiped. Only
 * workers ask, so no two processes share a pool.
 */

ngx_int_t
ngx_http_speedy_random(u_char *p, size_t len)
{
    static u_char  pool[4096];
    static size_t  used = sizeof(pool);

    if (len > sizeof(pool) - used) {
        if (RAND_bytes(pool, sizeof(pool)) != 1) {
            used = sizeof(pool);
            return NGX_ERROR;
        }

        used = 0;
    }

    ngx_memcpy(p, pool + used, len);
    ngx_explicit_memzero(pool + used, len);
    used += len;

    return NGX_OK;
}


ngx_int_t
ngx_http_speedy_uuid(u_char *id)
{
    uint64_t     ms;
    ngx_uint_t   i;
    ngx_time_t  *tp;

    if (ngx_http_speedy_random(id, NGX_HTTP_SPEEDY_ORDER_LEN) != NGX_OK) {
        return NGX_ERROR;
    }

    tp = ngx_timeofday();
    ms = (uint64_t) tp->sec * 1000 + tp->msec;

    for (i = 0; i < 6; i++) {
        id[i] = (u_char) (ms >> (40 - 8 * i));
    }

    id[6] = (id[6] & 0x0f) | 0x70;
    id[8] = (id[8] & 0x3f) | 0x80;

    return NGX_OK;
}


u_char *
ngx_http_speedy_uuid_text(u_char *p, const u_char *id)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_SPEEDY_ORDER_LEN; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *p++ = '-';
        }

        p = ngx_hex_dump(p, (u_char *) &id[i], 1);
    }

    return p;
}


#define ngx_http_speedy_rotate(x, n)  (((x) << (n)) | ((x) >> (64 - (n))))

static ngx_inline void
ngx_http_speedy_sipround(uint64_t *v)
{
    v[0] += v[1];
    v[1] = ngx_http_speedy_rotate(v[1], 13) ^ v[0];
    v[0] = ngx_http_speedy_rotate(v[0], 32);
    v[2] += v[3];
    v[3] = ngx_http_speedy_rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = ngx_http_speedy_rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = ngx_http_speedy_rotate(v[1], 17) ^ v[2];
    v[2] = ngx_http_speedy_rotate(v[2], 32);
}


uint64_t
ngx_http_speedy_siphash(const u_char *key, const u_char *text, size_t len)
{
    size_t    i, whole;
    uint64_t  v[4], k[2], m;

    ngx_memcpy(k, key, sizeof(k));

    v[0] = k[0] ^ 0x736f6d6570736575ULL;
    v[1] = k[1] ^ 0x646f72616e646f6dULL;
    v[2] = k[0] ^ 0x6c7967656e657261ULL;
    v[3] = k[1] ^ 0x7465646279746573ULL;

    whole = len & ~(size_t) 7;

    for (i = 0; i < whole; i += 8) {
        ngx_memcpy(&m, text + i, 8);
        v[3] ^= m;
        ngx_http_speedy_sipround(v);
        ngx_http_speedy_sipround(v);
        v[0] ^= m;
    }

    m = (uint64_t) len << 56;
    for (i = whole; i < len; i++) {
        m |= (uint64_t) text[i] << (8 * (i - whole));
    }

    v[3] ^= m;
    ngx_http_speedy_sipround(v);
    ngx_http_speedy_sipround(v);
    v[0] ^= m;
    v[2] ^= 0xff;

    for (i = 0; i < 4; i++) {
        ngx_http_speedy_sipround(v);
    }

    return v[0] ^ v[1] ^ v[2] ^ v[3];
}


/* Korea has no summer time: local time is UTC + 9 h, as arithmetic. */

u_char *
ngx_http_speedy_time_text(u_char *p, int64_t ms)
{
    ngx_tm_t  tm;

    ngx_gmtime((time_t) (ms / 1000) + 9 * 3600, &tm);

    return ngx_sprintf(p, "%04d-%02d-%02dT%02d:%02d:%02d.%03d+09:00",
                       tm.ngx_tm_year, tm.ngx_tm_mon, tm.ngx_tm_mday,
                       tm.ngx_tm_hour, tm.ngx_tm_min, tm.ngx_tm_sec,
                       (int) (ms % 1000));
}


/*
 * Not nginx's cached time: a worker that was stopped and goes on would judge
 * requests that came meanwhile by a time from before. The zone's answers hang
 * on this.
 */

int64_t
ngx_http_speedy_now(void)
{
    struct timespec  ts;

    if (clock_gettime(CLOCK_BOOTTIME, &ts) == -1) {
        (void) clock_gettime(CLOCK_MONOTONIC, &ts);
    }

    return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


ngx_uint_t
ngx_http_speedy_log_allowed(time_t *kind)
{
    if (*kind == ngx_time()) {
        return 0;
    }

    *kind = ngx_time();

    return 1;
}
