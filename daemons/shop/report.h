/*
 * What came of a sale: units, orders, arrivals, and whether all of it adds
 * up. From MySQL, and what is left from Redis while the sale lives.
 */
#ifndef SPEEDY_REPORT_H
#define SPEEDY_REPORT_H

#include <stdbool.h>

#include "../common/json.h"
#include "sale.h"

#define SPEEDY_REPORT_STATES 24
#define SPEEDY_REPORT_BARS 120
#define SPEEDY_REPORT_LINES 24

/* Orders whose reservation fell into one stretch of time. */
struct speedy_report_bar {
    int64_t at, orders;
};

/* One line of the proof: an invariant of the auditor. */
struct speedy_report_line {
    char name[8], what[40], verdict[12]; /* ok, broken, skipped */
    char text[200];                      /* figures, or the first finding */
};

struct speedy_report {
    struct speedy_sale sale;
    char product_name[SPEEDY_NOTICE_MAX * 4 + 1];
    /* units: at first, and what operators added and took; their sum is total */
    int64_t offered, added, taken;
    int64_t total, held, sold, withheld;
    int64_t left; /* -1: not known */
    /* units of orders that ended */
    int64_t expired, cancelled, refunded;
    int64_t orders, rejected; /* rejected ones are not among the orders */
    int64_t first, last;      /* reservations */
    int64_t peak, peak_at;    /* most in one second */
    int state_count;
    struct {
        char state[24];
        int64_t orders, units;
    } states[SPEEDY_REPORT_STATES];
    int64_t bar_seconds;
    int bar_count;
    struct speedy_report_bar bars[SPEEDY_REPORT_BARS];
    /* conserved: no line is broken */
    bool conserved;
    int line_count;
    struct speedy_report_line lines[SPEEDY_REPORT_LINES];
};

/*
 * 1 and a new report, which the caller frees; 0 when there is no such sale;
 * else enum speedy_db_status. rc may be NULL. Lines: I1 and SUM; a caller
 * that has run the whole auditor puts its own in their place.
 */
int speedy_report_read(struct speedy_db *db, struct speedy_redis *rc,
                       const char *sale, struct speedy_report **report);
void speedy_report_free(struct speedy_report *report);
/* Adds a line; text is cut to fit. */
void speedy_report_line(struct speedy_report *r, const char *name,
                        const char *what, const char *verdict,
                        const char *text);

void speedy_report_json(struct speedy_buf *b, const struct speedy_report *r);
/* A page of its own: styles and charts within, no script. */
void speedy_report_html(struct speedy_buf *b, const struct speedy_report *r);

#endif
