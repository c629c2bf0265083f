/*
 * What the operators' handlers share: who acts, why, on which version, and
 * the results of acts as HTTP answers.
 */
#ifndef PRODUCTD_ADMIN_H
#define PRODUCTD_ADMIN_H

#include "../shop/sale_acts.h"
#include "productd.h"

#define PRODUCTD_LOGIN_MAX 40

struct productd_admin {
    struct speedy_request *r;
    const struct speedy_json *body;
    struct speedy_stores *stores;
    char actor[PRODUCTD_LOGIN_MAX + 7]; /* staff:<login> */
    struct speedy_act act;
};

/*
 * Parses the body (members: names, which must hold "reason" and "version"),
 * looks the actor up in MySQL and fills in the act. false after answering;
 * productd_admin_end() is due in either case.
 */
bool productd_admin_begin(struct productd_admin *a, struct speedy_request *r,
                          const char *const *names);
/* The same for a body that is no JSON: the reason stands in the query. */
bool productd_admin_begin_raw(struct productd_admin *a,
                              struct speedy_request *r);
void productd_admin_end(struct productd_admin *a);
/* 428 unless a version was given. */
bool productd_admin_versioned(struct productd_admin *a);

/*
 * 0 when the act is done; else answers and returns -1. s: the sale as the act
 * found it, or NULL.
 */
int productd_admin_result(struct productd_admin *a, int result,
                          const struct speedy_sale *s);

/* --- members of the body; each 0, or -1 after answering 400 --- */

/* An id; NULL stays when it is absent and not needed. */
int productd_take_id(struct productd_admin *a, const char *name, bool needed,
                     const char *code, const char **out);
/* Text of min to max characters. */
int productd_take_text(struct productd_admin *a, const char *name, long min,
                       long max, bool lines, const char *code,
                       const char **out);
/* A whole number; *out stays when it is absent. */
int productd_take_number(struct productd_admin *a, const char *name,
                         int64_t min, int64_t max, const char *code,
                         int64_t *out);
/* RFC 3339, or (where allowed) "now": -1; *out stays when it is absent. */
int productd_take_time(struct productd_admin *a, const char *name, bool now,
                       const char *code, int64_t *out);
/* One of the words, NULL-ended. */
int productd_take_word(struct productd_admin *a, const char *name,
                       const char *const *words, const char *code,
                       const char **out);
/* The member's pointer in errors[]; good until the next call. */
const char *productd_pointer(const char *name);

#endif
