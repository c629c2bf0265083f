/*
 * Personal data at rest: envelope encryption with AES-256-GCM.
 *
 * A *data key* (256 random bits, one a user, a verification or another owner
 * row) encrypts columns; it is stored wrapped by a *master key*, which has an
 * id (1-20 of [a-z0-9-]) and lives in <secrets>/master-<id>, 64 hex digits.
 * Every such file is loaded; `[keys] master` of speedy.conf names the one
 * that wraps new data keys. Dropping a wrapped data key makes all that it
 * encrypted unreadable for good.
 *
 * Each ciphertext is bound to its place by additional data: table, column and
 * row id; a wrapped key to table, row id and master key id. Nonces are 96
 * random bits. (A column moved between rows, a key given to another owner:
 * refused.) A *blind index* is a keyed digest for look-ups by equality
 * (<secrets>/blind-index). All functions are safe on any thread after init.
 */
#ifndef SPEEDY_SEAL_H
#define SPEEDY_SEAL_H

#include <stdbool.h>
#include <stddef.h>

#define SPEEDY_DATA_KEY 32
#define SPEEDY_WRAPPED_KEY 61 /* version, nonce, ciphertext, tag */
#define SPEEDY_MASTER_ID 21   /* with its NUL */
#define SPEEDY_SEAL_EXTRA 29  /* what sealing adds to the plain length */
#define SPEEDY_BLIND_INDEX 16

struct speedy_data_key {
    unsigned char key[SPEEDY_DATA_KEY];
};

/* Where a sealed column stands; row is its id as bytes. */
struct speedy_seal_place {
    const char *table, *column;
    const void *row;
    size_t row_len;
};

/*
 * Loads the keys from <secrets>. 0, or -1 after logging what is missing,
 * readable by others, or malformed.
 */
int speedy_seal_init(void);
/* Wipes them. */
void speedy_seal_free(void);

/* The id of the master key that wraps new data keys. */
const char *speedy_seal_master(void);
/* Whether the master key of this id was loaded. */
bool speedy_seal_knows(const char *id);

/* A new random data key, for this owner row, wrapped by the current master
 * key. */
void speedy_data_key_new(struct speedy_data_key *k, const char *table,
                         const void *row, size_t row_len,
                         unsigned char wrapped[SPEEDY_WRAPPED_KEY]);
/*
 * Unwraps. 0; -1 when the master key is not here, or the bytes are not what
 * this row was given (logged with table and master id).
 */
int speedy_data_key_open(struct speedy_data_key *k, const char *table,
                         const void *row, size_t row_len, const char *master,
                         const void *wrapped, size_t wrapped_len);
/* Wraps an open key by the current master key: rotation. */
void speedy_data_key_wrap(const struct speedy_data_key *k, const char *table,
                          const void *row, size_t row_len,
                          unsigned char wrapped[SPEEDY_WRAPPED_KEY]);
void speedy_data_key_wipe(struct speedy_data_key *k);

/* out holds len + SPEEDY_SEAL_EXTRA; returns that length. */
size_t speedy_seal(const struct speedy_data_key *k,
                   const struct speedy_seal_place *at, const void *plain,
                   size_t len, void *out);
/*
 * out holds sealed_len - SPEEDY_SEAL_EXTRA + 1 and is NUL-ended (one byte at
 * the least). Length of the plain text, or -1 (logged with table and column):
 * altered, of another place, or of another key; out holds nothing of it then.
 */
long speedy_unseal(const struct speedy_data_key *k,
                   const struct speedy_seal_place *at, const void *sealed,
                   size_t sealed_len, void *out);

/* Keyed digest of a normalised text; purpose keeps indexes apart. */
void speedy_blind_index(const char *purpose, const char *text,
                        unsigned char out[SPEEDY_BLIND_INDEX]);

#endif
