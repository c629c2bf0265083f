/*
 * Names that more than one process must spell alike: Redis keys, topics,
 * limits of identifiers. Plain macros: the nginx module includes this too.
 */
#ifndef SPEEDY_NAMES_H
#define SPEEDY_NAMES_H

/* Redis keys of one sale: prefix, the sale as hash tag, what it is. */
#define SPEEDY_KEY_PREFIX "speedy:{"
#define SPEEDY_KEY_LOADED "}:loaded"
#define SPEEDY_KEY_GATE "}:gate"
#define SPEEDY_KEY_STOCK "}:stock"
#define SPEEDY_KEY_RESV "}:resv"
#define SPEEDY_KEY_USER "}:user"
#define SPEEDY_KEY_PEND "}:pend"
#define SPEEDY_KEY_LOG "}:log"
#define SPEEDY_KEY_ADJ "}:adj"
#define SPEEDY_KEY_STAGE "}:stage:" /* + nonce + ":resv" | ":user" | ":log" */

/*
 * Hash: sale id → live | archived. Its field `:complete` holds the run_id of
 * the Redis into which stockd wrote every sale; without it an absent sale
 * proves nothing.
 */
#define SPEEDY_KEY_SALES "speedy:sales"
#define SPEEDY_SALES_COMPLETE ":complete"
#define SPEEDY_SALE_LIVE "live"
#define SPEEDY_SALE_ARCHIVED "archived"

/*
 * Sessions that ended while an access token of theirs may still live. Zset:
 * session id → Unix ms until which. `loaded`: the run_id of the Redis into
 * which userd wrote all of them. `version` changes with each change.
 */
#define SPEEDY_KEY_SESSIONS_ENDED "speedy:sessions:ended"
#define SPEEDY_KEY_SESSIONS_LOADED "speedy:sessions:loaded"
#define SPEEDY_KEY_SESSIONS_VERSION "speedy:sessions:version"

#define SPEEDY_TOPIC_ORDERS "speedy.orders"

/* Users, sales, variants, products: 1..40 of [A-Za-z0-9_-]. */
#define SPEEDY_ID_MAX 40
/* Idempotency-Key: 1..255 of printable ASCII (0x21..0x7e). */
#define SPEEDY_IDEMPOTENCY_KEY_MAX 255

/* Digests: the first 16 bytes of SHA-256 over these and NUL-separated parts. */
#define SPEEDY_DIGEST_LEN 16
#define SPEEDY_KEY_DIGEST "speedy-key"   /* \0 user \0 idempotency key */
#define SPEEDY_BODY_DIGEST "speedy-body" /* \0 variant \0 quantity */

#define SPEEDY_CURRENCY "KRW"

#endif
