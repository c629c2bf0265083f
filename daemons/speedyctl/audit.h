/*
 * The auditor: each invariant is one line with a verdict, its figures, and
 * up to ten examples of what breaks it. An invariant that could not be
 * judged counts as broken: an auditor that did not look must not say "ok".
 */
#ifndef SPEEDYCTL_AUDIT_H
#define SPEEDYCTL_AUDIT_H

#include "../common/kafka.h"
#include "../shop/units.h"
#include "ctl.h"

#define AUDIT_EXAMPLES 10

struct audit_line {
    const char *name;
    long broken; /* findings */
    bool skipped;
    struct speedy_buf figures, examples;
    long example_count;
    int64_t ms; /* that judging took */
};

struct audit_sale {
    char id[SPEEDY_ID_MAX + 1];
    bool live; /* not archived */
    /* snapshot.lua's answer; epochs are -1 when there is none */
    bool snapshot;
    int64_t loaded_epoch, gate_epoch, entries;
};

#define AUDIT_PARTITIONS_MAX 1024
/* kafka_offsets of the orders' topic; -1: no row. */
struct audit_offsets {
    int64_t next[AUDIT_PARTITIONS_MAX];
};

struct client_log;

struct audit {
    struct ctl *c;
    const char *sale; /* "" : every sale */
    int64_t wait_ms;
    int rounds; /* looks at what is broken but may settle */
    bool quiescent, skip_kafka;
    struct audit_sale *sales;
    size_t sale_count;
    struct speedy_units_check units;
    struct speedy_consumer *kafka;
    int partitions;
    struct audit_offsets first; /* as they were at the beginning */
    bool first_read;
    struct client_log *log; /* NULL: none was given */
    int64_t lost;
};

/* One more finding; the first ten are kept as examples. */
void audit_broken(struct audit_line *l, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void audit_figures(struct audit_line *l, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void audit_skip(struct audit_line *l, const char *why);
/* A store did not answer: broken, with the reason. */
void audit_unknown(struct audit_line *l, const char *what);
/* n is a status of db.h: 0, or -1 after audit_unknown(). */
int audit_db(struct audit_line *l, int n);

/* The table of invariants; each fills in its line. */
struct audit_check {
    const char *name, *what;
    bool settles; /* true only at quiescence: looked at again when broken */
    void (*run)(struct audit *a, struct audit_line *l);
};
extern const struct audit_check audit_checks[];
extern const size_t audit_check_count;

/* Reads sales and variants. 0, or an exit code after a message. */
int audit_load_sales(struct audit *a);
/* The whole audit into lines (audit_check_count of them). */
void audit_run(struct audit *a, struct audit_line *lines);
/*
 * Judges one sale (without reading Kafka again) and tells each line. 0, or an
 * exit code after a message; a finding is no failure here.
 */
int audit_of_sale(struct ctl *c, const char *sale, int64_t wait_ms,
                  void (*told)(void *data, const struct audit_line *l,
                               const char *what),
                  void *data);
void audit_free(struct audit *a);

void audit_quiescence(struct audit *a, struct audit_line *l); /* Q */
void audit_units(struct audit *a, struct audit_line *l);      /* I1 */
void audit_limits(struct audit *a, struct audit_line *l);     /* I2 */
void audit_histories(struct audit *a, struct audit_line *l);  /* I3 */
void audit_rejections(struct audit *a, struct audit_line *l); /* I4 */
void audit_accepted(struct audit *a, struct audit_line *l);   /* I5 */
void audit_records(struct audit *a, struct audit_line *l);    /* I6 */
void audit_offsets(struct audit *a, struct audit_line *l);    /* I7 */
void audit_stock(struct audit *a, struct audit_line *l);      /* I8 */
void audit_ledger(struct audit *a, struct audit_line *l);     /* I9 */
void audit_epochs(struct audit *a, struct audit_line *l);     /* I10 */
void audit_deadlines(struct audit *a, struct audit_line *l);  /* I14 */
void audit_sequence(struct audit *a, struct audit_line *l);   /* I17 */
void audit_clocks(struct audit *a, struct audit_line *l);     /* I18 */
void audit_sums(struct audit *a, struct audit_line *l);       /* SUM */

/* What is not quiet, in words; empty when all is. */
void audit_unrest(struct audit *a, struct speedy_buf *why);
/* Reads kafka_offsets; 0 or a status of db.h. */
int audit_offsets_read(struct audit *a, struct audit_offsets *o);
/* The consumer, made once; NULL after logging. */
struct speedy_consumer *audit_kafka(struct audit *a);

/* Differences of clocks, milliseconds; 0, or -1 when a store is away. */
int audit_clock_skew(struct ctl *c, int64_t *db, int64_t *redis);

/* audit_client.c: the answers that clients saw, one record a key. */
struct client_log *client_log_new(void);
void client_log_free(struct client_log *log);
/* 0, or -1 after a message: the file cannot be read. */
int client_log_read(struct client_log *log, const char *path);
/* Forgets what judging noted, so that it can judge again. */
void client_log_reset(struct client_log *log);
/* An order of MySQL, for every record of its key. */
struct client_order {
    const unsigned char *id, *key_digest;
    const char *sale, *state;
    int64_t reserved_at;
};
/* What it says about I4; NULL when nothing is wrong. Static text. */
const char *client_log_order(struct client_log *log,
                             const struct client_order *o);
/* Counts of lines and answers, `lines=… 202=…`. */
void client_log_figures(const struct client_log *log, struct speedy_buf *out);
/* Every accepted order that no client_log_order() showed, and bad lines. */
int64_t client_log_lost(const struct client_log *log, struct audit_line *l);

#endif
