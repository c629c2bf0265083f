/*
 * Tables that exist once: the codes of answers, the counters of the metrics.
 */
#ifndef NGX_HTTP_SPEEDY_CODES_H
#define NGX_HTTP_SPEEDY_CODES_H


/*
 * Every problem answer: NAME, status, code, title. `accepted` and `replayed`
 * are counted with them but are no problems.
 */

#define NGX_HTTP_SPEEDY_CODES(X)                                              \
    X(ACCEPTED, 202, "accepted", "Accepted")                                  \
    X(REPLAYED, 202, "replayed", "Accepted before")                           \
    X(BAD_REQUEST, 400, "bad_request", "Bad request")                         \
    X(INVALID_JSON, 400, "invalid_json", "The body is not valid JSON")        \
    X(INVALID_QUANTITY, 400, "invalid_quantity",                              \
      "The quantity must be a whole number from 1 to the limit of the sale")  \
    X(INVALID_VARIANT, 400, "invalid_variant",                                \
      "The variant must be an id")                                            \
    X(UNKNOWN_FIELD, 400, "unknown_field", "The body has an unknown member")  \
    X(DUPLICATE_FIELD, 400, "duplicate_field",                                \
      "The body has a member twice")                                          \
    X(KEY_MISSING, 400, "idempotency_key_missing",                            \
      "The header Idempotency-Key is required")                               \
    X(KEY_INVALID, 400, "idempotency_key_invalid",                            \
      "Idempotency-Key must be 1 to 255 printable ASCII characters, once")    \
    X(TOKEN_MISSING, 401, "token_missing", "An access token is required")     \
    X(TOKEN_INVALID, 401, "token_invalid", "The access token is not valid")   \
    X(TOKEN_EXPIRED, 401, "token_expired", "The access token has expired")    \
    X(SESSION_ENDED, 401, "session_ended", "The session has ended")           \
    X(FORBIDDEN, 403, "forbidden", "Forbidden")                               \
    X(ROLE_REQUIRED, 403, "role_required",                                    \
      "This needs another role than the token's")                             \
    X(NOT_FOUND, 404, "not_found", "Not found")                               \
    X(SALE_NOT_FOUND, 404, "sale_not_found", "There is no such sale")         \
    X(VARIANT_NOT_FOUND, 404, "variant_not_found",                            \
      "The sale has no such variant")                                         \
    X(METHOD_NOT_ALLOWED, 405, "method_not_allowed",                          \
      "The method is not allowed here")                                       \
    X(SALE_NOT_OPEN, 409, "sale_not_open", "The sale has not opened yet")     \
    X(SALE_CLOSED, 409, "sale_closed", "The sale is closed")                  \
    X(SALE_PAUSED, 409, "sale_paused", "The sale is paused")                  \
    X(SOLD_OUT, 409, "sold_out", "Fewer units are left than asked for")       \
    X(LIMIT_REACHED, 409, "limit_reached",                                    \
      "The limit of one person is reached")                                   \
    X(ORDER_ENDED, 409, "order_ended", "The order of this key has ended")     \
    X(LENGTH_REQUIRED, 411, "length_required", "A body is required")          \
    X(TOO_LARGE, 413, "too_large", "The body is too large")                   \
    X(URI_TOO_LONG, 414, "uri_too_long", "The address is too long")           \
    X(UNSUPPORTED_MEDIA_TYPE, 415, "unsupported_media_type",                  \
      "The body must be application/json")                                    \
    X(KEY_REUSED, 422, "key_reused",                                          \
      "The Idempotency-Key was used with another body")                       \
    X(MISDIRECTED, 421, "misdirected_request",                                \
      "This server does not answer for that host")                            \
    X(TOO_MANY_REQUESTS, 429, "too_many_requests", "Too many requests")       \
    X(HEADERS_TOO_LARGE, 431, "headers_too_large",                            \
      "The headers are too large")                                            \
    X(INTERNAL, 500, "internal_error", "Something went wrong on our side")    \
    X(NOT_IMPLEMENTED, 501, "not_implemented",                                \
      "The server does not understand this request")                          \
    X(IN_DOUBT, 503, "in_doubt",                                              \
      "The outcome is not known: retry with the same Idempotency-Key")        \
    X(SALE_FENCED, 503, "sale_fenced",                                        \
      "The sale is being restored: retry with the same Idempotency-Key")      \
    X(UNAVAILABLE, 503, "unavailable", "Not available: try again")            \
    X(HTTP_VERSION, 505, "http_version", "The version of HTTP is not known")

#define NGX_HTTP_SPEEDY_CODE_ENUM(name, status, code, title)                  \
    NGX_HTTP_SPEEDY_##name,

typedef enum {
    NGX_HTTP_SPEEDY_CODES(NGX_HTTP_SPEEDY_CODE_ENUM)
    NGX_HTTP_SPEEDY_NCODES,
    NGX_HTTP_SPEEDY_CODE_NONE = NGX_HTTP_SPEEDY_NCODES
} ngx_http_speedy_code_e;


/* Counters in the zone: NAME, metric (with labels), help of the metric. */

#define NGX_HTTP_SPEEDY_COUNTERS(X)                                           \
    X(ZONE_SOLD_OUT, "zone_answers_total{answer=\"sold_out\"}",               \
      "Answers given from shared memory")                                     \
    X(ZONE_NOT_OPEN, "zone_answers_total{answer=\"sale_not_open\"}", NULL)    \
    X(ZONE_ASKED, "zone_asked_total", "Purchases that went to Redis")         \
    X(ZONE_PROBES, "zone_probes_total", "Probes sent to Redis")               \
    X(ZONE_FULL, "zone_full_total",                                           \
      "Times that the users of a sale did not fit the zone")                  \
    X(TOKEN_HITS, "token_cache_total{result=\"hit\"}",                        \
      "Look-ups of the token cache")                                          \
    X(TOKEN_MISSES, "token_cache_total{result=\"miss\"}", NULL)               \
    X(SESSIONS_POLLS, "sessions_polls_total",                                 \
      "Good looks at the ended sessions")                                     \
    X(SESSIONS_LOADS, "sessions_loads_total",                                 \
      "Times that their list was read whole")                                 \
    X(STOCK_LOOKS, "stock_looks_total",                                       \
      "Looks at a sale's stock sent to Redis for its watchers")               \
    X(STOCK_READS, "stock_reads_total", "Answers with a sale's stock")        \
    X(STOCK_STREAMS, "stock_streams_total", "Streams of stock begun")         \
    X(STOCK_REFUSED, "stock_refused_total",                                   \
      "Streams refused because of speedy_stock_streams_max")                  \
    X(STOCK_EVENTS, "stock_events_total", "Events sent to streams")           \
    X(STOCK_SKIPPED, "stock_skipped_total",                                   \
      "Changes that a slow reader was not told one by one")                   \
    X(STOCK_DROPPED, "stock_dropped_total", "Streams of readers too slow")    \
    X(REDIS_COMMANDS, "redis_commands_total", "Commands sent to Redis")       \
    X(REDIS_ERRORS, "redis_errors_total", "Error replies of Redis")           \
    X(REDIS_UNKNOWN, "redis_unknown_total",                                   \
      "Commands whose reply never came")                                      \
    X(REDIS_REFUSED, "redis_refused_total",                                   \
      "Commands not sent: no connection, or the queue was full")              \
    X(REDIS_CONNECTS, "redis_connects_total", "Connections to Redis made")    \
    X(REDIS_NOSCRIPT, "redis_noscript_total", "Scripts sent anew")            \
    X(KAFKA_PRODUCED, "kafka_produced_total", "Events given to the producer") \
    X(KAFKA_DELIVERED, "kafka_delivered_total", "Events delivered")           \
    X(KAFKA_FAILED, "kafka_failed_total", "Events with a failed report")      \
    X(KAFKA_REFUSED, "kafka_refused_total",                                   \
      "Events that the producer did not take")                                \
    X(KAFKA_LATE, "kafka_late_total",                                         \
      "Clients that were told in_doubt because the report was late")          \
    X(KAFKA_REBUILDS, "kafka_rebuilds_total", "Producers made anew")          \
    X(ACKS, "acks_total", "Calls of ack.lua")

#define NGX_HTTP_SPEEDY_COUNTER_ENUM(name, metric, help)                      \
    NGX_HTTP_SPEEDY_COUNT_##name,

typedef enum {
    NGX_HTTP_SPEEDY_COUNTERS(NGX_HTTP_SPEEDY_COUNTER_ENUM)
    NGX_HTTP_SPEEDY_NCOUNTERS
} ngx_http_speedy_counter_e;


#endif
