/*
 * The private header of ngx_http_speedy_module. One worker is one thread:
 * unless a comment says so, every function here is called on it, and nothing
 * is called back from another thread.
 *
 *   conf      directives → configuration, read-only once workers run
 *   auth      access phase: token → user, role, session, or 401 / 403
 *   jwt       the token itself;  jwk  its public keys;  sessions  ended ones
 *   purchase  content handler: checks, zone, then a job
 *   job       reserve → produce → ack, apart from the request
 *   reserve, ack   what a job asks of Redis
 *   redis     one pipelined connection a worker;  kafka  one producer a worker
 *   zone      memory shared by the workers: sales, counters, workers' gauges
 *   probe     keeps the zone's picture of a sale fresh
 *   stock…    live stock, for those who watch a sale
 */
#ifndef NGX_HTTP_SPEEDY_H
#define NGX_HTTP_SPEEDY_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>

#include <names.h>

#include "ngx_http_speedy_codes.h"


#define NGX_HTTP_SPEEDY_ORDER_LEN      16
#define NGX_HTTP_SPEEDY_UUID_LEN       36
#define NGX_HTTP_SPEEDY_RUN_ID_LEN     40
#define NGX_HTTP_SPEEDY_TIME_LEN       29   /* 2026-01-31T14:00:00.000+09:00 */
#define NGX_HTTP_SPEEDY_BODY_MAX       4096
#define NGX_HTTP_SPEEDY_QUANTITY_MAX   1000000


/* An id of 1..40 of [A-Za-z0-9_-], by value: no lifetime to think of. */

typedef struct {
    u_char                      data[SPEEDY_ID_MAX];
    u_char                      len;
} ngx_http_speedy_id_t;


/* Roles, in order: each staff role may do what those before it may. */

typedef enum {
    NGX_HTTP_SPEEDY_ROLE_NONE = 0,
    NGX_HTTP_SPEEDY_ROLE_USER,
    NGX_HTTP_SPEEDY_ROLE_VIEWER,
    NGX_HTTP_SPEEDY_ROLE_CS,
    NGX_HTTP_SPEEDY_ROLE_OPERATOR,
    NGX_HTTP_SPEEDY_ROLE_OWNER
} ngx_http_speedy_role_e;


typedef struct ngx_http_speedy_jwt_s  ngx_http_speedy_jwt_t;
typedef struct ngx_http_speedy_job_s  ngx_http_speedy_job_t;


/* Where a directive stands, for errors found after the block was read. */

typedef struct {
    u_char                     *file;
    ngx_uint_t                  line;
} ngx_http_speedy_place_t;


typedef struct ngx_http_speedy_loc_conf_s {
    ngx_uint_t                  auth;           /* ngx_http_speedy_role_e */
    ngx_str_t                   archive;        /* @name, or empty */
    ngx_flag_t                  purchase;
    ngx_http_complex_value_t   *retry_after;    /* of speedy_problem */
} ngx_http_speedy_loc_conf_t;


typedef struct {
    ngx_uint_t                  auth;           /* it stands somewhere here */
} ngx_http_speedy_srv_conf_t;


typedef struct {
    ngx_http_speedy_place_t     place;
    ngx_http_speedy_loc_conf_t *slcf;
    ngx_http_core_srv_conf_t   *cscf;
} ngx_http_speedy_handler_t;


typedef struct {
    ngx_shm_zone_t             *zone;

    ngx_url_t                  *redis;          /* NULL: not configured */
    ngx_str_t                   redis_address;  /* IP or path, NUL ended */
    ngx_uint_t                  redis_port;     /* 0: unix socket */
    ngx_str_t                   redis_user;
    ngx_str_t                   redis_password;
    ngx_msec_t                  redis_connect_timeout;
    ngx_msec_t                  redis_timeout;
    ngx_uint_t                  redis_queue;

    void                       *kafka_conf;     /* rd_kafka_conf_t */
    ngx_str_t                   kafka_brokers;
    ngx_str_t                   kafka_topic;
    ngx_uint_t                  kafka_queue;
    ngx_msec_t                  kafka_timeout;
    ngx_msec_t                  kafka_message_timeout;

    ngx_http_speedy_jwt_t      *jwt;
    ngx_str_t                   jwks;           /* what speedy_jwks answers */

    ngx_uint_t                  stock_streams_max; /* 0: by connections */
    ngx_http_speedy_place_t     stock_place;    /* first `speedy_stock…` */

    ngx_msec_t                  sessions;       /* 0: off */
    ngx_msec_t                  sessions_max_age;
    ngx_http_speedy_place_t     sessions_place;

    ngx_array_t                 purchases;      /* ngx_http_speedy_handler_t */
    ngx_http_speedy_place_t     auth_place;     /* first `speedy_auth` not off */
    ngx_http_speedy_place_t     status_place;   /* first `speedy_status` */
    ngx_int_t                   request_id;     /* index of $request_id */
} ngx_http_speedy_main_conf_t;


/* Whom a good token names. */

typedef struct {
    ngx_http_speedy_id_t        user;
    ngx_http_speedy_id_t        session;        /* `sid`: the family of tokens */
    ngx_uint_t                  role;
} ngx_http_speedy_identity_t;


/*
 * What the module knows of a request. Dies with r->pool; found again after an
 * internal redirect has cleared r->ctx.
 */

typedef struct {
    ngx_http_speedy_identity_t  who;            /* where speedy_auth is on */
    ngx_http_speedy_id_t        bearer;         /* for limits, anywhere */
    ngx_http_speedy_id_t        sale;
    ngx_http_speedy_id_t        variant;
    ngx_uint_t                  quantity;
    ngx_str_t                   key;            /* Idempotency-Key */
    u_char                      key_digest[SPEEDY_DIGEST_LEN];
    u_char                      body_digest[SPEEDY_DIGEST_LEN];
    u_char                      order_text[NGX_HTTP_SPEEDY_UUID_LEN];
    ngx_http_speedy_code_e      code;           /* of the answer */
    ngx_http_speedy_code_e      token;          /* CODE_NONE: it is good */
    ngx_http_speedy_job_t      *job;
    unsigned                    authenticated:1; /* `token` was judged */
    unsigned                    bearer_known:1;
    unsigned                    digests:1;
    unsigned                    order:1;
} ngx_http_speedy_ctx_t;


extern ngx_module_t  ngx_http_speedy_module;


/* conf.c */

extern ngx_command_t  ngx_http_speedy_commands[];

void *ngx_http_speedy_create_main_conf(ngx_conf_t *cf);
void *ngx_http_speedy_create_srv_conf(ngx_conf_t *cf);
void *ngx_http_speedy_create_loc_conf(ngx_conf_t *cf);
char *ngx_http_speedy_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);

/* Every check that needs the whole configuration; logs file and line. */
ngx_int_t ngx_http_speedy_conf_check(ngx_conf_t *cf);

void ngx_http_speedy_conf_place(ngx_conf_t *cf,
    ngx_http_speedy_place_t *place);
char *ngx_http_speedy_conf_msec(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * Reads a secret's file into cf->pool. A file that others than its owner may
 * read is refused when `secret` is set.
 */
char *ngx_http_speedy_conf_read_file(ngx_conf_t *cf, ngx_str_t *name,
    ngx_uint_t secret, ngx_str_t *text);


/* auth_conf.c */

char *ngx_http_speedy_conf_auth(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_speedy_conf_sessions(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_speedy_conf_jwks(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_speedy_conf_problem(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_speedy_conf_check_auth(ngx_conf_t *cf,
    ngx_http_speedy_main_conf_t *smcf);


/* auth.c */

ngx_int_t ngx_http_speedy_access_handler(ngx_http_request_t *r);

/*
 * The context with its token judged; NULL: no memory. Only in a location with
 * speedy_auth.
 */
ngx_http_speedy_ctx_t *ngx_http_speedy_authenticate(ngx_http_request_t *r);

/*
 * The context with `bearer` filled in: the user of a good token wherever it
 * was sent, for limits only. NULL: no memory.
 */
ngx_http_speedy_ctx_t *ngx_http_speedy_bearer(ngx_http_request_t *r);

/* NULL when the request has none yet, or when there is no memory (create). */
ngx_http_speedy_ctx_t *ngx_http_speedy_ctx_get(ngx_http_request_t *r);
ngx_http_speedy_ctx_t *ngx_http_speedy_ctx_create(ngx_http_request_t *r);

/* "" for ROLE_NONE. */
const ngx_str_t *ngx_http_speedy_role_name(ngx_uint_t role);
ngx_uint_t ngx_http_speedy_role_parse(const u_char *text, size_t len);


/* jwt.c */

/* Adds `kid alg file`; returns NGX_CONF_OK or logs and NGX_CONF_ERROR. */
char *ngx_http_speedy_jwt_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_speedy_jwt_param(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_uint_t ngx_http_speedy_jwt_has_keys(ngx_http_speedy_jwt_t *jwt);

/* The worker's token cache. NGX_ERROR: no memory. */
ngx_int_t ngx_http_speedy_jwt_init_worker(ngx_http_speedy_jwt_t *jwt,
    ngx_log_t *log);

/* Fills `who` only with CODE_NONE; else one of the TOKEN_… codes. */
ngx_http_speedy_code_e ngx_http_speedy_jwt_check(ngx_http_speedy_jwt_t *jwt,
    ngx_str_t *authorization, ngx_http_speedy_identity_t *who);


/* jwk.c */

typedef enum {
    NGX_HTTP_SPEEDY_JWK_SECRET = 0,     /* HS256 */
    NGX_HTTP_SPEEDY_JWK_EC,             /* ES256 */
    NGX_HTTP_SPEEDY_JWK_RSA             /* RS256 */
} ngx_http_speedy_jwk_kind_e;

typedef struct {
    ngx_str_t                   text;       /* the file */
    size_t                      signature;  /* bytes of a signature */
    void                       *pkey;       /* EVP_PKEY; NULL: a secret */
} ngx_http_speedy_jwk_t;

/*
 * Reads a key's file, refuses what is no key of this kind with line and
 * remedy, and adds a public one to smcf->jwks.
 */
char *ngx_http_speedy_jwk_read(ngx_conf_t *cf,
    ngx_http_speedy_main_conf_t *smcf, ngx_http_speedy_jwk_kind_e kind,
    ngx_str_t *kid, ngx_str_t *file, ngx_http_speedy_jwk_t *key);

/* NGX_OK: the signature of this token is by this public key. */
ngx_int_t ngx_http_speedy_jwk_verify(ngx_http_speedy_jwk_t *key,
    ngx_str_t *token);

/* Ends the set that jwk_read began. */
ngx_int_t ngx_http_speedy_jwk_finish(ngx_conf_t *cf,
    ngx_http_speedy_main_conf_t *smcf);

ngx_int_t ngx_http_speedy_jwks_handler(ngx_http_request_t *r);


/* sessions.c */

/* The set that a fresh worker begins with; in the zone. */
typedef struct {
    int64_t                     checked;    /* ngx_http_speedy_now; 0: never */
    int64_t                     listed;     /* when `hashes` were asked for */
    ngx_uint_t                  writing;    /* its writer died: nothing known */
    ngx_uint_t                  n;
    ngx_uint_t                  room;
    uint64_t                   *hashes;
} ngx_http_speedy_ended_t;

ngx_int_t ngx_http_speedy_sessions_init(ngx_cycle_t *cycle,
    ngx_http_speedy_main_conf_t *smcf);
void ngx_http_speedy_sessions_exit(void);

/* CODE_NONE, SESSION_ENDED, or UNAVAILABLE: it is not known which ended. */
ngx_http_speedy_code_e ngx_http_speedy_sessions_check(
    ngx_http_speedy_id_t *session);

/* From redis.c, when its connection became ready: look now. */
void ngx_http_speedy_sessions_connected(void);

/* For the gauges: whether the set may be used, and its size. */
ngx_uint_t ngx_http_speedy_sessions_known(void);
ngx_uint_t ngx_http_speedy_sessions_count(void);


/* problem.c */

typedef struct {
    ngx_str_t                   extra;          /* `,"name":value…` or empty */
    ngx_uint_t                  retry_after;    /* seconds; 0: no header */
    ngx_str_t                   allow;          /* 405 */
} ngx_http_speedy_problem_t;

/*
 * Sends a problem answer; `p` may be NULL. The result is for
 * ngx_http_finalize_request.
 */
ngx_int_t ngx_http_speedy_problem_send(ngx_http_request_t *r,
    ngx_http_speedy_code_e code, ngx_http_speedy_problem_t *p);

/* Header and one buffer; `body` must live as long as r->pool. */
ngx_int_t ngx_http_speedy_answer_send(ngx_http_request_t *r,
    ngx_uint_t status, ngx_str_t *type, ngx_str_t *body);

ngx_int_t ngx_http_speedy_header_add(ngx_http_request_t *r, const char *name,
    ngx_str_t *value);

/* speedy_problem: what nginx itself refuses, told as everything else is. */
ngx_int_t ngx_http_speedy_problem_handler(ngx_http_request_t *r);

const char *ngx_http_speedy_code_text(ngx_http_speedy_code_e code);
void ngx_http_speedy_request_id(ngx_http_request_t *r, ngx_str_t *id);


/* body.c */

/*
 * Reads exactly {"variant": id, "quantity": n} into ctx. CODE_NONE, or the
 * problem's code with `extra` (from r->pool) naming the member.
 */
ngx_http_speedy_code_e ngx_http_speedy_body_parse(ngx_http_request_t *r,
    u_char *text, size_t len, ngx_http_speedy_ctx_t *ctx, ngx_str_t *extra);


/* digest.c */

ngx_int_t ngx_http_speedy_id_set(ngx_http_speedy_id_t *id, const u_char *text,
    size_t len);
ngx_uint_t ngx_http_speedy_id_equal(const ngx_http_speedy_id_t *a,
    const ngx_http_speedy_id_t *b);

ngx_int_t ngx_http_speedy_digests(ngx_http_speedy_ctx_t *ctx);

/* Random bytes, at most 4096, in a worker. NGX_ERROR: there are none. */
ngx_int_t ngx_http_speedy_random(u_char *p, size_t len);

/* UUIDv7 of 16 bytes. NGX_ERROR: no random numbers. */
ngx_int_t ngx_http_speedy_uuid(u_char *id);
u_char *ngx_http_speedy_uuid_text(u_char *p, const u_char *id);

/* SipHash-2-4 with a key of 16 bytes. */
uint64_t ngx_http_speedy_siphash(const u_char *key, const u_char *text,
    size_t len);

/* RFC 3339 with milliseconds at +09:00. */
u_char *ngx_http_speedy_time_text(u_char *p, int64_t ms);

/* Microseconds that also count while the machine was suspended. */
int64_t ngx_http_speedy_now(void);

/* At most one line a second of each kind; `kind` is a static of the caller. */
ngx_uint_t ngx_http_speedy_log_allowed(time_t *kind);


/* redis.c */

#include <hiredis/hiredis.h>

typedef enum {
    NGX_HTTP_SPEEDY_SCRIPT_RESERVE = 0,
    NGX_HTTP_SPEEDY_SCRIPT_ACK,
    NGX_HTTP_SPEEDY_SCRIPT_PROBE,
    NGX_HTTP_SPEEDY_SCRIPT_ENDED,
    NGX_HTTP_SPEEDY_NSCRIPTS
} ngx_http_speedy_script_e;

/*
 * Called exactly once for each command that was sent. `reply` is NULL when
 * the outcome is unknown; it dies with the call. May be called inside
 * ngx_http_speedy_redis_…: store the result, post an event, do no more.
 */
typedef void (*ngx_http_speedy_reply_pt)(void *data, redisReply *reply);

/* Keys and arguments of one call: ack.lua for 250 orders. */
#define NGX_HTTP_SPEEDY_ARGS_MAX  512
#define NGX_HTTP_SPEEDY_KEY_LEN                                               \
    (sizeof(SPEEDY_KEY_PREFIX) + SPEEDY_ID_MAX + sizeof(SPEEDY_KEY_LOADED))

ngx_int_t ngx_http_speedy_redis_init(ngx_cycle_t *cycle,
    ngx_http_speedy_main_conf_t *smcf);
void ngx_http_speedy_redis_exit(void);

ngx_uint_t ngx_http_speedy_redis_ready(void);
ngx_uint_t ngx_http_speedy_redis_waiting(void);

/* The worker's first attempt to connect is under way. */
ngx_uint_t ngx_http_speedy_redis_starting(void);

/* The run_id read on this connection; valid while it is ready. */
const u_char *ngx_http_speedy_redis_run_id(void);

/* A key of `sale` into `p`, of KEY_LEN bytes; returns its length. */
size_t ngx_http_speedy_redis_key(u_char *p, const ngx_http_speedy_id_t *sale,
    const char *what);

/*
 * EVALSHA, or EVAL with the text when `text` is set (after NOSCRIPT). `argv`
 * holds keys, then arguments. NGX_OK: sent; NGX_DECLINED: not sent.
 */
ngx_int_t ngx_http_speedy_redis_script(ngx_http_speedy_script_e script,
    ngx_uint_t text, ngx_uint_t nkeys, ngx_uint_t argc, const char **argv,
    const size_t *len, ngx_http_speedy_reply_pt handler, void *data);
ngx_int_t ngx_http_speedy_redis_command(ngx_uint_t argc, const char **argv,
    const size_t *len, ngx_http_speedy_reply_pt handler, void *data);

ngx_uint_t ngx_http_speedy_redis_noscript(redisReply *reply);

/* Counts and logs (seldom) an error reply. */
void ngx_http_speedy_redis_error(redisReply *reply, const char *what);

/* Readers of replies: an integer or a decimal text; -1 when neither. */
int64_t ngx_http_speedy_reply_number(redisReply *reply);
ngx_uint_t ngx_http_speedy_reply_is(redisReply *reply, const char *text);


/* redis_event.c */

struct redisAsyncContext;

/* Puts the context on nginx's loop. The fd stays hiredis' to close. */
ngx_int_t ngx_http_speedy_redis_event_attach(struct redisAsyncContext *ac,
    ngx_log_t *log);

/* Whether replies lie in the socket, unread. */
ngx_uint_t ngx_http_speedy_redis_event_waiting(struct redisAsyncContext *ac);


/* kafka.c, kafka_conf.c */

/* `conf` values become a validated rd_kafka_conf_t; logs and returns error. */
char *ngx_http_speedy_kafka_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_speedy_kafka_property(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_speedy_kafka_conf_finish(ngx_conf_t *cf,
    ngx_http_speedy_main_conf_t *smcf);

ngx_int_t ngx_http_speedy_kafka_init(ngx_cycle_t *cycle,
    ngx_http_speedy_main_conf_t *smcf);
void ngx_http_speedy_kafka_exit(void);
ngx_uint_t ngx_http_speedy_kafka_ready(void);
ngx_uint_t ngx_http_speedy_kafka_waiting(void);

/*
 * Copies and queues one record. NGX_OK: ngx_http_speedy_job_reported will be
 * called exactly once for the job, from an event of its own or from
 * ngx_http_speedy_kafka_exit. NGX_DECLINED: it was not taken.
 */
ngx_int_t ngx_http_speedy_kafka_produce(ngx_http_speedy_job_t *job,
    u_char *key, size_t key_len, u_char *value, size_t len);


/* job.c */

typedef enum {
    NGX_HTTP_SPEEDY_JOB_START = 0,      /* waits for the first connection */
    NGX_HTTP_SPEEDY_JOB_RESERVE,        /* waits for Redis */
    NGX_HTTP_SPEEDY_JOB_LOOKUP,         /* fenced: does the sale exist? */
    NGX_HTTP_SPEEDY_JOB_PRODUCE,        /* waits for the delivery report */
    NGX_HTTP_SPEEDY_JOB_ACK             /* waits for ack.lua */
} ngx_http_speedy_job_state_e;

/*
 * One purchase, apart from its request: stock once taken is carried on to
 * Kafka and `ack` when the client has gone. From the worker's pool of jobs,
 * never from r->pool. `r` is NULL once the request is answered or gone; the
 * job ends when, besides, no reply and no report is awaited.
 */
struct ngx_http_speedy_job_s {
    ngx_http_request_t         *r;
    ngx_http_speedy_loc_conf_t *slcf;           /* only with r */
    ngx_http_speedy_main_conf_t *smcf;
    ngx_queue_t                 queue;   /* free, start, reports or acks */
    ngx_event_t                 event;          /* posted: go on */
    ngx_event_t                 timer;          /* the client's wait */

    ngx_http_speedy_job_state_e state;
    ngx_http_speedy_code_e      outcome;        /* CODE_NONE: not yet */

    ngx_http_speedy_id_t        sale;
    ngx_http_speedy_id_t        variant;
    ngx_http_speedy_id_t        user;
    u_char                      order[NGX_HTTP_SPEEDY_ORDER_LEN];
    u_char                      key_digest[SPEEDY_DIGEST_LEN];
    u_char                      body_digest[SPEEDY_DIGEST_LEN];
    u_char                      request_id[32];
    u_char                      traceparent[55];

    int64_t                     quantity;
    int64_t                     price;
    int64_t                     epoch;
    int64_t                     seq;
    int64_t                     reserved_at;
    int64_t                     pay_by;

    /* What else an answer tells: times, units left, unpaid holds, limit. */
    int64_t                     now;
    int64_t                     opens_at;
    int64_t                     left;
    int64_t                     holds;
    int64_t                     limit;
    ngx_uint_t                  retry_after;

    unsigned                    text:1;         /* the script was sent whole */
    unsigned                    order_known:1;  /* `order` stands in Redis */
    unsigned                    replayed:1;
    unsigned                    archived:1;
    unsigned                    pending:1;      /* a reply or report is due */
    unsigned                    traced:1;
};

ngx_int_t ngx_http_speedy_job_init_worker(ngx_cycle_t *cycle);
void ngx_http_speedy_job_exit_worker(void);
ngx_uint_t ngx_http_speedy_job_count(void);

/*
 * Starts the purchase of r's ctx. NGX_DONE: the request is parked and will be
 * finalized once; else a code was set in *code and nothing was sent.
 */
ngx_int_t ngx_http_speedy_job_start(ngx_http_request_t *r,
    ngx_http_speedy_ctx_t *ctx, ngx_http_speedy_code_e *code);

/* The first attempt to connect to Redis is over: from redis.c, once. */
void ngx_http_speedy_job_started(void);

/* The delivery report: from kafka.c, once for each record taken. */
void ngx_http_speedy_job_reported(ngx_http_speedy_job_t *job,
    ngx_uint_t delivered);


/* Stores the outcome and posts the job: allowed in any callback. */
void ngx_http_speedy_job_outcome(ngx_http_speedy_job_t *job,
    ngx_http_speedy_code_e code);


/* reserve.c */

/*
 * NGX_OK: sent; the job is posted when it was answered, with its outcome or
 * in its next state. NGX_DECLINED: not sent.
 */
ngx_int_t ngx_http_speedy_reserve(ngx_http_speedy_job_t *job);

/* After FENCED: the same, but an outcome is set when it was not sent. */
void ngx_http_speedy_reserve_lookup(ngx_http_speedy_job_t *job);


/* ack.c */

void ngx_http_speedy_ack_init_worker(ngx_cycle_t *cycle);

/* Collects the job for this turn's calls; it is posted with its outcome. */
void ngx_http_speedy_ack(ngx_http_speedy_job_t *job);


/* purchase.c */

ngx_int_t ngx_http_speedy_purchase_handler(ngx_http_request_t *r);

/* The id in …/sales/{id}`tail`; NGX_DECLINED: there is none. */
ngx_int_t ngx_http_speedy_uri_sale(ngx_http_request_t *r, const char *tail,
    ngx_http_speedy_id_t *sale);

/* The job's outcome as an answer to its request; for finalize_request. */
ngx_int_t ngx_http_speedy_purchase_answer(ngx_http_speedy_job_t *job);


/* zone.c */

typedef enum {
    NGX_HTTP_SPEEDY_ZONE_ASK = 0,
    NGX_HTTP_SPEEDY_ZONE_IS_SOLD_OUT,
    NGX_HTTP_SPEEDY_ZONE_IS_NOT_OPEN
} ngx_http_speedy_zone_answer_e;

typedef struct {
    ngx_http_speedy_id_t        sale;
    uint64_t                    claim;          /* 0: no probe is due */
    uint64_t                    first;          /* of `log` */
    ngx_uint_t                  most;           /* users wanted */
} ngx_http_speedy_claim_t;

typedef struct {
    ngx_http_speedy_zone_answer_e  answer;
    int64_t                     holds;          /* sold out */
    int64_t                     now;            /* not open: Redis time, ms */
    int64_t                     opens_at;
    ngx_http_speedy_claim_t     claim;
} ngx_http_speedy_zone_view_t;

typedef struct {
    ngx_http_speedy_id_t        variant;
    int64_t                     left;
    int64_t                     holds;
} ngx_http_speedy_zone_variant_t;

/* A probe's reply, on its way into the zone. */
typedef struct {
    const u_char               *run_id;
    int64_t                     sent;           /* ngx_http_speedy_now */
    int64_t                     epoch;
    int64_t                     now;
    int64_t                     opens_at;
    uint64_t                    log_len;
    ngx_uint_t                  nvariants;
    ngx_http_speedy_zone_variant_t *variants;
    ngx_uint_t                  nusers;
    uint64_t                   *users;          /* hashes */
} ngx_http_speedy_probed_t;

#define NGX_HTTP_SPEEDY_ZONE_VARIANTS  32
#define NGX_HTTP_SPEEDY_ZONE_PAGE      1000

char *ngx_http_speedy_zone_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* The worker's place among the gauges. */
void ngx_http_speedy_zone_init_worker(ngx_shm_zone_t *zone);
void ngx_http_speedy_zone_exit_worker(void);

uint64_t ngx_http_speedy_zone_hash(const u_char *user, size_t len);

/*
 * What the zone knows of this purchase; may hand out the claim to probe the
 * sale, which must be ended by zone_probed or zone_release.
 */
void ngx_http_speedy_zone_ask(ngx_http_speedy_ctx_t *ctx,
    ngx_http_speedy_zone_view_t *view);

/* Redis knows this sale: watch it. `kick`: probe it at the next request. */
void ngx_http_speedy_zone_watch(ngx_http_speedy_id_t *sale, ngx_uint_t kick);

/*
 * A reply of the claim's holder. NGX_AGAIN: `claim` was set to the next page
 * to read; NGX_OK: read to the end; NGX_DECLINED: the claim is another's.
 */
ngx_int_t ngx_http_speedy_zone_probed(ngx_http_speedy_claim_t *claim,
    ngx_http_speedy_probed_t *probed);

/* The probe failed; `forget`: the sale is fenced, nothing is known of it. */
void ngx_http_speedy_zone_release(ngx_http_speedy_claim_t *claim,
    ngx_uint_t forget);

void ngx_http_speedy_count(ngx_http_speedy_counter_e counter);
void ngx_http_speedy_count_add(ngx_http_speedy_counter_e counter,
    ngx_uint_t n);
void ngx_http_speedy_count_code(ngx_http_speedy_code_e code);

/* The pool whose mutex guards all of the zone, and what the others keep. */
ngx_slab_pool_t *ngx_http_speedy_zone_pool(void);
ngx_http_speedy_ended_t *ngx_http_speedy_zone_ended(void);

typedef struct {
    ngx_pid_t                   pid;        /* 0: free */
    ngx_uint_t                  redis_ready;
    ngx_uint_t                  redis_waiting;
    ngx_uint_t                  kafka_ready;
    ngx_uint_t                  kafka_waiting;
    ngx_uint_t                  jobs;
    ngx_uint_t                  sessions_known;
    ngx_uint_t                  sessions_ended;
    ngx_uint_t                  stock_streams;
    ngx_uint_t                  stock_sales;
} ngx_http_speedy_gauges_t;

#define NGX_HTTP_SPEEDY_WORKERS  128

/* For the metrics: one value a code, a counter, a worker. */
ngx_atomic_t *ngx_http_speedy_zone_codes(void);
ngx_atomic_t *ngx_http_speedy_zone_counters(void);
ngx_http_speedy_gauges_t *ngx_http_speedy_zone_workers(void);

/* Refreshed by each worker once a second, and when it is asked. */
void ngx_http_speedy_zone_gauges(void);


/* probe.c */

/* Sends the claimed probe, page after page, until the end of `log`. */
void ngx_http_speedy_probe_start(ngx_http_speedy_claim_t *claim);


/* stock.c; the rest of live stock is in ngx_http_speedy_stock.h */

ngx_int_t ngx_http_speedy_stock_init(ngx_cycle_t *cycle,
    ngx_http_speedy_main_conf_t *smcf);
void ngx_http_speedy_stock_exit(void);
ngx_int_t ngx_http_speedy_stock_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_speedy_stock_stream_handler(ngx_http_request_t *r);

/* A reply of probe.lua, asked for by a purchase: it is a look, too. */
void ngx_http_speedy_stock_probed(ngx_http_speedy_id_t *sale, int64_t sent,
    redisReply *reply);

ngx_uint_t ngx_http_speedy_stock_streams(void);
ngx_uint_t ngx_http_speedy_stock_sales(void);


/* metrics.c */

ngx_int_t ngx_http_speedy_status_handler(ngx_http_request_t *r);


#endif
