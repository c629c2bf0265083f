/*
 * The files of token keys: what each must hold, signatures by the public ones,
 * and those as a JSON Web Key Set (RFC 7517) at speedy_jwks. Files are read
 * once, by `nginx -t` and at each reload. A secret never gets into the set, for
 * it is made of public numbers taken out of a parsed public key.
 *
 * Public keys are kept parsed: libjwt reads the PEM anew for each token, which
 * takes OpenSSL 3 several times as long as the signature itself.
 */

#include "ngx_http_speedy.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>


#define NGX_HTTP_SPEEDY_P256_LEN      32
#define NGX_HTTP_SPEEDY_DER_MAX       72      /* two integers of 33 bytes */
#define NGX_HTTP_SPEEDY_RSA_MIN       2048    /* bits, RFC 7518 section 3.3 */
#define NGX_HTTP_SPEEDY_RSA_MAX       4096
#define NGX_HTTP_SPEEDY_JWK_TEXT_MAX  4096


static char *ngx_http_speedy_jwk_secret(ngx_conf_t *cf, ngx_str_t *file,
    ngx_http_speedy_jwk_t *key);
static char *ngx_http_speedy_jwk_public(ngx_conf_t *cf,
    ngx_http_speedy_main_conf_t *smcf, ngx_http_speedy_jwk_kind_e kind,
    ngx_str_t *kid, ngx_str_t *file, ngx_http_speedy_jwk_t *key);
static char *ngx_http_speedy_jwk_ec(ngx_conf_t *cf, EVP_PKEY *pkey,
    ngx_str_t *file, size_t *signature);
static char *ngx_http_speedy_jwk_rsa(ngx_conf_t *cf, EVP_PKEY *pkey,
    ngx_str_t *file, size_t *signature);
static ngx_int_t ngx_http_speedy_jwk_keep(ngx_conf_t *cf, EVP_PKEY *pkey,
    ngx_http_speedy_jwk_t *key);
static void ngx_http_speedy_jwk_free(void *data);
static size_t ngx_http_speedy_jwk_der(u_char *der, u_char *raw);
static ngx_int_t ngx_http_speedy_jwk_add(ngx_conf_t *cf, ngx_str_t *set,
    ngx_http_speedy_jwk_kind_e kind, ngx_str_t *kid, EVP_PKEY *pkey);
static u_char *ngx_http_speedy_jwk_number(u_char *p, EVP_PKEY *pkey,
    const char *name, size_t len);


static ngx_str_t  ngx_http_speedy_jwks_type = ngx_string("application/json");
static ngx_str_t  ngx_http_speedy_jwks_age =
    ngx_string("public, max-age=300");


char *
ngx_http_speedy_jwk_read(ngx_conf_t *cf, ngx_http_speedy_main_conf_t *smcf,
    ngx_http_speedy_jwk_kind_e kind, ngx_str_t *kid, ngx_str_t *file,
    ngx_http_speedy_jwk_t *key)
{
    if (ngx_http_speedy_conf_read_file(cf, file,
                                       kind == NGX_HTTP_SPEEDY_JWK_SECRET,
                                       &key->text)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (kind == NGX_HTTP_SPEEDY_JWK_SECRET) {
        return ngx_http_speedy_jwk_secret(cf, file, key);
    }

    return ngx_http_speedy_jwk_public(cf, smcf, kind, kid, file, key);
}


static char *
ngx_http_speedy_jwk_secret(ngx_conf_t *cf, ngx_str_t *file,
    ngx_http_speedy_jwk_t *key)
{
    ngx_str_t  *text = &key->text;

    /* a public key as a secret would let anyone sign */

    if (ngx_strstr(text->data, "-----BEGIN") != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" holds a key in PEM form, which is no "
                           "secret: give ES256 or RS256 with it, or for HS256 "
                           "a file of 32 or more random bytes", file);
        return NGX_CONF_ERROR;
    }

    /* one newline at the end is an editor's, as for the daemons */

    if (text->len && text->data[text->len - 1] == LF) {
        text->len--;
    }

    if (text->len < 32) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the key in \"%V\" has %uz bytes: HS256 needs "
                           "32 or more random ones", file, text->len);
        return NGX_CONF_ERROR;
    }

    key->signature = 32;
    key->pkey = NULL;

    return NGX_CONF_OK;
}


static char *
ngx_http_speedy_jwk_public(ngx_conf_t *cf, ngx_http_speedy_main_conf_t *smcf,
    ngx_http_speedy_jwk_kind_e kind, ngx_str_t *kid, ngx_str_t *file,
    ngx_http_speedy_jwk_t *key)
{
    int        type;
    BIO       *bio;
    char      *rv;
    EVP_PKEY  *pkey;

    if (ngx_strstr(key->text.data, "PRIVATE KEY-----") != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" holds a private key, which no gateway may "
                           "have: write its public one, as by \"openssl pkey "
                           "-in KEY -pubout\"", file);
        return NGX_CONF_ERROR;
    }

    pkey = NULL;
    bio = BIO_new_mem_buf(key->text.data, key->text.len);
    if (bio) {
        pkey = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
        BIO_free(bio);
    }

    type = (kind == NGX_HTTP_SPEEDY_JWK_EC) ? EVP_PKEY_EC : EVP_PKEY_RSA;

    if (pkey == NULL || EVP_PKEY_base_id(pkey) != type) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" holds no %s public key in PEM form "
                           "(-----BEGIN PUBLIC KEY-----): give the algorithm "
                           "that its key is for, or the key's own file", file,
                           type == EVP_PKEY_EC ? "EC" : "RSA");
        EVP_PKEY_free(pkey);
        return NGX_CONF_ERROR;
    }

    if (type == EVP_PKEY_EC) {
        rv = ngx_http_speedy_jwk_ec(cf, pkey, file, &key->signature);
    } else {
        rv = ngx_http_speedy_jwk_rsa(cf, pkey, file, &key->signature);
    }

    if (rv == NGX_CONF_OK
        && ngx_http_speedy_jwk_add(cf, &smcf->jwks, kind, kid, pkey) != NGX_OK)
    {
        rv = NGX_CONF_ERROR;
    }

    if (ngx_http_speedy_jwk_keep(cf, pkey, key) != NGX_OK) {
        rv = NGX_CONF_ERROR;
    }

    return rv;
}


/* It goes with the configuration. */

static ngx_int_t
ngx_http_speedy_jwk_keep(ngx_conf_t *cf, EVP_PKEY *pkey,
    ngx_http_speedy_jwk_t *key)
{
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        EVP_PKEY_free(pkey);
        return NGX_ERROR;
    }

    cln->handler = ngx_http_speedy_jwk_free;
    cln->data = pkey;
    key->pkey = pkey;

    return NGX_OK;
}


static void
ngx_http_speedy_jwk_free(void *data)
{
    EVP_PKEY_free(data);
}


ngx_int_t
ngx_http_speedy_jwk_verify(ngx_http_speedy_jwk_t *key, ngx_str_t *token)
{
    u_char      *dot, raw[NGX_HTTP_SPEEDY_RSA_MAX / 8 + 2];
    u_char       der[NGX_HTTP_SPEEDY_DER_MAX];
    size_t       len;
    ngx_str_t    from, signature;
    EVP_MD_CTX  *ctx;
    ngx_uint_t   good;

    for (dot = token->data + token->len - 1; *dot != '.'; dot--) {
        if (dot == token->data) {
            return NGX_DECLINED;
        }
    }

    from.data = dot + 1;
    from.len = token->data + token->len - from.data;
    signature.data = raw;

    if (from.len != (key->signature * 8 + 5) / 6
        || ngx_decode_base64url(&signature, &from) != NGX_OK
        || signature.len != key->signature)
    {
        return NGX_DECLINED;
    }

    len = signature.len;

    if (EVP_PKEY_base_id(key->pkey) == EVP_PKEY_EC) {
        len = ngx_http_speedy_jwk_der(der, raw);
        signature.data = der;
    }

    ctx = EVP_MD_CTX_new();

    good = ctx && len
           && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key->pkey)
              == 1
           && EVP_DigestVerify(ctx, signature.data, len, token->data,
                               dot - token->data)
              == 1;

    EVP_MD_CTX_free(ctx);

    if (!good) {

        /* what is left in the queue would be told as an error of TLS */

        ERR_clear_error();
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* A token has r and s side by side, OpenSSL wants a sequence. 0: no memory. */

static size_t
ngx_http_speedy_jwk_der(u_char *der, u_char *raw)
{
    int         len;
    BIGNUM     *r, *s;
    ECDSA_SIG  *sig;

    len = 0;
    sig = ECDSA_SIG_new();
    r = BN_bin2bn(raw, NGX_HTTP_SPEEDY_P256_LEN, NULL);
    s = BN_bin2bn(raw + NGX_HTTP_SPEEDY_P256_LEN, NGX_HTTP_SPEEDY_P256_LEN,
                  NULL);

    if (sig && r && s && ECDSA_SIG_set0(sig, r, s) == 1) {
        len = i2d_ECDSA_SIG(sig, &der);

    } else {
        BN_free(r);
        BN_free(s);
    }

    ECDSA_SIG_free(sig);

    return len > 0 ? (size_t) len : 0;
}


static char *
ngx_http_speedy_jwk_ec(ngx_conf_t *cf, EVP_PKEY *pkey, ngx_str_t *file,
    size_t *signature)
{
    char    curve[64];
    size_t  len;

    if (EVP_PKEY_get_group_name(pkey, curve, sizeof(curve), &len) != 1) {
        curve[0] = '\0';
    }

    if (ngx_strcmp(curve, "prime256v1") != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" holds a key of the curve \"%s\": ES256 "
                           "needs P-256, as by \"openssl genpkey -algorithm "
                           "EC -pkeyopt ec_paramgen_curve:P-256\"", file,
                           curve);
        return NGX_CONF_ERROR;
    }

    *signature = NGX_HTTP_SPEEDY_P256_LEN * 2;      /* r, then s */

    return NGX_CONF_OK;
}


static char *
ngx_http_speedy_jwk_rsa(ngx_conf_t *cf, EVP_PKEY *pkey, ngx_str_t *file,
    size_t *signature)
{
    int  bits = EVP_PKEY_bits(pkey);

    if (bits < NGX_HTTP_SPEEDY_RSA_MIN || bits > NGX_HTTP_SPEEDY_RSA_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" holds an RSA key of %d bits: RS256 needs "
                           "one of %d to %d", file, bits,
                           NGX_HTTP_SPEEDY_RSA_MIN, NGX_HTTP_SPEEDY_RSA_MAX);
        return NGX_CONF_ERROR;
    }

    *signature = EVP_PKEY_size(pkey);

    return NGX_CONF_OK;
}


/* `kid` was checked: nothing in it needs to be escaped. */

static ngx_int_t
ngx_http_speedy_jwk_add(ngx_conf_t *cf, ngx_str_t *set,
    ngx_http_speedy_jwk_kind_e kind, ngx_str_t *kid, EVP_PKEY *pkey)
{
    u_char  *p, *start;

    start = ngx_pnalloc(cf->pool, set->len + NGX_HTTP_SPEEDY_JWK_TEXT_MAX);
    if (start == NULL) {
        return NGX_ERROR;
    }

    p = start;

    if (set->len) {
        p = ngx_cpymem(p, set->data, set->len);
        *p++ = ',';
    }

    if (kind == NGX_HTTP_SPEEDY_JWK_EC) {
        p = ngx_sprintf(p, "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"%V\","
                        "\"use\":\"sig\",\"alg\":\"ES256\",\"x\":\"", kid);
        p = ngx_http_speedy_jwk_number(p, pkey, OSSL_PKEY_PARAM_EC_PUB_X,
                                       NGX_HTTP_SPEEDY_P256_LEN);
        if (p) {
            p = ngx_cpymem(p, "\",\"y\":\"", sizeof("\",\"y\":\"") - 1);
            p = ngx_http_speedy_jwk_number(p, pkey, OSSL_PKEY_PARAM_EC_PUB_Y,
                                           NGX_HTTP_SPEEDY_P256_LEN);
        }

    } else {
        p = ngx_sprintf(p, "{\"kty\":\"RSA\",\"kid\":\"%V\",\"use\":\"sig\","
                        "\"alg\":\"RS256\",\"n\":\"", kid);
        p = ngx_http_speedy_jwk_number(p, pkey, OSSL_PKEY_PARAM_RSA_N, 0);
        if (p) {
            p = ngx_cpymem(p, "\",\"e\":\"", sizeof("\",\"e\":\"") - 1);
            p = ngx_http_speedy_jwk_number(p, pkey, OSSL_PKEY_PARAM_RSA_E, 0);
        }
    }

    if (p == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the numbers of the key \"%V\" cannot be read", kid);
        return NGX_ERROR;
    }

    *p++ = '"';
    *p++ = '}';

    set->data = start;
    set->len = p - start;

    return NGX_OK;
}


/* Big-endian base64url: of `len` bytes, or with 0 as short as it goes. */

static u_char *
ngx_http_speedy_jwk_number(u_char *p, EVP_PKEY *pkey, const char *name,
    size_t len)
{
    u_char     bytes[NGX_HTTP_SPEEDY_RSA_MAX / 8];
    BIGNUM    *n;
    ngx_str_t  from, to;

    n = NULL;

    if (EVP_PKEY_get_bn_param(pkey, name, &n) != 1) {
        return NULL;
    }

    from.data = bytes;
    from.len = len ? len : (size_t) BN_num_bytes(n);
    to.data = p;

    if (from.len > sizeof(bytes)
        || BN_bn2binpad(n, bytes, (int) from.len) < 0)
    {
        BN_free(n);
        return NULL;
    }

    BN_free(n);
    ngx_encode_base64url(&to, &from);

    return to.data + to.len;
}


ngx_int_t
ngx_http_speedy_jwk_finish(ngx_conf_t *cf, ngx_http_speedy_main_conf_t *smcf)
{
    u_char  *p, *start;

    start = ngx_pnalloc(cf->pool, smcf->jwks.len + sizeof("{\"keys\":[]}\n"));
    if (start == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(start, "{\"keys\":[%V]}\n", &smcf->jwks);

    smcf->jwks.data = start;
    smcf->jwks.len = p - start;

    return NGX_OK;
}


ngx_int_t
ngx_http_speedy_jwks_handler(ngx_http_request_t *r)
{
    ngx_int_t                     rc;
    ngx_http_speedy_main_conf_t  *smcf;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_speedy_header_add(r, "Cache-Control",
                                   &ngx_http_speedy_jwks_age)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    smcf = ngx_http_get_module_main_conf(r, ngx_http_speedy_module);

    return ngx_http_speedy_answer_send(r, NGX_HTTP_OK,
                                       &ngx_http_speedy_jwks_type,
                                       &smcf->jwks);
}
