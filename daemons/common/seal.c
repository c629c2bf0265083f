/*
 * AES-256-GCM over OpenSSL's EVP, for wrapped data keys and sealed columns.
 *
 * What both look like: version (1 byte), nonce (12), ciphertext, tag (16).
 * The place where a text belongs is authenticated with it: a word that keeps
 * keys and columns apart, then each part behind its length, so that no two
 * places give the same bytes.
 *
 * A nonce is random: a data key encrypts a few columns now and then, and a
 * master key far fewer than 2^32 data keys.
 */
#include "seal.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "crypto.h"
#include "json.h"
#include "log.h"

#define VERSION 1
#define NONCE 12
#define TAG 16
#define MASTERS_MAX 64
#define MASTER_PREFIX "master-"
#define ID_CHARS "abcdefghijklmnopqrstuvwxyz0123456789-"

struct master {
    char id[SPEEDY_MASTER_ID];
    unsigned char key[SPEEDY_DATA_KEY];
};

/* One piece of what a text is bound to. */
struct part {
    const void *bytes;
    size_t len;
};
#define TEXT(s)                                                                \
    {                                                                          \
        (s), strlen(s)                                                         \
    }

/* Read-only between init and free. */
static struct {
    struct master master[MASTERS_MAX];
    size_t masters;
    const struct master *current;
    unsigned char index[SPEEDY_SECRET_KEY];
} keys;

static const struct master *master_find(const char *id)
{
    for (size_t i = 0; i < keys.masters; i++) {
        if (strcmp(keys.master[i].id, id) == 0)
            return &keys.master[i];
    }
    return NULL;
}

static int master_load(const char *file)
{
    const char *id = file + strlen(MASTER_PREFIX);
    struct master *m = &keys.master[keys.masters];
    size_t len = strlen(id);

    if (len == 0 || len >= SPEEDY_MASTER_ID || strspn(id, ID_CHARS) != len) {
        speedy_log(SPEEDY_ERROR, "a master key's name is malformed",
                   "file=%s/%s remedy=\"master-<id> with an id of 1 to 20 "
                   "of a-z, 0-9 and -, or move the file elsewhere\"",
                   speedy_conf.secrets_directory, file);
        return -1;
    }
    if (keys.masters == MASTERS_MAX) {
        speedy_log(SPEEDY_ERROR, "too many master keys", "most=%d",
                   MASTERS_MAX);
        return -1;
    }
    if (speedy_secret_key(file, m->key) != 0)
        return -1;
    memcpy(m->id, id, len + 1);
    keys.masters++;
    return 0;
}

static int masters_load(void)
{
    DIR *dir = opendir(speedy_conf.secrets_directory);
    struct dirent *entry;
    int rc = 0;

    if (dir == NULL) {
        speedy_log(SPEEDY_ERROR, "the secrets cannot be listed",
                   "directory=%s error=\"%s\"", speedy_conf.secrets_directory,
                   strerror(errno));
        return -1;
    }
    for (errno = 0; (entry = readdir(dir)) != NULL; errno = 0) {
        if (strncmp(entry->d_name, MASTER_PREFIX, strlen(MASTER_PREFIX)) == 0)
            rc |= master_load(entry->d_name);
    }
    if (errno != 0) {
        speedy_log(SPEEDY_ERROR, "the secrets cannot be listed",
                   "directory=%s error=\"%s\"", speedy_conf.secrets_directory,
                   strerror(errno));
        rc = -1;
    }
    closedir(dir);
    return rc;
}

int speedy_seal_init(void)
{
    int rc;

    speedy_seal_free();
    rc = masters_load();
    rc |= speedy_secret_key("blind-index", keys.index);
    keys.current = master_find(speedy_conf.keys_master);
    if (keys.current == NULL) {
        speedy_log(SPEEDY_ERROR, "the master key of [keys] is not usable",
                   "master=\"%s\" file=%s/" MASTER_PREFIX "%s",
                   speedy_conf.keys_master, speedy_conf.secrets_directory,
                   speedy_conf.keys_master);
        rc = -1;
    }
    if (rc != 0)
        speedy_seal_free();
    return rc != 0 ? -1 : 0;
}

void speedy_seal_free(void)
{
    explicit_bzero(&keys, sizeof(keys));
}

const char *speedy_seal_master(void)
{
    return keys.current->id;
}

bool speedy_seal_knows(const char *id)
{
    return master_find(id) != NULL;
}

/* --- AES-256-GCM --- */

/* Feeds a part's length and bytes as additional data. */
static void bind_part(EVP_CIPHER_CTX *ctx, const struct part *p)
{
    unsigned char len[4] = {
        (unsigned char)(p->len >> 24), (unsigned char)(p->len >> 16),
        (unsigned char)(p->len >> 8), (unsigned char)p->len};
    int n;

    speedy_crypto_must(p->len <= INT32_MAX, "length");
    speedy_crypto_must(EVP_CipherUpdate(ctx, NULL, &n, len, sizeof(len)) == 1,
                       "AAD");
    if (p->len > 0)
        speedy_crypto_must(
            EVP_CipherUpdate(ctx, NULL, &n, p->bytes, (int)p->len) == 1, "AAD");
}

static EVP_CIPHER_CTX *cipher_new(int encrypt, const unsigned char *key,
                                  const unsigned char *nonce,
                                  const struct part *place, size_t parts)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

    speedy_crypto_must(ctx != NULL, "EVP_CIPHER_CTX_new");
    speedy_crypto_must(EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, key,
                                         nonce, encrypt) == 1,
                       "EVP_CipherInit_ex");
    for (size_t i = 0; i < parts; i++)
        bind_part(ctx, &place[i]);
    return ctx;
}

/* out holds len + SPEEDY_SEAL_EXTRA. */
static void encrypt(const unsigned char *key, const struct part *place,
                    size_t parts, const void *plain, size_t len, void *out)
{
    unsigned char *to = out, none;
    EVP_CIPHER_CTX *ctx;
    int n = 0;

    speedy_crypto_must(len <= INT32_MAX - SPEEDY_SEAL_EXTRA, "length");
    to[0] = VERSION;
    speedy_random(to + 1, NONCE);
    ctx = cipher_new(1, key, to + 1, place, parts);
    to += 1 + NONCE;
    if (len > 0)
        speedy_crypto_must(EVP_EncryptUpdate(ctx, to, &n, plain, (int)len) == 1,
                           "EVP_EncryptUpdate");
    to += len;
    speedy_crypto_must(EVP_EncryptFinal_ex(ctx, &none, &n) == 1,
                       "EVP_EncryptFinal_ex");
    speedy_crypto_must(
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG, to) == 1, "tag");
    EVP_CIPHER_CTX_free(ctx);
}

/* out holds len - SPEEDY_SEAL_EXTRA. 0, or -1 with nothing left in out. */
static int decrypt(const unsigned char *key, const struct part *place,
                   size_t parts, const void *sealed, size_t len, void *out)
{
    const unsigned char *from = sealed;
    size_t plain_len = len - SPEEDY_SEAL_EXTRA;
    unsigned char tag[TAG], none;
    EVP_CIPHER_CTX *ctx;
    int n = 0, good;

    if (len < SPEEDY_SEAL_EXTRA || len > INT32_MAX || from[0] != VERSION)
        return -1;
    memcpy(tag, from + len - TAG, TAG);
    ctx = cipher_new(0, key, from + 1, place, parts);
    if (plain_len > 0)
        speedy_crypto_must(EVP_DecryptUpdate(ctx, out, &n, from + 1 + NONCE,
                                             (int)plain_len) == 1,
                           "EVP_DecryptUpdate");
    speedy_crypto_must(
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG, tag) == 1, "tag");
    good = EVP_DecryptFinal_ex(ctx, &none, &n) == 1;
    EVP_CIPHER_CTX_free(ctx);
    if (!good && plain_len > 0)
        explicit_bzero(out, plain_len);
    return good ? 0 : -1;
}

/* --- data keys --- */

void speedy_data_key_new(struct speedy_data_key *k, const char *table,
                         const void *row, size_t row_len,
                         unsigned char wrapped[SPEEDY_WRAPPED_KEY])
{
    speedy_random(k->key, sizeof(k->key));
    speedy_data_key_wrap(k, table, row, row_len, wrapped);
}

void speedy_data_key_wrap(const struct speedy_data_key *k, const char *table,
                          const void *row, size_t row_len,
                          unsigned char wrapped[SPEEDY_WRAPPED_KEY])
{
    const struct part place[] = {TEXT("speedy data key"),
                                 TEXT(table),
                                 {row, row_len},
                                 TEXT(keys.current->id)};

    encrypt(keys.current->key, place, 4, k->key, sizeof(k->key), wrapped);
}

int speedy_data_key_open(struct speedy_data_key *k, const char *table,
                         const void *row, size_t row_len, const char *master,
                         const void *wrapped, size_t wrapped_len)
{
    const struct part place[] = {
        TEXT("speedy data key"), TEXT(table), {row, row_len}, TEXT(master)};
    const struct master *m = master_find(master);

    if (m != NULL && wrapped_len == SPEEDY_WRAPPED_KEY &&
        decrypt(m->key, place, 4, wrapped, wrapped_len, k->key) == 0)
        return 0;
    speedy_log(SPEEDY_ALARM, "a data key cannot be opened",
               "table=%s master=\"%s\" why=\"%s\"", table, master,
               m == NULL ? "this master key is not among the secrets"
                         : "altered, or of another row or key");
    return -1;
}

void speedy_data_key_wipe(struct speedy_data_key *k)
{
    explicit_bzero(k, sizeof(*k));
}

/* --- columns --- */

size_t speedy_seal(const struct speedy_data_key *k,
                   const struct speedy_seal_place *at, const void *plain,
                   size_t len, void *out)
{
    const struct part place[] = {TEXT("speedy column"),
                                 TEXT(at->table),
                                 TEXT(at->column),
                                 {at->row, at->row_len}};

    encrypt(k->key, place, 4, plain, len, out);
    return len + SPEEDY_SEAL_EXTRA;
}

long speedy_unseal(const struct speedy_data_key *k,
                   const struct speedy_seal_place *at, const void *sealed,
                   size_t sealed_len, void *out)
{
    const struct part place[] = {TEXT("speedy column"),
                                 TEXT(at->table),
                                 TEXT(at->column),
                                 {at->row, at->row_len}};
    char *text = out;

    if (decrypt(k->key, place, 4, sealed, sealed_len, out) != 0) {
        speedy_log(SPEEDY_ALARM, "a sealed column cannot be opened",
                   "table=%s column=%s", at->table, at->column);
        return -1;
    }
    text[sealed_len - SPEEDY_SEAL_EXTRA] = '\0';
    return (long)(sealed_len - SPEEDY_SEAL_EXTRA);
}

void speedy_blind_index(const char *purpose, const char *text,
                        unsigned char out[SPEEDY_BLIND_INDEX])
{
    struct speedy_buf in = {0};
    unsigned char mac[32];

    /* the NUL keeps purpose and text apart */
    speedy_buf_add(&in, purpose, strlen(purpose) + 1);
    speedy_buf_add(&in, text, strlen(text));
    speedy_hmac_sha256(keys.index, sizeof(keys.index), in.data, in.len, mac);
    memcpy(out, mac, SPEEDY_BLIND_INDEX);
    explicit_bzero(in.data, in.len);
    speedy_buf_free(&in);
}
