/*
 * Access tokens: the one file that knows libjwt.
 *
 * Before libjwt sees a token its length and alphabet are bounded, it has
 * exactly three parts that are not empty, and its header is byte for byte one
 * that our issuer writes for a configured key. That header picks the key and
 * its one algorithm, so nothing in the token can (no `none`, no other HMAC, no
 * public key used as a secret).
 *
 * The token cache of a worker skips a repeated signature check, never the
 * time check. It is 4-way set-associative: a token's hash under a random key
 * picks the set, and the whole token is compared. That comparison need not
 * take constant time: to reach it, a guess must already have the same 64-bit
 * hash under a key that nobody knows.
 */

#include "ngx_http_speedy.h"

#include <jwt.h>
#include <openssl/rand.h>

#include <sys/mman.h>


#define NGX_HTTP_SPEEDY_JWT_KEYS      2
#define NGX_HTTP_SPEEDY_JWT_MAX       2048    /* libjwt copies it to the stack */
#define NGX_HTTP_SPEEDY_JWT_KEPT      904     /* longest token that is cached */
#define NGX_HTTP_SPEEDY_JWT_WAYS      4


typedef struct {
    ngx_str_t                   kid;
    ngx_http_speedy_jwk_t       key;
    ngx_str_t                   header;     /* base64url, with the dot */
} ngx_http_speedy_jwt_key_t;


typedef struct {
    uint64_t                    hash;       /* 0: free */
    int64_t                     exp;
    int64_t                     not_before; /* the later of iat and nbf */
    ngx_http_speedy_id_t        user;
    ngx_http_speedy_id_t        session;
    u_char                      role;
    uint16_t                    len;
    u_char                      token[NGX_HTTP_SPEEDY_JWT_KEPT];
} ngx_http_speedy_jwt_entry_t;


struct ngx_http_speedy_jwt_s {
    ngx_http_speedy_jwt_key_t   keys[NGX_HTTP_SPEEDY_JWT_KEYS];
    ngx_uint_t                  nkeys;
    ngx_str_t                   issuer;
    ngx_str_t                   audience;
    time_t                      leeway;
    time_t                      max_ttl;
    ngx_uint_t                  cache;      /* entries; 0: off */
};


/* The worker's cache; the configuration stays read-only. */

static struct {
    ngx_http_speedy_jwt_entry_t *entries;
    ngx_uint_t                  sets;       /* a power of two; 0: off */
    u_char                      secret[16];
} ngx_http_speedy_jwt_cache;


static ngx_http_speedy_jwt_t *ngx_http_speedy_jwt_conf(ngx_conf_t *cf,
    void *conf);
static ngx_int_t ngx_http_speedy_jwt_bearer(ngx_str_t *authorization,
    ngx_str_t *token);
static ngx_http_speedy_jwt_key_t *ngx_http_speedy_jwt_front(
    ngx_http_speedy_jwt_t *jwt, ngx_str_t *token);
static ngx_uint_t ngx_http_speedy_jwt_signature_ok(
    ngx_http_speedy_jwt_key_t *k, u_char *text, size_t len);
static ngx_int_t ngx_http_speedy_jwt_verify(ngx_http_speedy_jwt_t *jwt,
    ngx_http_speedy_jwt_key_t *k, ngx_str_t *token,
    ngx_http_speedy_jwt_entry_t *e);
static ngx_int_t ngx_http_speedy_jwt_decode(ngx_http_speedy_jwt_key_t *k,
    ngx_str_t *token, char *text, jwt_t **t);
static ngx_int_t ngx_http_speedy_jwt_claims(ngx_http_speedy_jwt_t *jwt,
    jwt_t *t, ngx_http_speedy_jwt_entry_t *e);
static ngx_int_t ngx_http_speedy_jwt_grant_id(jwt_t *t, const char *name,
    ngx_http_speedy_id_t *id);
static ngx_uint_t ngx_http_speedy_jwt_grant_is(jwt_t *t, const char *name,
    ngx_str_t *value);
static ngx_http_speedy_jwt_entry_t *ngx_http_speedy_jwt_find(ngx_str_t *token,
    uint64_t *hash);
static void ngx_http_speedy_jwt_keep(ngx_http_speedy_jwt_entry_t *e,
    ngx_str_t *token, uint64_t hash);


char *
ngx_http_speedy_jwt_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    u_char                      text[128];
    size_t                      i;
    ngx_str_t                  *value, plain;
    ngx_http_speedy_jwt_t      *jwt;
    ngx_http_speedy_jwt_key_t  *k;
    ngx_http_speedy_jwk_kind_e  kind;

    jwt = ngx_http_speedy_jwt_conf(cf, conf);
    if (jwt == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    if (jwt->nkeys == NGX_HTTP_SPEEDY_JWT_KEYS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "a third \"speedy_jwt_key\": keep the current and "
                           "the previous key, take the oldest away");
        return NGX_CONF_ERROR;
    }

    k = &jwt->keys[jwt->nkeys];
    k->kid = value[1];

    for (i = 0; i < k->kid.len; i++) {
        if (!((k->kid.data[i] >= '0' && k->kid.data[i] <= '9')
              || (k->kid.data[i] >= 'a' && k->kid.data[i] <= 'z')
              || (k->kid.data[i] >= 'A' && k->kid.data[i] <= 'Z')
              || k->kid.data[i] == '-' || k->kid.data[i] == '_'
              || k->kid.data[i] == '.'))
        {
            break;
        }
    }

    if (k->kid.len == 0 || k->kid.len > 40 || i < k->kid.len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the key id \"%V\" must be 1 to 40 of "
                           "[A-Za-z0-9._-]", &k->kid);
        return NGX_CONF_ERROR;
    }

    if (jwt->nkeys == 1 && jwt->keys[0].kid.len == k->kid.len
        && ngx_memcmp(jwt->keys[0].kid.data, k->kid.data, k->kid.len) == 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "two keys with the id \"%V\": give each its own",
                           &k->kid);
        return NGX_CONF_ERROR;
    }

    if (ngx_strcmp(value[2].data, "HS256") == 0) {
        kind = NGX_HTTP_SPEEDY_JWK_SECRET;
    } else if (ngx_strcmp(value[2].data, "ES256") == 0) {
        kind = NGX_HTTP_SPEEDY_JWK_EC;
    } else if (ngx_strcmp(value[2].data, "RS256") == 0) {
        kind = NGX_HTTP_SPEEDY_JWK_RSA;
    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown algorithm \"%V\": give HS256, ES256 or "
                           "RS256", &value[2]);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_speedy_jwk_read(cf, conf, kind, &k->kid, &value[3], &k->key)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    plain.data = text;
    plain.len = ngx_sprintf(text, "{\"alg\":\"%V\",\"typ\":\"JWT\","
                            "\"kid\":\"%V\"}", &value[2], &k->kid) - text;

    k->header.data = ngx_pnalloc(cf->pool,
                                 ngx_base64_encoded_length(plain.len) + 1);
    if (k->header.data == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_encode_base64url(&k->header, &plain);
    k->header.data[k->header.len++] = '.';

    jwt->nkeys++;

    return NGX_CONF_OK;
}


char *
ngx_http_speedy_jwt_param(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    time_t                  seconds;
    ngx_int_t               n;
    ngx_str_t              *value, *text;
    ngx_http_speedy_jwt_t  *jwt;

    jwt = ngx_http_speedy_jwt_conf(cf, conf);
    if (jwt == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[0].data, "speedy_jwt_issuer") == 0
        || ngx_strcmp(value[0].data, "speedy_jwt_audience") == 0)
    {
        text = (value[0].len == sizeof("speedy_jwt_issuer") - 1)
               ? &jwt->issuer : &jwt->audience;

        if (value[1].len == 0) {
            return "must not be empty";
        }

        *text = value[1];

        return NGX_CONF_OK;
    }

    if (ngx_strcmp(value[0].data, "speedy_jwt_cache") == 0) {
        n = ngx_atoi(value[1].data, value[1].len);

        if (n == NGX_ERROR || n > 1048576) {
            return "must be a number of tokens from 0 (off) to 1048576";
        }

        jwt->cache = n;

        return NGX_CONF_OK;
    }

    seconds = ngx_parse_time(&value[1], 1);

    if (ngx_strcmp(value[0].data, "speedy_jwt_leeway") == 0) {
        if (seconds == (time_t) NGX_ERROR || seconds > 300) {
            return "must be a time from 0s to 5m";
        }

        jwt->leeway = seconds;

    } else {
        if (seconds == (time_t) NGX_ERROR || seconds < 1) {
            return "must be a time of 1s or more";
        }

        jwt->max_ttl = seconds;
    }

    return NGX_CONF_OK;
}


static ngx_http_speedy_jwt_t *
ngx_http_speedy_jwt_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_speedy_main_conf_t  *smcf = conf;

    if (smcf->jwt == NULL) {
        smcf->jwt = ngx_pcalloc(cf->pool, sizeof(ngx_http_speedy_jwt_t));

        if (smcf->jwt) {
            ngx_str_set(&smcf->jwt->issuer, "speedy");
            ngx_str_set(&smcf->jwt->audience, "speedy");
            smcf->jwt->leeway = 30;
            smcf->jwt->max_ttl = 900;
            smcf->jwt->cache = 16384;
        }
    }

    return smcf->jwt;
}


ngx_uint_t
ngx_http_speedy_jwt_has_keys(ngx_http_speedy_jwt_t *jwt)
{
    return jwt && jwt->nkeys;
}


ngx_int_t
ngx_http_speedy_jwt_init_worker(ngx_http_speedy_jwt_t *jwt, ngx_log_t *log)
{
    size_t      size;
    void       *p;
    ngx_uint_t  sets;

    if (jwt == NULL || jwt->cache == 0 || jwt->nkeys == 0) {
        return NGX_OK;
    }

    for (sets = 1; sets * NGX_HTTP_SPEEDY_JWT_WAYS < jwt->cache; sets *= 2) {
        /* void */
    }

    if (RAND_bytes(ngx_http_speedy_jwt_cache.secret, 16) != 1) {
        ngx_log_error(NGX_LOG_ALERT, log, 0, "speedy: no random numbers");
        return NGX_ERROR;
    }

    /* Mapped, not allocated: pages that no token needs cost nothing. */

    size = sets * NGX_HTTP_SPEEDY_JWT_WAYS
           * sizeof(ngx_http_speedy_jwt_entry_t);

    p = mmap(NULL, size, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1,
             0);
    if (p == MAP_FAILED) {
        ngx_log_error(NGX_LOG_ERR, log, ngx_errno,
                      "speedy: no memory for the token cache, goes on "
                      "without");
        return NGX_OK;
    }

    ngx_http_speedy_jwt_cache.entries = p;
    ngx_http_speedy_jwt_cache.sets = sets;

    return NGX_OK;
}


ngx_http_speedy_code_e
ngx_http_speedy_jwt_check(ngx_http_speedy_jwt_t *jwt,
    ngx_str_t *authorization, ngx_http_speedy_identity_t *who)
{
    time_t                        now;
    uint64_t                      hash;
    ngx_str_t                     token;
    ngx_http_speedy_jwt_key_t    *k;
    ngx_http_speedy_jwt_entry_t  *e, fresh;

    if (authorization == NULL) {
        return NGX_HTTP_SPEEDY_TOKEN_MISSING;
    }

    if (ngx_http_speedy_jwt_bearer(authorization, &token) != NGX_OK) {
        return NGX_HTTP_SPEEDY_TOKEN_INVALID;
    }

    e = ngx_http_speedy_jwt_find(&token, &hash);

    if (e) {
        ngx_http_speedy_count(NGX_HTTP_SPEEDY_COUNT_TOKEN_HITS);

    } else {
        ngx_http_speedy_count(NGX_HTTP_SPEEDY_COUNT_TOKEN_MISSES);

        k = ngx_http_speedy_jwt_front(jwt, &token);
        if (k == NULL) {
            return NGX_HTTP_SPEEDY_TOKEN_INVALID;
        }

        if (ngx_http_speedy_jwt_verify(jwt, k, &token, &fresh) != NGX_OK) {
            return NGX_HTTP_SPEEDY_TOKEN_INVALID;
        }

        ngx_http_speedy_jwt_keep(&fresh, &token, hash);
        e = &fresh;
    }

    now = ngx_time();

    if (e->exp <= now - jwt->leeway) {
        return NGX_HTTP_SPEEDY_TOKEN_EXPIRED;
    }

    if (e->not_before > now + jwt->leeway) {
        return NGX_HTTP_SPEEDY_TOKEN_INVALID;
    }

    who->user = e->user;
    who->session = e->session;
    who->role = e->role;

    return NGX_HTTP_SPEEDY_CODE_NONE;
}


static ngx_int_t
ngx_http_speedy_jwt_bearer(ngx_str_t *authorization, ngx_str_t *token)
{
    size_t  scheme = sizeof("Bearer ") - 1;

    if (authorization->len <= scheme
        || authorization->len > scheme + NGX_HTTP_SPEEDY_JWT_MAX
        || ngx_strncasecmp(authorization->data, (u_char *) "Bearer ", scheme)
           != 0)
    {
        return NGX_DECLINED;
    }

    token->data = authorization->data + scheme;
    token->len = authorization->len - scheme;

    return NGX_OK;
}


/* The key whose header this token carries, when its form is right. */

static ngx_http_speedy_jwt_key_t *
ngx_http_speedy_jwt_front(ngx_http_speedy_jwt_t *jwt, ngx_str_t *token)
{
    u_char                      ch;
    size_t                      i, part;
    ngx_uint_t                  n, dots;
    ngx_http_speedy_jwt_key_t  *k;

    dots = 0;
    part = 0;

    for (i = 0; i < token->len; i++) {
        ch = token->data[i];

        if (ch == '.') {
            if (part == 0 || ++dots > 2) {
                return NULL;
            }
            part = 0;
            continue;
        }

        if (!((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z')
              || (ch >= '0' && ch <= '9') || ch == '_' || ch == '-'))
        {
            return NULL;
        }

        part++;
    }

    if (dots != 2 || part == 0) {
        return NULL;
    }

    for (n = 0; n < jwt->nkeys; n++) {
        k = &jwt->keys[n];

        if (token->len > k->header.len
            && ngx_memcmp(token->data, k->header.data, k->header.len) == 0
            && ngx_http_speedy_jwt_signature_ok(k, token->data + token->len
                                                   - part, part))
        {
            return k;
        }
    }

    return NULL;
}


/*
 * Of the length that the key's signatures have, and without stray bits in the
 * last character, which libb64 would drop: one signature has one spelling.
 * (An ECDSA signature has a second value, (r, n - s), that is as good: a token
 * is no identity, only its claims are.)
 */

static ngx_uint_t
ngx_http_speedy_jwt_signature_ok(ngx_http_speedy_jwt_key_t *k, u_char *text,
    size_t len)
{
    u_char      *p;
    ngx_uint_t   stray;

    static u_char  alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "abcdefghijklmnopqrstuvwxyz0123456789-_";

    if (len != (k->key.signature * 8 + 5) / 6) {
        return 0;
    }

    p = (u_char *) ngx_strchr(alphabet, text[len - 1]);
    stray = len * 6 - k->key.signature * 8;

    return p && ((ngx_uint_t) (p - alphabet) & ((1 << stray) - 1)) == 0;
}


static ngx_int_t
ngx_http_speedy_jwt_verify(ngx_http_speedy_jwt_t *jwt,
    ngx_http_speedy_jwt_key_t *k, ngx_str_t *token,
    ngx_http_speedy_jwt_entry_t *e)
{
    char       text[NGX_HTTP_SPEEDY_JWT_MAX + 1];
    jwt_t     *t;
    ngx_int_t  rc;

    ngx_memcpy(text, token->data, token->len);
    text[token->len] = '\0';

    t = NULL;
    rc = NGX_DECLINED;

    if (ngx_http_speedy_jwt_decode(k, token, text, &t) == NGX_OK) {
        rc = ngx_http_speedy_jwt_claims(jwt, t, e);
    }

    if (t) {
        jwt_free(t);
    }

    return rc;
}


/*
 * With a secret libjwt checks the signature, and must say so (`alg`). With a
 * public key it was checked before: libjwt is given no key then, and only
 * takes the claims apart.
 */

static ngx_int_t
ngx_http_speedy_jwt_decode(ngx_http_speedy_jwt_key_t *k, ngx_str_t *token,
    char *text, jwt_t **t)
{
    if (k->key.pkey == NULL) {
        if (jwt_decode(t, text, k->key.text.data, k->key.text.len) != 0
            || jwt_get_alg(*t) != JWT_ALG_HS256)
        {
            return NGX_DECLINED;
        }

        return NGX_OK;
    }

    if (ngx_http_speedy_jwk_verify(&k->key, token) != NGX_OK
        || jwt_decode(t, text, NULL, 0) != 0)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_speedy_jwt_claims(ngx_http_speedy_jwt_t *jwt, jwt_t *t,
    ngx_http_speedy_jwt_entry_t *e)
{
    long              iat, nbf;
    const char       *text;
    static ngx_str_t  access = ngx_string("access");

    if (!ngx_http_speedy_jwt_grant_is(t, "iss", &jwt->issuer)
        || !ngx_http_speedy_jwt_grant_is(t, "aud", &jwt->audience)
        || !ngx_http_speedy_jwt_grant_is(t, "typ", &access))
    {
        return NGX_DECLINED;
    }

    if (ngx_http_speedy_jwt_grant_id(t, "sub", &e->user) != NGX_OK
        || ngx_http_speedy_jwt_grant_id(t, "sid", &e->session) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    text = jwt_get_grant(t, "role");
    if (text == NULL) {
        return NGX_DECLINED;
    }

    e->role = (u_char) ngx_http_speedy_role_parse((u_char *) text,
                                                  ngx_strlen(text));
    if (e->role == NGX_HTTP_SPEEDY_ROLE_NONE) {
        return NGX_DECLINED;
    }

    /* -1: absent; 0: of another type */

    e->exp = jwt_get_grant_int(t, "exp");
    iat = jwt_get_grant_int(t, "iat");
    nbf = jwt_get_grant_int(t, "nbf");

    if (e->exp <= 0 || iat <= 0 || nbf == 0
        || e->exp < iat || e->exp - iat > jwt->max_ttl)
    {
        return NGX_DECLINED;
    }

    e->not_before = ngx_max(iat, nbf);

    return NGX_OK;
}


static ngx_int_t
ngx_http_speedy_jwt_grant_id(jwt_t *t, const char *name,
    ngx_http_speedy_id_t *id)
{
    const char  *text = jwt_get_grant(t, name);

    if (text == NULL) {
        return NGX_DECLINED;
    }

    return ngx_http_speedy_id_set(id, (u_char *) text, ngx_strlen(text));
}


static ngx_uint_t
ngx_http_speedy_jwt_grant_is(jwt_t *t, const char *name, ngx_str_t *value)
{
    const char  *text = jwt_get_grant(t, name);

    return text && ngx_strlen(text) == value->len
           && ngx_memcmp(text, value->data, value->len) == 0;
}


static ngx_http_speedy_jwt_entry_t *
ngx_http_speedy_jwt_find(ngx_str_t *token, uint64_t *hash)
{
    ngx_uint_t                    i;
    ngx_http_speedy_jwt_entry_t  *e;

    *hash = 0;

    if (ngx_http_speedy_jwt_cache.sets == 0) {
        return NULL;
    }

    *hash = ngx_http_speedy_siphash(ngx_http_speedy_jwt_cache.secret,
                                    token->data, token->len);
    if (*hash == 0) {
        *hash = 1;
    }

    e = ngx_http_speedy_jwt_cache.entries
        + (*hash & (ngx_http_speedy_jwt_cache.sets - 1))
          * NGX_HTTP_SPEEDY_JWT_WAYS;

    for (i = 0; i < NGX_HTTP_SPEEDY_JWT_WAYS; i++, e++) {
        if (e->hash == *hash && e->len == token->len
            && ngx_memcmp(e->token, token->data, token->len) == 0)
        {
            return e;
        }
    }

    return NULL;
}


/* Into a free place of the set, or that of the token that ends first. */

static void
ngx_http_speedy_jwt_keep(ngx_http_speedy_jwt_entry_t *e, ngx_str_t *token,
    uint64_t hash)
{
    ngx_uint_t                    i;
    ngx_http_speedy_jwt_entry_t  *set, *place;

    if (ngx_http_speedy_jwt_cache.sets == 0
        || token->len > NGX_HTTP_SPEEDY_JWT_KEPT)
    {
        return;
    }

    set = ngx_http_speedy_jwt_cache.entries
          + (hash & (ngx_http_speedy_jwt_cache.sets - 1))
            * NGX_HTTP_SPEEDY_JWT_WAYS;
    place = set;

    for (i = 0; i < NGX_HTTP_SPEEDY_JWT_WAYS; i++) {
        if (set[i].hash == 0) {
            place = &set[i];
            break;
        }

        if (set[i].exp < place->exp) {
            place = &set[i];
        }
    }

    place->exp = e->exp;
    place->not_before = e->not_before;
    place->user = e->user;
    place->session = e->session;
    place->role = e->role;
    place->len = (uint16_t) token->len;
    ngx_memcpy(place->token, token->data, token->len);
    place->hash = hash;
}
