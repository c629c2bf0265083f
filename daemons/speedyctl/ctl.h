/*
 * speedyctl, the operator's tool: what its commands share. A command is a
 * row of a table (name, arguments, options, run); parsing, help and usage
 * errors are made from the rows. Exit codes: 0 done, 1 refused or broken,
 * 2 wrong usage.
 */
#ifndef SPEEDYCTL_CTL_H
#define SPEEDYCTL_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/conf.h"
#include "../common/db.h"
#include "../common/json.h"
#include "../common/redis.h"
#include "../shop/act.h"
#include "../shop/names.h"

enum ctl_exit { CTL_DONE = 0, CTL_REFUSED = 1, CTL_USAGE = 2 };

#define CTL_GIVEN_MAX 64
#define CTL_ARGS_MAX 64

/* value: what the option takes, for the help; NULL: a flag. */
struct ctl_option {
    const char *name, *value, *help;
};

struct ctl;
struct ctl_command {
    const char *name;  /* one or two words */
    const char *usage; /* positional arguments, for the help */
    int min_args, max_args;
    const struct ctl_option *options; /* ended by a NULL name, or NULL */
    const char *summary;
    int (*run)(struct ctl *c); /* enum ctl_exit */
};

extern const struct ctl_command ctl_commands[]; /* ended by a NULL name */

/* Settings of section [speedyctl]. */
struct ctl_settings {
    long token_max_ttl, expiry_grace;
    char *sql_directory, *issuer, *audience;
    char *token_alg, *token_kid, *token_key;
};
extern struct ctl_settings ctl_settings;
extern const struct speedy_setting ctl_settings_table[];

struct ctl {
    const struct ctl_command *command;
    bool json;
    int arg_count;
    const char *args[CTL_ARGS_MAX];
    int given_count;
    struct {
        const char *name, *value;
    } given[CTL_GIVEN_MAX];
    struct speedy_db *db;
    struct speedy_redis *redis;
    struct speedy_args redis_args;
    struct speedy_buf detail; /* members for the audit_log row of an act */
};

/* args.c */
/* Finds the command in argv and parses the rest. -1: go on; else exit code. */
int ctl_parse(struct ctl *c, const struct ctl_command *table, int argc,
              char **argv);
void ctl_help(const struct ctl_command *table, const char *word,
              const char *second);
/* Value of an option, or NULL; "" of a given flag. */
const char *ctl_option(const struct ctl *c, const char *name);
/* Prints `speedyctl COMMAND: …` to stderr; returns CTL_USAGE / CTL_REFUSED. */
int ctl_usage(const struct ctl *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int ctl_refuse(const struct ctl *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* values.c: 0, or -1 when the text is no such value. */
int ctl_number(const char *text, int64_t min, int64_t max, int64_t *out);
int ctl_duration(const char *text, int64_t *ms); /* 500ms 5s 10m 2h 1d */
/* RFC 3339, or `now` (out = -1: the caller asks the database's clock). */
int ctl_time(const char *text, int64_t *ms);
bool ctl_id(const char *text);
/* As above for an option with a default; prints the error. 0 or CTL_USAGE. */
int ctl_option_number(const struct ctl *c, const char *name, int64_t fallback,
                      int64_t min, int64_t max, int64_t *out);
int ctl_option_duration(const struct ctl *c, const char *name, int64_t fallback,
                        int64_t *ms);
/* One of the words (separated by blanks), or the first when not given. */
int ctl_option_word(const struct ctl *c, const char *name, const char *words,
                    const char **out);
/* RFC 3339 in Seoul's offset; "-" for 0. Static, good for 8 calls. */
const char *ctl_time_text(int64_t ms);
const char *ctl_duration_text(int64_t ms);
/* In JSON: quoted, or null for 0. */
void ctl_json_time(struct speedy_buf *b, int64_t ms);

/* stores.c */
/* Opens by need; NULL after a message. */
struct speedy_db *ctl_db(struct ctl *c);
struct speedy_redis *ctl_redis(struct ctl *c);
void ctl_close(struct ctl *c);
/* The database's clock, Unix milliseconds; -1 after a message. */
int64_t ctl_db_now(struct ctl *c);
/* Message for a status of db.h; returns CTL_REFUSED. */
int ctl_db_failed(const struct ctl *c, int status);
#define CTL_MS(column) SPEEDY_MS(column)
/* Integer, or bytes that are decimal digits (SUM, Redis). */
int64_t ctl_int(const struct speedy_db_value *v);

/*
 * Fills in who acts and why (--actor, --reason) and opens MySQL. 0, or an
 * exit code after a message. a->detail is the caller's to free, either way.
 */
int ctl_act_begin(struct ctl *c, struct speedy_act *a);
/*
 * An act of the operator: work() and one audit_log row in one transaction,
 * repeated when the database says so. work returns 0, an enum
 * speedy_db_status, or 1 after telling why it refuses. It may fill
 * c->detail with JSON members (`"a":1,"b":2`). Safe when the reply of a
 * COMMIT is lost: the row carries an id that is looked for before a repeat.
 */
int ctl_act(struct ctl *c, const char *act, const char *object,
            int (*work)(struct ctl *c, void *data), void *data);

/* Prints a finished JSON document or text and frees the buffer. */
void ctl_print(struct speedy_buf *b);

/* The commands, a file each or a few. */
int ctl_token(struct ctl *c);
int ctl_product_add(struct ctl *c);
int ctl_product_change(struct ctl *c);
int ctl_product_list(struct ctl *c);
int ctl_product_show(struct ctl *c);
int ctl_sale_create(struct ctl *c);
int ctl_sale_list(struct ctl *c);
int ctl_sale_show(struct ctl *c);
int ctl_sale_change(struct ctl *c);
int ctl_sale_move(struct ctl *c); /* pause, resume, close */
int ctl_sale_postpone(struct ctl *c);
int ctl_sale_extend(struct ctl *c);
int ctl_sale_notice(struct ctl *c);
int ctl_sale_stop_all(struct ctl *c);
int ctl_sale_stock(struct ctl *c);
int ctl_sale_release(struct ctl *c);
int ctl_sale_extend_holds(struct ctl *c);
int ctl_sale_report(struct ctl *c);
int ctl_order_show(struct ctl *c);
int ctl_order_list(struct ctl *c);
int ctl_dead_letter_list(struct ctl *c);
int ctl_dead_letter_show(struct ctl *c);
int ctl_dead_letter_retry(struct ctl *c);
int ctl_dead_letter_dismiss(struct ctl *c);
int ctl_staff_add(struct ctl *c);
int ctl_staff_list(struct ctl *c);
int ctl_staff_end(struct ctl *c);
int ctl_staff_reset(struct ctl *c);
int ctl_keys_status(struct ctl *c);
int ctl_keys_rotate(struct ctl *c);
int ctl_mail_list(struct ctl *c);
int ctl_mail_show(struct ctl *c);
int ctl_mail_retry(struct ctl *c);
int ctl_payments_list(struct ctl *c);
int ctl_payments_show(struct ctl *c);
int ctl_migrate(struct ctl *c);
int ctl_audit(struct ctl *c);
int ctl_doctor(struct ctl *c);
int ctl_states(struct ctl *c);

#endif
