/*
 * The parts of the KakaoPay sandbox (main.c tells what it is).
 *
 *   params.c    a request's fields, checked against the documented table
 *   ledger.c    payments, their look-up and the virtual clock; one lock
 *   snapshot.c  a payment as one line of JSON, and back
 *   journal.c   the file that survives a kill, written in groups
 *   api.c       one call: who may, which fault, how long, what is counted
 *   ready.c approve.c cancel.c order.c   what each operation does
 *   reply.c     the answer's JSON, with the lies a test asked for
 *   payer.c     what the payer does; pages.c his pages
 *   faults.c    faults to order
 *   control.c   the tests' interface; report.c what it tells of the ledger
 *   server.c    HTTP, and what a fault does to a connection
 */
#ifndef SPEEDY_SANDBOX_H
#define SPEEDY_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../daemons/common/json.h"

#define TID_LEN 20
#define PAGE_LEN 64
#define TOKEN_LEN 20
#define PARAMS_MAX 32
#define FIXED_TEXT 128

enum generation { GEN_OPEN, GEN_LEGACY };
enum operation { OP_READY, OP_APPROVE, OP_CANCEL, OP_ORDER, OP_COUNT };
enum method { METHOD_NONE, METHOD_CARD, METHOD_MONEY };
enum status {
    ST_READY,
    ST_OPEN_PAYMENT,
    ST_SELECT_METHOD,
    ST_AUTH_PASSWORD,
    ST_SUCCESS_PAYMENT,
    ST_PART_CANCEL_PAYMENT,
    ST_CANCEL_PAYMENT,
    ST_FAIL_AUTH_PASSWORD,
    ST_QUIT_PAYMENT,
    ST_FAIL_PAYMENT,
    ST_COUNT
};

extern const char *const operation_names[OP_COUNT];
extern const char *const status_names[ST_COUNT];
extern const char *const method_names[3];
/* Index of name, -1 when it is none; n names. */
int name_find(const char *const *names, int n, const char *name);

/* ---- params.c: name and text of each field, whatever the body's form */
struct param {
    char *name, *text;
};
struct params {
    struct param item[PARAMS_MAX];
    size_t count;
    char wrong[FIXED_TEXT]; /* what is wrong with them */
};
/* 0, or -1 with p->wrong; p is freed in either case. */
int params_read(struct params *p, enum generation gen, enum operation op,
                const char *body, size_t len);
void params_free(struct params *p);
/* NULL when absent. */
const char *param_text(const struct params *p, const char *name);
int64_t param_int(const struct params *p, const char *name, int64_t fallback);

/* ---- ledger.c */
struct amount {
    int64_t total, tax_free, vat, point, discount, green_deposit;
};
struct action { /* a payment's approve, then its cancels */
    char aid[TID_LEN + 1];
    bool cancel;
    int64_t at;
    struct amount amount;
    char *payload;
};
struct refusal { /* what approve will say although all is right */
    int code;
    char extra_code[64], extra_message[FIXED_TEXT];
};
struct payment {
    struct payment *next_tid, *next_page;
    char tid[TID_LEN + 1], page[PAGE_LEN + 1], pg_token[TOKEN_LEN + 1];
    enum generation gen;
    int key; /* which of the merchant's keys it was made with */
    char cid[11], *order_id, *user_id, *item_name, *item_code;
    char *approval_url, *cancel_url, *fail_url;
    int64_t quantity, created_at, approved_at, canceled_at;
    struct amount amount, canceled;
    enum status status;
    enum method wanted, method;
    int install_month;
    struct action *action;
    size_t actions;
    bool no_partial; /* this trade can be cancelled as a whole only */
    struct refusal refusal;
    int64_t calls[OP_COUNT];
    bool busy;       /* an approve or cancel is in flight */
    uint64_t record; /* journal's number of its newest state */
};

void ledger_lock(void);
void ledger_unlock(void);
/* All below with the lock held. */
struct payment *ledger_new(void);
struct payment *ledger_by_tid(const char *tid);
struct payment *ledger_by_page(const char *page);
struct payment *ledger_by_order(const char *order_id); /* the newest */
/* Into the tables, after its tid and page are set. */
void ledger_add(struct payment *p);
size_t ledger_count(void);
struct payment *ledger_at(size_t i); /* oldest first */
void ledger_clear(void);
struct action *ledger_action(struct payment *p, bool cancel,
                             const struct amount *a, const char *payload);
struct amount ledger_left(const struct payment *p);
bool ledger_paid(const struct payment *p); /* approved once, now or before */
/* Whether its life was over at that moment. */
bool ledger_expired(const struct payment *p, int64_t at);

/* The virtual clock: the machine's plus an offset. No lock needed. */
int64_t clock_now(void);
int64_t clock_offset(void);
void clock_offset_set(int64_t ms);
void hex_random(char *out, size_t digits); /* with its NUL */

/* ---- snapshot.c */
void snapshot_write(struct speedy_buf *b, const struct payment *p);
/* One line back into the ledger (lock held). 0 or -1. */
int snapshot_read(const char *line, size_t len);

/* ---- journal.c */
/* Reads path back, rewrites it without what is outdated. 0 or -1. */
int journal_open(const char *path);
/* Lock held: takes the payment's new state. */
void journal_payment(struct payment *p);
/* Lock held: settings and clock. */
uint64_t journal_settings(void);
/* Without the lock: returns when record n is on disk. */
void journal_sync(uint64_t n);
/* Lock held: an empty file. */
void journal_clear(void);

/* ---- faults.c */
enum answer {
    ANSWER_TRUE,
    ANSWER_SILENCE, /* none, until the client has gone */
    ANSWER_CLOSE,
    ANSWER_RESET,
    ANSWER_STATUS, /* this status and body */
    ANSWER_REFUSE, /* this error code */
    ANSWER_SLOW,   /* slow_ms between bytes */
    ANSWER_COUNT
};
extern const char *const answer_names[ANSWER_COUNT];
struct fault {
    int id;
    int operation; /* OP_COUNT: any */
    long count, skip, hits;
    char tid[TID_LEN + 1], order_id[FIXED_TEXT];
    long before_ms, after_ms, late_ms, slow_ms;
    bool effect;
    enum answer answer;
    int status, code;
    char extra_code[64], extra_message[FIXED_TEXT];
    char *body;     /* of ANSWER_STATUS; owned by the table */
    char wrong[64]; /* field of the answer that is not true, as amount.total */
    char *value;    /* and its value, as JSON; NULL: one that differs */
    char missing[64];
};
/* Adds one. Its id; its strings are taken over. */
int fault_add(const struct fault *f);
/*
 * The first that fits the call and has calls left, into *out (free body and
 * value by fault_free). false: none, and *out does nothing.
 */
bool fault_take(enum operation op, const char *tid, const char *order_id,
                struct fault *out);
void fault_free(struct fault *f);
/* id 0: all of them. false: there was none. */
bool fault_remove(int id);
void faults_write(struct speedy_buf *b);

/* ---- reply.c */
struct reply {
    int http;
    int code; /* 0, or the error's */
    struct speedy_buf out;
    const struct fault *fault;
    enum generation gen;
    bool comma;
};
void reply_error(struct reply *r, int code, const char *message,
                 const char *extra_code, const char *extra_message);
void reply_begin(struct reply *r, const char *name); /* NULL: the whole */
void reply_end(struct reply *r);
void reply_text(struct reply *r, const char *in, const char *name,
                const char *text);
void reply_int(struct reply *r, const char *in, const char *name, int64_t n);
void reply_time(struct reply *r, const char *in, const char *name, int64_t ms);
void reply_amount(struct reply *r, const char *name, const struct amount *a);
void reply_head(struct reply *r, const struct payment *p);
void reply_goods(struct reply *r, const struct payment *p);
int http_of_code(int code);

/* ---- api.c */
struct api_call {
    enum generation gen;
    enum operation op;
    int key;
    struct params params;
    struct fault fault;
    struct reply reply;
    char tid[TID_LEN + 1];
    int64_t arrived; /* by the virtual clock */
    bool claimed;    /* this call holds the payment's busy */
    bool settled;    /* its effect took place, or was refused */
    long after_ms;   /* before the answer is sent */
};
/* The whole call but the answer's sending; c->reply and c->fault tell it. */
void api_call(struct api_call *c, const char *authorization,
              const char *content_type, const char *body, size_t len);
/* After the answer went out: an effect that comes late; then freed. */
void api_finish(struct api_call *c);
/* -1 when the path is none of the API's. */
int api_route(const char *path, enum generation *gen, enum operation *op);
void api_calls_write(struct speedy_buf *b, const char *tid);
void api_numbers_write(struct speedy_buf *b);

/* Each with the lock held, answers into c->reply. */
void ready_do(struct api_call *c);
void approve_do(struct api_call *c, struct payment *p);
void cancel_do(struct api_call *c, struct payment *p);
void order_do(struct api_call *c, struct payment *p);
/* round((total - tax_free) / 11) */
int64_t vat_of(int64_t total, int64_t tax_free);

/* ---- payer.c */
struct payer_act {
    const char *act; /* open, pay, quit, fail */
    enum method method;
    int64_t point, discount;
    struct refusal refusal;
    bool no_partial;
};
/*
 * Lock held. Where the browser goes, or NULL and *why when that can not be
 * done any more. The caller frees it.
 */
char *payer_do(struct payment *p, const struct payer_act *a, const char **why);

/* ---- settings, of main.c and control.c */
struct settings {
    long response_ms, life_ms;
    int64_t limit; /* of one payment; 0: none */
    long quota;    /* calls of a day; 0: no bound */
    bool maintenance, enabled;
    int failed_status; /* HTTP status of -780 and -781 */
};
extern struct settings settings;
extern const struct settings settings_usual;

#define CIDS_MAX 8
#define DOMAINS_MAX 10
struct merchant {
    char secret_key[FIXED_TEXT], dev_key[FIXED_TEXT], admin_key[FIXED_TEXT];
    char cid[CIDS_MAX][11], cid_secret[CIDS_MAX][25];
    size_t cids;
    const char *domain[DOMAINS_MAX];
    size_t domains;
    char pages_url[FIXED_TEXT]; /* where the payer's pages are */
};
extern struct merchant merchant;

/* ---- server.c */
enum listener { LISTEN_API, LISTEN_PAGES, LISTEN_CONTROL };
struct exchange {
    const char *method, *path, *body;
    size_t body_len;
    void *connection;
    int status;
    const char *content_type;
    char *location;
    struct speedy_buf out;
    struct api_call *api; /* NULL: not a call of the API */
};
/* NULL when absent. */
const char *exchange_query(struct exchange *x, const char *name);
const char *exchange_header(struct exchange *x, const char *name);
struct server_address {
    const char *host;
    int port;
    const char *certificate, *key; /* PEM; NULL: plain HTTP */
};
/* 0, or -1 after logging. */
int server_start(enum listener what, const struct server_address *a);
void server_stop(void);

void pages_handle(struct exchange *x);
void control_handle(struct exchange *x);
void settings_write(struct speedy_buf *b);
/* Members that are no setting, or of a wrong type: -1 and *why. */
int settings_read(const struct speedy_json *o, const char **why);

/* ---- report.c: lock held */
void report_payment(struct speedy_buf *b, const struct payment *p);
void report_ledger(struct speedy_buf *b, const char *order_id);
void report_totals(struct speedy_buf *b);
/* day: YYYY-MM-DD in KST. 0, or -1 when it is none. */
int report_settlement(struct speedy_buf *b, const char *day);

#endif
